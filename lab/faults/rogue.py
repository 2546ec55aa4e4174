"""
Devices that lure: they stand where a trusted one should, and take every secret they are given.

What was taken is never kept. A ledger counts secrets (`secret received`), and those that are one
of the `canaries`, the secrets that a proof has planted (`canary received`).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from lab import frames
from lab.faults.base import Behaviour, Fault, Line, Settings


def spellings(canary: str) -> tuple[bytes, ...]:
    """How a secret may stand in a stream: as it is, in base64 at each offset, in hex, as UTF-16."""
    raw = canary.encode()
    encoded = [raw, raw.hex().encode(), raw.hex().upper().encode(), canary.encode("utf-16-le")]
    for offset in range(3):
        whole = base64.b64encode(b"\0" * offset + raw)
        start = (offset * 8 + 5) // 6  # the characters that depend on bytes before it are left out
        end = (offset + len(raw)) * 8 // 6
        encoded.append(whole[start:end])
    return tuple(encoded)


class _Listening(Fault):
    """Looks for canaries in what a client sends in clear; the emulators look in the logins."""

    def __init__(self, canaries: Sequence[str]) -> None:
        self._wanted = [spelling for canary in canaries for spelling in spellings(canary)]
        self._longest = max((len(each) for each in self._wanted), default=1)
        self._kept: dict[Line, bytes] = {}

    async def up(self, data: bytes, line: Line) -> bytes:
        window = self._kept.get(line, b"") + data
        found = [each for each in self._wanted if each in window]
        if found:
            line.count("canary received")
            window = b""
        self._kept[line] = window[-self._longest :]
        return data

    def gone(self, line: Line) -> None:
        self._kept.pop(line, None)


def _lure(protocol: str, settings: Settings, parameters: Mapping[str, Any]) -> Settings:
    how = str(parameters["how"])
    altered: Settings = {
        **settings,
        "canaries": list(parameters["canaries"]),
        "accept_any": how == "accepts",
    }
    if how == "asks_again":
        altered["users"] = {}
    known = frames.protocol(protocol)
    if known is not None and known.lure is not None:
        altered.update(known.lure(settings))
    return altered


def _redirect(protocol: str, settings: Settings, parameters: Mapping[str, Any]) -> Settings:
    known = frames.protocol(protocol)
    if known is None or not known.pages:
        return settings
    return {**settings, "redirect": str(parameters["to"])}


FAULTS = (
    Behaviour(
        name="rogue",
        meaning="Stands where another device was, with another host key or certificate, and takes "
        "every secret: it accepts all of them, or refuses all and asks again.",
        make=lambda _, p: _Listening([str(each) for each in p["canaries"]]),
        alter=_lure,
        parameters={"how": "accepts", "canaries": []},
        variants=({}, {"how": "asks_again"}),
        needs=lambda known: known.lure is not None,
        because="such a protocol (Modbus, S7, EtherNet/IP) carries no secret that could be lured",
    ),
    Behaviour(
        name="redirects",
        meaning="Sends every request to another host or port.",
        make=lambda _, p: _Listening([str(each) for each in p["canaries"]]),
        alter=_redirect,
        parameters={"to": "http://192.0.2.1/login", "canaries": []},
        variants=({}, {"to": "http://127.0.0.1:8080/"}, {"to": "/"}),
        needs=lambda known: known.pages,
        because="of the protocols here only HTTP sends a client elsewhere",
    ),
)
