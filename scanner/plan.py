"""
What will be asked of whom, before anything is sent: every request per device, and what it costs.

The plan is a pure function of the site file and the probes. Its packet budget is the worst case,
with every retransmission the kernel may make; the governor refuses whatever would exceed it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from ipaddress import ip_address

from scanner import fragile
from scanner.errors import UsageError
from scanner.governor import SILENT_PORTS
from scanner.model import Target, Tier, Transport
from scanner.profiles import Profile
from scanner.site import DevicePolicy, Site
from scanner.spec import Probe

SYN = 2
"""SYNs of a connect that is given up after 2 s."""
RETRANSMITTED = 5
"""
One segment and its retransmissions until TCP_USER_TIMEOUT (1.5 s on a connection) ends them: at
0.2, 0.4 and 0.8 s, as seen at the device (a tail loss probe comes before those of RFC 6298), and
one that the kernel may send just as that time ends.
"""
CANARY = SYN + 4 * RETRANSMITTED
"""One connection with one request, or with a TLS handshake; it is over with its first answer."""
CONNECT_S = 2.0
DATAGRAM_S = 6.5
"""The deadline of a question, and the time in which its late reply still finds a socket."""

LAYER_2 = "layer2"
"""What the site file has to consent to before a frame without IP is planned."""

_FIRST = ("enip", "modbus", "s7")
"""What most controllers speak comes before the other native protocols."""
_GENERIC = ("snmp", "http", "https", "ssh", "telnet")
"""Generic protocols come after native ones; those not named after these, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedQuestion:
    """One probe on one port. `usual` and `worst` count our packets; `only_if` is in words."""

    target: Target
    probe: Probe
    usual: int
    worst: int
    only_if: str

    @property
    def key(self) -> str:
        t = self.target
        return "|".join(
            (t.zone, t.address, t.transport, str(t.port), self.probe.name, self.probe.tier)
        )

    @property
    def service(self) -> str:
        return service_of(self.probe)


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePlan:
    """
    One device: all addresses of one chassis. `key` names the chassis. `budget` is the most packets
    that it will get from us, with canaries. `declared` is True when the site file does so.
    `fragile` are the entries of the fragile list that its declared identity fits; tier, profile
    and questions obey them already.
    """

    key: str
    zone: str
    addresses: tuple[str, ...]
    name: str | None
    declared: bool
    policy: DevicePolicy
    profile: Profile
    zone_cap: int | None
    questions: tuple[PlannedQuestion, ...]
    canaries: int
    budget: int
    fragile: tuple[fragile.Entry, ...] = ()
    seats: frozenset[int] = frozenset()
    """Ports that belong to somebody else's station and that the site file opened all the same."""

    @property
    def usual(self) -> int:
        return sum(q.usual for q in self.questions if not q.only_if)


