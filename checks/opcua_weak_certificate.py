"""
The application certificate of an OPC UA server is expired or weak.

Why it matters: the certificate is what clients know the server by, and its key is what their
passwords are encrypted with. One that has ended is refused by careful clients and trusted by
careless ones, which is then how they are set up; a short key or an old signature can be forged.
Source: OPC 10000-7, security policy Basic256Sha256 (keys of 2048 bits at least); RFC 6194 (SHA-1),
RFC 6151 (MD5); RFC 5280, section 4.1.2.5 (validity).
"""

from __future__ import annotations

import re

from scanner.facts import ApplicationCertificate
from scanner.model import Effort, Exploitability, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown

MIN_RSA_BITS = 2048
WEAK_HASH = re.compile(r"(md2|md5|sha-?1)(?!\d)", re.IGNORECASE)


def judge(fact: ApplicationCertificate, site: SitePolicy) -> tuple[Judgement, ...]:
    return (_key(fact), _validity(fact))


def _key(fact: ApplicationCertificate) -> Judgement:
    reasons = []
    if fact.key_type == "RSA" and fact.key_bits is not None and fact.key_bits < MIN_RSA_BITS:
        reasons.append(f"RSA key of {fact.key_bits} bits (at least {MIN_RSA_BITS} wanted)")
    if fact.signature_hash is not None and WEAK_HASH.search(fact.signature_hash):
        reasons.append(f"certificate signed with {fact.signature_hash}")
    requirements = ("SR 1.9", "SR 4.3")
    if reasons:
        return Judgement(
            verdict=Verdict.FAIL, summary="; ".join(reasons), about="key", requirements=requirements
        )
    if fact.key_bits is None or fact.signature_hash is None:
        return Judgement(
            verdict=Verdict.NOT_CHECKED,
            summary=unknown("key and signature of the certificate").summary,
            about="key",
            requirements=requirements,
        )
    return Judgement(
        verdict=Verdict.PASS,
        summary=f"{fact.key_type} key of {fact.key_bits} bits, signed with {fact.signature_hash}",
        about="key",
        requirements=requirements,
    )


def _validity(fact: ApplicationCertificate) -> Judgement:
    verdict, summary = Verdict.NOT_CHECKED, unknown("the certificate's validity").summary
    if fact.seen_at is not None and fact.not_after is not None:
        verdict, summary = Verdict.PASS, f"certificate valid until {fact.not_after:%Y-%m-%d}"
        if fact.seen_at > fact.not_after:
            verdict, summary = Verdict.FAIL, f"certificate expired on {fact.not_after:%Y-%m-%d}"
        elif fact.not_before is not None and fact.seen_at < fact.not_before:
            verdict = Verdict.FAIL
            summary = f"certificate not valid before {fact.not_before:%Y-%m-%d}"
    return Judgement(
        verdict=verdict,
        summary=summary,
        severity=Severity.LOW if verdict is Verdict.FAIL else None,
        about="validity",
        requirements=("SR 1.8",),
    )


CHECK = Check(
    id="opcua_weak_certificate",
    title="OPC UA server certificate expired or weak",
    requirements=("SR 1.8", "SR 1.9", "SR 4.3"),
    severity=Severity.MEDIUM,
    exploitability=Exploitability.SKILLED,
    reads=ApplicationCertificate,
    judge=judge,
    remedy=(
        "Load a certificate of the plant's own CA, or a new self-signed one, with an RSA key of "
        "2048 bits or more and SHA-256. Tell it to the clients and put its end into the calendar."
    ),
    effort=Effort.PROJECT,
    needs_outage=True,
    attack=("T0830",),
    protocols=("opcua",),
)
