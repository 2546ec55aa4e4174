from __future__ import annotations

import os
import traceback

import pytest

from credentials.secrets import MAX_BYTES, resolve
from scanner.errors import UsageError

CANARY = "correct-horse-canary"


@pytest.fixture
def secret_file(tmp_path):
    path = tmp_path / "sw-01"
    path.write_text(CANARY + "\n", encoding="utf-8")
    path.chmod(0o600)
    return path


def test_a_secret_comes_from_a_file_without_its_line_end(tmp_path, secret_file):
    secret = resolve("file:sw-01", environment={}, folder=tmp_path)

    assert secret.reveal() == CANARY
    assert CANARY not in repr(secret)


def test_an_absolute_file_is_taken_as_it_is(tmp_path, secret_file):
    other = tmp_path / "elsewhere"

    assert resolve(f"file:{secret_file}", environment={}, folder=other).reveal() == CANARY


def test_a_secret_comes_from_the_environment_that_is_passed_in(tmp_path):
    secret = resolve("env:SW01", environment={"SW01": CANARY}, folder=tmp_path)

    assert secret.reveal() == CANARY


@pytest.mark.parametrize("environment", [{}, {"SW01": ""}, {"sw01": CANARY}])
def test_a_variable_that_is_not_set_is_named(tmp_path, environment):
    with pytest.raises(UsageError, match="SW01 is not set"):
        resolve("env:SW01", environment=environment, folder=tmp_path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o777])
def test_a_file_that_others_may_touch_is_refused_with_the_remedy(tmp_path, secret_file, mode):
    secret_file.chmod(mode)

    with pytest.raises(UsageError, match="chmod 600"):
        resolve("file:sw-01", environment={}, folder=tmp_path)


def test_where_modes_mean_nothing_they_are_not_checked(tmp_path, secret_file):
    secret_file.chmod(0o644)

    secret = resolve("file:sw-01", environment={}, folder=tmp_path, check_mode=False)

    assert secret.reveal() == CANARY


@pytest.mark.parametrize("reference", [CANARY, f"pass:{CANARY}", f"{CANARY}:", "file:", "env:", ""])
def test_a_password_in_the_place_of_a_reference_is_refused_and_not_repeated(tmp_path, reference):
    with pytest.raises(UsageError) as caught:
        resolve(reference, environment={}, folder=tmp_path)

    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", f"{CANARY}\nsecond\n".encode(), CANARY.encode() + b"\0", CANARY.encode() + b"\xff",
     CANARY.encode() + b"x" * MAX_BYTES],
)  # fmt: skip
def test_content_that_is_no_single_line_is_refused_and_not_shown(tmp_path, secret_file, content):
    secret_file.write_bytes(content)

    with pytest.raises(UsageError) as caught:
        resolve("file:sw-01", environment={}, folder=tmp_path)

    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_what_is_no_plain_file_is_refused_at_once(tmp_path, kind):
    path = tmp_path / "x"
    if kind == "folder":
        path.mkdir(mode=0o700)
    if kind == "pipe":
        os.mkfifo(path, 0o600)

    with pytest.raises(UsageError, match="secret file"):
        resolve("file:x", environment={}, folder=tmp_path)
