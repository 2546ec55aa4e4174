"""
The judgement: what was sent, held against what was promised, promise by promise.

`judge` is told what was allowed (`Allowed`) and reads captures of the device side. Each promise
gets a `Finding`: how many cases there were, how many broke it, the greatest values, and the faults
by name. Nothing here knows why something was sent.
"""

from __future__ import annotations

import copy
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from tests.proof.judge.connections import Connection, most_at_once
from tests.proof.judge.grammar import HARMLESS, PORTS, grammars
from tests.proof.judge.packets import RST, SYN, Packet, most_within, windows_over
from tests.proof.judge.services import Asked, Ports, Sent, sent

ICS: Final = frozenset(one.protocol for one in grammars() if one.ics)
NEVER_TOUCHED: Final = range(9100, 9108)
"""Printers print what arrives there; nmap leaves them out for that reason."""
SEATS: Final = frozenset({2404, 19998, 20000, 19999})
"""
IEC 60870-5-104 and DNP3, plain and in TLS: whoever connects may take the master's place. Only where
the site file names it (`Device.seats`) may it be asked.
"""
UNREACHABLE: Final = 3
"""The one ICMP type that a kernel sends by itself (RFC 792); nothing else of ours sends any."""
CLIENT_SPEAKS_FIRST: Final = frozenset(
    one.protocol for one in grammars() if one.client_speaks_first
)
"""Who connects there has something to ask."""
QUESTIONS: Final[Mapping[str, int]] = {
    one.protocol: one.questions for one in grammars() if one.questions is not None
}
"""What identifying a sound device may ask, by protocol."""
NUMBERED: Final = frozenset({"modbus", "enip", "bacnet", "s7"})
"""Those whose number stands in the contract: there a datagram that nobody answers counts, too. With
others a device that answers over TCP alone has been asked once more than one that takes both."""
UNITS: Final = 3
UNIT_PAUSE_S: Final = 1.0
LATE_S: Final = 1.0
DRAIN_S: Final = 1.0
"""A device that goes on talking, or keeps its half open, for longer than this after our FIN has
been given the time that an orderly close has; what follows is counted apart."""
STALE_S: Final = 1.4
"""A device that has sent nothing for so long does not respond (given up after 1.5 s, by timers)."""
CONNECT: Final = "COTP connection request"
KEPT: Final = 12
"""Faults that are named, of each promise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """
    What one device may see, all its addresses together. None: no such limit, or not told.
    `connections` are the most per (transport, port) beside one. `ports` are the (transport, port)
    at which it may be asked at all, where that is known. `seats` are those of SEATS that the owner
    opened on this device. `measured` says that the device is
    sound and was only identified: then promise 13 counts its questions.
    """

    addresses: tuple[str, ...]
    zone: str
    packets_per_s: int | None = None
    connection_interval_s: float = 0.0
    budget: int | None = None
    logins: bool = False
    connections: Mapping[int, int] = field(default_factory=dict)
    ports: frozenset[tuple[str, int]] = frozenset()
    seats: frozenset[int] = frozenset()
    measured: bool = False
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """
    `zones` are caps of packets in any second. `networks` is where packets may go at all, without
    the `excluded`. `own` are addresses that may be looked for by ARP beside them: a gateway.
    """

    scanner: frozenset[str]
    devices: Mapping[str, Device]
    zones: Mapping[str, int | None] = field(default_factory=dict)
    networks: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    own: frozenset[str] = frozenset()
    ports: Ports = field(default_factory=lambda: dict(PORTS))


@dataclass(slots=True)
class Finding:
    """`most` are the greatest values seen, `counts` are sums, `faults` the first that broke it."""

    cases: int = 0
    bad: int = 0
    most: dict[str, float] = field(default_factory=dict)
    counts: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def fault(self, words: str, n: int = 1) -> None:
        self.bad += n
        if len(self.faults) < KEPT and words not in self.faults:
            self.faults.append(words)

    def greatest(self, name: str, value: float) -> None:
        self.most[name] = max(value, self.most.get(name, value))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """`findings` by promise; `services` counts what was sent: "verdict: service" → PDUs."""

    findings: Mapping[int, Finding]
    services: Mapping[str, int]
    sealed: Mapping[str, int]
    """Address → PDUs that nobody could read on the wire (SSH): to be shown by other means."""
    packets_sent: int
    owing: Mapping[str, int]
    """Address → connections that ended when it had owed an answer for longer than STALE_S."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "promises": {str(n): finding.as_dict() for n, finding in self.findings.items()},
            "services": dict(self.services),
            "sealed": dict(self.sealed),
            "packets_sent": self.packets_sent,
        }


