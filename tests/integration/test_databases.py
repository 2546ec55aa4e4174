"""Servers that other people wrote, asked by the probes of databases, directories and supplies."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from probes import ipmi, ldap, nut, postgres, redis
from scanner.facts import DeviceIdentity, ServiceAccess
from tests.conftest import missing, postgres_program, unprivileged

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

SERVERS = {
    "postgres": "PostgreSQL",
    "redis": "Redis",
    "ldap": "OpenLDAP",
    "nut": "Network UPS Tools",
    "ipmi": "pyghmi",
}
"""By probe: what the tests start (for docs/protocols.md)."""

LOOPBACK = "127.0.0.1"


def program(name: str, package: str) -> str:
    """From where Debian keeps it: /sbin/upsd is a script that looks at /etc/nut first."""
    found = shutil.which(name, path=f"/lib/nut:{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        missing(f"no {name} on this machine: install Debian's package {package}")
    return str(found)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind((LOOPBACK, 0))
        return int(sock.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until somebody listens. The connection that finds out is none of the probe's."""
    ends = time.monotonic() + 20
    while time.monotonic() < ends:
        assert process.poll() is None, "the server ended by itself"
        with socket.socket() as sock:
            if sock.connect_ex((LOOPBACK, port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"nobody listens on port {port}")


@contextmanager
def running(words: list[str], **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(words, stdin=nothing, stdout=nothing, stderr=nothing, **more)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def ask(governed: Callable[..., Any], probe: Any, port: int, **grant: Any) -> tuple[Any, ...]:
    async def _ask() -> tuple[Any, ...]:
        async with governed(probe, port, **grant) as session:
            facts = await probe.run(session)
            await session.finish()
            return tuple(facts)

    return asyncio.run(_ask())


# --- PostgreSQL --------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True])
def test_postgresql_says_whether_it_has_tls(governed: Any, tmp_path: Path, tls: bool) -> None:
    initdb, server = postgres_program("initdb"), postgres_program("postgres")
    if initdb is None or server is None:
        missing("no PostgreSQL programs on this machine: install Debian's package postgresql")
    prefix, uid = unprivileged()
    home = Path(subprocess.check_output(["mktemp", "-d", "-t", "wd-db-XXXXXX"], text=True).strip())
    try:
        os.chown(home, uid, -1)
        data = home / "data"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "check": True}
        words = [*prefix, str(initdb), "-A", "trust", "-U", "walkdown", "--locale=C", "--no-sync"]
        subprocess.run([*words, "-D", str(data)], cwd=home, **quiet)
        options: list[str] = []
        if tls:
            key, certificate = data / "server.key", data / "server.crt"
            subprocess.run(
                [program("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                 "-subj", "/CN=db", "-keyout", str(key), "-out", str(certificate)],
                **quiet,
            )  # fmt: skip
            for file in (key, certificate):
                os.chown(file, uid, -1)
                file.chmod(0o600)
            options = ["-c", "ssl=on"]
        port = free_port()
        words = [*prefix, str(server), "-D", str(data), "-h", LOOPBACK, "-p", str(port)]
        words += ["-k", str(home), "-c", "fsync=off", "-c", "log_connections=on", *options]
        with (home / "log").open("wb") as log, ExitStack() as stack:
            process = subprocess.Popen(words, stdout=log, stderr=log, cwd=home)
            stack.callback(process.wait, 20)
            stack.callback(process.terminate)
            wait_for(port, process)

            (access,) = ask(governed, postgres.PROBE, port)
        said = (home / "log").read_text()
    finally:
        shutil.rmtree(home, ignore_errors=True)

    assert access.details == (("tls", "offered" if tls else "not offered"),)
    assert access.encrypted is (None if tls else False)
    assert "FATAL" not in said.replace("the database system is starting up", "")
    assert "authenticat" not in said


# --- Redis -------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", [None, "never-tried"])
def test_redis_says_whether_it_wants_a_password(
    governed: Any, tmp_path: Path, password: str | None
) -> None:
    port = free_port()
    words = [program("redis-server", "redis-server"), "--port", str(port), "--bind", LOOPBACK]
    words += ["--save", "", "--dir", str(tmp_path)]
    if password is not None:
        words += ["--requirepass", password]
    with running(words) as process:
        wait_for(port, process)
        (access,) = ask(governed, redis.PROBE, port)
        told = ask(governed, redis.READ_PROBE, port, known=(access,))

    assert access.answers_without_login is (password is None)
    if password is None:
        assert told[0].version
        assert dict(told[0].details)["redis_mode"] == "standalone"
    else:
        assert told == ()


# --- LDAP --------------------------------------------------------------------------------------

SLAPD = """
include /etc/ldap/schema/core.schema
modulepath /usr/lib/ldap
moduleload back_ldif
pidfile {home}/pid
database ldif
suffix "dc=plant,dc=example"
directory {home}
"""


@pytest.mark.parametrize("login", [False, True])
def test_openldap_tells_its_root_dse_or_is_unwilling(
    governed: Any, tmp_path: Path, login: bool
) -> None:
    slapd = program("slapd", "slapd")
    port = free_port()
    config = tmp_path / "slapd.conf"
    config.write_text(("require authc\n" if login else "") + SLAPD.format(home=tmp_path))
    words = [slapd, "-f", str(config), "-h", f"ldap://{LOOPBACK}:{port}", "-d", "0"]
    with running(words) as process:
        wait_for(port, process)
        (access,) = ask(governed, ldap.PROBE, port)

    if login:  # unwilling for whatever reason: that is not said to be for want of a login
        assert access.answers_without_login is None
        assert access.details == (("result", "unwillingToPerform"),)
    else:
        assert access.answers_without_login is True
        assert dict(access.details)["supportedLDAPVersion"] == "3"


# --- Network UPS Tools -------------------------------------------------------------------------


def test_upsd_tells_its_version_and_its_supplies(governed: Any, tmp_path: Path) -> None:
    """Its driver dummy-ups plays a supply from a file."""
    upsd, driver = program("upsd", "nut-server"), program("dummy-ups", "nut-server")
    port = free_port()
    (tmp_path / "rack.dev").write_text(
        "ups.mfr: EATON\nups.model: 5PX 1500\nups.serial: G118K09012\n"
        "ups.firmware: 02.08.0010\nups.status: OL\n"
    )
    (tmp_path / "ups.conf").write_text(
        f"[rack1]\ndriver = dummy-ups\nport = {tmp_path}/rack.dev\ndesc = Rack\n"
    )
    (tmp_path / "upsd.conf").write_text(f"LISTEN {LOOPBACK} {port}\n")
    (tmp_path / "upsd.users").write_text("")
    for file in tmp_path.iterdir():
        file.chmod(0o600)
    places = {"NUT_CONFPATH": str(tmp_path), "NUT_STATEPATH": str(tmp_path)}
    more = {"env": {**os.environ, **places, "NUT_ALTPIDPATH": str(tmp_path)}, "cwd": tmp_path}
    user = ["-u", "root"] if os.geteuid() == 0 else []
    with (
        running([driver, "-a", "rack1", "-F", *user], **more),
        running([upsd, "-F", *user], **more) as process,
    ):
        wait_for(port, process)
        (access,) = ask(governed, nut.PROBE, port)
        supplies: tuple[Any, ...] = ()
        ends = time.monotonic() + 20
        while not supplies and time.monotonic() < ends:  # upsd finds its driver within seconds
            supplies = ask(governed, nut.READ_PROBE, port, known=(access,))
            time.sleep(0 if supplies else 1)

    assert isinstance(access, ServiceAccess)
    assert access.version
    assert supplies == (
        DeviceIdentity(
            sub_address="ups rack1",
            vendor="EATON",
            model="5PX 1500",
            serial="G118K09012",
            firmware="02.08.0010",
            name="rack1",
            device_class="ups",
        ),
    )


# --- IPMI --------------------------------------------------------------------------------------

CONTROLLER = """
import sys
from pyghmi.ipmi.bmc import Bmc
controller = Bmc({"admin": "never-tried"}, port=int(sys.argv[1]), address="127.0.0.1")
print("listening", flush=True)
controller.listen()
"""
"""A controller of IPMI 2.0 alone: no login of 1.5, no user without a name, KG all zero."""


def test_a_controller_of_pyghmi_tells_its_logins(governed: Any) -> None:
    if find_spec("pyghmi") is None:
        missing("no pyghmi in this environment: it is one of the development dependencies")
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", CONTROLLER, str(port)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"listening\n"
        (access,) = ask(governed, ipmi.PROBE, port)
    finally:
        process.kill()
        process.communicate(timeout=20)

    assert (access.version, access.authentication) == ("2.0", ())
    assert dict(access.details)["KG"] == "default"
    assert dict(access.details)["anonymous login"] == "disabled"
