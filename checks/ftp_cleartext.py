"""
FTP takes passwords in clear text.

Why it matters: name and password of whoever loads a program or fetches a log pass the network
readably, and so do the files. One infected computer in the path collects both.
Source: RFC 959 section 4.1.1 (USER and PASS); RFC 4217 (FTP over TLS, announced as AUTH TLS).

A server that announces `AUTH` may still take passwords without it, which is not tried.
"""

from __future__ import annotations

from scanner.facts import ServiceAccess
from scanner.model import Effort, Exploitability, Severity, Tier, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(fact: ServiceAccess, site: SitePolicy) -> tuple[Judgement, ...]:
    if fact.protocol != "ftp":
        return ()
    if fact.authentication is None:
        return (unknown("whether FTP offers encryption"),)
    if offered := [name for name in fact.authentication if name.upper().startswith("AUTH")]:
        return (unknown(f"whether FTP insists on the encryption that it offers ({offered[0]})"),)
    return (
        Judgement(
            verdict=Verdict.FAIL,
            summary="FTP offers no encryption: passwords and files pass in clear text",
        ),
    )


CHECK = Check(
    id="ftp_cleartext",
    title="FTP without encryption",
    requirements=("SR 1.5", "SR 4.1"),
    severity=Severity.MEDIUM,
    exploitability=Exploitability.KNOWN_TOOL,
    reads=ServiceAccess,
    judge=judge,
    remedy=(
        "Use SFTP or HTTPS where the device has them and switch FTP off. Where it has nothing "
        "else, keep the transfer inside the cell, and give the account a password of its own."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0842",),
    protocols=("ftp",),
    tier=Tier.READ,
)
