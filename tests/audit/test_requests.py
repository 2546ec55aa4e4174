"""Requests named by the auditor: reads are reads, what acts is a write, the rest unknown."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator
from importlib import import_module, invalidate_caches
from pathlib import Path
from pkgutil import iter_modules

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner import discovery
from scanner.audit import requests
from scanner.audit.requests import Named
from scanner.errors import ToolBug
from scanner.model import Tier

PROBES = sorted({probe.name for probe in discovery.probes()})
TIERS = list(Tier)


def verdicts(probe: str, request: bytes, tier: Tier = Tier.READ) -> list[str]:
    return [one.verdict for one in requests.name(probe, tier, request)]


def service(probe: str, request: bytes) -> str:
    (one,) = requests.name(probe, Tier.READ, request)
    return one.service


# --- what the probes send ------------------------------------------------------------------------


@pytest.mark.parametrize("probe", discovery.probes(), ids=lambda p: f"{p.name}-{p.tier}")
def test_every_request_that_a_probe_plans_is_a_read_a_session_or_a_granted_login(probe) -> None:
    samples = [asked.sample for asked in probe.questions if asked.sample]

    found = [one for sample in samples for one in requests.name(probe.name, probe.tier, sample)]

    assert len(found) >= len(samples)
    assert not any(one.foreign for one in found)
    assert {one.verdict for one in found} <= {"read", "session", "sign-in"}
    if probe.tier is Tier.IDENTIFY:
        assert "sign-in" not in {one.verdict for one in found}


def test_a_probe_without_a_reader_is_unknown() -> None:
    (found,) = requests.name("nobody", Tier.IDENTIFY, b"\x01")

    assert (found.verdict, found.foreign) == ("unknown", True)


def test_every_probe_has_a_reader() -> None:
    for probe in PROBES:
        assert requests.name(probe, Tier.READ, b"\x00\x01")[0].service != "no reader"


def test_every_file_of_a_protocol_is_found() -> None:
    files = {module.name for module in iter_modules(requests.__path__)} - {"form", "layers"}
    modules = [import_module(f"{requests.__name__}.{file}") for file in files]
    read = {reader.read.__module__ for reader in requests.readers().values()}

    assert all(module.__name__ in read or hasattr(module, "SEAT") for module in modules)
    assert {2404: "IEC 60870-5-104", 20000: "DNP3"}.items() <= {
        port: seat.protocol for port, seat in requests.seats().items()
    }.items()


RIDER = """
from scanner.audit.requests.form import Named, Reader, either
from scanner.audit.requests.modbus import pdus, units_of

def read(request, tier):
    for pdu in pdus(request):
        reads = pdu[0] == 0x5A and pdu[2] in (0x02, 0x04)
        yield Named(protocol="rider", service=f"{pdu[2]:#x}", verdict=either(reads))

READERS = (
    Reader(protocol="rider", read=read, probes=(PROBE,), is_control=True, units_of=units_of),
)
"""


@pytest.fixture
def add_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Puts one more file into the package that is walked."""

    def add(text: str) -> None:
        (tmp_path / "one_more.py").write_text(text)
        monkeypatch.setattr(requests, "__path__", [*requests.__path__, str(tmp_path)])
        invalidate_caches()
        requests.readers.cache_clear()

    yield add
    sys.modules.pop(f"{requests.__name__}.one_more", None)
    vars(requests).pop("one_more", None)
    requests.readers.cache_clear()


def test_a_protocol_on_another_s_port_is_one_file_more(add_file: Callable[[str], None]) -> None:
    add_file(RIDER.replace("PROBE", '"rider"'))
    read, write = modbus(b"\x5a\x00\x02"), modbus(b"\x5a\x00\x29", unit=7)

    assert verdicts("rider", read + write) == ["read", "write"]
    assert verdicts("modbus", read) == ["write"]
    assert verdicts("modbus", modbus(b"\x11")) == ["read"]
    assert requests.readers()["rider"].units_of(read + write) == {1, 7}


