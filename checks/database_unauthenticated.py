"""
A database answers anyone who reaches it.

Why it matters: between machines Redis holds set points, queues of orders and sessions of operators.
It has one permission where nobody set up more: whoever may give a command reads, changes and
deletes everything, and its commands for configuration and replication have been used to take over
the machine below it.
Source: Redis documentation, "Security" (authentication, protected mode).
"""

from __future__ import annotations

from scanner.facts import ServiceAccess
from scanner.model import Effort, Exploitability, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(fact: ServiceAccess, site: SitePolicy) -> tuple[Judgement, ...]:
    if fact.protocol not in CHECK.protocols:
        return ()
    if fact.answers_without_login is None:
        return (unknown(f"whether {fact.protocol} takes commands without a login"),)
    took = "took" if fact.answers_without_login else "refused"
    return (
        Judgement(
            verdict=Verdict.FAIL if fact.answers_without_login else Verdict.PASS,
            summary=f"{fact.protocol} {took} a command that came without a login",
            about=fact.protocol,
        ),
    )


CHECK = Check(
    id="database_unauthenticated",
    title="A database takes commands without a login",
    requirements=("SR 1.1", "SR 1.2", "SR 2.1"),
    severity=Severity.CRITICAL,
    exploitability=Exploitability.TRIVIAL,
    reads=ServiceAccess,
    judge=judge,
    remedy=(
        "Give the default user a password (requirepass, or an ACL file with a user for each client "
        "and the commands it needs), bind the server to the address that its clients use, and "
        "leave protected mode on."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0811", "T0836"),
    protocols=("redis",),
)
