"""
The nouns of Walkdown: what a site, an exchange, an asset, a finding and an assessment are.

Frozen dataclasses without behaviour beyond what follows from their own fields. They are written
to and read from JSON by one pydantic `TypeAdapter` (scanner.assess); there are no twins of them.
Times are aware datetimes; addresses are canonical strings; bytes are hex in JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import ConfigDict

from scanner.facts import Fact

SCHEMA = "walkdown.assessment/1"


class Tier(StrEnum):
    """How far a scan may go on a device. There is no tier for writing."""

    PASSIVE = "passive"
    IDENTIFY = "identify"
    READ = "read"
    LOGIN = "login"

    @property
    def rank(self) -> int:
        return _TIERS[self]

    def allows(self, wanted: Tier) -> bool:
        return _TIERS[self] >= _TIERS[wanted]


_TIERS = {tier: rank for rank, tier in enumerate(Tier)}


class Transport(StrEnum):
    """`link` is layer 2: frames without IP, whose port is the type in their Ethernet header."""

    TCP = "tcp"
    UDP = "udp"
    LINK = "link"


class Outcome(StrEnum):
    """The closed set of ends of an observation (and of an exchange)."""

    ANSWERED = "answered"
    REFUSED = "refused"
    SILENT = "silent"
    GARBLED = "garbled"
    WITHHELD = "withheld"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    BUG = "bug"


NOBODY_THERE = "the address did not resolve on the local link"
"""Why a question was withheld after an earlier one found that nobody is at its address."""


ACTIVE, BACKUP = "active", "backup:"
"""Sources of an observation: what a scan asked; the backup source of an id."""


class DeviceClass(StrEnum):
    PLC = "plc"
    RTU = "rtu"
    IO = "io"
    DRIVE = "drive"
    HMI = "hmi"
    SWITCH = "switch"
    FIREWALL = "firewall"
    GATEWAY = "gateway"
    SERVER = "server"
    WORKSTATION = "workstation"
    UPS = "ups"
    CAMERA = "camera"
    OTHER = "other"
    UNKNOWN = "unknown"


CONTROLLERS = frozenset({DeviceClass.PLC, DeviceClass.RTU, DeviceClass.IO, DeviceClass.DRIVE})


class Verdict(StrEnum):
    """A check's word. `not_checked` is what a missing fact becomes; it is never a pass."""

    FAIL = "fail"
    PASS = "pass"
    NOT_APPLICABLE = "not_applicable"
    NOT_CHECKED = "not_checked"
    MANUAL = "manual"
    ERROR = "error"


class Severity(StrEnum):
    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return _SEVERITIES[self]


_SEVERITIES = {severity: rank for rank, severity in enumerate(Severity)}


class Exploitability(StrEnum):
    TRIVIAL = "trivial"
    KNOWN_TOOL = "known_tool"
    SKILLED = "skilled"
    THEORETICAL = "theoretical"

    @property
    def rank(self) -> int:
        return _EXPLOITABILITIES[self]


_EXPLOITABILITIES = {one: rank for rank, one in enumerate(Exploitability)}


class Effort(StrEnum):
    """What a remedy costs: quick win, project, or procurement."""

    QUICK = "quick"
    PROJECT = "project"
    PROCUREMENT = "procurement"


class RequirementVerdict(StrEnum):
    MET = "met"
    PARTIALLY_MET = "partially_met"
    NOT_MET = "not_met"
    COMPENSATED = "compensated"
    NOT_APPLICABLE = "not_applicable"
    NOT_ASSESSED = "not_assessed"

    @property
    def counts_as_met(self) -> bool:
        return self in (self.MET, self.COMPENSATED, self.NOT_APPLICABLE)


class EvidenceClass(StrEnum):
    MACHINE = "machine"
    CONFIGURATION = "configuration"
    DOCUMENT = "document"
    INTERVIEW = "interview"
    NONE = "none"


