"""
RDP shows its logon screen to anybody who connects.

Why it matters: without network level authentication a stranger talks to the whole logon process
before any password was shown. The worst remote holes of Windows (BlueKeep among them) were in what
lies behind that door, and stations in plants are patched late.
Source: [MS-RDPBCGR] section 5.4.5.2 (CredSSP authenticates the user before the connection goes on);
Microsoft's advisory on CVE-2019-0708 names network level authentication as a mitigation.
"""

from __future__ import annotations

from scanner.facts import RdpFace
from scanner.model import Effort, Exploitability, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(fact: RdpFace, site: SitePolicy) -> tuple[Judgement, ...]:
    if fact.needs_nla is None:
        reason = f" ({fact.failure})" if fact.failure else ""
        return (unknown(f"whether RDP insists on network level authentication{reason}"),)
    if fact.needs_nla:
        return (
            Judgement(verdict=Verdict.PASS, summary="RDP wants authentication before a session"),
        )
    taken = f"; it takes {', '.join(fact.protocols)}" if fact.protocols else ""
    return (
        Judgement(
            verdict=Verdict.FAIL,
            summary=f"RDP does not insist on network level authentication{taken}",
        ),
    )


CHECK = Check(
    id="rdp_no_nla",
    title="Remote Desktop without network level authentication",
    requirements=("SR 1.1",),
    severity=Severity.MEDIUM,
    exploitability=Exploitability.SKILLED,
    reads=RdpFace,
    judge=judge,
    remedy=(
        "Switch on network level authentication in the station's remote settings or by group "
        "policy. Old panels whose client cannot do it: let only those reach port 3389, or end the "
        "access."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0866", "T0886"),
    protocols=("rdp",),
)
