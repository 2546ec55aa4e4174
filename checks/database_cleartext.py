"""
A database talks in clear text.

Why it matters: a plant's database holds what was made and how: recipes, batches, alarms. Whoever
reads along on the way gets them, and with them the login of the historian or the recipe system,
which then writes just as well.
Source: PostgreSQL documentation, "Secure TCP/IP Connections with SSL"; MS-TDS section 2.2.6.5
(ENCRYPT_NOT_SUP, ENCRYPT_REQ); Redis documentation, "TLS".

A server that only offers encryption may let clients do without it: that is not settled from
outside, and is no pass.
"""

from __future__ import annotations

from scanner.facts import ServiceAccess
from scanner.model import Effort, Exploitability, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(fact: ServiceAccess, site: SitePolicy) -> tuple[Judgement, ...]:
    if fact.protocol not in CHECK.protocols:
        return ()
    if fact.encrypted is None:
        return (unknown(f"whether {fact.protocol} takes clients without encryption"),)
    does = "insists on encryption" if fact.encrypted else "does without encryption"
    return (
        Judgement(
            verdict=Verdict.PASS if fact.encrypted else Verdict.FAIL,
            summary=f"{fact.protocol} {does}",
            about=fact.protocol,
        ),
    )


CHECK = Check(
    id="database_cleartext",
    title="A database is spoken to without encryption",
    requirements=("SR 4.1",),
    severity=Severity.MEDIUM,
    exploitability=Exploitability.KNOWN_TOOL,
    reads=ServiceAccess,
    judge=judge,
    remedy=(
        "Give the server a certificate and let it insist on TLS (PostgreSQL: hostssl lines in "
        "pg_hba.conf; SQL Server: Force Encryption; Redis: tls-port, and port 0), after its "
        "clients can do it. Where one cannot, let database and client share a segment of their own."
    ),
    effort=Effort.PROJECT,
    needs_outage=True,
    attack=("T0842",),
    protocols=("mssql", "postgres", "redis"),
)
