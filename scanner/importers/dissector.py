"""
tshark as the dissector of captures: a process that reads one file and writes one line per packet.

It is started without a shell, looks up no names (`-n`), captures nothing, and gets the file as an
open descriptor, so that no path of ours is among its arguments. What it may use is bounded: time,
memory, the size of what it writes; it may write no file, has an empty home and nothing of our
environment, and where the system allows it no network at all. Compressed captures are refused
before.

Source: tshark(1), manual page of Wireshark 4.0: -r -, -T ek, -e, -n, -M, -o; unshare(1).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from scanner.errors import UsageError
from scanner.importers.form import MAX_LINE_BYTES, Reading, json_value

PROGRAM = "tshark"
HOW_TO_GET = (
    "captures are read by tshark, which is not installed\n"
    "  hint: install it (Debian, Ubuntu: apt install tshark; Fedora: dnf install wireshark-cli; "
    "macOS: brew install wireshark; Windows: the Wireshark installer) and see that it is on the "
    "PATH. Zeek logs, nmap and zgrab2 results need no tshark"
)
START_S = 300.0
BYTES_PER_S = 100_000
"""Far below what tshark does; a capture that takes longer is cut into parts."""
MEMORY = 4 * 1024**3
OUTPUT_PER_BYTE, OUTPUT_LEAST = 64, 64 * 1024**2
FORGET_AFTER = 500_000
"""Packets after which tshark drops what it remembers of connections; bounds its memory."""
PREFERENCES = ("http.decompress_body:FALSE",)
"""Nothing is unpacked, not even inside a packet."""
_INVALID = re.compile(r"^\s+([a-z0-9_.\-]+)\s*$", re.MULTILINE)


def packets(
    path: Path, fields: Sequence[str], reading: Reading, *, program: str | None = None
) -> Iterator[Mapping[str, Any]]:
    """
    The wanted fields of every packet: name with "_" for "." -> list of texts. A field that this
    tshark does not know is left out. Raises UsageError.
    """
    found = program or shutil.which(PROGRAM, path=reading.environment.get("PATH"))
    if found is None:
        raise UsageError(f"{path}: {HOW_TO_GET}")
    with tempfile.TemporaryDirectory(prefix="walkdown-") as home:
        environment = {
            "PATH": reading.environment.get("PATH", ""), "HOME": home, "XDG_CONFIG_HOME": home,
            "WIRESHARK_CONFIG_DIR": home, "TMPDIR": home, "LC_ALL": "C.UTF-8",
        }  # fmt: skip
        alone = _without_network(environment)
        left = tuple(fields)
        preferences: tuple[str, ...] = PREFERENCES
        for _ in range(4):
            run = _Run((*alone, found), path, left, preferences, environment, reading)
            yield from run.lines()
            if run.does_not_know_a_preference():
                preferences = ()
                continue
            unknown = run.unknown_fields()
            if not unknown:
                return
            reading.notes.append(
                f"this {PROGRAM} does not know {', '.join(sorted(unknown))}; it was read without"
            )
            left = tuple(name for name in left if name not in unknown)


def _without_network(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The start of a command that has a network namespace of its own, where that is allowed."""
    program = shutil.which("unshare", path=environment["PATH"])
    if program is None:
        return ()
    command = (program, "--user", "--map-current-user", "--net", "--")
    try:
        tried = subprocess.run(  # noqa: S603  # fixed arguments
            (*command, "true"), env=dict(environment), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return command if tried.returncode == 0 else ()


class _Run:
    """One process. `lines` is read once; after it `unknown_fields` tells why there were none."""

    def __init__(
        self,
        program: Sequence[str],
        path: Path,
        fields: Sequence[str],
        preferences: Sequence[str],
        environment: Mapping[str, str],
        reading: Reading,
    ) -> None:
        self._command = [*program, "-n", "-r", "-", "-T", "ek", "-M", str(FORGET_AFTER)]
        for preference in preferences:
            self._command += ["-o", preference]
        for name in fields:
            self._command += ["-e", name]
        self._path, self._environment, self._reading = path, environment, reading
        self._errors = b""
        self._late = False
        self._yielded = 0

    def lines(self) -> Iterator[Mapping[str, Any]]:
        size = self._path.stat().st_size
        with self._path.open("rb") as file:
            before = _state(file.fileno())
            try:
                process = subprocess.Popen(  # noqa: S603  # no shell, fixed arguments
                    self._command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    env=dict(self._environment), close_fds=True, cwd=self._environment["HOME"],
                    start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise UsageError(f"{PROGRAM} cannot be started: {error.strerror}") from error
            _limit(process.pid)
            clock = threading.Timer(START_S + size / BYTES_PER_S, self._out_of_time, (process,))
            clock.daemon = True
            clock.start()
            listener = threading.Thread(target=self._listen, args=(process,), daemon=True)
            listener.start()
            try:
                yield from self._read(process, max(OUTPUT_LEAST, size * OUTPUT_PER_BYTE))
                process.wait()
            finally:
                clock.cancel()
                if process.poll() is None:
                    process.kill()
                process.wait()
                listener.join(5)
                for pipe in (process.stdout, process.stderr):
                    if pipe is not None:
                        pipe.close()
            if _state(file.fileno()) != before:
                raise UsageError(
                    f"{self._path}: it was changed while it was read\n  hint: import a finished "
                    "capture, or a copy of it"
                )
        self._judge(process.returncode)

    def _read(self, process: subprocess.Popen[bytes], most: int) -> Iterator[Mapping[str, Any]]:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        written = 0
        while line := process.stdout.readline(MAX_LINE_BYTES + 1):
            written += len(line)
            if written > most:
                raise UsageError(
                    f"{self._path}: {PROGRAM} writes far more than the capture holds; nothing was "
                    "imported\n  hint: cut the capture (editcap -c) and see which part does it"
                )
            if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
                while line and not line.endswith(b"\n"):
                    line = process.stdout.readline(MAX_LINE_BYTES)
                    written += len(line)
                self._reading.skip("packets whose dissection is too long", f"after {self._yielded}")
                continue
            if not line.startswith(b'{"timestamp"'):
                continue
            value = json_value(line)
            layers = value.get("layers") if isinstance(value, dict) else None
            if not isinstance(layers, dict):
                self._reading.skip("packets whose dissection is not readable", str(self._yielded))
                continue
            self._yielded += 1
            yield layers

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """Its errors, bounded; what is beyond is read and dropped, so that it never waits."""
        assert process.stderr is not None  # noqa: S101 - a pipe was asked for
        with suppress(ValueError, OSError):  # closed meanwhile
            while part := os.read(process.stderr.fileno(), 65_536):
                self._errors = (self._errors + part)[:65_536]

    def _out_of_time(self, process: subprocess.Popen[bytes]) -> None:
        self._late = True
        process.kill()

    def does_not_know_a_preference(self) -> bool:
        return not self._yielded and b"unknown preference" in self._errors

    def unknown_fields(self) -> frozenset[str]:
        text = self._errors.decode("utf-8", "replace")
        if "aren't valid" not in text:
            return frozenset()
        return frozenset(_INVALID.findall(text.partition("aren't valid")[2]))

    def _judge(self, code: int) -> None:
        if self.does_not_know_a_preference() or (self.unknown_fields() and not self._yielded):
            return
        if self._late:
            raise UsageError(
                f"{self._path}: {PROGRAM} did not end in time and was stopped\n"
                "  hint: cut the capture into parts (editcap -c 1000000) and import them together"
            )
        said = self._errors.decode("utf-8", "replace")
        if "cut short" in said:
            self._reading.notes.append(
                "the capture is cut off in the middle of a packet; what is before it was read"
            )
        elif code != 0:
            words = [w for w in said.splitlines() if "Running as user" not in w and w.strip()]
            why = " ".join(words)[:300] or f"it ended with code {code}"
            raise UsageError(
                f"{self._path}: {PROGRAM} cannot read it: {why}\n"
                "  hint: open it in Wireshark and save it as pcapng; a very large one is read in "
                "parts (editcap -c 1000000)"
            )


def _state(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_size, found.st_mtime_ns


def _limit(pid: int) -> None:
    """Memory, files and core dumps of a process that has just begun (Linux)."""
    try:
        import resource
    except ImportError:  # Windows: time and output are bounded there all the same
        return
    set_limit = getattr(resource, "prlimit", None)
    if set_limit is None:
        return
    with suppress(OSError, ValueError):
        set_limit(pid, resource.RLIMIT_AS, (MEMORY, MEMORY))
        set_limit(pid, resource.RLIMIT_CORE, (0, 0))
        set_limit(pid, resource.RLIMIT_FSIZE, (0, 0))
