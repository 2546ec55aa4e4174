"""
The list of hashes beside a backup, and whether the backup agrees with it.

Source: GNU coreutils manual, section "cksum output modes" and "md5sum invocation": each line is 64
hexadecimal digits, a blank, a blank or "*", and a file name; a line that begins with a backslash
has "\\\\", "\\n" and "\\r" escaped in the name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

NAME = "manifest.sha256"
MAX_BYTES = 1024 * 1024
MAX_LINES = 5_000

_LINE = re.compile(r"(\\?)([0-9A-Fa-f]{64}) [ *](.+)")
_ESCAPED = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}

Digest = Callable[[str], str | None]
"""SHA-256 of a listed file in hex; None when it is not there. Raises TooLarge."""


class TooLarge(Exception):
    """A file is too large to be hashed here; what it holds stays unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`ok` None: it cannot be told, `note` says why."""

    ok: bool | None
    note: str


def parse(text: str) -> tuple[tuple[str, str], ...] | str:
    """(file name, hash in small letters) per line, or the reason why this is no such list."""
    found = []
    lines = text.split("\n")
    if len(lines) > MAX_LINES:
        return f"more than {MAX_LINES} lines"
    for number, raw in enumerate(lines, 1):
        line = raw.removesuffix("\r")
        if not line:
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            return f"line {number} is not a hash and a name"
        name = match.group(3)
        if match.group(1):
            name = re.sub(r"\\[\\nr]", lambda escape: _ESCAPED[escape.group()], name)
        found.append((name.removeprefix("./"), match.group(2).lower()))
    return tuple(found)


def is_inside(name: str) -> bool:
    """Whether a listed name stays within the folder of the list, on every system."""
    if not name or name.startswith(("/", "\\", "~")) or re.match(r"[A-Za-z]:", name):
        return False
    return all(part not in ("", ".", "..") for part in re.split(r"[/\\]", name)) and (
        name.isprintable()
    )


def verify(text: str, newest: str, digest: Digest) -> Verdict:
    """Compare every listed file; `newest` is the backup that a restore would take."""
    listed = parse(text)
    if isinstance(listed, str):
        return Verdict(ok=False, note=listed)
    if not listed:
        return Verdict(ok=None, note="the list is empty")
    too_large = []
    for name, wanted in listed:
        if not is_inside(name):
            return Verdict(ok=False, note="the list names a file outside its folder")
        try:
            seen = digest(name)
        except TooLarge:
            too_large.append(name)
            continue
        if seen is None:
            return Verdict(ok=False, note=f"a listed file is missing: {name!r:.100}")
        if seen != wanted:
            return Verdict(ok=False, note=f"the hash differs: {name!r:.100}")
    if too_large:
        return Verdict(ok=None, note=f"too large to verify: {too_large[0]!r:.100}")
    if newest not in {name for name, _ in listed}:
        return Verdict(ok=None, note="the newest backup is not in the list")
    return Verdict(ok=True, note=f"{len(listed)} files agree")
