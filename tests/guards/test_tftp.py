"""The TFTP guard: one read request for a file that is not there, and nothing else in any tier."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.guards import open_guard
from scanner.model import Tier

REQUEST = b"\x00\x01walkdown-no-such-file\x00octet\x00"


@pytest.mark.parametrize("tier", list(Tier))
def test_the_one_request_leaves_in_every_tier_that_asks(tier: Tier) -> None:
    guard = open_guard("tftp")

    assert guard.split(REQUEST) == ((REQUEST,), b"")
    assert (guard.judge(REQUEST, tier) is None) == (tier is not Tier.PASSIVE)


@pytest.mark.parametrize("tier", list(Tier))
def test_no_other_packet_leaves(tier: Tier) -> None:
    for opcode in (0, *range(2, 256)):
        for rest in (REQUEST[2:], b"\0\1", b"\0\0stopped\0", b""):
            assert open_guard("tftp").judge(bytes([0, opcode]) + rest, tier), opcode


@pytest.mark.parametrize("tier", list(Tier))
@pytest.mark.parametrize(
    "request_",
    [
        b"\x00\x01startup-config\x00octet\x00",
        b"\x00\x01*\x00octet\x00",
        b"\x00\x01../walkdown-no-such-file\x00octet\x00",
        b"\x00\x01/walkdown-no-such-file\x00octet\x00",
        b"\x00\x01walkdown-no-such-file\x00netascii\x00",
        b"\x00\x01walkdown-no-such-file\x00mail\x00",
        REQUEST + b"blksize\x001432\x00",
        REQUEST + REQUEST,
        REQUEST[:-1],
        b"\x00",
    ],
)
def test_no_other_name_mode_or_option_leaves(request_: bytes, tier: Tier) -> None:
    assert open_guard("tftp").judge(request_, tier)


@given(data=st.data())
def test_a_changed_byte_is_refused(data: st.DataObject) -> None:
    at, byte = data.draw(st.integers(0, len(REQUEST) - 1)), data.draw(st.integers(0, 255))
    changed = REQUEST[:at] + bytes([byte]) + REQUEST[at + 1 :]

    assert (open_guard("tftp").judge(changed, Tier.LOGIN) is None) == (changed == REQUEST)


@given(st.binary(max_size=100))
def test_a_datagram_is_never_cut(data: bytes) -> None:
    frames, rest = open_guard("tftp").split(data)

    assert b"".join(frames) + rest == data
