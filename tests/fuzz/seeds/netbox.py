"""Lists exported from NetBox: how one is told from other JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import scanner.importers.netbox

OUR_PARAMETERS = ("path",)
HEADS = (
    b'[{"name": "PLC-1", "device_type": {"model": "BMX P34 2020"}, "primary_ip": null}]',
    b'\xef\xbb\xbf{"results": [{"device_type": {}}]}',
)


def samples(captures: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    for head in HEADS:
        yield "netbox", lambda h=head: scanner.importers.netbox.recognises(h, Path("a.json"))  # type: ignore[misc]
