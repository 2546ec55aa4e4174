"""
An OPC UA server offers a security policy that has been withdrawn.

Why it matters: Basic128Rsa15 and Basic256 rest on SHA-1 (and the first on RSA padding that can be
undone by asking a server often enough). A client that offers nothing better is taken down to them,
and the endpoint looks secured when it no longer is.
Source: OPC 10000-7, security policies Basic128Rsa15 and Basic256 (both deprecated); RFC 6194
(SHA-1); RFC 8017, section 7.2 (RSAES-PKCS1-v1_5).
"""

from __future__ import annotations

from scanner.facts import OpcUaEndpoint
from scanner.model import Effort, Exploitability, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown

DEPRECATED = frozenset({"Basic128Rsa15", "Basic256"})
IN_FORCE = frozenset(
    {
        "None", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss", "ECC_nistP256",
        "ECC_nistP384", "ECC_brainpoolP256r1", "ECC_brainpoolP384r1", "ECC_curve25519",
        "ECC_curve448",
    }
)  # fmt: skip
"""None is no policy that was withdrawn; that it is offered is opcua_no_security's to say."""


def judge(fact: OpcUaEndpoint, site: SitePolicy) -> tuple[Judgement, ...]:
    if fact.security_policy in DEPRECATED:
        return (
            Judgement(
                verdict=Verdict.FAIL,
                summary=f"{fact.url or 'an endpoint'} offers {fact.security_policy}",
            ),
        )
    if fact.security_policy not in IN_FORCE:
        return (unknown(f"what policy {fact.security_policy or 'without a name'} is worth"),)
    return (
        Judgement(
            verdict=Verdict.PASS,
            summary=f"no endpoint offers {' or '.join(sorted(DEPRECATED))}",
        ),
    )


CHECK = Check(
    id="opcua_deprecated_policy",
    title="OPC UA endpoint with a withdrawn security policy",
    requirements=("SR 4.3",),
    severity=Severity.MEDIUM,
    exploitability=Exploitability.SKILLED,
    reads=OpcUaEndpoint,
    judge=judge,
    remedy=(
        "Switch off Basic128Rsa15 and Basic256 in the server's configuration once every client "
        "speaks Basic256Sha256, Aes128_Sha256_RsaOaep or Aes256_Sha256_RsaPss."
    ),
    effort=Effort.QUICK,
    needs_outage=True,
    attack=("T0830",),
    protocols=("opcua",),
)
