"""
What a TLS certificate says, read with `cryptography` and never verified: it is evidence.

Old devices carry certificates that are wrong in every way (serial zero, negative or too long, SHA-1
or MD5, 512-bit keys, dates outside the calendar); each field is read by itself, and one that cannot
be read is None.

Source: RFC 5280 section 4.1; library: cryptography.x509.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

T = TypeVar("T")

MAX_DER = 64 * 1024
MAX_NAMES = 50
MAX_TEXT = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFields:
    """`self_signed` is True only where the certificate's own key verifies its signature."""

    subject: str | None = None
    issuer: str | None = None
    self_signed: bool | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    key_type: str | None = None
    key_bits: int | None = None
    signature_hash: str | None = None
    names: tuple[str, ...] = ()
    fingerprint_sha256: str | None = None


def describe(der: bytes | None) -> CertificateFields:
    """The fields of a certificate; total: bytes that are none give a fingerprint and no more."""
    if not der:
        return CertificateFields()
    fingerprint = hashlib.sha256(der).hexdigest()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of serials and names that a later release will refuse
        certificate = _maybe(lambda: x509.load_der_x509_certificate(der))
        if certificate is None or len(der) > MAX_DER:
            return CertificateFields(fingerprint_sha256=fingerprint)
        key_type, key_bits = _maybe(lambda: _key(certificate)) or (None, None)
        hash_algorithm = _maybe(lambda: certificate.signature_hash_algorithm)
        return CertificateFields(
            subject=_maybe(lambda: _bounded(certificate.subject.rfc4514_string())),
            issuer=_maybe(lambda: _bounded(certificate.issuer.rfc4514_string())),
            self_signed=_maybe(lambda: _is_self_signed(certificate)),
            not_before=_maybe(lambda: certificate.not_valid_before_utc),
            not_after=_maybe(lambda: certificate.not_valid_after_utc),
            key_type=key_type,
            key_bits=key_bits,
            signature_hash=hash_algorithm.name if hash_algorithm else None,
            names=_maybe(lambda: _names(certificate)) or (),
            fingerprint_sha256=fingerprint,
        )


def _maybe(read: Callable[[], T]) -> T | None:
    """
    The value, or None where the certificate's bytes forbid it. Broad on purpose: cryptography
    raises ValueError, TypeError, OverflowError, x509's own and its Rust core's exceptions.
    """
    try:
        return read()
    except Exception:
        return None


def _bounded(text: str) -> str | None:
    return text[:MAX_TEXT] or None


def _key(certificate: x509.Certificate) -> tuple[str | None, int | None]:
    match certificate.public_key():
        case rsa.RSAPublicKey() as key:
            return "RSA", key.key_size
        case ec.EllipticCurvePublicKey() as key:
            return f"EC {key.curve.name}", key.curve.key_size
        case dsa.DSAPublicKey() as key:
            return "DSA", key.key_size
        case ed25519.Ed25519PublicKey():
            return "Ed25519", 256
        case ed448.Ed448PublicKey():
            return "Ed448", 456
        case _:
            return None, None


def _is_self_signed(certificate: x509.Certificate) -> bool | None:
    """False where the names differ; None where they agree but the signature cannot be checked."""
    if certificate.issuer != certificate.subject:
        return False
    try:
        certificate.verify_directly_issued_by(certificate)
    except InvalidSignature:
        return False
    except (UnsupportedAlgorithm, TypeError, ValueError):
        return None
    return True


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    found = [str(getattr(name, "value", ""))[:MAX_TEXT] for name in extension.value]
    return tuple(name for name in found if name)[:MAX_NAMES]
