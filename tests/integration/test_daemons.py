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
from pathlib import Path
from typing import Any

import pytest

from probes import smb
from scanner.facts import DeviceIdentity, ServiceAccess, SmbFace
from tests.conftest import missing

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

SERVERS: Mapping[str, str | tuple[str, ...]] = {"smb": "samba (Debian)"}

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
