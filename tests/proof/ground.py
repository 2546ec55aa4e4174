"""
The proving ground: three network namespaces of the proof's own, and what passes on their wires.

    scanner s0 ── r0 router r1 ── d0 device      routed: 10.77.0.0/16, all of it the device side
            s1 ──────────────────── d1           on the link: 10.78.0.0/25, found by ARP

Every address of both networks is local to the device side (AnyIP), so that emulators bind the
addresses that they like and a scan may meet thousands. Whatever the scanner sends elsewhere ends
silently in the router, and is captured on the way. IPv6 is off: the kernel then says nothing by
itself. No segment leaves larger than the link carries (no offload): a packet captured is a packet.

Sources: ip-netns(8), ip-route(8) type local, nft(8), pcap-savefile(5).
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Literal

from tests.proof.promise import Unable

Side = Literal["scanner", "router", "device"]

ROUTED = "10.77.0.0/16"
ON_LINK = "10.78.0.0/25"
SCANNER = "10.76.0.1"
"""Where routed packets of the scanner come from."""
SCANNER_ON_LINK = "10.78.0.254"
OWN = (SCANNER, SCANNER_ON_LINK)

SNAPSHOT = "2048"
"""More than a frame here can have (the judge refuses a cut one); the kernel's ring has a place of
this size for each frame, so that a larger one would have room for fewer."""

_TOOLS = {"ip": "iproute2", "tcpdump": "tcpdump", "nft": "nftables"}
_NAME = re.compile(r"^wdproof-(\d+)-(\d+)-\d+-[srd]$")
_numbers = count()

_FIREWALL = """
table netdev proof {
  set dead { type ipv4_addr; }
  set living { type ipv4_addr; }
  chain in0 { type filter hook ingress device d0 priority 0; ip daddr @dead drop; }
  chain in1 { type filter hook ingress device d1 priority 0; ip daddr @dead drop; }
  chain out0 { type filter hook egress device d0 priority 0; ip saddr @dead drop; }
  chain out1 { type filter hook egress device d1 priority 0; ip saddr @dead drop; }
}
"""
"""Behind the capture on the way in, before it on the way out: a dead device is seen to be asked
and never to answer, neither with a packet of its own nor with one of its kernel."""


def able() -> None:
    """Raises Unable where there is no root, or a tool is missing."""
    if os.geteuid() != 0:
        raise Unable("network namespaces need root: run the proof as root")
    missing = [f"{tool} (Debian package {of})" for tool, of in _TOOLS.items() if not which(tool)]
    if missing:
        raise Unable(f"not installed: {', '.join(missing)}")


def which(tool: str) -> str | None:
    """Where a tool is, also when its folder is not in the PATH of this user."""
    return shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def run(*words: str, given: str | None = None) -> str:
    """What a command printed. Raises Unable with its complaint."""
    done = subprocess.run(words, input=given, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unable(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def _started(pid: int) -> str | None:
    """When a process started, in ticks since boot; None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    return text.rpartition(")")[2].split()[19]  # field 22 of proc(5): starttime


def sweep() -> list[str]:
    """Remove the namespaces of proofs that are gone, with what still runs in them."""
    gone = []
    for line in run("ip", "netns", "list").splitlines():
        name = line.split()[0] if line.split() else ""
        found = _NAME.match(name)
        if found and _started(int(found[1])) != found[2]:
            _remove(name)
            gone.append(name)
    return gone


