"""
paramiko, tamed: one SSH connection over a socket that somebody else has connected.

What a caller can do: prove the server's key, ask which methods it offers, log in once, run one
command of the list, close. No agent, no keys, no files of the user's home, no shell, no sftp, no
forwarding. Every step is judged in words (guard `ssh_command`) before it is encrypted. All of it
blocks and belongs in `Session.blocking`. Algorithms that old switches need stay on: paramiko 4
still has them; nothing secret is sent before the caller has compared the host key.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from socket import socket
from threading import Event

import paramiko
from paramiko.auth_handler import AuthHandler
from paramiko.ssh_exception import (
    AuthenticationException,
    BadAuthenticationType,
    IncompatiblePeer,
    SSHException,
)

from scanner.errors import BadReply, Closed, Silent, WireError
from scanner.spec import Secret

Judge = Callable[[bytes], None]
"""Raises GuardRefused unless this step may be taken (frames of the guard `ssh_command`)."""

IDENTIFICATION = "SSH-2.0-Walkdown"
OUTPUT_MAX = 256 * 1024
TEXT_MAX = 2048
METHODS_MAX = 16

QUIET = "walkdown.quiet.ssh"
"""The log channel given to paramiko: disabled, since it would quote what devices say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerKey:
    """`fingerprint_sha256` is "SHA256:…" as ssh-keygen prints it (RFC 4648 base64, no padding)."""

    algorithm: str
    bits: int | None
    fingerprint_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthAnswer:
    """
    The server's answer to one authentication request. `methods` are those that may continue;
    `banner` is the text it sent before (RFC 4252 section 5.4). `partial`: right, but one more
    factor is wanted. `dropped`: the connection ended with the answer. `ended_by_us`: it asked for
    what is not given, and was left.
    """

    accepted: bool
    methods: tuple[str, ...] = ()
    partial: bool = False
    dropped: bool = False
    ended_by_us: bool = False
    banner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """What one command printed. `exit_status` None: the server told none. `whole`: not cut off."""

    command: str
    stdout: str
    stderr: str
    exit_status: int | None
    whole: bool


def fingerprint_sha256(blob: bytes) -> str:
    """Of a public key in wire format."""
    digest = base64.b64encode(hashlib.sha256(blob).digest())
    return "SHA256:" + digest.decode("ascii").rstrip("=")


def quiet_logger() -> str:
    """Disable the log channel (again: logging's set-up may have enabled it) and name it."""
    logging.getLogger(QUIET).disabled = True
    return QUIET


class _OneServiceRequest(AuthHandler):
    """
    paramiko repeats the service request before every authentication; strict servers hang up on
    the second. This one asks once per connection (RFC 4253 section 10) and goes on from there.
    """

    _requested = False

    def _request_auth(self) -> None:
        if not self._requested:
            self._requested = True
            super()._request_auth()  # type: ignore[misc]  # internal, so the stubs leave it out
            return
        accepted = paramiko.Message()
        accepted.add_string("ssh-userauth")
        accepted.rewind()
        self._parse_service_accept(accepted)  # type: ignore[attr-defined]  # as above


EMPTY_REQUESTS = 3
PASSWORD_PROMPT = re.compile(
    r"pass ?word|passcode|passwort|kennwort|mot de passe|contrase|senha|wachtwoord|l(?:ö|oe)senord"
    r"|adgangskode|has(?:ł|l)o|heslo|parol|пароль|密码|密碼|パスワード|암호",
    re.IGNORECASE,
)
"""What asks for the password, in the languages of usual systems; a code or a token is another."""


