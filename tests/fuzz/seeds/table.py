"""Lists with a header line, and what all importers do with a file's words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import scanner.importers.form
import scanner.importers.gather
import scanner.importers.table

OUR_PARAMETERS = ("path",)
HEADS = (b"address,mac,vendor,model\n10.1.0.7,,Siemens,S7", b"name;vendor;model;serial\nA;B;C;D")
CELLS = ("'=1+1", "\\x1b[31m", "\\u202e", "\\U0001f600", "\\\\", "plain")


def samples(captures: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    for head in HEADS:
        yield "table", lambda h=head: scanner.importers.table.recognises(h, Path("a.csv"))  # type: ignore[misc]
    for cell in CELLS:
        yield "table", lambda c=cell: scanner.importers.table.unescaped(c)  # type: ignore[misc]
        yield "gather", lambda c=cell: scanner.importers.gather.safe(c)  # type: ignore[misc]
    for address in ("10.1.0.7", "224.0.0.1", "fe80::1", "00:1b:1b:0a:0b:0c", "none"):
        yield "form", lambda a=address: scanner.importers.form.is_device(a)  # type: ignore[misc]
