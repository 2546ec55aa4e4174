"""
Certificates and SSH host keys of the simulated devices.

Made anew at each start, but for Ed25519 host keys: those follow from their name, so that two starts
of a plant are the same plant. They guard nothing but emulators on loopback.
"""

from __future__ import annotations

import os
import re
import ssl
import tempfile
import warnings
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path

import asyncssh
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from lab.errors import LabError

DNS_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")


class Keys:
    """
    Keys by name, each made once: two devices that name the same host key share it, which is how
    a plant plants cloned images. `now` is what certificates are dated from.
    """

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._host_keys: dict[tuple[str, str], asyncssh.SSHKey] = {}
        self._contexts: dict[tuple[str, str], ssl.SSLContext] = {}
        self._applications: dict[tuple[str, str], bytes] = {}

    def host_key(self, name: str, algorithm: str = "ssh-ed25519") -> asyncssh.SSHKey:
        """`algorithm` is "ssh-ed25519", "ecdsa-sha2-nistp256" or "ssh-rsa" (with 1024 bits)."""
        key = self._host_keys.get((name, algorithm))
        if key is None and algorithm == "ssh-ed25519":
            key = self._host_keys[name, algorithm] = _key_of_name(name)
        if key is None:
            make = partial(asyncssh.generate_private_key, algorithm)
            key = make(key_size=1024) if algorithm == "ssh-rsa" else make()
            self._host_keys[name, algorithm] = key
        return key

    def tls(self, name: str, kind: str) -> ssl.SSLContext:
        """
        A server's TLS side. `kind`: "good" (P-256, TLS 1.2 and newer), "expired" (as good, but
        ended last year), "small_key" (1024-bit RSA), "old_versions" (2048-bit RSA, TLS 1.0 on).
        """
        context = self._contexts.get((name, kind))
        if context is None:
            context = self._contexts[name, kind] = self._make_context(name, kind)
        return context

    def application(self, uri: str, kind: str) -> bytes:
        """
        An OPC UA application's own certificate, as DER, with its URI in it. `kind`: "good"
        (2048-bit RSA), "expired" (as good, but ended last year), "small_key" (1024-bit RSA).
        """
        der = self._applications.get((uri, kind))
        if der is None:
            if kind not in ("good", "expired", "small_key"):
                raise LabError(f"{uri}: unknown kind of certificate {kind!r} in the plant file")
            bits = 1024 if kind == "small_key" else 2048
            key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
            text = re.sub(r"[^!-~]", "?", uri)[:200]  # it goes into an IA5String
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[-60:])])
            certificate = (
                x509.CertificateBuilder()
                .subject_name(subject)
                .issuer_name(subject)
                .public_key(key.public_key())
                .serial_number(x509.random_serial_number())
                .not_valid_before(self._now - timedelta(days=700 if kind == "expired" else 30))
                .not_valid_after(self._now + timedelta(days=-335 if kind == "expired" else 800))
                .add_extension(
                    x509.SubjectAlternativeName([x509.UniformResourceIdentifier(text)]),
                    critical=False,
                )
                .sign(key, hashes.SHA256())
            )
            der = certificate.public_bytes(serialization.Encoding.DER)
            self._applications[uri, kind] = der
        return der

    def _make_context(self, name: str, kind: str) -> ssl.SSLContext:
        key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
        match kind:
            case "good" | "expired":
                key = ec.generate_private_key(ec.SECP256R1())
            case "small_key":
                key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - planted
            case "old_versions":
                key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            case _:
                raise LabError(f"{name}: unknown kind of TLS {kind!r} in the plant file")
        start = self._now - timedelta(days=700 if kind == "expired" else 30)
        end = self._now + timedelta(days=-335 if kind == "expired" else 800)
        # a device may call itself by more than 64 characters, and by what is no DNS name
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Attribute's length", UserWarning)
            common_name = x509.NameAttribute(NameOID.COMMON_NAME, name, _validate=False)
        subject = x509.Name([common_name])
        dns_name = name if DNS_NAME.fullmatch(name) else "device.invalid"
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(dns_name)]), critical=False)
            .sign(key, hashes.SHA256())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if kind in ("small_key", "old_versions"):
            context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # old versions are the point
            context.minimum_version = (
                ssl.TLSVersion.TLSv1 if kind == "old_versions" else ssl.TLSVersion.TLSv1_2
            )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "device.pem"
            path.write_bytes(
                certificate.public_bytes(serialization.Encoding.PEM)
                + key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
            )
            context.load_cert_chain(path)
        # So that a capture of the plant can be read: these keys protect nothing.
        if keylog := os.environ.get("SSLKEYLOGFILE"):
            context.keylog_filename = keylog
        return context


def _key_of_name(name: str) -> asyncssh.SSHKey:
    seed = sha256(f"simulated device {name}".encode()).digest()
    key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    return asyncssh.import_private_key(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
    )
