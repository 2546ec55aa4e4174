"""
A service runs that the device does not need.

Why it matters: each open port is one more way in and one more thing to patch. What nobody uses,
nobody watches: the FTP server of the commissioning engineer is found by the intruder first.
Source: IEC 62443-3-3 SR 7.7 (only what is needed is switched on). What is needed, the site says
itself, per asset, under `expected_services`.

Walkdown asks a short list of ports. So a pass needs the device's own list of open ports, read with
the operator's login; else a device without surplus services stays unchecked.
"""

from __future__ import annotations

from scanner.facts import DeviceSettings
from scanner.model import Asset, Effort, Exploitability, Outcome, Severity, Tier, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown

SEEN = frozenset({Outcome.ANSWERED, Outcome.GARBLED})


def judge(asset: Asset, site: SitePolicy) -> tuple[Judgement, ...]:
    if asset.parent is not None:
        return (
            Judgement(
                verdict=Verdict.NOT_APPLICABLE, summary=f"services are judged at {asset.parent}"
            ),
        )
    if not asset.expected_services:
        return (unknown("which services it needs: no expected_services declared"),)
    expected = {f"{flow.transport}/{flow.port}" for flow in asset.expected_services}
    offered = {
        f"{service.transport}/{service.port}": service.protocol
        for service in asset.services
        if service.outcome in SEEN
    }
    evidence, listening = [], None
    for fact, source in zip(asset.facts, asset.fact_sources, strict=True):
        if isinstance(fact, DeviceSettings) and fact.listening is not None:
            listening = {*(listening or ()), *fact.listening}
            evidence.append(source)
    surplus = sorted((set(offered) | (listening or set())) - expected)
    if surplus:
        named = [f"{port} ({offered[port]})" if port in offered else port for port in surplus]
        return (
            Judgement(
                verdict=Verdict.FAIL,
                summary=f"open, but not among its expected services: {', '.join(named)}",
                evidence=tuple(evidence),
            ),
        )
    if listening is None:
        return (
            unknown(
                f"all open ports (tier read); none of the {len(offered)} services that answered "
                "is unexpected"
            ),
        )
    return (
        Judgement(
            verdict=Verdict.PASS,
            summary=f"all {len(listening)} ports that it says are open are expected",
            evidence=tuple(evidence),
        ),
    )


CHECK = Check(
    id="unneeded_services",
    title="Service that the device does not need",
    requirements=("SR 7.7",),
    severity=Severity.MEDIUM,
    exploitability=Exploitability.SKILLED,
    reads=Asset,
    judge=judge,
    remedy=(
        "Ask who uses the service. If nobody does, switch it off in the device's settings, or "
        "block its port where the device has no such setting. If somebody does, add it to the "
        "asset's expected services."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0866", "T0885"),
    tier=Tier.READ,
)
