"""MQTT 3.1.1. Source: OASIS MQTT 3.1.1 sections 2.2.1, 2.2.3 and 3.1."""

from __future__ import annotations

from lab.frames.form import Lie, Protocol, Seen, told
from lab.frames.looks import guess

TYPES = {1: "CONNECT", 3: "PUBLISH", 8: "SUBSCRIBE", 10: "UNSUBSCRIBE", 12: "PINGREQ",
         14: "DISCONNECT"}  # fmt: skip
ANSWERS = {2, 4, 9, 11, 13}
HARMLESS = {1, 12, 14}
"""Types that publish, subscribe or take back nothing; a CONNECT without a will."""
WILL = 0x04
NAMES = (b"\0\4MQTT", b"\0\6MQIsdp")
"""Of the protocol, in 3.1.1 and in 3.1."""


def _length(data: bytes) -> int | str | None:
    if data[0] >> 4 not in TYPES.keys() | ANSWERS:
        return "foreign" if guess(data) != "unknown" else f"type {data[0] >> 4}"
    if data.startswith((b"GET ", b"SSH-")):
        return "foreign"
    size = 0
    for at in range(1, 5):
        if len(data) <= at:
            return None
        size |= (data[at] & 0x7F) << 7 * (at - 1)
        if data[at] < 0x80:
            whole = at + 1 + size
            if whole > 1 << 20:
                return f"length {size}"
            return whole if len(data) >= whole else None
    return "length of more than four bytes"


def _classify(frame: bytes) -> Seen:
    kind = frame[0] >> 4
    if kind not in TYPES:
        return Seen(kind="malformed", function=f"type {kind} from a client")
    if kind == 1:
        name = next((each for each in NAMES if frame.startswith(each, 2)), None)
        if name is None or len(frame) < len(name) + 6:
            return Seen(kind="malformed", function="a CONNECT of another version")
        return Seen(kind="request", function="CONNECT", write=bool(frame[len(name) + 3] & WILL))
    return Seen(
        kind="request", function=TYPES[kind], write=kind not in HARMLESS, answered=kind != 14
    )


def _misstated(reply: bytes, lie: Lie) -> bytes:
    """A CONNACK has one byte of length."""
    if len(reply) < 2:
        return reply
    return reply[:1] + bytes([min(told(lie, reply[1], 1), 0x7F)]) + reply[2:]


PROTOCOL = Protocol(
    name="mqtt",
    port=1883,
    length=_length,
    classify=_classify,
    header=2,
    length_at=_misstated,
    filler=b"\x20\x02\x00\x00" * 4096,
    accounts=True,
    syntax=frozenset({"anonymous", "refusal"}),
)
