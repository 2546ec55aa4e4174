"""
FTP lets anybody in as anonymous.

Why it matters: on a controller or a panel the files behind FTP are its program, its pages and its
recipes. Who may sign in without a password may at least read them, and often put others in their
place.
Source: RFC 1635 (anonymous FTP); IEC 62443-3-3 SR 1.1.

What the account may do is not tried: nothing is listed, fetched or stored.
"""

from __future__ import annotations

from scanner.facts import ServiceAccess
from scanner.model import Effort, Exploitability, Severity, Tier, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(fact: ServiceAccess, site: SitePolicy) -> tuple[Judgement, ...]:
    if fact.protocol != "ftp":
        return ()
    if fact.answers_without_login is None:
        return (unknown("whether FTP lets anonymous in"),)
    if fact.answers_without_login:
        return (Judgement(verdict=Verdict.FAIL, summary="FTP let user anonymous in"),)
    return (Judgement(verdict=Verdict.PASS, summary="FTP refused user anonymous"),)


CHECK = Check(
    id="ftp_anonymous",
    title="FTP lets anybody in as anonymous",
    requirements=("SR 1.1", "SR 2.1"),
    severity=Severity.HIGH,
    exploitability=Exploitability.TRIVIAL,
    reads=ServiceAccess,
    judge=judge,
    remedy=(
        "Switch the anonymous account off in the server's settings, or FTP altogether where nobody "
        "uses it. Where a device needs it to load its program, let only the engineering station "
        "reach port 21."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0811", "T0867"),
    protocols=("ftp",),
    tier=Tier.LOGIN,
)
