"""What promises 26 and 27 search for: every way in which a secret may look."""

from __future__ import annotations

import base64
import hashlib

import pytest

from tests.proof.promises.p26_no_secret_to_strangers import forms, lured, md4
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


@pytest.mark.parametrize(
    ("port", "said", "faults"),
    [
        (21, b"USER anonymous\r\nPASS walkdown@example.invalid\r\nQUIT\r\n", 0),
        (21, b"USER admin\r\n", 2),
        (21, b"USER anonymous\r\nPASS westermo\r\n", 1),
        (389, bytes.fromhex("300c020101600702010304008000"), 1),  # an anonymous bind
        (1883, bytes.fromhex("100d00044d51545404020000000177"), 0),  # nobody's name
        (1883, bytes.fromhex("101200044d5154540482000000017700036f7072"), 1),  # a user name
        (3389, bytes.fromhex("030000130ee000000000000100080003000000"), 0),
        (3389, bytes.fromhex("030000130ee000000000000100080003000000") + b"\x16\x03\x01", 1),
        (25, b"EHLO", 0),  # where nothing may be said, that is judged elsewhere
    ],
)
def test_what_a_stranger_may_be_told_where_it_answers(port: int, said: bytes, faults: int) -> None:
    assert len(lured("127.0.0.1", port, said)) == faults
