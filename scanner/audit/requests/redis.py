"""
Redis commands, by their name; a few only read, and all others may act.

Source: Redis documentation, "Redis serialization protocol specification" and the list of commands.
"""

from __future__ import annotations

from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader
from scanner.model import Tier

LARGEST = 16
"""Words in a command, and digits in a number."""


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    rest = request
    while rest:
        count, rest = _number(rest, b"*")
        if not 1 <= count <= LARGEST:
            raise Foreign(f"a command of {count} words")
        words = []
        for _ in range(count):
            size, rest = _number(rest, b"$")
            if rest[size : size + 2] != b"\r\n":
                raise Foreign("a word that does not end")
            words.append(rest[:size])
            rest = rest[size + 2 :]
        yield _named(words)


def _number(data: bytes, mark: bytes) -> tuple[int, bytes]:
    line, end, rest = data.partition(b"\r\n")
    if not end or line[:1] != mark or not line[1:].isdigit() or len(line) > LARGEST:
        raise Foreign(f"expected {mark.decode()} and a number")
    return int(line[1:]), rest


def _named(words: list[bytes]) -> Named:
    name = words[0].upper().decode("latin-1")
    harmless = words == [b"PING"] or (name == "INFO" and words[1:] == [b"server"])
    return Named(protocol="redis", service=name[:24], verdict="read" if harmless else "write")


READER = Reader(protocol="redis", read=read)
