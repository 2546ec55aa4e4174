"""
Backups in a folder: `<folder>/<asset>/<file>`, or `<folder>/<zone>/<asset>/<file>`.

The newest file is the one with the latest time in its name, else the one written last. Links are
not followed, hidden and empty files do not count, and nothing outside the folder is opened.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from scanner.backups import dates, manifest
from scanner.backups.layout import Wanted, wanted
from scanner.backups.record import MAX_CONFIGURATION_BYTES, Found, Normaliser, make
from scanner.errors import ToolBug, UsageError
from scanner.facts import BackupRecord
from scanner.model import Asset

MAX_ENTRIES = 20_000
"""Files of one asset that are looked at; a folder with more is refused."""
MAX_HASHED_BYTES = 256 * 1024 * 1024
"""Size of one file up to which its hash is computed."""


def read(
    folder: Path,
    *,
    source: str,
    assets: Sequence[Asset],
    policy: Mapping[str, int],
    now: datetime,
    normalise: Normaliser | None = None,
) -> dict[str, BackupRecord]:
    """
    The record of each asset (by its id) that the policy covers or that has a backup here.

    `source` is the source's id in the site file. `policy` maps a device class, name or address to
    the greatest age in seconds. Raises UsageError when the folder cannot be read.
    """
    if not folder.is_dir():
        raise UsageError(f"backup source {source}: {folder} is not a folder")
    records = {}
    for one in wanted(assets, policy):
        try:
            found = _newest(folder, one, now)
        except OSError as error:
            raise UsageError(
                f"backup source {source}: {error.filename or folder}: {error.strerror}"
            ) from error
        record = make(source, one, found, now, normalise)
        if record is not None:
            records[one.asset] = record
    return records


def _newest(root: Path, one: Wanted, now: datetime) -> Found | None:
    for relative in one.folders:
        place = root
        for part in relative.split("/"):
            place = place / part
            if place.is_symlink() or not place.is_dir():
                break
        else:
            if found := _newest_in(place, relative, now):
                return found
    return None


def _newest_in(place: Path, relative: str, now: datetime) -> Found | None:
    zone = now.tzinfo
    if zone is None:
        raise ToolBug("the time of a run has a time zone")
    best: tuple[datetime, str] | None = None
    with os.scandir(place) as entries:
        for count, entry in enumerate(entries):
            if count >= MAX_ENTRIES:
                raise UsageError(f"backups: more than {MAX_ENTRIES} files in {place}")
            if not _counts(entry):
                continue
            state = entry.stat(follow_symlinks=False)
            taken = dates.in_name(entry.name, zone) or datetime.fromtimestamp(
                state.st_mtime, tz=zone
            )
            # The name decides between two of the same moment, so that every run says the same.
            if best is None or (taken, entry.name) > best:
                best = (taken, entry.name)
    if best is None:
        return None
    taken_at, name = best
    return Found(
        path=f"{relative}/{name}",
        name=name,
        taken_at=_not_after(taken_at, now),
        content=_content(place / name),
        manifest_text=_manifest(place / manifest.NAME),
        digest=lambda listed: _digest(place, listed),
    )


def _counts(entry: os.DirEntry[str]) -> bool:
    """Whether it is a backup: a plain file with something in it, not a list and not hidden."""
    return (
        entry.name != manifest.NAME
        and not entry.name.startswith(".")
        and entry.name.isprintable()
        and entry.is_file(follow_symlinks=False)
        and entry.stat(follow_symlinks=False).st_size > 0
    )


def _not_after(taken: datetime, now: datetime) -> datetime:
    """A day without a time may end after now; that is today, not the future."""
    same_day = taken.date() == now.astimezone(taken.tzinfo).date()
    return now if taken > now and same_day else taken


def _open(path: Path) -> int | None:
    """A descriptor of a plain file that is no link; None when there is no such file."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    if path.is_symlink():
        return None
    try:
        descriptor = os.open(path, flags)
    except OSError:
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return descriptor


def _content(path: Path) -> bytes | None:
    descriptor = _open(path)
    if descriptor is None:
        return None
    with os.fdopen(descriptor, "rb") as handle:
        content = handle.read(MAX_CONFIGURATION_BYTES + 1)
    return content if len(content) <= MAX_CONFIGURATION_BYTES else None


def _manifest(path: Path) -> str | None:
    descriptor = _open(path)
    if descriptor is None:
        return None
    with os.fdopen(descriptor, "rb") as handle:
        content = handle.read(manifest.MAX_BYTES + 1)
    if len(content) > manifest.MAX_BYTES:
        # Not text of a list any more; parse() says so in its own words.
        return "too large"
    return content.decode("utf-8", errors="replace")


def _digest(place: Path, listed: str) -> str | None:
    """SHA-256 of a listed file below `place`; links on the way to it are not followed."""
    path = place
    parts = listed.replace("\\", "/").split("/")
    for part in parts[:-1]:
        path = path / part
        if path.is_symlink() or not path.is_dir():
            return None
    descriptor = _open(path / parts[-1])
    if descriptor is None:
        return None
    with os.fdopen(descriptor, "rb") as handle:
        if os.fstat(handle.fileno()).st_size > MAX_HASHED_BYTES:
            raise manifest.TooLarge
        return hashlib.file_digest(handle, "sha256").hexdigest()
