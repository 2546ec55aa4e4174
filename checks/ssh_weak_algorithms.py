"""
SSH offers algorithms that are broken or withdrawn.

Why it matters: the SSH of a switch or gateway protects the password that opens all its siblings. A
device that still offers SHA-1 key exchange, RC4 or DSA can be talked down to it by whoever sits in
the path.
Source: RFC 9142 (key exchange), RFC 8758 (RC4), RFC 8332 and RFC 6194 (ssh-rsa signs with SHA-1),
RFC 6151 (MD5), FIPS 186-5 (DSA withdrawn), NIST SP 800-131A Rev. 2 (3DES), CERT VU#958563 (CBC),
RFC 4253 section 5.1 (version 1.99 means that SSH 1 is offered as well).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from scanner.facts import SshFace
from scanner.model import Effort, Exploitability, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown

Kind = Literal["key exchange", "host key", "encryption", "MAC"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weak:
    """One algorithm; a name ending in "*" stands for every name that begins so."""

    kind: Kind
    name: str
    reason: str
    source: str

    def names(self, offered: str) -> bool:
        if self.name.endswith("*"):
            return offered.startswith(self.name[:-1])
        return offered == self.name


_SHA1_KEX = "key exchange with SHA-1"
_CBC = "CBC mode leaks plaintext"
WEAK = (
    Weak(
        kind="key exchange",
        name="diffie-hellman-group1-sha1",
        reason="1024-bit group and SHA-1",
        source="RFC 9142 section 3.2",
    ),
    Weak(
        kind="key exchange",
        name="diffie-hellman-group-exchange-sha1",
        reason=_SHA1_KEX,
        source="RFC 9142 section 3.2",
    ),
    Weak(
        kind="key exchange",
        name="gss-group1-sha1-*",
        reason="1024-bit group and SHA-1",
        source="RFC 9142 section 3.2",
    ),
    Weak(
        kind="key exchange",
        name="gss-gex-sha1-*",
        reason=_SHA1_KEX,
        source="RFC 9142 section 3.2",
    ),
    Weak(
        kind="key exchange",
        name="rsa1024-sha1",
        reason="1024-bit RSA and SHA-1",
        source="RFC 9142 section 3.4",
    ),
    Weak(kind="host key", name="ssh-dss*", reason="DSA with SHA-1", source="FIPS 186-5"),
    Weak(kind="host key", name="ssh-rsa", reason="signs with SHA-1", source="RFC 8332, RFC 6194"),
    Weak(
        kind="host key",
        name="ssh-rsa-cert-v0*",
        reason="signs with SHA-1",
        source="RFC 8332, RFC 6194",
    ),
    Weak(kind="encryption", name="none", reason="does not encrypt", source="RFC 4253 section 6.3"),
    Weak(kind="encryption", name="arcfour*", reason="RC4", source="RFC 8758"),
    Weak(kind="encryption", name="des-cbc*", reason="single DES", source="NIST SP 800-131A Rev. 2"),
    Weak(kind="encryption", name="3des-*", reason="3DES", source="NIST SP 800-131A Rev. 2"),
    Weak(kind="encryption", name="blowfish-cbc", reason="64-bit blocks", source="CERT VU#958563"),
    Weak(kind="encryption", name="cast128-cbc", reason="64-bit blocks", source="CERT VU#958563"),
    Weak(kind="encryption", name="aes128-cbc", reason=_CBC, source="CERT VU#958563"),
    Weak(kind="encryption", name="aes192-cbc", reason=_CBC, source="CERT VU#958563"),
    Weak(kind="encryption", name="aes256-cbc", reason=_CBC, source="CERT VU#958563"),
    Weak(kind="encryption", name="rijndael-cbc*", reason=_CBC, source="CERT VU#958563"),
    Weak(kind="MAC", name="none", reason="no integrity", source="RFC 4253 section 6.4"),
    Weak(kind="MAC", name="hmac-md5*", reason="MD5", source="RFC 6151"),
)


def weak(kind: Kind, offered: Iterable[str]) -> tuple[tuple[str, Weak], ...]:
    """The weak ones of a list that a server offered, each with its row."""
    return tuple(
        (name, row) for name in offered for row in WEAK if row.kind == kind and row.names(name)
    )


def judge(fact: SshFace, site: SitePolicy) -> tuple[Judgement, ...]:
    offered: tuple[tuple[Kind, tuple[str, ...] | None], ...] = (
        ("key exchange", fact.kex),
        ("host key", fact.host_key),
        ("encryption", fact.encryption),
        ("MAC", fact.mac),
    )
    found = [(kind, hit) for kind, names in offered for hit in weak(kind, names or ())]
    reasons = [f"{kind} {name} ({row.reason})" for kind, (name, row) in found]
    # "1.99" is the word for "2.0, and the old version too".
    old = fact.protocol_version is not None and fact.protocol_version.startswith("1.")
    if old:
        reasons.insert(0, f"protocol version {fact.protocol_version}: SSH 1 is offered")
    if reasons:
        of_host_key = any(kind == "host key" for kind, _ in found)
        return (
            Judgement(
                verdict=Verdict.FAIL,
                summary="offers " + ", ".join(reasons),
                severity=Severity.HIGH if old else None,
                requirements=("SR 1.9", "SR 4.3") if of_host_key else ("SR 4.3",),
            ),
        )
    if fact.protocol_version is None or any(not names for _, names in offered):
        return (unknown("all algorithms that SSH offers"),)
    return (Judgement(verdict=Verdict.PASS, summary="no weak algorithm among those offered"),)


CHECK = Check(
    id="ssh_weak_algorithms",
    title="SSH offers weak algorithms",
    requirements=("SR 1.9", "SR 4.3"),
    severity=Severity.MEDIUM,
    exploitability=Exploitability.SKILLED,
    reads=SshFace,
    judge=judge,
    remedy=(
        "Take the named algorithms out of the SSH server's settings; where the device has no such "
        "setting, update its firmware. Try the engineering tools against one device before doing "
        "all: old tools may know nothing newer."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0830", "T0842"),
    protocols=("ssh",),
)
