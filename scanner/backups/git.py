"""
Backups in a git repository: `<asset>/<file>` or `<zone>/<asset>/<file>` in the last commit.

Collectors that keep one file per device (`<asset>`, `<asset>.cfg`) are understood too. A backup is
as old as the last commit that touched it. Only what is in the repository is read
(`ls-tree`, `log`, `cat-file`); git never fetches, never runs a hook, a pager, a filter or a helper,
and hears nothing of this process's own git settings. Starting a process is the caller's to allow:
`run` does it, `start` below is what it usually calls.

Source: git manual pages git(1) (environment, --literal-pathspecs, --no-optional-locks),
git-ls-tree(1), git-log(1), git-cat-file(1).
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from scanner.backups import manifest
from scanner.backups.layout import Wanted, wanted
from scanner.backups.record import MAX_CONFIGURATION_BYTES, Found, Normaliser, make
from scanner.errors import UsageError
from scanner.facts import BackupRecord
from scanner.model import Asset

Run = Callable[[Sequence[str], Mapping[str, str]], bytes]
"""(arguments, environment) -> what the process wrote. Raises UsageError when it failed."""

MAX_OUTPUT_BYTES = 64 * 1024 * 1024
DEADLINE_S = 60.0
MAX_ASKED = 200
"""Files of one asset whose history is asked one by one."""
ENDINGS = (".cfg", ".conf", ".config", ".txt")
PLAIN_FILES = ("100644", "100755")
"""Modes of tree entries that are files; links and submodules are not backups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    id: str
    size: int


def read(
    repository: Path,
    *,
    source: str,
    assets: Sequence[Asset],
    policy: Mapping[str, int],
    now: datetime,
    run: Run,
    environment: Mapping[str, str],
    normalise: Normaliser | None = None,
) -> dict[str, BackupRecord]:
    """As folder.read. `environment` is this process's own; git gets a cleaned copy."""
    if not repository.is_dir():
        raise UsageError(f"backup source {source}: {repository} is not a folder")
    git = _Git(repository=repository, run=run, environment=clean(environment))
    files = _files(git)
    records = {}
    for one in wanted(assets, policy):
        record = make(source, one, _newest(git, files, one), now, normalise)
        if record is not None:
            records[one.asset] = record
    return records


NEEDED = frozenset(
    {"PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TEMP", "TMP", "USER", "USERNAME",
     "USERPROFILE", "SYSTEMROOT", "COMSPEC", "PATHEXT"}
)  # fmt: skip


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """
    Only what a program needs to run at all: nothing that steers git from outside and no secret of
    the operator, and with what keeps it quiet and local.
    """
    kept = {name: value for name, value in environment.items() if name.upper() in NEEDED}
    return kept | {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "LC_ALL": "C",
    }


def arguments(repository: Path, *command: str) -> tuple[str, ...]:
    """A git command line on which nothing in the repository's own settings can start a program."""
    settings = (
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "core.pager=cat",
        "log.showSignature=false",
        "protocol.allow=never",
    )
    return (
        "git",
        "--no-pager",
        "--no-optional-locks",
        "--literal-pathspecs",
        *(word for setting in settings for word in ("-c", setting)),
        "-C",
        str(repository),
        *command,
    )


def start(command: Sequence[str], environment: Mapping[str, str]) -> bytes:
    """Run one command to its end, bounded in time and output. Raises UsageError."""
    try:
        with subprocess.Popen(  # noqa: S603  # the command comes from arguments() above
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environment),
        ) as process:
            try:
                out, _ = process.communicate(timeout=DEADLINE_S)
            except subprocess.TimeoutExpired as error:
                process.kill()
                raise UsageError(f"git did not end within {DEADLINE_S:.0f} s") from error
    except OSError as error:
        raise UsageError(f"git cannot be started: {error.strerror}; is it installed?") from error
    if process.returncode != 0:
        raise UsageError(
            f"git {_verb(command)} failed with code {process.returncode}: is this a git "
            "repository with a commit, and does it belong to you?"
        )
    if len(out) > MAX_OUTPUT_BYTES:
        raise UsageError(f"git {_verb(command)} wrote more than {MAX_OUTPUT_BYTES} bytes")
    return out


