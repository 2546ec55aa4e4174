"""
EtherNet/IP answers requests from anyone.

Why it matters: without CIP Security the controller takes identity reads, tag reads, tag writes and
mode changes from every node that reaches port 44818. A laptop on the wrong switch port is enough to
change a recipe or stop a line.
Source: CIP Networks Library volume 2 (EtherNet/IP adaptation), chapter 2 (encapsulation carries no
credential); volume 8 (CIP Security) for what the secure variant adds.
"""

from __future__ import annotations

from scanner.facts import CipAccess
from scanner.model import Effort, Exploitability, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(fact: CipAccess, site: SitePolicy) -> tuple[Judgement, ...]:
    if fact.answers_without_login is None:
        return (unknown("whether EtherNet/IP answers without a login"),)
    if fact.answers_without_login:
        return (
            Judgement(
                verdict=Verdict.FAIL,
                summary="answered an EtherNet/IP identity request that carried no credential",
            ),
        )
    return (
        Judgement(
            verdict=Verdict.PASS,
            summary="refused an EtherNet/IP identity request that carried no credential",
        ),
    )


CHECK = Check(
    id="enip_unauthenticated",
    title="EtherNet/IP accepts requests without authentication",
    requirements=("SR 1.2",),
    severity=Severity.HIGH,
    exploitability=Exploitability.KNOWN_TOOL,
    reads=CipAccess,
    judge=judge,
    remedy=(
        "Let only HMIs, historians and engineering stations of the cell reach ports 44818 and 2222 "
        "(firewall in the conduit, access list on the switch). Turn the key switch to RUN so that "
        "programs cannot be changed. Plan CIP Security for controllers that support it."
    ),
    effort=Effort.PROJECT,
    needs_outage=True,
    attack=("T0855", "T0861"),
    protocols=("enip",),
)
