"""What promises 26 and 27 search for: every way in which a secret may look."""

from __future__ import annotations

import base64
import hashlib

import pytest

from tests.proof.promises.p26_no_secret_to_strangers import forms, md4
from tests.proof.promises.p27_secrets import type7

SECRET = "canary-0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (b"", "31d6cfe0d16ae931b73c59d7e0c089c0"),
        (b"abc", "a448017aaf21d8525fc10ae87aa6729d"),
        (b"message digest", "d9130a8164549fe818874806e1c7014b"),
        ("password".encode("utf-16-le"), "8846f7eaee8fb117ad06bdd830b7586c"),
    ],
)
def test_md4_gives_the_values_of_its_specification(text: bytes, digest: str) -> None:
    assert md4(text).hex() == digest


@pytest.mark.parametrize("before", [b"", b"x", b"xy", b"xyz", b"walkdown:"])
@pytest.mark.parametrize("after", [b"", b"\n", b"zz"])
def test_base64_is_found_at_every_alignment(before: bytes, after: bytes) -> None:
    wire = base64.b64encode(before + SECRET.encode() + after)

    assert any(form in wire for name, form in forms(SECRET).items() if name.startswith("base64"))


@pytest.mark.parametrize(
    "wire",
    [
        SECRET.encode(),
        SECRET.encode().hex().encode(),
        SECRET.encode("utf-16-le"),
        hashlib.sha256(SECRET.encode()).digest(),
        hashlib.sha1(SECRET.encode(), usedforsecurity=False).hexdigest().encode(),
        md4(SECRET.encode("utf-16-le")),
    ],
)
def test_other_forms_are_found(wire: bytes) -> None:
    assert any(form in b"before" + wire + b"after" for form in forms(SECRET).values())
    assert not any(form in b"canary-fedcba9876543210" for form in forms(SECRET).values())


@pytest.mark.parametrize(
    ("clear", "first", "kept"),
    [("cisco", 8, "0822455D0A16"), ("cisco", 5, "05080F1C2243"), ("class", 13, "13061B13181F")],
)
def test_type_7_gives_the_values_that_others_publish(clear: str, first: int, kept: str) -> None:
    """Those that the README of Cairnarvon/type7 shows."""
    assert type7(clear, first) == kept
