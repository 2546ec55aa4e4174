from __future__ import annotations

import hashlib
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.backups.manifest import MAX_LINES, TooLarge, is_inside, parse, verify

FILES = {"a.cfg": b"alpha", "b.cfg": b"beta"}
HASHES = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
WHOLE = "".join(f"{digest}  {name}\n" for name, digest in HASHES.items())


def test_a_whole_backup_agrees():
    verdict = verify(WHOLE, "b.cfg", HASHES.get)

    assert verdict.ok is True


@pytest.mark.parametrize(
    ("text", "newest", "ok"),
    [
        (WHOLE.replace(HASHES["a.cfg"], "0" * 64), "b.cfg", False),
        (WHOLE + f"{'0' * 64}  gone.cfg\n", "b.cfg", False),
        (WHOLE + f"{'0' * 64}  ../../etc/shadow\n", "b.cfg", False),
        (WHOLE + "no hash here\n", "b.cfg", False),
        (WHOLE, "c.cfg", None),
        ("", "b.cfg", None),
        ("\n\n", "b.cfg", None),
        ("x  a\n" * (MAX_LINES + 1), "b.cfg", False),
    ],
)
def test_what_does_not_agree_fails_and_what_is_not_listed_is_unknown(text, newest, ok):
    verdict = verify(text, newest, HASHES.get)

    assert verdict.ok is ok
    assert verdict.note


def test_a_file_too_large_to_hash_is_unknown_unless_another_differs():
    def digest(name):
        if name == "a.cfg":
            raise TooLarge
        return HASHES.get(name)

    assert verify(WHOLE, "b.cfg", digest).ok is None
    assert verify(WHOLE.replace(HASHES["b.cfg"], "0" * 64), "b.cfg", digest).ok is False


def test_a_listed_name_outside_the_folder_is_never_opened():
    asked = []

    verify(f"{'0' * 64}  ../secret\n", "b.cfg", asked.append)

    assert asked == []


@pytest.mark.parametrize(
    "name",
    ["../x", "a/../../x", "/etc/passwd", "\\\\nas\\x", "C:x", "c:\\x", "~/x", "a//b", ".", "",
     "a/./b", "a\\..\\b", "x\x1b[2J"],
)  # fmt: skip
def test_names_that_leave_the_folder_are_recognised(name):
    assert not is_inside(name)


@pytest.mark.parametrize("name", ["a.cfg", "a/b.cfg", "..a", "a..b", "Sicherung für Pumpe.zip"])
def test_names_that_stay_inside_are_allowed(name):
    assert is_inside(name)


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="needs sha256sum")
def test_what_the_tool_itself_writes_is_understood(tmp_path):
    for name in ("plain.cfg", "with blank.cfg", "back\\slash.cfg"):
        (tmp_path / name).write_bytes(name.encode())
    text = subprocess.run(
        ["sh", "-c", "sha256sum ./* && sha256sum -b plain.cfg"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    listed = parse(text)

    assert {name for name, _ in listed} == {"plain.cfg", "with blank.cfg", "back\\slash.cfg"}
    assert all(hashlib.sha256(name.encode()).hexdigest() == digest for name, digest in listed)


@given(st.text(max_size=200))
def test_any_text_gives_a_verdict(text):
    verdict = verify(text, "a.cfg", HASHES.get)

    assert verdict.ok in (True, False, None)
