"""
A web page that offers controls asks for no login.

Why it matters: a panel page with buttons and input fields that opens for anyone lets every browser
in reach operate the machine, and nobody can say afterwards who did it.
Source: IEC 62443-3-3 SR 1.1 (identify people at every interface); RFC 9110 section 11 (a server
that demands credentials answers 401).
"""

from __future__ import annotations

from scanner.facts import HttpFace
from scanner.model import Effort, Exploitability, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(fact: HttpFace, site: SitePolicy) -> tuple[Judgement, ...]:
    return (_judge(fact),)


def _judge(fact: HttpFace) -> Judgement:
    if fact.redirects_to_https:
        return Judgement(
            verdict=Verdict.NOT_APPLICABLE, summary="only sends the browser on to HTTPS"
        )
    if fact.asks_login is None:
        return unknown(f"whether the {fact.scheme.upper()} page asks for a login")
    if fact.asks_login:
        return Judgement(
            verdict=Verdict.PASS, summary=f"the {fact.scheme.upper()} start page asks for a login"
        )
    if fact.offers_controls:
        return Judgement(
            verdict=Verdict.FAIL,
            summary=f"the {fact.scheme.upper()} start page offers controls without a login",
        )
    if fact.offers_controls is None:
        return unknown("whether the page that asks for no login offers controls")
    # Deeper pages may well offer controls; following links on a device is not ours to do.
    return Judgement(
        verdict=Verdict.MANUAL,
        summary=(
            "the start page asks for no login and shows no controls; look by hand whether a "
            "deeper page does"
        ),
    )


CHECK = Check(
    id="http_no_login",
    title="Web page with controls asks for no login",
    requirements=("SR 1.1", "SR 2.1"),
    severity=Severity.CRITICAL,
    exploitability=Exploitability.TRIVIAL,
    reads=HttpFace,
    judge=judge,
    remedy=(
        "Switch on user administration in the device's web settings and give each role its own "
        "rights. Where the device has none, switch its web server off or let only the engineering "
        "station reach it."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0886", "T0836"),
    protocols=("http", "https"),
)
