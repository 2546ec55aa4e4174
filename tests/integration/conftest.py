"""Whole scans: the `walkdown` command as a user starts it, against emulators on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from lab import control
from lab.frames import PROTOCOLS
from lab.plant import PLANTS, STANDARD_PORTS

FIRST_OCTET, OCTETS_EACH, WORKERS = 160, 12, 8
"""127.160.0.0/16 and up, twelve for each test worker; the lab's own tests stay below."""

_SCRIPT = Path(sys.executable).with_name("walkdown")
COMMAND = (
    [str(_SCRIPT)]
    if _SCRIPT.exists()
    else [sys.executable, "-c", "from scanner.cli import main; main()"]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command ended with."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Everything it said, with line breaks of the terminal taken out."""
        return " ".join(f"{self.out} {self.err}".split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A plant that is up. `folder` is the lab's, with the site file that the lab wrote."""

    folder: Path
    octet: int
    offset: int
    devices: Mapping[str, str]
    """Name to address."""

    def address(self, name: str) -> str:
        return self.devices[name]

    def ports(self) -> dict[str, int]:
        """For `ports:` of a site file."""
        return {
            name: port + self.offset
            for name, port in STANDARD_PORTS.items()
            if not PROTOCOLS[name].named_only
        }

    def ledger(self, name: str) -> dict[str, Any]:
        text = (self.folder / "ledgers" / f"{name}.json").read_text(encoding="utf-8")
        document: dict[str, Any] = json.loads(text)
        return document

    def ledgers(self) -> dict[str, dict[str, Any]]:
        return {name: self.ledger(name) for name in self.devices}


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours, with a terminal wide enough that no table is cut."""
    return {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", **(extra or {})}


@pytest.fixture(scope="session")
def walkdown() -> Callable[..., Said]:
    """`walkdown("scan", site, "--out", folder)`: the installed command, in a process of its own."""

    def _run(
        *arguments: object,
        cwd: Path | None = None,
        timeout: float = 100,
        before: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        preexec: Callable[[], None] | None = None,
    ) -> Said:
        done = subprocess.run(
            [*before, *COMMAND, *map(str, arguments)],
            cwd=cwd,
            env=environment(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
            preexec_fn=preexec,
        )
        return Said(
            code=done.returncode,
            out=done.stdout.decode(errors="replace"),
            err=done.stderr.decode(errors="replace"),
        )

    return _run


@pytest.fixture(scope="session")
def begin_walkdown() -> Callable[..., subprocess.Popen[bytes]]:
    """As `walkdown`, but it is left running; the caller waits for it."""

    def _begin(*arguments: object, cwd: Path | None = None) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            cwd=cwd,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return _begin


@pytest.fixture(scope="session")
def octets() -> Callable[[], int]:
    """A second octet nobody else uses now, for a plant."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS
    numbers = count()
    return lambda: FIRST_OCTET + worker * OCTETS_EACH + next(numbers) % OCTETS_EACH


def part_of_harbour(folder: Path, names: Sequence[str]) -> str:
    """A plant file with some devices of the harbour plant; returns what `lab.control.up` takes."""
    yaml = YAML(typ="safe", pure=True)
    whole = yaml.load((PLANTS / "harbour.yaml").read_text(encoding="utf-8"))
    kept = [device for device in whole["devices"] if device["name"] in names]
    assert len(kept) == len(names), "a name that is not in the plant"
    part = {"site": "Part of the harbour", "zones": whole["zones"], "devices": kept}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "part.yaml").write_text(json.dumps(part), encoding="utf-8")
    return str(folder / "part")


@contextmanager
def standing(folder: Path, octet: int, names: Sequence[str]) -> Iterator[Standing]:
    plant = part_of_harbour(folder / "plant", names)
    record = control.up(plant, folder / "lab", now=datetime.now(UTC), second_octet=octet)
    try:
        yield Standing(
            folder=folder / "lab",
            octet=octet,
            offset=record["base_port_offset"],
            devices={device["name"]: device["address"] for device in record["devices"]},
        )
    finally:
        control.down(folder / "lab")


@pytest.fixture(scope="session")
def stand(octets: Callable[[], int]) -> Callable[..., AbstractContextManager[Standing]]:
    """`with stand(folder, names) as plant:` for a plant that several tests share."""
    return lambda folder, names: standing(folder, octets(), names)


@pytest.fixture
def plant(tmp_path: Path, octets: Callable[[], int]) -> Iterator[Callable[..., Standing]]:
    """
    `plant("PLC-11", "HMI-2")` starts these devices of the harbour plant; stopped at the end. With
    `octet` they stand beside those of a plant that is up.
    """
    numbers = count()
    with ExitStack() as stack:

        def _stand(*names: str, octet: int | None = None) -> Standing:
            folder = tmp_path / f"plant{next(numbers)}"
            return stack.enter_context(standing(folder, octet or octets(), names))

        yield _stand


Document = dict[str, Any]


def site_document(zones: list[Document], **changes: Any) -> Document:
    """A site file's content, authorised from an hour ago to tomorrow."""
    now = datetime.now(UTC).replace(microsecond=0)
    return {
        "site": "Test site",
        "authorisation": {
            "reference": "CHG-1",
            "owner": "Shift lead",
            "contact": "ext. 4711",
            "valid_from": (now - timedelta(hours=1)).isoformat(),
            "valid_until": (now + timedelta(days=1)).isoformat(),
        },
        "zones": zones,
        **changes,
    }


@pytest.fixture
def write_site(tmp_path: Path) -> Callable[..., Path]:
    """`write_site(zones, name="site.yaml", **top_level_keys)` writes a site file."""

    def _write(zones: list[Document], *, name: str = "site.yaml", **changes: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # JSON is YAML
        path.write_text(json.dumps(site_document(zones, **changes), indent=1), encoding="utf-8")
        return path

    return _write


@pytest.fixture(scope="session")
def part() -> Callable[[Path, Sequence[str]], str]:
    """`part(folder, names)`: a plant file with these devices, for a lab started elsewhere."""
    return part_of_harbour


@pytest.fixture(scope="session")
def python() -> str:
    return sys.executable
