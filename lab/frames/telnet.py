"""
A Telnet terminal. Sources: RFC 854 (options); Cisco IOS for the words of a server that is full.
"""

from __future__ import annotations

from lab.frames.form import Protocol
from lab.frames.looks import guess

PROTOCOL = Protocol(
    name="telnet",
    port=23,
    begins=lambda data: guess(data) in ("telnet", "unknown", "asn1"),
    header=3,  # one option
    filler=b"\xff\xfb\x01\xff\xfd\x18" * 1024 + b"a line of text\r\n" * 600,
    speaks_first=True,
    busy_text=b"\r\nAll lines are in use. Too many users, try again later.\r\n",
    accounts=True,
    lure=lambda _: {"login": True},
    latin_1=True,
    longest_text=3000,
)
