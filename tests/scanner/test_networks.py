"""Which networks an address lies in: the same as asking each of them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st

from scanner.networks import Address, Network, Networks

numbers = st.integers(0, 2**6 - 1)


def four(number: int, length: int) -> IPv4Network:
    return IPv4Network((int(IPv4Address("10.0.0.0")) + number, length), strict=False)


def six(number: int, length: int) -> IPv6Network:
    return IPv6Network((int(IPv6Address("fd00::")) + number, length), strict=False)


networks = st.one_of(
    st.builds(four, numbers, st.integers(24, 32)), st.builds(six, numbers, st.integers(120, 128))
)
addresses = st.one_of(
    numbers.map(lambda n: IPv4Address("10.0.0.0") + n),
    numbers.map(lambda n: IPv6Address("fd00::") + n),
)


@given(st.lists(networks, max_size=12), addresses)
def test_it_names_those_that_hold_the_address_in_their_order(
    several: list[Network], address: Address
) -> None:
    assert Networks(several).holding(address) == [one for one in several if address in one]


def test_the_widest_and_the_narrowest() -> None:
    both = Networks([ip_network("0.0.0.0/0"), ip_network("::/0"), ip_network("10.0.0.1/32")])

    assert [str(one) for one in both.holding(ip_address("10.0.0.1"))] == [
        "0.0.0.0/0", "10.0.0.1/32",
    ]  # fmt: skip
    assert [str(one) for one in both.holding(ip_address("::ffff:10.0.0.1"))] == ["::/0"]
    assert Networks(()).holding(ip_address("10.0.0.1")) == []
