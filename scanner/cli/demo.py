"""The demonstration: the bundled plant started, walked down, assessed and stopped."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from lab import control, score
from lab.errors import LabError
from lab.plant import load
from reports.inert import ascii_json
from scanner.cli import assessing, display, rights, scanning
from scanner.errors import UsageError
from scanner.model import Assessment

PLANT = "harbour"
OURS = ("walkdown.db", "walkdown.db-wal", "walkdown.db-shm", "assessment.json", "report.html")


def lab_up(plant: str, folder: Path, now: datetime) -> dict[str, Any]:
    try:
        return control.up(plant, folder, now=now)
    except LabError as error:
        raise UsageError(str(error)) from error


def lab_down(folder: Path) -> dict[str, Any]:
    try:
        return control.down(folder)
    except LabError as error:
        raise UsageError(str(error)) from error


async def run(
    folder: Path,
    *,
    now: datetime,
    console: Console,
    environment: Mapping[str, str],
    watch_packets: bool = True,
) -> tuple[Assessment, scanning.ScanEnd, str]:
    """The demo from start to end. The lab is stopped whatever happens."""
    rights.check_files(read=(), write=(folder,))
    _make_room(folder)
    lab = folder / "lab"
    with _ending_as_by_ctrl_c():
        end = await _walked_down(folder, lab, now, console, environment, watch_packets)
    which = scanning.load_site(lab / "site.yaml")
    assessment = assessing.assess_runs(
        [end.store], which, now=scanning.utc_now(), environment=environment
    )
    assessing.write_reports(assessment, folder)
    return assessment, end, ledger_words(lab)


async def _walked_down(
    folder: Path,
    lab: Path,
    now: datetime,
    console: Console,
    environment: Mapping[str, str],
    watch_packets: bool,
) -> scanning.ScanEnd:
    console.print("Starting the plant on loopback …")
    record = lab_up(PLANT, lab, now)
    try:
        await asyncio.sleep(0)  # whoever said stop meanwhile is heard here
        console.print(f"{len(record['devices'])} devices are up. Walking them down …")
        helper = rights.give_up(watch_packets=watch_packets)  # the lab needs low ports, we do not
        order = scanning.ScanOrder(site_file=lab / "site.yaml", out=folder, capture=watch_packets)
        return await scanning.scan(
            order, environment=environment, watch=display.Progress(console), helper=helper
        )
    finally:
        lab_down(lab)
        console.print("The plant is stopped.")


@contextmanager
def _ending_as_by_ctrl_c() -> Iterator[None]:
    """SIGTERM and a closed terminal, which would end us at once and leave the plant running."""
    us, told, previous = asyncio.current_task(), [], {}

    def stop(number: int, frame: object) -> None:
        told.append(number)
        if us is not None:
            us.cancel()
            us.get_loop().call_soon_threadsafe(lambda: None)  # wakes it

    for name in ("SIGTERM", "SIGHUP"):
        sign = getattr(signal, name, None)  # Windows has no SIGHUP
        if sign is not None and signal.getsignal(sign) is not signal.SIG_IGN:  # nohup
            previous[sign] = signal.signal(sign, stop)
    try:
        yield
    except asyncio.CancelledError:
        if told:
            raise KeyboardInterrupt from None
        raise
    finally:
        for sign, before in previous.items():
            signal.signal(sign, before)


def _make_room(folder: Path) -> None:
    """An earlier demo gives way to the new one; anything else is left alone."""
    if not folder.exists():
        return
    is_demo = (folder / "lab" / "site.yaml").exists()
    if not is_demo and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty and is no demo\n  hint: choose another --out")
    record = control.read_record(folder / "lab")
    if record is not None and control.is_running(record):
        raise UsageError(
            f"a lab is running from {folder / 'lab'}\n  hint: walkdown lab down {folder / 'lab'}"
        )
    for name in OURS:
        (folder / name).unlink(missing_ok=True)
    for name in ("tables", "lab"):
        shutil.rmtree(folder / name, ignore_errors=True)


def ledger_words(lab: Path) -> str:
    return score.render_ledgers(score.ledger_totals(lab))


def lab_score(run: Path, plant: str, folder: Path | None, *, as_json: bool) -> tuple[str, bool]:
    """The score as text (or JSON) and whether it is perfect."""
    file = run / "assessment.json" if run.is_dir() else run
    try:
        document = json.loads(file.read_bytes())
        found = score.score(document, load(plant))
        ledgers = folder or (run / "lab" if (run / "lab").is_dir() else None)
        totals = score.ledger_totals(ledgers) if ledgers is not None else {}
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(
            f"{file}: not a whole assessment.json\n  hint: write it again: walkdown assess {run}"
        ) from error
    except LabError as error:
        raise UsageError(str(error)) from error
    if as_json:
        document = json.dumps({"score": asdict(found), "ledgers": totals}, indent=2, default=str)
        text = ascii_json(document.encode()).decode()
    else:
        text = score.render(found)
        if totals:
            text += "\n\n" + score.render_ledgers(totals)
    return text, found.perfect
