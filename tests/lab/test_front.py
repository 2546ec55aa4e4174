"""What a front counts, what kills a fragile device, and that a front adds nothing of its own."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from lab.ledger import CAUSES, Ledger

READ_IDENTITY = bytes.fromhex("000100000005ff2b0e0100")
WRITE_REGISTER = bytes.fromhex("00020000000601060001002a")
Dial = Callable[[int, int], socket.socket]

MODBUS: dict[str, Any] = {
    "protocol": "modbus",
    "objects": {0: "Example", 1: "E-1", 2: "v1"},
}
WEB: dict[str, Any] = {"protocol": "http", "title": "Panel"}


def ask(sock: socket.socket, request: bytes = READ_IDENTITY) -> bytes:
    sock.sendall(request)
    return sock.recv(1024)


def goodbye(sock: socket.socket) -> None:
    """An orderly end: our FIN, the device's FIN, close."""
    sock.shutdown(socket.SHUT_WR)
    while sock.recv(1024):
        pass
    sock.close()


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def off_loop(call: Callable[[], object]) -> None:
    """Blocking client code, and then a moment for the fronts to see its end."""
    await asyncio.to_thread(call)
    await asyncio.sleep(0.08)


async def until(condition: Callable[[], object]) -> None:
    """Wait for what a front is about to notice; a busy machine may take its time."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


def one_polite_question(dial: Dial) -> None:
    sock = dial(1, 502)
    assert b"Example" in ask(sock)
    goodbye(sock)


async def test_a_polite_question_leaves_nothing_but_a_request(begin, dial) -> None:
    plant = await begin({"services": [MODBUS]})

    await off_loop(partial(one_polite_question, dial))

    seen = plant.ledgers["D1"].as_dict()
    assert seen["functions"] == {"modbus 43/14": 1}
    assert (seen["connections"], seen["peak_concurrent"], seen["open_now"]) == (1, 1, 0)
    assert not any(
        seen[key]
        for key in ("writes", "resets", "half_closes", "empty_connections", "foreign", "malformed")
    )


async def test_the_client_gets_an_orderly_end_from_the_device(begin, dial) -> None:
    await begin({"services": [MODBUS]})

    def client() -> None:
        sock = dial(1, 502)
        ask(sock)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""  # a FIN; a reset would raise
        sock.close()

    await off_loop(client)


async def test_a_write_is_flagged(begin, dial) -> None:
    plant = await begin({"services": [MODBUS]})

    def client() -> None:
        sock = dial(1, 502)
        ask(sock, WRITE_REGISTER)
        goodbye(sock)

    await off_loop(client)

    assert plant.ledgers["D1"].writes == {"modbus 6": 1}


async def test_a_second_connection_is_counted_across_the_ports_of_a_device(begin, dial) -> None:
    plant = await begin({"services": [MODBUS, WEB]})

    def client() -> None:
        first, second = dial(1, 502), dial(1, 80)
        ask(first)
        goodbye(first)
        goodbye(second)

    await off_loop(client)

    assert plant.ledgers["D1"].peak_concurrent == 2


async def test_one_connection_after_another_is_never_two_at_once(begin, dial) -> None:
    plant = await begin({"services": [MODBUS, WEB]})

    def client() -> None:
        for _ in range(30):
            for port, request in ((502, READ_IDENTITY), (80, b"HEAD / HTTP/1.0\r\n\r\n")):
                sock = dial(1, port)
                ask(sock, request)
                goodbye(sock)

    await off_loop(client)

    ledger = plant.ledgers["D1"]
    assert (ledger.connections, ledger.peak_concurrent, ledger.resets) == (60, 1, 0)


async def test_a_reset_is_seen(begin, dial) -> None:
    plant = await begin({"services": [MODBUS]})

    def client() -> None:
        sock = dial(1, 502)
        ask(sock)
        reset(sock)

    await off_loop(client)

    await until(lambda: plant.ledgers["D1"].resets == 1)


async def test_a_reset_after_the_clients_own_fin_is_seen(begin, dial) -> None:
    """The client ends its side and closes with the device's answer unread: the kernel resets."""
    plant = await begin({"services": [WEB]})

    def client() -> None:
        sock = dial(1, 80)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        sock.close()

    await off_loop(client)

    await until(lambda: plant.ledgers["D1"].resets == 1)


async def test_connections_without_a_whole_request_are_counted(begin, dial) -> None:
    plant = await begin({"services": [MODBUS]})

    def client() -> None:
        goodbye(dial(1, 502))
        sock = dial(1, 502)
        sock.sendall(READ_IDENTITY[:5])
        goodbye(sock)

    await off_loop(client)

    assert plant.ledgers["D1"].empty_connections == 2


