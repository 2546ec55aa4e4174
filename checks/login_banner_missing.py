"""
No notice before the login.

Why it matters: the notice tells an outsider, and an insider at the wrong door, that use is only for
those authorised and is watched. Without it a misuse is harder to pursue afterwards.
Source: IEC 62443-3-3 SR 1.12 (notice before the login, its text set by the site).
"""

from __future__ import annotations

from scanner.facts import DeviceSettings
from scanner.model import Effort, Exploitability, Severity, Tier, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(fact: DeviceSettings, site: SitePolicy) -> tuple[Judgement, ...]:
    if fact.login_banner is None:
        return (unknown("whether a notice is shown before the login"),)
    if fact.login_banner:
        return (Judgement(verdict=Verdict.PASS, summary="a notice is shown before the login"),)
    return (Judgement(verdict=Verdict.FAIL, summary="no notice is shown before the login"),)


CHECK = Check(
    id="login_banner_missing",
    title="No notice of use before the login",
    requirements=("SR 1.12",),
    severity=Severity.LOW,
    exploitability=Exploitability.THEORETICAL,
    reads=DeviceSettings,
    judge=judge,
    remedy=(
        "Set the site's notice as login banner (one text for the whole site, agreed with the legal "
        "department; no product names or versions in it)."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    protocols=("ssh", "telnet"),
    tier=Tier.READ,
)
