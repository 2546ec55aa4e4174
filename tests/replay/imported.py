"""
Recordings of what devices announce to all: no probe asks for it, the importer of captures reads it.

LLDP and PROFINET DCP on layer 2, BACnet's I-Am to everybody: each is put into a capture of one
frame and imported as an operator's would be, by tshark.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from scanner.cli.importing import RECOGNISE
from scanner.facts import Fact
from scanner.importers import pcap
from scanner.importers.form import Reading
from tests.importers import conftest as made
from tests.importers.conftest import READ_AT

GROUPS: Final = {
    "lldp": ("0180c200000e", 0x88CC),
    "profinet-dcp": ("02000000fe01", 0x8892),  # the answer goes to whoever asked
}
"""Protocol of a recording -> where its frames go, EtherType."""
DEVICE: Final = "02000000fe02"
BACNET: Final = 47808


def is_announced(record: Mapping[str, Any]) -> bool:
    """Whether this recording is one of those that only the importer reads."""
    return record["protocol"] in GROUPS or str(record["id"]).startswith("iam_device_")


def can_import() -> bool:
    return shutil.which("tshark") is not None


def imported(record: Mapping[str, Any], folder: Path) -> tuple[tuple[Fact, ...], list[bytes]]:
    """What the importer makes of the recorded frames, and the frames. Raises UsageError."""
    said = [bytes.fromhex(exchange["response_hex"]) for exchange in record["exchanges"]]
    path = folder / f"{record['id']}.pcap"
    path.write_bytes(made.pcap(*_frames(record, said)))
    reading = Reading(modified=READ_AT, environment=dict(os.environ), recognise=RECOGNISE)
    facts = tuple(fact for one in pcap.IMPORTER.read(path, reading) for fact in one.facts)
    return facts, said


def _frames(record: Mapping[str, Any], said: Iterable[bytes]) -> list[bytes]:
    if record["protocol"] not in GROUPS:
        return [made.udp("192.0.2.7", BACNET, "255.255.255.255", BACNET, one) for one in said]
    target, kind = GROUPS[record["protocol"]]
    source = str(record["facts"].get("src_mac") or record["facts"].get("mac") or DEVICE)
    head = bytes.fromhex(target + source.replace(":", "")) + kind.to_bytes(2, "big")
    return [head + one for one in said]
