"""
Where the operator's own secrets come from: a file or an environment variable, named in the site.

The site file holds references ("file:secrets/sw-01", "env:WALKDOWN_SW01"), never secrets. The
environment and the folder are arguments; the value goes straight into a spec.Secret.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from scanner.errors import UsageError
from scanner.spec import Secret

MAX_BYTES = 4096


def resolve(
    reference: str, *, environment: Mapping[str, str], folder: Path, check_mode: bool = True
) -> Secret:
    """
    The secret behind a reference. Relative files are looked up in `folder`.

    `check_mode` is False where file modes mean nothing (Windows). One line end at the end of a
    file is dropped. Raises UsageError with what to do; its text holds names, never content.
    """
    kind, separator, name = reference.partition(":")
    if not separator or not name or kind not in ("file", "env"):
        # The text itself is not repeated: it may be a password written in the wrong place.
        raise UsageError(
            'a secret is given as "file:PATH" or "env:NAME"; never write the secret itself here'
        )
    if kind == "env":
        return _from_environment(name, environment)
    return _from_file(folder / name, check_mode)


def _from_environment(name: str, environment: Mapping[str, str]) -> Secret:
    value = environment.get(name)
    if not value:
        raise UsageError(f"the environment variable {name} is not set; set it and start again")
    return Secret(value)


def _from_file(path: Path, check_mode: bool) -> Secret:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise UsageError(f"the secret file {path} cannot be read: {error.strerror}") from error
    try:
        # Of the opened file, so that it cannot be exchanged between the look and the reading.
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise UsageError(f"the secret file {path} is not a plain file")
        if check_mode and state.st_mode & 0o077:
            raise UsageError(f"the secret file {path} can be used by others; run: chmod 600 {path}")
        content = os.read(descriptor, MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > MAX_BYTES:
        raise UsageError(f"the secret file {path} is larger than {MAX_BYTES} bytes")
    try:
        value = content.decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"the secret file {path} is not UTF-8 text") from None
    value = value.removesuffix("\n").removesuffix("\r")
    if not value or "\n" in value or "\0" in value:
        raise UsageError(f"the secret file {path} must hold the secret on one line")
    return Secret(value)
