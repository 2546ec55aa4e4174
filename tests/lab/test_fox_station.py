"""The Fox emulator greets as the recorded station did, and its ledger shows who goes on."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from lab.frames import Stream

pytestmark = pytest.mark.lab

PORT = 1911
HELLO = b"fox a 1 -1 fox hello\n{\nfox.version=s:1.0\nid=i:1\n};;\n"
LOGIN = b"fox a 2 1 fox login\n{\nusername=s:admin\n};;\n"
STATION: dict[str, Any] = {
    "protocol": "fox", "station": "Legion_HQ_V4", "host_id": "Qnx-NPM6-0000-1490-C30C",
}  # fmt: skip


async def talk(dial, *frames: bytes) -> bytes:
    def client() -> bytes:
        found = b""
        with dial(1, PORT) as sock:
            sock.settimeout(1)
            try:
                for frame in frames:
                    sock.sendall(frame)
                    found += sock.recv(8192)
                while data := sock.recv(8192):
                    found += data
            except TimeoutError:
                pass
        return found

    return await asyncio.to_thread(client)


async def test_the_recorded_station_greets_in_its_recorded_words(
    begin, dial, captures: Path
) -> None:
    running = await begin({"services": [STATION]})
    path = captures / "fox__tridium_jace_qnx_npm6_vykon.json"
    recorded = bytes.fromhex(json.loads(path.read_text())["exchanges"][0]["response_hex"])
    end = recorded.index(b"};;\n") + 4

    told = await talk(dial, HELLO)

    assert told[:end] == recorded[:end]
    assert told[end:].startswith(b"fox a 1 -1 fox challenge\n{\nmethod=s:digest-md5\n")
    assert not running.ledgers["D1"].writes


async def test_a_station_may_push_no_challenge(begin, dial) -> None:
    await begin({"services": [{**STATION, "method": None}]})

    assert b"challenge" not in await talk(dial, HELLO)


async def test_whoever_goes_on_is_rejected_and_counted(begin, dial) -> None:
    running = await begin({"services": [STATION]})

    told = await talk(dial, HELLO, LOGIN)

    assert b"fox rejected" in told
    assert running.ledgers["D1"].writes == {"fox fox login": 1}


def test_what_is_no_fox_is_told_apart() -> None:
    for data, kind in (
        (b"GET / HTTP/1.1\r\n\r\n", "foreign"),
        (b"fox\x00", "malformed"),
        (b"fox hello\n{\n};;\n", "malformed"),
    ):
        (seen,) = Stream("fox").feed(data)
        assert seen.kind == kind
    assert Stream("fox").feed(HELLO[:20]) == []
