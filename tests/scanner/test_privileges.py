"""What a process may do, as it is read and given up. Needs no root; what only root can give up is
tested in tests/integration/test_rights.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scanner import capture, privileges
from scanner.cli import rights

linux = pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")


def test_the_words_name_user_capabilities_and_no_new_privs() -> None:
    root = privileges.Standing(capabilities=0x2000, no_new_privs=True, user=0)
    user = privileges.Standing(capabilities=0, no_new_privs=False, user=1000)

    assert root.words == "root, capabilities 0x2000, no_new_privs set"
    assert user.words == "user 1000, capabilities 0x0, no_new_privs not set"


def test_a_system_without_capabilities_says_so() -> None:
    nothing = privileges.Standing(capabilities=None, no_new_privs=False, user=None)

    assert nothing.words == f"not measured: {sys.platform} has no capabilities to give up"


@linux
def test_this_process_is_read_as_the_kernel_tells_it() -> None:
    found = privileges.standing()
    text = Path("/proc/self/status").read_text(encoding="ascii")

    assert found.user == os.geteuid()
    assert f"CapEff:\t{found.capabilities:016x}" in text
    assert privileges.may_capture() is bool((found.capabilities or 0) >> 13 & 1)
    assert privileges.of_thread(f"self/task/{os.getpid()}") == found


@linux
def test_a_thread_that_is_gone_cannot_be_read() -> None:
    with pytest.raises(OSError, match="No such file"):
        privileges.of_thread("self/task/0")


@linux
def test_giving_up_leaves_nothing_whoever_starts_it() -> None:
    program = (
        "from scanner import privileges as p; print(p.drop().words); print(p.drop().words); "
        "print(p.may_capture())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    first, second, may = done.stdout.splitlines()

    assert first.endswith("capabilities 0x0, no_new_privs set")
    assert second == first, "it may be done again"
    assert may == "False"


def test_elsewhere_nothing_is_given_up_and_nothing_is_captured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")

    assert privileges.drop().capabilities is None
    assert not privileges.may_capture()
    assert capture.launch() is None
    assert rights.give_up(watch_packets=True) is None
    rights.check_files(read=[Path("nowhere")], write=[Path("nowhere")])
