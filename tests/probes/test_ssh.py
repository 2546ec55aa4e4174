"""SSH: identification, KEXINIT, the table of makers, and the read and login tiers at the door."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.ssh import (
    CONTROL_USER,
    GREETING_MAX,
    IDENTIFICATION,
    LOGIN_PROBE,
    METHODS_USER,
    PROBE,
    READ_PROBE,
    decode_identification,
    decode_kexinit,
    find_identification,
    identify_software,
    packet_length,
    products,
)
from scanner.errors import BadReply, Closed, Refused, Silent
from scanner.facts import (
    CredentialAttempt,
    DeviceIdentity,
    SshAuthMethods,
    SshFace,
    SshHostKey,
)
from scanner.spec import DefaultCredential, Secret
from tests.probes.ledger import Ledger

KEY = asyncssh.generate_private_key("ssh-ed25519")


def packet(payload: bytes) -> bytes:
    padding = 4 + (-(5 + len(payload) + 4)) % 8
    return (
        (1 + len(payload) + padding).to_bytes(4, "big")
        + bytes([padding])
        + payload
        + bytes(padding)
    )


def kexinit(*lists: bytes) -> bytes:
    names = [*lists, *([b""] * (10 - len(lists)))]
    body = b"".join(len(name).to_bytes(4, "big") + name for name in names)
    return packet(b"\x14" + bytes(16) + body + b"\0" + bytes(4))


SAMPLE = kexinit(
    b"curve25519-sha256,diffie-hellman-group14-sha1",
    b"ssh-ed25519,ssh-rsa",
    b"aes128-ctr",
    b"aes128-ctr,3des-cbc",
    b"hmac-sha2-256",
    b"hmac-sha1",
    b"none",
    b"none,zlib",
)

# --- codec -------------------------------------------------------------------------------------


@given(st.binary(max_size=400))
def test_any_bytes_are_an_identification_or_more_or_a_bad_reply(data: bytes) -> None:
    try:
        found = find_identification(data)
    except BadReply:
        return
    if found is not None:
        line, end = found
        assert line in data[:end]
        try:
            decode_identification(line)
        except BadReply:
            return


@given(st.binary(max_size=300))
def test_any_bytes_are_a_kexinit_or_a_bad_reply(data: bytes) -> None:
    for candidate in (data, packet(data), packet(b"\x14" + bytes(16) + data)):
        try:
            value = decode_kexinit(candidate)
        except BadReply:
            continue
        assert all(len(name) <= 64 for name in value.kex)


@given(st.integers(0, len(SAMPLE) - 1), st.binary(min_size=1, max_size=4))
def test_a_damaged_kexinit_is_read_or_a_bad_reply(at: int, damage: bytes) -> None:
    damaged = SAMPLE[:at] + damage + SAMPLE[at + len(damage) :]
    for candidate in (damaged, SAMPLE[:at]):
        try:
            decode_kexinit(candidate)
        except BadReply:
            continue


def test_lines_before_the_identification_are_allowed() -> None:
    data = b"Authorised use only\r\n\r\nSSH-2.0-OpenSSH_9.6 Debian\r\nrest"

    line, end = find_identification(data) or (b"", 0)

    assert line == b"SSH-2.0-OpenSSH_9.6 Debian"
    assert data[end:] == b"rest"


@pytest.mark.parametrize(
    "data", [b"A" * (GREETING_MAX + 2), b"A\n" * GREETING_MAX, b"SSH-" + b"A" * 300]
)
def test_an_endless_greeting_is_a_bad_reply(data: bytes) -> None:
    with pytest.raises(BadReply):
        find_identification(data)


def test_an_identification_is_taken_apart() -> None:
    identification = decode_identification(b"SSH-1.99-Cisco-1.25 with comments")

    assert identification.protocol_version == "1.99"
    assert identification.software == "Cisco-1.25"
    assert identification.comments == "with comments"


def test_control_characters_of_a_banner_are_made_visible() -> None:
    assert decode_identification(b"SSH-2.0-x\x1b[31m").line == "SSH-2.0-x�[31m"


# --- identify ----------------------------------------------------------------------------------


async def test_the_server_speaks_first_and_its_kexinit_is_not_answered(replay: Any) -> None:
    answers = {None: b"SSH-2.0-OpenSSH_9.6\r\n", IDENTIFICATION: SAMPLE}
    session = replay(PROBE, answers.__getitem__)

    facts = await PROBE.run(session)

    assert session.sent == [None, IDENTIFICATION]
    assert facts == (
        SshFace(
            banner="SSH-2.0-OpenSSH_9.6",
            protocol_version="2.0",
            software="OpenSSH_9.6",
            kex=("curve25519-sha256", "diffie-hellman-group14-sha1"),
            host_key=("ssh-ed25519", "ssh-rsa"),
            encryption=("aes128-ctr", "3des-cbc"),
            mac=("hmac-sha1", "hmac-sha2-256"),
            compression=("none", "zlib"),
        ),
    )


@pytest.mark.parametrize("early", [0, 3, 40, len(SAMPLE)])
async def test_a_kexinit_that_comes_early_is_put_together(replay: Any, early: int) -> None:
    answers = {None: b"SSH-2.0-x\r\n" + SAMPLE[:early], IDENTIFICATION: SAMPLE[early:]}
    session = replay(PROBE, answers.__getitem__)

    (face,) = await PROBE.run(session)

    assert session.sent == [None, IDENTIFICATION]
    assert face.kex == ("curve25519-sha256", "diffie-hellman-group14-sha1")


@pytest.mark.parametrize(
    "problem",
    [Closed("closed"), Silent("silent"), b"Protocol major versions differ.\n", b"\xff" * 9],
)
async def test_without_a_kexinit_the_banner_stands_and_the_lists_are_unknown(
    replay: Any, problem: bytes | Exception
) -> None:
    def answer(request: bytes | None) -> bytes:
        if request is None:
            return b"SSH-1.5-OldBox_2\r\n"
        if isinstance(problem, Exception):
            raise problem
        return problem

    (face,) = await PROBE.run(replay(PROBE, answer))

    assert (face.protocol_version, face.kex) == ("1.5", None)


async def test_a_service_that_is_not_ssh_is_a_bad_reply_and_hears_nothing(replay: Any) -> None:
    session = replay(PROBE, lambda request: b"SSH\n" * 9000)

    with pytest.raises(BadReply):
        await PROBE.run(session)
    assert session.sent == [None]


# --- real devices ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ssh__cisco_ssh_1.25", "ssh__openssh_3.4_1.99"])
async def test_recorded_servers_are_read_in_full(replay: Any, captures: Path, name: str) -> None:
    recording = json.loads((captures / f"{name}.json").read_text())
    bytes_of_server = bytes.fromhex(recording["exchanges"][0]["response_hex"])
    session = replay(PROBE, lambda request: bytes_of_server if request is None else b"")

    face, *identities = await PROBE.run(session)

    truth = recording["security_state_in_replies"]["algorithms"]
    assert face.banner == recording["facts"]["banner"]
    assert face.kex == tuple(truth["kex"])
    assert face.host_key == tuple(truth["host_key"])
    assert face.encryption == tuple(truth["enc_s2c"])
    assert face.mac == tuple(truth["mac_s2c"])
    assert face.compression == tuple(truth["comp_s2c"])
    vendors = [identity.vendor for identity in identities]
    assert vendors == ([recording["facts"]["vendor"]] if "vendor" in recording["facts"] else [])


SOLD_APART = {"Wind River"}
"""Makers of operating systems that others build into their devices: not the device's vendor."""


