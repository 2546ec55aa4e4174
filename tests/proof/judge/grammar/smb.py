"""
SMB 1 and SMB 2/3 over TCP, with the NTLM in them.

Sources: [MS-SMB2], sections 2.1, 2.2.1 and 2.2.5; [MS-CIFS], section 2.2.2.1; [MS-SMB], section
2.2.4.6; [MS-NLMP], section 2.2.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from tests.proof.judge.grammar.form import Grammar, Pdu, Verdict

_SMB2: Final[Mapping[int, str]] = {
    0: "NEGOTIATE", 1: "SESSION_SETUP", 2: "LOGOFF", 3: "TREE_CONNECT", 4: "TREE_DISCONNECT",
    5: "CREATE", 6: "CLOSE", 7: "FLUSH", 8: "READ", 9: "WRITE", 10: "LOCK", 11: "IOCTL",
    12: "CANCEL", 13: "ECHO", 14: "QUERY_DIRECTORY", 15: "CHANGE_NOTIFY", 16: "QUERY_INFO",
    17: "SET_INFO", 18: "OPLOCK_BREAK",
}  # fmt: skip
_BATCHED: Final = frozenset({0x24, 0x2D, 0x2E, 0x2F, 0x73, 0x74, 0x75, 0xA2})
_NO_MORE: Final = 0xFF
_NTLM: Final = b"NTLMSSP\x00"


def read(sent: bytes) -> Iterator[Pdu]:
    at = 0
    while at < len(sent):
        end = at + 4 + int.from_bytes(sent[at + 1 : at + 4], "big")
        message = sent[at + 4 : end]
        if sent[at] != 0 or end > len(sent) or message[:1] not in (b"\xfe", b"\xff"):
            return
        if message[1:4] != b"SMB" or len(message) < 35:
            return
        yield _old(at, end, message) if message[0] == 0xFF else _new(at, end, message)
        at = end


def _new(at: int, end: int, message: bytes) -> Pdu:
    command = int.from_bytes(message[12:14], "little")
    name, code = _SMB2.get(command, ""), f"smb2 {command}"
    if message[20:24] != bytes(4):
        return Pdu(at, end, f"SMB2 {command} {name} and more behind it", "unknown", (code,))
    if command == 0:
        return Pdu(at, end, "SMB2 NEGOTIATE", "session", (code,))
    if command == 1:
        return _setup(at, end, "SMB2 SESSION_SETUP", message, code)
    return Pdu(at, end, f"SMB2 {command} {name}".rstrip(), "control", (code,))


def _old(at: int, end: int, message: bytes) -> Pdu:
    command = message[4]
    codes = (f"smb {command:#x}",)
    if command == 0x72:
        return Pdu(at, end, "SMB1 NEGOTIATE", "session", codes)
    if command in _BATCHED and message[32]:
        codes += (f"smb {message[33]:#x}",)  # the next command, which tshark names too
    if command == 0x73 and message[33] == _NO_MORE:
        return _setup(at, end, "SMB1 SESSION_SETUP_ANDX", message, *codes)
    return Pdu(at, end, f"SMB1 command {command:#x}", "control", codes)


def _setup(at: int, end: int, name: str, message: bytes, *codes: str) -> Pdu:
    """A sign-in by its leg; one without NTLM (Kerberos, a null session) is nobody's to make."""
    place = message.find(_NTLM)
    kind = message[place + 8] if place >= 0 else 0
    verdict: Verdict = "session" if kind == 1 else "control"
    told = "without NTLM"
    if place >= 0:
        codes += (f"ntlmssp {kind:#x}",)
        told = f"NTLM leg {kind}"
    return Pdu(at, end, f"{name}, {told}", verdict, codes)


GRAMMAR: Final = Grammar(
    protocol="smb",
    read=read,
    ports=(("tcp", 445),),
    ics=False,
    client_speaks_first=True,
    dissector="nbss",
    codes={
        "smb.cmd": "smb {:#x}",
        "smb2.cmd": "smb2 {}",
        "ntlmssp.messagetype": "ntlmssp {:#x}",
    },
    connections={"identify": 2},  # SMB 1 cannot be asked about on a connection that took SMB2
)
