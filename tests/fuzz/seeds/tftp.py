"""
TFTP: errors of every kind that a read request can get, and servers with a file for every name.

There is no recording: the replies are made, most with the words of RFC 1350's appendix.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import probes.tftp
from tests.fuzz.seeds.form import script
from tests.fuzz.session import Dialogue


def error(code: int, text: bytes) -> bytes:
    return b"\0\5" + code.to_bytes(2, "big") + text + b"\0"


def block(content: bytes, number: int = 1) -> bytes:
    return b"\0\3" + number.to_bytes(2, "big") + content


SAID = {
    "not found": error(1, b"File not found"),
    "not found, in words of its own": error(1, b"Fichier introuv\xe9"),
    "access violation": error(2, b"Access violation"),
    "only files under its folder": error(2, b"Only absolute filenames allowed"),
    "an error without words": error(0, b""),
    "writes only": error(4, b"Illegal TFTP operation"),
    "a file for every name": block(b"boot=net\n" * 40),
    "an empty file": block(b""),
}


def dialogues(captures: Path) -> Iterator[Dialogue]:
    for name, said in SAID.items():
        yield Dialogue(name=name, probe=probes.tftp.PROBE, answer=script(said))
