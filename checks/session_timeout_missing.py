"""
Administrator sessions stay open.

Why it matters: an engineer who is called away leaves the switch's or gateway's administration open
on a screen in the control room, for the next person or for whoever takes the laptop.
Source: IEC 62443-3-3 SR 2.5 and SR 2.6 (sessions lock and end by themselves); the longest time that
counts is the site's own (`session_timeout_max_s`, 900 s where it names none).
"""

from __future__ import annotations

from scanner.facts import DeviceSettings
from scanner.model import Effort, Exploitability, Severity, Tier, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(fact: DeviceSettings, site: SitePolicy) -> tuple[Judgement, ...]:
    timeout, longest = fact.session_timeout_s, site.session_timeout_max_s
    if timeout is None:
        return (unknown("after which time an idle session ends"),)
    if timeout <= 0:
        return (Judgement(verdict=Verdict.FAIL, summary="idle sessions never end"),)
    if timeout > longest:
        return (
            Judgement(
                verdict=Verdict.FAIL,
                summary=f"idle sessions end after {timeout} s, later than the site's {longest} s",
            ),
        )
    return (Judgement(verdict=Verdict.PASS, summary=f"idle sessions end after {timeout} s"),)


CHECK = Check(
    id="session_timeout_missing",
    title="Idle sessions are not ended in time",
    requirements=("SR 2.5", "SR 2.6"),
    severity=Severity.MEDIUM,
    exploitability=Exploitability.SKILLED,
    reads=DeviceSettings,
    judge=judge,
    remedy=(
        "Set an idle time-out of 15 minutes or less on all management lines (console, SSH, Telnet, "
        "web). Operator stations that must stay logged in are the exception: note them and what "
        "protects them instead."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0859",),
    protocols=("ssh", "telnet"),
    tier=Tier.READ,
)
