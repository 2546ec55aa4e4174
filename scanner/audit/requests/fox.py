"""
Niagara Fox: a hello that names nobody is read, every other frame signs in or acts.

Source: recordings of workbenches and stations (frames are text: words, then fields in braces).
"""

from __future__ import annotations

from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, either
from scanner.model import Tier

END = b"};;\n"
SILENT_FIELDS = {b"fox.version=s:1.0", b"id=i:1"}
"""What a hello may say: the version of the protocol and its own number."""


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    while request:
        frame, end, request = request.partition(END)
        words, _, body = frame.partition(b"\n")
        said = words.split(b" ")
        if not end or len(said) != 6 or said[0] != b"fox":
            raise Foreign(f"begins with {frame[:16]!r}")
        channel, command = said[4], said[5]
        names_nobody = {line for line in body.split(b"\n") if line not in (b"", b"{")}
        right = (channel, command) == (b"fox", b"hello") and names_nobody <= SILENT_FIELDS
        service = f"{channel.decode('latin-1')} {command.decode('latin-1')}"[:40]
        yield Named(protocol="fox", service=service, verdict=either(right))


READER = Reader(protocol="fox", read=read, is_control=True)