FR_IDS = ("FR 1", "FR 2", "FR 3", "FR 4", "FR 5", "FR 6", "FR 7")
FR_KEYS = ("iac", "uc", "si", "dc", "rdf", "tre", "ra")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a question goes. `zone` is the zone id; `address` an IP address in canonical text."""

    zone: str
    address: str
    port: int
    transport: Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """
    One request and its reply as they were on the wire, secrets masked before this existed.

    `id` is "x" and the sequence number in the evidence chain. `wire_bytes_*` count what the
    transport carried when that differs from the plaintext (TLS, SSH). `sha256` is this record's
    link in the chain.
    """

    __pydantic_config__ = ConfigDict(ser_json_bytes="hex", val_json_bytes="hex")

    id: str
    target: Target
    probe: str
    tier: Tier
    label: str
    sent_at: datetime
    finished_at: datetime | None
    outcome: Outcome
    reason: str
    request: bytes
    reply: bytes
    wire_bytes_out: int
    wire_bytes_in: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """
    What became of one question (one probe on one port of one device in one tier).

    `facts` is empty unless the outcome is `answered`. `exchanges` are ids. `connected` tells that a
    TCP connection came about, or that packets of the device itself were seen: somebody is there,
    even if nothing that we understand was said. `source` is "active" for what a scan asked,
    "backup:ID" for a backup, and else says in words from which file it was imported.
    """

    id: str
    zone: str
    address: str
    port: int
    transport: Transport
    protocol: str
    probe: str
    tier: Tier
    outcome: Outcome
    reason: str
    started_at: datetime
    finished_at: datetime
    facts: tuple[Fact, ...]
    exchanges: tuple[str, ...]
    source: str = ACTIVE
    connected: bool = False

    @property
    def imported(self) -> bool:
        """Whether it was read from a file that somebody recorded or wrote, and not asked."""
        return self.source != ACTIVE and not self.source.startswith(BACKUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    vendor: str | None = None
    model: str | None = None
    order_number: str | None = None
    hardware: str | None = None
    firmware: str | None = None
    serial: str | None = None
    name: str | None = None


IDENTITY_FIELDS = (
    "vendor", "model", "order_number", "hardware", "firmware", "serial", "name",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    transport: Transport
    port: int
    protocol: str
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Two sources that disagree about one field. The first value is the one shown."""

    field: str
    values: tuple[tuple[str, str], ...]
    """(value, observation id), the preferred one first."""


Confidence = Literal["protocol", "table", "text", "declared"]
"""
The basis of a shown value, the surest first: a field made for the purpose, a number looked up in a
table, recognised in free text; declared: the site file's word, nothing was told.
"""


