"""The FTP guard: a goodbye, two questions, an anonymous sign-in; by tier, once, nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import GuardRefused
from scanner.guards import open_guard
from scanner.model import Tier

NAME, PASSWORD = b"USER anonymous\r\n", b"PASS walkdown@example.invalid\r\n"
ALLOWED = {
    Tier.PASSIVE: frozenset[bytes](),
    Tier.IDENTIFY: frozenset({b"QUIT\r\n"}),
    Tier.READ: frozenset({b"QUIT\r\n", b"FEAT\r\n", b"SYST\r\n"}),
    Tier.LOGIN: frozenset({b"QUIT\r\n", b"FEAT\r\n", b"SYST\r\n", NAME}),
}
NEVER = (
    "STOR x", "STOU", "APPE x", "DELE x", "RMD x", "MKD x", "RNFR x", "RNTO x", "SITE CHMOD 777 x",
    "PORT 10,0,0,1,4,1", "PASV", "EPRT |1|10.0.0.1|1025|", "EPSV", "RETR x", "LIST", "NLST", "MLSD",
    "CWD /", "ALLO 1", "REIN", "SMNT /", "ACCT x", "ABOR", "STAT", "AUTH TLS", "USER admin",
    "USER ANONYMOUS", "PASS secret", "quit", "QUIT now", "FEAT\nDELE x", "",
)  # fmt: skip


@pytest.mark.parametrize("tier", list(Tier))
def test_each_tier_has_its_own_lines(tier: Tier) -> None:
    for line in (b"QUIT\r\n", b"FEAT\r\n", b"SYST\r\n", NAME, PASSWORD):
        assert (open_guard("ftp").judge(line, tier) is None) == (line in ALLOWED[tier])


@pytest.mark.parametrize("tier", list(Tier))
@pytest.mark.parametrize("command", NEVER)
def test_nothing_that_transfers_changes_or_names_somebody_leaves(command: str, tier: Tier) -> None:
    line = command.encode() + b"\r\n"

    assert open_guard("ftp").judge(line, tier)
    signed_in = open_guard("ftp")
    signed_in.judge(NAME, tier)
    signed_in.judge(PASSWORD, tier)
    assert signed_in.judge(line, tier)


def test_a_password_follows_its_name_once() -> None:
    guard = open_guard("ftp")

    assert guard.judge(PASSWORD, Tier.LOGIN)
    assert guard.judge(NAME, Tier.LOGIN) is None
    assert guard.judge(PASSWORD, Tier.LOGIN) is None
    assert guard.judge(PASSWORD, Tier.LOGIN)
    assert guard.judge(NAME, Tier.LOGIN)


def test_nothing_follows_a_goodbye() -> None:
    guard = open_guard("ftp")

    assert guard.judge(b"QUIT\r\n", Tier.LOGIN) is None
    assert all(guard.judge(line, Tier.LOGIN) for line in (b"QUIT\r\n", b"FEAT\r\n", NAME))


def test_lines_are_cut_apart_and_long_ones_refused() -> None:
    assert open_guard("ftp").split(b"FEAT\r\nSYST\r\nQU") == ((b"FEAT\r\n", b"SYST\r\n"), b"QU")
    with pytest.raises(GuardRefused, match="longer"):
        open_guard("ftp").split(b"A" * 40)


@given(line=st.sampled_from(sorted(ALLOWED[Tier.LOGIN])), data=st.data())
def test_a_changed_byte_is_refused_unless_it_makes_another_line(
    line: bytes, data: st.DataObject
) -> None:
    at, byte = data.draw(st.integers(0, len(line) - 1)), data.draw(st.integers(0, 255))
    changed = line[:at] + bytes([byte]) + line[at + 1 :]

    accepted = open_guard("ftp").judge(changed, Tier.LOGIN) is None
    assert accepted == (changed in ALLOWED[Tier.LOGIN])


@given(st.binary(max_size=100))
def test_any_bytes_are_cut_without_loss_or_refused(data: bytes) -> None:
    try:
        frames, rest = open_guard("ftp").split(data)
    except GuardRefused:
        return
    assert b"".join(frames) + rest == data
