"""
Watches our own packets while a scan runs: a helper process with CAP_NET_RAW and nothing else.

It keeps IP and transport headers of packets between this machine and the addresses of the plan, and
never a byte of payload: no secret can be in the file, and the length of what was cut off is in the
headers. Packets of other programs on this machine to the same addresses cannot be told from ours
and are kept too. The file is a pcap of raw IP packets with nanoseconds (link type 101).

A packet may pass several interfaces (a bridge and its port): it is taken where the first packet to
that address left. Sources: packet(7), draft-ietf-opsawg-pcap, RFC 791, RFC 8200, RFC 9293.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path

from scanner import privileges

FILE = "capture.pcap"
MOST_BYTES = 64 * 1024 * 1024
READY_WITHIN_S = 5.0
SETTLE_S = 0.3
"""What the kernel still holds when a scan has ended: the last FIN and its answer."""

_OUTGOING = 4
_ETH_P_ALL = 3
_SOL_PACKET, _STATISTICS, _TIMESTAMPNS = 263, 6, 35
_MAGIC, _LINK_RAW = 0xA1B23C4D, 101
_ENTRY = struct.Struct("=IIII")
_LONGEST = 65535

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """`dropped` by the kernel, because we were too slow; `full`: the file reached its limit."""

    packets: int
    dropped: int
    full: bool

    @property
    def whole(self) -> bool:
        return not self.dropped and not self.full


def headers(packet: bytes) -> bytes | None:
    """IP and transport header of a packet without its payload; None when it is none."""
    if not packet:
        return None
    if packet[0] >> 4 == 4 and len(packet) >= 20:
        length, protocol = (packet[0] & 15) * 4, packet[9]
        if struct.unpack_from("!H", packet, 6)[0] & 0x1FFF:
            return packet[:length]  # a later fragment has no transport header
    elif packet[0] >> 4 == 6 and len(packet) >= 40:
        length, protocol = 40, packet[6]
    else:
        return None
    if protocol == socket.IPPROTO_TCP and len(packet) >= length + 13:
        return packet[: length + max((packet[length + 12] >> 4) * 4, 20)]
    return packet[: length + 8] if protocol in (1, 17, 58) else packet[:length]


def ends(packet: bytes) -> tuple[Address, Address] | None:
    """(source, target) of an IP packet."""
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        return IPv4Address(packet[12:16]), IPv4Address(packet[16:20])
    if len(packet) >= 40 and packet[0] >> 4 == 6:
        return IPv6Address(packet[8:24]), IPv6Address(packet[24:40])
    return None


class Filter:
    """Which packets are kept: between `ours` and `scope`, each on one interface only."""

    def __init__(self, scope: Iterable[Network], ours: Iterable[Address]) -> None:
        self._scope = tuple(scope)
        self._ours = frozenset(ours)
        self._in_scope: dict[Address, bool] = {}
        self._interface: dict[Address, str] = {}

    def _contains(self, address: Address) -> bool:
        known = self._in_scope.get(address)
        if known is None:
            if len(self._in_scope) > 100_000:
                self._in_scope.clear()
            known = any(address.version == n.version and address in n for n in self._scope)
            self._in_scope[address] = known
        return known

    def keeps(self, packet: bytes, interface: str, kind: int) -> bool:
        """`kind` is the packet type of packet(7)."""
        found = ends(packet)
        if found is None:
            return False
        source, target = found
        if source in self._ours and self._contains(target):
            if kind != _OUTGOING:
                return False  # loopback shows each packet twice
            return self._interface.setdefault(target, interface) == interface
        if target in self._ours and self._contains(source):
            loopback = source.is_loopback
            if (kind == _OUTGOING) is not loopback:
                return False
            return self._interface.get(source, interface) == interface
        return False


class Writer:
    """A pcap file that stays readable whenever it is cut off."""

    def __init__(self, path: Path, *, most: int = MOST_BYTES) -> None:
        again = path.exists() and path.stat().st_size >= 24  # a resumed scan goes on in its file
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb")
        self._left = most - self._file.tell()
        self.packets = 0
        self.full = False
        if not again:
            self._write(struct.pack("=IHHiIII", _MAGIC, 2, 4, 0, 0, _LONGEST, _LINK_RAW))

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._left -= len(data)

    def keep(self, at: tuple[int, int], packet: bytes) -> None:
        """`at` in seconds and nanoseconds; the headers only are kept."""
        kept = headers(packet)
        if kept is None:
            return
        if self._left < _ENTRY.size + len(kept):
            self.full = True
            return
        self._write(_ENTRY.pack(*at, len(kept), len(packet)) + kept)
        self.packets += 1

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def watch(scope: Sequence[Network], ours: Sequence[Address], path: Path) -> Captured:
    """Keep what passes until the standard input ends. Needs CAP_NET_RAW; raises OSError."""
    chosen = Filter(scope, ours)
    dropped = 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL)) as sock:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 1024 * 1024)
        sock.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
        sock.setblocking(False)
        writer = Writer(path)
        print("ready", flush=True)  # noqa: T201 - what the parent waits for
        try:
            while True:
                readable = select.select([sock.fileno(), 0], [], [], 0.2)[0]
                if sock.fileno() in readable:
                    _take(sock, chosen, writer)
                else:
                    writer.flush()
                if 0 in readable and not os.read(0, 4096):
                    break
            _take(sock, chosen, writer)
        finally:
            writer.close()
        dropped = struct.unpack("=II", sock.getsockopt(_SOL_PACKET, _STATISTICS, 8))[1]
    return Captured(packets=writer.packets, dropped=dropped, full=writer.full)


def _take(sock: socket.socket, chosen: Filter, writer: Writer) -> None:
    for _ in range(1000):
        try:
            packet, extra, _, address = sock.recvmsg(_LONGEST, 64)
        except BlockingIOError:
            return
        except OSError:  # an interface went down
            return
        if chosen.keeps(packet, str(address[0]), int(address[2])):
            writer.keep(_stamp(extra), packet)


def _stamp(extra: Sequence[tuple[int, int, bytes]]) -> tuple[int, int]:
    for level, kind, data in extra:
        if level == socket.SOL_SOCKET and kind == _TIMESTAMPNS and len(data) >= 16:
            seconds, nanoseconds = struct.unpack("=qq", data[:16])
            return int(seconds), int(nanoseconds)
    now = time.time_ns()
    return now // 1_000_000_000, now % 1_000_000_000


# --- the parent's side ---------------------------------------------------------------------------


class Helper:
    """A running capture. `stop` ends it; without that it ends when its parent does."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> Captured | None:
        """What was kept; None when the helper did not end well."""
        process = self._process
        with suppress(OSError):
            process.stdin.close()  # type: ignore[union-attr]
        try:
            process.wait(READY_WITHIN_S)
            said = process.stdout.read() if process.stdout else b""
            told = json.loads(said)
            return Captured(
                packets=int(told["packets"]), dropped=int(told["dropped"]), full=bool(told["full"])
            )
        except (subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
            process.kill()
            process.wait()
            return None
        finally:
            if process.stdout is not None:
                process.stdout.close()


def start(scope: Iterable[str], ours: Iterable[str], path: Path) -> Helper | None:
    """
    Begin to capture into `path`; None where this process may not. `scope` are networks, `ours`
    the addresses that this machine has towards them. Raises OSError when the helper cannot start.
    """
    if not privileges.may_capture():
        return None
    order = {"scope": sorted(set(scope)), "ours": sorted(set(ours)), "path": str(path.resolve())}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "scanner.capture"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": _search_path()}, start_new_session=True,
    )  # fmt: skip
    helper = Helper(process)
    assert process.stdin is not None  # noqa: S101 - PIPE above
    assert process.stdout is not None  # noqa: S101
    try:
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()
        readable = select.select([process.stdout], [], [], READY_WITHIN_S)[0]
        if readable and process.stdout.readline() == b"ready\n":
            return helper
    except OSError:
        pass
    process.kill()
    process.wait()
    return None


@contextmanager
def capturing(helper: Helper | None) -> Iterator[None]:
    """The helper does not outlive the block, however it ends."""
    try:
        yield
    finally:
        if helper is not None and helper._process.poll() is None:
            helper.stop()


def _search_path() -> str:
    """Where the new process finds this package, also when it was started from a checkout."""
    ours = str(Path(__file__).resolve().parent.parent)
    return os.pathsep.join(filter(None, (ours, os.environ.get("PYTHONPATH"))))


def main() -> None:
    """The helper: its order is one line of JSON on the standard input."""
    privileges.drop(keep=privileges.NET_RAW)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the parent decides when: after the last packet
    line = b""
    while not line.endswith(b"\n"):
        if not (one := os.read(0, 1)):
            return
        line += one
    order = json.loads(line)
    found = watch(
        [ip_network(text) for text in order["scope"]],
        [ip_address(text) for text in order["ours"]],
        Path(order["path"]),
    )
    told = {"packets": found.packets, "dropped": found.dropped, "full": found.full}
    print(json.dumps(told), flush=True)  # noqa: T201 - what the parent reads


if __name__ == "__main__":
    main()
