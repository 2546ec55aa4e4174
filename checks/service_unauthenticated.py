"""
An industrial service answers requests from anyone.

Why it matters: most industrial protocols were made for a wire that only the plant's own devices
could reach. They know no user: whoever reaches the port is told what the device is, and the same
protocol often carries set points, downloads, starts and stops. The controller cannot tell the
engineering station from a stranger's laptop; only the network in front of it can.
Source: the specification of each protocol, named in its probe's description in docs/protocols.md.
"""

from __future__ import annotations

from scanner.facts import ServiceAccess
from scanner.model import Effort, Exploitability, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(fact: ServiceAccess, site: SitePolicy) -> tuple[Judgement, ...]:
    if fact.protocol not in CHECK.protocols:
        return ()
    if fact.answers_without_login is None:
        return (unknown(f"whether {fact.protocol} answers without a login"),)
    answered = fact.answers_without_login
    done = "answered" if answered else "refused"
    return (
        Judgement(
            verdict=Verdict.FAIL if answered else Verdict.PASS,
            summary=f"{done} a request of {fact.protocol} that carried no credential",
            about=fact.protocol,
        ),
    )


CHECK = Check(
    id="service_unauthenticated",
    title="An industrial service accepts requests without authentication",
    requirements=("SR 1.2",),
    severity=Severity.HIGH,
    exploitability=Exploitability.KNOWN_TOOL,
    reads=ServiceAccess,
    judge=judge,
    remedy=(
        "Let only the stations that need it reach the service's port: an access list on the cell's "
        "switch, or a firewall in the conduit that knows the protocol. Switch it off where "
        "nobody uses it. Where both ends support the protocol's secure variant, plan for it."
    ),
    effort=Effort.PROJECT,
    needs_outage=True,
    attack=("T0855", "T0861"),
    protocols=(
        "ads", "atg", "bacnet", "codesys", "codesys2", "crimson", "dnp3", "fins", "fox",
        "hartip", "iec104", "knx", "melsoft", "mms", "nport", "pcworx", "proconos", "profinet",
        "s7plus", "slmp", "srtp", "umas",
    ),
)  # fmt: skip
