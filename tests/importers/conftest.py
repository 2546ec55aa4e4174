"""Files to import, and a site to import them for."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scanner import site
from scanner.cli import importing
from scanner.facts import Fact
from scanner.importers.form import Imported, Importer, Reading
from scanner.model import Observation
from scanner.store import RunStore

SITE = """\
site: Import
policy: {{max_age: {max_age}}}
zones:
  - {{id: control, name: Control, purdue: 1, networks: [10.1.0.0/24], exclude: [10.1.0.9], sl_t: 2}}
  - {{id: hmi, name: HMI, purdue: 2, networks: [10.2.0.0/24, 192.168.0.0/23], sl_t: 2}}
"""

READ_AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def make_site(folder: Path, *, max_age: str = "20000d") -> site.Site:
    path = folder / "site.yaml"
    path.write_text(SITE.format(max_age=max_age))
    return site.load(path)


@pytest.fixture
def which(tmp_path: Path) -> site.Site:
    return make_site(tmp_path)


def read(importer: Importer, path: Path) -> tuple[list[Imported], Reading]:
    reading = Reading(modified=READ_AT, environment=dict(os.environ), recognise=importing.RECOGNISE)
    return list(importer.read(path, reading)), reading


def facts_of(found: list[Imported], address: str) -> list[Fact]:
    return [fact for one in found if one.address == address for fact in one.facts]


Run = Callable[..., tuple[Path, tuple[Observation, ...]]]


@pytest.fixture
def imported(tmp_path: Path, which: site.Site) -> Run:
    """Imports files into a run and gives its folder and observations."""
    made: list[Path] = []

    def run(*paths: Path, format_: str = "auto") -> tuple[Path, tuple[Observation, ...]]:
        folder = tmp_path / f"run{len(made)}"
        made.append(folder)
        importing.import_files(paths, which, folder, format_=format_, environment=dict(os.environ))
        with RunStore.open(folder / "walkdown.db", read_only=True) as store:
            return folder, store.observations()

    return run


def pcap(*frames: bytes, at: float = 1_700_000_000.0) -> bytes:
    """A capture file (Ethernet, little-endian, microseconds), one frame a second."""
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    records = [
        struct.pack("<IIII", int(at) + number, 0, len(frame), len(frame)) + frame
        for number, frame in enumerate(frames)
    ]
    return head + b"".join(records)


def udp(source: str, sport: int, target: str, dport: int, payload: bytes) -> bytes:
    """An Ethernet frame; checksums are left at zero."""
    length = 20 + 8 + len(payload)
    ip = struct.pack(
        ">BBHHHBBH4s4s", 0x45, 0, length, 0, 0, 64, 17, 0, _packed(source), _packed(target)
    )
    return (
        _ethernet(0x0800) + ip + struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload
    )


def tcp(source: str, sport: int, target: str, dport: int, payload: bytes, *, flags: int) -> bytes:
    ip = struct.pack(
        ">BBHHHBBH4s4s", 0x45, 0, 40 + len(payload), 0, 0, 64, 6, 0, _packed(source),
        _packed(target),
    )  # fmt: skip
    segment = struct.pack(">HHIIBBHHH", sport, dport, 1, 1, 0x50, flags, 8192, 0, 0)
    return _ethernet(0x0800) + ip + segment + payload


def arp(address: str, mac: str) -> bytes:
    """A reply."""
    own, nobody = bytes.fromhex(mac.replace(":", "")), bytes(6)
    body = struct.pack(
        ">HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 2, own, _packed(address), nobody, _packed("10.1.0.99")
    )
    return _ethernet(0x0806) + body


def _ethernet(kind: int) -> bytes:
    return bytes.fromhex("020000000001020000000002") + kind.to_bytes(2, "big")


def _packed(address: str) -> bytes:
    return bytes(int(part) for part in address.split("."))
