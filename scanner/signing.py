"""
The site's signing key (Ed25519), which vouches for how a run ended.

The private key lies beside the site file as `NAME.signing-key` (PEM, mode 0600), made on first use;
`NAME.signing-key.pub` beside it holds the public key as 64 hex digits, to be handed over before the
scan. Keys and signatures travel as lower-case hex. What a signature proves and what not:
docs/decisions/0011-signed-end-record.md.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from scanner.database import STATE, put_in_place, translated
from scanner.errors import StoreError, UsageError

if TYPE_CHECKING:  # takes long to import, and most commands sign nothing
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_DIGITS, SIGNATURE_DIGITS = 64, 128
MOST_KEY_FILE = 4096
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs in the name of one site. `public_key` is what its signatures are checked with."""

    _key: Ed25519PrivateKey
    public_key: str

    def sign(self, message: bytes) -> str:
        return self._key.sign(message).hex()


def load_or_create(path: Path) -> Signer:
    """
    The site's key; made on first use, mode 0600, whole or not at all. Raises StoreError, also when
    the file holds something else than a key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    with translated(str(path), STATE):
        if not path.exists():
            _make_key(path)
        try:
            text = path.read_bytes()
            if os.name == "posix" and path.stat().st_mode & 0o077:
                path.chmod(0o600)
        except PermissionError as error:
            raise StoreError(
                f"{path}: {error.strerror}: the signing key of this site belongs to "
                f"{_owner(path)}\n  hint: scan as that user, or have the key given to you "
                "(chown); whoever has it signs in the name of this site"
            ) from error
    try:
        key = load_pem_private_key(text, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise StoreError(
            f"{path}: not a Walkdown signing key; restore it from a backup, or move it away: "
            "a new one is made then, and what it signs is signed by another key"
        )
    signer = Signer(key, key.public_key().public_bytes_raw().hex())
    _keep_public(path.with_name(path.name + ".pub"), signer.public_key)
    return signer


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except (OSError, KeyError, NotImplementedError):  # gone, unknown here, or Windows
        return "another user"


def _make_key(path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write_beside(path, text, 0o600)


def _keep_public(path: Path, public_key: str) -> None:
    text = f"{public_key}\n".encode("ascii")
    with translated(str(path), STATE):
        if path.exists() and path.read_bytes() == text:
            return
        path.unlink(missing_ok=True)
        _write_beside(path, text, 0o644)


def _write_beside(path: Path, content: bytes, mode: int) -> None:
    """Write beside, then link into place: a crash leaves no half key, two starters agree on one."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        put_in_place(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def is_signed(public_key: str, signature: str, message: bytes) -> bool:
    """Whether `signature` (128 hex digits) of `message` was made with this key. Never raises."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if not (is_hex(public_key, KEY_DIGITS) and is_hex(signature, SIGNATURE_DIGITS)):
        return False
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
        key.verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def is_hex(text: object, digits: int) -> bool:
    return isinstance(text, str) and len(text) == digits and set(text) <= _HEX


def public_key(given: str) -> str:
    """
    A public key as a user names it: 64 hex digits, or a file that holds them or a PEM public key.

    Raises UsageError.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if is_hex(given.lower(), KEY_DIGITS):
        return given.lower()
    try:
        with Path(given).open("rb") as file:
            content = file.read(MOST_KEY_FILE)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a file name"
        raise UsageError(
            f"--public-key {given}: neither 64 hex digits nor a file that can be read ({why})"
        ) from error
    text = content.decode("ascii", "replace").strip().lower()
    if is_hex(text, KEY_DIGITS):
        return text
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(
            f"{given}: no Ed25519 public key in it\n"
            "  hint: 64 hex digits, as in NAME.signing-key.pub beside the site file, or PEM"
        )
    return key.public_bytes_raw().hex()


def file_problems(folder: Path, digests: Mapping[str, str]) -> tuple[str, ...]:
    """Compare the files that a run was sealed with: problems, or () when each is as it was."""
    problems = []
    for name, wanted in sorted(digests.items()):
        if not is_file_name(name):
            problems.append(f"the end record names {name!r}, which is no file of a run")
            continue
        try:
            with (folder / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            problems.append(f"{name}: signed for, but it cannot be read ({error.strerror})")
            continue
        if found != wanted:
            problems.append(f"{name}: not the file that was signed for")
    return tuple(problems)


def is_file_name(name: str) -> bool:
    """Whether a name stays inside the run's folder."""
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts and "\\" not in name
