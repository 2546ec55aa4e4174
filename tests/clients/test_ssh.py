"""The paramiko adapter against asyncssh servers on loopback, over plain connected sockets."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import asyncssh
import pytest

from scanner.clients.ssh import (
    OUTPUT_MAX,
    SshConnection,
    fingerprint_sha256,
    printable,
)
from scanner.errors import BadReply, Closed, GuardRefused, WireError
from scanner.guards import open_guard
from scanner.model import Tier
from scanner.spec import Secret

ED25519 = asyncssh.generate_private_key("ssh-ed25519")
RSA = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
PASSWORD = "correct-horse"


class Door(asyncssh.SSHServer):
    """Writes down every login request; `open_to_all` accepts `none`."""

    heard: list[str]
    connections: list[asyncssh.SSHServerConnection]
    open_to_all = False

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        self.heard.append(f"begin {username}")
        return not self.open_to_all

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        self.heard.append(f"password {username} {password}")
        return (username, password) == ("auditor", PASSWORD)


async def shell(process: asyncssh.SSHServerProcess) -> None:
    match process.command:
        case "uname -a":
            process.stdout.write("Linux jump 6.1.0 x86_64\n")
            process.exit(0)
        case "who":
            process.stdout.write("x" * (OUTPUT_MAX + 5000))
            process.exit(0)
        case _:
            process.stderr.write("cat: no such file\n")
            process.exit(1)


@asynccontextmanager
async def serving(
    *,
    door: type[Door] = Door,
    open_to_all: bool = False,
    keys: tuple[object, ...] = (ED25519,),
    **options: object,
) -> AsyncIterator[tuple[int, list[str]]]:
    heard: list[str] = []
    connections: list[asyncssh.SSHServerConnection] = []

    def made() -> Door:
        server = door()
        server.heard, server.connections, server.open_to_all = heard, connections, open_to_all
        return server

    acceptor = await asyncssh.create_server(
        made, "127.0.0.1", 0, server_host_keys=list(keys), process_factory=shell, **options
    )
    try:
        yield acceptor.get_port(), heard
    finally:
        acceptor.close()
        await acceptor.wait_closed()
        for connection in connections:
            connection.abort()
            await connection.wait_closed()


def judge(tier: Tier = Tier.LOGIN) -> Callable[[bytes], None]:
    def judged(frame: bytes) -> None:
        if reason := open_guard("ssh-command").judge(frame, tier):
            raise GuardRefused(reason)

    return judged


@asynccontextmanager
async def connected(port: int, tier: Tier = Tier.LOGIN) -> AsyncIterator[SshConnection]:
    sock = await asyncio.to_thread(socket.create_connection, ("127.0.0.1", port), 5)
    connection = SshConnection(sock, judge=judge(tier))
    try:
        yield connection
    finally:
        await asyncio.to_thread(connection.close)
        sock.close()


async def test_the_host_key_is_told_as_ssh_keygen_prints_it() -> None:
    async with serving() as (port, _), connected(port) as connection:
        key = await asyncio.to_thread(connection.handshake)

    assert key.algorithm == "ssh-ed25519"
    assert key.bits == 256
    assert key.fingerprint_sha256 == ED25519.get_fingerprint("sha256")


async def test_an_rsa_key_tells_its_length() -> None:
    async with serving(keys=(RSA,)) as (port, _), connected(port) as connection:
        key = await asyncio.to_thread(connection.handshake)

    assert (key.algorithm, key.bits) == ("ssh-rsa", 2048)
    assert key.fingerprint_sha256 == RSA.get_fingerprint("sha256")


@pytest.mark.filterwarnings("ignore")
async def test_a_server_with_old_algorithms_only_can_be_talked_to() -> None:
    old = {
        "kex_algs": ["diffie-hellman-group1-sha1"],
        "encryption_algs": ["3des-cbc"],
        "mac_algs": ["hmac-sha1"],
        "signature_algs": ["ssh-rsa"],
    }
    async with serving(keys=(RSA,), **old) as (port, _), connected(port) as connection:
        key = await asyncio.to_thread(connection.handshake)
        answer = await asyncio.to_thread(connection.auth_none, "walkdown")

    assert key.algorithm == "ssh-rsa"
    assert "password" in answer.methods


async def test_none_lists_the_methods() -> None:
    async with serving() as (port, heard), connected(port) as connection:
        await asyncio.to_thread(connection.handshake)
        answer = await asyncio.to_thread(connection.auth_none, "walkdown")

    assert not answer.accepted
    assert "password" in answer.methods
    assert heard == ["begin walkdown"]


async def test_a_server_that_lets_anybody_in_is_told() -> None:
    async with serving(open_to_all=True) as (port, _), connected(port) as connection:
        await asyncio.to_thread(connection.handshake)
        answer = await asyncio.to_thread(connection.auth_none, "walkdown")

    assert answer.accepted


@pytest.mark.parametrize(("word", "expected"), [(PASSWORD, True), ("wrong", False)])
async def test_one_password_is_one_request(word: str, expected: bool) -> None:
    async with serving() as (port, heard), connected(port) as connection:
        await asyncio.to_thread(connection.handshake)
        answer = await asyncio.to_thread(
            partial(
                connection.auth_password,
                "auditor",
                Secret(word),
                operator=False,
                methods=("password",),
            )
        )

    assert answer.accepted is expected
    assert [line for line in heard if line.startswith("password")] == [f"password auditor {word}"]


class OneQuestion(Door):
    questions = (("Password: ", False),)

    def password_auth_supported(self) -> bool:
        return False

    def kbdint_auth_supported(self) -> bool:
        return True

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> object:
        return "", "", "", self.questions

    def validate_kbdint_response(self, username: str, responses: list[str]) -> object:
        self.heard.append(f"answers {responses}")
        return responses == [PASSWORD]


class TwoQuestions(OneQuestion):
    questions = (("Password: ", False), ("One-time code: ", False))


class Code(OneQuestion):
    questions = (("Verification code: ", False),)


class Again(OneQuestion):
    """Whatever is answered: the same question once more."""

    def validate_kbdint_response(self, username: str, responses: list[str]) -> object:
        self.heard.append(f"answers {responses}")
        return "", "", "", self.questions


DOORS = {one.__name__: one for one in (TwoQuestions, Code, Again)}


async def test_keyboard_interactive_answers_one_password_question() -> None:
    async with serving(door=OneQuestion) as (port, heard), connected(port) as connection:
        await asyncio.to_thread(connection.handshake)
        offered = await asyncio.to_thread(connection.auth_none, "auditor")
        answer = await asyncio.to_thread(
            partial(
                connection.auth_password,
                "auditor",
                Secret(PASSWORD),
                operator=True,
                methods=offered.methods,
            )
        )

    assert "password" not in offered.methods
    assert answer.accepted
    assert heard[-1] == f"answers ['{PASSWORD}']"


@pytest.mark.parametrize(("door", "answers"), [("TwoQuestions", 0), ("Code", 0), ("Again", 1)])
async def test_one_prompt_for_the_password_is_answered_and_no_other(
    door: str, answers: int
) -> None:
    """RFC 4256: a server may ask as often, and for whatever, it likes."""
    async with serving(door=DOORS[door]) as (port, heard), connected(port) as connection:
        await asyncio.to_thread(connection.handshake)
        answer = await asyncio.to_thread(
            partial(
                connection.auth_password,
                "auditor",
                Secret(PASSWORD),
                operator=True,
                methods=("keyboard-interactive",),
            )
        )

    assert (answer.accepted, answer.dropped, answer.ended_by_us) == (False, True, True)
    assert sum(PASSWORD in line for line in heard) == answers


async def log_in(connection: SshConnection) -> None:
    await asyncio.to_thread(connection.handshake)
    answer = await asyncio.to_thread(
        partial(
            connection.auth_password,
            "auditor",
            Secret(PASSWORD),
            operator=True,
            methods=("password",),
        )
    )
    assert answer.accepted


async def test_commands_run_one_by_one_on_one_connection() -> None:
    async with serving() as (port, heard), connected(port, Tier.READ) as connection:
        await log_in(connection)
        kernel = await asyncio.to_thread(connection.run, "linux", "uname -a")
        absent = await asyncio.to_thread(connection.run, "linux", "cat /etc/issue.net")

    assert (kernel.stdout, kernel.exit_status, kernel.whole) == (
        "Linux jump 6.1.0 x86_64\n",
        0,
        True,
    )
    assert (absent.stdout, absent.stderr, absent.exit_status) == ("", "cat: no such file\n", 1)
    assert heard.count("begin auditor") == 1


async def test_an_endless_output_is_cut() -> None:
    async with serving() as (port, _), connected(port) as connection:
        await log_in(connection)
        result = await asyncio.to_thread(connection.run, "linux", "who")

    assert len(result.stdout) == OUTPUT_MAX
    assert not result.whole


async def test_a_command_off_the_list_never_opens_a_channel() -> None:
    async with serving() as (port, _), connected(port) as connection:
        await log_in(connection)
        with pytest.raises(GuardRefused):
            await asyncio.to_thread(connection.run, "linux", "reboot")


async def test_a_default_credential_is_refused_in_the_read_tier() -> None:
    async with serving() as (port, heard), connected(port, Tier.READ) as connection:
        await asyncio.to_thread(connection.handshake)
        with pytest.raises(GuardRefused):
            await asyncio.to_thread(
                partial(
                    connection.auth_password,
                    "auditor",
                    Secret(PASSWORD),
                    operator=False,
                    methods=("password",),
                )
            )

    assert not any(PASSWORD in line for line in heard)


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"SSH-1.5-OldBox\r\n", BadReply),
        (b"SSH-2.0-Odd\r\n\x00\x00\x00\x0c\x04\x63abcdefghij", WireError),
        (b"", Closed),
        (b"HTTP/1.0 400 Bad Request\r\n\r\n", Closed),
    ],
)
async def test_a_server_that_talks_nonsense_is_a_wire_error(
    sent: bytes, error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await writer.drain()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(behave, "127.0.0.1", 0)
    async with server, connected(server.sockets[0].getsockname()[1]) as connection:
        with pytest.raises(error):
            await asyncio.to_thread(connection.handshake)

    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


def test_a_fingerprint_has_no_padding() -> None:
    assert fingerprint_sha256(b"abc") == "SHA256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0"


def test_control_characters_become_visible() -> None:
    assert printable("a\x1b[31m\r\n\tb\x07") == "a�[31m\r\n\tb�"
