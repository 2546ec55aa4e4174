"""
Names what a recorded request asked for: the auditor's own, small reading of each protocol.

Nothing of the guards or the probes is used, so that one mistake would have to be made twice. What
is not on the list of reads is a write until somebody shows otherwise, and what cannot be read is
unknown; both fail the certificate. Secrets are masked in the record, and what a library encrypts
stands there in words. Sources: Modbus Application Protocol 1.1b3 section 6 and its guide for TCP/IP
section 3.1.3; RFC 1006 section 6 and RFC 905 section 13; for S7 the public dissectors' names of
functions and user data groups; CIP volume 1 appendix A and volume 2 sections 2-3 to 2-6; RFC 3416
section 3 and RFC 3412 section 6; RFC 9112 sections 2 to 6; RFC 4253 sections 4 and 6; RFC 8446
section 5.1; RFC 854 and RFC 855.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from scanner.model import Tier

Verdict = Literal["read", "session", "sign-in", "write", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """
    One service: `service` in the protocol's terms. `foreign`: these bytes are no request of the
    protocol at all.
    """

    protocol: str
    service: str
    verdict: Verdict
    foreign: bool = False


class _Foreign(Exception):
    """These bytes are not a request of this protocol; the text says why."""


MODBUS_READS = {1, 2, 3, 4, 7, 11, 12, 17, 20, 24}
S7_GROUPS = {4}
"""User data group 4: CPU functions; only the reading of a system state list."""
S7_LISTS = {0x0011, 0x001C, 0x0132, 0x0232, 0x0424}
"""What module this is, how it is protected, what state it is in."""
S7_CONTINUED = b"\x0a\0\0\0"
"""The data of a request for the next part of a list."""
CIP_READS = {0x01, 0x03, 0x0E, 0x55}
CIP_SESSIONS = {0x54: "Forward_Open", 0x5B: "Large_Forward_Open", 0x4E: "Forward_Close"}
"""To the connection manager only: the same numbers write tags of a controller."""
CONNECTION_MANAGER = b"\x20\x06\x24\x01"
ENIP_READS = {0x0004, 0x0063, 0x0064}
ENIP_SESSIONS = {0x0065, 0x0066}
SNMP_READS = {0xA0, 0xA1, 0xA5}
PUBLIC = b"public"
"""The community that everybody knows; another one, or a user's name, is a sign-in."""
HTTP_READS = {b"GET", b"HEAD"}
HTTP_HEADERS = {b"host", b"user-agent", b"accept", b"accept-encoding", b"connection"}
"""All that is said beside the request line; another header may make another request of it."""
HTTP_START = {b"/", b"/favicon.ico"}
HTTP_LOGIN = HTTP_START | {
    b"/secure/embedded/http_passwd_config.htm?Language=English",
    b"/secure/system/globaldata.htm?Language=English",
}
HTTP_FORMS = {b"/cgi-bin/login.cgi"}
"""The pages that want a login, and the forms that take one, of the shipped credential sets."""
SHOWS = frozenset(
    """
    show version\nshow running-config\nshow users\nshow ntp status
    terminal width 511\nterminal length 0\nexit
    uname -a\nwho\ntimedatectl show\nss -ltnuH\ngetent passwd\ngetent group
    cat /etc/os-release\ncat /etc/ssh/sshd_config\ncat /etc/pam.d/sshd\ncat /etc/login.defs
    cat /etc/issue.net\ncat /etc/systemd/timesyncd.conf\ncat /etc/chrony/chrony.conf
    cat /etc/rsyslog.conf\ncat /etc/profile\ncat .ssh/authorized_keys
    """.strip()
    .replace("\n    ", "\n")
    .split("\n")
) | {""}
"""Every command that is ever given, whole: a switch's and a Linux host's. "" is Enter."""
ACTING = re.compile(
    rb"(reload|re-?boot|restart|reset|shutdown|halt|write|erase|delete|format|copy|clear|conf"
    rb"|enable|disable|set |no |debug|start|stop|show|exit|quit|logout|help|\?)",
    re.IGNORECASE,
)
"""How a line at a console begins that is no name and no password."""
SIGN_IN_LINES = 2
_SERVICE = re.compile(r"(exec \S+ ?)?(.*)", re.DOTALL)
"""A command as it is planned names its platform first."""
_SIGN_IN = re.compile(r"auth (none|operator|password)( [^\x00-\x1f]*)?")
"""The kind of login, and as whom."""


