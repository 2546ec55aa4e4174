"""A MAC address names who made the interface, where the registry tells it, and nobody else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.makers import maker


@pytest.mark.parametrize(
    ("mac", "name"),
    [
        ("00:0e:8c:ef:75:c5", "Siemens AG"),  # recorded SCALANCE X208
        ("00:a0:45:6d:d3:44", "Phoenix Contact GmbH & Co. KG"),  # recorded PROFINET controller
        ("00-90-E8-01-02-03", "MOXA TECHNOLOGIES CORP., LTD."),
        ("cc1b.e088.ffff", "MDT technologies GmbH"),  # 28 bits
        ("70:b3:d5:f2:f0:01", "TELEPLATFORMS"),  # 36 bits
        ("00:50:c2:7d:50:01", "DEUTA-WERKE GmbH"),  # 36 bits, of the older kind
    ],
)
def test_an_address_names_the_maker_of_the_interface(mac: str, name: str) -> None:
    assert maker(mac) == name


@pytest.mark.parametrize(
    "mac",
    [
        "52:54:00:12:34:56",  # local
        "02:60:8c:01:02:03",  # local by its bit, though once registered
        "01:00:5e:00:00:01",  # a group
        "ff:ff:ff:ff:ff:ff",
        "00:00:00:00:00:00",
        "00:00:5e:00:01:07",  # a virtual router
        "70:b3:d5:00:00:00",  # a part of a block that nobody has
        "fc:ff:aa:ff:ff:ff",  # the same, of 28 bits
        "f8:ff:ff:00:00:01",  # a block that nobody has
        "00:0e:8c",
        "name:PLC",
        "",
    ],
)
def test_an_address_of_nobody_has_no_maker(mac: str) -> None:
    assert maker(mac) is None


@given(st.text(max_size=40))
def test_any_text_is_looked_up_without_error(text: str) -> None:
    assert maker(text) is None or maker(text)
