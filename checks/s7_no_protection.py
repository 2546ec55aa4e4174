"""
The S7 controller runs without a protection level.

Why it matters: at protection level 1 everybody who reaches port 102 may read, change and delete the
control program and stop the CPU with the vendor's own engineering tool, no password asked. Level 2
protects the program against change, level 3 against reading too.
Source: SIMATIC System Software for S7-300/400, System and Standard Functions (A5E00709327),
system status list W#16#xy32 index 4: protection level in force (sch_rel).
"""

from __future__ import annotations

from scanner.facts import S7Access
from scanner.model import Effort, Exploitability, Severity, Tier, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown

MEANING = {
    2: "the program cannot be changed without the password",
    3: "the program can be neither read nor changed without the password",
}


def judge(fact: S7Access, site: SitePolicy) -> tuple[Judgement, ...]:
    level = fact.protection_level
    if level is None:
        return (unknown("the protection level of the CPU"),)
    if level == 1:
        return (
            Judgement(
                verdict=Verdict.FAIL,
                summary="protection level 1 is in force: read and write without a password",
            ),
        )
    if level in MEANING:
        return (
            Judgement(
                verdict=Verdict.PASS,
                summary=f"protection level {level} is in force: {MEANING[level]}",
            ),
        )
    return (unknown(f"what protection level {level} means on this CPU"),)


CHECK = Check(
    id="s7_no_protection",
    title="S7 controller without protection level",
    requirements=("SR 1.2", "SR 2.1"),
    severity=Severity.HIGH,
    exploitability=Exploitability.KNOWN_TOOL,
    reads=S7Access,
    judge=judge,
    remedy=(
        "Set protection level 2 or 3 with a password in the CPU's hardware configuration and load "
        "it at the next stop (S7-1200/1500: access level with password, PUT/GET off). Keep the "
        "password with the program backup."
    ),
    effort=Effort.QUICK,
    needs_outage=True,
    attack=("T0843", "T0845", "T0858", "T0889"),
    protocols=("s7",),
    tier=Tier.READ,
)