def test_makers_of_recorded_banners_are_found_and_none_is_wrong(captures: Path) -> None:
    items = json.loads((captures / "banners.json").read_text())["items"]
    ssh = [item for item in items if item["kind"] == "ssh_banners"]
    truth = {
        item["banner"]: item["labels"].get("hw.vendor")
        or item["labels"].get("service.vendor")
        or item["labels"].get("os.vendor")
        for item in ssh
    }

    for banner, vendor in truth.items():
        identity = identify_software(banner)
        if vendor in SOLD_APART:
            assert identity is None
        else:
            assert identity == DeviceIdentity(vendor=vendor, basis="text")


@pytest.mark.parametrize(
    "software",
    [
        "OpenSSH_9.6", "dropbear_2022.83", "RomSShell_4.62", "IPSSH-6.9.0", "libssh_0.9.6",
        "mocana", "cryptlib", "NotCisco-1.25", "Cisco-1.25x y", "",
    ],
)  # fmt: skip
def test_software_that_many_makers_ship_names_none(software: str) -> None:
    assert identify_software(software) is None


def test_every_product_of_the_table_has_a_source() -> None:
    assert all(product.source and product.vendor for product in products())


# --- read and login, through the door, against an independent server ----------------------------


class Door(asyncssh.SSHServer):
    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.plan.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        self.plan.heard.append(f"begin {username}")
        if self.plan.banner:
            self.plan.connections[-1].send_auth_banner(self.plan.banner)
        return not self.plan.open_to_all

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        self.plan.heard.append(f"password {username}")
        if self.plan.drop:
            self.plan.connections[-1].abort()
        return self.plan.anybody or (username, password) == ("admin", "westermo")


