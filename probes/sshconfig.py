"""
A device's own configuration, read with the operator's own login over SSH.

Read tier, one connection, only for devices with a `login` in the site file (`PROBE`):

1. Key exchange. The server's key is compared with the pinned one (RFC 4253 section 8, RFC 4251
   section 4.1). If it differs, nothing secret is sent and that is what is reported.
2. One login with the operator's name and password (RFC 4252 section 8, or RFC 4256 where the
   server takes passwords only by keyboard-interactive). Refused means refused: no second try.
3. Commands of a fixed list that only print, one after another. On Linux each runs in a channel of
   its own without a terminal (RFC 4254 section 6.5); on network devices netmiko types them into
   one session, and what netmiko types by itself is on the list as well (terminal width and length,
   Enter, exit). No privilege is raised: no enable, no sudo.
4. exit, close.

It is the gentlest way to learn what a device is set to: an operator's own show commands instead
of dozens of requests from outside. Secrets in the replies are replaced by keyed hashes before
anything is kept, so that reuse is seen and no report can leak one.

Sample (IOS): Cisco IE-2000-8TC-G-E with 15.2(7)E2, account "walkdown" with privilege 15 and a
scrypt hash, sessions that end after 600 s, login banner, time server, log target, the SHA-256 of
the running configuration.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial

from scanner.attempt import CountedAttempt, counted
from scanner.clients.cli import CliConnection, Said
from scanner.clients.ssh import CommandResult, ServerKey, SshConnection
from scanner.errors import WireError
from scanner.facts import Fact, LoginUnavailable, SshAuthMethods, SshHostKey
from scanner.importers import Hide, ios, linux
from scanner.model import Tier, Transport
from scanner.spec import Login, Probe, Question, Session

LINUX_COMMANDS = (
    "uname -a",
    "cat /etc/os-release",
    "getent passwd",
    "getent group",
    "who",
    "cat /etc/ssh/sshd_config",
    "cat /etc/pam.d/sshd",
    "cat /etc/login.defs",
    "cat /etc/issue.net",
    "cat /etc/systemd/timesyncd.conf",
    "cat /etc/chrony/chrony.conf",
    "cat /etc/rsyslog.conf",
    "cat /etc/profile",
    "timedatectl show",
    "ss -ltnuH",
    "cat .ssh/authorized_keys",
)
IOS_COMMANDS = ("show version", "show running-config", "show users", "show ntp status")
IOS_PLATFORMS = frozenset({"cisco_ios", "cisco_xe"})
FINGERPRINT_BYTES = 16
SECOND_FACTOR = "the device wants another factor after the password"
WITHHELD = {
    "ledger": "this account was refused before, and another failure could lock it",
    "locked": "a lockout sign or a dropped connection was seen within 24 h",
    "policy": "the attempt policy forbids it (a safety controller, a domain account, or a device "
    "that locks accounts too early)",
}


def fingerprinter(key: bytes) -> Hide:
    """HMAC-SHA256 under the site's key, its first 16 bytes in hex (RFC 2104)."""

    def hide(secret: str) -> str:
        digest = hmac.new(key, secret.encode("utf-8", "replace"), hashlib.sha256).digest()
        return digest[:FINGERPRINT_BYTES].hex()

    return hide


async def run(session: Session) -> tuple[Fact, ...]:
    login = session.login
    if login is None:
        return ()
    if login.platform == linux.PLATFORM:
        return await _read_linux(session, login)
    if login.platform in IOS_PLATFORMS:
        return await _read_ios(session, login)
    return (_unavailable(f"no list of read commands for {login.platform[:32]!r}"),)


def _unavailable(reason: str) -> LoginUnavailable:
    return LoginUnavailable(service="ssh", reason=reason)


def _withheld(why: str) -> LoginUnavailable:
    return _unavailable(f"no login was tried: {WITHHELD.get(why, why)}")


def _key_fact(key: ServerKey) -> SshHostKey:
    return SshHostKey(
        algorithm=key.algorithm, bits=key.bits, fingerprint_sha256=key.fingerprint_sha256
    )