def _verb(command: Sequence[str]) -> str:
    return command[command.index("-C") + 2] if "-C" in command else command[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Git:
    repository: Path
    run: Run
    environment: Mapping[str, str]

    def __call__(self, *command: str) -> bytes:
        return self.run(arguments(self.repository, *command), self.environment)


def _files(git: _Git) -> dict[str, Blob]:
    """Every file of the last commit by its path: "mode SP type SP id SP size TAB path NUL"."""
    found = {}
    for row in git("ls-tree", "-r", "-z", "--long", "--full-tree", "HEAD").split(b"\0"):
        head, _, raw = row.partition(b"\t")
        parts = head.decode("ascii", errors="replace").split()
        if len(parts) != 4 or parts[0] not in PLAIN_FILES or not parts[3].isdigit():
            continue
        path = raw.decode("utf-8", errors="replace")
        if path.isprintable():
            found[path] = Blob(id=parts[2], size=int(parts[3]))
    return found


def _newest(git: _Git, files: Mapping[str, Blob], one: Wanted) -> Found | None:
    for folder in one.folders:
        for path in (folder, *(f"{folder}{ending}" for ending in ENDINGS)):
            if path in files and files[path].size > 0:
                return _single(git, files[path], path)
        own = {
            path.removeprefix(f"{folder}/"): blob
            for path, blob in files.items()
            if path.startswith(f"{folder}/") and blob.size > 0
        }
        backups = sorted(
            name for name in own if "/" not in name and not name.startswith(".")
            and name != manifest.NAME
        )  # fmt: skip
        if not backups:
            continue
        taken_at, name = _last(git, folder, backups)
        return Found(
            path=f"{folder}/{name}",
            name=name,
            taken_at=taken_at,
            content=_content(git, own[name]),
            manifest_text=_manifest(git, own.get(manifest.NAME)),
            digest=lambda listed, own=own: _digest(git, own.get(listed)),  # type: ignore[misc]  # the default binds this turn's files
        )
    return None


def _single(git: _Git, blob: Blob, path: str) -> Found:
    """A file that is a device's backup by itself; a list of hashes has no place beside it."""
    return Found(
        path=path,
        name=path.rpartition("/")[2],
        taken_at=_committed(git, path),
        content=_content(git, blob),
        manifest_text=None,
        digest=lambda listed: None,
    )


def _last(git: _Git, folder: str, backups: Sequence[str]) -> tuple[datetime, str]:
    """The backup that the youngest commit on the folder touched, and when that was."""
    commit = (
        git("log", "-1", "--format=%H", "HEAD", "--", folder).decode("ascii", "replace").strip()
    )
    names = git(
        "diff-tree", "--no-commit-id", "--root", "-r", "-m", "--no-ext-diff", "--name-only", "-z",
        commit, "--", folder,
    ).decode("utf-8", errors="replace")  # fmt: skip
    touched = {name.removeprefix(f"{folder}/") for name in names.split("\0")}.intersection(backups)
    if touched:
        return _committed(git, f"{folder}/{max(touched)}"), max(touched)
    # The youngest commit only took files away.
    if len(backups) > MAX_ASKED:
        raise UsageError(f"more than {MAX_ASKED} backups in {folder!r:.100}, none of them new")
    return max((_committed(git, f"{folder}/{name}"), name) for name in backups)


def _committed(git: _Git, path: str) -> datetime:
    """When the last commit that touched this file was made."""
    out = git("log", "-1", "--format=%ct", "HEAD", "--", path).strip()
    if not out.isdigit():
        raise UsageError(f"git log told no time for {path!r:.100}")
    return datetime.fromtimestamp(int(out), tz=UTC)


def _content(git: _Git, blob: Blob) -> bytes | None:
    return git("cat-file", "blob", blob.id) if blob.size <= MAX_CONFIGURATION_BYTES else None


def _manifest(git: _Git, blob: Blob | None) -> str | None:
    if blob is None:
        return None
    if blob.size > manifest.MAX_BYTES:
        return "too large"
    return git("cat-file", "blob", blob.id).decode("utf-8", errors="replace")


def _digest(git: _Git, blob: Blob | None) -> str | None:
    if blob is None:
        return None
    if blob.size > MAX_OUTPUT_BYTES:
        raise manifest.TooLarge
    return hashlib.sha256(git("cat-file", "blob", blob.id)).hexdigest()