def _remove(name: str) -> None:
    """A namespace and the processes in it; they were started by the proof that made it."""
    inside = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
    for pid in inside.stdout.split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        inside = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
        if not inside.stdout.split():
            break
        time.sleep(0.02)
    subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Made by `ground()`. `names` are the namespaces."""

    names: Mapping[Side, str]
    _living: list[bool] = field(default_factory=lambda: [False])

    def inside(self, side: Side) -> list[str]:
        """The words that run a command in there; it keeps its process id."""
        return ["ip", "netns", "exec", self.names[side]]

    def run(self, side: Side, *words: str, given: str | None = None) -> str:
        """As `run`, in there."""
        return run(*self.inside(side), *words, given=given)

    def start(self, side: Side, *words: str, **more: Any) -> subprocess.Popen[bytes]:
        """Begin a command in there; the caller waits for it."""
        return subprocess.Popen([*self.inside(side), *words], **more)

    def drop(self, *addresses: str) -> None:
        """From now on these addresses are dead: nothing of them, not even of their kernel."""
        self._firewall(f"add element netdev proof dead {{ {', '.join(addresses)} }}")

    def heal(self, *addresses: str) -> None:
        """They live again."""
        if addresses:
            self._firewall(f"delete element netdev proof dead {{ {', '.join(addresses)} }}")

    def nobody_but(self, addresses: Sequence[str]) -> None:
        """Every other address is nobody: silent, as an address without a device is."""
        words = ["flush set netdev proof living"]
        for first in range(0, len(addresses), 500):
            some = ", ".join(addresses[first : first + 500])
            words.append(f"add element netdev proof living {{ {some} }}")
        if not self._living[0]:
            for chain in ("in0", "in1"):
                words.append(
                    f"add rule netdev proof {chain} ip daddr {{ {ROUTED}, {ON_LINK} }} "
                    "ip daddr != @living drop"
                )
            self._living[0] = True
        self._firewall("\n".join(words))

    def _firewall(self, words: str) -> None:
        self.run("device", "nft", "-f", "-", given=words + "\n")

    @contextmanager
    def captured(self, folder: Path, *, leaving: bool = False) -> Iterator[Capture]:
        """
        Everything that passes while the block runs: `device.pcap` (routed) and `on_link.pcap`,
        taken on the device side; with `leaving`, also `leaving.pcap` of all that the scanner
        side puts on the wire towards the router, wherever it is going.

        Raises Unable when the kernel dropped a packet before tcpdump had it: void, not passed.
        """
        folder.mkdir(parents=True, exist_ok=True)
        capture = Capture(
            device=folder / "device.pcap",
            on_link=folder / "on_link.pcap",
            leaving=folder / "leaving.pcap" if leaving else None,
        )
        points = [(self.names["device"], "d0", capture.device)]
        points.append((self.names["device"], "d1", capture.on_link))
        if capture.leaving is not None:
            points.append((self.names["router"], "r0", capture.leaving))
        dumps = [_Dump(name, device, path) for name, device, path in points]
        try:
            for dump in dumps:
                dump.wait_until_ready()
            yield capture
        finally:
            for dump in dumps:
                dump.end()
        for dump in dumps:
            dump.check()


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    device: Path
    on_link: Path
    leaving: Path | None

    @property
    def at_devices(self) -> tuple[Path, Path]:
        return (self.device, self.on_link)


class _Dump:
    """One tcpdump."""

    def __init__(self, name: str, device: str, path: Path) -> None:
        path.unlink(missing_ok=True)
        self.path = path
        self._said = ""
        self._process = subprocess.Popen(
            [
                "ip", "netns", "exec", name, "tcpdump", "-i", device, "-n", "-U", "-s", SNAPSHOT,
                "-B", "65536", "--immediate-mode", "--time-stamp-precision=nano", "-Z", "root",
                "-w", str(path),
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def _waits(self) -> bool:
        """Whether it sleeps for want of packets; on a busy machine it may have some to take yet."""
        try:
            stat = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return True
        return stat.rpartition(")")[2].split()[0] != "R"

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 20
        while self._size() < 24:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.end()
                raise Unable(f"tcpdump did not start: {self._said}")
            time.sleep(0.01)

    def end(self) -> None:
        """Wait until what the kernel holds is written, then end it."""
        if self._process.poll() is None:
            size = -1
            while size != (size := self._size()) or not self._waits():
                time.sleep(0.15)
            self._process.send_signal(signal.SIGINT)
        try:
            self._said = self._process.communicate(timeout=20)[1].decode(errors="replace")
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._said = self._process.communicate()[1].decode(errors="replace")

    def check(self) -> None:
        if "\n0 packets dropped by kernel" not in self._said:
            raise Unable(f"the capture is not whole, so nothing is measured: {self._said}")


@contextmanager
def ground() -> Iterator[Ground]:
    """
    The namespaces, up and connected; gone afterwards with every process in them, and removed by
    the next proof where this one is killed. Raises Unable.
    """
    able()
    sweep()
    stem = f"wdproof-{os.getpid()}-{_started(os.getpid())}-{next(_numbers)}"
    names: dict[Side, str] = {
        "scanner": f"{stem}-s", "router": f"{stem}-r", "device": f"{stem}-d",
    }  # fmt: skip
    try:
        for name in names.values():
            run("ip", "netns", "add", name)
            quiet = "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; "
            quiet += "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6"
            run("ip", "netns", "exec", name, "sh", "-c", quiet)
            run("ip", "-n", name, "link", "set", "lo", "up")
        _connect(names)
        made = Ground(names=names)
        made._firewall(_FIREWALL)
        yield made
    finally:
        for name in names.values():
            _remove(name)


def _connect(names: Mapping[Side, str]) -> None:
    scanner, router, device = names["scanner"], names["router"], names["device"]
    for a, end_a, b, end_b in (
        (scanner, "s0", router, "r0"), (router, "r1", device, "d0"), (scanner, "s1", device, "d1"),
    ):  # fmt: skip
        run("ip", "link", "add", end_a, "netns", a, "type", "veth", "peer", "name", end_b,
            "netns", b)  # fmt: skip
        for name, end in ((a, end_a), (b, end_b)):
            run("ip", "-n", name, "link", "set", end, "gso_max_segs", "1")
    script = {
        scanner: f"""
            addr add {SCANNER}/30 dev s0
            addr add {SCANNER_ON_LINK}/24 dev s1
            link set s0 up
            link set s1 up
            route add default via 10.76.0.2
        """,
        router: f"""
            addr add 10.76.0.2/30 dev r0
            addr add 10.76.0.5/30 dev r1
            link set r0 up
            link set r1 up
            route add {ROUTED} via 10.76.0.6
            route add blackhole default
        """,
        device: f"""
            addr add 10.76.0.6/30 dev d0
            addr add 10.78.0.253/24 dev d1
            link set d0 up
            link set d1 up
            route add {SCANNER}/32 via 10.76.0.5
            route add local {ROUTED} dev lo
            route add local {ON_LINK} dev lo
        """,
    }
    for name, words in script.items():
        lines = "\n".join(line.strip() for line in words.strip().splitlines())
        run("ip", "-n", name, "-batch", "-", given=lines + "\n")
    kernel = (
        "echo 1 >/proc/sys/net/ipv4/ip_forward; "
        "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$f; done; "
        "for f in /proc/sys/net/ipv4/conf/*/send_redirects; do echo 0 >$f; done"
    )
    run("ip", "netns", "exec", router, "sh", "-c", kernel)
    crowd = (
        "echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter; "
        "echo 16384 >/proc/sys/net/ipv4/tcp_max_syn_backlog; "
        "echo 4096 >/proc/sys/net/core/somaxconn; "
        "echo 0 >/proc/sys/net/ipv4/icmp_ratelimit; "
        "echo '1024 65535' >/proc/sys/net/ipv4/ip_local_port_range; "
        "echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start"
    )
    run("ip", "netns", "exec", device, "sh", "-c", crowd)
