"""
A KNX router or interface knows KNX IP Secure and does not use it.

Why it matters: whoever reaches an unsecured router's port may tunnel to the bus and write to any
group address of the installation: light, blinds, heating, doors. Devices with KNX IP Secure can ask
for a key first, but are delivered with it switched off until a project with keys is loaded.
Source: KNX Association, AN159 (KNXnet/IP Secure); the description blocks of supported and secured
service families, as a device tells them to anyone.
"""

from __future__ import annotations

from scanner.facts import ServiceAccess
from scanner.model import Effort, Exploitability, Severity, Tier, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(fact: ServiceAccess, site: SitePolicy) -> tuple[Judgement, ...]:
    if fact.protocol != "knx":
        return ()
    families = dict(fact.details).get("service families", "")
    if "security" not in families:
        return (
            Judgement(
                verdict=Verdict.NOT_APPLICABLE, summary="the device does not know KNX IP Secure"
            ),
        )
    if fact.authentication is None:
        return (unknown("whether KNX IP Secure is switched on (tier read)"),)
    secured = dict(fact.details).get("secured service families", "none")
    open_ = fact.answers_without_login
    return (
        Judgement(
            verdict=Verdict.FAIL if open_ else Verdict.PASS,
            summary=f"secured service families: {secured}; supported: {families}",
        ),
    )


CHECK = Check(
    id="knx_secure_off",
    title="KNX IP Secure is available and not in use",
    requirements=("SR 1.2", "SR 3.1"),
    severity=Severity.HIGH,
    exploitability=Exploitability.KNOWN_TOOL,
    reads=ServiceAccess,
    judge=judge,
    remedy=(
        "Activate secure commissioning, secure tunnelling and secure routing in the project and "
        "load it; keep the device certificates and the project password with the plant's keys. "
        "Until then let only the stations that need it reach UDP and TCP 3671."
    ),
    effort=Effort.PROJECT,
    needs_outage=True,
    attack=("T0855",),
    protocols=("knx",),
    tier=Tier.READ,
)
