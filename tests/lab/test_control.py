"""A plant in a process of its own: it comes up whole, says so, and goes down by its own pid."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest

from lab.control import RECORD, down, is_running, process_started, read_record, up
from lab.errors import LabError
from lab.score import ledger_totals

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
HIGH = 20_000

pytestmark = pytest.mark.lab


def get(url: str) -> int:
    """Status of a GET without proxies, by the standard library."""
    with build_opener(ProxyHandler({})).open(url, timeout=3) as reply:
        return int(reply.status)


@pytest.mark.parametrize("offset", [0, HIGH], ids=["standard ports", "high ports"])
def test_up_and_down(tmp_path: Path, octet: int, offset: int) -> None:
    if offset == 0 and os.geteuid() != 0:
        pytest.skip("standard ports need root")

    record = up("harbour", tmp_path, now=NOW, base_port_offset=offset, second_octet=octet)
    try:
        assert is_running(record)
        assert get(f"http://127.{octet}.1.10:{80 + offset}/") == 200
        assert (tmp_path / "site.yaml").is_file()
        assert json.loads((tmp_path / RECORD).read_text()) == record
        with pytest.raises(LabError, match=r"already running.*walkdown lab down"):
            up("harbour", tmp_path, now=NOW, base_port_offset=offset, second_octet=octet)
        with pytest.raises(LabError, match=r"cannot listen on .*Address already in use"):
            up("harbour", tmp_path / "b", now=NOW, base_port_offset=offset, second_octet=octet)
    finally:
        down(tmp_path)

    assert not is_running(record)
    assert not (tmp_path / RECORD).exists()
    totals = ledger_totals(tmp_path)
    assert (totals["connections"], totals["fragile_alive"]) == (1, 1)
    assert (tmp_path / "lab.log").read_text() == ""


def test_without_the_right_to_low_ports_all_ports_are_high(tmp_path: Path, octet: int) -> None:
    code = (
        "import sys; from datetime import *; from pathlib import Path\n"
        "from lab.control import up, down\n"
        f"r = up('harbour', Path(sys.argv[1]), now=datetime.now(UTC), second_octet={octet})\n"
        "down(Path(sys.argv[1])); print(r['base_port_offset'])\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    if os.geteuid() == 0:
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("setpriv is not installed")
        without = "-net_bind_service"
        command = [setpriv, "--bounding-set", without, "--inh-caps", without, *command]
    elif int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) < 1024:
        pytest.skip("low ports are free to everybody here")

    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )

    assert (done.stdout, done.stderr) == (f"{HIGH}\n", "")


def test_down_without_a_lab_says_so(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no lab was started"):
        down(tmp_path)


def test_down_never_ends_a_process_that_is_not_the_lab(tmp_path: Path) -> None:
    """The recorded pid is alive, but belongs to somebody else: here, to this very test."""
    record = {"pid": os.getpid(), "started": process_started(os.getpid()), "devices": []}
    (tmp_path / RECORD).write_text(json.dumps(record))

    with pytest.raises(LabError, match="not running any more"):
        down(tmp_path)

    assert read_record(tmp_path) is None


def test_a_stale_record_does_not_keep_a_lab_from_starting(tmp_path: Path, octet: int) -> None:
    (tmp_path / RECORD).write_text(json.dumps({"pid": 2**22 + 1, "started": "x", "devices": []}))

    record = up("harbour", tmp_path, now=NOW, base_port_offset=HIGH, second_octet=octet)
    down(tmp_path)

    assert record["pid"] != 2**22 + 1


def test_a_broken_record_is_told(tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text("{")

    with pytest.raises(LabError, match="delete the file"):
        down(tmp_path)


def test_an_unknown_plant_starts_nothing(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="no plant 'sea'"):
        up("sea", tmp_path / "d", now=NOW)
    assert not (tmp_path / "d").exists()


def test_a_start_begins_with_a_fresh_site_state(tmp_path: Path, octet: int) -> None:
    for name in ("site.state.db", "site.state.db-wal"):
        (tmp_path / name).write_text("old")

    up("harbour", tmp_path, now=NOW, base_port_offset=HIGH, second_octet=octet)
    down(tmp_path)

    assert not list(tmp_path.glob("site.state.db*"))
