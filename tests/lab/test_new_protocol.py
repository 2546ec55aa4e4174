"""A protocol that only a file makes known is framed, classified and meets what fits its data."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from lab import devices, frames, plant, proving
from lab.bench import LOOPBACK, Bench, Server
from lab.errors import LabError
from lab.faults import FAULTS
from lab.faults.cuts import header_length
from lab.faults.wrong_frames import with_length, with_reference
from lab.frames import Protocol, Seen, Splitter, Stream, classify_datagram
from tests.lab.conftest import OFFSET, address

Dial = Callable[[int, int], socket.socket]
PORT = 7001


def _length(data: bytes) -> int | str | None:
    """b"T", a counter, a length over all (2, little endian), a word and a text."""
    if data[:1] != b"T":
        return "foreign"
    if len(data) < 4:
        return None
    length = int.from_bytes(data[2:4], "little")
    if length < 5:
        return f"length {length}"
    return length if len(data) >= length else None


def _classify(frame: bytes) -> Seen:
    return Seen(kind="request", function=chr(frame[4]), write=frame[4:5] == b"W")


def message(number: int, text: bytes) -> bytes:
    return b"T" + bytes([number]) + (4 + len(text)).to_bytes(2, "little") + text


BARE = Protocol(
    name="toy", port=PORT, transports=("tcp", "udp"), length=_length, classify=_classify
)
TOY = replace(BARE, header=4, length_at=(2, 2, "little"), reference=lambda _: (1, 2))
SERVICE: dict[str, Any] = {"protocol": "toy", "text": "hello"}
GENERIC = {
    "silent", "goes_silent", "closed", "dropped", "dies_after_packets", "dies_at", "resets_at",
    "slows_at", "slow_ramp", "drip", "late", "reply_after_close", "reset_at_byte", "half_close",
    "two_replies", "endless", "seats_refuse", "seats_evict", "hostile_text",
}  # fmt: skip
FRAMED = {"length_zero", "length_max", "length_shorter", "length_longer", "wrong_transaction"}


async def _serve(bench: Bench) -> Server:
    """Answers every message with its number and the text of the plant file."""
    text = str(bench.settings["text"]).encode("utf-8", "replace")

    async def answer(data: bytes) -> bytes | None:
        return message(data[1], b"A" + text)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cut = Splitter("toy")
        while data := await reader.read(4096):
            for each in cut.feed(data):
                writer.write(message(each[1], b"A" + text))
        writer.close()

    server = await asyncio.start_server(converse, LOOPBACK, 0)

    async def stop() -> None:
        server.close()

    return Server(inner=server.sockets[0].getsockname()[:2], answer=answer, stop=stop)


def _make_known(monkeypatch: pytest.MonkeyPatch, toy: Protocol) -> None:
    monkeypatch.setattr(frames, "PROTOCOLS", MappingProxyType({**frames.PROTOCOLS, "toy": toy}))
    ports, transports = ({"toy": toy.port}, {"toy": toy.transports})
    monkeypatch.setattr(plant, "STANDARD_PORTS", {**plant.STANDARD_PORTS, **ports})
    monkeypatch.setattr(plant, "TRANSPORTS", {**plant.TRANSPORTS, **transports})
    monkeypatch.setattr(proving, "TRANSPORTS", plant.TRANSPORTS)
    monkeypatch.setattr(proving, "STANDARD_PORTS", plant.STANDARD_PORTS)
    monkeypatch.setattr(devices, "KINDS", {**devices.KINDS, "toy": _serve})


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    _make_known(monkeypatch, TOY)


def test_it_is_framed_and_classified() -> None:
    seen = Stream("toy").feed(message(1, b"R") + message(2, b"Wx")[:5])

    assert seen == [Seen(kind="request", function="R", write=False)]
    assert Stream("toy").feed(message(2, b"Wx"))[0].write
    assert Stream("toy").feed(b"GET / HTTP/1.1")[0] == Seen(kind="foreign", function="http")
    assert Stream("toy").feed(b"T\0\0\0")[0] == Seen(kind="malformed", function="length 0")
    assert Splitter("toy").feed(message(1, b"R") + message(2, b"W")) == [
        message(1, b"R"), message(2, b"W"),
    ]  # fmt: skip
    assert Stream("toy").count(message(1, b"R") + message(2, b"W")) == 2


def test_a_datagram_of_it_is_one_whole_frame() -> None:
    assert classify_datagram("toy", message(1, b"W")).write
    assert classify_datagram("toy", message(1, b"W") + b"x").kind == "malformed"
    assert classify_datagram("toy", b"SSH-").kind == "foreign"


def test_behaviours_apply_by_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    def applying(transport: str) -> set[str]:
        return {each.name for each in FAULTS.values() if each.applies("toy", transport)}

    assert applying("tcp") == GENERIC | FRAMED
    _make_known(monkeypatch, BARE)
    assert applying("tcp") == GENERIC
    assert applying("udp") >= {"silent", "late", "cut_datagram", "two_replies", "hostile_text"}
    _make_known(monkeypatch, replace(TOY, busy=lambda request: request))
    assert applying("tcp") == GENERIC | FRAMED | {"busy"}


def test_its_replies_are_falsified_where_its_data_says() -> None:
    reply = message(7, b"Aab")

    assert with_length("toy", reply, "longer") == b"T\x07\x0e\0Aab"
    assert with_reference("toy", reply) == b"T\x52\x07\0Aab"
    assert header_length("toy", reply) == 4


def test_a_mistake_in_its_data_is_told() -> None:
    with pytest.raises(LabError, match="toy: `length` and `classify` go together"):
        Protocol(name="toy", port=1, length=_length)
    with pytest.raises(LabError, match="toy: say how a datagram is classified"):
        Protocol(name="toy", port=1, transports=("udp",))


@pytest.mark.parametrize(
    ("name", "parameters", "comes"),
    [
        ("wrong_transaction", {}, b"T\x56\x0a\0Ahello"),
        ("length_zero", {}, b"T\x03\0\0Ahello"),
        ("half_close", {}, b"T\x03\x0a\0"),
        ("reset_at_byte", {"n": 3}, b"T\x03\x0a"),
        ("drip", {"interval_s": 0.01}, message(3, b"Ahello")),
        ("two_replies", {}, message(3, b"Ahello") * 2),
        ("hostile_text", {"payloads": ["<b>"]}, message(3, b"Ahello <b>")),
        ("silent", {}, b""),
    ],
)
async def test_generic_behaviours_meet_it(
    begin, dial: Dial, name: str, parameters: dict[str, Any], comes: bytes
) -> None:
    fault = {"name": name, **parameters}
    running = await begin({"services": [SERVICE], "faults": [fault]})

    def client() -> bytes:
        found = b""
        with dial(1, PORT) as sock:
            sock.settimeout(0.5 if not comes else 3)
            sock.sendall(message(3, b"R"))
            try:
                while not comes or len(found) < len(comes):
                    if not (data := sock.recv(4096)):
                        break
                    found += data
            except TimeoutError:
                pass
        return found

    assert await asyncio.to_thread(client) == comes
    ledger = running.ledgers["D1"]
    assert not ledger.foreign + ledger.malformed
    if name != "reset_at_byte":  # counted after its last byte, when this client has left
        assert bool(ledger.faults) == (name not in ("drip", "hostile_text"))


async def test_a_datagram_of_it_meets_them_too(begin) -> None:
    await begin({"services": [SERVICE], "faults": [{"name": "wrong_transaction", "over": "udp"}]})

    def client() -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(3)
            sock.connect((address(1), PORT + OFFSET))
            sock.send(message(3, b"R"))
            return sock.recv(4096)

    assert await asyncio.to_thread(client) == b"T\x56\x0a\0Ahello"


def test_a_service_may_stand_on_another_port() -> None:
    raw = {"site": "S", "zones": [], "devices": [
        {"name": "D", "zone": "z", "address": "127.0.0.1", "truth": {},
         "services": [SERVICE, {**SERVICE, "port": 7002}]},
    ]}  # fmt: skip

    services = plant.parse(raw, "p").devices[0].services

    assert [(each.port, each.transports) for each in services] == [
        (PORT, ("tcp", "udp")), (7002, ("tcp", "udp")),
    ]  # fmt: skip


def test_a_second_plants_device_is_proved_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Though its name is that of a device of the first plant, and its plant's comes before it."""
    for path in plant.PLANTS.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "a-second.yaml").write_text(
        "devices:\n"
        "  - {name: FRAIL, frailty: {dies_of: [burst]}, services: [{protocol: toy, text: no}]}\n"
        "  - {name: PLC-11, declared: null, services: [{protocol: toy, text: second}]}\n"
    )
    monkeypatch.setattr(proving, "PLANTS", tmp_path)
    _make_known(monkeypatch, replace(TOY, transports=("udp",)))

    (kind,) = (each for each in proving.all_kinds() if each.target == "toy")
    raw = proving.plant([kind, "modbus"])

    assert kind.shipped == "a-second/PLC-11"
    by_name = {device["name"]: device for device in raw["devices"]}
    assert by_name["toy--silent--0"]["services"] == [{"protocol": "toy", "text": "second"}]
    assert by_name["toy--cut-datagram--0"]["faults"][0]["on"] == ["toy"]
    assert "toy--half-close--0" not in by_name
    assert by_name["modbus--silent--0"]["services"][0]["protocol"] == "modbus"
    assert {s.transports for d in plant.parse(raw, "p").devices[:1] for s in d.services} == {
        ("udp",)
    }
