"""
What is particular to PostgreSQL. That it behaves like SQLite is tested by every test that uses the
fixture `places`.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from scanner.errors import StoreError
from scanner.model import Target, Tier, Transport
from scanner.state import SiteState
from scanner.store import RunMeta, RunStore, question_key

pytestmark = pytest.mark.integration

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
META = RunMeta(
    id="run-1",
    site="Harbour waterworks",
    site_file_text="",
    plan_digest="",
    started_at=NOON,
    version="0.1",
    authorisation="",
    authorised_by="",
    tiers=("identify",),
)
PLC = Target(zone="control", address="127.30.0.12", port=502, transport=Transport.TCP)
KEY = question_key(PLC, "modbus", Tier.IDENTIFY)


@pytest.fixture
def schema(postgres: str, request: pytest.FixtureRequest) -> str:
    """A URL with a schema of this test's own."""
    return f"{postgres}&schema=Own-{os.getpid()}%20{abs(hash(request.node.name))}"


async def ask(store: RunStore) -> str:
    return await store.intent(
        target=PLC,
        probe="modbus",
        tier=Tier.IDENTIFY,
        label="identity",
        request=b"ask",
        question="",
        sent_at=NOON,
    )


def new_run(url: str, name: str = "run-1") -> RunStore:
    meta = RunMeta(**{field: getattr(META, field) for field in META.__slots__} | {"id": name})
    return RunStore.create(url, run=meta, now=NOON)


def break_all_connections(url: str) -> None:
    """As a restart of the server would, or a firewall."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )


def test_runs_and_site_state_live_side_by_side_in_one_database(postgres: str, schema: str) -> None:
    first, second = new_run(f"{schema}a", "one"), new_run(f"{schema}b", "two")
    with first, second, SiteState.open(f"{schema}a") as state:
        state.touch({("z", "a"): NOON})
        assert (first.meta().id, second.meta().id) == ("one", "two")
    with SiteState.open(f"{schema}b") as state:
        assert state.last_contacts() == {}


def test_a_database_without_a_run_is_told(postgres: str, schema: str) -> None:
    with pytest.raises(StoreError, match="not a Walkdown run database"):
        RunStore.open(schema)


def test_a_server_that_is_not_there_is_told_without_the_password(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no connection to the database") as refusal:
        RunStore.open(f"postgresql://scan:hunter2@/walkdown?host={tmp_path}")
    assert "hunter2" not in str(refusal.value)


def test_a_database_that_does_not_exist_is_told(postgres: str) -> None:
    with pytest.raises(StoreError, match='database "nowhere" does not exist'):
        RunStore.open(postgres.replace("/postgres?", "/nowhere?"))


async def test_a_connection_that_broke_is_made_again_and_what_was_confirmed_is_there(
    postgres: str, schema: str
) -> None:
    store = new_run(schema)
    confirmed = [await ask(store) for _ in range(5)]
    break_all_connections(postgres)

    # The pool notices and connects again; the lock on the run, however, is gone with its session.
    confirmed.append(await ask(store))
    store.close()

    with RunStore.open(schema) as store:
        assert [exchange.id for exchange in store.exchanges()] == confirmed
        assert store.verify().whole


async def test_two_writers_that_both_lost_their_lock_cannot_fork_the_chain(
    postgres: str, schema: str
) -> None:
    first = new_run(schema)
    break_all_connections(postgres)
    with RunStore.open(schema) as second:
        await ask(second)
        with pytest.raises(StoreError, match="another process wrote to this run database"):
            await ask(first)
        with pytest.raises(StoreError, match="another process wrote to this run database"):
            await ask(first)
        assert second.verify().whole
    first.close()


def test_killed_at_any_moment_every_confirmed_request_is_there(postgres: str, schema: str) -> None:
    script = """
import asyncio, sys
from datetime import UTC, datetime
from scanner.model import Target, Tier, Transport
from scanner.store import RunStore
async def main():
    store = RunStore.open(sys.argv[1])
    target = Target(zone="z", address="127.30.0.1", port=502, transport=Transport.TCP)
    async def device():
        while True:
            print(await store.intent(target=target, probe="p", tier=Tier.IDENTIFY, label="l",
                request=b"ask", question="", sent_at=datetime.now(UTC)), flush=True)
    await asyncio.gather(device(), device())
asyncio.run(main())
"""
    new_run(schema).close()
    confirmed: list[str] = []
    for length in (1, 40, 3):
        with subprocess.Popen(
            [sys.executable, "-c", script, schema], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            confirmed += [writer.stdout.readline().strip() for _ in range(length)]
            with pytest.raises(StoreError, match="another process is using"):
                RunStore.open(schema)
            writer.kill()
            confirmed += writer.stdout.read().split()
        open_when_the_server_noticed(schema).close()

    with RunStore.open(schema, read_only=True) as store:
        kept = [exchange.id for exchange in store.exchanges()]
        assert set(confirmed) <= set(kept)
        assert store.verify().whole


def open_when_the_server_noticed(url: str) -> RunStore:
    """A killed client's session ends when its server process sees the closed socket."""
    for _ in range(200):
        try:
            return RunStore.open(url)
        except StoreError:
            asyncio.run(asyncio.sleep(0.02))
    return RunStore.open(url)


async def test_a_commit_is_on_the_server_s_disk_when_it_is_confirmed(
    schema: str, postgres: str
) -> None:
    hasty = "&options=-c%20synchronous_commit%3Doff"
    show = "SHOW synchronous_commit"
    with psycopg.connect(postgres + hasty) as plain:
        assert plain.execute(show).fetchone() == ("off",)
    async with new_run(schema + hasty) as store:
        with store._base.reading() as connection:
            assert connection.exec_driver_sql(show).scalar_one() == "on"
        assert await ask(store)
