"""
VNC (RFB), whose client says a line and then single bytes: only its beginning is judged here, the
emulator reports the rest. Source: RFC 6143 sections 7.1.1 and 7.1.2.
"""

from __future__ import annotations

from lab.frames.form import Protocol


def _begins(data: bytes) -> bool:
    return b"RFB ".startswith(data[:4])


PROTOCOL = Protocol(
    name="vnc",
    port=5900,
    begins=_begins,
    header=12,  # the greeting
    filler=b"RFB 003.008\n" * 1366,
    speaks_first=True,
    busy_text=b"RFB 003.008\n\0\0\0\0\x1aToo many security failures",
    longest_text=900,
    syntax=frozenset({"version"}),
)
