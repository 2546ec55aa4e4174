"""
An OPC UA server offers an endpoint without security.

Why it matters: with mode None nothing on the wire is signed or encrypted and neither side shows a
certificate. Whoever is on the path reads set points and alarms, changes them, or stands between
client and server; and a client that is set up carelessly takes the endpoint that works at once.
Source: OPC 10000-7, security policy None (to be off by default); OPC 10000-2, section 4.3
(threats).
"""

from __future__ import annotations

from checks.opcua_deprecated_policy import DEPRECATED, IN_FORCE
from scanner.facts import OpcUaEndpoint
from scanner.model import Effort, Exploitability, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(fact: OpcUaEndpoint, site: SitePolicy) -> tuple[Judgement, ...]:
    if fact.security_mode == "none" or fact.security_policy == "None":
        return (
            Judgement(
                verdict=Verdict.FAIL,
                summary=f"{fact.url or 'an endpoint'} is neither signed nor encrypted "
                f"(mode {fact.security_mode}, policy {fact.security_policy or 'not named'})",
            ),
        )
    if fact.security_mode == "invalid" or fact.security_policy not in IN_FORCE | DEPRECATED:
        return (unknown(f"how {fact.url or 'an endpoint'} is secured"),)
    return (
        Judgement(
            verdict=Verdict.PASS,
            summary=f"every endpoint is at least signed, {fact.security_policy} among the policies",
        ),
    )


CHECK = Check(
    id="opcua_no_security",
    title="OPC UA endpoint without security",
    requirements=("SR 3.1", "SR 4.1"),
    severity=Severity.HIGH,
    exploitability=Exploitability.KNOWN_TOOL,
    reads=OpcUaEndpoint,
    judge=judge,
    remedy=(
        "Exchange certificates between server and clients, set the clients to SignAndEncrypt with "
        "Basic256Sha256 or newer, then switch off the endpoint with policy None in the server's "
        "configuration."
    ),
    effort=Effort.PROJECT,
    needs_outage=True,
    attack=("T0830", "T0842"),
    protocols=("opcua",),
)