class Plan:
    def __init__(self, **how: object) -> None:
        self.heard: list[str] = []
        self.connections: list[asyncssh.SSHServerConnection] = []
        self.open_to_all = how.get("open_to_all", False)
        self.anybody = how.get("anybody", False)
        self.drop = how.get("drop", False)
        self.banner = how.get("banner", "")


@asynccontextmanager
async def serving(**how: object) -> AsyncIterator[tuple[int, Plan]]:
    plan = Plan(**how)
    acceptor = await asyncssh.create_server(
        lambda: Door(plan), "127.0.0.1", 0, server_host_keys=[KEY]
    )
    try:
        yield acceptor.get_port(), plan
    finally:
        acceptor.close()
        await acceptor.wait_closed()
        for connection in plan.connections:
            connection.abort()
            await connection.wait_closed()


async def test_identify_at_a_real_server_takes_one_connection_and_names_nobody(
    governed: Any,
) -> None:
    async with serving() as (port, plan), governed(PROBE, port) as session:
        face, *_ = await PROBE.run(session)

    assert "AsyncSSH" in face.software
    assert face.kex
    assert len(plan.connections) == 1
    assert plan.heard == []


async def test_read_tells_the_host_key_and_the_methods(governed: Any) -> None:
    async with serving(banner="Keep out") as (port, plan), governed(READ_PROBE, port) as session:
        key, methods = await READ_PROBE.run(session)
        kept = session.evidence_kept

    assert key == SshHostKey(
        algorithm="ssh-ed25519", bits=256, fingerprint_sha256=KEY.get_fingerprint("sha256")
    )
    assert isinstance(methods, SshAuthMethods)
    assert "password" in methods.methods
    assert not methods.accepts_none
    assert methods.login_banner == "Keep out"
    assert plan.heard == [f"begin {METHODS_USER}"]
    assert b"auth none walkdown" in written(kept)


def written(kept: Any) -> bytes:
    """Every byte that the evidence holds."""
    requests = [row["request"] for row in kept.intents]
    return b"|".join([*requests, *(row["reply"] for row in kept.ends.values())])


async def test_a_closed_port_is_refused(governed: Any, unused_tcp_port: int) -> None:
    async with governed(READ_PROBE, unused_tcp_port) as session:
        with pytest.raises(Refused):
            await READ_PROBE.run(session)


