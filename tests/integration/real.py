"""
Servers of other people as processes of a test, and one `walkdown scan` that asks them.

A daemon stays in the foreground with a folder and a configuration of its own, listens on the test's
loopback addresses only, and is waited for when it ends. What it needs is in a Debian package
(`.ci/run` installs them all): without it a test is skipped with the package's name, and in CI it
fails.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import missing
from tests.integration.conftest import site_document

STARTS_S = 60.0
ENDS_S = 10.0
POLL_S = 0.05
BAD_ENDS = {"garbled", "bug", "failed", "interrupted"}
"""Outcomes that no question to a server of these tests may have."""


def program(name: str, package: str) -> str:
    """Its path; skips (in CI: fails) with the name of the package that it comes from."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    return found or missing(f"{name} is not installed: it is in Debian's package {package}")


def stations_python() -> str:
    """The interpreter that has c104, yadnp3 and cpppo; nothing of ours is installed beside them."""
    return os.environ.get("WALKDOWN_STATIONS") or missing(
        "no environment with tests/integration/servers.txt: .ci/run makes one, and "
        "WALKDOWN_STATIONS names its interpreter"
    )


@contextmanager
def folder_of_servers() -> Iterator[Path]:
    """Short, for the sockets in it, and open to servers that give up their rights."""
    path = Path(tempfile.mkdtemp(prefix="wd-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def listens(address: str, port: int, *, udp: bool = False) -> bool:
    """Whether a socket is bound to exactly this, as the kernel tells it: nothing is sent."""
    there = f"{socket.inet_aton(address)[::-1].hex().upper()}:{port:04X}"
    rows = Path(f"/proc/net/{'udp' if udp else 'tcp'}").read_text().splitlines()[1:]
    state = "07" if udp else "0A"
    return any(row.split()[1] == there and row.split()[3] == state for row in rows)


def until(true: Callable[[], bool], what: Callable[[], str], *, seconds: float = STARTS_S) -> None:
    """Fails with `what()` when it does not become true in time."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            pytest.fail(what())
        time.sleep(POLL_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """How a server is started, and where it then listens. `user`: whom root starts it as."""

    words: Sequence[object]
    address: str
    port: int
    udp: bool = False
    user: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def log(self) -> str:
        """What it wrote to its standard output and error."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")


@contextmanager
def running(
    words: Sequence[object], log_file: Path, *, user: int | None = None
) -> Iterator[Daemon]:
    """The command until the block ends, in a process group of its own of which nothing stays."""
    other: dict[str, Any] = (
        {} if user is None else {"user": user, "group": user, "extra_groups": []}
    )
    with log_file.open("wb") as out:
        process = subprocess.Popen(
            [str(word) for word in words],
            stdin=subprocess.PIPE,  # some stand until it is closed
            stdout=out,
            stderr=out,
            start_new_session=True,
            **other,
        )
    try:
        yield Daemon(process=process, log_file=log_file)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.terminate()
        try:
            process.wait(ENDS_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(ENDS_S)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # helpers that outlived their head


def wait_for(daemon: Daemon, ready: Callable[[], bool]) -> None:
    """Until it is ready; fails with its log when it ends or takes too long."""
    name = str(daemon.process.args[0])  # type: ignore[index]
    until(
        lambda: ready() or daemon.process.poll() is not None,
        lambda: f"{name} is not ready:\n{daemon.log[-2000:]}",
    )
    if daemon.process.poll() is not None:
        pytest.fail(f"{name} ended with {daemon.process.returncode}:\n{daemon.log[-2000:]}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One address as a scan saw it, and the daemon that stands there."""

    address: str
    assessment: Mapping[str, Any]
    daemon: Daemon

    @property
    def observations(self) -> list[dict[str, Any]]:
        return [o for o in self.assessment["observations"] if o["address"] == self.address]

    @property
    def log(self) -> str:
        return self.daemon.log

    @property
    def answered(self) -> set[str]:
        """Protocols in which somebody answered here."""
        return {o["protocol"] for o in self.observations if o["outcome"] == "answered"}

    @property
    def bad_ends(self) -> list[tuple[str, str, str]]:
        """Questions with an end in which no sound server and no sound probe have part."""
        return [
            (o["protocol"], o["outcome"], o["reason"])
            for o in self.observations
            if o["outcome"] in BAD_ENDS
        ]

    @property
    def identity(self) -> dict[str, str]:
        """What is known of who it is."""
        known = {key: value for key, value in self._asset["identity"].items() if value}
        return known | {"device_class": self._asset["device_class"]}

    def facts(self, kind: str) -> list[dict[str, Any]]:
        return [f for o in self.observations for f in o["facts"] if f["kind"] == kind]

    def fact(self, kind: str) -> dict[str, Any]:
        """The only one of its kind, without the fields that were not learned."""
        (found,) = self.facts(kind)
        return {key: value for key, value in found.items() if value is not None}

    def access(self, protocol: str) -> dict[str, Any]:
        """What its service was like, all questions to it together."""
        told: dict[str, Any] = {}
        for fact in self.facts("service_access"):
            if fact["protocol"] == protocol:
                told |= {key: value for key, value in fact.items() if value not in (None, [])}
        return told

    @property
    def weaknesses(self) -> set[str]:
        """Checks that failed here."""
        return {
            f["check"]
            for f in self.assessment["findings"]
            if f["verdict"] == "fail" and f["asset"] == self._asset["id"]
        }

    @property
    def _asset(self) -> dict[str, Any]:
        (found,) = [a for a in self.assessment["assets"] if a["address"] == self.address]
        return dict(found)


def scanned(
    walkdown: Callable[..., Any],
    folder: Path,
    addresses: Sequence[str],
    *,
    ports: Mapping[str, int],
    before: Sequence[str] = (),
    **zone: Any,
) -> Mapping[str, Any]:
    """The assessment of a `walkdown scan` of these addresses, each probe at its port of `ports`."""
    site = folder / "site.yaml"
    only = {
        "id": "z",
        "networks": [f"{address}/32" for address in addresses],
        "sl_t": 2,
        "tier": "read",
        "profile": "lab",
        "ports": dict(ports),
        **zone,
    }
    site.write_text(json.dumps(site_document([only]), indent=1), encoding="utf-8")
    said = walkdown("scan", site, "--out", folder / "run", before=before)
    assert said.code == 0, said.text
    assert "Traceback" not in said.text
    assessment: Mapping[str, Any] = json.loads((folder / "run" / "assessment.json").read_bytes())
    broken = [
        (promise["title"], promise["measured"])
        for certificate in assessment["safety"]["certificates"]
        for promise in certificate["promises"]
        if promise["verdict"] == "fail"
    ]
    assert not broken
    return assessment


@contextmanager
def hall(
    walkdown: Callable[..., Any],
    folder: Path,
    servers: Mapping[str, Server],
    *,
    ports: Mapping[str, int],
    **zone: Any,
) -> Iterator[Callable[[str], Seen]]:
    """
    `seen(name)`: all servers stand at the same time, and one scan asks every probe of them all.
    They keep standing while the block runs, for their logs to be read.
    """
    with ExitStack() as stack:
        daemons = {
            name: stack.enter_context(
                running(server.words, folder / f"{name}.log", user=server.user)
            )
            for name, server in servers.items()
        }
        for name, server in servers.items():
            wait_for(daemons[name], partial(listens, server.address, server.port, udp=server.udp))
        addresses = [server.address for server in servers.values()]
        assessment = scanned(walkdown, folder, addresses, ports=ports, **zone)
        yield lambda name: Seen(
            address=servers[name].address, assessment=assessment, daemon=daemons[name]
        )
