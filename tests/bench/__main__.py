"""
How fast a scan is, what it costs, and how near it comes to what its own pacing allows.

    python -m tests.bench                          a thousand devices, three profiles, and nmap
    python -m tests.bench --devices 200 --without-nmap --profiles robust
    python -m tests.bench --out figures.json

A farm (tests/bench/farm.py) of emulated devices stands in a network namespace of its own, with
latency, in its own process. Each profile walks it down with the ordinary command, as a user gives
it: with the report and with the capture that the certificate is made from. nmap asks the same
devices at the same ports, with its scripts for the same protocols. All figures are taken from
outside: time and CPU from the kernel's account of the process and of those that it started, packets
from a capture on the wire.

Lower bound: no scan that keeps its profile's caps can be faster than the greatest of: packets of
the zone ÷ the zone's cap, packets of a device ÷ the device's cap, connections of a device ÷ their
rate. It is taken from the packets that were sent.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from scanner.profiles import PROFILES, Profile
from tests.bench.farm import PROBES, TCP_PORTS, UDP_PORTS, networks, population
from tests.proof.judge.packets import SYN, Packet, read

INSIDE: Final = "WALKDOWN_BENCH_NAMESPACE"
WALKDOWN: Final = (sys.executable, "-c", "from scanner.cli import main; main()")
SCRIPTS: Final = "modbus-discover,s7-info,enip-info,http-title,snmp-info,snmp-sysdescr"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a tool sent to the farm: counted towards the devices are all packets but pure ACKs."""

    packets: int
    acknowledgements: int
    most_of_a_device: int
    connections: int
    most_connections_of_a_device: int
    first_to_last_s: float

    @property
    def all(self) -> int:
        return self.packets + self.acknowledgements


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """`cpu_s` and `peak_mib` of the process and of all that it started."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """`identified` devices of `of` that have a model to tell."""

    tool: str
    devices: int
    identified: int
    of: int
    sent: Sent
    cost: Cost
    bound_s: float | None


def counted(packets: Sequence[Packet]) -> Sent:
    """Of the packets that went to the farm's devices."""
    counting = [packet for packet in packets if packet.counts]
    each = Counter(packet.target for packet in counting)
    opened = Counter(
        (packet.target, packet.target_port, packet.source_port)
        for packet in packets
        if packet.protocol == "tcp" and packet.flags & SYN
    )
    connections = Counter(target for target, _, _ in opened)
    times = [packet.at for packet in packets]
    return Sent(
        packets=len(counting),
        acknowledgements=len(packets) - len(counting),
        most_of_a_device=max(each.values(), default=0),
        connections=len(opened),
        most_connections_of_a_device=max(connections.values(), default=0),
        first_to_last_s=max(times) - min(times) if times else 0.0,
    )


def lower_bound(sent: Sent, profile: Profile) -> float | None:
    """In seconds; None where the profile has no caps."""
    bounds = []
    if profile.zone_packets_per_s is not None:
        bounds.append(sent.packets / profile.zone_packets_per_s)
    if profile.packets_per_s is not None:
        bounds.append(sent.most_of_a_device / profile.packets_per_s)
    if profile.connection_interval_s:
        bounds.append(sent.most_connections_of_a_device * profile.connection_interval_s)
    return max(bounds, default=None)


