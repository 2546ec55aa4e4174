"""NTP: a server's time of each stratum, and recorded variables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import probes.ntp
from tests.fuzz.seeds.form import banners, captured, script
from tests.fuzz.session import Dialogue


def server(stratum: int, reference: bytes) -> bytes:
    return (
        bytes([0x1C, stratum, 6, 0xEC]) + bytes(8) + reference + bytes(8) + b"walkdown" + bytes(16)
    )


def response(data: bytes) -> bytes:
    return bytes.fromhex("168257440618000000 00".replace(" ", "")) + len(data).to_bytes(
        2, "big"
    ) + data  # fmt: skip


def dialogues(captures: Path) -> Iterator[Dialogue]:
    for stratum, reference in ((0, b"RATE"), (1, b"GPS\0"), (3, b"\xc0\0\2\1"), (16, bytes(4))):
        said = script(server(stratum, reference))
        yield Dialogue(name=f"stratum {stratum}", probe=probes.ntp.PROBE, answer=said)
    for record in captured(captures, "ntp__*.json"):
        reply = bytes.fromhex(record["exchanges"][0]["response_hex"])
        said = script(reply[:2] + b"\x57\x44" + reply[4:])
        yield Dialogue(name=record["id"], probe=probes.ntp.READ_PROBE, answer=said)
    for i, text in enumerate(banners(captures, "ntp_banners")):
        said = script(response(text.encode()))
        yield Dialogue(name=f"banner {i}", probe=probes.ntp.READ_PROBE, answer=said)


def samples(captures: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    for text in banners(captures, "ntp_banners"):
        yield "ntp", partial(probes.ntp.decode_variables, text.encode())