@dataclass(frozen=True)
class Plan:
    """All devices of a scan. `skipped` says, per address or zone, what is left out and why."""

    site: Site
    devices: tuple[DevicePlan, ...]
    skipped: tuple[str, ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over every question, in hex: two equal plans ask the same."""
        digest = hashlib.sha256()
        for device in self.devices:
            for question in device.questions:
                digest.update(f"{question.key}|{question.worst}\n".encode())
        return digest.hexdigest()

    @property
    def questions(self) -> int:
        return sum(len(device.questions) for device in self.devices)

    @property
    def budget(self) -> int:
        return sum(device.budget for device in self.devices)

    def traces(self) -> tuple[tuple[str, str, str], ...]:
        """(service, question, trace) for everything that leaves something behind, each once."""
        found: dict[tuple[str, str, str], None] = {}
        for probe in self.probes():
            for question in probe.questions:
                if question.trace:
                    found[(service_of(probe), question.label, question.trace)] = None
        return tuple(found)

    def probes(self) -> tuple[Probe, ...]:
        """The probes that this plan uses, each once, in the order they are asked."""
        found: dict[int, Probe] = {}
        for device in self.devices:
            for question in device.questions:
                found[id(question.probe)] = question.probe
        return tuple(sorted(found.values(), key=_rank))

    def duration(self) -> tuple[timedelta, timedelta]:
        """
        (likely, longest) wall time that pacing demands. Likely: declared devices answer, all other
        addresses are empty and silent. Longest: every question is asked and waits to its deadline.
        """
        likely = longest = 0.0
        for zone in {device.zone for device in self.devices}:
            devices = [device for device in self.devices if device.zone == zone]
            cap = devices[0].zone_cap
            packets = sum(device.usual for device in devices)
            paced = packets / cap if cap else 0.0
            likely = max(likely, paced, *(_likely(device) for device in devices))
            worst = sum(device.budget for device in devices) / cap if cap else 0.0
            longest = max(longest, worst, *(_longest(device) for device in devices))
        return timedelta(seconds=round(likely)), timedelta(seconds=round(longest))

    def empty_address_cost(self) -> timedelta:
        """How long the undeclared addresses take if nobody is there and nothing refuses."""
        empty = [_silent(device) for device in self.devices if not device.declared]
        return timedelta(seconds=round(max(empty, default=0.0)))


def service_of(probe: Probe) -> str:
    """The service's name in the inventory and in `ports:`."""
    return probe.service or probe.name


def build(
    site: Site, probes: Iterable[Probe], *, only: Iterable[str] = (), zone: str | None = None
) -> Plan:
    """
    The plan of a site. `only` limits it to some addresses (pilot devices), `zone` to one zone.

    Raises UsageError when an address of `only` is in no zone, or the zone does not exist.
    """
    if zone is not None and zone not in {one.id for one in site.zones}:
        raise UsageError(f"the site file has no zone {zone!r}")
    wanted = _wanted(site, tuple(only))
    ordered = tuple(sorted(probes, key=_rank))
    devices: list[DevicePlan] = []
    skipped: list[str] = []
    for one in site.zones:
        if zone is not None and one.id != zone:
            continue
        for key, addresses in _chassis(site, one.id, wanted).items():
            policy = site.settings(one.id, addresses[0])
            known = fragile.matching(() if policy.asset is None else (policy.asset.identity,))
            if left := next((entry for entry in known if entry.rule.leave_alone), None):
                skipped.append(f"{addresses[0]} ({one.id}): {fragile.LEFT_ALONE}{left.words}")
                continue
            if policy.tier is Tier.PASSIVE:
                skipped.append(f"{addresses[0]} ({one.id}): tier passive, nothing is sent")
                continue
            devices.append(_device(site, one.id, key, addresses, policy, ordered, known))
    return Plan(site=site, devices=tuple(devices), skipped=tuple(skipped))


def _wanted(site: Site, only: tuple[str, ...]) -> frozenset[str]:
    found = set()
    for text in only:
        try:
            address = str(ip_address(text))
        except ValueError as error:
            raise UsageError(f"--only {text}: not an IP address") from error
        if site.zone_of(address) is None:
            raise UsageError(
                f"--only {address}: in no zone of the site file\n"
                "  hint: add its network to a zone, or check `exclude`"
            )
        found.add(address)
    return frozenset(found)


def _chassis(site: Site, zone: str, wanted: frozenset[str]) -> dict[str, tuple[str, ...]]:
    """Chassis key → its addresses in this zone, in the order of the site file's addresses."""
    groups: dict[str, list[str]] = {}
    for address in site.addresses(zone):
        groups.setdefault(site.chassis(zone, address), []).append(address)
    return {
        key: tuple(addresses)
        for key, addresses in groups.items()
        if not wanted or wanted & set(addresses)
    }


def _device(
    site: Site,
    zone: str,
    key: str,
    addresses: tuple[str, ...],
    policy: DevicePolicy,
    probes: tuple[Probe, ...],
    known: tuple[fragile.Entry, ...],
) -> DevicePlan:
    rule = fragile.strictest(known)
    tier = min(policy.tier, rule.tier, key=lambda tier: tier.rank)
    policy = replace(policy, tier=tier, profile=rule.paced(policy.profile))
    questions = tuple(
        question
        for probe in probes
        if _is_asked(probe, policy) and not _forbidden(rule, probe)
        for address in addresses
        for question in _on_ports(probe, zone, address, policy)
    )
    identify = [q for q in questions if q.probe.tier is Tier.IDENTIFY]
    deep = len(questions) - len(identify)
    canaries = 1 + len(identify) // SILENT_PORTS + deep
    dearest = min(CANARY, max((q.worst for q in identify), default=0))
    return DevicePlan(
        key=key,
        zone=zone,
        addresses=addresses,
        name=policy.asset.name if policy.asset else None,
        declared=policy.asset is not None,
        policy=policy,
        profile=policy.profile,
        zone_cap=site.zone(zone).profile.zone_packets_per_s,
        questions=questions,
        canaries=canaries,
        budget=sum(q.worst for q in questions) + canaries * dearest,
        fragile=known,
        seats=granted_seats(policy, probes),
    )


def granted_seats(policy: DevicePolicy, probes: Iterable[Probe]) -> frozenset[int]:
    """
    The ports of opt-in probes that the site file names here; read from its own words and not from
    the questions, so that a question that was planned by mistake grants nothing.
    """
    found: set[int] = set()
    for probe in probes:
        service = service_of(probe)
        if probe.opt_in and (probe.name in (policy.probes or ()) or service in policy.ports):
            found.update(policy.ports.get(service, probe.ports))
    return frozenset(found)


def _forbidden(rule: fragile.Rule, probe: Probe) -> str:
    return rule.forbids(
        service_of(probe),
        probe.tier,
        connections=fragile.connections_of(probe.transport, probe.connections),
        made=0,
        identified=False,
    )


def _is_asked(probe: Probe, policy: DevicePolicy) -> bool:
    if not policy.tier.allows(probe.tier):
        return False
    if probe.transport is Transport.LINK and LAYER_2 not in policy.consent:
        return False
    named = policy.probes is not None and probe.name in policy.probes
    if policy.probes is not None and not named:
        # reading the configuration over SSH is what a login in the site file asks for
        return probe.name == "sshconfig" and policy.login is not None and "ssh" in policy.probes
    if probe.opt_in and not named and service_of(probe) not in policy.ports:
        return False
    return not ("login" in probe.needs and policy.login is None)


def _on_ports(
    probe: Probe, zone: str, address: str, policy: DevicePolicy
) -> Iterator[PlannedQuestion]:
    service = "ssh" if probe.name == "sshconfig" else service_of(probe)
    for port in policy.ports.get(service, probe.ports):
        target = Target(zone=zone, address=address, port=port, transport=probe.transport)
        usual, worst = cost(probe)
        yield PlannedQuestion(
            target=target, probe=probe, usual=usual, worst=worst, only_if=_condition(probe)
        )


def _condition(probe: Probe) -> str:
    words = {
        "answered": "this port answered before",
        "answered_here": "this port answered before over the same transport",
        "default_credential": "the device is a product with a known default credential",
        "udp_silent": "the same question over UDP was silent",
    }
    told = [words[need] for need in sorted(probe.needs) if need in words]
    if probe.follows:
        told.append(f"{probe.follows} answered on this port")
    if probe.unless:
        told.append(f"{probe.unless} did not answer on this port")
    return " and ".join(told)


def cost(probe: Probe) -> tuple[int, int]:
    """(usual, worst) number of our packets for one run of a probe on one port."""
    requests = sum(q.at_most * q.packets for q in probe.questions)
    if probe.transport is Transport.LINK:
        return requests, requests  # nobody repeats a frame
    if probe.transport is Transport.UDP:
        # Each once more, and for each the kernel's word that an answer came too late to be heard.
        return requests, 4 * requests
    usual = requests + 2 * probe.connections
    worst = RETRANSMITTED * requests + (SYN + RETRANSMITTED) * probe.connections
    return usual, worst


def _rank(probe: Probe) -> tuple[int, bool, int, str, int, int]:
    service = service_of(probe)
    order = (*_FIRST, "", *_GENERIC)  # "": other native protocols; unnamed generic ones at the end
    unnamed = len(_FIRST) if probe.for_controllers else len(order)
    place = order.index(service) if service in order else unnamed
    # Datagrams before connections, so that "udp_silent" is known when it is asked for.
    way = -ord(probe.transport[0])
    # Layer 2 after everything over IP: only then does the kernel know who is a neighbour.
    on_link = probe.transport is Transport.LINK
    return probe.tier.rank, on_link, place, probe.name, way, min(probe.ports, default=0)


def _connections(device: DevicePlan) -> int:
    return sum(q.probe.connections for q in device.questions if q.target.transport is Transport.TCP)


def _likely(device: DevicePlan) -> float:
    if not device.declared:
        return _silent(device)
    paced = device.usual / device.profile.packets_per_s if device.profile.packets_per_s else 0.0
    return max(paced, _connections(device) * device.profile.connection_interval_s)


def _silent(device: DevicePlan) -> float:
    """Every identify port is silent once: connects wait 2 s, datagrams to their deadline."""
    waited = 0.0
    for question in device.questions:
        if question.probe.tier is Tier.IDENTIFY and not question.only_if:
            tcp = question.target.transport is Transport.TCP
            waited += max(CONNECT_S, device.profile.connection_interval_s) if tcp else DATAGRAM_S
    return waited


def _longest(device: DevicePlan) -> float:
    return sum(question.probe.deadline_s for question in device.questions)
