"""
A file server does not insist on signed messages.

Why it matters: without signatures, whoever sits between a station and its server can change what is
read and written, or use a colleague's sign-in on another machine (relaying). Project files and
recipes travel this way.
Source: [MS-SMB2] section 3.3.5.2.4 (verification of signatures) and 2.2.4 (SecurityMode).
"""

from __future__ import annotations

from scanner.facts import SmbFace
from scanner.model import Effort, Exploitability, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(fact: SmbFace, site: SitePolicy) -> tuple[Judgement, ...]:
    if fact.signing_required is None:
        return (unknown("whether SMB signing is required"),)
    newest = fact.dialects[0] if fact.dialects else "SMB"
    if fact.signing_required:
        return (Judgement(verdict=Verdict.PASS, summary=f"signing is required ({newest})"),)
    offered = "offered but not required" if fact.signing_enabled else "switched off"
    return (Judgement(verdict=Verdict.FAIL, summary=f"signing is {offered} ({newest})"),)


CHECK = Check(
    id="smb_signing_not_required",
    title="SMB does not require signed messages",
    requirements=("SR 3.1",),
    severity=Severity.MEDIUM,
    exploitability=Exploitability.KNOWN_TOOL,
    reads=SmbFace,
    judge=judge,
    remedy=(
        'Set the server to require signing (group policy "Microsoft network server: digitally sign '
        'communications (always)", or server signing = mandatory in Samba). Try it with the oldest '
        "client first: some panels cannot sign."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0830",),
    protocols=("smb",),
)
