"""
A published default password still opens the device.

Why it matters: the factory password of a product stands in its manual and in lists that anyone can
load. It needs no skill to try, and with it the intruder is the administrator.
Source: entries of credentials/sets, each with the public document it was read in; IEC 62443-3-3
SR 1.5 (authenticators are changed from their factory values).

Only one pair is tried, the one published for the product that was recognised. If it is accepted, a
user that cannot exist is tried once: if that is let in as well, there is no authentication, which
is login_not_enforced's to say.
"""

from __future__ import annotations

from scanner.facts import CredentialAttempt
from scanner.model import Effort, Exploitability, Severity, Tier, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown

REASONS = {
    "ledger": "the attempt ledger allows no further attempt now",
    "locked": "a lockout sign was seen before",
    "policy": "the attempt policy forbids it on this device",
    "open_without_login": "it opens without any login, so a password would prove nothing",
}


def judge(fact: CredentialAttempt, site: SitePolicy) -> tuple[Judgement, ...]:
    verdict, summary = _word(fact)
    return (Judgement(verdict=verdict, summary=summary, about=fact.credential),)


def _word(fact: CredentialAttempt) -> tuple[Verdict, str]:
    what = f"the published default of {fact.product} ({fact.credential})"
    if fact.accepted is None:
        reason = fact.withheld or fact.lockout_sign or "the device gave no clear answer"
        return (
            Verdict.NOT_CHECKED,
            f"{what} was not settled on {fact.service}: {REASONS.get(reason, reason)}",
        )
    if not fact.accepted:
        return (
            Verdict.PASS,
            f"{what} was rejected on {fact.service}; no other pair was tried",
        )
    if fact.control_accepted is None:
        return (
            Verdict.NOT_CHECKED,
            unknown(f"whether {fact.service} accepts more than {what}, which it did").summary,
        )
    if fact.control_accepted:
        return (
            Verdict.MANUAL,
            f"{fact.service} lets any user in: there is no authentication, "
            "so this is not about a default password (see login_not_enforced)",
        )
    return (Verdict.FAIL, f"{what} was accepted on {fact.service} for account {fact.account!r}")


CHECK = Check(
    id="default_credentials",
    title="Published default password is accepted",
    requirements=("SR 1.5",),
    severity=Severity.CRITICAL,
    exploitability=Exploitability.TRIVIAL,
    reads=CredentialAttempt,
    judge=judge,
    remedy=(
        "Set a password of your own on this account (for SNMP: a community of your own, or SNMPv3) "
        "and store it where the shift finds it. Look at all devices of the same type: they were "
        "commissioned the same way."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0812", "T0859"),
    protocols=("http", "https", "ssh", "telnet", "snmp"),
    tier=Tier.LOGIN,
)