DEFAULT = DefaultCredential(
    id="westermo-weos-ssh",
    vendor="Westermo",
    product="WeOS",
    protocol="ssh",
    user="admin",
    secret=Secret("westermo"),
)


async def attempt(
    governed: Any, ledger: Ledger, credential: DefaultCredential = DEFAULT, **how: object
) -> tuple[tuple[Any, ...], Plan]:
    async with (
        serving(**how) as (port, plan),
        governed(LOGIN_PROBE, port, attempts=ledger, default_credentials=(credential,)) as session,
    ):
        return await LOGIN_PROBE.run(session), plan


async def test_an_accepted_default_is_checked_with_a_control(governed: Any) -> None:
    ledger = Ledger()

    (fact,), plan = await attempt(governed, ledger)

    assert isinstance(fact, CredentialAttempt)
    assert (fact.open_without_login, fact.accepted, fact.control_accepted) == (False, True, False)
    assert [account for _, account in ledger.begun] == ["admin", CONTROL_USER]
    assert ledger.ends == [("admin", True, None), (CONTROL_USER, False, None)]
    assert [line for line in plan.heard if line.startswith("password")] == [
        "password admin",
        f"password {CONTROL_USER}",
    ]


async def test_a_server_that_takes_anything_shows_in_the_control(governed: Any) -> None:
    (fact,), _ = await attempt(governed, Ledger(), anybody=True)

    assert (fact.accepted, fact.control_accepted) == (True, True)


async def test_a_refused_default_ends_it_after_one_attempt(governed: Any) -> None:
    ledger = Ledger()
    wrong = replace(DEFAULT, secret=Secret("other"))

    (fact,), plan = await attempt(governed, ledger, wrong)

    assert (fact.accepted, fact.control_accepted, fact.lockout_sign) == (False, None, None)
    assert len(plan.connections) == 1
    assert plan.heard.count("password admin") == 1


async def test_a_server_without_login_gets_no_password(governed: Any) -> None:
    ledger = Ledger()

    (fact,), plan = await attempt(governed, ledger, open_to_all=True)

    assert (fact.open_without_login, fact.withheld) == (True, "open_without_login")
    assert ledger.begun == []
    assert plan.heard == [f"begin {METHODS_USER}"]


async def test_a_full_ledger_withholds_the_password(governed: Any) -> None:
    (fact,), plan = await attempt(governed, Ledger(room=0))

    assert (fact.accepted, fact.withheld) == (None, "ledger")
    assert not any(line.startswith("password") for line in plan.heard)


async def test_a_dropped_connection_is_a_sign_of_a_lock(governed: Any) -> None:
    ledger = Ledger()
    wrong = replace(DEFAULT, secret=Secret("other"))

    (fact,), _ = await attempt(governed, ledger, wrong, drop=True)

    assert fact.lockout_sign == "connection dropped"
    assert not fact.accepted
    assert ledger.ends == [("admin", False, "connection dropped")]


async def test_a_locked_word_in_the_banner_is_a_sign_of_a_lock(governed: Any) -> None:
    ledger = Ledger()
    wrong = replace(DEFAULT, secret=Secret("other"))

    (fact,), _ = await attempt(governed, ledger, wrong, banner="This account is LOCKED")

    assert fact.lockout_sign == "locked"


async def test_no_secret_reaches_evidence_or_facts(governed: Any) -> None:
    async with (
        serving() as (port, _),
        governed(LOGIN_PROBE, port, attempts=Ledger(), default_credentials=(DEFAULT,)) as session,
    ):
        facts = await LOGIN_PROBE.run(session)
        kept = session.evidence_kept

    assert b"auth password admin" in written(kept)
    assert b"westermo" not in written(kept)
    assert "'westermo'" not in repr(facts)


def test_a_packet_length_out_of_bounds_is_a_bad_reply() -> None:
    for length in (0, 11, 35_001, 2**32 - 1):
        with pytest.raises(BadReply):
            packet_length(length.to_bytes(4, "big") + bytes(40))
