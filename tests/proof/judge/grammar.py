"""
What each PDU that was sent is: a small parser of our own, and the table of what reads and what
does not.

`parse(protocol, sent)` takes all bytes that were sent on one connection (or in one datagram) and
accounts for every one of them. Verdicts:

    read     asks for something and changes nothing
    session  opens, keeps or closes a conversation, as reading needs it
    login    user names and passwords; only right where the login tier was granted
    sealed   encrypted: what is inside must be shown by other means
    control  writes, commands, starts, stops, takes somebody's seat
    unknown  not in the table, not whole, or not that protocol at all

Sources: MODBUS Application Protocol V1.1b3, section 6; RFC 1006, RFC 905 section 13, and the S7
layer as Wireshark's dissector documents it; ODVA CIP Networks Library, volume 1 appendix A and
volume 2 chapter 2, Rockwell publication 1756-PM020 (tag services); RFC 1157, RFC 3416, RFC 3412;
RFC 9110 section 9; RFC 854, RFC 855; RFC 4253; RFC 8446 section 5.1, RFC 5246 section 6.2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

Verdict = Literal["read", "session", "login", "sealed", "control", "unknown"]
HARMLESS: Final = frozenset({"read", "session"})


@dataclass(frozen=True, slots=True)
class Pdu:
    """
    `sent[start:end]`. `service` in words for a table; `code` is what tshark has to say of it too
    (several where it lies in layers; empty: tshark has no field for it). `unit` is what one PDU
    addresses behind the address: a Modbus unit id. `names` is a called TSAP or an HTTP target.
    """

    start: int
    end: int
    service: str
    verdict: Verdict
    code: tuple[str, ...] = ()
    unit: int | None = None
    names: str = ""
    asks: bool = True
    """False for what is no question of its own: hand-shakes, negotiation, goodbyes."""


def parse(protocol: str, sent: bytes) -> list[Pdu]:
    """Every byte once; what cannot be read is one PDU of verdict unknown up to the end."""
    reader = READERS.get(protocol)
    found: list[Pdu] = []
    end = 0
    try:
        for pdu in reader(sent) if reader else ():
            found.append(pdu)
            end = pdu.end
    except (IndexError, ValueError):
        pass
    if end < len(sent):
        shown = sent[end : end + 12].hex(" ")
        what = f"not {protocol}: {shown}" if reader else f"port of no protocol here: {shown}"
        found.append(Pdu(end, len(sent), what, "unknown"))
    return found


# --- Modbus/TCP ----------------------------------------------------------------------------------

_MODBUS: Final[Mapping[int, tuple[str, Verdict]]] = {
    0x01: ("read coils", "read"),
    0x02: ("read discrete inputs", "read"),
    0x03: ("read holding registers", "read"),
    0x04: ("read input registers", "read"),
    0x05: ("write single coil", "control"),
    0x06: ("write single register", "control"),
    0x07: ("read exception status", "read"),
    0x08: ("diagnostics", "control"),
    0x0B: ("get comm event counter", "read"),
    0x0C: ("get comm event log", "read"),
    0x0F: ("write multiple coils", "control"),
    0x10: ("write multiple registers", "control"),
    0x11: ("report server id", "read"),
    0x14: ("read file record", "read"),
    0x15: ("write file record", "control"),
    0x16: ("mask write register", "control"),
    0x17: ("read/write multiple registers", "control"),
    0x18: ("read FIFO queue", "read"),
    0x5A: ("UMAS", "control"),
}


def _modbus(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        length = int.from_bytes(sent[at + 4 : at + 6], "big")
        end = at + 6 + length
        if sent[at + 2 : at + 4] != b"\0\0" or not 2 <= length <= 254 or end > len(sent):
            return
        unit, function = sent[at + 6], sent[at + 7]
        code = (f"modbus {function}",)
        if function == 0x2B:
            mei = sent[at + 8] if length > 2 else -1
            verdict: Verdict = "read" if mei == 0x0E and length == 5 else "control"
            code = (*code, f"mei {mei}")
            name = {0x0E: "read device identification", -1: "cut off"}.get(mei, f"MEI {mei}")
        else:
            name, verdict = _MODBUS.get(function, ("", "unknown"))
            if function == 0x11 and length != 2:
                verdict = "unknown"
        yield Pdu(at, end, f"modbus {function:#04x} {name}".rstrip(), verdict, code, unit)
        at = end


# --- S7 on ISO-on-TCP ----------------------------------------------------------------------------

_S7_JOBS: Final[Mapping[int, tuple[str, Verdict]]] = {
    0x00: ("CPU services", "control"),
    0x04: ("read variable", "unknown"),
    0x05: ("write variable", "control"),
    0x1A: ("request download", "control"),
    0x1B: ("download block", "control"),
    0x1C: ("download ended", "control"),
    0x1D: ("start upload", "control"),
    0x1E: ("upload", "control"),
    0x1F: ("end upload", "control"),
    0x28: ("PLC control", "control"),
    0x29: ("PLC stop", "control"),
    0xF0: ("set up communication", "session"),
}
_S7_USERDATA: Final[Mapping[tuple[int, int], tuple[str, Verdict]]] = {
    (3, 1): ("list blocks", "unknown"),
    (3, 2): ("list blocks of a type", "unknown"),
    (3, 3): ("block info", "unknown"),
    (4, 1): ("read SZL", "read"),
    (7, 1): ("read clock", "unknown"),
}
"""What changes nothing but is no part of the probe (protocols.md) is unknown. Every other group and
function is control: programmer commands, forces, cyclic data, messages, passwords, setting of the
clock."""
_SZL: Final = frozenset({"0011", "001c", "0132", "0232", "0424"})
"""Module and component identification, protection level, operating state."""


def _s7(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        end = at + int.from_bytes(sent[at + 2 : at + 4], "big")
        if sent[at : at + 2] != b"\x03\x00" or end - at < 7 or end > len(sent):
            return
        header, kind = sent[at + 4], sent[at + 5]
        body = sent[at + 5 + header : end]
        if at + 5 + header > end:
            return
        cotp = f"cotp {kind >> 4:#x}"
        if kind == 0xE0:
            tsap = _called_tsap(sent[at + 11 : end])
            taken = tsap is None or len(tsap) != 4 or tsap[:2] != "03"
            verdict: Verdict = "control" if taken else "session"
            name = f"COTP connection request to TSAP {tsap or 'none'}"
            yield Pdu(at, end, name, verdict, (cotp,), names=tsap or "")
        elif kind == 0x80:
            yield Pdu(at, end, "COTP disconnect request", "session", (cotp,), asks=False)
        elif kind == 0xF0 and header == 2 and body:
            yield _s7_pdu(at, end, body, cotp)
        else:
            yield Pdu(at, end, f"COTP type {kind:#04x}", "unknown", (cotp,))
        at = end


def _called_tsap(parameters: bytes) -> str | None:
    at = 0
    while at + 2 <= len(parameters):
        kind, size = parameters[at], parameters[at + 1]
        if kind == 0xC2:
            return parameters[at + 2 : at + 2 + size].hex()
        at += 2 + size
    return None


def _s7_pdu(at: int, end: int, body: bytes, cotp: str) -> Pdu:
    if body[0] != 0x32 or len(body) < 11:
        return Pdu(at, end, f"on COTP, not S7: {body[:4].hex(' ')}", "unknown", (cotp,))
    kind, parameters = body[1], int.from_bytes(body[6:8], "big")
    data = int.from_bytes(body[8:10], "big")
    if len(body) != 10 + parameters + data:
        return Pdu(at, end, "S7 with lengths that do not fit", "unknown", (cotp, f"s7 {kind}"))
    if kind == 1:
        function = body[10]
        name, verdict = _S7_JOBS.get(function, ("", "unknown"))
        code = (cotp, "s7 1", f"s7 job {function:#04x}")
        return Pdu(at, end, f"S7 job {function:#04x} {name}".rstrip(), verdict, code)
    if kind == 7 and parameters >= 8:
        sort, group, function = body[15] >> 4, body[15] & 15, body[16]
        code = (cotp, "s7 7", f"s7 group {group}", f"s7 function {function}")
        name, verdict = _S7_USERDATA.get((group, function), ("", "control"))
        if sort != 4 or body[10:13] != b"\x00\x01\x12":
            verdict = "unknown"
        continued = body[14] == 0x12
        if (group, function) == (4, 1) and not continued and data == 8:
            szl = body[-4:-2].hex()
            name += f" {szl} index {body[-2:].hex()}"
            verdict = verdict if szl in _SZL else "unknown"
        elif (group, function) == (4, 1):
            name += ", continued" if continued else ""
        return Pdu(
            at, end, f"S7 userdata {group}/{function} {name}".rstrip(), verdict, code,
            asks=not continued,
        )  # fmt: skip
    return Pdu(at, end, f"S7 message type {kind}", "unknown", (cotp, f"s7 {kind}"))


# --- EtherNet/IP and CIP -------------------------------------------------------------------------

_ENCAPSULATION: Final[Mapping[int, tuple[str, Verdict]]] = {
    0x04: ("ListServices", "read"),
    0x63: ("ListIdentity", "read"),
    0x64: ("ListInterfaces", "read"),
    0x65: ("RegisterSession", "session"),
    0x66: ("UnRegisterSession", "session"),
    0x72: ("IndicateStatus", "control"),
    0x73: ("Cancel", "control"),
}
_CIP: Final[Mapping[int, tuple[str, Verdict]]] = {
    0x01: ("Get_Attributes_All", "read"),
    0x02: ("Set_Attributes_All", "control"),
    0x03: ("Get_Attribute_List", "read"),
    0x04: ("Set_Attribute_List", "control"),
    0x05: ("Reset", "control"),
    0x06: ("Start", "control"),
    0x07: ("Stop", "control"),
    0x08: ("Create", "control"),
    0x09: ("Delete", "control"),
    0x0D: ("Apply_Attributes", "control"),
    0x0E: ("Get_Attribute_Single", "read"),
    0x10: ("Set_Attribute_Single", "control"),
    0x11: ("Find_Next_Object_Instance", "read"),
    0x15: ("Restore", "control"),
    0x16: ("Save", "control"),
    0x4B: ("Execute_PCCC", "control"),
    0x4D: ("Write_Tag", "control"),
    0x53: ("Write_Tag_Fragmented", "control"),
    0x54: ("Forward_Open", "control"),
    0x5B: ("Large_Forward_Open", "control"),
}


def _enip(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        end = at + 24 + int.from_bytes(sent[at + 2 : at + 4], "little")
        if len(sent) - at < 24 or end > len(sent):
            return
        command = int.from_bytes(sent[at : at + 2], "little")
        code = f"enip {command:#06x}"
        if command in (0x6F, 0x70):
            service = _cip_service(sent[at + 24 : end])
            if service is None:
                yield Pdu(at, end, f"EtherNet/IP {command:#04x} without CIP", "unknown", (code,))
            else:
                name, verdict = _CIP.get(service, ("", "unknown"))
                if command == 0x70:
                    verdict = "control"  # goes over a connection, which nobody may have opened
                both = (code, f"cip {service:#04x}")
                yield Pdu(at, end, f"CIP {service:#04x} {name}".rstrip(), verdict, both)
        else:
            name, verdict = _ENCAPSULATION.get(command, ("", "unknown"))
            asks = command != 0x66
            yield Pdu(
                at, end, f"EtherNet/IP {command:#04x} {name}".rstrip(), verdict, (code,), asks=asks
            )
        at = end


def _cip_service(items: bytes) -> int | None:
    """Of SendRRData or SendUnitData: interface handle (4), timeout (2), item count (2), items."""
    count, at = int.from_bytes(items[6:8], "little"), 8
    for _ in range(min(count, 4)):
        kind = int.from_bytes(items[at : at + 2], "little")
        size = int.from_bytes(items[at + 2 : at + 4], "little")
        start = at + 4 + (2 if kind == 0xB1 else 0)
        if kind in (0xB1, 0xB2) and start < at + 4 + size <= len(items):
            return items[start]
        at += 4 + size
    return None


# --- SNMP ----------------------------------------------------------------------------------------

_SNMP: Final[Mapping[int, tuple[str, Verdict]]] = {
    0xA0: ("GetRequest", "read"),
    0xA1: ("GetNextRequest", "read"),
    0xA2: ("Response", "control"),
    0xA3: ("SetRequest", "control"),
    0xA4: ("Trap", "control"),
    0xA5: ("GetBulkRequest", "read"),
    0xA6: ("InformRequest", "control"),
    0xA7: ("SNMPv2-Trap", "control"),
    0xA8: ("Report", "control"),
}


COMMUNITY: Final = b"public"
"""The only community that is not a guess; whoever uses another one, or a user name, signs in."""


def _ber(data: bytes, at: int) -> tuple[int, int, int]:
    """(tag, start of the value, its end). Raises ValueError, IndexError."""
    tag, size = data[at], data[at + 1]
    start = at + 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(data[at + 2 : start], "big")
    if start + size > len(data):
        raise ValueError("a length beyond the end")
    return tag, start, start + size


def _snmp(sent: bytes) -> Iterator[Pdu]:
    tag, at, end = _ber(sent, 0)
    if tag != 0x30 or end != len(sent):
        return
    _, start, at = _ber(sent, at)
    version = int.from_bytes(sent[start:at], "big")
    words = {0: "v1", 1: "v2c", 3: "v3"}.get(version)
    if words is None:
        return
    if version == 3:
        _, inner, at = _ber(sent, at)  # msgGlobalData: id, size, flags, model
        _, _, inner = _ber(sent, inner)
        _, _, inner = _ber(sent, inner)
        _, flags, _ = _ber(sent, inner)
        _, parameters, at = _ber(sent, at)  # msgSecurityParameters
        guessed = _usm_user(sent, parameters) != b""
        if sent[flags] & 2:
            yield Pdu(0, end, "SNMP v3, encrypted", "unknown")
            return
        _, scoped, _ = _ber(sent, at)
        _, _, scoped = _ber(sent, scoped)  # contextEngineID
        _, _, at = _ber(sent, scoped)  # contextName
    else:
        _, start, at = _ber(sent, at)
        guessed = sent[start:at] != COMMUNITY
    tag, _, last = _ber(sent, at)
    name, verdict = _SNMP.get(tag, ("", "unknown"))
    if guessed and verdict == "read":
        verdict, name = "login", f"{name} as somebody"
    if last != end:
        verdict = "unknown"
    yield Pdu(0, end, f"SNMP {words} {name or hex(tag)}", verdict, (f"snmp {tag - 0xA0}",))


def _usm_user(sent: bytes, at: int) -> bytes:
    """msgUserName of RFC 3414 section 2.4: engine id, boots, time, name."""
    _, at, _ = _ber(sent, at)
    for _ in range(3):
        _, _, at = _ber(sent, at)
    _, start, end = _ber(sent, at)
    return sent[start:end]


# --- HTTP ----------------------------------------------------------------------------------------

_REQUEST: Final = re.compile(rb"([A-Z]+) ([!-~]+) HTTP/1\.[01]\r\n")
_HEADERS: Final = frozenset({"host", "user-agent", "accept", "accept-encoding", "connection"})
_LOGIN_HEADERS: Final = _HEADERS | {"authorization"}
_FORM_HEADERS: Final = _LOGIN_HEADERS | {"content-type", "content-length"}
_START_PAGES: Final = frozenset({"/", "/favicon.ico"})
LOGIN_PAGES: Final = frozenset(
    {
        "/",
        "/secure/embedded/http_passwd_config.htm?Language=English",
        "/secure/system/globaldata.htm?Language=English",
    }
)
"""What is fetched with and without a login of the shipped credential sets."""
LOGIN_FORMS: Final = frozenset({"/cgi-bin/login.cgi"})
_ACTS: Final = re.compile(
    r"re-?(?:boot|start|set|load|store)|shut-?down|power|halt|delete|remove|erase|clear|format"
    r"|write|(?<![a-z])set|save|apply|upload|update|upgrade|firmware|flash|factory|import|log-?out"
    r"|start|stop|on$|off$|exec|command|cmd",
    re.IGNORECASE,
)
"""Words of addresses behind which web panels do something."""


def http_verdict(
    method: str, target: str, headers: frozenset[str], *, form: bool, body: bool
) -> Verdict:
    """
    A page is read where it is the start page, asked for in the few headers that are ever sent; a
    login is one of the pages or forms of the credential sets. `headers` are names, in small.
    """
    if method not in ("GET", "HEAD", "POST") or _ACTS.search(target):
        return "control"
    if method == "POST":
        known = form and target in LOGIN_FORMS and headers <= _FORM_HEADERS
        return "login" if known else "control"
    if body or not headers <= _LOGIN_HEADERS:
        return "unknown"
    if target in _START_PAGES and "authorization" not in headers:
        return "read"
    return "login" if target in LOGIN_PAGES else "unknown"


def _http(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        first = _REQUEST.match(sent, at)
        stop = sent.find(b"\r\n\r\n", at)
        if first is None or stop < 0:
            return
        head = sent[at:stop].lower()
        length = re.search(rb"\r\ncontent-length: *(\d+)", head)
        end = stop + 4 + (int(length[1]) if length else 0)
        if end > len(sent) or b"\r\ntransfer-encoding:" in head:
            return
        method, target = first[1].decode(), first[2].decode()
        names = frozenset(
            line.partition(b":")[0].decode("latin-1") for line in head.split(b"\r\n")[1:]
        )
        form = b"\r\ncontent-type: application/x-www-form-urlencoded" in head
        verdict = http_verdict(method, target, names, form=form, body=length is not None)
        yield Pdu(at, end, f"HTTP {method} {target}", verdict, (f"http {method}",), names=target)
        at = end


# --- Telnet --------------------------------------------------------------------------------------

_IAC, _WONT, _DONT = 255, 252, 254
_LINES: Final = 2
"""A name and a password."""
_COMMAND: Final = re.compile(
    rb"(?:reload|reboot|restart|reset|shutdown|halt|poweroff|write|erase|delete|format|copy|clear"
    rb"|conf(?:igure)?|enable|disable|set|no|debug|start|stop|show|exit|quit|logout|help)\b",
    re.IGNORECASE,
)
"""How a line begins that is no name and no password."""


def _telnet(sent: bytes) -> Iterator[Pdu]:
    at = lines = 0
    while at < len(sent):
        if sent[at] == _IAC:
            command = sent[at + 1]
            refuses = command in (_WONT, _DONT)
            if not refuses and command not in (251, 253):
                yield Pdu(
                    at, len(sent), f"Telnet command {command}", "unknown", (f"telnet {command}",)
                )
                return
            if at + 3 > len(sent):
                return
            verb = {_WONT: "WONT", _DONT: "DONT", 251: "WILL", 253: "DO"}[command]
            verdict: Verdict = "session" if refuses else "control"
            name = f"Telnet {verb} {sent[at + 2]}"
            yield Pdu(at, at + 3, name, verdict, (f"telnet {command}",), asks=False)
            at += 3
            continue
        stop = sent.find(bytes([_IAC]), at)
        stop = len(sent) if stop < 0 else stop
        line = sent.find(b"\r\n", at, stop)
        end = stop if line < 0 else line + 2
        shape = line >= 0 and all(0x20 <= byte < 0x7F for byte in sent[at:line])
        lines += 1
        verdict = "login" if shape else "unknown"
        if lines > _LINES or _COMMAND.match(sent, at, end):
            verdict = "control"
        told = f", line {lines} of a connection" if lines > _LINES else ""
        yield Pdu(at, end, f"Telnet text{told}", verdict)
        at = end


# --- SSH -----------------------------------------------------------------------------------------

_SSH: Final[Mapping[int, str]] = {
    1: "disconnect", 2: "ignore", 20: "KEXINIT", 21: "NEWKEYS", 30: "key exchange",
    31: "key exchange", 32: "key exchange", 33: "key exchange", 34: "key exchange",
}  # fmt: skip


def _ssh(sent: bytes) -> Iterator[Pdu]:
    first = re.match(rb"SSH-2\.0-[!-~]+(?: [ -~]*)?\r\n", sent)
    if first is None:
        return
    at = first.end()
    yield Pdu(0, at, "SSH identification", "session")
    while at < len(sent):
        length = int.from_bytes(sent[at : at + 4], "big")
        end = at + 4 + length
        if not 5 <= length <= 35000 or end > len(sent):
            return
        message = sent[at + 5]
        name = _SSH.get(message)
        code = (f"ssh {message}",)
        if name is None:
            yield Pdu(at, end, f"SSH message {message}", "unknown", code)
        else:
            yield Pdu(at, end, f"SSH {message} {name}", "session", code)
        at = end
        if message == 21:
            break
    if at < len(sent):
        yield Pdu(at, len(sent), "SSH, encrypted", "sealed")


# --- TLS -----------------------------------------------------------------------------------------

_HANDSHAKE: Final[Mapping[int, str]] = {
    1: "ClientHello",
    11: "Certificate",
    16: "ClientKeyExchange",
}


def _tls(sent: bytes) -> Iterator[Pdu]:
    at, changed = 0, False
    while at < len(sent):
        kind = sent[at]
        end = at + 5 + int.from_bytes(sent[at + 3 : at + 5], "big")
        if kind not in (20, 21, 22, 23) or sent[at + 1] != 3 or sent[at + 2] > 4:
            return
        if end > len(sent) or end == at + 5:
            return
        if kind == 20:
            changed = True
            yield Pdu(at, end, "TLS change cipher spec", "session", asks=False)
        elif kind == 21:
            yield Pdu(at, end, "TLS alert", "session", asks=False)
        elif kind == 22 and changed:
            yield Pdu(at, end, "TLS handshake, encrypted", "session")
        elif kind == 22:
            message = sent[at + 5]
            name = _HANDSHAKE.get(message)
            code = (f"tls {message}",)
            verdict: Verdict = "session" if name else "unknown"
            yield Pdu(at, end, f"TLS {name or f'handshake {message}'}", verdict, code)
        else:
            yield Pdu(at, end, "TLS application data", "sealed")
        at = end


READERS: Final[Mapping[str, Callable[[bytes], Iterator[Pdu]]]] = {
    "modbus": _modbus, "s7": _s7, "enip": _enip, "snmp": _snmp, "http": _http, "https": _tls,
    "telnet": _telnet, "ssh": _ssh,
}  # fmt: skip
