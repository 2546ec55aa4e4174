"""
Which Walkdown this is: a digest of what decides what is sent and judged, and whether the installed
files are those that were installed.

A wheel lists its files with their SHA-256 (RECORD; Python packaging user guide, "Recording
installed projects"). A file of ours that differs from that list, is missing or was added stops a
scan. Who rewrites RECORD too is not noticed: there is no release key yet. Compiled copies
(__pycache__) have no digest there and are not looked at.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from scanner.errors import UsageError

DISTRIBUTION = "walkdown"
PACKAGES = ("scanner", "probes", "checks", "credentials", "reports", "lab")
PROBE_SET = ("probes", "scanner/guards", "checks", "credentials/sets")


def probe_set_digest() -> str:
    """
    SHA-256 (hex) over probes, guards, checks and credential sets: sorted lines of "SHA-256  path",
    so that `sha256sum` can be compared with it.
    """
    lines = []
    for part in PROBE_SET:
        package, _, rest = part.partition("/")
        base = folder_of(package)
        for path in _files(base / rest if rest else base):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            lines.append(f"{digest}  {package}/{path.relative_to(base).as_posix()}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def folder_of(package: str) -> Path:
    """Where one of our packages lies, found without importing it."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise UsageError(
            f"Walkdown is not whole: its package {package} is missing; install it anew"
        )
    return Path(spec.origin).parent


def refuse_changed_files() -> None:
    """Raises UsageError when an installed file of ours is not the one that was installed."""
    if problems := changed_files():
        shown = "\n  ".join(problems[:10])
        more = f"\n  and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise UsageError(
            "these files of Walkdown are not the ones that were installed; nothing was sent:\n"
            f"  {shown}{more}\n  hint: install Walkdown anew from a wheel that you trust"
        )


def changed_files() -> tuple[str, ...] | None:
    """
    Files that differ from the installed wheel's own list, are missing there or here; () when all
    are as installed, None for a source tree, which has no such list.
    """
    root = folder_of("scanner").parent
    listed = _listed(root)
    if listed is None:
        return None
    found = {
        path.relative_to(root).as_posix(): path
        for package in PACKAGES
        if (root / package).is_dir()
        for path in _files(root / package)
    }
    problems = [f"{name}: is missing" for name in sorted(listed.keys() - found.keys())]
    problems += [f"{name}: was added" for name in sorted(found.keys() - listed.keys())]
    for name in sorted(found.keys() & listed.keys()):
        digest = hashlib.sha256(found[name].read_bytes()).digest()
        if listed[name] != base64.urlsafe_b64encode(digest).rstrip(b"=").decode():
            problems.append(f"{name}: was changed")
    return tuple(problems)


def _listed(root: Path) -> dict[str, str] | None:
    """Our files in RECORD with their digests; None when what runs did not come from a wheel."""
    try:
        installed = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return None
    origin = json.loads(installed.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        return None
    listed = {}
    for file in installed.files or ():
        if file.parts[0] not in PACKAGES or "__pycache__" in file.parts:
            continue
        if Path(str(file.locate())).resolve() != (root / file).resolve():
            return None  # what runs is another copy than the installed one
        known = file.hash is not None and file.hash.mode == "sha256"
        listed[file.as_posix()] = file.hash.value if file.hash and known else ""
    return listed or None


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path