class Presence(StrEnum):
    """Declared against seen: the lists of a walkdown."""

    DECLARED_AND_SEEN = "declared_and_seen"
    DECLARED_AND_SILENT = "declared_and_silent"
    SEEN_AND_UNDECLARED = "seen_and_undeclared"
    IDENTITY_DIFFERS = "identity_differs"
    DECLARED_WITHOUT_ADDRESS = "declared_without_address"
    NOT_VISITED = "not_visited"
    """Declared, but no question was put to it (tier passive, window closed, other pilot device)."""
    CLAIMED = "claimed"
    """Named by an imported list only: neither in the site file nor seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """
    A device, or a device behind a device.

    `id` is "zone/address" or "zone/address#sub_address"; an asset declared without an address has
    "zone/name:NAME". `sources` maps a field of `identity` (and "device_class") to the ids of the
    observations it rests on. `facts` and `services` are everything seen; an asset that answered
    without telling what it is has `device_class` unknown and an empty identity.
    """

    id: str
    zone: str
    address: str | None
    sub_address: str | None
    parent: str | None
    name: str | None
    device_class: DeviceClass
    identity: Identity
    services: tuple[Service, ...]
    sources: dict[str, tuple[str, ...]]
    conflicts: tuple[Conflict, ...]
    presence: Presence
    declared: Identity | None
    criticality: str | None
    addresses: tuple[str, ...]
    facts: tuple[Fact, ...]
    fact_sources: tuple[str, ...]
    """Observation id of each fact, in the order of `facts`."""
    observations: tuple[str, ...]
    expected_services: tuple[Flow, ...] = ()
    """What the owner declared that it offers; empty when nothing was declared."""
    origins: tuple[str, ...] = ()
    """What is known of it comes from, in words: "asked", "capture plant.pcap", …"""
    confidence: dict[str, Confidence] = field(default_factory=dict)
    """How sure the shown value of a field is; the keys are those of `sources`."""
    interface_makers: dict[str, str] = field(default_factory=dict)
    """
    Each of its MAC addresses, as far as told, to the maker of the interface by the IEEE's registry.
    That need not be the maker of the device: it is no part of `identity` and no conflict with it.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One place where a finding holds: an asset, or a conduit or zone when `asset` is None."""

    zone: str | None
    asset: str | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    A check's word on one subject, or on each of several assets (scanner/fold.py): `asset` is None
    then though the scope is "asset", and `places` names them.

    `id` is stable over runs: check, scope and subject. `evidence` are ids of exchanges (x…) and
    observations (o…), or "file:…" for what was read from the owner's files.
    """

    id: str
    check: str
    title: str
    scope: Literal["asset", "zone", "conduit", "site"]
    zone: str | None
    asset: str | None
    conduit: str | None
    places: tuple[Place, ...]
    verdict: Verdict
    severity: Severity
    exploitability: Exploitability
    effort: Effort
    requirements: tuple[str, ...]
    summary: str
    remedy: str
    needs_outage: bool
    evidence: tuple[str, ...]

    @property
    def of_several(self) -> bool:
        return self.scope == "asset" and self.asset is None

    @property
    def number(self) -> int:
        """How many subjects it is the word on."""
        return len(self.places) if self.of_several else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementResult:
    """The verdict on one SR or RE in one zone (or conduit)."""

    zone: str | None
    conduit: str | None
    id: str
    title: str
    fr: str
    sl: int
    required_by_sl_t: bool
    verdict: RequirementVerdict
    evidence_class: EvidenceClass
    findings: tuple[str, ...]
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """SL-A of one FR in one zone: low counts unknown against, high counts it for."""

    zone: str | None
    conduit: str | None
    fr: str
    sl_t: int
    sl_c: int | None
    sl_a_low: int
    sl_a_high: int
    blocking: tuple[str, ...]
    """Ids of the items that keep sl_a_low below sl_t."""
    items_met: int
    items_total: int
    """Counts over the items required by SL-T (n of m beside the level)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A required SR or RE that is not met, with what it takes to close it."""

    id: str
    zone: str | None
    conduit: str | None
    requirement: str
    title: str
    fr: str
    verdict: RequirementVerdict
    severity: Severity
    exploitability: Exploitability
    priority: int
    """1 is the first to work on."""
    phase: int
    """1: 0-3 months, 2: 3-12 months, 3: 12-24 months."""
    findings: tuple[str, ...]
    remedy: str
    needs_outage: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneScore:
    """
    Compliance score of one zone, or of the whole site when `zone` is None.

    `compliant` of `applicable` SRs have their base and every RE required by SL-T met or
    compensated. `items_*` count SRs and REs. The shares are None when nothing is applicable.
    """

    zone: str | None
    compliant: int
    applicable: int
    score: float | None
    items_met: int
    items_total: int
    items_share: float | None
    items_assessed: int
    assessed_share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoadmapItem:
    phase: int
    title: str
    zones: tuple[str, ...]
    requirements: tuple[str, ...]
    gaps: tuple[str, ...]
    effort: Effort
    needs_outage: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryResult:
    address: str
    at: datetime
    healthy: bool
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyFigures:
    """What was done to one device, or to all when `address` is None."""

    zone: str | None
    address: str | None
    profile: str
    connections: int
    peak_concurrent: int
    exchanges: int
    bytes_out: int
    bytes_in: int
    packets_counted: int
    packets_budget: int
    smallest_gap_s: float | None
    peak_packets_1s: int
    resets_sent: int
    refusals: dict[str, int]
    canary: tuple[CanaryResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifiedPromise:
    """
    One promise of the safety contract as this scan kept it. `basis` says what was counted:
    packets, records or both. "not measured" comes with its reason in `measured`.
    """

    promise: int
    title: str
    target: str
    measured: str
    verdict: Literal["pass", "fail", "not measured"]
    basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What the auditor found of one run. Hashes are SHA-256 in hex; `capture_sha256` "": none."""

    schema: str
    run: str
    site: str
    version: str
    state: str
    """As of a run; "running" where it was killed or goes on."""
    events: int
    """So many events of the record were audited; `chain_head` is the link of the last of them."""
    chain_head: str
    capture_sha256: str
    capture: str
    """What the capture holds, or why there is none, in words."""
    privileges: str
    promises: tuple[CertifiedPromise, ...]

    def with_verdict(self, verdict: str) -> tuple[CertifiedPromise, ...]:
        return tuple(one for one in self.promises if one.verdict == verdict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Safety:
    total: SafetyFigures
    devices: tuple[SafetyFigures, ...]
    loosenings: tuple[str, ...]
    """Every limit above the default, in words."""
    halted: str | None
    withheld: dict[str, int]
    fragile: tuple[str, ...] = ()
    """Every entry of the fragile list that was obeyed, with the device, in words."""
    certificates: tuple[Certificate, ...] = ()
    """One for each run that was audited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneInfo:
    id: str
    name: str
    purdue: float | None
    networks: tuple[str, ...]
    sl_t: dict[str, int]
    """Keys are FR_KEYS."""
    tier: Tier
    profile: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    protocol: str
    transport: Transport
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConduitInfo:
    id: str
    from_zone: str
    to_zone: str
    sl_t: dict[str, int]
    remote_access: bool
    monitored_by: str | None
    allow: tuple[Flow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    id: str
    started_at: datetime
    finished_at: datetime | None
    state: Literal["running", "finished", "interrupted", "halted"]
    reason: str
    version: str
    tiers: tuple[str, ...]
    authorisation: str
    authorised_by: str
    runs: tuple[str, ...]
    """Ids of the merged runs."""
    chain_head: str
    observations: dict[str, int]
    """Count of observations by outcome."""
    limits: dict[str, str]
    probe_set: str = ""
    """SHA-256 over the probes, guards, checks and credential sets that were used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationInfo:
    """What the owner vouches for, and what became of it."""

    zone: str
    requirement: str
    verdict: RequirementVerdict
    document: str
    owner: str
    date: str
    expires: str | None
    state: Literal["accepted", "expired", "document_missing", "document_changed", "unknown"]
    """`unknown`: it names no zone or conduit of this site."""
    evidence_class: EvidenceClass = EvidenceClass.DOCUMENT
    note: str = ""
    """The owner's own words: what was done, or what compensates and how."""


# --- topology ----------------------------------------------------------------------------------

KnownBy = Literal["lldp", "cdp", "bridge table"]
Certainty = Literal["on", "on or behind", "behind", "ambiguous", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologyNode:
    """
    Something with a place in the network. `id` is an asset's id, or "neighbour:…" of a device that
    others speak of and that no question of ours has met. `zone` is None where its addresses lie in
    no zone, or where it has none that is known. `macs` are those that are its own for certain.
    """

    id: str
    known: Literal["asset", "neighbour"]
    zone: str | None
    name: str | None
    addresses: tuple[str, ...]
    macs: tuple[str, ...]
    device_class: DeviceClass
    bridges: bool
    """It forwards frames: it has a forwarding table, or says that it is a bridge or router."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologyLink:
    """
    A cable between two nodes, as far as it is known. Ports are None where nobody named them.
    `both_sides`: each end speaks of the other. `note` says what is not certain about it.
    """

    a: str
    a_port: str | None
    b: str
    b_port: str | None
    known_by: tuple[KnownBy, ...]
    both_sides: bool
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchPort:
    """A port of a bridge (`switch`: id of its node), and how many addresses are heard there."""

    switch: str
    port: str
    vlan: int | None
    heard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """
    Where a node hangs, for one of its MAC addresses (None: told by a neighbour table, or unknown).

    `certainty`: "on" the port; "on or behind" it, where others are heard on the same port; "behind"
    it, where the port leads to another bridge; "ambiguous": one of `others`, and nothing tells
    which; "unknown". `at` is None for the last two. `reason` says why, in words.
    """

    node: str
    mac: str | None
    certainty: Certainty
    at: SwitchPort | None
    others: tuple[SwitchPort, ...]
    known_by: tuple[KnownBy, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One address of a device that stands in more than one network. `zone` None: in no zone."""

    address: str
    zone: str | None
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DualHomed:
    """
    An asset with a leg in more than one zone, or with one outside every zone. `sure` False: what
    was seen has another explanation too, and `note` names it.
    """

    asset: str
    legs: tuple[Leg, ...]
    sure: bool
    note: str = ""

    @property
    def zones(self) -> tuple[str, ...]:
        return tuple(sorted({leg.zone for leg in self.legs if leg.zone is not None}))


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideDevice:
    """An address in somebody's tables that lies in no zone of the site."""

    node: str
    address: str
    mac: str | None
    name: str | None
    seen_by: tuple[str, ...]
    """Ids of the assets whose tables tell it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneProposal:
    """A zone that the site file might have. Only ever a proposal: people decide on zones."""

    id: str
    name: str
    purdue: float | None
    networks: tuple[str, ...]
    nodes: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    nodes: tuple[TopologyNode, ...] = ()
    links: tuple[TopologyLink, ...] = ()
    placements: tuple[Placement, ...] = ()
    dual_homed: tuple[DualHomed, ...] = ()
    outside: tuple[OutsideDevice, ...] = ()
    proposals: tuple[ZoneProposal, ...] = ()
    notes: tuple[str, ...] = ()
    """What was read only in part, contradicts itself or could not be told apart, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """The one document that reports are rendered from; `walkdown schema` prints its form."""

    schema: str
    site: str
    run: RunInfo
    zones: tuple[ZoneInfo, ...]
    conduits: tuple[ConduitInfo, ...]
    assets: tuple[Asset, ...]
    observations: tuple[Observation, ...]
    exchanges: tuple[Exchange, ...]
    """The exchanges that findings and identities rest on, so that a report can show the bytes."""
    findings: tuple[Finding, ...]
    requirements: tuple[RequirementResult, ...]
    levels: tuple[Level, ...]
    gaps: tuple[Gap, ...]
    score: tuple[ZoneScore, ...]
    roadmap: tuple[RoadmapItem, ...]
    attestations: tuple[AttestationInfo, ...]
    safety: Safety
    topology: Topology = field(default_factory=Topology)
    titles: dict[str, str] = field(default_factory=dict)
    """Titles of the checks and requirements named here, so that old documents render alike."""
