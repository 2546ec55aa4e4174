"""
SSH: the transport is a session; a login and a command stand in the record in words.

Sources: RFC 4253 sections 4 and 6; RFC 4250 section 4.1.2; RFC 4419.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from scanner.audit.requests.form import Foreign, Named, Reader, Verdict, either
from scanner.model import Tier

SHOWS = frozenset(
    """
    show version\nshow running-config\nshow users\nshow ntp status
    terminal width 511\nterminal length 0\nexit
    uname -a\nwho\ntimedatectl show\nss -ltnuH\ngetent passwd\ngetent group
    cat /etc/os-release\ncat /etc/ssh/sshd_config\ncat /etc/pam.d/sshd\ncat /etc/login.defs
    cat /etc/issue.net\ncat /etc/systemd/timesyncd.conf\ncat /etc/chrony/chrony.conf
    cat /etc/rsyslog.conf\ncat /etc/profile\ncat .ssh/authorized_keys
    """.strip()
    .replace("\n    ", "\n")
    .split("\n")
) | {""}
"""Every command that is ever given, whole: a switch's and a Linux host's. "" is Enter."""
_SERVICE = re.compile(r"(exec \S+ ?)?(.*)", re.DOTALL)
"""A command as it is planned names its platform first."""
_SIGN_IN = re.compile(r"auth (none|operator|password)( [^\x00-\x1f]*)?")
"""The kind of login, and as whom."""
TRANSPORT = frozenset({5, 20, 21, *range(30, 35)})
"""Service request, key exchange and the exchange methods' own (RFC 4250 4.1.2, 4253, 4419)."""


def read(request: bytes, tier: Tier) -> Iterator[Named]:
    if request.startswith(b"SSH-2.0-") and request.endswith(b"\n"):
        yield Named(protocol="ssh", service="identification", verdict="session")
        return
    if len(request) > 5 and struct.unpack_from("!I", request)[0] == len(request) - 4:
        verdict: Verdict = "session" if request[5] in TRANSPORT else "unknown"
        yield Named(protocol="ssh", service=f"message {request[5]}", verdict=verdict)
        return
    try:
        text = request.decode("ascii").rstrip("\r\n")
    except UnicodeDecodeError:
        raise Foreign("no SSH") from None
    if signing := _SIGN_IN.fullmatch(text):
        granted = signing[1] != "password" or tier is Tier.LOGIN
        verdict = "sign-in" if granted else "write"
        yield Named(protocol="ssh", service="authentication", verdict=verdict)
        return
    planned = _SERVICE.fullmatch(text)
    command = planned[2] if planned else text
    verdict = either(command in SHOWS)
    yield Named(protocol="ssh", service=f"command {command[:40]!r}", verdict=verdict)


READER = Reader(protocol="ssh", read=read, probes=("ssh", "sshconfig"), sealed={"ssh": 0})
