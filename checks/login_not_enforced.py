"""
The device asks for a login and then lets anybody in.

Why it matters: a login dialogue that accepts every name looks safe in every audit and keeps nobody
out. People trust it, and the door stands open.
Source: IEC 62443-3-3 SR 1.1 (verify every user); the attempt with a user that cannot exist is
described in default_credentials.
"""

from __future__ import annotations

import re

from scanner.facts import CredentialAttempt
from scanner.model import Effort, Exploitability, Severity, Tier, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(fact: CredentialAttempt, site: SitePolicy) -> tuple[Judgement, ...]:
    return (_judge(fact),)


def _judge(fact: CredentialAttempt) -> Judgement:
    if fact.control_accepted:
        return Judgement(
            verdict=Verdict.FAIL,
            summary=f"{fact.service} let in a user that cannot exist",
        )
    if fact.open_without_login:
        return _open(fact.service)
    if fact.accepted is False:
        return Judgement(
            verdict=Verdict.PASS, summary=f"{fact.service} rejected a login, so it checks them"
        )
    if fact.control_accepted is False:
        return Judgement(
            verdict=Verdict.PASS,
            summary=f"{fact.service} rejected a user that cannot exist, so it checks logins",
        )
    return unknown(f"whether {fact.service} checks logins")


def _open(service: str) -> Judgement:
    if re.match(r"ssh|telnet", service, re.IGNORECASE):
        return Judgement(
            verdict=Verdict.FAIL, summary=f"{service} opened a session without any login"
        )
    # A web page may be open on purpose; whether it offers controls is http_no_login's to judge.
    return unknown(f"whether {service} checks logins: what was asked for opens without one")


CHECK = Check(
    id="login_not_enforced",
    title="Login lets any user in",
    requirements=("SR 1.1", "SR 2.1"),
    severity=Severity.CRITICAL,
    exploitability=Exploitability.TRIVIAL,
    reads=CredentialAttempt,
    judge=judge,
    remedy=(
        "Switch on password checking for this service and try it with a made-up name. If the "
        "device cannot, switch the service off or let only the engineering station reach it, and "
        "ask the vendor."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0859", "T0886"),
    protocols=("http", "https", "ssh", "telnet", "snmp"),
    tier=Tier.LOGIN,
)
