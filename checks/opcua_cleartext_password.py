"""
An OPC UA server takes passwords that travel unencrypted.

Why it matters: the user name token is sent as it is where neither its own policy nor that of the
endpoint encrypts it. Whoever can read the network has the password, often one that an engineering
tool uses too.
Source: OPC 10000-4, sections 7.40.4 (UserNameIdentityToken) and 7.41 (UserTokenPolicy).
"""

from __future__ import annotations

from scanner.facts import OpcUaEndpoint
from scanner.model import Effort, Exploitability, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(fact: OpcUaEndpoint, site: SitePolicy) -> tuple[Judgement, ...]:
    where = fact.url or "an endpoint"
    if fact.cleartext_password:
        return (
            Judgement(
                verdict=Verdict.FAIL,
                summary=f"{where} (mode {fact.security_mode}, policy "
                f"{fact.security_policy or 'not named'}) takes a password in clear text",
            ),
        )
    if fact.cleartext_password is None and not fact.token_types:
        return (unknown(f"which user tokens {where} takes"),)
    return (Judgement(verdict=Verdict.PASS, summary="no endpoint takes a password in clear text"),)


CHECK = Check(
    id="opcua_cleartext_password",
    title="OPC UA server takes passwords in clear text",
    requirements=("SR 1.5", "SR 4.1"),
    severity=Severity.HIGH,
    exploitability=Exploitability.KNOWN_TOOL,
    reads=OpcUaEndpoint,
    judge=judge,
    remedy=(
        "Set the policy of the user name token to Basic256Sha256 or newer, or take user names on "
        "encrypted endpoints only; then change the passwords that were used."
    ),
    effort=Effort.QUICK,
    needs_outage=True,
    attack=("T0842", "T0859"),
    protocols=("opcua",),
)
