"""
Giving up rights before a scan (safety promise 29): first the capture helper is started, then every
capability of this process goes. Both come before any thread: capabilities belong to threads.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from scanner import capture, privileges
from scanner.errors import UsageError


def give_up(*, watch_packets: bool) -> capture.Helper | None:
    """The helper for `scanning.scan`, where it is wanted and possible. It ends with us."""
    helper = capture.launch() if watch_packets else None
    privileges.drop()
    return helper


def check_files(*, read: Iterable[Path], write: Iterable[Path]) -> None:
    """
    Raise UsageError where this process can use a file only with rights that it is about to give
    up: root's power over other people's files. `write` are folders that may not exist yet.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        return  # whoever is not root is told by whatever opens the file
    wanted = [(path, os.R_OK) for path in read if path.exists()]
    # What is no folder is told by the scan itself.
    folders = [folder for path in write if (folder := _nearest(path)).is_dir()]
    wanted += [(folder, os.W_OK | os.X_OK) for folder in folders]
    refused = _refused(wanted)
    if refused is None:
        return
    raise UsageError(
        f"{refused}: only with root's power over other people's files can this be used, and a scan "
        "gives that up before it begins\n"
        "  hint: run it as the owner of the file, or keep site file and runs where root owns them"
    )


def reminder(problem: str) -> str:
    """What root has to know of a file that it may not use; "" for any other problem."""
    refused = any(os.strerror(n) in problem for n in (errno.EACCES, errno.EPERM))
    if not refused or sys.platform != "linux" or os.geteuid() != 0 or privileges.has_any():
        return ""
    return "\n  hint: a scan gives up root's power over other people's files before it begins"


def _nearest(folder: Path) -> Path:
    """The folder, or the first one above it that is there."""
    folder = folder.resolve()
    while not folder.exists():
        folder = folder.parent
    return folder


def _refused(wanted: list[tuple[Path, int]]) -> Path | None:
    """The first that may not be used without capabilities, tried in a child that has none."""
    child = os.fork()
    if child == 0:
        try:
            privileges.drop()
            found = [n for n, (path, mode) in enumerate(wanted, 1) if not os.access(path, mode)]
            os._exit(min(found, default=0))
        finally:
            os._exit(0)  # whatever else is wrong is told by the scan itself
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return wanted[status - 1][0] if 0 < status <= len(wanted) else None
