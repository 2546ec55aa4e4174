"""
Starts the real command many times without paying for Python's start each time.

`python -m tests.proof.driver` imports everything once, then reads one JSON object per line and
forks a child for each: {"id", "argv", "said", "clock"}. `argv` is what a user would type after
`walkdown`, `said` the file for the child's output, `clock` (or null) steps the wall clock that the
child believes in: {"after": seconds, "by": seconds}. Lines come back: {"id", "pid"} at the start
and {"id", "code"} at the end (a negative code is the signal that ended it).

The child is the product itself: same entry point, same signals, same exit codes. Only the step of
the clock is put in, because a namespace cannot have a wall clock of its own.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any


def preload() -> None:
    """Import what a scan imports, so that a child begins to scan at once."""
    from importlib import import_module
    from pkgutil import iter_modules

    import scanner.cli.app
    from scanner import discovery

    discovery.probes()
    discovery.checks()
    for package in ("scanner.clients", "scanner.guards", "scanner.cli", "reports"):
        for module in iter_modules(import_module(package).__path__):
            import_module(f"{package}.{module.name}")
    gc.collect()
    gc.freeze()
    assert scanner.cli.app


def step_clock(after: float, by: float) -> None:
    """From `after` seconds on, the wall clock that the scan sees is `by` seconds off."""
    from scanner.cli import scanning

    at = time.monotonic() + after

    def shifted() -> datetime:
        now = datetime.now(UTC)
        return now + timedelta(seconds=by) if time.monotonic() >= at else now

    scanning.utc_now = shifted


def child(order: Mapping[str, Any]) -> None:
    """Be the product. Does not return."""
    code = 70
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        said = os.open(order["said"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(nothing, 0)
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.closerange(3, 256)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = ["walkdown", *order["argv"]]
        if order.get("clock"):
            step_clock(order["clock"]["after"], order["clock"]["by"])
        from scanner.cli import main

        main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def serve() -> None:
    preload()
    names: dict[int, str] = {}
    rest = b""
    print(json.dumps({"ready": True}), flush=True)
    ended = False
    while not ended or names:
        readable = select.select([0] if not ended else [], [], [], 0.01)[0]
        if readable:
            data = os.read(0, 65536)
            ended = not data
            *lines, rest = (rest + data).split(b"\n")
            for line in filter(None, lines):
                order = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    child(order)
                names[pid] = order["id"]
                print(json.dumps({"id": order["id"], "pid": pid}), flush=True)
        while names:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid in names:
                code = os.waitstatus_to_exitcode(status)
                print(json.dumps({"id": names.pop(pid), "code": code}), flush=True)


class Driver:
    """The proof's end of a running driver. One reader: call its methods from one thread."""

    def __init__(self, inside: Sequence[str]) -> None:
        """`inside` are the words that run a command in the scanner's namespace."""
        root = Path(__file__).resolve().parents[2]
        self._process = subprocess.Popen(
            [*inside, sys.executable, "-m", "tests.proof.driver"],
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "PYTHONWARNINGS": "ignore"},
        )
        self.pids: dict[str, int] = {}
        self.codes: dict[str, int] = {}
        self._buffer = b""
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._wait(lambda told: bool(told.get("ready")), 60)

    def _pipe(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def poll(self, seconds: float = 0.0) -> list[dict[str, Any]]:
        """Take in what the driver has said, waiting at most so long for the first of it."""
        if not select.select([self._pipe()], [], [], seconds)[0]:
            return []
        data = os.read(self._pipe().fileno(), 65536)
        if not data:
            raise RuntimeError(f"the driver ended with {self._process.wait()}")
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        told = [json.loads(line) for line in lines if line]
        for one in told:
            if "pid" in one:
                self.pids[one["id"]] = one["pid"]
            elif "code" in one:
                self.codes[one["id"]] = one["code"]
        return told

    def _wait(self, wanted: Any, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if any(wanted(one) for one in self.poll(0.1)):
                return
        raise RuntimeError("the driver did not answer in time")

    def start(
        self, name: str, argv: Sequence[str], said: Path, clock: Mapping[str, float] | None = None
    ) -> int:
        """Begin a scan; returns its pid."""
        order = {"id": name, "argv": list(argv), "said": str(said), "clock": clock}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        while name not in self.pids:
            self.poll(1.0)
        return self.pids[name]

    def signal(self, name: str, number: signal.Signals) -> bool:
        """False when that scan has ended already."""
        self.poll()
        if name in self.codes:
            return False
        with suppress(ProcessLookupError):
            os.kill(self.pids[name], number)
            return True
        return False

    def join(self, name: str, seconds: float) -> int | None:
        """Its exit code; None when it does not end in time (it is then killed)."""
        end = time.monotonic() + seconds
        while name not in self.codes and time.monotonic() < end:
            self.poll(0.1)
        if name in self.codes:
            return self.codes[name]
        with suppress(ProcessLookupError):
            os.killpg(self.pids[name], signal.SIGKILL)
        return None

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._pipe().close()


if __name__ == "__main__":
    serve()
