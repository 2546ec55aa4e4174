"""
Least privilege: what every process of a scan may do while it scans, read from the kernel.

The real commands are started as root on the proving ground. From start to end the status of every
thread of every process that comes from them is read, tens of times a second. What counts is
how they stood from the moment that the first packet left for a device: until then the process gives
up what it was started with. The web interface is measured here too as soon as there is one.

Sources: proc_pid_status(5), capabilities(7).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.proof import stops
from tests.proof.ground import OWN, Ground, ground
from tests.proof.judge.packets import read
from tests.proof.promise import KEPT_FAULTS, Measured, Promise, Unable, Work

COMMANDS = ("scan", "schedule run", "demo")
NET_RAW = 1 << 13
SETS = ("CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd")
PAUSE_S = 0.015
PROBES = ("modbus", "enip")
"""Enough for all kinds of processes: EtherNet/IP is read by a library in a process of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How one thread stood at a moment (seconds since 1970)."""

    at: float
    pid: int
    thread: int
    role: str
    sets: Mapping[str, int]
    no_new_privs: bool

    @property
    def fault(self) -> str:
        """What this thread may do beyond its role; "" when nothing."""
        allowed = NET_RAW if self.role == "capture helper" else 0
        wrong = [f"{name} {value:#x}" for name, value in self.sets.items() if value & ~allowed]
        if self.role == "capture helper" and self.sets["CapEff"] != NET_RAW:
            wrong.append(f"CapEff {self.sets['CapEff']:#x} and not bit 13")
        if not self.no_new_privs:
            wrong.append("no_new_privs not set")
        return f"{self.role}: {', '.join(wrong)}" if wrong else ""


@dataclass(slots=True)
class Watched:
    """Everything that was read of one command's processes. `began` is its first packet."""

    command: str
    statuses: list[Status] = field(default_factory=list)
    began: float = 0.0

    @property
    def counted(self) -> list[Status]:
        return [one for one in self.statuses if one.at >= self.began]


def measure(work: Work) -> Measured:
    commands = COMMANDS[: work.count]
    with ground() as made:
        path = stops.plant(work.folder / "plant.yaml", blocks=len(COMMANDS))
        with stops.emulated(made, path, work.folder):
            watched = [_watch(work, made, n, command) for n, command in enumerate(commands)]
    statuses = [status for one in watched for status in one.counted]
    faults = {status.fault: None for status in statuses if status.fault}
    processes = {(status.role, status.pid) for status in statuses}
    roles = {
        role: sum(1 for name, _ in processes if name == role)
        for role in ("scanner", "library worker", "capture helper", "other")
    }
    for role in ("scanner", "library worker", "capture helper"):
        if not roles[role]:
            faults[f"no {role} was seen, so nothing is known of it"] = None
    for name, what in _tried(work).items():
        faults |= {f"{name}: {what}": None} if what else {}
    processes_pass = not faults
    missing = _web_interface(work)
    faults |= {missing: None} if missing else {}
    seen = ", ".join(f"{count} {role}" for role, count in roles.items() if count)
    verdict = "all as promised" if processes_pass else "NOT as promised"
    return Measured(
        passed=not faults,
        value=f"processes of {', '.join(commands)}: {verdict}; {len(statuses):,} readings of "
        f"{len({(s.pid, s.thread) for s in statuses}):,} threads ({seen}): {stood(statuses)}; "
        f"web interface: {'not measured' if missing else 'measured'}",
        cases=len(statuses),
        bad=sum(bool(status.fault) for status in statuses),
        faults=tuple(faults)[:KEPT_FAULTS],
        note=missing,
    )


def stood(statuses: Sequence[Status]) -> str:
    """Every value that was read, in words."""
    helper = {one.sets["CapEff"] for one in statuses if one.role == "capture helper"}
    others = {one.sets["CapEff"] for one in statuses if one.role != "capture helper"}
    privileges = {int(one.no_new_privs) for one in statuses}
    in_helper = "only bit 13" if helper == {NET_RAW} else _either(helper)
    return (
        f"CapEff {_either(others)} in the main process and its workers, {in_helper} in the helper, "
        f"NoNewPrivs {_either(privileges)}"
    )


def _either(values: set[int]) -> str:
    return " or ".join(f"{one:#x}" if one > 1 else str(one) for one in sorted(values)) or "unseen"


# --- the processes of a command -----------------------------------------------------------------


def _watch(work: Work, made: Ground, block: int, command: str) -> Watched:
    folder = work.folder / command.replace(" ", "-")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    words = _words(work, made, command, block, folder)
    work.say(f"walkdown {command}")
    found = Watched(command)
    side = "device" if command == "demo" else "scanner"
    with made.captured(folder) as capture, (folder / "said").open("wb") as said:
        process = made.start(side, *words, stdout=said, stderr=said, stdin=subprocess.DEVNULL)
        roles = {process.pid: "scanner"}
        while process.poll() is None:
            found.statuses += _read_all(process.pid, roles)
            time.sleep(PAUSE_S)
    if process.returncode != 0:
        tail = (folder / "said").read_text(errors="replace")[-300:]
        raise Unable(f"walkdown {command} ended with {process.returncode}: {tail}")
    if command == "demo":  # on loopback, its own capture tells when it began
        found.began = _first_of(next(folder.rglob("capture.pcap")))
        return found
    sent = [p.at for p in read([capture.device]) if p.source in OWN]
    if not sent:
        raise Unable(f"walkdown {command} sent nothing, so nothing is measured")
    found.began = min(sent)
    return found


