"""
SMB: negotiations, and the first leg of a sign-in; a second leg signs in, all else uses a share.

Sources: [MS-SMB2] section 2.2.1 (commands); [MS-CIFS] section 2.2.2.1; [MS-NLMP] section 2.2.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, Verdict
from scanner.model import Tier

NTLMSSP = b"NTLMSSP\0"
NAMES = {
    "smb2 0x0": "NEGOTIATE",
    "smb2 0x1": "SESSION_SETUP",
    "smb1 0x72": "SMB_COM_NEGOTIATE",
    "smb1 0x73": "SMB_COM_SESSION_SETUP_ANDX",
}


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    while request:
        (header,) = struct.unpack_from("!I", request)
        message, whole = request[4 : 4 + header], len(request) >= 4 + header
        request = request[4 + header :]
        if header >> 24 or not whole:
            raise Foreign("cut off")
        if message[:4] == b"\xfeSMB":
            following = struct.unpack_from("<I", message, 20)[0]
            command = f"smb2 {struct.unpack_from('<H', message, 12)[0]:#x}"
        elif message[:4] == b"\xffSMB":
            # a batch names the next command in its first word, "none" being 0xff
            following = int(message[4] != 0x72 and message[33] != 0xFF)
            command = f"smb1 {message[4]:#x}"
        else:
            raise Foreign("no SMB message")
        verdict: Verdict = "write"
        if command in NAMES and not following:
            setup = command in ("smb2 0x1", "smb1 0x73")
            verdict = _leg(message) if setup else "session"
        service = NAMES.get(command, command)
        yield Named(protocol="smb", service=service, verdict=verdict)


def _leg(message: bytes) -> Verdict:
    """What a session set-up carries: the first leg of NTLM, and nothing but that."""
    at = message.find(NTLMSSP)
    if at < 0 or message.count(NTLMSSP) != 1:
        return "write"
    kind, _, domain, workstation = struct.unpack_from("<IIHxxxxxxH", message, at + 8)
    return "session" if (kind, domain, workstation) == (1, 0, 0) else "write"


READER = Reader(protocol="smb", read=read)
