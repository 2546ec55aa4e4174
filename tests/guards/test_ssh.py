"""The SSH guard: phases, the key exchange's numbers, and how much cipher text may leave."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.errors import GuardRefused
from scanner.guards import open_guard, specs
from scanner.guards.ssh import OPAQUE_CHUNK_MAX, OPAQUE_TOTAL_MAX
from scanner.model import Tier

OURS = b"SSH-2.0-Walkdown\r\n"
ALLOWED = {1, 2, 3, 4, 20, 21, 30, 31, 32, 33, 34}


def packet(number: int, payload: bytes = b"x" * 11) -> bytes:
    body = bytes([number]) + payload
    padding = 4 + (-(5 + len(body) + 4)) % 8
    return (1 + len(body) + padding).to_bytes(4, "big") + bytes([padding]) + body + bytes(padding)


def guard_after(*frames: bytes, tier: Tier = Tier.READ):  # type: ignore[no-untyped-def]
    guard = open_guard("ssh")
    for frame in frames:
        assert guard.judge(frame, tier) is None
    return guard


@pytest.mark.parametrize("line", [OURS, b"SSH-2.0-paramiko_4.0.0\r\n"])
def test_our_identification_may_leave(line: bytes) -> None:
    assert open_guard("ssh").judge(line, Tier.IDENTIFY) is None


@pytest.mark.parametrize(
    "line",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"SSH-2.0-Walkdown\n",
        b"SSH-2.0-Walkdown ; reload\r\n",
        b"SSH-2.0-Walkdown\r\nmore\r\n",
        b"SSH-1.5-Walkdown\r\n",
        b"GET / HTTP/1.0\r\n",
        b"SSH-2.0-Walkdown" + b"a" * 60 + b"\r\n",
        b"",
    ],
)
def test_another_first_line_is_refused(line: bytes) -> None:
    assert open_guard("ssh").judge(line, Tier.LOGIN)


def test_nothing_leaves_in_the_passive_tier() -> None:
    assert open_guard("ssh").judge(OURS, Tier.PASSIVE)


@given(st.binary(max_size=80))
def test_identify_sends_nothing_after_its_line(data: bytes) -> None:
    guard = guard_after(OURS, tier=Tier.IDENTIFY)

    assert guard.judge(data, Tier.IDENTIFY)
    assert guard.judge(packet(20), Tier.IDENTIFY)


@pytest.mark.parametrize("tier", [Tier.READ, Tier.LOGIN])
def test_every_message_number_off_the_list_is_refused(tier: Tier) -> None:
    for number in range(256):
        reason = guard_after(OURS, packet(20), tier=tier).judge(packet(number), tier)

        if number in ALLOWED - {20}:  # KEXINIT comes once
            assert reason is None
        else:
            assert f"{number}" in (reason or "")


@pytest.mark.parametrize("number", sorted(ALLOWED - {1, 2, 3, 4, 20}))
def test_no_key_exchange_before_kexinit(number: int) -> None:
    assert guard_after(OURS).judge(packet(number), Tier.READ)


def test_the_whole_handshake_is_cut_and_passes() -> None:
    guard = open_guard("ssh")
    parts = [OURS, packet(20, b"k" * 900), packet(30), packet(21), b"\x99" * 64]

    frames, rest = guard.split(b"".join(parts))

    assert list(frames) == parts
    assert rest == b""
    assert [guard.judge(frame, Tier.READ) for frame in frames] == [None] * 5
    assert guard.split(b"\x01\x02") == ((b"\x01\x02",), b"")


@given(st.integers(1, 30))
def test_a_packet_in_pieces_waits_for_its_rest(cut: int) -> None:
    guard = guard_after(OURS)
    whole = packet(20, b"k" * 40)

    assert guard.split(whole[:cut]) == ((), whole[:cut])
    assert guard.split(whole) == ((whole,), b"")


@given(st.binary(max_size=300))
def test_any_bytes_are_cut_or_refused(data: bytes) -> None:
    for guard in (open_guard("ssh"), guard_after(OURS), guard_after(OURS, packet(20), packet(21))):
        try:
            frames, rest = guard.split(data)
        except GuardRefused:
            continue
        assert b"".join(frames) + rest == data


@given(st.binary(max_size=200))
def test_any_bytes_in_the_key_exchange_are_refused_unless_one_listed_packet(data: bytes) -> None:
    reason = guard_after(OURS, packet(20)).judge(data, Tier.READ)

    if reason is None:
        assert len(data) == 4 + int.from_bytes(data[:4], "big")
        assert data[5] in ALLOWED


@pytest.mark.parametrize(
    "frame",
    [
        packet(30) + b"tail",
        packet(30)[:-1],
        b"\xff\xff\xff\xff\x04\x1e" + b"x" * 20,
        b"\x00\x00\x00\x0c\x00\x1e" + b"x" * 10,
        b"\x00\x00\x00\x0c\x0c\x1e" + b"x" * 10,
        b"\x00\x00\x00\x0d\x04\x1e" + b"x" * 11,
    ],
)
def test_a_malformed_packet_is_refused(frame: bytes) -> None:
    assert guard_after(OURS, packet(20)).judge(frame, Tier.READ)


def test_cipher_text_is_bounded_in_piece_and_in_all() -> None:
    guard = guard_after(OURS, packet(20), packet(21))

    assert guard.judge(b"c" * (OPAQUE_CHUNK_MAX + 1), Tier.READ)
    for _ in range(OPAQUE_TOTAL_MAX // OPAQUE_CHUNK_MAX):
        assert guard.judge(b"c" * OPAQUE_CHUNK_MAX, Tier.READ) is None
    assert guard.judge(b"c", Tier.READ)


BANNER = b"SSH-2.0-dropbear_2012.55\r\n"


@pytest.mark.parametrize(
    ("said", "computing"),
    [
        (b"", False),
        (BANNER, False),
        (BANNER + packet(20)[:-1], False),
        (BANNER + packet(20), True),
        (b"be careful\r\n" + BANNER + packet(4) + packet(20), True),
        (BANNER + packet(20) + packet(31), True),
        (BANNER + packet(20) + packet(31) + packet(21), False),
        (BANNER + packet(20) + packet(31) + packet(21) + b"cipher text", False),
        (b"220 ready\r\n", False),
        (b"x" * 300, False),
        (BANNER + b"\xff" * 40, False),
    ],
)
def test_a_server_computes_between_its_lists_and_its_new_keys(said: bytes, computing: bool) -> None:
    assert specs()["ssh"].is_computing(said) is computing


@given(st.binary(max_size=600))
def test_no_bytes_of_a_server_break_the_look_at_its_key_exchange(said: bytes) -> None:
    assert specs()["ssh"].is_computing(BANNER + said) in (True, False)
    assert specs()["ssh"].is_computing(said) in (True, False)
