"""
The device keeps its log to itself.

Why it matters: a log that exists only on the device is gone with the device, is overwritten within
days, and can be wiped by the one whose traces it holds.
Source: IEC 62443-3-3 SR 2.8 RE 1 (audit trail over all devices in one place); RFC 5424 (syslog).
"""

from __future__ import annotations

from scanner.facts import DeviceSettings
from scanner.model import Effort, Exploitability, Severity, Tier, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(fact: DeviceSettings, site: SitePolicy) -> tuple[Judgement, ...]:
    if fact.log_targets is None:
        return (unknown("where the log is sent"),)
    if not fact.log_targets:
        return (Judgement(verdict=Verdict.FAIL, summary="the log is sent nowhere"),)
    if site.log_targets and not set(fact.log_targets) & set(site.log_targets):
        return (
            Judgement(
                verdict=Verdict.FAIL,
                summary=f"the log is sent to {', '.join(fact.log_targets)}, "
                f"none of the site's own ({', '.join(site.log_targets)})",
            ),
        )
    return (
        Judgement(
            verdict=Verdict.PASS, summary=f"the log is sent to {', '.join(fact.log_targets)}"
        ),
    )


CHECK = Check(
    id="log_target_missing",
    title="Log is not sent to a collector",
    requirements=("SR 2.8 RE 1",),
    severity=Severity.MEDIUM,
    exploitability=Exploitability.THEORETICAL,
    reads=DeviceSettings,
    judge=judge,
    remedy=(
        "Enter the plant's log collector as syslog target (over TLS where the device can), let the "
        "conduit pass it, and check at the collector that a test entry arrives."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0872",),
    protocols=("ssh", "telnet"),
    tier=Tier.READ,
)
