"""
SNMP v1 or v2c is in use.

Why it matters: both send the community in clear text with every request, so one look at the wire
gives the key to all devices that share it, and nothing in the message shows who asked.
Source: RFC 3414 section 1.1 (the threats that v1 and v2c leave open);
IEC 62443-3-3 SR 4.1.

An agent that keeps silent to one community may answer to another, so only a configuration without
communities is a pass.
"""

from __future__ import annotations

from scanner.facts import DeviceSettings, SnmpAccess
from scanner.model import Asset, Effort, Exploitability, Severity, Tier, Verdict
from scanner.spec import Check, Judgement, SitePolicy, missing, unknown

CLEAR = frozenset({"1", "2c"})


def judge(asset: Asset, site: SitePolicy) -> tuple[Judgement, ...]:
    told = tuple(zip(asset.facts, asset.fact_sources, strict=True))
    answered = [
        (sorted(CLEAR.intersection(fact.versions)), source)
        for fact, source in told
        if isinstance(fact, SnmpAccess) and CLEAR.intersection(fact.versions)
    ]
    if answered:
        versions = sorted({version for own, _ in answered for version in own})
        return (
            Judgement(
                verdict=Verdict.FAIL,
                summary=f"answered in SNMP version {' and '.join(versions)}",
                evidence=tuple(source for _, source in answered),
            ),
        )
    counts = [
        (fact.snmp_communities, source)
        for fact, source in told
        if isinstance(fact, DeviceSettings) and fact.snmp_communities is not None
    ]
    evidence = tuple(source for _, source in counts)
    most = max((count for count, _ in counts), default=None)
    if most:
        return (
            Judgement(
                verdict=Verdict.FAIL,
                summary=f"communities are configured ({most}), so v1 or v2c is on",
                evidence=evidence,
            ),
        )
    if most == 0:
        return (
            Judgement(
                verdict=Verdict.PASS,
                summary="no community is configured, so v1 and v2c are off",
                evidence=evidence,
            ),
        )
    if any(isinstance(fact, SnmpAccess) for fact in asset.facts):
        return (unknown("whether v1 or v2c is on besides version 3 (community not known)"),)
    return (missing(asset, "SNMP versions", protocols=("snmp",), tier=Tier.IDENTIFY),)


CHECK = Check(
    id="snmp_cleartext_version",
    title="SNMP v1 or v2c in use",
    requirements=("SR 1.2", "SR 4.1"),
    severity=Severity.MEDIUM,
    exploitability=Exploitability.KNOWN_TOOL,
    reads=Asset,
    judge=judge,
    remedy=(
        "Change the monitoring to SNMPv3 with authentication and privacy, device by device, then "
        "switch v1 and v2c off. Until then let only the management station reach UDP port 161."
    ),
    effort=Effort.PROJECT,
    needs_outage=False,
    attack=("T0842",),
    protocols=("snmp",),
)
