"""
TLS with old versions, weak ciphers, weak keys or an expired certificate.

Why it matters: engineering and HMI sessions run for years over the same device. What was strong at
commissioning is broken today, and with it the session that carries the operator's password. An
expired certificate trains people to click warnings away.
Source: RFC 8996 (TLS 1.0 and 1.1 must not be used), RFC 7568 (SSLv3), RFC 7465 (RC4), RFC 9325
sections 3.1 and 4 (versions, cipher suites, key lengths), RFC 6194 (SHA-1), RFC 6151 (MD5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from scanner.facts import TlsFace
from scanner.model import Effort, Exploitability, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown

CRYPTOGRAPHY = ("SR 4.3",)
KEYS = ("SR 1.9", "SR 4.3")
VALIDITY = ("SR 1.8",)

OLD_VERSIONS = ("SSLv2", "SSLv3", "TLSv1", "TLSv1.0", "TLSv1.1")
MIN_RSA_BITS = 2048
MIN_EC_BITS = 224
FIXED_STRENGTH = ("ed25519", "ed448")
WEAK_HASH = re.compile(r"(md2|md5|sha-?1)(?!\d)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeakCipher:
    """`pattern` is searched in the cipher's name without "_" and "-", in capitals."""

    pattern: str
    reason: str
    source: str


WEAK_CIPHERS = (
    WeakCipher(pattern="NULL", reason="does not encrypt", source="RFC 9325 section 4.1"),
    WeakCipher(pattern="EXP", reason="export-grade key", source="RFC 9325 section 4.1"),
    WeakCipher(
        pattern="ANON|ADH|AECDH", reason="no server identity", source="RFC 9325 section 4.1"
    ),
    WeakCipher(pattern="RC4|ARCFOUR", reason="RC4", source="RFC 7465"),
    WeakCipher(pattern="3DES|DESCBC3|DESEDE", reason="3DES", source="RFC 9325 section 4.1"),
    WeakCipher(pattern="DESCBC(?!3)", reason="single DES", source="RFC 9325 section 4.1"),
    WeakCipher(pattern="MD5$", reason="MD5 as MAC", source="RFC 6151"),
)


def judge(fact: TlsFace, site: SitePolicy) -> tuple[Judgement, ...]:
    return (_protocol(fact), _key(fact), _validity(fact))


def _protocol(fact: TlsFace) -> Judgement:
    offered = {*(fact.accepted_versions or ()), *((fact.version,) if fact.version else ())}
    old = [version for version in OLD_VERSIONS if version in offered]
    reasons = [f"accepts {version}" for version in old]
    if fact.cipher and (weak := weak_cipher(fact.cipher)):
        reasons.append(f"negotiated {fact.cipher} ({weak.reason})")
    about = "protocol"
    if reasons:
        broken = any(version.startswith("SSL") for version in old)
        return Judgement(
            verdict=Verdict.FAIL,
            summary="; ".join(reasons),
            severity=Severity.HIGH if broken else None,
            about=about,
            requirements=CRYPTOGRAPHY,
        )
    if fact.accepted_versions is None:
        what = "older TLS versions were not tried (needs tier read)"
    elif fact.cipher is None:
        what = "the cipher"
    elif not fact.accepted_versions:
        what = "any TLS version that is accepted"
    else:
        return Judgement(
            verdict=Verdict.PASS,
            summary=f"accepts only {', '.join(fact.accepted_versions)}",
            about=about,
            requirements=CRYPTOGRAPHY,
        )
    return Judgement(
        verdict=Verdict.NOT_CHECKED,
        summary=unknown(what).summary,
        about=about,
        requirements=CRYPTOGRAPHY,
    )


def weak_cipher(name: str) -> WeakCipher | None:
    plain = re.sub(r"[_-]", "", name).upper()
    return next((row for row in WEAK_CIPHERS if re.search(row.pattern, plain)), None)


def _key(fact: TlsFace) -> Judgement:
    kind = fact.key_type.lower() if fact.key_type else None
    least = MIN_RSA_BITS if kind in ("rsa", "dsa") else MIN_EC_BITS
    reasons = []
    if kind == "dsa":
        reasons.append("DSA key")
    if kind is not None and fact.key_bits is not None and fact.key_bits < least:
        reasons.append(f"{fact.key_type} key of {fact.key_bits} bits (at least {least} wanted)")
    hashed = fact.signature_hash
    if hashed is not None and WEAK_HASH.search(hashed):
        reasons.append(f"certificate signed with {hashed}")
    if reasons:
        verdict, summary = Verdict.FAIL, "; ".join(reasons)
    elif kind is None or (fact.key_bits is None and kind not in FIXED_STRENGTH):
        verdict, summary = Verdict.NOT_CHECKED, unknown("type and length of the key").summary
    elif hashed is None and kind not in FIXED_STRENGTH:
        verdict, summary = Verdict.NOT_CHECKED, unknown("the certificate's signature").summary
    else:
        length = f" of {fact.key_bits} bits" if fact.key_bits is not None else ""
        verdict, summary = Verdict.PASS, f"{fact.key_type} key{length}"
    return Judgement(verdict=verdict, summary=summary, about="key", requirements=KEYS)


def _validity(fact: TlsFace) -> Judgement:
    seen_at, ends = fact.seen_at, fact.not_after
    if seen_at is None or ends is None:
        verdict, summary = Verdict.NOT_CHECKED, unknown("the certificate's validity").summary
    elif seen_at > ends:
        verdict, summary = Verdict.FAIL, f"certificate expired on {ends:%Y-%m-%d}"
    elif fact.not_before is not None and seen_at < fact.not_before:
        verdict = Verdict.FAIL
        summary = f"certificate not valid before {fact.not_before:%Y-%m-%d}"
    else:
        verdict, summary = Verdict.PASS, f"certificate valid until {ends:%Y-%m-%d}"
    return Judgement(
        verdict=verdict,
        summary=summary,
        severity=Severity.LOW if verdict is Verdict.FAIL else None,
        about="validity",
        requirements=VALIDITY,
    )


CHECK = Check(
    id="tls_weak",
    title="Weak TLS or certificate",
    requirements=("SR 1.8", "SR 1.9", "SR 4.3"),
    severity=Severity.MEDIUM,
    exploitability=Exploitability.SKILLED,
    reads=TlsFace,
    judge=judge,
    remedy=(
        "Allow only TLS 1.2 and 1.3 in the web server's settings (a firmware update may be needed) "
        "and load a certificate from the plant's own CA: RSA 2048 bits or EC P-256, SHA-256. Put "
        "its end date into the maintenance calendar."
    ),
    effort=Effort.PROJECT,
    needs_outage=False,
    attack=("T0830", "T0842"),
    protocols=("https", "mqtts"),
)
