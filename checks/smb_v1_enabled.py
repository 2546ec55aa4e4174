"""
A file server still speaks SMB 1.

Why it matters: SMB 1 is the way that WannaCry and NotPetya took through plants. It knows no
protection against a changed negotiation, its signing is weak, and Microsoft has withdrawn it; what
is found in it will not be mended on the old stations that still need it.
Source: Microsoft security bulletin MS17-010 (CVE-2017-0144); Microsoft, "Detect, enable and disable
SMBv1, SMBv2, and SMBv3 in Windows", which recommends to switch it off.
"""

from __future__ import annotations

from scanner.facts import SmbFace
from scanner.model import Effort, Exploitability, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(fact: SmbFace, site: SitePolicy) -> tuple[Judgement, ...]:
    if fact.smb1 is None:
        return (unknown("whether SMB 1 is switched on"),)
    if not fact.smb1:
        return (Judgement(verdict=Verdict.PASS, summary="SMB 1 is refused"),)
    alone = "" if len(fact.dialects) > 1 else ", and no later version"
    return (Judgement(verdict=Verdict.FAIL, summary=f"SMB 1 (NT LM 0.12) is accepted{alone}"),)


CHECK = Check(
    id="smb_v1_enabled",
    title="SMB version 1 is switched on",
    requirements=("SR 3.1", "SR 7.7"),
    severity=Severity.HIGH,
    exploitability=Exploitability.KNOWN_TOOL,
    reads=SmbFace,
    judge=judge,
    remedy=(
        "Find out who still connects with SMB 1 (the server's audit log tells), move those to a "
        "later version, then remove the feature. A station that speaks nothing else: take it out "
        "of reach with a firewall in front of it, and patch it as far as patches exist."
    ),
    effort=Effort.PROJECT,
    needs_outage=True,
    attack=("T0866", "T0867"),
    protocols=("smb",),
)
