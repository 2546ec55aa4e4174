"""TDS packets. Source: MS-TDS section 2.2.3.1 (header, types); all numbers big-endian."""

from __future__ import annotations

from lab.frames.form import Protocol, Seen
from lab.frames.looks import guess

TYPES = {
    0x01: "SQL batch", 0x03: "RPC", 0x04: "result", 0x06: "attention", 0x07: "bulk load",
    0x0E: "transaction", 0x10: "LOGIN7", 0x11: "SSPI", 0x12: "PRELOGIN",
}  # fmt: skip


def _length(data: bytes) -> int | str | None:
    if data[0] not in TYPES or guess(data) == "http":
        return "foreign"
    if len(data) < 4:
        return None
    length = int.from_bytes(data[2:4], "big")
    if length < 8:
        return f"length {length}"
    return length if len(data) >= length else None


def _classify(frame: bytes) -> Seen:
    name = TYPES[frame[0]]
    return Seen(kind="request", function=name, write=name != "PRELOGIN")


PROTOCOL = Protocol(
    name="mssql",
    port=1433,
    length=_length,
    classify=_classify,
    header=8,
    length_at=(2, 2, "big"),
    syntax=frozenset({"version", "encryption"}),
)