def judge(captures: Iterable[Path], allowed: Allowed, keylog: Path | None = None) -> Judgement:
    """Raises Unable, Unreadable."""
    return judge_sent(sent(captures, allowed.scanner, allowed.ports, keylog), allowed)


def judge_sent(what: Sent, allowed: Allowed) -> Judgement:
    case = _Case(what, allowed)
    return Judgement(
        findings={
            1: case.services(),
            2: case.at_once(),
            3: case.rates(),
            4: case.zone_rates(),
            5: case.windows(),
            6: case.budgets(),
            7: case.foreign(),
            8: case.connections(),
            9: case.forms(),
            10: case.goodbyes(),
            11: case.seats(),
            13: case.questions(),
            17: case.scope(),
        },
        services=dict(
            sorted(Counter(f"{a.pdu.verdict}: {a.pdu.service}" for a in what.asked).items())
        ),
        sealed=dict(Counter(a.device for a in what.asked if a.pdu.verdict == "sealed")),
        packets_sent=len(case.ours),
        owing=dict(Counter(c.device for c in what.connections if c.owed_at_fin_s > STALE_S)),
    )


class _Case:
    def __init__(self, what: Sent, allowed: Allowed) -> None:
        self.sent = what
        self.allowed = allowed
        self.ours = [p for p in what.packets if p.source in allowed.scanner and p.protocol != "arp"]
        self.device_of = {
            address: name for name, one in allowed.devices.items() for address in one.addresses
        }
        self.asked_on: dict[int, list[Asked]] = defaultdict(list)
        for asked in what.asked:
            if asked.connection is not None:
                self.asked_on[id(asked.connection)].append(asked)
        self.counted: dict[str, list[Packet]] = defaultdict(list)
        for packet in self.ours:
            if packet.counts and packet.target in self.device_of:
                self.counted[self.device_of[packet.target]].append(packet)

    def device(self, address: str) -> Device | None:
        return self.allowed.devices.get(self.device_of.get(address, ""))

    # --- 1: services ----------------------------------------------------------------------------

    def services(self) -> Finding:
        found = Finding(cases=len(self.sent.asked))
        verdicts = Counter(asked.pdu.verdict for asked in self.sent.asked)
        found.counts.update({str(verdict): n for verdict, n in sorted(verdicts.items())})
        found.counts.setdefault("unknown", 0)
        found.counts.setdefault("control", 0)
        for asked in self.sent.asked:
            verdict = asked.pdu.verdict
            if verdict in HARMLESS or verdict == "sealed":
                continue
            device = self.device(asked.device)
            if verdict == "login" and device is not None and device.logins:
                continue
            found.fault(f"{verdict}: {asked.words}")
        return found

    # --- 2 to 6: how much, how fast -------------------------------------------------------------

    def at_once(self) -> Finding:
        found = Finding()
        ended, kept = self._as_far_as_we_can_end(), 0
        met: dict[str, set[str]] = defaultdict(set)
        for one in self.sent.connections:
            if one.opened_at is not None:
                met[self.device_of.get(one.device, one.device)].add(one.device)
        for device, (most, which) in most_at_once(ended, self.device_of).items():
            found.cases += 1
            found.greatest("connections at once", most)
            found.greatest("addresses of one device", len(met[device]))
            if most > 1:
                found.fault(f"{device}: {most} at once: {which}")
        for one in self.sent.connections:
            kept += one.opened_at is not None and self._kept_open(one)
        strict = most_at_once(self.sent.connections, self.device_of)
        found.greatest(
            "with halves that devices kept open", max((m for m, _ in strict.values()), default=0)
        )
        found.counts["kept open by the device"] = kept
        return found

    @staticmethod
    def _kept_open(one: Connection) -> bool:
        if one.fin_sent_at is None:
            return False
        closed = one.closed_at  # also by a reset of ours, when the device would not stop talking
        return closed is None or closed > one.fin_sent_at + DRAIN_S

    def _as_far_as_we_can_end(self) -> list[Connection]:
        """As seen, but a device that keeps its half open holds a seat for one drain only."""
        result = []
        for one in self.sent.connections:
            if self._kept_open(one):
                one = copy.copy(one)
                assert one.fin_sent_at is not None
                one.fin_came_at = one.fin_sent_at + DRAIN_S
            result.append(one)
        return result

    def rates(self) -> Finding:
        found = Finding()
        received = Counter(
            p.source
            for p in self.sent.packets
            if p.protocol == "tcp" and p.target in self.allowed.scanner
        )
        acks = Counter(p.target for p in self.ours if p.is_pure_ack)
        for name, device in self.allowed.devices.items():
            packets = self.counted.get(name, [])
            if not packets:
                continue
            found.cases += 1
            times = [packet.at for packet in packets]
            second, tenth = most_within(times, 1.0)[0], most_within(times, 0.1)[0]
            profile = f"{device.packets_per_s or 'no'} a second"
            found.greatest(f"in 1 s, cap {profile}", second)
            found.greatest(f"in 100 ms, cap {profile}", tenth)
            if device.packets_per_s is not None and second > device.packets_per_s:
                found.fault(f"{name}: {second} packets in a second, {device.packets_per_s} allowed")
            starts = self._starts(packets)
            for earlier, later in pairwise(starts):
                gap = later - earlier
                if device.connection_interval_s:
                    least = f"least s between connections, {device.connection_interval_s:g} granted"
                    found.most[least] = round(min(gap, found.most.get(least, gap)), 4)
                if gap < device.connection_interval_s:
                    found.fault(
                        f"{name}: new connections {gap:.3f} s apart, "
                        f"{device.connection_interval_s:g} s granted"
                    )
            mine = [(acks[address], received[address]) for address in device.addresses]
            found.counts["pure ACKs"] = found.counts.get("pure ACKs", 0) + sum(a for a, _ in mine)
            if sum(a for a, _ in mine) > sum(r for _, r in mine):
                found.fault(f"{name}: more pure ACKs than segments received")
        return found

    @staticmethod
    def _starts(packets: Iterable[Packet]) -> list[float]:
        """The first SYN of each new connection."""
        seen: set[tuple[str, int, int, int]] = set()
        starts = []
        for packet in packets:
            if packet.protocol == "tcp" and packet.flags & SYN:
                key = (packet.target, packet.target_port, packet.source_port, packet.sequence)
                if key not in seen:
                    seen.add(key)
                    starts.append(packet.at)
        return starts

    def _by_zone(self) -> dict[str, list[float]]:
        times: dict[str, list[float]] = defaultdict(list)
        for name, packets in self.counted.items():
            times[self.allowed.devices[name].zone] += [packet.at for packet in packets]
        return {zone: sorted(mine) for zone, mine in times.items()}

    def zone_rates(self) -> Finding:
        found = Finding()
        for zone, times in self._by_zone().items():
            cap = self.allowed.zones.get(zone)
            found.cases += 1
            most = most_within(times, 1.0)[0]
            found.greatest(f"in 1 s, cap {cap or 'no'} a second", most)
            found.greatest("devices in one zone", self._devices_in(zone))
            if cap is not None and most > cap:
                found.fault(f"zone {zone}: {most} packets in a second, {cap} allowed")
        return found

    def _devices_in(self, zone: str) -> int:
        return sum(self.allowed.devices[name].zone == zone for name in self.counted)

    def windows(self) -> Finding:
        """Every span of a second that ends with a packet, of every device and every zone."""
        found = Finding(counts={"packets": float(sum(map(len, self.counted.values())))})
        for name, packets in self.counted.items():
            cap = self.allowed.devices[name].packets_per_s
            if cap is not None:
                found.cases += len(packets)
                if over := windows_over([p.at for p in packets], 1.0, cap):
                    found.fault(f"{name}: {over} seconds with more than {cap} packets", over)
        for zone, times in self._by_zone().items():
            cap = self.allowed.zones.get(zone)
            if cap is not None:
                found.cases += len(times)
                if over := windows_over(times, 1.0, cap):
                    found.fault(f"zone {zone}: {over} seconds with more than {cap} packets", over)
        return found

    def budgets(self) -> Finding:
        found = Finding()
        for name, device in self.allowed.devices.items():
            if device.budget is None:
                continue
            found.cases += 1
            captured = len(self.counted.get(name, ()))
            found.counts["captured"] = found.counts.get("captured", 0) + captured
            found.counts["predicted"] = found.counts.get("predicted", 0) + device.budget
            found.greatest(
                "share of a budget that was used", round(captured / max(device.budget, 1), 3)
            )
            if captured > device.budget:
                found.fault(f"{name}: {captured} packets captured, {device.budget} predicted")
        return found

    # --- 7 and 8: what goes where ---------------------------------------------------------------

    def foreign(self) -> Finding:
        found = Finding(counts={"foreign bytes": 0, "packets to ports that nobody planned": 0})
        for asked in self.sent.asked:
            found.cases += 1
            size = asked.pdu.end - asked.pdu.start
            not_its_own = asked.pdu.service.startswith(("not ", "port of no protocol", "on COTP"))
            if asked.pdu.verdict == "unknown" and not_its_own:
                found.counts["foreign bytes"] += size
                found.fault(f"{asked.words}")
        for packet in self.ours:
            if packet.protocol in ("tcp", "udp") and packet.target_port in NEVER_TOUCHED:
                found.fault(f"a packet to {packet.target} port {packet.target_port}")
            elif self._unplanned(packet):
                found.counts["packets to ports that nobody planned"] += 1
                where = f"{packet.target} {packet.protocol} {packet.target_port}"
                found.fault(f"a packet to {where}, which nobody planned")
            elif packet.protocol == "icmp" and packet.payload[:1] != bytes([UNREACHABLE]):
                kind = packet.payload[0] if packet.payload else "none"
                found.fault(f"ICMP type {kind} to {packet.target}")
        return found

    def _unplanned(self, packet: Packet) -> bool:
        device = self.device(packet.target)
        if packet.protocol == "link":  # only where the plan says so, and to a device of it
            return device is None or ("link", packet.target_port) not in device.ports
        return (
            packet.protocol in ("tcp", "udp")
            and device is not None
            and bool(device.ports)
            and (packet.protocol, packet.target_port) not in device.ports
        )

    def connections(self) -> Finding:
        found = Finding(counts={"connections on ICS ports": 0, "without a request": 0})
        per_port: Counter[tuple[str, str, int]] = Counter()
        for one in self.sent.connections:
            if one.opened_at is None:
                continue
            found.cases += 1
            name = self.device_of.get(one.device, one.device)
            per_port[name, one.device, one.port] += 1
            protocol = self.allowed.ports.get(("tcp", one.port))
            if protocol not in CLIENT_SPEAKS_FIRST:
                continue
            found.counts["connections on ICS ports"] += protocol in ICS
            if id(one) not in self.asked_on and not self._device_ended_it(one):
                found.counts["without a request"] += 1
                found.fault(f"{one.name}: connected and left without a request")
        for (name, address, port), n in per_port.items():
            device = self.allowed.devices.get(name)
            most = device.connections.get(port, 1) if device is not None else 1
            found.greatest("connections to one service", n)
            if n > most:
                found.fault(f"{address}:{port}: {n} connections, {most} planned")
        return found

    @staticmethod
    def _device_ended_it(one: Connection) -> bool:
        """The device reset or closed the connection before we did anything on it."""
        ends = [t for t in (one.reset_came_at, one.fin_came_at) if t is not None]
        ours = [t for t in (one.fin_sent_at, one.reset_sent_at) if t is not None]
        return bool(ends) and (not ours or min(ends) <= min(ours))

    # --- 9 to 11 --------------------------------------------------------------------------------

    def forms(self) -> Finding:
        found = Finding(cases=len(self.ours))
        for packet in self.ours:
            if packet.odd:
                found.fault(f"{packet.odd}: to {packet.target} port {packet.target_port}")
        for words in self.sent.complaints:
            found.fault(words)
        return found

    def goodbyes(self) -> Finding:
        found = Finding(
            counts={
                "resets": 0,
                "to devices that talked on": 0,
                "to silent devices": 0,
                "to a FIN said again over a minute after the end": 0,
                "left to dead devices": 0,
            }
        )
        resets_seen = 0
        for one in self.sent.connections:
            found.cases += one.opened_at is not None
            if one.reset_sent_at is None:
                found.counts["left to dead devices"] += self._left(one) and one.died
                if self._left(one) and not one.died:
                    found.fault(f"{one.name}: never closed")
                continue
            resets_seen += 1
            found.counts["resets"] += 1
            if (
                one.came_after_fin
                and one.fin_sent_at is not None
                and one.reset_sent_at - one.fin_sent_at > DRAIN_S
            ):
                found.counts["to devices that talked on"] += 1
            elif one.longest_silence_s > STALE_S:
                found.counts["to silent devices"] += 1
            elif one.reset_of_a_fin_again:
                found.counts["to a FIN said again over a minute after the end"] += 1
            else:
                last = one.reset_sent_at - (one.last_came_at or one.asked_at)
                found.fault(f"{one.name}: reset {last:.3f} s after its last packet")
        strays = sum(p.protocol == "tcp" and bool(p.flags & RST) for p in self.ours)
        found.counts["packets with RST"] = strays
        if strays and not resets_seen:
            found.fault(f"{strays} resets on no connection of ours")
        return found

    @staticmethod
    def _left(one: Connection) -> bool:
        return one.opened_at is not None and one.closed_at is None and one.fin_sent_at is None

    def seats(self) -> Finding:
        found = Finding(
            counts={
                "packets to 2404 or 20000": 0,
                "packets to opened seats": 0,
                "connections for a programming device": 0,
            }
        )
        for packet in self.ours:
            if packet.protocol not in ("tcp", "udp") or packet.target_port not in SEATS:
                continue
            device = self.device(packet.target)
            if device is not None and packet.target_port in device.seats:
                found.counts["packets to opened seats"] += 1
            else:
                found.counts["packets to 2404 or 20000"] += 1
                found.fault(f"a packet to {packet.target} port {packet.target_port}")
        units: dict[tuple[str, int], set[int]] = defaultdict(set)
        last: dict[tuple[str, int], Asked] = {}
        for asked in self.sent.asked:
            found.cases += 1
            if asked.pdu.service.startswith(CONNECT) and asked.pdu.verdict == "control":
                found.counts["connections for a programming device"] += 1
                found.fault(asked.words)
            if asked.pdu.unit is None:
                continue
            key = (self.device_of.get(asked.device, asked.device), asked.port)
            units[key].add(asked.pdu.unit)
            before = last.get(key)
            if before is not None and before.pdu.unit != asked.pdu.unit:
                gap = asked.at - before.at
                found.most["least s between units"] = round(
                    min(gap, found.most.get("least s between units", gap)), 3
                )
                if gap < UNIT_PAUSE_S:
                    found.fault(f"{asked.place}: two units {gap:.3f} s apart")
            last[key] = asked
        for (device, port), seen in units.items():
            found.greatest("units asked of one device", len(seen))
            if len(seen) > UNITS:
                found.fault(f"{device} port {port}: {len(seen)} unit ids asked")
        return found

    # --- 13 and 17 ------------------------------------------------------------------------------

    def questions(self) -> Finding:
        found = Finding(
            counts={
                "datagrams sent once more": 0,
                "nobody answers": 0,
                "asked whether it is well": 0,
            }
        )
        late = self._late()
        services: set[tuple[str, str]] = set()
        speak = {p.source for p in self.sent.packets if p.protocol == "udp"}
        asked: Counter[tuple[str, str, int | None]] = Counter()
        unheard: Counter[tuple[str, str, int | None]] = Counter()
        refused: Counter[str] = Counter()
        for one in self.sent.asked:
            device = self.device(one.device)
            if device is None or not device.measured or one.protocol not in QUESTIONS:
                continue
            if one.again:
                found.counts["datagrams sent once more"] += 1
            elif (
                one.transport == "udp" and one.device not in speak and one.protocol not in NUMBERED
            ):
                found.counts["nobody answers"] += 1
                unheard[one.device, one.protocol, one.pdu.unit] += 1
            elif one.device in late and (one.device, one.pdu.service) in services:
                late.discard(one.device)  # once
                found.counts["asked whether it is well"] += 1
            elif one.pdu.asks:
                services.add((one.device, one.pdu.service))
                asked[one.device, one.protocol, one.pdu.unit] += 1
            # A request for a connection that was refused in words may be made once more.
            mine = self.asked_on.get(id(one.connection), [])
            if one.pdu.service.startswith(CONNECT) and one.connection is not None:
                refused[one.device] += one.connection.bytes_came > 0 and len(mine) == 1
        for (address, protocol, unit), n in [*asked.items(), *unheard.items()]:
            found.cases += 1
            n -= refused[address] if protocol == "s7" else 0
            found.greatest(f"{protocol} questions", n)
            if n > QUESTIONS[protocol]:
                where = f"{address} {protocol}" + ("" if unit is None else f" unit {unit}")
                found.fault(f"{where}: {n} questions, {QUESTIONS[protocol]} granted")
        for one in self.sent.connections:
            device = self.device(one.device)
            if device is None or not device.measured or one.opened_at is None:
                continue
            modbus = self.allowed.ports.get(("tcp", one.port)) == "modbus"
            if modbus and len(self.asked_on.get(id(one), ())) == 1:
                found.greatest("packets of a Modbus identification", one.packets_sent)
                if one.packets_sent > 6:
                    found.fault(f"{one.name}: {one.packets_sent} packets for one question")
        return found

    def _late(self) -> set[str]:
        """
        Addresses whose device let one of our PDUs wait for over a second: of these one question
        that it answered may be put once more (a canary). A loaded machine makes sound ones late.
        """
        waits: dict[str, float] = {}
        late: set[str] = set()
        moments = [(one.at, one.device, False) for one in self.sent.asked]
        moments += [(p.at, p.source, True) for p in self.sent.packets if p.payload]
        for at, address, came in sorted(moments):
            if not came:
                waits.setdefault(address, at)
            elif (since := waits.pop(address, None)) is not None and at - since > LATE_S:
                late.add(address)
        return late

    def scope(self) -> Finding:
        found = Finding(counts={"outside": 0, "ICMP to devices, from the kernel": 0})
        networks = [IPv4Network(text) for text in self.allowed.networks]
        excluded = [IPv4Network(text) for text in self.allowed.excluded]
        verdicts: dict[str, bool] = {}

        def inside(address: str) -> bool:
            if ":" in address:
                return False  # a MAC address: a multicast, or nobody that ARP told of
            if address not in verdicts:
                where = IPv4Address(address)
                verdicts[address] = any(where in net for net in networks) and not any(
                    where in net for net in excluded
                )
            return verdicts[address]

        for packet in self.sent.packets:
            if packet.source not in self.allowed.scanner:
                if packet.protocol.startswith("ethertype"):
                    found.fault(f"a frame of {packet.protocol}")
                elif packet.protocol == "link" and ":" in packet.source:
                    found.fault(f"a frame of PROFINET from {packet.source}, whoever that is")
                continue
            found.cases += 1
            if packet.is_reply or (packet.protocol == "arp" and packet.target in self.allowed.own):
                continue
            if not inside(packet.target):
                found.counts["outside"] += 1
                port = f" port {packet.target_port}" if packet.target_port else ""
                found.fault(f"{packet.protocol} to {packet.target}{port}")
            elif packet.protocol == "icmp":
                found.counts["ICMP to devices, from the kernel"] += 1
            elif packet.protocol not in ("tcp", "udp", "arp", "link"):
                found.fault(f"{packet.protocol} to {packet.target}")
        return found
