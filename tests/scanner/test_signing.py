"""The site's signing key: made once, kept to its owner, and told from everything else."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from scanner import evidence, signing
from scanner.errors import StoreError, UsageError


def test_a_key_is_made_once_for_its_owner_alone_with_its_public_half_beside(tmp_path: Path) -> None:
    path = tmp_path / "site.signing-key"

    first, second = signing.load_or_create(path), signing.load_or_create(path)

    assert first.public_key == second.public_key
    assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "site.signing-key.pub").read_text() == f"{first.public_key}\n"
    assert sorted(each.name for each in tmp_path.iterdir()) == [path.name, f"{path.name}.pub"]
    assert signing.is_signed(first.public_key, second.sign(b"end"), b"end")


def test_a_key_that_others_could_read_is_closed_and_a_wrong_public_half_mended(
    tmp_path: Path,
) -> None:
    path = tmp_path / "site.signing-key"
    signer = signing.load_or_create(path)
    path.chmod(0o644)
    path.with_name(f"{path.name}.pub").write_text("00" * 32 + "\n")

    signing.load_or_create(path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert signing.public_key(f"{path}.pub") == signer.public_key


def test_a_key_of_another_user_is_told_with_its_owner_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "site.signing-key"
    signing.load_or_create(path)
    path.chmod(0o644)

    def refuse(self: Path, mode: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(self))

    monkeypatch.setattr(Path, "chmod", refuse)

    with pytest.raises(StoreError, match="Operation not permitted: the signing key") as told:
        signing.load_or_create(path)
    assert f"belongs to {path.owner()}" in str(told.value)
    assert "hint: scan as that user" in str(told.value)


def other_kind() -> bytes:
    key = generate_private_key(SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    "content",
    [b"", b"nonsense", other_kind(), bytes(range(32))],
    ids=["empty", "text", "other kind", "bytes"],
)
def test_a_file_that_is_no_key_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "site.signing-key"
    path.write_bytes(content)

    with pytest.raises(StoreError, match="not a Walkdown signing key"):
        signing.load_or_create(path)
    assert path.read_bytes() == content


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"No such file|cannot"):
        signing.load_or_create(tmp_path / "missing" / "site.signing-key")


def test_a_public_key_is_taken_as_digits_as_their_file_and_as_pem(tmp_path: Path) -> None:
    path = tmp_path / "site.signing-key"
    signer = signing.load_or_create(path)
    key = load_pem_private_key(path.read_bytes(), None)
    pem = tmp_path / "public.pem"
    pem.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    for given_as in (signer.public_key, signer.public_key.upper(), f"{path}.pub", str(pem)):
        assert signing.public_key(given_as) == signer.public_key


@pytest.mark.parametrize("given_as", ["", "ab", "zz" * 32, "no such file", "a\x00b"])
def test_what_is_no_public_key_is_refused(given_as: str) -> None:
    with pytest.raises(UsageError):
        signing.public_key(given_as)


def test_a_private_key_is_not_taken_for_a_public_one(tmp_path: Path) -> None:
    path = tmp_path / "site.signing-key"
    signing.load_or_create(path)

    with pytest.raises(UsageError, match="no Ed25519 public key"):
        signing.public_key(str(path))


@given(key=st.text(max_size=70), signature=st.text(max_size=140), message=st.binary(max_size=40))
def test_no_key_and_no_signature_raise(key: str, signature: str, message: bytes) -> None:
    assert not signing.is_signed(key, signature, message)


def test_a_signature_is_for_its_message_and_key_only(tmp_path: Path) -> None:
    one = signing.load_or_create(tmp_path / "one")
    other = signing.load_or_create(tmp_path / "other")
    signature = one.sign(b"end")

    assert not signing.is_signed(one.public_key, signature, b"enD")
    assert not signing.is_signed(other.public_key, signature, b"end")
    assert not signing.is_signed(one.public_key, signature.upper(), b"end")
    assert not signing.is_signed(one.public_key, signature + "00", b"end")


def test_sealed_files_are_compared_and_never_looked_for_elsewhere(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "certificate.json").write_bytes(b"{}")
    (tmp_path / "outside").write_bytes(b"{}")
    whole = evidence.digest(b"{}")

    assert signing.file_problems(folder, {"certificate.json": whole}) == ()
    assert signing.file_problems(folder, {"certificate.json": "00" * 32})
    assert signing.file_problems(folder, {"missing": whole})
    for name in ("../outside", str(tmp_path / "outside"), "", "a\\b"):
        (problem,) = signing.file_problems(folder, {name: whole})
        assert "no file of a run" in problem
