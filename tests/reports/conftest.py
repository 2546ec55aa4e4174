"""A sample plant, assessed: four zones, conduits of every kind, a bit of everything that can be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from scanner.assess import assess
from scanner.facts import (
    CredentialAttempt,
    DeviceIdentity,
    DeviceSettings,
    Fact,
    HttpFace,
    ModbusAccess,
    SshFace,
    TlsFace,
)
from scanner.model import (
    FR_KEYS,
    Assessment,
    Asset,
    AttestationInfo,
    CanaryResult,
    Certificate,
    CertifiedPromise,
    ConduitInfo,
    Conflict,
    DeviceClass,
    DualHomed,
    Effort,
    EvidenceClass,
    Exchange,
    Exploitability,
    Finding,
    Flow,
    Identity,
    Leg,
    Observation,
    Outcome,
    OutsideDevice,
    Place,
    Placement,
    Presence,
    RequirementVerdict,
    RunInfo,
    Safety,
    SafetyFigures,
    Service,
    Severity,
    SwitchPort,
    Target,
    Tier,
    Topology,
    TopologyLink,
    TopologyNode,
    Transport,
    Verdict,
    ZoneInfo,
    ZoneProposal,
)

START = datetime(2026, 11, 20, 22, 0, tzinfo=timezone(timedelta(hours=1)))


def zone(name: str, purdue: float | None, sl_t: int, tier: Tier = Tier.READ) -> ZoneInfo:
    return ZoneInfo(
        id=name,
        name=name.capitalize(),
        purdue=purdue,
        networks=("127.30.0.0/24",),
        sl_t=dict.fromkeys(FR_KEYS, sl_t),
        tier=tier,
        profile="default",
    )


def conduit(name: str, ends: tuple[str, str], **keywords: object) -> ConduitInfo:
    values: dict[str, object] = {
        "sl_t": dict.fromkeys(FR_KEYS, 2),
        "remote_access": False,
        "monitored_by": None,
        "allow": (Flow(protocol="modbus", transport=Transport.TCP, port=502),),
    }
    return ConduitInfo(id=name, from_zone=ends[0], to_zone=ends[1], **{**values, **keywords})


def exchange(number: int, address: str, request: bytes, reply: bytes) -> Exchange:
    return Exchange(
        id=f"x{number}",
        target=Target(zone="control", address=address, port=502, transport=Transport.TCP),
        probe="modbus",
        tier=Tier.IDENTIFY,
        label="read device identification",
        sent_at=START + timedelta(seconds=number),
        finished_at=START + timedelta(seconds=number, milliseconds=12),
        outcome=Outcome.ANSWERED,
        reason="",
        request=request,
        reply=reply,
        wire_bytes_out=len(request),
        wire_bytes_in=len(reply),
        sha256=f"{number:064x}",
    )


def observation(
    number: int,
    address: str,
    facts: tuple[Fact, ...] = (),
    exchanges: tuple[str, ...] = (),
    *,
    where: str = "control",
    outcome: Outcome = Outcome.ANSWERED,
    reason: str = "",
) -> Observation:
    return Observation(
        id=f"o{number}",
        zone=where,
        address=address,
        port=502,
        transport=Transport.TCP,
        protocol="modbus",
        probe="modbus",
        tier=Tier.IDENTIFY,
        outcome=outcome,
        reason=reason,
        started_at=START + timedelta(seconds=number),
        finished_at=START + timedelta(seconds=number, milliseconds=40),
        facts=facts,
        exchanges=exchanges,
    )


def asset(where: str, address: str | None, name: str | None = None, **keywords: object) -> Asset:
    values: dict[str, object] = {
        "id": f"{where}/{address or 'name:' + (name or '')}",
        "sub_address": None,
        "parent": None,
        "device_class": DeviceClass.PLC,
        "identity": Identity(vendor="Schneider Electric", model="TM221CE24T", firmware="1.6.2.0"),
        "services": (
            Service(transport=Transport.TCP, port=502, protocol="modbus", outcome=Outcome.ANSWERED),
            Service(transport=Transport.TCP, port=80, protocol="http", outcome=Outcome.REFUSED),
        ),
        "sources": {"vendor": ("o1",), "model": ("o1",), "firmware": ("o1",)},
        "conflicts": (),
        "presence": Presence.DECLARED_AND_SEEN,
        "declared": None,
        "criticality": None,
        "addresses": (address,) if address else (),
        "facts": (),
        "fact_sources": (),
        "observations": ("o1",),
    }
    return Asset(zone=where, address=address, name=name, **{**values, **keywords})


def finding(check: str, subject: Asset, verdict: Verdict, **keywords: object) -> Finding:
    values: dict[str, object] = {
        "title": check.replace("_", " ").capitalize(),
        "scope": "asset",
        "zone": subject.zone,
        "asset": subject.id,
        "conduit": None,
        "places": (Place(zone=subject.zone, asset=subject.id),),
        "severity": Severity.HIGH,
        "exploitability": Exploitability.KNOWN_TOOL,
        "effort": Effort.QUICK,
        "requirements": ("SR 1.1", "SR 2.1"),
        "summary": "unit 1 answered a read without authentication",
        "remedy": "Put the controller behind a conduit that filters function codes.",
        "needs_outage": False,
        "evidence": ("o1", "x1"),
    }
    return Finding(
        id=f"{check}/asset/{subject.id}", check=check, verdict=verdict, **{**values, **keywords}
    )


def figures(where: str | None, address: str | None, **keywords: object) -> SafetyFigures:
    values: dict[str, object] = {
        "profile": "default",
        "connections": 4,
        "peak_concurrent": 1,
        "exchanges": 9,
        "bytes_out": 1432,
        "bytes_in": 20480,
        "packets_counted": 31,
        "packets_budget": 40,
        "smallest_gap_s": 0.25,
        "peak_packets_1s": 7,
        "resets_sent": 0,
        "refusals": {},
        "canary": (),
    }
    return SafetyFigures(zone=where, address=address, **{**values, **keywords})


def certificate(run: str, *, state: str = "halted", broken: bool = False) -> Certificate:
    """Fourteen rows: the last not measured, the first broken where that is wanted."""
    numbers = (*range(1, 12), 15, 16, 17)
    verdicts = ["fail" if broken else "pass", *["pass"] * 12, "not measured"]
    return Certificate(
        schema="walkdown-certificate/1", run=run, site="Harbour waterworks", version="0.1.0",
        state=state, events=4306, chain_head="cd" * 32, capture_sha256="ef" * 32,
        capture="headers of 3368 packets, 0 lost by the kernel",
        privileges="root, capabilities 0x0, no_new_privs set",
        promises=tuple(
            CertifiedPromise(
                promise=number, title=f"Promise {number}", target="at most 8, in any 1 s",
                measured=f"measured words of row {number}" + " and what was found" * 5,
                verdict=verdict, basis="records and packets",
            )
            for number, verdict in zip(numbers, verdicts, strict=True)
        ),
    )  # fmt: skip


def sample() -> Assessment:
    zones = (
        zone("enterprise", None, 1, Tier.PASSIVE),
        zone("dmz", 3.5, 2),
        zone("supervision", 2, 2),
        zone("control", 1, 2),
        zone("safety", 1, 3, Tier.IDENTIFY),
    )
    conduits = (
        conduit("remote", ("dmz", "supervision"), remote_access=True),
        conduit("process", ("supervision", "control")),
        conduit("process-2", ("supervision", "control"), sl_t=dict.fromkeys(FR_KEYS, 0)),
        conduit("trip", ("control", "safety"), allow=()),
        conduit("upward", ("control", "enterprise"), monitored_by="ids-1"),
        conduit("lost", ("control", "nowhere"), sl_t=dict.fromkeys(FR_KEYS, 0)),
    )
    identity = DeviceIdentity(vendor="Schneider Electric", model="TM221CE24T", firmware="1.6.2.0")
    observations = (
        observation(
            1,
            "127.30.0.11",
            (identity, ModbusAccess(unit_id=1, answers_without_login=True)),
            ("x1", "x2"),
        ),
        observation(
            2,
            "127.30.0.12",
            (
                HttpFace(scheme="http", status=200, title="PLC <b>start</b>", asks_login=False),
                TlsFace(version="TLSv1", not_after=START, names=("plc.local",)),
                SshFace(banner="SSH-2.0-OpenSSH_6.6", kex=("diffie-hellman-group1-sha1",)),
                CredentialAttempt(service="http", credential="c1", account="a", product="p"),
                DeviceSettings(platform="ios", time_servers=(), session_timeout_s=0),
            ),
            ("x3",),
        ),
        observation(3, "127.30.0.13", outcome=Outcome.SILENT),
        observation(
            4, "127.30.2.9", where="safety", outcome=Outcome.WITHHELD, reason="tier passive"
        ),
    )
    exchanges = (
        exchange(1, "127.30.0.11", bytes.fromhex("000100000005012b0e0100"), b"\x00\x01Schneider"),
        exchange(2, "127.30.0.11", b"", bytes(range(256)) * 3),
        exchange(3, "127.30.0.12", b"GET / HTTP/1.1\r\nHost: plc\r\n\r\n", b"HTTP/1.1 200 OK\r\n"),
    )
    plc = asset("control", "127.30.0.11", "PLC-11", criticality="high")
    inside = asset(
        "control",
        "127.30.0.11",
        None,
        id="control/127.30.0.11#unit 3",
        sub_address="unit 3",
        parent=plc.id,
        presence=Presence.SEEN_AND_UNDECLARED,
    )
    differs = asset(
        "control",
        "127.30.0.12",
        "PLC-12",
        presence=Presence.IDENTITY_DIFFERS,
        declared=Identity(vendor="Siemens", model="S7-1200"),
        conflicts=(Conflict(field="firmware", values=(("1.6.2.0", "o1"), ("1.5", "o2"))),),
        confidence={"vendor": "table", "model": "text"},
        interface_makers={"00:02:e3:17:c7:50": "LITE-ON Communications, Inc."},
    )
    silent = asset(
        "control",
        "127.30.0.13",
        "PLC-13",
        identity=Identity(),
        services=(),
        sources={},
        presence=Presence.DECLARED_AND_SILENT,
    )
    paper = asset(
        "safety",
        None,
        "Relay cabinet",
        identity=Identity(),
        services=(),
        sources={},
        presence=Presence.DECLARED_WITHOUT_ADDRESS,
    )
    stranger = asset(
        "supervision",
        "127.30.1.7",
        identity=Identity(),
        device_class=DeviceClass.UNKNOWN,
        sources={},
        presence=Presence.SEEN_AND_UNDECLARED,
    )
    unvisited = asset(
        "safety",
        "127.30.2.9",
        "SIS-1",
        identity=Identity(),
        services=(),
        sources={},
        presence=Presence.NOT_VISITED,
    )
    findings = (
        finding("modbus_unauthenticated", plc, Verdict.FAIL),
        finding("modbus_unauthenticated", differs, Verdict.PASS, evidence=("o2",)),
        finding("modbus_unauthenticated", silent, Verdict.NOT_CHECKED, evidence=()),
        finding(
            "default_credentials",
            differs,
            Verdict.FAIL,
            severity=Severity.CRITICAL,
            exploitability=Exploitability.TRIVIAL,
            requirements=("SR 1.5",),
            evidence=("x3", "x999", "file:backups/plc.txt"),
        ),
        finding("tls_weak", plc, Verdict.NOT_APPLICABLE, evidence=()),
        finding("backup_missing", plc, Verdict.MANUAL, evidence=(), requirements=("SR 7.3",)),
        finding("log_target_missing", plc, Verdict.ERROR, evidence=(), requirements=("SR 6.1",)),
        finding(
            "remote_access_no_mfa",
            plc,
            Verdict.FAIL,
            scope="conduit",
            zone=None,
            asset=None,
            conduit="remote",
            places=(Place(zone="dmz", asset=None, note="jump host"),),
            requirements=("SR 1.1 RE 2",),
            evidence=(),
            needs_outage=True,
            effort=Effort.PROJECT,
        ),
    )

    def attested(requirement: str, state: str, **keywords: object) -> AttestationInfo:
        values: dict[str, object] = {
            "zone": "safety",
            "verdict": RequirementVerdict.MET,
            "document": "concept.md",
            "owner": "Head of operations",
            "date": "2026-10-01",
            "expires": "2027-10-01",
        }
        return AttestationInfo(requirement=requirement, state=state, **{**values, **keywords})

    return assess(
        site="Harbour waterworks",
        run=RunInfo(
            id="r1",
            started_at=START,
            finished_at=START + timedelta(hours=1),
            state="halted",
            reason="two devices of zone control stopped answering",
            version="0.1.0",
            tiers=("identify", "read"),
            authorisation="CHG-2026-0142",
            authorised_by="Shift lead",
            runs=("r0", "r1"),
            chain_head="ab" * 32,
            observations={"answered": 2, "silent": 1, "withheld": 1},
            limits={"request_deadline": "5 s"},
        ),
        zones=zones,
        conduits=conduits,
        assets=(plc, inside, differs, silent, paper, stranger, unvisited),
        observations=observations,
        exchanges=exchanges,
        checks=(),
        findings=findings,
        attestations=(
            attested("SR 4.1", "accepted"),
            attested(
                "SR 4.3", "accepted", verdict=RequirementVerdict.COMPENSATED, note="A relay does it"
            ),
            attested("SR 6.1", "expired", expires="2026-01-01"),
            attested("SR 7.3", "document_missing", evidence_class=EvidenceClass.INTERVIEW),
            attested("SR 7.4", "document_changed", expires=None),
            attested("SR 7.4", "unknown", zone="nowhere"),
        ),
        safety=Safety(
            total=figures(None, None, refusals={"guard": 1}),
            devices=(
                figures("control", "127.30.0.11", profile="fragile"),
                figures(
                    "control",
                    "127.30.0.12",
                    packets_counted=41,
                    smallest_gap_s=None,
                    refusals={"window": 2},
                    canary=(
                        CanaryResult(
                            address="127.30.0.12",
                            at=START.astimezone(UTC),
                            healthy=False,
                            note="no answer",
                        ),
                    ),
                ),
            ),
            loosenings=("zone supervision: profile robust",),
            halted="two devices of zone control gave a sign of distress within 60 s",
            withheld={"tier passive": 1},
            certificates=(certificate("r0"), certificate("r1", state="running", broken=True)),
        ),
        topology=network(plc.id, silent.id),
    )


def network(plc: str, other: str) -> Topology:
    """A little of everything that a network section may show."""

    def node(node_id: str, **changes: object) -> TopologyNode:
        values: dict[str, object] = {
            "id": node_id,
            "known": "asset",
            "zone": "control",
            "name": node_id,
            "addresses": ("127.30.0.2",),
            "macs": (),
            "device_class": DeviceClass.SWITCH,
            "bridges": True,
        }
        return TopologyNode(**{**values, **changes})

    def port(switch: str, name: str, vlan: int | None = None) -> SwitchPort:
        return SwitchPort(switch=switch, port=name, vlan=vlan, heard=1)

    stranger = node("neighbour:core", known="neighbour", zone=None, name="core", addresses=())
    return Topology(
        nodes=(
            node(plc, name="PLC-11", bridges=False, device_class=DeviceClass.PLC),
            node(other, name=None, bridges=False),
            node("SW-1"),
            stranger,
        ),
        links=(
            TopologyLink(
                a="SW-1", a_port="Gi1/8", b="neighbour:core", b_port=None,
                known_by=("lldp", "bridge table"), both_sides=False, note="directly, or not",
            ),
        ),
        placements=(
            Placement(
                node=plc, mac="02:00:00:00:00:11", certainty="on", at=port("SW-1", "Gi1/1", 10),
                others=(), known_by=("bridge table",), reason="no other address is heard there",
            ),
            Placement(
                node=other, mac=None, certainty="ambiguous", at=None,
                others=(port("SW-1", "Gi1/2"), port("neighbour:core", "7")), known_by=(),
                reason="heard at 2 ports alike, and nothing tells them apart",
            ),
        ),
        dual_homed=(
            DualHomed(
                asset=plc, sure=False, note="or it is a router that answers for others",
                legs=(
                    Leg(address="127.30.0.11", zone="control", how="asked there"),
                    Leg(address="10.0.0.9", zone=None, how="its own address table"),
                ),
            ),
        ),
        outside=(
            OutsideDevice(
                node="neighbour:core", address="192.168.77.9", mac="02:00:00:00:00:77", name=None,
                seen_by=("SW-1",),
            ),
        ),
        proposals=(
            ZoneProposal(
                id="control-2", name="control 2", purdue=1.0, networks=("127.30.0.0/24",),
                nodes=(plc,), reasons=("2 devices in 127.30.0.0/24",),
            ),
        ),
        notes=("02:00:00:00:00:12 is claimed by two",),
    )  # fmt: skip


@pytest.fixture(scope="session")
def plant() -> Assessment:
    """The sample plant's assessment."""
    return sample()
