"""
Remote access with a password alone.

Why it matters: a vendor's stolen password opens the plant from anywhere in the world, at night, to
somebody who behaves like the vendor. A second factor is what the thief does not have.
Source: IEC 62443-3-3 SR 1.1 RE 2 (several factors from untrusted networks); RFC 4252 section 5.2
(what the `none` request tells).

Seldom can this be proven over the wire: a server that offers "password" may still want a second
factor after it. So a failure needs the device's own configuration, or a server that wants no factor
at all; everything else is left for the interview, named device by device.
"""

from __future__ import annotations

from scanner.facts import DeviceSettings, SshAuthMethods
from scanner.model import (
    Asset,
    ConduitInfo,
    Effort,
    Exploitability,
    Outcome,
    Place,
    Severity,
    Tier,
    Verdict,
)
from scanner.spec import Check, Conduit, Judgement, SitePolicy

ENTRANCES = frozenset({"ssh", "telnet", "http", "https", "rdp", "vnc", "winrm", "opcua"})
"""Services through which a person comes in."""


def judge(conduit: Conduit, site: SitePolicy) -> tuple[Judgement, ...]:
    if not conduit.info.remote_access:
        return (
            Judgement(
                verdict=Verdict.NOT_APPLICABLE, summary="not marked as a way of remote access"
            ),
        )
    entrances = [
        asset
        for asset in conduit.to_assets
        if asset.parent is None and _is_entrance(asset, conduit.info)
    ]
    if not entrances:
        return (
            Judgement(
                verdict=Verdict.NOT_CHECKED,
                summary=(
                    "no device at the inner end was seen to offer a service of this conduit; ask "
                    "where remote sessions end and which factors they need"
                ),
            ),
        )
    words = [(asset, *_word(asset)) for asset in entrances]
    return tuple(
        judgement
        for verdict, make in (
            (Verdict.FAIL, "{n} of {all} entrances let people in with one factor or none"),
            (Verdict.NOT_CHECKED, "{n} of {all} entrances: ask which factors they need"),
            (Verdict.PASS, "{n} of {all} entrances demand several factors"),
        )
        for judgement in _group(verdict, make, words)
    )


def _group(
    verdict: Verdict, text: str, words: list[tuple[Asset, Verdict, str, tuple[str, ...]]]
) -> list[Judgement]:
    own = [(asset, note, evidence) for asset, word, note, evidence in words if word is verdict]
    if not own:
        return []
    return [
        Judgement(
            verdict=verdict,
            summary=text.format(n=len(own), all=len(words)),
            places=tuple(Place(zone=a.zone, asset=a.id, note=note) for a, note, _ in own),
            about={Verdict.FAIL: "", Verdict.PASS: "proven", Verdict.NOT_CHECKED: "open"}[verdict],
            evidence=tuple(dict.fromkeys(one for _, _, evidence in own for one in evidence)),
        )
    ]


def _is_entrance(asset: Asset, info: ConduitInfo) -> bool:
    """Whether it answers a service for people that the conduit lets through (empty: all)."""
    ports = {(flow.transport, flow.port) for flow in info.allow}
    protocols = {flow.protocol for flow in info.allow}
    return any(
        service.protocol in ENTRANCES
        and service.outcome is Outcome.ANSWERED
        and (
            not info.allow
            or service.protocol in protocols
            or (service.transport, service.port) in ports
        )
        for service in asset.services
    )


def _word(asset: Asset) -> tuple[Verdict, str, tuple[str, ...]]:
    """(verdict, note, evidence) for one entrance."""
    notes, evidence, factors = [], [], set()
    for fact, source in zip(asset.facts, asset.fact_sources, strict=True):
        if isinstance(fact, SshAuthMethods):
            evidence.append(source)
            if fact.accepts_none:
                factors.add(False)
                notes.append("SSH lets people in without any factor")
            else:
                notes.append(f"SSH offers {', '.join(fact.methods) or 'no method'}")
        elif isinstance(fact, DeviceSettings):
            if fact.multi_factor is not None:
                evidence.append(source)
                factors.add(fact.multi_factor)
                said = "several factors" if fact.multi_factor else "one factor"
                notes.append(f"its configuration demands {said}")
            if fact.multi_factor_note:
                notes.append(fact.multi_factor_note)
    if False in factors:
        verdict = Verdict.FAIL
    elif True in factors:
        verdict = Verdict.PASS
    else:
        verdict = Verdict.NOT_CHECKED
    return verdict, "; ".join(dict.fromkeys(notes)), tuple(dict.fromkeys(evidence))


CHECK = Check(
    id="remote_access_no_mfa",
    title="Remote access without a second factor",
    requirements=("SR 1.1 RE 2",),
    severity=Severity.HIGH,
    exploitability=Exploitability.KNOWN_TOOL,
    reads=Conduit,
    judge=judge,
    remedy=(
        "Demand a second factor (token, app or smart card) at the jump host or VPN through which "
        "vendors and engineers come in, open the way per request only, and end sessions there: no "
        "direct route to controllers."
    ),
    effort=Effort.PROJECT,
    needs_outage=False,
    attack=("T0822", "T0859", "T0886"),
    protocols=("ssh",),
    tier=Tier.READ,
)
