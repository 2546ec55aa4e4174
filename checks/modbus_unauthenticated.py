"""
Modbus answers requests from anyone.

Why it matters: Modbus knows no user and no password. Whoever reaches the port reads process values
and, by the same protocol, may write set points and switch outputs; the controller cannot tell the
HMI from a stranger. Only the network in front of it can.
Source: Modbus Messaging on TCP/IP Implementation Guide V1.0b, section 4.2 (the MBAP header carries
no credential); Modbus/TCP Security Protocol Specification V36 for what the secure variant adds.
"""

from __future__ import annotations

from scanner.facts import ModbusAccess
from scanner.model import Effort, Exploitability, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(fact: ModbusAccess, site: SitePolicy) -> tuple[Judgement, ...]:
    if fact.answers_without_login is None:
        return (unknown("whether Modbus answers without a login"),)
    if fact.answers_without_login:
        return (
            Judgement(
                verdict=Verdict.FAIL,
                summary=f"unit {fact.unit_id} answered a read request that carried no credential",
                about=f"unit {fact.unit_id}",
            ),
        )
    return (
        Judgement(
            verdict=Verdict.PASS,
            summary=f"unit {fact.unit_id} refused a read request that carried no credential",
            about=f"unit {fact.unit_id}",
        ),
    )


CHECK = Check(
    id="modbus_unauthenticated",
    title="Modbus accepts requests without authentication",
    requirements=("SR 1.2",),
    severity=Severity.HIGH,
    exploitability=Exploitability.KNOWN_TOOL,
    reads=ModbusAccess,
    judge=judge,
    remedy=(
        "Let only the known masters reach TCP port 502: an access list on the cell's switch or a "
        "firewall in the conduit that also filters function codes. Where both ends support it, "
        "use Modbus/TCP Security (TLS, port 802)."
    ),
    effort=Effort.PROJECT,
    needs_outage=True,
    attack=("T0855", "T0861"),
    protocols=("modbus",),
)