async def test_datagrams_are_counted_and_foreign_ones_get_no_answer(begin, dial) -> None:
    plant = await begin(
        {
            "services": [
                {
                    "protocol": "enip", "vendor_id": 1, "device_type": 14, "product_code": 1,
                    "revision": "1.1", "serial": "01020304", "product_name": "X",
                }
            ]
        }
    )  # fmt: skip

    def client() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.3)
            sock.connect((plant.ledgers["D1"].address, 44818 + plant.base_port_offset))
            sock.send(b"GET / HTTP/1.1\r\n\r\n")
            with pytest.raises(TimeoutError):
                sock.recv(100)
            sock.send(bytes.fromhex("6300") + bytes(22))
            assert sock.recv(200)[:2] == b"\x63\0"

    await off_loop(client)

    ledger = plant.ledgers["D1"]
    assert ledger.datagrams == 2
    assert ledger.functions == {"enip ListIdentity": 1}
    assert ledger.foreign == {"http on enip": 1}


# --- fragile devices ---------------------------------------------------------------------------


def fragile(*causes: str) -> dict[str, Any]:
    return {
        "services": [MODBUS, WEB],
        "frailty": {"dies_of": list(causes), "max_requests_per_s": 3, "min_reconnect_s": 0.5},
    }


def second_connection(dial: Dial) -> None:
    first, second = dial(1, 502), dial(1, 80)
    first.settimeout(0.1)
    with suppress(TimeoutError):
        first.recv(1)
    for sock in (first, second):
        sock.close()


def burst_of_requests(dial: Dial) -> None:
    sock = dial(1, 502)
    sock.sendall(READ_IDENTITY * 4)
    sock.close()


def burst_of_connections(dial: Dial) -> None:
    one_polite_question(dial)
    dial(1, 502).close()


def half_open(dial: Dial) -> None:
    dial(1, 502).close()


def resetting(dial: Dial) -> None:
    sock = dial(1, 502)
    ask(sock)
    reset(sock)


def foreign_bytes(dial: Dial) -> None:
    sock = dial(1, 502)
    sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
    sock.close()


def malformed_frame(dial: Dial) -> None:
    sock = dial(1, 502)
    sock.sendall(bytes.fromhex("0001000000ffff2b0e0100"))
    sock.close()


def write(dial: Dial) -> None:
    sock = dial(1, 502)
    sock.sendall(WRITE_REGISTER)
    sock.close()


DEATHS = [
    ("second_connection", second_connection),
    ("burst", burst_of_requests),
    ("burst", burst_of_connections),
    ("half_open", half_open),
    ("reset", resetting),
    ("foreign", foreign_bytes),
    ("malformed", malformed_frame),
    ("write", write),
]


@pytest.mark.parametrize(("cause", "deed"), DEATHS, ids=lambda v: getattr(v, "__name__", v))
async def test_a_fragile_device_dies_of_it_and_answers_nobody_any_more(
    begin, dial, cause: str, deed: Callable[[Dial], None]
) -> None:
    plant = await begin(fragile(cause))

    await off_loop(partial(deed, dial))

    await until(lambda: plant.ledgers["D1"].cause_of_death == cause)

    def client() -> None:
        sock = dial(1, 502)
        sock.settimeout(0.2)
        sock.sendall(READ_IDENTITY)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.close()

    await off_loop(client)


async def test_a_fragile_device_survives_polite_questions(begin, dial) -> None:
    plant = await begin(fragile(*CAUSES))

    for _ in range(2):
        await off_loop(partial(one_polite_question, dial))
        await asyncio.sleep(0.5)

    ledger = plant.ledgers["D1"]
    assert ledger.alive
    assert ledger.requests == 2


async def test_a_device_that_is_not_fragile_survives_everything(begin, dial) -> None:
    plant = await begin({"services": [MODBUS, WEB]})

    for _, deed in DEATHS:
        await off_loop(partial(deed, dial))

    assert plant.ledgers["D1"].alive
    await off_loop(partial(one_polite_question, dial))


def test_an_answer_owed_at_the_clients_fin_is_a_half_close() -> None:
    ledger = Ledger("D", "127.0.0.1", clock=lambda: 0.0)
    connection = ledger.opened(502, "modbus", lambda: False)
    ledger.request("modbus", "43/14", on=connection)
    connection.owed = 1

    ledger.closed(connection)

    assert (ledger.half_closes, ledger.empty_connections) == (1, 0)
