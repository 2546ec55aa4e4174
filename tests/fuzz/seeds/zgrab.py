"""Results of zgrab2: how a line is told from other JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import scanner.importers.zgrab

OUR_PARAMETERS = ("path",)
HEADS = (
    b'{"ip": "10.1.0.7", "data": {"modbus": {"status": "success"}}}\n',
    b'{"domain": "a", "data": {}}\n',
    b'{"ip":"10.1.0.7","data":{"http":{"result":{"response":',
)


def samples(captures: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    for head in HEADS:
        yield "zgrab", lambda h=head: scanner.importers.zgrab.recognises(h, Path("a.json"))  # type: ignore[misc]