def _words(work: Work, made: Ground, command: str, block: int, folder: Path) -> list[str]:
    walkdown = list(work.setting.walkdown)
    if command == "demo":
        return [*walkdown, "demo", "--out", str(folder / "demo")]
    site = stops.site(folder / "site.yaml", block, probes=PROBES)
    if command == "scan":
        return [*walkdown, "scan", str(site), "--out", str(folder / "run")]
    first = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=6)
    made.run(
        "scanner", *walkdown, "schedule", "add", str(site), "--name", "night", "--rule",
        "FREQ=DAILY", "--start", first.strftime("%Y-%m-%dT%H:%M:%S"),
    )  # fmt: skip
    while datetime.now(UTC) < first:
        time.sleep(0.1)
    return [*walkdown, "schedule", "run", str(site), "--out", str(folder / "runs")]


def _first_of(capture: Path) -> float:
    data = capture.read_bytes()[24:40]
    return int.from_bytes(data[:4], "little") + int.from_bytes(data[4:8], "little") / 1e9


def _read_all(root: int, roles: dict[int, str]) -> Iterator[Status]:
    """
    Every thread of a process and of all that came from it, except the emulators of a lab. `roles`
    are known by process id: one that is about to end has no command line any more.
    """
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError, IndexError, ValueError):
                told = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                parents.setdefault(int(told[1]), []).append(int(entry.name))
    todo = [root]
    while todo:
        pid = todo.pop()
        if roles.get(pid, "other") == "other":
            roles[pid] = _role(pid)
        role = roles[pid]
        if role == "lab":
            continue  # the plant is not the scanner; it ends with the demo
        todo += parents.get(pid, [])
        with suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                with suppress(OSError, KeyError, ValueError):
                    yield _status(pid, int(task.name), role)


def _role(pid: int) -> str:
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        for name, role in (
            (b"scanner.capture", "capture helper"),
            (b"scanner.clients.cip_worker", "library worker"),
            (b"lab", "lab"),
        ):
            if name in words:
                return role
    return "other"


def _status(pid: int, thread: int, role: str) -> Status:
    at = time.time()
    text = Path(f"/proc/{pid}/task/{thread}/status").read_text(errors="replace")
    told = {
        name: rest.strip() for name, _, rest in (line.partition(":") for line in text.split("\n"))
    }
    if told["State"].startswith(("Z", "X")):
        raise ValueError("gone")
    return Status(
        at=at,
        pid=pid,
        thread=thread,
        role=role,
        sets={name: int(told[name], 16) for name in SETS},
        no_new_privs=told["NoNewPrivs"] == "1",
    )


# --- what such a process is refused -------------------------------------------------------------

_TRY = """
import json, os, socket, sys
from pathlib import Path
from scanner import capture, privileges
if sys.argv[1] == "helper":
    privileges.drop(keep=privileges.NET_RAW)
else:
    privileges.drop()
def port_80():
    with socket.socket() as one: one.bind(("127.69.0.1", 80))
def watch_packets():
    socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)).close()
def raw():
    socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close()
def others_file():
    Path(sys.argv[2]).read_bytes()
def give_away():
    os.chown(sys.argv[3], 1, 1)
def other_user():
    os.setresuid(1, 1, 1)
def set_clock():
    import time
    time.clock_settime(time.CLOCK_REALTIME, time.time())
found = {}
for one in (port_80, watch_packets, raw, others_file, give_away, other_user, set_clock):
    try:
        one()
        found[one.__name__] = "done"
    except PermissionError:
        found[one.__name__] = "refused"
    except OSError as error:
        found[one.__name__] = str(error)
print(json.dumps(found))
"""


def _tried(work: Work) -> dict[str, str]:
    """What went otherwise than promised, by (role, deed); empty where all went as promised."""
    foreign, own = work.folder / "foreign", work.folder / "own"
    for path in (foreign, own):
        path.unlink(missing_ok=True)
        path.write_text("x")
    foreign.chmod(0o600)
    shutil.chown(foreign, 65534, 65534)
    wrong: dict[str, str] = {}
    for role in ("scanner", "helper"):
        done = subprocess.run(
            [_python(work.setting.walkdown), "-c", _TRY, role, str(foreign), str(own)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise Unable(f"the deeds of a {role} could not be tried: {done.stderr[-300:]}")
        for deed, outcome in json.loads(done.stdout).items():
            may = role == "helper" and deed in ("watch_packets", "raw")
            if outcome != ("done" if may else "refused"):
                wrong[f"{role}, {deed.replace('_', ' ')}"] = outcome
    return wrong


def _python(walkdown: Sequence[str]) -> str:
    return walkdown[0]


# --- the web interface --------------------------------------------------------------------------


def _web_interface(work: Work) -> str:
    """Why the closed user interface was not measured."""
    done = subprocess.run(
        [*work.setting.walkdown, "serve", "--help"], capture_output=True, timeout=60, check=False
    )
    if done.returncode != 0:
        return (
            "the web interface (`walkdown serve`) is not built yet, so its 100 attacks "
            "(cross-site requests, rebinding, Host, traversal, stored script) were not made"
        )
    return "there is a web interface, and its 100 attacks are not written yet"


PROMISE = Promise(
    number=29,
    title="Least privilege, closed UI",
    target="CapEff 0 (helper: only bit 13) and NoNewPrivs 1 in every process; of 100 attacks on "
    "the web interface none succeeds",
    counts={"ci": 1, "full": len(COMMANDS)},
    measure=measure,
    aside=True,
)
