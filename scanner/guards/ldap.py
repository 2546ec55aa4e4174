"""
What may be said to a directory: one search of the root DSE, and the unbind that ends it.

Both in one form of bytes: binds, searches of anything else and everything that writes are refused.

Source: RFC 4511 sections 4.2 to 4.12; RFC 4512 section 5.1.
"""

from __future__ import annotations

from typing import Final

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_SEARCH: Final = (
    bytes.fromhex("306c020101636704000a01000a0100020101020105010100")
    + b"\x87\x0bobjectClass\x30\x47\x04\x0avendorName\x04\x0dvendorVersion"
    + b"\x04\x14supportedLDAPVersion\x04\x14defaultNamingContext"
)
_UNBIND: Final = bytes.fromhex("30050201024200")
_LONGEST: Final = 0x7F
_OPERATIONS: Final = {
    0x60: "bind",
    0x42: "unbind",
    0x63: "search",
    0x66: "modify",
    0x68: "add",
    0x4A: "delete",
    0x6C: "rename",
    0x6E: "compare",
    0x50: "abandon",
    0x77: "extended request",
}


class LdapGuard:
    """Judges one message at a time; it remembers nothing."""

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        frames = []
        while len(buffer) >= 2:
            if buffer[0] != 0x30 or buffer[1] > _LONGEST:
                raise GuardRefused(f"not a short LDAP message: {buffer[:8].hex()}")
            end = 2 + buffer[1]
            if len(buffer) < end:
                break
            frames.append(buffer[:end])
            buffer = buffer[end:]
        return tuple(frames), buffer

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        if not tier.allows(Tier.IDENTIFY):
            return f"nothing is sent in tier {tier.value}"
        if frame in (_SEARCH, _UNBIND):
            return None
        name = _OPERATIONS.get(frame[5], "unknown") if len(frame) > 5 else "nothing"
        return f"LDAP: {name} is not on the list in this shape"


GUARD = GuardSpec(protocol="ldap", open=LdapGuard, reply_framer=None)
