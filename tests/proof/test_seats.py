"""The controllers of promise 12 do evict, and its percentiles are what they say."""

from __future__ import annotations

import asyncio

import pytest

from tests.proof.promise import Tally
from tests.proof.promises.p12_hmi import binned, p99, verdict
from tests.proof.seats import READ, Controller


@pytest.mark.integration
async def test_a_fifth_connection_evicts_the_oldest_and_is_told() -> None:
    said: list[str] = []
    controller = Controller("here", said.append)
    server = await asyncio.start_server(controller.serve, "127.48.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    seats = []
    for _ in range(5):
        reader, writer = await asyncio.open_connection("127.48.0.1", port)
        seats.append((reader, writer))
        if not said:
            writer.write(READ)
            assert len(await asyncio.wait_for(reader.readexactly(25), 5)) == 25

    assert await asyncio.wait_for(seats[0][0].read(), 5) == b""
    assert said == ["evicted here"]
    for _, writer in seats:
        writer.close()
    server.close()
    await server.wait_closed()


def tally(scan: list[float | None], quiet: list[float | None], **sums: float) -> Tally:
    polls = {"evicted": 0, "missed": 0, "missed quiet": 0, "polls": len(scan) + len(quiet)}
    return Tally(cases=1, sums={**polls, **binned("scan", scan), **binned("quiet", quiet), **sums})


def test_the_percentile_is_read_from_added_bins() -> None:
    whole = tally([1.0] * 985, [1.0]) + tally([50.0] * 15, [1.0])

    assert p99(whole, "scan") == pytest.approx(50, rel=0.02)
    assert p99(whole, "quiet") == pytest.approx(1, rel=0.02)
    assert p99(whole, "none") == 0


def test_the_verdict_needs_all_three() -> None:
    same: list[float | None] = [2.0] * 100

    assert verdict(tally(same, same), "").passed
    assert not verdict(tally(same, same, evicted=1), "").passed
    assert not verdict(tally(same, same, missed=1), "").passed
    assert not verdict(tally([2.4] * 100, same), "").passed
