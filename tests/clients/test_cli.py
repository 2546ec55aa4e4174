"""The netmiko adapter against an IOS-like asyncssh server, over plain connected sockets."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncssh
import pytest

from scanner.clients.cli import CliConnection
from scanner.errors import GuardRefused, ToolBug, WireError
from scanner.guards import open_guard
from scanner.model import Tier
from scanner.spec import Login, Secret

KEY = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
OTHER = asyncssh.generate_private_key("ssh-ed25519")
PASSWORD = "ebb-and-flow-31"
RUNNING = "version 15.2\r\nhostname SW-1\r\nusername a secret 9 $9$topsecret\r\nend\r\n"


class Door(asyncssh.SSHServer):
    heard: list[str]
    connections: list[asyncssh.SSHServerConnection]

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        self.heard.append(f"begin {username}")
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        self.heard.append(f"password {username} {password}")
        return (username, password) == ("audit", PASSWORD)


@asynccontextmanager
async def switch(*, endless: bool = False) -> AsyncIterator[tuple[int, list[str]]]:
    """An IOS-like exec prompt that writes down every line typed."""
    heard: list[str] = []
    connections: list[asyncssh.SSHServerConnection] = []

    def door() -> Door:
        server = Door()
        server.heard, server.connections = heard, connections
        return server

    async def shell(process: asyncssh.SSHServerProcess[str]) -> None:
        process.stdout.write("\r\nSW-1#")
        try:
            async for raw in process.stdin:
                if not raw:
                    break
                line = raw.rstrip("\r\n")
                heard.append(f"line {line}")
                process.stdout.write(f"{line}\r\n")
                if line == "exit":
                    break
                if line == "show running-config":
                    process.stdout.write(RUNNING * (200_000 if endless else 1))
                process.stdout.write("SW-1#")
        except (asyncssh.Error, BrokenPipeError):
            return
        process.exit(0)

    acceptor = await asyncssh.create_server(
        door,
        "127.0.0.1",
        0,
        server_host_keys=[KEY],
        process_factory=shell,
        line_editor=False,
    )
    try:
        yield acceptor.get_port(), heard
    finally:
        acceptor.close()
        await acceptor.wait_closed()
        for connection in connections:
            connection.abort()
            await connection.wait_closed()


def judge(tier: Tier = Tier.READ) -> Callable[[bytes], None]:
    def judged(frame: bytes) -> None:
        if reason := open_guard("ssh-command").judge(frame, tier):
            raise GuardRefused(reason)

    return judged


def login(*, pinned: str | None = None, password: str = PASSWORD) -> Login:
    return Login(
        platform="cisco_ios",
        user="audit",
        secret=Secret(password),
        host_key=pinned or KEY.get_fingerprint("sha256"),
    )


@asynccontextmanager
async def session(
    port: int, who: Login, judged: Callable[[bytes], None] | None = None
) -> AsyncIterator[CliConnection]:
    sock = await asyncio.to_thread(socket.create_connection, ("127.0.0.1", port), 5)
    connection = CliConnection(sock, who, judge=judged or judge(), timeout_s=5.0)
    try:
        yield connection
    finally:
        await asyncio.to_thread(connection.close)
        sock.close()


async def test_a_command_is_typed_and_its_output_returned() -> None:
    async with switch() as (port, heard), session(port, login()) as connection:
        opened = await asyncio.to_thread(connection.open)
        output = await asyncio.to_thread(connection.run, "show running-config")

    assert opened.refused is None
    assert opened.key is not None
    assert opened.key.fingerprint_sha256 == KEY.get_fingerprint("sha256")
    assert output.split("\n")[:2] == ["version 15.2", "hostname SW-1"]
    assert output.rstrip().endswith("end")
    assert heard[:2] == ["begin audit", f"password audit {PASSWORD}"]


async def test_every_line_typed_is_on_the_list_and_in_the_transcript() -> None:
    async with switch() as (port, heard), session(port, login()) as connection:
        await asyncio.to_thread(connection.open)
        await asyncio.to_thread(connection.run, "show running-config")
        await asyncio.to_thread(connection.close)
        said = [one.typed for one in connection.said]

    typed = [line.removeprefix("line ") for line in heard if line.startswith("line ")]
    assert set(typed) == {
        "", "terminal width 511", "terminal length 0", "show running-config", "exit",
    }  # fmt: skip
    assert said == typed
    assert any("hostname SW-1" in one.heard for one in connection.said)
    assert len(typed) <= 8


async def test_another_host_key_ends_it_before_any_secret() -> None:
    wrong = login(pinned=OTHER.get_fingerprint("sha256"))
    async with switch() as (port, heard), session(port, wrong) as connection:
        opened = await asyncio.to_thread(connection.open)

    assert opened.refused == "the host key is not the pinned one"
    assert opened.key is not None
    assert opened.key.fingerprint_sha256 == KEY.get_fingerprint("sha256")
    assert heard == []


async def test_a_refused_login_is_one_attempt() -> None:
    wrong = login(password="wrong")
    async with switch() as (port, heard), session(port, wrong) as connection:
        opened = await asyncio.to_thread(connection.open)

    assert opened.refused == "the device refused the login"
    assert [line for line in heard if line.startswith("password")] == ["password audit wrong"]


@pytest.mark.parametrize("command", ["reload", "configure terminal", "show version | append x"])
async def test_a_command_off_the_list_is_never_typed(command: str) -> None:
    async with switch() as (port, heard), session(port, login()) as connection:
        await asyncio.to_thread(connection.open)
        with pytest.raises(GuardRefused):
            await asyncio.to_thread(connection.run, command)

    assert f"line {command}" not in heard


async def test_what_netmiko_types_by_itself_is_judged_too() -> None:
    def nothing_typed(frame: bytes) -> None:
        if frame.startswith(b"exec "):
            raise GuardRefused("no")

    async with switch() as (port, heard), session(port, login(), nothing_typed) as connection:
        with pytest.raises(GuardRefused):
            await asyncio.to_thread(connection.open)

    assert not [line for line in heard if line.startswith("line")]


async def test_an_endless_output_ends_in_a_wire_error() -> None:
    async with switch(endless=True) as (port, _), session(port, login()) as connection:
        await asyncio.to_thread(connection.open)
        with pytest.raises(WireError):
            await asyncio.to_thread(connection.run, "show running-config")


async def test_no_secret_reaches_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with switch() as (port, _), session(port, login()) as connection:
        await asyncio.to_thread(connection.open)
        await asyncio.to_thread(connection.run, "show running-config")

    ours = [r.getMessage() for r in caplog.records if not r.name.startswith("asyncssh")]
    assert not any(PASSWORD in text or "topsecret" in text for text in ours)


def test_an_unknown_platform_is_a_tool_bug() -> None:
    ours, theirs = socket.socketpair()
    odd = Login(platform="toaster", user="a", secret=Secret("b"), host_key="SHA256:x")
    with ours, theirs, pytest.raises(ToolBug):
        CliConnection(ours, odd, judge=judge())
