"""
An OPC UA server lets in users who do not say who they are.

Why it matters: a session of an anonymous user may read, and on many controllers write, whatever the
server has not been told to keep from everybody. No log tells one user from another.
Source: OPC 10000-4, section 7.40.3 (AnonymousIdentityToken); OPC 10000-2, section 4.10 (user
authentication).
"""

from __future__ import annotations

from scanner.facts import OpcUaEndpoint
from scanner.model import Effort, Exploitability, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(fact: OpcUaEndpoint, site: SitePolicy) -> tuple[Judgement, ...]:
    if "anonymous" in fact.token_types:
        return (
            Judgement(
                verdict=Verdict.FAIL,
                summary=f"{fact.url or 'an endpoint'} (policy {fact.security_policy or 'none'}) "
                "takes anonymous users",
            ),
        )
    if not fact.token_types:
        return (unknown(f"which user tokens {fact.url or 'an endpoint'} takes"),)
    return (
        Judgement(
            verdict=Verdict.PASS,
            summary=f"no endpoint takes anonymous users; asked for: {', '.join(fact.token_types)}",
        ),
    )


CHECK = Check(
    id="opcua_anonymous",
    title="OPC UA server takes anonymous users",
    requirements=("SR 1.1", "SR 1.2"),
    severity=Severity.HIGH,
    exploitability=Exploitability.KNOWN_TOOL,
    reads=OpcUaEndpoint,
    judge=judge,
    remedy=(
        "Give each client a user or a certificate of its own in the server's user management, with "
        "no more rights than it needs, then switch off guest access."
    ),
    effort=Effort.PROJECT,
    needs_outage=True,
    attack=("T0855", "T0861"),
    protocols=("opcua",),
)