def _other_key(key: ServerKey) -> tuple[Fact, ...]:
    reason = (
        f"the device shows host key {key.fingerprint_sha256} and another one is pinned; "
        "no secret was sent"
    )
    return _key_fact(key), _unavailable(reason)


async def _keep(
    session: Session, login: Login, label: str, said: str, heard: str, mask: Callable[[str], str]
) -> None:
    """Evidence of one command, secrets masked, the operator's own password too."""
    secret = login.secret.reveal()
    masked = mask(heard)
    if secret:
        masked = masked.replace(secret, "<secret>")
    await session.record_plaintext(label, said.encode(), masked.encode("utf-8", "replace"))


# --- Linux -------------------------------------------------------------------------------------


async def _read_linux(session: Session, login: Login) -> tuple[Fact, ...]:
    hide = fingerprinter(session.fingerprint_key)
    outputs: dict[str, str] = {}
    key: ServerKey | None = None
    try:
        async with AsyncExitStack() as open_until_read:
            async with _counted(session, login) as attempt:
                connection = await open_until_read.enter_async_context(_connected(session))
                key = await session.blocking(connection.handshake, deadline_s=20.0)
                if key.fingerprint_sha256 != login.host_key:
                    return _other_key(key)
                if attempt.withheld:
                    return _key_fact(key), _withheld(attempt.withheld)
                await attempt.leaves()
                reason = await _log_in(session, login, connection, attempt)
            if reason:
                return _key_fact(key), _unavailable(reason)
            for command in LINUX_COMMANDS:
                result = await session.blocking(
                    partial(connection.run, login.platform, command), deadline_s=20.0
                )
                heard = result.stdout + result.stderr
                await _keep(session, login, command, command, heard, partial(linux.mask, hide=hide))
                if (output := usable(result)) is not None:
                    outputs[command] = output
    except WireError:
        if not outputs:
            raise
    assert key is not None  # noqa: S101 - the loop came after it
    return _key_fact(key), *linux.read_host(outputs, user=login.user, hide=hide)


@asynccontextmanager
async def _connected(session: Session) -> AsyncIterator[SshConnection]:
    judge = partial(session.judge_plaintext, "ssh-command")
    async with session.duplex() as sock:
        connection = SshConnection(sock, judge=judge)
        try:
            yield connection
        finally:
            await session.blocking(connection.close, deadline_s=5.0)


def _counted(session: Session, login: Login) -> AbstractAsyncContextManager[CountedAttempt]:
    """
    A wrong secret of the operator must not lock the operator out. The secret is marked by its
    keyed hash, so that a new one is told from the one that was refused.
    """
    secret = fingerprinter(session.fingerprint_key)(login.secret.reveal())
    return counted(session, f"ssh/{session.target.port}#{secret[:12]}", login.user)


async def _log_in(
    session: Session, login: Login, connection: SshConnection, attempt: CountedAttempt
) -> str | None:
    """
    One login, the secret once; the reason when it led nowhere. Whether the server takes passwords
    as such or by keyboard-interactive is known from its own list of methods (probe `ssh`).
    """
    known = [fact.methods for fact in session.known if isinstance(fact, SshAuthMethods)]
    methods = known[-1] if known else ("password",)
    answer = await session.blocking(
        partial(connection.auth_password, login.user, login.secret, operator=True, methods=methods),
        deadline_s=20.0,
    )
    said = "accepted" if answer.accepted else "refused"
    await session.record_plaintext(
        "login of the operator", f"auth operator {login.user}".encode(), said.encode()
    )
    dropped = "connection dropped" if answer.dropped else None
    attempt.answered(accepted=answer.accepted or answer.partial, lockout_sign=dropped)
    if answer.accepted:
        return None
    if answer.ended_by_us:
        return "the device asked for more than the password, or for it again: it was left"
    return SECOND_FACTOR if answer.partial else "the device refused the login"


def usable(result: CommandResult) -> str | None:
    """
    The output; ABSENT when the file is not there; None when it tells nothing. A command that did
    not report success may have printed half of it, and half a file seems to lack the other half.
    """
    if not result.whole:
        return None
    if result.exit_status == 0:
        return result.stdout
    if (
        result.exit_status is not None
        and "No such file or directory" in result.stdout + result.stderr
    ):
        return linux.ABSENT
    return None