def test_two_readers_for_one_probe_are_refused(add_file: Callable[[str], None]) -> None:
    add_file(RIDER.replace("PROBE", '"modbus"'))

    with pytest.raises(ToolBug, match="'modbus'"):
        requests.readers()


def test_nothing_sent_is_no_request() -> None:
    assert all(requests.name(probe, Tier.READ, b"") == () for probe in PROBES)


# --- Modbus --------------------------------------------------------------------------------------


def modbus(pdu: bytes, unit: int = 1, transaction: int = 1) -> bytes:
    return struct.pack("!HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


MODBUS_READS = {1, 2, 3, 4, 7, 11, 12, 17, 20, 24}


@pytest.mark.parametrize("function", [f for f in range(256) if f not in (8, 0x2B)])
def test_functions_of_modbus(function: int) -> None:
    expected = "read" if function in MODBUS_READS else "write"

    assert verdicts("modbus", modbus(bytes([function, 0, 0, 0, 1]))) == [expected]


@pytest.mark.parametrize("sub", range(22))
def test_diagnostics_of_modbus_may_restart_silence_and_clear(sub: int) -> None:
    expected = "read" if sub in (0, 2) else "write"

    assert verdicts("modbus", modbus(struct.pack("!BHH", 8, sub, 0))) == [expected]


@pytest.mark.parametrize(("mei", "verdict"), [(0x0E, "read"), (0x0D, "write"), (0, "write")])
def test_encapsulated_modbus(mei: int, verdict: str) -> None:
    assert verdicts("modbus", modbus(bytes([0x2B, mei, 1, 0]))) == [verdict]


def test_a_write_behind_a_read_in_one_record_is_seen() -> None:
    both = modbus(bytes.fromhex("2b0e0100")) + modbus(bytes.fromhex("0600010005"))

    assert verdicts("modbus", both) == ["read", "write"]


def test_a_transaction_number_does_not_make_a_write_a_tls_record() -> None:
    assert verdicts("modbus", modbus(bytes.fromhex("0600010005"), transaction=0x1603)) == ["write"]


def test_unit_ids_are_read_from_every_frame() -> None:
    frames = b"".join(modbus(b"\x11", unit=unit) for unit in (255, 1, 7))

    assert requests.units_of(frames) == {255, 1, 7}
    assert requests.units_of(b"") == frozenset()


# --- S7 ------------------------------------------------------------------------------------------


def tpkt(body: bytes) -> bytes:
    return struct.pack("!BBH", 3, 0, len(body) + 4) + body


def s7(rosctr: int, parameters: bytes, data: bytes = b"") -> bytes:
    head = struct.pack("!BBHHHH", 0x32, rosctr, 0, 1, len(parameters), len(data))
    return tpkt(b"\x02\xf0\x80" + head + parameters + data)


def userdata(group: int, sub: int, kind: int = 4) -> bytes:
    return s7(7, bytes([0, 1, 0x12, 4, 0x11, kind << 4 | group, sub, 0]), b"\x0a\0\0\0")


@pytest.mark.parametrize("function", [f for f in range(256) if f != 0xF0])
def test_jobs_of_s7(function: int) -> None:
    """0x05 writes, 0x1A to 0x1F load blocks, 0x28 controls, 0x29 stops."""
    assert verdicts("s7", s7(1, bytes([function, 0]))) == ["write"]


def test_the_set_up_of_s7_is_a_session() -> None:
    assert verdicts("s7", s7(1, bytes.fromhex("f0000001000101e0"))) == ["session"]


@pytest.mark.parametrize("group", range(16))
@pytest.mark.parametrize("sub", range(8))
def test_user_data_of_s7_is_a_read_only_for_status_lists(group: int, sub: int) -> None:
    """Groups: mode transition, programmer, cyclic, blocks, CPU, security, PBC, time."""
    expected = "read" if (group, sub) == (4, 1) else "write"

    assert verdicts("s7", userdata(group, sub)) == [expected]


@pytest.mark.parametrize(("szl", "expected"), [(0x11, "read"), (0x424, "read"), (0xA0, "write")])
def test_status_lists_of_s7_are_those_that_are_asked_for(szl: int, expected: str) -> None:
    """0x00A0 is the diagnostics buffer."""
    asked = bytes([0, 1, 0x12, 4, 0x11, 0x44, 1, 0])
    data = struct.pack("!BBHHH", 0xFF, 9, 4, szl, 0)

    assert verdicts("s7", s7(7, asked, data)) == [expected]


def test_a_push_of_user_data_is_no_request_that_reads() -> None:
    assert verdicts("s7", userdata(4, 1, kind=0)) == ["write"]


@pytest.mark.parametrize("rosctr", [2, 3, 8, 0x72])
def test_other_messages_of_s7_count_as_writes(rosctr: int) -> None:
    assert verdicts("s7", s7(rosctr, b"\x04\x01")) == ["write"]


def test_a_stop_behind_a_connection_request_is_seen() -> None:
    connect = tpkt(bytes.fromhex("11e00000000100c1020100c2020302c0010a"))

    assert verdicts("s7", connect + s7(1, b"\x29\0")) == ["session", "write"]


@pytest.mark.parametrize("called", [b"\x03\x02", b"\x01\x00", b"\x02\x01"])
def test_the_called_tsap_is_read(called: bytes) -> None:
    connect = tpkt(bytes.fromhex("11e00000000100c1020100c202") + called + b"\xc0\x01\x0a")

    assert requests.tsap_of(connect) == called
    assert requests.tsap_of(s7(1, b"\x04")) is None
    assert requests.tsap_of(b"") is None


@pytest.mark.parametrize(
    "frame",
    [
        tpkt(b"\x02\xf0\x00" + bytes(20)),  # not the end of its message: what follows is hidden
        tpkt(b"\x02\xf0\x80\x72\x01\x00\x00"),  # S7comm-plus
        tpkt(b"\x05\x70\0\0\0\0"),
        b"\x04" + s7(1, b"\x04")[1:],
    ],
    ids=["more follows", "plus", "COTP 0x70", "no TPKT"],
)
def test_what_cannot_be_read_as_s7_is_unknown(frame: bytes) -> None:
    assert verdicts("s7", frame) == ["unknown"]


# --- EtherNet/IP and CIP -------------------------------------------------------------------------


def enip(command: int, body: bytes = b"") -> bytes:
    return struct.pack("<HHII8sI", command, len(body), 1, 0, bytes(8), 0) + body


def unconnected(cip: bytes, command: int = 0x6F, kind: int = 0xB2) -> bytes:
    return enip(command, struct.pack("<IHHHHHH", 0, 0, 2, 0, 0, kind, len(cip)) + cip)


def to(service: int, path: str = "20012401") -> bytes:
    words = bytes.fromhex(path)
    return bytes([service, len(words) // 2]) + words


MANAGER = "20062401"


@pytest.mark.parametrize("command", range(256))
def test_commands_of_enip(command: int) -> None:
    if command in (0x6F, 0x70):
        return
    expected = "write"
    expected = "read" if command in (0x04, 0x63, 0x64) else expected
    expected = "session" if command in (0x65, 0x66) else expected

    assert verdicts("enip", enip(command)) == [expected]


@pytest.mark.parametrize("number", range(128))
def test_services_of_cip(number: int) -> None:
    """0x02, 0x04, 0x10 set; 0x05 resets; 0x06, 0x07 start and stop; 0x4D, 0x4E, 0x53 write tags."""
    expected = "read" if number in (0x01, 0x03, 0x0E, 0x55) else "write"

    assert verdicts("enip", unconnected(to(number))) == [expected]


@pytest.mark.parametrize("number", [0x54, 0x5B, 0x4E])
def test_connections_are_sessions_of_the_connection_manager_alone(number: int) -> None:
    assert verdicts("enip", unconnected(to(number, MANAGER))) == ["session"]
    assert verdicts("enip", unconnected(to(number))) == ["write"]


@pytest.mark.parametrize(("inner", "verdict"), [(0x0E, "read"), (0x10, "write"), (0x05, "write")])
def test_a_message_that_is_sent_on_is_named_by_what_is_inside(inner: int, verdict: str) -> None:
    assert verdicts("enip", unconnected(sent_on(to(inner)))) == [verdict]


def sent_on(message: bytes, route: str = "01000103", path: str = MANAGER) -> bytes:
    """Unconnected_Send; by default to slot 3."""
    head = to(0x52, path) + b"\x01\xfa" + struct.pack("<H", len(message))
    return head + message + bytes(len(message) % 2) + bytes.fromhex(route)


@pytest.mark.parametrize(
    "route", ["", "0000", "01000203", "0100010300", "020001010102", "01000f03"]
)
def test_a_read_that_leaves_the_chassis_is_no_read_and_a_write_stays_one(route: str) -> None:
    assert verdicts("enip", unconnected(sent_on(to(0x01), route))) == ["unknown"]
    assert verdicts("enip", unconnected(sent_on(to(0x10), route))) == ["write"]


def test_what_is_sent_on_is_whole() -> None:
    whole = sent_on(to(0x01))
    for cut in range(8, len(whole)):
        assert verdicts("enip", unconnected(whole[:cut])) == ["unknown"], cut


def test_the_same_service_to_another_class_is_a_write_for_all_that_is_known() -> None:
    assert verdicts("enip", unconnected(sent_on(to(0x01), path="20662401"))) == ["write"]


PCCC = to(0x4B, "20672401") + b"\x07" + bytes(6)


@pytest.mark.parametrize("command", range(16))
@pytest.mark.parametrize("function", [0x00, 0x03, 0x07, 0x80, 0xAA])
def test_of_pccc_the_diagnostic_status_alone_is_a_read(command: int, function: int) -> None:
    request = PCCC + bytes([command, 0, 1, 0, function])
    expected = "read" if (command, function) == (0x06, 0x03) else "write"

    assert verdicts("enip", unconnected(request)) == [expected]
    assert verdicts("enip", unconnected(request + b"\x00")) == ["write"]
    assert verdicts("enip", unconnected(sent_on(request))) == ["write"]
    assert verdicts("enip", unconnected(to(0x4B) + request[6:])) == ["write"]


def test_a_message_that_is_sent_on_twice_is_unknown() -> None:
    message = to(0x0E)
    for _ in range(2):
        message = to(0x52, MANAGER) + b"\x05\x9d" + struct.pack("<H", len(message)) + message

    assert verdicts("enip", unconnected(message)) == ["unknown"]


def test_a_message_on_a_connection_is_named() -> None:
    request = unconnected(b"\x01\x00" + to(0x4D), command=0x70, kind=0xB1)

    assert verdicts("enip", request) == ["write"]


def test_a_frame_without_a_message_and_one_with_two_are_unknown() -> None:
    none = enip(0x6F, struct.pack("<IHHHH", 0, 0, 1, 0, 0))
    item = struct.pack("<HH", 0xB2, 6)
    two = enip(0x6F, struct.pack("<IHH", 0, 0, 2) + item + to(0x0E) + item + to(0x10))

    assert verdicts("enip", none) == ["unknown"]
    assert verdicts("enip", two) == ["unknown"]


# --- SNMP ----------------------------------------------------------------------------------------


def ber(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    long = bytes([0x82]) + struct.pack("!H", len(body)) if len(body) > 127 else bytes([len(body)])
    return bytes([tag]) + long + body


def number(value: int) -> bytes:
    return ber(2, bytes([value]))


def question(tag: int, variables: int = 1) -> bytes:
    one = ber(0x30, ber(6, bytes.fromhex("2b06010201010100")), ber(5))
    return ber(tag, number(1), number(0), number(0), ber(0x30, *[one] * variables))


def snmp(tag: int, version: int = 1, variables: int = 1) -> bytes:
    return ber(0x30, number(version), ber(4, b"public"), question(tag, variables))


def snmp3(tag: int, user: bytes = b"") -> bytes:
    head = ber(0x30, number(1), number(2), ber(4, b"\x04"), number(3))
    security = ber(0x30, ber(4), number(0), number(0), ber(4, user), ber(4), ber(4))
    scoped = ber(0x30, ber(4), ber(4), question(tag))
    return ber(0x30, number(3), head, ber(4, security), scoped)


@pytest.mark.parametrize("tag", range(0xA0, 0xA9))
@pytest.mark.parametrize("version", [0, 1])
def test_questions_of_snmp(tag: int, version: int) -> None:
    expected = "read" if tag in (0xA0, 0xA1, 0xA5) else "write"

    assert verdicts("snmp", snmp(tag, version)) == [expected]
    assert verdicts("snmp", snmp3(tag)) == [expected]


@pytest.mark.parametrize("community", [b"private", b"write", b"cisco", b""])
def test_a_community_that_was_guessed_is_a_sign_in_where_one_is_granted(community: bytes) -> None:
    guess = ber(0x30, number(1), ber(4, community), question(0xA0))

    for request in (guess, snmp3(0xA0, b"admin")):
        assert verdicts("snmp", request, Tier.LOGIN) == ["sign-in"]
        assert verdicts("snmp", request, Tier.READ) == ["write"]
        assert verdicts("snmp", request, Tier.IDENTIFY) == ["write"]


def test_a_set_with_many_variables_is_seen() -> None:
    assert verdicts("snmp", snmp(0xA3, variables=40)) == ["write"]


def test_an_encrypted_message_and_two_in_one_datagram_are_unknown() -> None:
    head = ber(0x30, number(1), number(2), ber(4, b"\x07"), number(3))
    security = ber(0x30, ber(4), number(0), number(0), ber(4), ber(4), ber(4))
    encrypted = ber(0x30, number(3), head, ber(4, security), ber(4, bytes(40)))
    two = ber(0x30, number(1), ber(4, b"public"), question(0xA0), question(0xA3))

    assert verdicts("snmp", encrypted) == ["unknown"]
    assert verdicts("snmp", snmp(0xA0) + snmp(0xA3)) == ["unknown"]
    assert verdicts("snmp", two) == ["unknown"]


# --- HTTP and TLS --------------------------------------------------------------------------------


def http(first: str, *lines: str, body: bytes = b"") -> bytes:
    return "\r\n".join([first, "Host: 192.0.2.1", *lines]).encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "OPTIONS"])
def test_methods_that_act_are_writes_in_every_tier(method: str, tier: Tier) -> None:
    assert verdicts("http", http(f"{method} / HTTP/1.1"), tier) == ["write"]


def test_a_form_is_a_login_only_where_one_is_granted() -> None:
    post = http("POST /cgi-bin/login.cgi HTTP/1.1", body=b"user=a&password=b")
    other = http("POST /reboot HTTP/1.1", body=b"now=1")

    assert verdicts("http", post, Tier.LOGIN) == ["sign-in"]
    assert verdicts("http", post, Tier.READ) == ["write"]
    assert verdicts("http", post, Tier.IDENTIFY) == ["write"]
    assert verdicts("http", other, Tier.LOGIN) == ["write"]


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize(
    "request_",
    [
        http("GET /reboot.cgi?now=1 HTTP/1.1"),
        http("GET /cgi-bin/factory_reset HTTP/1.1"),
        http("GET /outlet/1/off HTTP/1.1"),
        http("GET / HTTP/1.1", "X-HTTP-Method-Override: DELETE"),
        http("GET / HTTP/1.1", "Cookie: session=1"),
    ],
)
def test_a_get_that_may_act_is_a_write_in_every_tier(request_: bytes, tier: Tier) -> None:
    assert verdicts("http", request_, tier) == ["write"]


def test_the_page_that_wants_a_login_is_fetched_in_tier_login_only() -> None:
    page = http("GET /secure/system/globaldata.htm?Language=English HTTP/1.1")

    assert verdicts("http", page, Tier.LOGIN) == ["sign-in"]
    assert verdicts("http", page, Tier.READ) == ["write"]


@pytest.mark.parametrize("line", ["Authorization: Basic AAAA", "AUTHORIZATION: Basic AAAA"])
def test_credentials_in_a_header_are_a_login(line: str) -> None:
    request = http("GET / HTTP/1.1", line)

    assert verdicts("http", request, Tier.LOGIN) == ["sign-in"]
    assert verdicts("http", request, Tier.READ) == ["write"]
    assert verdicts("http", http("PUT / HTTP/1.1", line), Tier.LOGIN) == ["write"]


def test_a_start_page_is_a_read_unless_something_comes_behind_it() -> None:
    assert verdicts("http", http("GET / HTTP/1.1")) == ["read"]
    assert verdicts("http", http("GET / HTTP/1.1") + http("PUT / HTTP/1.1")) == ["write"]


def test_records_of_tls_are_a_session_on_the_web_only() -> None:
    record = b"\x16\x03\x01\x00\x02\x01\x00"

    assert verdicts("http", record + record) == ["session", "session"]
    for probe in ("modbus", "s7", "enip", "snmp"):
        assert verdicts(probe, record) == ["unknown"]


# --- SSH and Telnet ------------------------------------------------------------------------------

SHOWING = [
    "show running-config", "show version", "terminal length 0", "exit", "uname -a", "who", "",
    "cat /etc/os-release", "cat .ssh/authorized_keys", "getent passwd", "ss -ltnuH",
    "timedatectl show", "exec linux uname -a", "exec cisco_ios show users", "exec cisco_ios ",
]  # fmt: skip
CHANGING = [
    "configure terminal", "reload", "write memory", "copy running-config startup-config",
    "erase startup-config", "no shutdown", "rm -rf /", "cat /etc/shadow > /etc/passwd",
    "cat /etc/hosts; reboot", "cat $(reboot)", "uname -a | sh", "uname `reboot`", "who && reboot",
    "show version\nreload", "show version\rreload", "exit\nreload", "echo 1 > /proc/sys/vm/x",
    "timedatectl set-time 10:00", "systemctl stop sshd", "exec linux reboot",
    "exec cisco_ios show run | redirect flash:x", "sudo -n true", "terminal monitor", "enable",
    "cat /dev/watchdog", "cat /dev/ttyS1", "show tech-support", "exec linux cat /etc/shadow",
    "hostname x", "id",
]  # fmt: skip


@pytest.mark.parametrize("command", SHOWING)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_commands_that_show_are_reads(command: str, end: str) -> None:
    request = (command + end).encode()

    assert verdicts("sshconfig", request) == (["read"] if request else [])


@pytest.mark.parametrize("command", CHANGING)
def test_commands_that_may_change_something_are_writes(command: str) -> None:
    assert verdicts("sshconfig", command.encode()) == ["write"]


@pytest.mark.parametrize(
    ("text", "tier", "verdict"),
    [
        ("auth none walkdown", Tier.READ, "sign-in"),
        ("auth operator auditor", Tier.READ, "sign-in"),
        ("auth password admin", Tier.LOGIN, "sign-in"),
        ("auth password admin", Tier.READ, "write"),
        ("auth password a\nreload", Tier.LOGIN, "write"),
        ("authorize", Tier.LOGIN, "write"),
    ],
)
def test_logins_over_ssh(text: str, tier: Tier, verdict: str) -> None:
    assert verdicts("ssh", text.encode(), tier) == [verdict]


def test_the_transport_of_ssh_is_a_session() -> None:
    assert verdicts("ssh", b"SSH-2.0-Walkdown\r\n") == ["session"]
    assert service("ssh", struct.pack("!IBB", 12, 4, 20) + bytes(10)) == "message 20"
    assert verdicts("ssh", b"\xff\xfe\x80") == ["unknown"]


def test_options_of_telnet_are_a_session_and_keys_are_writes() -> None:
    assert verdicts("telnet", b"\xff\xfc\x18\xff\xfe\x01") == ["session", "session"]
    assert verdicts("telnet", b"\xff\xf3", Tier.LOGIN) == ["write"]  # break
    assert verdicts("telnet", b"\xff\xfc\x18reload\r\n") == ["session", "write"]


def test_a_line_of_telnet_is_a_login_only_where_one_is_granted() -> None:
    assert verdicts("telnet", b"admin\r\n", Tier.LOGIN) == ["sign-in"]
    assert verdicts("telnet", b"admin\r\n", Tier.READ) == ["write"]
    lines = b"admin\r\nadmin\r\nports 1\r\n"
    assert verdicts("telnet", lines, Tier.LOGIN) == ["sign-in", "sign-in", "write"]
    assert verdicts("telnet", b"reload\r\n", Tier.LOGIN) == ["write"]


# --- whatever comes ------------------------------------------------------------------------------

WHOLE = {
    "modbus": modbus(bytes.fromhex("2b0e0100")),
    "s7": userdata(4, 1),
    "enip": unconnected(to(0x0E)),
    "snmp": snmp(0xA0),
    "http": http("GET / HTTP/1.1"),
}


@pytest.mark.parametrize("probe", WHOLE)
def test_a_request_that_was_cut_off_is_never_a_read(probe: str) -> None:
    whole = WHOLE[probe]
    assert verdicts(probe, whole) == ["read"]

    for cut in range(1, len(whole)):
        (found,) = requests.name(probe, Tier.READ, whole[:cut])
        assert (found.verdict, found.foreign) == ("unknown", True), cut


@pytest.mark.parametrize("probe", WHOLE)
def test_bytes_behind_a_request_are_never_overlooked(probe: str) -> None:
    found = requests.name(probe, Tier.READ, WHOLE[probe] + b"\x00\x01")

    assert {one.verdict for one in found} & {"unknown", "write"}


@given(
    probe=st.sampled_from([*PROBES, "nothing"]),
    tier=st.sampled_from(TIERS),
    request=st.binary(max_size=120),
)
def test_any_bytes_are_named(probe: str, tier: Tier, request: bytes) -> None:
    found = requests.name(probe, tier, request)

    assert bool(found) is bool(request)
    assert all(isinstance(one, Named) for one in found)
    requests.units_of(request)
    requests.tsap_of(request)


@given(
    probe=st.sampled_from(sorted(WHOLE)),
    place=st.integers(0, 200),
    byte=st.integers(0, 255),
    tail=st.binary(max_size=8),
)
def test_any_damage_is_named(probe: str, place: int, byte: int, tail: bytes) -> None:
    request = bytearray(WHOLE[probe])
    request[place % len(request)] = byte

    assert requests.name(probe, Tier.READ, bytes(request) + tail)


def test_a_long_chain_of_items_ends() -> None:
    nested = to(0x0E)
    for _ in range(4000):
        nested = to(0x52, MANAGER) + b"\x05\x9d" + struct.pack("<H", len(nested) & 0xFFFF) + nested

    assert verdicts("enip", unconnected(nested[:60000])) == ["unknown"]
