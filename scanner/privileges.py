"""
Gives up every power that reading a plant does not need (safety promise 29).

Linux only: all capabilities go, from every set, and `no_new_privs` is set, so that nothing started
later can win them back. The user stays who it was: root without capabilities is stopped by file
permissions like anybody else. Capabilities belong to threads, so this comes before any is started.

Source: capabilities(7), prctl(2), capget(2), proc_pid_status(5); linux/capability.h.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

from scanner.errors import ToolBug

CAP_NET_RAW = 13
NET_RAW = frozenset({CAP_NET_RAW})
"""What the capture helper keeps."""

_VERSION_3 = 0x20080522
_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_HIGHEST = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """
    What a process may do. `capabilities` are its effective and permitted ones together, as bits of
    capabilities(7); None where the system has none to give up.
    """

    capabilities: int | None
    no_new_privs: bool
    user: int | None

    @property
    def words(self) -> str:
        if self.capabilities is None:
            return f"not measured: {sys.platform} has no capabilities to give up"
        user = "root" if self.user == 0 else f"user {self.user}"
        bit = "set" if self.no_new_privs else "not set"
        return f"{user}, capabilities {self.capabilities:#x}, no_new_privs {bit}"


def standing() -> Standing:
    """Of the calling process."""
    found = of_thread("self")
    return found or Standing(capabilities=None, no_new_privs=False, user=None)


def of_thread(task: str) -> Standing | None:
    """
    Of a process (`self`, a number) or one of its threads (`1/task/2`); None where the system does
    not tell. Raises OSError when it is gone.
    """
    if sys.platform != "linux":
        return None
    status = (Path("/proc") / task / "status").read_text(encoding="ascii", errors="replace")
    told = dict(line.split(":", 1) for line in status.split("\n") if ":" in line)
    return Standing(
        capabilities=int(told["CapEff"], 16) | int(told["CapPrm"], 16),
        no_new_privs=told.get("NoNewPrivs", "0").strip() == "1",
        user=int(told["Uid"].split()[1]),
    )


def may_capture() -> bool:
    """Whether this process may watch packets (CAP_NET_RAW)."""
    held = standing().capabilities
    return held is not None and bool(held & 1 << CAP_NET_RAW)


def has_any() -> bool:
    return bool(standing().capabilities)


def drop(keep: frozenset[int] = frozenset()) -> Standing:
    """
    Give up all capabilities but those in `keep`, for good. What is kept must be held already.

    Raises ToolBug when a thread is left that still has some: it was started too early.
    """
    if sys.platform != "linux":
        return standing()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    for capability in range(_HIGHEST + 1):
        if capability not in keep and libc.prctl(_PR_CAPBSET_READ, capability, 0, 0, 0) == 1:
            # Without CAP_SETPCAP the bounding set stays; no_new_privs makes it worthless.
            libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise _failed("prctl(PR_SET_NO_NEW_PRIVS)")
    wanted = sum(1 << capability for capability in keep)
    low, high = wanted & 0xFFFFFFFF, wanted >> 32
    header = struct.pack("=Ii", _VERSION_3, 0)
    sets = struct.pack("=6I", low, low, 0, high, high, 0)
    if libc.capset(header, sets) != 0:
        raise _failed("capset")
    for thread in Path("/proc/self/task").iterdir():
        found = of_thread(f"self/task/{thread.name}")
        if found is None or found.capabilities != wanted or not found.no_new_privs:
            words = found.words if found else "not known"
            raise ToolBug(f"a thread was started before privileges were given up: {words}")
    return standing()


def _failed(what: str) -> ToolBug:
    return ToolBug(f"privileges could not be given up: {what}: {os.strerror(ctypes.get_errno())}")
