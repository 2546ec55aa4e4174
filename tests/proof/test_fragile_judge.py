"""The judge of promise 14 flags each way of going beyond a rule, and lets pass what is within."""

from __future__ import annotations

from typing import Any

import pytest

from tests.proof.judge.packets import ACK, PSH, SYN, Packet
from tests.proof.promises.p14_fragile_list import Case, judged, lay_out

DEVICE, SCANNER = "10.77.3.1", "10.76.0.1"
NAME = b"NPort 5110"


def packet(at: float, port: int, own: int, *, syn: bool = False, **more: Any) -> Packet:
    given: dict[str, Any] = {
        "number": 0, "at": at, "source": SCANNER, "target": DEVICE, "protocol": "tcp",
        "source_port": own, "target_port": port, "flags": SYN if syn else PSH | ACK,
        "sequence": 0, "acknowledged": 0, "payload": b"" if syn else b"x", "length": 60, "odd": "",
    }  # fmt: skip
    return Packet(**given | more)


def answer(at: float, port: int, own: int, payload: bytes, **more: Any) -> Packet:
    return packet(
        at, own, port, source=DEVICE, target=SCANNER, payload=payload, flags=PSH | ACK, **more
    )


def case(how: str = "told", **rule: Any) -> Case:
    whole = {"never": [], "reconnect_s": 0, **rule}
    return Case(entry="x", how=how, address=DEVICE, names=(NAME,), rule=whole, also=("x",))


TOLD = [packet(1.0, 502, 40000, syn=True), packet(1.1, 502, 40000),
        answer(1.2, 502, 40000, b"..." + NAME), packet(1.3, 502, 40000)]  # fmt: skip
LATER = [packet(9.0, 80, 40001, syn=True), packet(9.1, 80, 40001, payload=b"GET / HTTP/1.1")]
AGAIN = [packet(9.0, 502, 40001, syn=True), packet(9.1, 502, 40001)]


@pytest.mark.parametrize(
    ("rule", "packets"),
    [
        ({"leave_alone": True}, LATER),
        ({"stop_after_identify": True}, LATER),
        ({"never": ["http"]}, LATER),
        ({"connections": 0}, [*LATER, packet(9.05, 40001, 80, source=DEVICE, target=SCANNER,
                                             payload=b"", flags=SYN | ACK)]),
        ({"tier": "identify"}, AGAIN),
        ({"tier": "identify"}, [packet(9.0, 44818, 40001, payload=b"\x65\0")]),
        ({"tier": "identify"}, [packet(9.0, 161, 40001, protocol="udp", payload=bytes.fromhex(
            "3026020101040670 75626c6963a5190201010201000201 0a300e300c06082b060102010101000500"
        ))]),
        ({"tier": "read"}, [packet(9.0, 80, 40001, payload=b"GET /\r\nAuthorization: Basic x")]),
        ({"tier": "read"}, [packet(9.0, 80, 40001, payload=b"POST /login")]),
        ({"tier": "read"}, [packet(9.0, 23, 40001, payload=b"admin\r\n")]),
        ({"profile": "fragile"}, [packet(9.0 + n / 10, 80, 40001) for n in range(5)]),
        ({"profile": "fragile"}, [*LATER, packet(12.0, 23, 40002, syn=True)]),
        ({"reconnect_s": 30}, [packet(9.0, 23, 40002, syn=True)]),
    ],
)  # fmt: skip
def test_what_goes_beyond_a_rule_is_flagged(rule: dict[str, Any], packets: list[Packet]) -> None:
    faults, asked, known = judged(case(**rule), [*TOLD, *packets])

    assert faults
    assert known
    assert asked
    assert judged(case(**rule), TOLD)[0] == []


@pytest.mark.parametrize(
    ("rule", "packets"),
    [
        ({}, LATER),
        ({"never": ["modbus"]}, LATER),
        ({"profile": "fragile"}, LATER),
        ({"connections": 0}, LATER),
        ({"tier": "identify"}, LATER),
        ({"tier": "read"}, [packet(9.0, 23, 40001, payload=b"\xff\xfc\x18")]),
    ],
)
def test_what_is_within_a_rule_passes(rule: dict[str, Any], packets: list[Packet]) -> None:
    assert judged(case(**rule), [*TOLD, *packets])[0] == []


def test_a_declared_device_is_judged_from_the_beginning() -> None:
    assert judged(case("declared", never=["modbus"]), TOLD)[0]
    assert judged(case("declared", leave_alone=True), TOLD)[0]
    assert judged(case("declared", leave_alone=True), [])[0] == []


def test_a_device_that_never_told_its_name_proves_nothing() -> None:
    _, _, known = judged(case(never=["http"]), LATER)

    assert not known


def test_every_entry_gets_its_cases() -> None:
    rows = [
        {
            "id": "a",
            "match": {"model": "X"},
            "rule": {"never": ["http"]},
            "example": {"model": "X"},
        },
        {"id": "b", "match": {"model": "X|Y"}, "rule": {"tier": "read"}, "example": {"model": "Y"}},
        {"id": "c", "match": {"oui": ["00:90:e8"]}, "rule": {"profile": "fragile"}},
    ]

    cases = lay_out(rows)

    assert [(one.entry, one.how) for one in cases] == [
        ("a", "declared"), ("a", "told"), ("b", "declared"), ("b", "told"), ("c", "link"),
    ]  # fmt: skip
    assert cases[0].rule == {"never": ["http"], "tier": "read", "reconnect_s": 0}
