"""The devices of promise 25 that ask again count every secret, and its judge holds them against
the ledger."""

from __future__ import annotations

import asyncio
import io
import json
import random
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import asyncssh
import pytest

from tests.proof.lockers import AGAIN, Device, Site
from tests.proof.promises.p25_no_lockouts import Life, judged


class Eager(asyncssh.SSHClient):
    """Tries each method once, and answers whatever it is asked in it."""

    def __init__(self) -> None:
        self._password = self._interactive = False

    def password_auth_requested(self) -> str | None:
        before, self._password = self._password, True
        return None if before else "wrong"

    def kbdint_auth_requested(self) -> str | None:
        before, self._interactive = self._interactive, True
        return None if before else ""

    def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: object
    ) -> list[str]:
        return ["wrong"]


@pytest.mark.parametrize(("asks", "times"), [("password", 1), ("again", AGAIN), ("turns", AGAIN)])
def test_every_answer_to_a_prompt_is_a_failure(asks: str, times: int) -> None:
    assert len(received(asks)) == times


def received(asks: str) -> list[str]:
    log = io.StringIO()
    spec = {
        "address": "127.0.0.1", "vendor": "v", "model": "m", "services": ["ssh"], "tells": "no",
        "users": {"admin": "right"}, "threshold": 99, "scope": "account", "asks": asks,
    }  # fmt: skip

    async def sign_in() -> None:
        device = Device(spec, Site(log))
        key = asyncssh.generate_private_key("ssh-ed25519")
        async with await asyncssh.create_server(
            device.ssh, "127.0.0.1", 0, server_host_keys=[key]
        ) as server:
            with pytest.raises(asyncssh.PermissionDenied):
                await asyncssh.connect(
                    "127.0.0.1", server.get_port(), client_factory=Eager, username="admin",
                    known_hosts=None, client_keys=None, config=None, agent_path=None,
                )  # fmt: skip

    asyncio.run(asyncio.wait_for(sign_in(), 20))
    return log.getvalue().splitlines()


@pytest.mark.parametrize(("on_record", "faults"), [(2, 0), (1, 1)])
def test_a_secret_more_than_is_on_record_is_noticed(
    tmp_path: Path, on_record: int, faults: int
) -> None:
    address = "127.60.0.1"
    row = {"address": address, "service": "ssh", "account": "a", "accepted": False, "locks": False}
    (tmp_path / "logins").write_text("".join(json.dumps({**row, "at": at}) + "\n" for at in (1, 9)))
    with closing(sqlite3.connect(tmp_path / "site.state.db")) as connection:
        connection.execute("CREATE TABLE attempts (address TEXT)")
        connection.executemany("INSERT INTO attempts VALUES (?)", [(address,)] * on_record)
        connection.commit()
    life = Life(
        number=0, steps=1, dice=random.Random(1), folder=tmp_path, octet=60,
        devices=[{"address": address}], declared={}, days=[(0.0, 0.0)],
    )  # fmt: skip

    told = judged(life)

    assert told.bad == faults
    assert Counter("2 secrets received, 1 on record" in one for one in told.faults)[True] == faults
