"""
FINS in datagrams and in FINS/TCP frames.

Sources: Omron W342 section 5-2 (commands); W421 section 7-4 (FINS/TCP).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_COMMANDS: Final[Mapping[int, tuple[str, Verdict]]] = {
    0x0101: ("Memory Area Read", "read"),
    0x0102: ("Memory Area Write", "control"),
    0x0103: ("Memory Area Fill", "control"),
    0x0104: ("Multiple Memory Area Read", "read"),
    0x0105: ("Memory Area Transfer", "control"),
    0x0201: ("Parameter Area Read", "read"),
    0x0202: ("Parameter Area Write", "control"),
    0x0203: ("Parameter Area Clear", "control"),
    0x0220: ("Data Link Table Read", "read"),
    0x0221: ("Data Link Table Write", "control"),
    0x0304: ("Program Area Protect", "control"),
    0x0305: ("Program Area Protect Clear", "control"),
    0x0306: ("Program Area Read", "read"),
    0x0307: ("Program Area Write", "control"),
    0x0308: ("Program Area Clear", "control"),
    0x0401: ("Run", "control"),
    0x0402: ("Stop", "control"),
    0x0403: ("Reset", "control"),
    0x0501: ("Controller Data Read", "read"),
    0x0502: ("Connection Data Read", "read"),
    0x0601: ("Controller Status Read", "read"),
    0x0620: ("Cycle Time Read, which may initialise", "control"),
    0x0701: ("Clock Read", "read"),
    0x0702: ("Clock Write", "control"),
    0x0801: ("Internode Echo Test", "read"),
    0x0803: ("Broadcast Test Data Send", "control"),
    0x0920: ("Message Read, which may clear", "control"),
    0x0C01: ("Access Right Acquire", "control"),
    0x0C02: ("Access Right Forced Acquire", "control"),
    0x0C03: ("Access Right Release", "control"),
    0x2101: ("Error Clear", "control"),
    0x2102: ("Error Log Read", "read"),
    0x2103: ("Error Log Clear", "control"),
    0x2203: ("Single File Write", "control"),
    0x2204: ("Memory Card Format", "control"),
    0x2205: ("File Delete", "control"),
    0x2207: ("File Copy", "control"),
    0x2208: ("File Name Change", "control"),
    0x2301: ("Forced Set/Reset", "control"),
    0x2302: ("Forced Set/Reset Cancel", "control"),
    0x2601: ("Name Set", "control"),
    0x2602: ("Name Delete", "control"),
}


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    if sent[:4] != b"FINS":
        found = _command(sent, 0, len(sent), ())
        if found is not None:
            yield found
        return
    while at < len(sent):
        end = at + 8 + int.from_bytes(sent[at + 4 : at + 8], "big")
        if len(sent) - at < 16 or end > len(sent) or sent[at : at + 4] != b"FINS":
            return
        carried = int.from_bytes(sent[at + 8 : at + 12], "big")
        code = f"fins/tcp {carried:#x}"
        if carried == 0 and end - at == 20:
            yield Pdu(at, end, "FINS/TCP node address data send", "session", (code,))
        elif carried == 2:
            found = _command(sent[at + 16 : end], at, end, (code,))
            if found is None:
                return
            yield found
        else:
            yield Pdu(at, end, f"FINS/TCP command {carried:#x}", "unknown", (code,))
        at = end


def _command(frame: bytes, start: int, end: int, around: tuple[str, ...]) -> Pdu | None:
    """None: no FINS command. A response that we would send is none, either."""
    if len(frame) < 12 or frame[0] & 0xC0 != 0x80 or frame[1] or frame[2] > 7:
        return None
    command = int.from_bytes(frame[10:12], "big")
    name, verdict = _COMMANDS.get(command, ("", "unknown"))
    what = f"FINS {command:04x} {name}".rstrip()
    return Pdu(start, end, what, verdict, (*around, f"fins {command:#06x}"))


GRAMMAR: Final = Grammar(
    protocol="fins",
    read=read,
    ports=(("tcp", 9600), ("udp", 9600)),
    ics=True,
    client_speaks_first=True,
    dissector="omron",
    codes={"omron.tcp.command": "fins/tcp {:#x}", "omron.command": "fins {:#06x}"},
    questions=2,
)
