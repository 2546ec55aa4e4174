"""
SNMP answers to a community that everybody knows.

Why it matters: with `public` a stranger reads names, addresses, neighbours and firmware of the
cell; with the write community of the manual he can shut ports or switch off an outlet of the UPS.
Source: RFC 1157 section 4.1 (a message is authenticated by its community alone); entries of
credentials/sets for communities other than `public`.

Silence to `public` proves nothing (agents drop what they do not know, and so do networks), so this
passes only where the configuration itself says that there is no community.
"""

from __future__ import annotations

from scanner.facts import DeviceSettings, SnmpAccess
from scanner.model import Asset, Effort, Exploitability, Severity, Tier, Verdict
from scanner.spec import Check, Judgement, SitePolicy, missing, unknown

READ_ONLY = "public"


def judge(asset: Asset, site: SitePolicy) -> tuple[Judgement, ...]:
    told = tuple(zip(asset.facts, asset.fact_sources, strict=True))
    hits = [
        (fact.community, source)
        for fact, source in told
        if isinstance(fact, SnmpAccess) and fact.community is not None
    ]
    if hits:
        names = sorted({name for name, _ in hits})
        return (
            Judgement(
                verdict=Verdict.FAIL,
                summary=f"answered to the community {' and '.join(map(repr, names))}",
                severity=Severity.MEDIUM if names == [READ_ONLY] else None,
                evidence=tuple(source for _, source in hits),
            ),
        )
    without = [
        source for fact, source in told if isinstance(fact, DeviceSettings)
        and fact.snmp_communities == 0
    ]  # fmt: skip
    if without:
        return (
            Judgement(
                verdict=Verdict.PASS,
                summary="no community is configured",
                evidence=tuple(without),
            ),
        )
    if any(isinstance(fact, SnmpAccess) for fact in asset.facts):
        return (unknown("whether a well-known community is accepted; none was seen to be"),)
    return (missing(asset, "SNMP access", protocols=("snmp",), tier=Tier.IDENTIFY),)


CHECK = Check(
    id="snmp_default_community",
    title="SNMP answers to a well-known community",
    requirements=("SR 1.5",),
    severity=Severity.HIGH,
    exploitability=Exploitability.TRIVIAL,
    reads=Asset,
    judge=judge,
    remedy=(
        "Use SNMPv3 with authentication and privacy. Where that is not possible, set communities "
        "of your own, read-only, and let only the management station reach UDP port 161. Where "
        "nobody uses SNMP, switch it off."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0812", "T0888"),
    protocols=("snmp",),
)