@contextmanager
def farm(devices: int, latency_ms: float) -> Iterator[None]:
    """Listening farm in a process of its own. SystemExit when it does not come up."""
    words = [sys.executable, "-m", "tests.bench.farm"]
    words += ["--devices", str(devices), "--latency-ms", str(latency_ms)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            if process.stdout.readline().strip() != "ready":
                raise SystemExit("the farm did not come up; what it lacks is said above")
            yield
        finally:
            process.stdin.close()
            process.kill()


@contextmanager
def wire(into: Path) -> Iterator[None]:
    """What passes on loopback, whole."""
    words = ["tcpdump", "-i", "lo", "-n", "-U", "-s", "0", "-B", "65536", "-w", str(into)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while line := process.stderr.readline():
            if "listening on" in line:
                break
        else:
            raise SystemExit("tcpdump does not run: it is needed, and the right to capture")
        try:
            yield
        finally:
            time.sleep(0.5)  # tcpdump reads in blocks; its last one is not lost so
            process.send_signal(signal.SIGINT)
            said = process.stderr.read()
            process.wait()
    lost = re.search(r"(\d+) packets dropped by kernel", said)
    if lost and int(lost[1]):
        raise SystemExit(f"tcpdump lost {lost[1]} packets: the figures would be too low")


def measured(words: Sequence[str], said: Path) -> Cost:
    """The command's cost, by the kernel's account. What it says goes into a file."""
    with said.open("wb") as log:
        began = time.monotonic()
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(
        wall_s=wall,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_mib=usage.ru_maxrss / 1024,
        code=process.returncode,
    )


def _sent(capture: Path, devices: int) -> Sent:
    addresses = {str(address) for address in population(devices)}
    return counted([one for one in read([capture]) if one.target in addresses])


def walkdown(profile: str, devices: int, folder: Path) -> Run:
    """One scan of the farm in that profile. SystemExit when it fails."""
    site, run = folder / f"{profile}.json", folder / profile
    zone = {
        "id": "farm",
        "networks": [str(network) for network in networks(devices)],
        "sl_t": 1,
        "profile": profile,
        "probes": list(PROBES),
    }
    site.write_text(json.dumps({"site": "Farm", "zones": [zone]}), encoding="utf-8")
    capture, said = folder / f"{profile}.pcap", folder / f"{profile}.txt"
    with wire(capture):
        cost = measured([*WALKDOWN, "scan", str(site), "--out", str(run)], said)
    if not (run / "assessment.json").exists():
        raise SystemExit(said.read_text(encoding="utf-8", errors="replace")[-2000:])
    assessment = json.loads((run / "assessment.json").read_bytes())
    found = dict.fromkeys((str(address) for address in population(devices)), "")
    for asset in assessment["assets"]:
        text = json.dumps(asset["identity"], ensure_ascii=False)
        for address in asset["addresses"]:
            if address in found:
                found[address] += text
    sent = _sent(capture, devices)
    return Run(
        tool=f"walkdown, {profile}",
        devices=devices,
        **identified(found, devices),
        sent=sent,
        cost=cost,
        bound_s=lower_bound(sent, PROFILES[profile]),
    )


def nmap(devices: int, folder: Path) -> Run:
    """nmap with its scripts for the same protocols at the same ports; timing as it chooses."""
    if shutil.which("nmap") is None:
        raise SystemExit("nmap is not installed (Debian package nmap); or: --without-nmap")
    ports = f"T:{','.join(map(str, TCP_PORTS))},U:{','.join(map(str, UDP_PORTS))}"
    report, targets = folder / "nmap.xml", folder / "targets.txt"
    targets.write_text("\n".join(map(str, population(devices))), encoding="utf-8")
    words = ["nmap", "-n", "-Pn", "-sS", "-sU", "-p", ports, "--script", SCRIPTS]
    words += ["-oX", str(report), "-iL", str(targets)]
    capture = folder / "nmap.pcap"
    with wire(capture):
        cost = measured(words, folder / "nmap.txt")
    if cost.code:
        raise SystemExit((folder / "nmap.txt").read_text(encoding="utf-8")[-2000:])
    found = dict.fromkeys((str(address) for address in population(devices)), "")
    for host in re.findall(r"<host .*?</host>", report.read_text("utf-8", "replace"), re.DOTALL):
        address = re.search(r'<address addr="([0-9.]+)"', host)
        if address and address[1] in found:
            found[address[1]] += host
    return Run(
        tool="nmap, ICS scripts",
        devices=devices,
        **identified(found, devices),
        sent=_sent(capture, devices),
        cost=cost,
        bound_s=None,
    )


def identified(found: Mapping[str, str], devices: int) -> dict[str, int]:
    """How many of the devices that have a model to tell are known by it."""
    telling = {str(at): kind.model for at, kind in population(devices).items() if kind.model}
    hits = sum(model.lower() in found[address].lower() for address, model in telling.items())
    return {"identified": hits, "of": len(telling)}


def table(runs: Sequence[Run]) -> str:
    """A line for each tool, and the ratios that count."""
    head = (
        "tool", "wall s", "asking s", "devices/s", "CPU ms/device", "peak MiB", "packets/device",
        "all packets/device", "known", "lower bound s", "wall ÷ bound",
    )  # fmt: skip
    rows = [head]
    for run in runs:
        cost, sent = run.cost, run.sent
        rows.append(
            (
                run.tool, f"{cost.wall_s:.1f}", f"{sent.first_to_last_s:.1f}",
                f"{run.devices / cost.wall_s:.1f}", f"{cost.cpu_s / run.devices * 1000:.2f}",
                f"{cost.peak_mib:.0f}", f"{sent.packets / run.devices:.2f}",
                f"{sent.all / run.devices:.2f}", f"{run.identified}/{run.of}",
                "none" if run.bound_s is None else f"{run.bound_s:.1f}",
                "" if run.bound_s is None else f"{cost.wall_s / run.bound_s:.2f}",
            )
        )  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    lines += ["", *ratios(runs)]
    return "\n".join(lines)


def ratios(runs: Sequence[Run]) -> Iterator[str]:
    """Each run beside nmap's, where there is one."""
    other = next((run for run in runs if run.tool.startswith("nmap")), None)
    if other is None:
        return
    for run in runs:
        if run is not other:
            faster = other.cost.wall_s / run.cost.wall_s
            packets = run.sent.packets / other.sent.packets
            yield (
                f"{run.tool}: {faster:.1f} times as fast as nmap, {packets:.2f} of its packets "
                f"({run.sent.all / other.sent.all:.2f} with acknowledgements)"
            )


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="tests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--latency-ms", type=float, default=20.0)
    parser.add_argument("--profiles", default="lab,robust,default", help="by name, with commas")
    parser.add_argument("--without-nmap", action="store_true")
    parser.add_argument("--out", type=Path, help="the figures, as JSON")
    parser.add_argument("--keep", type=Path, help="a folder for runs, captures and what was said")
    options = parser.parse_args()
    unknown = set(options.profiles.split(",")) - set(PROFILES)
    if unknown:
        parser.error(f"no profile is called {', '.join(sorted(unknown))}")
    if os.environ.get(INSIDE) != "yes":
        return _inside_a_namespace()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory(prefix="walkdown-bench-") as made:
        folder = options.keep or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        runs = list(_runs(options, folder))
    print(table(runs))
    if options.out:
        figures: list[dict[str, Any]] = [asdict(run) for run in runs]
        options.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


def _runs(options: argparse.Namespace, folder: Path) -> Iterator[Run]:
    with farm(options.devices, options.latency_ms):
        for profile in options.profiles.split(","):
            print(f"walkdown, {profile} …", file=sys.stderr, flush=True)
            yield walkdown(profile, options.devices, folder)
        if not options.without_nmap:
            print("nmap …", file=sys.stderr, flush=True)
            yield nmap(options.devices, folder)


def _inside_a_namespace() -> int:
    """This command again, where nothing but loopback is, and nobody else's packets."""
    if os.geteuid() != 0:
        raise SystemExit("a network namespace needs root: run the benchmark as root")
    words = [sys.executable, "-m", "tests.bench", *sys.argv[1:]]
    script = 'ip link set lo up && exec "$@"'
    environment = os.environ | {INSIDE: "yes"}
    return subprocess.run(
        ["unshare", "--net", "sh", "-c", script, "sh", *words], env=environment, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
