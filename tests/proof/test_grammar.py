"""
Every protocol of the judge comes whole: a grammar, and offences that the judge has to flag. And
protocols that share a port are told apart, or are nobody's.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.proof import plants, questions
from tests.proof.judge import injected, verdict
from tests.proof.judge.crafted import SCANNER, Wire
from tests.proof.judge.dissect import code, decoded_as
from tests.proof.judge.grammar import BY_NAME, PORTS, by_name, grammars, parse, spoken
from tests.proof.judge.grammar.form import Grammar, Pdu
from tests.proof.judge.injected import CONNECT_S7, IDENTIFY_MODBUS, SETUP_S7, merged
from tests.proof.judge.services import sent

MAPPINGS = {
    "WRITES", "NOT_ONLY_READING", "SIGNING_IN", "GRANTED", "BEHIND_A_LOGIN", "HARMLESS", "FOREIGN",
}  # fmt: skip


@pytest.mark.parametrize("grammar", grammars(), ids=lambda one: one.protocol)
def test_every_grammar_comes_with_what_the_judge_has_to_flag_and_to_let_pass(
    grammar: Grammar,
) -> None:
    module = injected.MODULES[grammar.protocol.replace("-", "_")]
    exported = {name: getattr(module, name, {}) for name in MAPPINGS}
    carrier = BY_NAME[grammar.rides_on or grammar.protocol]

    assert bool(exported["WRITES"]) != bool(grammar.writes_nothing)
    assert exported["HARMLESS"]
    assert exported["FOREIGN"] or not grammar.ics
    for transport, port, requests in [*exported["WRITES"].values(), *exported["HARMLESS"].values()]:
        assert (transport, port) in carrier.ports
        assert spoken(carrier.protocol, b"".join(requests)) == grammar.protocol
    for transport, port, _ in exported["FOREIGN"].values():
        assert (transport, port) in carrier.ports


def test_every_injected_module_is_of_a_protocol_and_exports_nothing_that_is_not_tried() -> None:
    named = {one.protocol.replace("-", "_") for one in grammars()}

    assert injected.MODULES.keys() == named | {"any_port"}
    for module in injected.MODULES.values():
        tables = {name for name, value in vars(module).items() if isinstance(value, dict)}
        assert {name for name in tables if not name.startswith("_")} <= MAPPINGS, module.__name__


def test_a_name_that_is_injected_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="injected twice: a"):
        merged([{"a": 1, "b": 2}, {"a": 3}])


def test_what_was_known_of_each_protocol_is_derived_from_the_grammars() -> None:
    assert PORTS == verdict.PORTS
    assert PORTS.items() >= {
        ("tcp", 502): "modbus", ("tcp", 102): "s7", ("tcp", 44818): "enip", ("udp", 44818): "enip",
        ("udp", 161): "snmp", ("tcp", 80): "http", ("tcp", 8080): "http", ("tcp", 443): "https",
        ("tcp", 8443): "https", ("tcp", 22): "ssh", ("tcp", 23): "telnet",
    }.items()  # fmt: skip
    assert {"modbus", "s7", "enip"} <= verdict.ICS
    assert not verdict.ICS & {"snmp", "http", "https", "ssh", "telnet"}
    assert {"modbus", "s7", "enip", "http", "https"} <= verdict.CLIENT_SPEAKS_FIRST
    assert not verdict.CLIENT_SPEAKS_FIRST & {"snmp", "ssh", "telnet"}
    assert verdict.QUESTIONS.items() >= {"modbus": 2, "enip": 2, "s7": 4}.items()
    assert not verdict.QUESTIONS.keys() & {"snmp", "http", "https", "ssh", "telnet"}
    assert plants.CONNECTIONS.items() >= {
        ("s7", "identify"): 2, ("https", "read"): 4, ("https", "login"): 3, ("http", "login"): 3,
        ("ssh", "login"): 2, ("telnet", "login"): 2,
    }.items()  # fmt: skip


def test_tshark_is_told_what_each_port_carries() -> None:
    assert decoded_as("tcp", 102, "s7") == ["-d", "tcp.port==102,tpkt"]
    assert decoded_as("udp", 44818, "enip") == ["-d", "udp.port==44818,enip"]
    assert decoded_as("tcp", 443, "https") == [
        "-d",
        "tcp.port==443,tls",
        "-d",
        "tls.port==443,http",
    ]
    assert decoded_as("tcp", 5000, "nobody's") == []


def test_values_of_tshark_are_numbers_where_they_can_be() -> None:
    assert code("enip {:#06x}", "0x0063") == "enip 0x0063"
    assert code("cotp {:#x}", "14") == "cotp 0xe"
    assert code("opcua {}", "HEL") == "opcua HEL"


def test_each_question_is_told_apart_from_its_transaction() -> None:
    again = b"\x77\x77" + IDENTIFY_MODBUS[2:]

    assert list(questions.of_stream(502, IDENTIFY_MODBUS + again)) == [IDENTIFY_MODBUS[6:]] * 2
    assert list(questions.of_stream(102, CONNECT_S7 + SETUP_S7)) == []
    assert list(questions.of_stream(22, b"SSH-2.0-x\r\n")) == []
    assert questions.of_datagram(44818, b"\x63" + bytes(23)) == b"\x63\0"
    assert questions.of_datagram(5000, b"whole") == b"whole"


# --- protocols that share a port -----------------------------------------------------------------


def _tagged(mark: int) -> Grammar:
    """A protocol made up: on COTP, its data begin with a mark and one byte of service."""

    def frames(sent: bytes) -> Iterator[tuple[int, int]]:
        at = 0
        while at < len(sent):
            end = at + int.from_bytes(sent[at + 2 : at + 4], "big")
            if end <= at:
                raise ValueError("no length")
            yield at, end
            at = end

    def claims(sent: bytes) -> bool:
        return any(sent[at + 5] == 0xF0 and sent[at + 7] == mark for at, _ in frames(sent))

    def read(sent: bytes) -> Iterator[Pdu]:
        for at, end in frames(sent):
            if sent[at + 5] == 0xE0:
                yield Pdu(at, end, "made up, connects", "session", ("cotp 0xe",))
            elif sent[at + 7] == mark:
                kind = "read" if sent[at + 8] == 1 else "control"
                yield Pdu(at, end, "made up", kind, ("cotp 0xf",))  # type: ignore[arg-type]
            else:
                return

    return Grammar(
        protocol=f"made-up-{mark}", read=read, ics=True, client_speaks_first=True,
        rides_on="s7", claims=claims,
    )  # fmt: skip


def _data(*content: int) -> bytes:
    return b"\x03\x00" + (7 + len(content)).to_bytes(2, "big") + b"\x02\xf0\x80" + bytes(content)


ASKS, STOPS = CONNECT_S7 + _data(0x99, 1), CONNECT_S7 + _data(0x99, 2)
BESIDE = by_name([*grammars(), _tagged(0x99)])


def test_a_connection_is_read_by_the_protocol_that_claims_it() -> None:
    assert spoken("s7", ASKS, BESIDE) == "made-up-153"
    assert [one.verdict for one in parse("s7", ASKS, BESIDE)] == ["session", "read"]
    assert [one.verdict for one in parse("s7", STOPS, BESIDE)] == ["session", "control"]
    assert [one.verdict for one in parse("s7", ASKS)] == ["session", "unknown"]


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_a_capture_is_judged_by_the_protocol_that_claims_each_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BY_NAME, "made-up-153", _tagged(0x99))  # type: ignore[arg-type]
    wire = Wire()
    wire.connection("10.77.1.1", 102, CONNECT_S7, _data(0x99, 1))
    wire.connection("10.77.1.2", 102, CONNECT_S7, SETUP_S7)
    wire.connection("10.77.1.3", 102, CONNECT_S7, _data(0x99, 2), SETUP_S7)

    found = sent([wire.write(tmp_path / "c.pcap")], frozenset({SCANNER}), PORTS).asked

    told = [(one.device[-1], one.protocol, one.pdu.verdict) for one in found]
    assert set(told) == {
        ("1", "made-up-153", "session"), ("1", "made-up-153", "read"), ("2", "s7", "session"),
        ("3", "made-up-153", "session"), ("3", "made-up-153", "control"),
        ("3", "made-up-153", "unknown"),
    }  # fmt: skip


def test_a_claim_hides_nothing_that_it_cannot_read() -> None:
    mixed = ASKS + SETUP_S7

    found = parse("s7", mixed, BESIDE)

    assert [one.verdict for one in found] == ["session", "read", "unknown"]
    assert found[-1].service.startswith("not made-up-153")
    assert found[-1].end == len(mixed)


def test_what_nobody_claims_or_more_than_one_is_read_by_the_port_s_own() -> None:
    twins = {**BESIDE, "twin": replace(BESIDE["made-up-153"], protocol="twin")}

    assert spoken("s7", ASKS, twins) == "s7"
    assert [one.verdict for one in parse("s7", ASKS, twins)] == ["session", "unknown"]
    for whole in (CONNECT_S7 + SETUP_S7, CONNECT_S7[:3], b"\x03\x00\x00\x00", b"", ASKS[:-3]):
        assert spoken("s7", whole, BESIDE) == "s7", whole
        assert parse("s7", whole, BESIDE) == parse("s7", whole)
    assert spoken("modbus", ASKS, BESIDE) == "modbus"
    assert spoken("", ASKS, BESIDE) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"protocol": "s7"}, "two grammars"),
        ({"rides_on": "nobody"}, "rides on nobody"),
        ({"claims": None}, "either ports, or"),
        ({"ports": (("tcp", 103),)}, "either ports, or"),
        ({"rides_on": "", "claims": None, "ports": (("tcp", 102),)}, "is of s7 and of"),
        ({"rides_on": "", "claims": None, "ports": (("tcp", 103),), "codes": {"a": "{}"}},
         "no dissector"),
        ({"dissector": "mms"}, "how its port is dissected"),
        ({"codes": {"cotp.type": "other {}"}}, "cotp.type is"),
    ],
)  # fmt: skip
def test_grammars_that_cannot_stand_side_by_side_are_refused(
    change: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        by_name([*grammars(), replace(_tagged(0x99), **change)])  # type: ignore[arg-type]