def units_of(request: bytes) -> frozenset[int]:
    """The unit ids that Modbus/TCP requests name."""
    found = set()
    while len(request) >= 8:
        found.add(request[6])
        request = request[6 + struct.unpack_from("!H", request, 4)[0] :]
    return frozenset(found)


def tsap_of(request: bytes) -> bytes | None:
    """The called TSAP of a connection request (RFC 1006 section 6, ISO 8073 section 13.3)."""
    if len(request) < 11 or request[5] != 0xE0:
        return None
    place = 11
    while place + 2 <= len(request):
        kind, length = request[place], request[place + 1]
        if kind == 0xC2:
            return request[place + 2 : place + 2 + length]
        place += 2 + length
    return None


def name(probe: str, tier: Tier, request: bytes) -> tuple[Named, ...]:
    """Every service in a recorded request of this probe; () where nothing was sent."""
    if not request:
        return ()
    reader = _READERS.get(probe)
    if reader is None:
        return (Named(protocol=probe, service="no reader", verdict="unknown", foreign=True),)
    protocol, read = reader
    try:
        return tuple(read(request, tier))
    except _Foreign as problem:
        why = str(problem)
    except (IndexError, struct.error):
        why = "cut off"
    return (Named(protocol=protocol, service=why, verdict="unknown", foreign=True),)


def _either(read: bool) -> Verdict:
    return "read" if read else "write"


def _modbus(request: bytes, tier: Tier) -> Iterator[Named]:
    while request:
        protocol, length = struct.unpack_from("!2xHH", request)
        pdu, request = request[7 : 6 + length], request[6 + length :]
        if protocol:
            raise _Foreign("not Modbus")
        if len(pdu) != length - 1 or length < 2:
            raise _Foreign("cut off")
        function = pdu[0]
        service, read = f"function {function}", function in MODBUS_READS
        if function == 0x2B:
            service, read = f"function 43/{pdu[1]}", pdu[1] == 0x0E
        elif function == 8:
            sub = struct.unpack_from("!H", pdu, 1)[0]
            service, read = f"function 8/{sub}", sub in (0, 2)
        yield Named(protocol="modbus", service=service, verdict=_either(read))


def _s7(request: bytes, tier: Tier) -> Iterator[Named]:
    while request:
        version, length = struct.unpack_from("!BxH", request)
        frame, request = request[:length], request[length:]
        if version != 3:
            raise _Foreign("not a TPKT")
        if length < 7 or len(frame) != length:
            raise _Foreign("cut off")
        yield _s7_frame(frame)


def _s7_frame(frame: bytes) -> Named:
    kind = frame[5]
    if kind in (0xE0, 0x80):
        return Named(protocol="s7", service=f"COTP {kind:#x}", verdict="session")
    if frame[4:7] != b"\x02\xf0\x80" or frame[7] != 0x32:
        raise _Foreign(f"COTP {kind:#x} with no S7 in it")
    rosctr = frame[8]
    parameters = 17
    if rosctr == 1:
        function = frame[parameters]
        if function == 0xF0:
            return Named(protocol="s7", service="setup communication", verdict="session")
        return Named(protocol="s7", service=f"job {function:#x}", verdict="write")
    if rosctr == 7:
        kind, sub = frame[parameters + 5], frame[parameters + 6]
        data = frame[parameters + struct.unpack_from("!H", frame, 13)[0] :]
        known = data == S7_CONTINUED or (
            len(data) == 8 and struct.unpack_from("!H", data, 4)[0] in S7_LISTS
        )
        read = kind >> 4 == 4 and kind & 15 in S7_GROUPS and sub == 1 and known
        service = f"user data {kind & 15}/{sub}"
        return Named(protocol="s7", service=service, verdict=_either(read))
    return Named(protocol="s7", service=f"ROSCTR {rosctr}", verdict="write")


