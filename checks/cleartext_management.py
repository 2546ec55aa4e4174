"""
Devices are managed in clear text.

Why it matters: over Telnet or HTTP the administrator's password passes every switch and every
mirrored port readably. One infected office laptop in the path is enough to collect it.
Source: IEC 62443-3-3 SR 1.5 and SR 4.1; RFC 9110 section 17.14 (credentials in HTTP), RFC 854.

A pass needs both services settled: each refused, switched off by configuration, or for HTTP only
sending the browser on to HTTPS. Silence settles nothing.
"""

from __future__ import annotations

from scanner.facts import DeviceSettings, HttpFace, TelnetFace
from scanner.model import (
    Asset,
    Effort,
    Exploitability,
    Outcome,
    Presence,
    Severity,
    Tier,
    Verdict,
)
from scanner.spec import Check, Judgement, SitePolicy, missing, unknown

NEVER_MET = frozenset(
    {Presence.DECLARED_AND_SILENT, Presence.NOT_VISITED, Presence.DECLARED_WITHOUT_ADDRESS}
)
"""Nobody answered there: a refusal may then come from a firewall, or on loopback from ourselves."""


def judge(asset: Asset, site: SitePolicy) -> tuple[Judgement, ...]:
    clear, evidence = _clear(asset)
    if clear:
        return (
            Judgement(
                verdict=Verdict.FAIL,
                summary=f"managed in clear text: {', '.join(clear)}",
                evidence=evidence,
            ),
        )
    if asset.parent is not None or not _asked(asset, ("telnet", "http")):
        return (
            missing(asset, "clear-text services", protocols=("telnet", "http"), tier=Tier.IDENTIFY),
        )
    if open_ := [name for name in ("telnet", "http") if not _settled(asset, name)]:
        return (unknown(f"whether {' or '.join(open_)} is used to manage it"),)
    return (
        Judgement(
            verdict=Verdict.PASS,
            summary="on the ports asked, Telnet is off, and HTTP is off or carries no login",
        ),
    )


def _clear(asset: Asset) -> tuple[list[str], tuple[str, ...]]:
    """Clear-text management that was seen, in words, and the observations that saw it."""
    found, evidence = [], []
    for fact, source in zip(asset.facts, asset.fact_sources, strict=True):
        if isinstance(fact, TelnetFace):
            word = "Telnet answers"
        elif isinstance(fact, DeviceSettings) and fact.telnet_enabled:
            word = "Telnet is switched on"
        elif (
            isinstance(fact, HttpFace)
            and fact.scheme == "http"
            and fact.asks_login
            and not fact.redirects_to_https
        ):
            word = "HTTP asks for a login"
        else:
            continue
        found.append(word)
        evidence.append(source)
    if not evidence and any(
        s.protocol == "telnet" and s.outcome is Outcome.ANSWERED for s in asset.services
    ):
        found.append("Telnet answers")
    return list(dict.fromkeys(found)), tuple(dict.fromkeys(evidence))


def _asked(asset: Asset, protocols: tuple[str, ...]) -> bool:
    return any(service.protocol in protocols for service in asset.services) or any(
        isinstance(fact, DeviceSettings) for fact in asset.facts
    )


def _settled(asset: Asset, protocol: str) -> bool:
    """Whether it is proven that this service carries no login in clear text."""
    settings = [fact for fact in asset.facts if isinstance(fact, DeviceSettings)]
    if any(
        (s.telnet_enabled if protocol == "telnet" else s.http_enabled) is False for s in settings
    ):
        return True
    services = [service for service in asset.services if service.protocol == protocol]
    if not services:
        return False
    faces = [f for f in asset.facts if isinstance(f, HttpFace) and f.scheme == "http"]
    harmless = bool(faces) and all(
        face.redirects_to_https or (face.asks_login is False and face.offers_controls is False)
        for face in faces
    )
    return all(
        (service.outcome is Outcome.REFUSED and asset.presence not in NEVER_MET)
        or (protocol == "http" and service.outcome is Outcome.ANSWERED and harmless)
        for service in services
    )


CHECK = Check(
    id="cleartext_management",
    title="Managed over Telnet or HTTP in clear text",
    requirements=("SR 1.5", "SR 4.1"),
    severity=Severity.HIGH,
    exploitability=Exploitability.KNOWN_TOOL,
    reads=Asset,
    judge=judge,
    remedy=(
        "Switch on SSH and HTTPS, try them with the engineering tools, then switch Telnet and HTTP "
        "off. Change the passwords afterwards: the old ones have passed the network readably. "
        "Devices without SSH or HTTPS: manage them only from inside the cell."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0842", "T0859"),
    protocols=("telnet", "http"),
)
