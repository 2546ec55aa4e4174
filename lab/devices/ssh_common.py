"""
What the SSH emulators share: asyncssh's server with a device's accounts, keys and algorithms.

Settings: `version` (the identification string after "SSH-2.0-"), `host_key` (a name; devices that
name the same one share it), `host_key_algorithms`, `kex`, `encryption`, `mac` (lists, in order),
`methods` ("password", "publickey", "keyboard-interactive"), `users` {name: password}, `banner`,
`lockout_after`, `lockout_tells` (a locked account ends the connection and says why), `canaries`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncssh

from lab.bench import LOOPBACK, Accounts, Bench, Server
from lab.ledger import Ledger

MAX_VERSION = 240
"""The identification line is at most 255 bytes (RFC 4253 section 4.2)."""

Process = asyncssh.SSHServerProcess[str]
Run = Callable[[Process, str], Awaitable[None]]


def identification(text: str) -> bytes:
    """What stands after "SSH-2.0-": one line, whatever the plant file says."""
    line = text.encode("utf-8", "replace")[:MAX_VERSION]
    return bytes(byte for byte in line if byte not in b"\r\n\0")


class Gate(asyncssh.SSHServer):
    """Who gets in. No key is ever right: the method is offered because real servers offer it."""

    def __init__(
        self,
        accounts: Accounts,
        methods: frozenset[str],
        banner: str,
        ledger: Ledger,
        version: bytes,
    ) -> None:
        self._accounts = accounts
        self._ledger = ledger
        self._methods = methods
        self._banner = banner
        self._version = version
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        # its own option takes printable ASCII only; what a device says may be anything in a line
        conn._version = self._version

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> bool:
        self._ledger.unexpected(f"forward to {dest_host}:{dest_port}")
        return False

    def server_requested(self, listen_host: str, listen_port: int) -> bool:
        self._ledger.unexpected(f"forward from {listen_host}:{listen_port}")
        return False

    def begin_auth(self, username: str) -> bool:
        if self._banner and self._connection is not None:
            self._connection.send_auth_banner(self._banner)
        return True

    def password_auth_supported(self) -> bool:
        return "password" in self._methods

    def validate_password(self, username: str, password: str) -> bool:
        return self._admits(username, password)

    def _admits(self, username: str, password: str) -> bool:
        admitted = self._accounts.admits(username, password)
        if not admitted and self._accounts.tells and self._accounts.locked(username):
            raise asyncssh.DisconnectError(
                asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "Too many authentication failures"
            )
        return admitted

    def public_key_auth_supported(self) -> bool:
        return "publickey" in self._methods

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return False

    def kbdint_auth_supported(self) -> bool:
        return "keyboard-interactive" in self._methods

    def get_kbdint_challenge(
        self, username: str, lang: str, submethods: str
    ) -> tuple[str, str, str, list[tuple[str, bool]]]:
        return "", "", "", [("Password: ", False)]

    def validate_kbdint_response(self, username: str, responses: Any) -> bool:
        return len(responses) == 1 and self._admits(username, str(responses[0]))


async def serve_ssh(
    bench: Bench, run: Run, *, changes: Callable[[str], bool] = lambda command: False
) -> Server:
    """
    Start the server; `run` gets each session, with the command of an exec or "" for a shell.

    `changes` tells which commands would change the device; they count as writes.
    """
    settings = bench.settings
    accounts = Accounts.of(bench)
    methods = frozenset(str(m) for m in settings.get("methods", ("password", "publickey")))
    banner = str(settings.get("banner", ""))
    options: dict[str, Any] = {}
    for key, option in (
        ("kex", "kex_algs"),
        ("encryption", "encryption_algs"),
        ("mac", "mac_algs"),
    ):
        if key in settings:
            options[option] = [str(name) for name in settings[key]]
    algorithms = settings.get("host_key_algorithms", ("ssh-ed25519",))
    name = str(settings.get("host_key", bench.device))
    host_keys = asyncssh.load_keypairs([bench.keys.host_key(name, str(a)) for a in algorithms])
    for pair, algorithm in zip(host_keys, algorithms, strict=True):
        # an old switch signs with SHA-1 alone, where asyncssh would offer SHA-2 beside it
        pair.host_key_algorithms = [str(algorithm).encode("ascii")]

    async def session(process: Process) -> None:
        command = process.command or ""
        if process.subsystem:
            bench.ledger.request("ssh", f"subsystem {process.subsystem}")
            bench.ledger.unexpected(f"subsystem {process.subsystem}")
            process.exit(1)
            return
        bench.ledger.request(
            "ssh", f"exec {command}" if command else "shell", write=changes(command)
        )
        try:
            await run(process, command)
        except (asyncssh.Error, ConnectionError, EOFError):
            pass
        finally:
            process.exit(0)

    listener = await asyncssh.listen(
        LOOPBACK,
        0,
        server_factory=lambda: Gate(
            accounts, methods, banner, bench.ledger, identification(bench.text("version"))
        ),
        server_host_keys=host_keys,
        process_factory=session,
        line_editor=False,
        encoding="utf-8",
        allow_pty=True,
        agent_forwarding=False,
        x11_forwarding=False,
        sftp_factory=None,
        allow_scp=False,
        login_timeout=30,
        compression_algs=None,
        **options,
    )

    async def stop() -> None:
        listener.close()
        await listener.wait_closed()

    return Server(inner=(LOOPBACK, listener.get_port()), stop=stop)


async def lines(process: Process, prompt: str, greeting: str) -> Any:
    """
    The lines of an interactive session, with echo as a terminal gives it.

    An async generator: the caller writes the output of one line, then asks for the next.
    """
    process.stdout.write(greeting + prompt)
    line = ""
    skip_newline = False
    while chunk := await process.stdin.read(4096):
        for char in chunk:
            if char == "\n" and skip_newline:
                skip_newline = False
                continue
            skip_newline = char == "\r"
            if char in "\r\n":
                process.stdout.write("\r\n")
                yield line
                line = ""
                process.stdout.write(prompt)
            elif char == "\x03":
                line = ""
                process.stdout.write("^C\r\n" + prompt)
            elif char == "\x04" and not line:
                return
            elif char in "\x08\x7f":
                if line:
                    line = line[:-1]
                    process.stdout.write("\b \b")
            elif char.isprintable():
                line += char
                process.stdout.write(char)
