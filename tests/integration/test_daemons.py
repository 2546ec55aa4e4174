"""
Probes against the servers that plants run: Debian's own, on loopback, for the time of a test.

Each needs its Debian package (.ci/run installs them all); without it a test is skipped with its
name, and fails in CI.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from probes import ftp, mqtt, ntp, rdp, smb, tftp, vnc
from scanner.errors import Silent
from scanner.facts import DeviceIdentity, RdpFace, ServiceAccess, SmbFace, VncFace
from tests.conftest import missing
from tests.probes.ledger import Ledger

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

SERVERS: Mapping[str, str | tuple[str, ...]] = {
    "smb": "samba (Debian)", "tftp": "tftpd-hpa (Debian)",
}  # fmt: skip

Governed = Callable[..., Any]
STARTS_S = 15.0


def program(name: str, package: str) -> str:
    """Its path; skips (in CI: fails) with the name of the package that it comes from."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    return found or missing(f"{name} is not installed: it is in Debian's package {package}")


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody does, as the kernel tells it: nothing is sent."""
    wanted = f":{port:04X}"
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[1].endswith(wanted) and words[3] in ("0A", "07"):
                return True
    return False


@contextmanager
def running(*words: object, port: int, folder: Path) -> Iterator[None]:
    """The command until the block ends; it starts when it listens on `port`."""
    log = folder / "daemon.log"
    with log.open("wb") as out:
        # A group of its own: smbd ends its whole group when it is told to end.
        process = subprocess.Popen(
            [str(word) for word in words], stdout=out, stderr=out, start_new_session=True
        )
    try:
        until = time.monotonic() + STARTS_S
        while not listens(port):
            if process.poll() is not None or time.monotonic() > until:
                pytest.fail(f"{words[0]} does not listen on {port}:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, for the sockets in it, and open to servers that give up their rights."""
    path = Path(tempfile.mkdtemp(prefix="wd-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


async def told(governed: Governed, probe: Any, port: int, **grant: Any) -> tuple[Any, ...]:
    async with governed(probe, port, **grant) as session:
        facts: tuple[Any, ...] = await probe.run(session)
        assert not session.device.health.signs
        return facts


# --- TigerVNC ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("types", "seen"),
    [
        ("None", ("None",)),
        ("VncAuth", ("VNC Authentication",)),
        ("None,VncAuth", ("None", "VNC Authentication")),
        ("TLSVnc", ("VeNCrypt",)),
    ],
)
async def test_tigervnc_tells_its_security_types(
    governed: Governed, folder: Path, types: str, seen: tuple[str, ...]
) -> None:
    server, port = program("Xtigervnc", "tigervnc-standalone-server"), free_port()
    words = (
        server, f":{port - 1000}", "-rfbport", port, "-localhost", "-nolisten", "tcp",
        "-SecurityTypes", types, "-PasswordFile", folder / "password",
    )  # fmt: skip
    with running(*words, port=port, folder=folder):
        assert await told(governed, vnc.PROBE, port) == (
            VncFace(version="003.008", security_types=seen),
        )


# --- xrdp --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("layer", "taken"), [("negotiate", "tls"), ("rdp", "rdp")])
async def test_xrdp_tells_that_it_asks_nobody_first(
    governed: Governed, folder: Path, layer: str, taken: str
) -> None:
    server, port, home = program("xrdp", "xrdp"), free_port(), Path("/etc/xrdp")
    if not os.access(home / "key.pem", os.R_OK):
        missing("the key of Debian's package xrdp is for root and ssl-cert alone")
    configuration = folder / "xrdp.ini"
    lines = (
        "[Globals]", "ini_version=1", "fork=false", f"port=tcp://127.0.0.1:{port}",
        f"security_layer={layer}", f"certificate={home}/cert.pem", f"key_file={home}/key.pem",
        "[Logging]", f"LogFile={folder}/xrdp.log", "EnableSyslog=false",
    )  # fmt: skip
    configuration.write_text("\n".join(lines))
    with running(server, "-n", "-c", configuration, port=port, folder=folder):
        assert await told(governed, rdp.PROBE, port) == (
            RdpFace(protocols=(taken,), needs_nla=False),
        )


# --- Samba -------------------------------------------------------------------------------------


def samba(folder: Path, port: int, *settings: str) -> Path:
    for name in ("private", "lock", "state", "cache", "pid", "ncalrpc"):
        (folder / name).mkdir()
    lines = [
        "[global]", "workgroup = QUAYSIDE", "netbios name = FILESRV", f"smb ports = {port}",
        "interfaces = lo", "bind interfaces only = yes", "disable netbios = yes",
        *(f"{key} = {folder}/{key.split()[0]}" for key in (
            "lock directory", "state directory", "cache directory", "pid directory",
            "ncalrpc dir")),
        f"private dir = {folder}/private", f"log file = {folder}/log", "load printers = no",
        *settings,
    ]  # fmt: skip
    (folder / "smb.conf").write_text("\n".join(lines))
    return folder / "smb.conf"


@pytest.mark.parametrize(
    ("settings", "face"),
    [
        (
            ("server min protocol = NT1",),
            SmbFace(
                dialects=("3.1.1", "NT LM 0.12"), smb1=True, signing_required=False,
                signing_enabled=True,
            ),
        ),
        (
            ("server min protocol = SMB2_02", "server signing = mandatory"),
            SmbFace(
                dialects=("3.1.1",), smb1=False, signing_required=True, signing_enabled=True
            ),
        ),
        (
            ("server min protocol = NT1", "server max protocol = NT1"),
            SmbFace(
                dialects=("NT LM 0.12",), smb1=True, signing_required=False,
                signing_enabled=False,
            ),
        ),
    ],
)  # fmt: skip
async def test_samba_tells_its_dialects_and_its_name(
    governed: Governed, folder: Path, settings: tuple[str, ...], face: SmbFace
) -> None:
    smbd, port = program("smbd", "samba"), free_port()
    configuration = samba(folder, port, *settings)
    words = (smbd, "-F", "--no-process-group", "-s", configuration)
    with running(*words, port=port, folder=folder):
        assert await told(governed, smb.PROBE, port) == (face,)
        access, identity = await told(governed, smb.READ_PROBE, port, known=(face,))

    assert isinstance(access, ServiceAccess)
    assert dict(access.details)["NetBIOS domain"] == "FILESRV"  # a stand-alone server is its own
    assert identity == DeviceIdentity(name="FILESRV")


# --- vsftpd ------------------------------------------------------------------------------------


@pytest.mark.parametrize("open_to_all", [True, False])
async def test_vsftpd_tells_whether_anybody_may_come_in(
    governed: Governed, folder: Path, open_to_all: bool
) -> None:
    server, port = program("vsftpd", "vsftpd"), free_port()
    (folder / "empty").mkdir()
    settings = {
        "listen": "YES", "listen_address": "127.0.0.1", "listen_port": port, "background": "NO",
        "anonymous_enable": "YES" if open_to_all else "NO", "local_enable": "YES",
        "secure_chroot_dir": folder / "empty", "anon_root": folder / "empty",
        "ftpd_banner": "Logger ready.", "run_as_launching_user": "NO", "seccomp_sandbox": "NO",
    }  # fmt: skip
    configuration = folder / "vsftpd.conf"
    configuration.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    with running(server, configuration, port=port, folder=folder):
        (greeted,) = await told(governed, ftp.PROBE, port)
        (features,) = await told(governed, ftp.READ_PROBE, port)
        ledger = Ledger()
        (access,) = await told(governed, ftp.LOGIN_PROBE, port, attempts=ledger)

    assert greeted.details == (("greeting", "Logger ready."),)
    assert features.authentication == ("USER",)
    assert access.answers_without_login is open_to_all
    assert ledger.ends == [("anonymous", open_to_all, None)]


# --- chrony ------------------------------------------------------------------------------------


async def test_chrony_tells_its_stratum_and_answers_no_control_message(
    governed: Governed, folder: Path
) -> None:
    server, port = program("chronyd", "chrony"), free_port(socket.SOCK_DGRAM)
    configuration = folder / "chrony.conf"
    lines = (
        f"port {port}", "bindaddress 127.0.0.1", "allow 127.0.0.0/8", "local stratum 5",
        "cmdport 0", "bindcmdaddress /", f"pidfile {folder}/chrony.pid", "user root",
    )  # fmt: skip
    configuration.write_text("\n".join(lines))
    with running(server, "-d", "-x", "-U", "-f", configuration, port=port, folder=folder):
        (access,) = await told(governed, ntp.PROBE, port)
        with pytest.raises(Silent):
            await told(governed, ntp.READ_PROBE, port)

    assert dict(access.details)["stratum"] == "5"
    assert access.answers_without_login


# --- tftpd-hpa ---------------------------------------------------------------------------------


@contextmanager
def tftpd(folder: Path, port: int) -> Iterator[None]:
    """It gives up root for the user nobody, and serves `folder`/files."""
    server = program("in.tftpd", "tftpd-hpa")
    if os.geteuid() != 0:
        pytest.skip("in.tftpd gives root up, and so needs it first")
    (folder / "files").mkdir(exist_ok=True)
    words = (
        server, "--foreground", "--listen", "--user", "nobody", "--address", f"127.0.0.1:{port}",
        "--secure", folder / "files",
    )  # fmt: skip
    with running(*words, port=port, folder=folder):
        yield


async def test_tftpd_tells_that_it_is_there_from_another_port(
    governed: Governed, folder: Path
) -> None:
    port = free_port(socket.SOCK_DGRAM)
    with tftpd(folder, port):
        (access,) = await told(governed, tftp.PROBE, port)
        with pytest.raises(Silent):  # who only listens to the port that was asked
            await told(governed, replace(tftp.PROBE, answers_from_any_port=False), port)

    assert access == ServiceAccess(
        protocol="tftp", answers_without_login=True, encrypted=False,
        details=(("error", "1"), ("message", "File not found")),
    )  # fmt: skip


async def test_of_a_file_that_tftpd_sends_all_the_same_nothing_is_kept(
    governed: Governed, folder: Path
) -> None:
    port = free_port(socket.SOCK_DGRAM)
    with tftpd(folder, port):
        there = folder / "files" / tftp.FILE
        there.write_text("a secret of the plant")
        there.chmod(0o644)
        async with governed(tftp.PROBE, port) as session:
            (access,) = await tftp.PROBE.run(session)

    assert access.answers_without_login
    assert [name for name, _ in access.details] == ["file"]
    (end,) = session.evidence_kept.ends.values()
    assert end["reply"] == b"\0\3\0\1"
    assert end["wire_in"] > len(b"\0\3\0\1")
    assert session.device.figures.packets == 1


# --- Mosquitto ---------------------------------------------------------------------------------


@pytest.mark.parametrize("open_to_all", [True, False])
async def test_mosquitto_tells_whether_anybody_may_come_in(
    governed: Governed, folder: Path, open_to_all: bool
) -> None:
    server, port = program("mosquitto", "mosquitto"), free_port()
    configuration = folder / "mosquitto.conf"
    allowed = "true" if open_to_all else "false"
    configuration.write_text(f"listener {port} 127.0.0.1\nallow_anonymous {allowed}\n")
    ledger = Ledger()
    with running(server, "-c", configuration, port=port, folder=folder):
        (access,) = await told(governed, mqtt.LOGIN_PROBE, port, attempts=ledger)

    assert access.answers_without_login is open_to_all
    assert access.details == (("CONNACK", "0" if open_to_all else "5"),)
    assert ledger.ends == [("anonymous", open_to_all, None)]
