"""Reading configuration through the door: pinned key first, listed commands only, nothing leaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncssh
import pytest

from probes.sshconfig import LINUX_COMMANDS, PROBE, fingerprinter, usable
from scanner.clients.ssh import CommandResult
from scanner.errors import WireError
from scanner.facts import (
    Account,
    DeviceIdentity,
    DeviceSettings,
    Fact,
    LoginUnavailable,
    OpenSession,
    RunningConfiguration,
    SshAuthMethods,
    SshHostKey,
)
from scanner.importers.linux import ABSENT
from scanner.spec import Login, Secret
from tests.probes.ledger import Ledger

KEY = asyncssh.generate_private_key("ssh-ed25519")
OTHER = asyncssh.generate_private_key("ssh-ed25519")
PASSWORD = "spring-tide-77"

VERSION = """\
Cisco IOS Software, IE2000 Software (IE2000-UNIVERSALK9-M), Version 15.2(7)E2, RELEASE SOFTWARE
SW-1 uptime is 3 weeks
Processor board ID FDO1833V0AB
Model number                    : IE-2000-8TC-G-E
"""
RUNNING = """\
Building configuration...

Current configuration : 1893 bytes
!
version 15.2
hostname SW-1
username audit privilege 15 secret 9 $9$hashhashhash
username shift password 0 clear-text-word
snmp-server community plantwide RO
line vty 0 4
 exec-timeout 10 0
 login local
 transport input ssh
