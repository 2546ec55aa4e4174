"""
What may be said to an SMB server: a negotiation, and in the read tier the first leg of a sign-in.

Four messages, each by its bytes: SMB2 NEGOTIATE (2.0.2 to 3.1.1), SMB1 NEGOTIATE ("NT LM 0.12"
alone), and SESSION_SETUP of either with NTLM NEGOTIATE, which names nobody. A connection carries
one negotiation and at most the one set-up that belongs to it. NTLM AUTHENTICATE, guest and null
sessions, tree connects, files, pipes and echoes are refused in every tier.

Source: [MS-SMB2] sections 2.2.3 and 2.2.5; [MS-CIFS] section 2.2.4.52; [MS-SMB] section 2.2.4.6.1;
[MS-NLMP] section 2.2.1.1; RFC 4178 section 4.2.1.
"""

from __future__ import annotations

from typing import Final

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_FIRST_LEG: Final = (
    "6048 0606 2b0601050502 a03e 303c a00e 300c 060a 2b06010401823702020a a22a 0428"  # SPNEGO
    "4e544c4d53535000 01000000 05820802"  # NTLM NEGOTIATE and its flags
    "0000000000000000 0000000000000000 000000000000000f"  # no domain, no workstation, revision 15
)
_NEGOTIATE: Final = bytes.fromhex(
    "0000009e fe534d42 4000 0000 00000000 0000 0100 00000000 00000000"
    "0000000000000000 00000000 00000000 0000000000000000 00000000000000000000000000000000"
    "2400 0500 0100 0000 00000000" + b"walkdown-readonl".hex() + "70000000 0100 0000"
    "0202 1002 0003 0203 1103 0000"
    "0100 2600 00000000 0100 2000 0100" + b"walkdown asks and never signs in".hex()
)
_SESSION_SETUP: Final = bytes.fromhex(
    "000000a2 fe534d42 4000 0000 00000000 0100 0100 00000000 00000000"
    "0100000000000000 00000000 00000000 0000000000000000 00000000000000000000000000000000"
    "1900 00 01 00000000 00000000 5800 4a00 0000000000000000" + _FIRST_LEG
)
_OLD_NEGOTIATE: Final = bytes.fromhex(
    "0000002f ff534d42 72 00000000 18 01c8 0000 0000000000000000 0000 ffff 0100 0000 0100"
    "00 0c00 02" + b"NT LM 0.12".hex() + "00"
)
_OLD_SESSION_SETUP: Final = bytes.fromhex(
    "0000008a ff534d42 73 00000000 18 01c8 0000 0000000000000000 0000 ffff 0100 0000 0200"
    "0c ff00 0000 0411 0100 0000 00000000 4a00 00000000 44000080 4f00" + _FIRST_LEG + "0000000000"
)
_BELONGS_TO: Final = {_SESSION_SETUP: _NEGOTIATE, _OLD_SESSION_SETUP: _OLD_NEGOTIATE}
_LONGEST: Final = 4 + 0xA2


class SmbGuard:
    """One connection's guard: it remembers what was said."""

    def __init__(self) -> None:
        self._said: tuple[bytes, ...] = ()

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        frames = []
        while len(buffer) >= 4:
            length = 4 + int.from_bytes(buffer[1:4], "big")
            if buffer[0] != 0 or length > _LONGEST:
                raise GuardRefused(f"not an SMB message of ours: {buffer[:8].hex(' ')}")
            if len(buffer) < length:
                break
            frames.append(buffer[:length])
            buffer = buffer[length:]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if frame in (_NEGOTIATE, _OLD_NEGOTIATE):
            if self._said:
                return "an SMB connection negotiates once"
        elif frame in _BELONGS_TO:
            if not tier.allows(Tier.READ):
                return "SMB SESSION_SETUP needs tier read"
            if self._said != (_BELONGS_TO[frame],):
                return "SMB SESSION_SETUP follows its own negotiation, once"
        else:
            return f"an SMB message that is not on the list: {frame[4:24].hex(' ')}"
        self._said += (frame,)
        return None


GUARD = GuardSpec(protocol="smb", open=SmbGuard, reply_framer=None)
