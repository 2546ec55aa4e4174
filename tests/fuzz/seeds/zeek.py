"""Logs of Zeek: how one is told from other text, in columns and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import scanner.importers.zeek

OUR_PARAMETERS = ("path",)
HEADS = (
    b"#separator \\x09\n#set_separator\t,\n#fields\tts\tuid\tid.orig_h\n",
    b'{"ts": 1.5, "uid": "C1", "id.orig_h": "10.1.0.7", "id.resp_h": "10.1.0.8"}\n',
    b'{"ts": "x"',
)


def samples(captures: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    for head in HEADS:
        yield "zeek", lambda h=head: scanner.importers.zeek.recognises(h, Path("conn.log"))  # type: ignore[misc]
