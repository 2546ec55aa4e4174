"""From what a source holds for one asset to the fact that checks read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from scanner.backups import manifest
from scanner.backups.layout import Wanted
from scanner.facts import BackupRecord, RunningConfiguration

MAX_CONFIGURATION_BYTES = 8 * 1024 * 1024

Normaliser = Callable[[str], tuple[bytes, tuple[str, ...]]]
"""Drops volatile lines from a configuration text; returns what is hashed, and the rules used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """
    The newest backup of one asset. `manifest_text` None: there is no list of hashes.

    `content` is None when it is larger than a configuration can be.
    """

    path: str
    name: str
    taken_at: datetime
    content: bytes | None
    manifest_text: str | None
    digest: manifest.Digest


def make(
    source: str, wanted: Wanted, found: Found | None, now: datetime, normalise: Normaliser | None
) -> BackupRecord | None:
    """None where nothing is there and nothing can be said of it."""
    if found is None:
        if wanted.max_age_s is None or wanted.ambiguous:
            return None
        return BackupRecord(source=source, found=False, max_age_s=wanted.max_age_s)
    if found.manifest_text is None:
        whole = manifest.Verdict(ok=None, note=f"no {manifest.NAME}")
    else:
        whole = manifest.verify(found.manifest_text, found.name, found.digest)
    return BackupRecord(
        source=source,
        found=True,
        path=found.path,
        taken_at=found.taken_at,
        age_s=int((now - found.taken_at).total_seconds()),
        max_age_s=wanted.max_age_s,
        manifest_ok=whole.ok,
        manifest_note=whole.note,
        matches_running=matches(found.content, wanted.running, normalise),
    )


def matches(
    content: bytes | None, running: RunningConfiguration | None, normalise: Normaliser | None
) -> bool | None:
    """Whether a backup is the running configuration; None when the two cannot be compared."""
    if content is None or running is None or normalise is None:
        return None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if "\0" in text:
        return None
    kept, rules = normalise(text)
    if running.drop_rules and tuple(rules) != running.drop_rules:
        return None
    return hashlib.sha256(kept).hexdigest() == running.sha256.lower()
