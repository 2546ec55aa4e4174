"""
VNC shows and operates a desktop without a login.

Why it matters: behind the desktop of a panel or an operator station are the pumps. Who reaches the
port sees the process and has its mouse, and the log names nobody.
Source: RFC 6143 section 7.2.1 (type None: no authentication is needed).

Some types (Tight, TLS, VeNCrypt and the like) settle what they ask for only after they were chosen,
and a choice is never made; a server that offers one of them is not settled by its list.
"""

from __future__ import annotations

from typing import Final

from scanner.facts import VncFace
from scanner.model import Effort, Exploitability, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown

ASK_FOR_A_LOGIN: Final = frozenset(
    {"VNC Authentication", "RA2", "RA2ne", "RA256", "RAne256", "MD5 hash authentication"}
)
"""Types that begin with a challenge or a key exchange for a password, however set up."""


def judge(fact: VncFace, site: SitePolicy) -> tuple[Judgement, ...]:
    if fact.refused is not None:
        return (unknown(f"what VNC asks for; it refused to talk: {fact.refused[:80]}"),)
    if not fact.security_types:
        return (unknown("which security types VNC offers"),)
    if "None" in fact.security_types:
        return (Judgement(verdict=Verdict.FAIL, summary="VNC offers security type None: no login"),)
    if inside := [name for name in fact.security_types if name not in ASK_FOR_A_LOGIN]:
        shown = ", ".join(inside[:5])
        return (unknown(f"whether VNC wants a login in every type; inside {shown} it may not"),)
    offered = ", ".join(fact.security_types)
    return (Judgement(verdict=Verdict.PASS, summary=f"VNC wants a login: {offered}"),)


CHECK = Check(
    id="vnc_no_login",
    title="VNC opens the desktop without a login",
    requirements=("SR 1.1", "SR 2.1"),
    severity=Severity.CRITICAL,
    exploitability=Exploitability.TRIVIAL,
    reads=VncFace,
    judge=judge,
    remedy=(
        "Set a password in the VNC server of the panel or station, or switch the server off. Where "
        "the panel knows no password, let only the stations that need it reach port 5900."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0823", "T0886"),
    protocols=("vnc",),
)