end
"""
IOS = {
    "show version": VERSION,
    "show running-config": RUNNING,
    "show users": "*  1 vty 0     audit      idle                 00:00:00 192.0.2.7\n",
    "show ntp status": "%NTP is not enabled.\n",
}
SECRETS = ("$9$hashhashhash", "clear-text-word", "plantwide", PASSWORD)
FILES = {
    "uname -a": "Linux jump01 6.1.0 x86_64 GNU/Linux\n",
    "getent passwd": "root:x:0:0:root:/root:/bin/bash\naudit:x:998:998::/home/audit:/bin/bash\n",
    "getent group": "sudo:x:27:\n",
    "who": "audit pts/0 2026-11-20 21:14 (192.0.2.12)\n",
    "cat /etc/ssh/sshd_config": "Port 22\nBanner /etc/issue.net\n",
    "cat /etc/issue.net": "Keep out\n",
    "cat /etc/rsyslog.conf": "*.* @@192.0.2.13\nRELAY_PASSWORD=clear-text-word\n",
    "cat /etc/profile": "TMOUT=600\n",
    "timedatectl show": "NTPSynchronized=yes\n",
    "ss -ltnuH": "tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:*\n",
}


class Door(asyncssh.SSHServer):
    def __init__(self, device: Device) -> None:
        self.device = device

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.device.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        self.device.heard.append(f"begin {username}")
        return True

    def password_auth_supported(self) -> bool:
        return not self.device.interactive

    def validate_password(self, username: str, password: str) -> bool:
        self.device.heard.append(f"password {username} {password}")
        return (username, password) == ("audit", PASSWORD)

    def kbdint_auth_supported(self) -> bool:
        return self.device.interactive

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> object:
        return "", "", "", [("Password: ", False)]

    def validate_kbdint_response(self, username: str, responses: list[str]) -> object:
        self.device.heard.append(f"password {username} {responses[0]}")
        return responses == [PASSWORD]


class Device:
    """Linux and IOS at once: exec requests are answered like a host, a shell like a switch."""

    def __init__(self, *, interactive: bool = False, dies_at: str | None = None) -> None:
        self.interactive = interactive
        self.dies_at = dies_at
        self.heard: list[str] = []
        self.connections: list[asyncssh.SSHServerConnection] = []
        self.port = 0

    async def process(self, process: asyncssh.SSHServerProcess[str]) -> None:
        if process.command:
            self.exec(process, process.command)
            return
        process.stdout.write("\r\nSW-1#")
        async for raw in process.stdin:
            line = raw.rstrip("\r\n")
            if raw:
                self.heard.append(line)
            process.stdout.write(f"{line}\r\n")
            if line == "exit" or not raw:
                break
            process.stdout.write(IOS.get(line, "").replace("\n", "\r\n") + "SW-1#")
        process.exit(0)

    def exec(self, process: asyncssh.SSHServerProcess[str], command: str) -> None:
        self.heard.append(command)
        if command == self.dies_at:
            self.connections[-1].abort()
        elif command in FILES:
            process.stdout.write(FILES[command])
            process.exit(0)
        else:
            process.stderr.write(f"{command}: No such file or directory\n")
            process.exit(1)


@asynccontextmanager
async def serving(**how: Any) -> AsyncIterator[Device]:
    device = Device(**how)
    acceptor = await asyncssh.create_server(
        lambda: Door(device),
        "127.0.0.1",
        0,
        server_host_keys=[KEY],
        process_factory=device.process,
        line_editor=False,
    )
    device.port = acceptor.get_port()
    try:
        yield device
    finally:
        acceptor.close()
        await acceptor.wait_closed()
        for connection in device.connections:
            connection.abort()
            await connection.wait_closed()


def login(platform: str, *, password: str = PASSWORD, pinned: object = KEY) -> Login:
    return Login(
        platform=platform,
        user="audit",
        secret=Secret(password),
        host_key=pinned.get_fingerprint("sha256"),  # type: ignore[attr-defined]
    )


async def read(
    governed: Any,
    device: Device,
    who: Login,
    ledger: Ledger | None = None,
    known: tuple[Fact, ...] = (),
) -> tuple[dict[type, list[Any]], bytes, Any]:
    """(facts by type, every byte of the evidence, the session)."""
    ledger = ledger or Ledger()
    async with governed(PROBE, device.port, login=who, attempts=ledger, known=known) as session:
        facts = await PROBE.run(session)
    kept = session.evidence_kept
    rows = [row["request"] for row in kept.intents] + [row["reply"] for row in kept.ends.values()]
    by_type: dict[type, list[Any]] = {}
    for fact in facts:
        by_type.setdefault(type(fact), []).append(fact)
    return by_type, b"|".join(rows), session


# --- IOS ---------------------------------------------------------------------------------------


async def test_a_switch_is_read_through_netmiko(governed: Any) -> None:
    async with serving() as device:
        facts, _, _ = await read(governed, device, login("cisco_ios"))

    (identity,) = facts[DeviceIdentity]
    (settings,) = facts[DeviceSettings]
    assert (identity.vendor, identity.model, identity.firmware, identity.name) == (
        "Cisco",
        "IE-2000-8TC-G-E",
        "15.2(7)E2",
        "SW-1",
    )
    assert settings.session_timeout_s == 600
    assert settings.authentication == ("local",)
    assert settings.time_synchronised is False
    assert [account.name for account in facts[Account]] == ["audit", "shift"]
    assert facts[OpenSession] == [OpenSession(account="audit", origin="192.0.2.7", line="vty 0")]
    assert facts[RunningConfiguration][0].lines == 10
    assert facts[SshHostKey][0].fingerprint_sha256 == KEY.get_fingerprint("sha256")


async def test_the_switch_saw_one_connection_one_login_and_listed_lines(governed: Any) -> None:
    async with serving() as device:
        await read(governed, device, login("cisco_ios"))

    assert len(device.connections) == 1
    assert device.heard[:2] == ["begin audit", f"password audit {PASSWORD}"]
    assert set(device.heard[2:]) == {
        "", "terminal width 511", "terminal length 0", "show version", "show running-config",
        "show users", "show ntp status", "exit",
    }  # fmt: skip


async def test_no_secret_of_a_switch_is_kept(governed: Any) -> None:
    async with serving() as device:
        facts, evidence, _ = await read(governed, device, login("cisco_ios"))

    assert b"username audit privilege 15 secret 9 <secret:" in evidence
    for secret in SECRETS:
        assert secret.encode() not in evidence
        assert secret not in repr(facts)


async def test_fingerprints_are_keyed_by_the_site(governed: Any) -> None:
    async with serving() as device:
        facts, _, _ = await read(governed, device, login("cisco_ios"))

    (settings,) = facts[DeviceSettings]
    assert settings.community_fingerprints == (fingerprinter(bytes(32))("plantwide"),)
    assert fingerprinter(bytes(32))("plantwide") != fingerprinter(b"k" * 32)("plantwide")
    assert len(fingerprinter(bytes(32))("")) == 32


# --- Linux -------------------------------------------------------------------------------------


async def test_a_linux_host_is_read_command_by_command(governed: Any) -> None:
    async with serving() as device:
        facts, evidence, _ = await read(governed, device, login("linux"))

    assert device.heard == ["begin audit", f"password audit {PASSWORD}", *LINUX_COMMANDS]
    assert len(device.connections) == 1
    (settings,) = facts[DeviceSettings]
    assert settings.session_timeout_s == 600
    assert settings.login_banner is True
    assert settings.log_targets == ("192.0.2.13",)
    assert settings.time_servers == ()
    assert settings.listening == ("tcp/22",)
    assert facts[DeviceIdentity] == [DeviceIdentity(name="jump01")]
    assert [account.name for account in facts[Account]] == ["root", "audit"]
    for secret in SECRETS:
        assert secret.encode() not in evidence
        assert secret not in repr(facts)


async def test_keyboard_interactive_gets_the_password_once(governed: Any) -> None:
    offered = SshAuthMethods(methods=("keyboard-interactive",), accepts_none=False)
    async with serving(interactive=True) as device:
        facts, _, _ = await read(governed, device, login("linux"), known=(offered,))

    assert DeviceSettings in facts
    assert device.heard.count(f"password audit {PASSWORD}") == 1


async def test_the_secret_leaves_once_also_where_another_method_is_offered_then(
    governed: Any,
) -> None:
    ledger = Ledger()
    async with serving(interactive=True) as device:
        facts, _, _ = await read(governed, device, login("linux"), ledger)

    assert DeviceSettings not in facts
    assert sum(PASSWORD in line for line in device.heard) <= 1
    assert [what for what, _, _ in ledger.told] == ["begin", "leaves", "ended"]


async def test_a_host_that_dies_in_between_keeps_what_was_read(governed: Any) -> None:
    async with serving(dies_at="cat /etc/ssh/sshd_config") as device:
        facts, _, _ = await read(governed, device, login("linux"))

    assert [account.name for account in facts[Account]] == ["root", "audit"]
    (settings,) = facts[DeviceSettings]
    assert settings == DeviceSettings(platform="linux")


# --- pinned key, refused login, unknown platform -------------------------------------------------


@pytest.mark.parametrize("platform", ["linux", "cisco_ios"])
async def test_a_rogue_server_gets_neither_name_nor_password(governed: Any, platform: str) -> None:
    async with serving() as device:
        facts, evidence, _ = await read(governed, device, login(platform, pinned=OTHER))

    assert device.heard == []
    (unavailable,) = facts[LoginUnavailable]
    assert "no secret was sent" in unavailable.reason
    assert KEY.get_fingerprint("sha256") in unavailable.reason
    assert PASSWORD.encode() not in evidence
    assert set(facts) == {LoginUnavailable, SshHostKey}


@pytest.mark.parametrize("platform", ["linux", "cisco_ios"])
async def test_a_refused_login_is_tried_once_and_told(governed: Any, platform: str) -> None:
    async with serving() as device:
        facts, _, _ = await read(governed, device, login(platform, password="wrong"))

    assert device.heard.count("password audit wrong") == 1
    (unavailable,) = facts[LoginUnavailable]
    assert unavailable == LoginUnavailable(service="ssh", reason="the device refused the login")


@pytest.mark.parametrize("platform", ["linux", "cisco_ios"])
@pytest.mark.parametrize(
    ("password", "pinned", "told"),
    [
        (PASSWORD, None, [("begin", None), ("leaves", None), ("ended", True)]),
        ("wrong", None, [("begin", None), ("leaves", None), ("ended", False)]),
        (PASSWORD, OTHER, [("begin", None), ("not made", None)]),
    ],
)
async def test_the_operator_s_own_login_counts_in_the_ledger(
    governed: Any, platform: str, password: str, pinned: str | None, told: list[Any]
) -> None:
    ledger = Ledger()
    who = login(platform, password=password, **({"pinned": pinned} if pinned else {}))
    async with serving() as device:
        await read(governed, device, who, ledger)

    # A library that trusts and signs in in one step tells only afterwards that it did not.
    said = [(what, how) for what, _, how in ledger.told if what != "leaves" or not pinned]
    assert said == told
    assert {account for _, account, _ in ledger.told} <= {"audit"}


@pytest.mark.parametrize("platform", ["linux", "cisco_ios"])
async def test_who_never_showed_a_key_costs_the_operator_no_attempt(
    governed: Any, platform: str
) -> None:
    """Else a few strangers could use up the attempts that the true hosts need."""

    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-1.5-1.2.27\r\n")
        await reader.read(100)
        writer.close()

    ledger = Ledger()
    server = await asyncio.start_server(old, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(WireError):
        async with governed(PROBE, port, login=login(platform), attempts=ledger) as session:
            await PROBE.run(session)
    server.close()
    await server.wait_closed()

    told = [what for what, _, _ in ledger.told if what != "leaves"]
    assert told == ["begin", "not made"]


@pytest.mark.parametrize("platform", ["linux", "cisco_ios"])
async def test_without_room_in_the_ledger_no_login_is_tried(governed: Any, platform: str) -> None:
    ledger = Ledger(room=0)
    async with serving() as device:
        facts, _, _ = await read(governed, device, login(platform), ledger)

    assert not any(line.startswith("password") for line in device.heard)
    (unavailable,) = facts[LoginUnavailable]
    assert "could lock it" in unavailable.reason
    assert ledger.told == [("begin", "audit", None)]


@pytest.mark.parametrize("platform", ["linux", "cisco_ios"])
async def test_the_spacing_of_attempts_is_waited_for_before_the_connection(
    governed: Any, platform: str
) -> None:
    """A device closes a connection that says nothing, and its seat is somebody's seat."""
    held: list[int] = []

    class Waits(Ledger):
        async def begin(self, service: str, account: str) -> str | None:
            held.append(len(device.connections))
            return await super().begin(service, account)

    async with serving() as device:
        await read(governed, device, login(platform), Waits())

    assert held == [0]
    assert len(device.connections) == 1


async def test_an_unknown_platform_is_told_without_a_connection(governed: Any) -> None:
    async with serving() as device:
        facts, _, _ = await read(governed, device, login("hirschmann_hios"))

    assert device.connections == []
    (unavailable,) = facts[LoginUnavailable]
    assert "hirschmann_hios" in unavailable.reason


async def test_without_a_login_nothing_is_asked(replay: Any) -> None:
    session = replay(PROBE, lambda request: b"")

    assert await PROBE.run(session) == ()
    assert session.sent == []


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"stdout": "x", "exit_status": 0}, "x"),
        ({"stdout": "x", "exit_status": None}, None),
        ({"stdout": "x", "exit_status": 1}, None),
        ({"stderr": "cat: /x: No such file or directory", "exit_status": 1}, ABSENT),
        ({"stderr": "cat: /x: Permission denied", "exit_status": 1}, None),
        ({"stdout": "x", "exit_status": 0, "whole": False}, None),
    ],
)
def test_an_output_is_used_only_when_it_tells_something(
    result: dict[str, Any], expected: str | None
) -> None:
    values = {"command": "c", "stdout": "", "stderr": "", "whole": True, **result}

    assert usable(CommandResult(**values)) == expected
