"""
Start a plant in a process of its own, and stop it again.

`up` starts `python -m lab serve PLANT DIRECTORY`, waits until that process says that every port
listens, and leaves DIRECTORY/lab.json behind: pid, when the process started, addresses, ports.
`down` ends exactly that process: the record must fit the running process by its start time and
its command line, else nothing is ended.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.ledger import write_json
from lab.plant import load, shifted
from lab.running import RunningPlant, default_offset, start
from lab.site_file import write_site

RECORD = "lab.json"
LOG = "lab.log"
START_WITHIN_S = 30.0
STOP_WITHIN_S = 10.0
_POLL_S = 0.05


def up(
    plant_name: str,
    directory: Path,
    *,
    now: datetime,
    base_port_offset: int | None = None,
    second_octet: int | None = None,
    networks: Sequence[str] = (),
    prefix: Sequence[str] = (),
    within_s: float = START_WITHIN_S,
) -> dict[str, Any]:
    """
    Start a plant in the background and write DIRECTORY/site.yaml. Returns the record.

    `base_port_offset` None: the standard ports where they are free to us, else 20,000 higher.
    `second_octet` as in lab.plant.load; a plant may also be named by its file. `networks` are
    where devices may stand beside loopback, "10.77.0.0/16". `prefix` is put before the command
    that starts the process, such as ("ip", "netns", "exec", NAME); it must keep the pid.
    Raises LabError when a lab runs there already, when a port is taken, or when the emulators do
    not come up in time.
    """
    if not Path("/proc/self/stat").exists():
        raise LabError("the lab runs on Linux only: it knows its own process by /proc")
    offset = default_offset() if base_port_offset is None else base_port_offset
    # a wrong name is told here, not in a log
    second_octet = load(plant_name, second_octet=second_octet).second_octet
    directory = directory.resolve()
    record = read_record(directory)
    if record is not None:
        if is_running(record):
            raise LabError(
                f"a lab is already running from {directory} (pid {record['pid']}). "
                f"Stop it first: walkdown lab down {directory}"
            )
        (directory / RECORD).unlink()
    directory.mkdir(parents=True, exist_ok=True)
    for ledger in (directory / "ledgers").glob("*.json"):
        ledger.unlink()
    command = [
        *prefix, sys.executable, "-P", "-m", "lab", "serve", plant_name, str(directory),
        "--now", now.isoformat(), "--offset", str(offset), "--octet", str(second_octet),
        *(word for network in networks for word in ("--network", network)),
    ]  # fmt: skip
    with (directory / LOG).open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own module, arguments checked above
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": _search_path()},
        )
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        record = read_record(directory)
        if record is not None and record["pid"] == process.pid:
            if not prefix:  # else its ports are in another namespace than ours
                _check_listening(record, directory)
            process.returncode = 0  # it outlives us on purpose: no warning when we forget it
            return record
        if process.poll() is not None:
            raise LabError(_last_words(directory, process.returncode))
        time.sleep(_POLL_S)
    process.kill()
    process.wait()
    raise LabError(f"the lab did not start within {within_s:.0f} s; see {directory / LOG}")


def down(directory: Path) -> dict[str, Any]:
    """
    Stop the lab that was started in `directory`, and wait until its ledgers are written.

    Returns its record. Raises LabError when there is none, or when its process is not ours.
    """
    directory = directory.resolve()
    record = read_record(directory)
    if record is None:
        raise LabError(f"no lab was started in {directory}: there is no {RECORD}")
    if not is_running(record):
        (directory / RECORD).unlink()
        raise LabError(
            f"the lab of {directory} is not running any more (pid {record['pid']} is gone or "
            f"belongs to another program); its {RECORD} was removed. Nothing was stopped."
        )
    pid = int(record["pid"])
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_WITHIN_S
    while is_running(record):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            break
        _reap(pid)
        time.sleep(_POLL_S)
    (directory / RECORD).unlink(missing_ok=True)
    return record


def _search_path() -> str:
    """Where the new process finds this package, also when it was started from a checkout."""
    ours = str(Path(__file__).resolve().parent.parent)
    return os.pathsep.join(filter(None, (ours, os.environ.get("PYTHONPATH"))))


def read_record(directory: Path) -> dict[str, Any] | None:
    """DIRECTORY/lab.json, None when there is none. Raises LabError when it is not a record."""
    path = directory / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict) or not isinstance(record["pid"], int):
            raise ValueError("no pid")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError) as error:
        raise LabError(
            f"{path} is not a lab's record ({error}). If no lab is running, delete the file."
        ) from error
    return record


def is_running(record: Mapping[str, Any]) -> bool:
    """Whether the recorded process is still there, and still ours."""
    pid = int(record["pid"])
    started = process_started(pid)
    return started is not None and started == record.get("started") and _is_lab(pid)


def process_started(pid: int) -> str | None:
    """A mark of when a process began that no later process with its pid shares; None: gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else f"{boot}/{fields[19]}"  # field 22 of proc(5): starttime


def _is_lab(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"lab" in words and b"serve" in words


def _reap(pid: int) -> None:
    """Collect the process where it is our child."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _check_listening(record: Mapping[str, Any], directory: Path) -> None:
    """Every TCP port of the record must be bound: binding it again has to fail."""
    for device in record["devices"]:
        for port in device["tcp"] if "closed" not in device["faults"] else ():
            with socket.socket() as sock:
                try:
                    sock.bind((device["address"], port))
                except OSError:
                    continue
            raise LabError(
                f"{device['name']} does not listen on {device['address']}:{port}; "
                f"see {directory / LOG}"
            )


def _last_words(directory: Path, code: int | None) -> str:
    try:
        lines = (directory / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    said = lines[-1] if lines else "it said nothing"
    return f"the lab did not start (exit code {code}): {said.removeprefix('lab: ')}"


async def serve(
    plant_name: str,
    directory: Path,
    *,
    now: datetime,
    base_port_offset: int,
    second_octet: int,
    until: asyncio.Event,
    networks: Sequence[IPv4Network] = (),
) -> None:
    """Run a plant until `until` is set: what the background process does."""
    plant = load(plant_name, second_octet=second_octet)
    running = await start(
        plant, directory, now=now, base_port_offset=base_port_offset, networks=networks
    )
    try:
        write_site(
            plant,
            directory,
            now=now,
            base_port_offset=base_port_offset,
            host_keys=running.host_keys,
        )
        write_json(directory / RECORD, record_of(running, pid=os.getpid()))
        await until.wait()
    finally:
        await running.stop()


def record_of(running: RunningPlant, *, pid: int) -> dict[str, Any]:
    return {
        "plant": running.plant.name,
        "second_octet": running.plant.second_octet,
        "pid": pid,
        "started": process_started(pid),
        "base_port_offset": running.base_port_offset,
        "site": str(running.directory / "site.yaml"),
        "ledgers": str(running.directory / "ledgers"),
        "devices": [
            {
                "name": device.name,
                "address": device.address,
                "tcp": _ports(running, device.name, "tcp"),
                "udp": _ports(running, device.name, "udp"),
                "faults": [given.behaviour.name for given in device.faults],
            }
            for device in running.plant.devices
            if device.address is not None
        ],
    }


def _ports(running: RunningPlant, device: str, transport: str) -> list[int]:
    return [
        shifted(service.port, running.base_port_offset)
        for service in running.plant.device(device).services
        if transport in service.transports
    ]