def _enip(request: bytes, tier: Tier) -> Iterator[Named]:
    while request:
        command, length = struct.unpack_from("<HH", request)
        body, whole = request[24 : 24 + length], len(request) >= 24 + length
        request = request[24 + length :]
        if not whole:
            raise _Foreign("cut off")
        if command in (0x6F, 0x70):
            yield _cip(_cip_request(body, connected=command == 0x70))
        else:
            verdict: Verdict = "session" if command in ENIP_SESSIONS else "write"
            if command in ENIP_READS:
                verdict = "read"
            yield Named(protocol="enip", service=f"command {command:#x}", verdict=verdict)


def _cip_request(body: bytes, *, connected: bool) -> bytes:
    """The CIP request in the data item of a common packet format (volume 2, section 2-6)."""
    items, place = struct.unpack_from("<H", body, 6)[0], 8
    found = b""
    for _ in range(items):
        kind, length = struct.unpack_from("<HH", body, place)
        data = body[place + 4 : place + 4 + length]
        if len(data) != length:
            raise _Foreign("cut off")
        if found:
            raise _Foreign("two requests in one frame")
        if kind == 0xB2:
            found = data
        if kind == 0xB1 and connected:
            found = data[2:]
        place += 4 + length
    return found


def _cip(request: bytes, *, sent_on: bool = False) -> Named:
    service, words = request[0], request[1]
    path, data = request[2 : 2 + words * 2], request[2 + words * 2 :]
    managed = path == CONNECTION_MANAGER
    if service == 0x52 and managed:  # unconnected send: what counts is the message inside
        length = struct.unpack_from("<2xH", data)[0]
        if sent_on:
            raise _Foreign("sent on twice")
        return _cip(data[4 : 4 + length], sent_on=True)
    if service in CIP_SESSIONS and managed:
        return Named(protocol="cip", service=CIP_SESSIONS[service], verdict="session")
    verdict = _either(service in CIP_READS)
    return Named(protocol="cip", service=f"service {service:#x}", verdict=verdict)


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """(tag, value, rest) of one BER element (X.690 section 8.1)."""
    tag, length, start = data[0], data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    if start + length > len(data):
        raise IndexError
    return tag, data[start : start + length], data[start + length :]