# --- IOS ---------------------------------------------------------------------------------------


async def _read_ios(session: Session, login: Login) -> tuple[Fact, ...]:
    hide = fingerprinter(session.fingerprint_key)
    outputs: dict[str, str] = {}
    key: ServerKey | None = None
    judge = partial(session.judge_plaintext, "ssh-command")
    try:
        async with AsyncExitStack() as open_until_read:
            async with _counted(session, login) as attempt:
                if attempt.withheld:
                    return (_withheld(attempt.withheld),)
                sock = await open_until_read.enter_async_context(session.duplex())
                connection = CliConnection(sock, login, judge=judge)
                open_until_read.push_async_callback(_leave_ios, session, login, connection, hide)
                await attempt.leaves()
                try:
                    opened = await session.blocking(connection.open, deadline_s=45.0)
                finally:
                    if not connection.trusted:
                        attempt.left = None
                key = opened.key
                attempt.answered(accepted=opened.refused is None)
            if opened.refused is not None:
                return _refused(login, opened.refused, key)
            for command in IOS_COMMANDS:
                outputs[command] = await session.blocking(
                    partial(connection.run, command), deadline_s=45.0
                )
                await _keep_transcript(session, login, connection.said, hide)
    except WireError:
        if not outputs:
            raise
    facts = read_ios(outputs, hide, platform=login.platform)
    return (_key_fact(key), *facts) if key else facts


async def _leave_ios(session: Session, login: Login, connection: CliConnection, hide: Hide) -> None:
    await session.blocking(connection.close, deadline_s=10.0)
    await _keep_transcript(session, login, connection.said, hide)


def _refused(login: Login, reason: str, key: ServerKey | None) -> tuple[Fact, ...]:
    if key is None:
        return (_unavailable(reason),)
    if key.fingerprint_sha256 != login.host_key:
        return _other_key(key)
    return _key_fact(key), _unavailable(reason)


async def _keep_transcript(session: Session, login: Login, said: list[Said], hide: Hide) -> None:
    """Move what was typed and heard so far into the evidence."""
    while said:
        one = said.pop(0)
        await _keep(
            session,
            login,
            one.typed or "Enter",
            one.typed,
            one.heard,
            partial(ios.mask, hide=hide),
        )


def read_ios(outputs: dict[str, str], hide: Hide, *, platform: str) -> tuple[Fact, ...]:
    """Facts from the outputs of IOS_COMMANDS, as far as they came."""
    identity = ios.read_version(outputs.get("show version", ""))
    return (
        *((identity,) if identity else ()),
        *ios.read_configuration(
            outputs.get("show running-config", ""),
            hide,
            platform=platform,
            ntp_status=outputs.get("show ntp status"),
        ),
        *ios.read_users(outputs.get("show users", "")),
    )


# --- what the engine finds ---------------------------------------------------------------------

PROBE = Probe(
    name="sshconfig",
    protocol="ssh",
    transport=Transport.TCP,
    ports=(22,),
    tier=Tier.READ,
    run=run,
    questions=(
        Question(label="key exchange, host key compared with the pinned one", packets=5),
        Question(
            label="one login of the operator's own account",
            sample=b"auth operator",
            packets=4,
            trace="a login and a logout of the operator's account in the device's log",
        ),
        *(
            Question(label=f"Linux: {command}", sample=f"exec linux {command}".encode(), packets=4)
            for command in LINUX_COMMANDS
        ),
        Question(label="IOS: session with a terminal", packets=3),
        Question(
            label="IOS: terminal width and length, Enter, exit (typed by netmiko)",
            sample=b"exec cisco_ios terminal length 0",
            at_most=6,
            packets=1,
        ),
        *(
            Question(
                label=f"IOS: {command}", sample=f"exec cisco_ios {command}".encode(), packets=2
            )
            for command in IOS_COMMANDS
        ),
    ),
    needs=frozenset({"login", "answered"}),
    deadline_s=120.0,
    service="ssh",
)
