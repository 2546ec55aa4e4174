"""
The ring beneath the door: an audit hook that refuses connections nobody was just granted.

Once armed, every `connect`, `sendto`, `sendmsg`, name look-up and process start of this process
raises `TripwireHit` unless it was granted a moment ago by the session, the relay or a named
service. It catches our own mistakes and libraries that dial by themselves. It does not see `send`
on a connected socket, nor what C code does: for those there are the import contracts and the proof
on the wire. An audit hook cannot be removed, so it is installed once and armed by a context.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from ipaddress import ip_address
from typing import Final

from scanner.errors import ToolBug

_NETWORK: Final = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_PROCESS: Final = frozenset(
    {
        "subprocess.Popen",
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.spawn",
        "os.fork",
        "os.forkpty",
        "os.startfile",
        "pty.spawn",
        "_winapi.CreateProcess",
        "_posixsubprocess.fork_exec",
    }
)
_LOOK_UPS: Final = frozenset(
    {
        "socket.getaddrinfo",
        "socket.gethostbyname",
        "socket.gethostbyaddr",
        "socket.getnameinfo",
    }
)
_REVERSED: Final = frozenset({"socket.gethostbyaddr", "socket.getnameinfo"})
"""Of those, the ones that ask a name server even when they are given a number."""


class TripwireHit(ToolBug):
    """Something tried to reach out without a grant. Nothing was sent."""


class _State:
    def __init__(self) -> None:
        self.installed = False
        self.armed = 0
        self.endpoints: Counter[tuple[str, int]] = Counter()
        self.processes = 0
        self.hits: list[str] = []


_state = _State()


def _is_numeric(host: object) -> bool:
    if host is None:
        return True
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    try:
        ip_address(str(host).split("%", 1)[0])
    except ValueError:
        return False
    return True


def _hook(event: str, args: tuple[object, ...]) -> None:
    if not _state.armed:
        return
    if event in _NETWORK:
        destination = args[1] if len(args) > 1 else None
        if destination is None or isinstance(destination, str | bytes):
            return  # a connected datagram socket, or a Unix socket
        if isinstance(destination, tuple) and len(destination) >= 2:
            endpoint = (str(destination[0]), int(destination[1]))
            if _state.endpoints[endpoint] > 0:
                return
            _refuse(f"{event} to {endpoint[0]} port {endpoint[1]}")
    elif event in _PROCESS:
        if not _state.processes:
            _refuse(f"{event} of {args[0] if args else '?'!r:.80}")
    elif event in _LOOK_UPS and (event in _REVERSED or not _is_numeric(args[0])):
        _refuse("name look-up: Walkdown asks no name server")


def _refuse(what: str) -> None:
    _state.hits.append(what)
    raise TripwireHit(f"refused without a grant: {what}")


def _make_spawning_audible() -> None:
    """
    multiprocessing starts its processes by `_posixsubprocess.fork_exec`, which raises no audit
    event; it looks the function up at each call, so that a wrapper is found.
    """
    if os.name != "posix":  # Windows has an audit event for it
        return
    spawning = import_module("_posixsubprocess")
    original: Callable[..., int] = spawning.fork_exec

    @wraps(original)
    def audible(*args: object) -> int:
        sys.audit("_posixsubprocess.fork_exec", *args[:1])
        return original(*args)

    # A module that is imported by its name has no attributes for mypy.
    spawning.fork_exec = audible  # type: ignore[attr-defined]


@contextmanager
def armed() -> Iterator[None]:
    """Refuse everything ungranted for as long as the block lasts."""
    if not _state.installed:
        sys.addaudithook(_hook)
        _make_spawning_audible()
        _state.installed = True
    _state.armed += 1
    try:
        yield
    finally:
        _state.armed -= 1


@contextmanager
def grant(address: str, port: int) -> Iterator[None]:
    """Allow this process to reach one endpoint while the block lasts."""
    _state.endpoints[(address, port)] += 1
    try:
        yield
    finally:
        _state.endpoints[(address, port)] -= 1
        if not _state.endpoints[(address, port)]:
            del _state.endpoints[(address, port)]


@contextmanager
def grant_process() -> Iterator[None]:
    """Allow process starts while the block lasts (a worker that may reach its relay only)."""
    _state.processes += 1
    try:
        yield
    finally:
        _state.processes -= 1


def hits() -> tuple[str, ...]:
    """What was refused so far."""
    return tuple(_state.hits)
