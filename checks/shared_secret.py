"""
The same password, community or key on several devices.

Why it matters: whoever gets the password of one cabinet has them all, and after somebody left it
cannot be changed without a round through the whole plant.
Source: IEC 62443-3-3 SR 1.5 (authenticators) and SR 1.2 RE 1 (one credential per device).

What is compared are keyed hashes of what the device stores. Salted hashes of one password differ
from device to device, so only secrets that are stored reversibly, communities and public keys can
be told to be different; salted ones that are equal were copied with the configuration.
"""

from __future__ import annotations

from collections import defaultdict

from scanner.facts import Account, DeviceSettings
from scanner.model import Asset, Effort, Exploitability, Outcome, Place, Severity, Tier, Verdict
from scanner.spec import Check, Inventory, Judgement, SitePolicy

COMPARABLE = frozenset({"clear", "cleartext", "plain", "type 0", "type 7", "reversible"})
"""Ways of storing in which equal passwords look equal."""

LOGINS = frozenset({"ssh", "telnet"})

WEIGHT = {"password": Severity.HIGH, "community": Severity.MEDIUM, "key": Severity.LOW}
"""One engineer's key on many devices may be meant so; it is still one secret for all of them."""


def judge(inventory: Inventory, site: SitePolicy) -> tuple[Judgement, ...]:
    holders: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    sources: dict[str, set[str]] = defaultdict(set)
    for asset in inventory.assets:
        for kind, fingerprint, owner, source in _secrets(asset):
            holders[kind, fingerprint][asset.id].add(owner)
            sources[asset.id].add(source)
    zones = {asset.id: asset.zone for asset in inventory.assets}
    found = [
        _shared(kind, fingerprint, owners, zones, sources)
        for (kind, fingerprint), owners in sorted(holders.items())
        if len(owners) > 1
    ]
    failed = {place.asset for judgement in found for place in judgement.places}
    return (*found, *_rest(inventory, failed, len(holders)))


def _secrets(asset: Asset) -> list[tuple[str, str, str, str]]:
    """(kind, fingerprint, whose, observation) of every secret of the device."""
    found = []
    for fact, source in zip(asset.facts, asset.fact_sources, strict=True):
        if isinstance(fact, Account) and fact.enabled is not False:
            if fact.secret_fingerprint:
                found.append(("password", fact.secret_fingerprint, fact.name, source))
            found += [("key", key, fact.name, source) for key in fact.key_fingerprints]
        elif isinstance(fact, DeviceSettings):
            found += [("community", one, "SNMP", source) for one in fact.community_fingerprints]
    return found


def _shared(
    kind: str,
    fingerprint: str,
    owners: dict[str, set[str]],
    zones: dict[str, str],
    sources: dict[str, set[str]],
) -> Judgement:
    places = tuple(
        Place(zone=zones[asset], asset=asset, note=", ".join(sorted(owners[asset])))
        for asset in sorted(owners)
    )
    return Judgement(
        verdict=Verdict.FAIL,
        summary=f"the same {kind} is stored on {len(places)} devices",
        places=places,
        severity=WEIGHT[kind],
        about=f"{kind} {fingerprint[:16]}",
        evidence=tuple(sorted({one for asset in owners for one in sources[asset]})),
    )


def _rest(inventory: Inventory, failed: set[str | None], secrets: int) -> list[Judgement]:
    """What can be said of the devices on which nothing shared was found."""
    different, open_ = [], []
    for asset in inventory.assets:
        if asset.id in failed or asset.parent is not None:
            continue
        place = Place(zone=asset.zone, asset=asset.id)
        if _all_comparable(asset):
            different.append(place)
        elif _has_login(asset) or _secrets(asset):
            open_.append(place)
    found = []
    if different and secrets > 1:
        found.append(
            Judgement(
                verdict=Verdict.PASS,
                summary=f"the secrets of {len(different)} devices differ from all others compared",
                places=tuple(different),
                about="compared",
            )
        )
    else:
        open_ += different
    if open_ or not found:
        found.append(
            Judgement(
                verdict=Verdict.NOT_CHECKED,
                summary=(
                    f"the secrets of {len(open_)} devices could not be compared "
                    "(not read, nothing to compare with, or stored as salted hashes)"
                ),
                places=tuple(open_),
                about="not compared",
            )
        )
    return found


def _all_comparable(asset: Asset) -> bool:
    accounts = [
        fact for fact in asset.facts if isinstance(fact, Account) and fact.enabled is not False
    ]
    settings = [fact for fact in asset.facts if isinstance(fact, DeviceSettings)]
    if not accounts or not settings:
        return False
    return all(
        fact.secret_fingerprint is not None and (fact.secret_storage or "").lower() in COMPARABLE
        for fact in accounts
    ) and all(
        fact.snmp_communities is not None
        and fact.snmp_communities == len(fact.community_fingerprints)
        for fact in settings
    )


def _has_login(asset: Asset) -> bool:
    return any(
        service.protocol in LOGINS and service.outcome is Outcome.ANSWERED
        for service in asset.services
    )


CHECK = Check(
    id="shared_secret",
    title="Same password, community or key on several devices",
    requirements=("SR 1.2 RE 1", "SR 1.5"),
    severity=Severity.HIGH,
    exploitability=Exploitability.KNOWN_TOOL,
    reads=Inventory,
    judge=judge,
    remedy=(
        "Set a different password on each device and keep them in the plant's password store, or "
        "let the devices ask a central server (RADIUS, TACACS+) so that each person has one login "
        "of his own. Communities: SNMPv3 users per device."
    ),
    effort=Effort.PROJECT,
    needs_outage=False,
    attack=("T0859", "T0886"),
    protocols=("ssh", "telnet"),
    tier=Tier.READ,
)