class SshConnection:
    """Steps in order: handshake, auth_none, auth_password, run, close. Not shared by threads."""

    def __init__(self, sock: socket, *, judge: Judge, timeout_s: float = 5.0) -> None:
        self._judge = judge
        self._timeout_s = timeout_s
        self._ended_by_us = False
        with translated():
            self._transport = paramiko.Transport(sock)
        self._login = _OneServiceRequest(self._transport)
        self._transport.set_log_channel(quiet_logger())
        self._transport.local_version = IDENTIFICATION
        self._transport.banner_timeout = timeout_s
        self._transport.handshake_timeout = 3 * timeout_s
        self._transport.auth_timeout = 2 * timeout_s
        self._transport.channel_timeout = 2 * timeout_s

    def handshake(self) -> ServerKey:
        """Key exchange; the server has then proved that it holds this key. Raises WireError."""
        with translated():
            self._transport.start_client(timeout=3 * self._timeout_s)
            key = server_key(self._transport.get_remote_server_key())
            self._transport.auth_handler = self._login
        return key

    def auth_none(self, user: str) -> AuthAnswer:
        """RFC 4252 section 5.2: the request that lists the methods. Raises WireError."""
        self._judge(b"auth none")
        return self._answer(partial(self._login.auth_none, user))

    def auth_password(
        self, user: str, secret: Secret, *, operator: bool, methods: Sequence[str]
    ) -> AuthAnswer:
        """
        One login; the secret leaves once at most. `methods` is what auth_none told: where the
        server takes passwords only by keyboard-interactive, one hidden prompt for a password is
        answered; any other, a second one, or the same asked again, ends the connection. `operator`
        tells the operator's own login from a default credential. Raises WireError.
        """
        self._judge(b"auth operator" if operator else b"auth password")
        if "password" not in methods and "keyboard-interactive" in methods:
            return self._answer(partial(self._login.auth_interactive, user, self._once(secret)))
        return self._answer(
            lambda answered: self._login.auth_password(user, secret.reveal(), answered)
        )

    def _once(self, secret: Secret) -> Callable[[str, str, list[tuple[str, bool]]], list[str]]:
        """Answers the prompts of RFC 4256: a server may ask as often as it likes."""
        asked = 0
        given = False

        def respond(title: str, instructions: str, prompts: list[tuple[str, bool]]) -> list[str]:
            nonlocal asked, given
            asked += 1
            if not prompts and asked <= EMPTY_REQUESTS:
                return []  # section 3.2: instructions alone are acknowledged
            hidden = len(prompts) == 1 and not prompts[0][1]
            if given or not hidden or not PASSWORD_PROMPT.search(prompts[0][0]):
                self._ended_by_us = True
                raise SSHException("asked for more than the password, or for it again")
            given = True
            return [secret.reveal()]

        return respond

    def _answer(self, request: Callable[[Event], None]) -> AuthAnswer:
        with translated():
            if not self._transport.is_active():
                raise Closed("the device closed the SSH connection")
            answered = Event()
            try:
                request(answered)
                more = self._login.wait_for_response(answered)
            except BadAuthenticationType as error:
                return self._rejected(error.allowed_types)
            except AuthenticationException as error:
                raise_if_unanswered(error)
                return self._rejected(())
            except SSHException:
                if not self._ended_by_us:
                    raise
                return AuthAnswer(
                    accepted=False, dropped=True, ended_by_us=True, banner=self._login_banner()
                )
        if more:
            return AuthAnswer(accepted=False, methods=names(more), partial=True)
        return AuthAnswer(accepted=self._transport.is_authenticated(), banner=self._login_banner())

    def _rejected(self, methods: Sequence[str]) -> AuthAnswer:
        return AuthAnswer(
            accepted=False,
            methods=names(methods),
            dropped=not self._transport.is_active(),
            banner=self._login_banner(),
        )

    def _login_banner(self) -> str | None:
        raw = self._transport.get_banner()
        text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
        return printable(text)[:TEXT_MAX] if text else None

    def run(self, platform: str, command: str) -> CommandResult:
        """
        One command in one session channel, without a terminal. Bounded in size here; in time by
        `Session.blocking`, which breaks the connection. Raises WireError.
        """
        self._judge(f"exec {platform} {command}".encode())
        with translated():
            channel = self._transport.open_session(timeout=2 * self._timeout_s)
            try:
                channel.settimeout(2 * self._timeout_s)
                channel.exec_command(command)
                stdout, whole = _read(channel)
                stderr = b""
                while channel.recv_stderr_ready() and len(stderr) < TEXT_MAX:
                    stderr += channel.recv_stderr(TEXT_MAX)
                told = channel.status_event.wait(1.0)
                status = channel.recv_exit_status() if told else -1
                if status < 0 and not self._transport.is_active():
                    raise Closed("the device closed the connection during a command")
            finally:
                channel.close()
        return CommandResult(
            command=command,
            stdout=stdout.decode("utf-8", "replace"),
            stderr=stderr.decode("utf-8", "replace")[:TEXT_MAX],
            exit_status=status if status >= 0 else None,
            whole=whole,
        )

    def close(self) -> None:
        """End the connection; the socket is closed with it."""
        self._transport.close()


def _read(channel: paramiko.Channel) -> tuple[bytes, bool]:
    """Everything on stdout until its end; False when it was cut off at OUTPUT_MAX."""
    received = b""
    while data := channel.recv(32768):
        received += data
        if len(received) > OUTPUT_MAX:
            return received[:OUTPUT_MAX], False
    return received, True


def server_key(key: paramiko.PKey) -> ServerKey:
    bits = key.get_bits()
    return ServerKey(
        algorithm=key.get_name(),
        bits=bits if isinstance(bits, int) and bits > 0 else None,
        fingerprint_sha256=fingerprint_sha256(key.asbytes()),
    )


def names(methods: Sequence[str]) -> tuple[str, ...]:
    return tuple(printable(str(method))[:64] for method in methods if method)[:METHODS_MAX]


def printable(text: str) -> str:
    """Line ends and tabs are kept, every other control character becomes U+FFFD."""
    return "".join(c if c.isprintable() or c in "\r\n\t" else "�" for c in text)


def raise_if_unanswered(error: AuthenticationException) -> None:
    """paramiko calls it failed authentication when the connection ended or nothing came, too."""
    text = str(error)
    if "EOF" in text or "shut down" in text:
        raise Closed("the device closed the connection during authentication") from None
    if "timeout" in text:
        raise Silent("no answer to an authentication request") from None


@contextmanager
def translated() -> Iterator[None]:
    """paramiko's exceptions as ours; theirs are not chained, they may quote what was said."""
    try:
        yield
    except WireError:
        raise
    except IncompatiblePeer:
        raise BadReply("no SSH version or algorithm in common") from None
    except EOFError:
        raise Closed("the device closed the SSH connection") from None
    except TimeoutError:
        raise Silent("no answer on the SSH connection") from None
    except SSHException as error:
        text = str(error)
        if "banner" in text or "EOF" in text or "session" in text:
            raise Closed("the SSH connection ended before the answer came") from None
        raise BadReply(f"not a usable SSH conversation ({type(error).__name__})") from None
    except OSError:
        raise Closed("the SSH connection broke") from None
    except (ValueError, IndexError, KeyError, UnicodeError, OverflowError) as error:
        raise BadReply(f"SSH bytes that paramiko cannot read ({type(error).__name__})") from None
