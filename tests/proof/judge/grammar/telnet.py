"""
Telnet.

Sources: RFC 854, RFC 855.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_IAC, _WONT, _DONT = 255, 252, 254
_LINES: Final = 2
"""A name and a password."""
_COMMAND: Final = re.compile(
    rb"(?:reload|reboot|restart|reset|shutdown|halt|poweroff|write|erase|delete|format|copy|clear"
    rb"|conf(?:igure)?|enable|disable|set|no|debug|start|stop|show|exit|quit|logout|help)\b",
    re.IGNORECASE,
)
"""How a line begins that is no name and no password."""


def read(sent: bytes) -> Iterator[Pdu]:
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


GRAMMAR: Final = Grammar(
    protocol="telnet",
    read=read,
    ports=(("tcp", 23),),
    ics=False,
    client_speaks_first=False,
    dissector="telnet",
    codes={"telnet.cmd": "telnet {}"},
    connections={"login": 2},
)
