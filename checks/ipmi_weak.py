"""
A management controller lets in anyone.

Why it matters: the controller beside a server's processor switches it off, resets it and gives it
another disk to start from, whatever runs on it, and answers while the server is off. With
authentication none, or with a user who has neither name nor password, that is open to whoever
reaches UDP port 623.
Source: IPMI v2.0 revision 1.1, section 22.13 (authentication type support; anonymous
login status).

IPMI 2.0's own login gives a salted hash of a user's password to anybody who names the user: that
lies in the protocol, is the same for all, and no controller fails here for it.
"""

from __future__ import annotations

from scanner.facts import ServiceAccess
from scanner.model import Effort, Exploitability, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(fact: ServiceAccess, site: SitePolicy) -> tuple[Judgement, ...]:
    if fact.protocol != "ipmi":
        return ()
    anonymous = dict(fact.details).get("anonymous login")
    if fact.authentication is None or anonymous is None:
        return (unknown("which logins IPMI takes"),)
    weak = []
    if "none" in fact.authentication:
        weak.append("authentication type none")
    if anonymous == "enabled":
        weak.append("a user without name and password")
    if weak:
        words = " and ".join(weak)
        return (Judgement(verdict=Verdict.FAIL, summary=f"IPMI takes {words}"),)
    offered = ", ".join(fact.authentication) or "none for IPMI 1.5"
    return (Judgement(verdict=Verdict.PASS, summary=f"IPMI wants a login: {offered}"),)


CHECK = Check(
    id="ipmi_weak",
    title="A server's management controller lets in anyone",
    requirements=("SR 1.1", "SR 1.2", "SR 2.1"),
    severity=Severity.CRITICAL,
    exploitability=Exploitability.KNOWN_TOOL,
    reads=ServiceAccess,
    judge=judge,
    remedy=(
        "In the controller's settings take away authentication type none and the user without a "
        "name, or switch off IPMI over LAN where nobody uses it. Keep its network port in a "
        "segment that only administrators reach."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0816", "T0886"),
    protocols=("ipmi",),
)
