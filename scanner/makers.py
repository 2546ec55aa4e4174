"""
To whom a MAC address is assigned: the maker of a network interface, by the IEEE's registry.

It names who made the interface, which need not be who made the device: a station that calls itself
S7-300 was recorded with one of Lite-On. So it stands beside the address and never in an identity.

Blocks of 24 bits come from the package netutils. Under many of them the IEEE assigns smaller ones
(28 and 36 bits), where small makers of plant equipment are found; these are ours
(data/mac_blocks.tsv, its head says whence). The longest block that fits decides. An address that
was assigned locally, a group's address, and one in a block that is assigned to nobody but the
registry itself have no maker.

Source: IEEE 802-2014 clause 8.2 (the two lowest bits of the first byte: group and local), 8.4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

GROUP: Final = 0x01
LOCAL: Final = 0x02
NOBODY: Final = frozenset({"", "private", "ieee registration authority", "icann, iana department"})
"""Names in the registry that tell no maker: hidden, parted further, or shared by routers (VRRP)."""


def maker(mac: str) -> str | None:
    """The organization, in the registry's words; None where there is none."""
    digits = re.sub(r"[:.-]", "", mac).lower()
    if not re.fullmatch(r"[0-9a-f]{12}", digits) or not digits.strip("0"):
        return None
    if int(digits[:2], 16) & (GROUP | LOCAL):
        return None
    small = _small_blocks()
    for name in (small.get(digits[:9]), small.get(digits[:7]), _large_blocks().get(digits[:6])):
        if name is not None:
            shown = " ".join(name.split()).strip(" ,;")
            return None if shown.casefold() in NOBODY else shown
    return None


@cache
def _small_blocks() -> Mapping[str, str]:
    text = (files("scanner") / "data" / "mac_blocks.tsv").read_text(encoding="utf-8")
    rows = (line.partition("\t") for line in text.splitlines() if not line.startswith("#"))
    return {block: name for block, _, name in rows}


def _large_blocks() -> Mapping[str, str]:
    # Imported late: it costs a sixth of a second, and many runs meet no MAC address.
    from netutils.data_files.oui_mappings import OUI_MAPPINGS

    return OUI_MAPPINGS
