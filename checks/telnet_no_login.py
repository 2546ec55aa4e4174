"""
Telnet gives a command prompt without a login.

Why it matters: a prompt without a password is the device's configuration in the hands of whoever
connects, and what is typed there leaves no name in any log.
Source: RFC 854 (Telnet itself has no authentication; a login is the device's own doing).
"""

from __future__ import annotations

from scanner.facts import TelnetFace
from scanner.model import Effort, Exploitability, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(fact: TelnetFace, site: SitePolicy) -> tuple[Judgement, ...]:
    if fact.asks_login is None:
        return (unknown("whether Telnet asks for a login"),)
    if fact.asks_login:
        return (Judgement(verdict=Verdict.PASS, summary="Telnet asks for a login"),)
    return (
        Judgement(
            verdict=Verdict.FAIL,
            summary="Telnet showed a command prompt without asking for a login",
        ),
    )


CHECK = Check(
    id="telnet_no_login",
    title="Telnet gives a prompt without a login",
    requirements=("SR 1.1", "SR 2.1"),
    severity=Severity.CRITICAL,
    exploitability=Exploitability.TRIVIAL,
    reads=TelnetFace,
    judge=judge,
    remedy=(
        "Switch Telnet off and use SSH. Where the device has no SSH, set a login on all its "
        "lines and let only the engineering station reach port 23."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0886",),
    protocols=("telnet",),
)
