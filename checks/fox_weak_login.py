"""
A Niagara station takes passwords that anybody on the wire can read.

Why it matters: the Fox service is how a workbench edits and restarts a station. With the method
`basic` the user's name and password cross the network as they are typed; on a connection without
TLS whoever listens has them, and with them the plant.
Source: Tridium, NiagaraAX documentation, About the Fox protocol (digest authentication) and
Fox Service (authentication method).
"""

from __future__ import annotations

from scanner.facts import ServiceAccess
from scanner.model import Effort, Exploitability, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(fact: ServiceAccess, site: SitePolicy) -> tuple[Judgement, ...]:
    if fact.protocol != "fox":
        return ()
    if fact.authentication is None:
        return (unknown("which method of authentication the station asks for"),)
    methods = ", ".join(fact.authentication)
    weak = "basic" in fact.authentication and fact.encrypted is not True
    return (
        Judgement(
            verdict=Verdict.FAIL if weak else Verdict.PASS,
            summary=f"the station asks for authentication by {methods}",
        ),
    )


CHECK = Check(
    id="fox_weak_login",
    title="A Niagara station takes passwords in clear text",
    requirements=("SR 1.5", "SR 4.1"),
    severity=Severity.HIGH,
    exploitability=Exploitability.KNOWN_TOOL,
    reads=ServiceAccess,
    judge=judge,
    remedy=(
        "Set the Fox service's authentication policy to digest, enable Foxs (TLS) only, and change "
        "every password that was in use before."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0842", "T0859"),
    protocols=("fox",),
)