def _inside(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """(value, rest) of one element that must have this tag."""
    found, value, rest = _element(data)
    if found != tag:
        raise _Foreign("not an SNMP message")
    return value, rest


def _snmp(request: bytes, tier: Tier) -> Iterator[Named]:
    message, rest = _inside(request, 0x30)
    if rest:
        raise _Foreign("more than one message")
    version, message = _inside(message, 0x02)
    if version == b"\x03":
        _, message = _inside(message, 0x30)
        security, message = _inside(message, 0x04)
        nobody = _user(security) == b""
        tag, scoped, _ = _element(message)
        if tag != 0x30:
            yield Named(protocol="snmp", service="encrypted", verdict="unknown")
            return
        _, scoped = _inside(scoped, 0x04)
        _, message = _inside(scoped, 0x04)
    else:
        community, message = _inside(message, 0x04)
        nobody = community == PUBLIC
    pdu, _, rest = _element(message)
    if rest:
        raise _Foreign("more than one PDU")
    verdict = _either(pdu in SNMP_READS)
    if verdict == "read" and not nobody:
        verdict = "sign-in" if tier is Tier.LOGIN else "write"
    yield Named(protocol="snmp", service=f"PDU {pdu:#x}", verdict=verdict)


def _user(security: bytes) -> bytes:
    """The user's name in RFC 3414's parameters: behind engine id, boots and time."""
    rest, _ = _inside(security, 0x30)
    for _ in range(3):
        _, _, rest = _element(rest)
    return _inside(rest, 0x04)[0]


def _http(request: bytes, tier: Tier) -> Iterator[Named]:
    if request[0] in range(0x14, 0x18) and request[1] == 3:
        yield from _tls(request)
        return
    head, end, body = request.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    words = first.split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1.") or not words[0].isalpha() or not end:
        raise _Foreign("no HTTP request")
    method, path = words[:2]
    more = {line.partition(b":")[0].strip().lower() for line in lines} - HTTP_HEADERS
    verdict: Verdict = "write"  # a page that is not known may be one that acts
    if method in HTTP_READS and not body:
        if path in HTTP_START and not more:
            verdict = "read"
        elif tier is Tier.LOGIN and path in HTTP_LOGIN and more <= {b"authorization"}:
            verdict = "sign-in"
    elif method == b"POST" and tier is Tier.LOGIN and path in HTTP_FORMS:
        form = {b"authorization", b"content-type", b"content-length"}
        verdict = "sign-in" if more <= form else "write"
    place = path[:40].decode("ascii", "replace")
    service = method.decode("ascii") + ("" if path in HTTP_START else f" {place}")
    yield Named(protocol="http", service=service, verdict=verdict)


def _tls(request: bytes) -> Iterator[Named]:
    while request:
        kind, version, length = struct.unpack_from("!BHH", request)
        whole, request = len(request) >= 5 + length, request[5 + length :]
        if not whole or kind not in range(0x14, 0x18) or version >> 8 != 3:
            raise _Foreign("cut off")
        yield Named(protocol="tls", service="record", verdict="session")


SSH_TRANSPORT = frozenset({5, 20, 21, *range(30, 35)})
"""Service request, key exchange and the exchange methods' own (RFC 4250 4.1.2, 4253, 4419)."""


def _ssh(request: bytes, tier: Tier) -> Iterator[Named]:
    if request.startswith(b"SSH-2.0-") and request.endswith(b"\n"):
        yield Named(protocol="ssh", service="identification", verdict="session")
        return
    if len(request) > 5 and struct.unpack_from("!I", request)[0] == len(request) - 4:
        verdict: Verdict = "session" if request[5] in SSH_TRANSPORT else "unknown"
        yield Named(protocol="ssh", service=f"message {request[5]}", verdict=verdict)
        return
    try:
        text = request.decode("ascii").rstrip("\r\n")
    except UnicodeDecodeError:
        raise _Foreign("no SSH") from None
    if signing := _SIGN_IN.fullmatch(text):
        granted = signing[1] != "password" or tier is Tier.LOGIN
        verdict = "sign-in" if granted else "write"
        yield Named(protocol="ssh", service="authentication", verdict=verdict)
        return
    planned = _SERVICE.fullmatch(text)
    command = planned[2] if planned else text
    verdict = _either(command in SHOWS)
    yield Named(protocol="ssh", service=f"command {command[:40]!r}", verdict=verdict)


def _telnet(request: bytes, tier: Tier) -> Iterator[Named]:
    """
    Refusals and offers of options; a name and a password typed, which is a sign-in where one is
    granted.
    """
    lines = 0
    while request:
        if request[0] != 0xFF:
            line, _, request = request.partition(b"\r\n")
            lines += 1
            signs = lines <= SIGN_IN_LINES and ACTING.match(line) is None
            verdict: Verdict = "sign-in" if signs and tier is Tier.LOGIN else "write"
            yield Named(protocol="telnet", service="a line", verdict=verdict)
            continue
        if request[1] in range(0xFB, 0xFF):
            length, service = 3, "negotiation"
            if len(request) < length:
                raise _Foreign("cut off")
            yield Named(protocol="telnet", service=service, verdict="session")
        else:  # break, interrupt, erase …: keys pressed on somebody's console
            length = 2
            yield Named(protocol="telnet", service=f"command {request[1]:#x}", verdict="write")
        request = request[length:]


_READERS: dict[str, tuple[str, Callable[[bytes, Tier], Iterator[Named]]]] = {
    "modbus": ("modbus", _modbus),
    "s7": ("s7", _s7),
    "enip": ("enip", _enip),
    "snmp": ("snmp", _snmp),
    "http": ("http", _http),
    "ssh": ("ssh", _ssh),
    "sshconfig": ("ssh", _ssh),
    "telnet": ("telnet", _telnet),
}
