"""
Several devices show the same SSH host key.

Why it matters: the host key is how an engineer's laptop knows that it talks to the right switch. If
one image was copied to many devices, or the vendor built one key into all of them, each can pass
itself off as any other, and whoever takes one out of the cabinet can read the sessions of all.
Source: RFC 4251 section 4.1 (host keys), RFC 4253 section 8; IEC 62443-3-3 SR 1.2 RE 1, SR 1.5.
"""

from __future__ import annotations

from collections import defaultdict

from scanner.facts import SshHostKey
from scanner.model import Effort, Exploitability, Outcome, Place, Severity, Tier, Verdict
from scanner.spec import Check, Inventory, Judgement, SitePolicy


def judge(inventory: Inventory, site: SitePolicy) -> tuple[Judgement, ...]:
    holders: dict[str, dict[str, str]] = defaultdict(dict)
    zones = {asset.id: asset.zone for asset in inventory.assets}
    for asset in inventory.assets:
        for fact, source in zip(asset.facts, asset.fact_sources, strict=True):
            if isinstance(fact, SshHostKey):
                holders[fact.fingerprint_sha256][asset.id] = source
    found = [
        Judgement(
            verdict=Verdict.FAIL,
            summary=(
                f"{len(own)} devices show the same host key {fingerprint} "
                "(unless they are one device under several addresses)"
            ),
            places=tuple(Place(zone=zones[asset], asset=asset) for asset in sorted(own)),
            about=fingerprint,
            evidence=tuple(own[asset] for asset in sorted(own)),
        )
        for fingerprint, own in sorted(holders.items())
        if len(own) > 1
    ]
    with_key = {asset for own in holders.values() for asset in own}
    shared = {place.asset for judgement in found for place in judgement.places}
    return (*found, *_rest(inventory, with_key, shared))


def _rest(inventory: Inventory, with_key: set[str], shared: set[str | None]) -> list[Judgement]:
    single = [
        Place(zone=asset.zone, asset=asset.id)
        for asset in inventory.assets
        if asset.id in with_key and asset.id not in shared
    ]
    keyless = [
        Place(zone=asset.zone, asset=asset.id)
        for asset in inventory.assets
        if asset.id not in with_key
        and any(
            service.protocol == "ssh" and service.outcome is Outcome.ANSWERED
            for service in asset.services
        )
    ]
    found = []
    if single and len(with_key) > 1:
        found.append(
            Judgement(
                verdict=Verdict.PASS,
                summary=f"{len(single)} devices show a host key that no other device shows",
                places=tuple(single),
                about="compared",
            )
        )
    else:
        keyless += single
    if keyless:
        found.append(
            Judgement(
                verdict=Verdict.NOT_CHECKED,
                summary=(
                    f"the host key of {len(keyless)} devices was not read (needs tier read) or "
                    "there was none to compare it with"
                ),
                places=tuple(keyless),
                about="not compared",
            )
        )
    if not found and not shared:
        found.append(
            Judgement(verdict=Verdict.NOT_APPLICABLE, summary="no device answered SSH")
            if any(s.protocol == "ssh" for asset in inventory.assets for s in asset.services)
            else Judgement(verdict=Verdict.NOT_CHECKED, summary="SSH was never asked")
        )
    return found


CHECK = Check(
    id="ssh_shared_host_key",
    title="Same SSH host key on several devices",
    requirements=("SR 1.2 RE 1", "SR 1.5"),
    severity=Severity.MEDIUM,
    exploitability=Exploitability.SKILLED,
    reads=Inventory,
    judge=judge,
    remedy=(
        "Make a new host key on each device named and tell the engineers, whose clients will warn "
        "once. Where the key comes back after a restart it is built into the firmware: ask the "
        "vendor for an update. Take host keys out of configurations that are copied."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0830",),
    protocols=("ssh",),
    tier=Tier.READ,
)
