"""MQTT in TLS, of which a front sees TLS records. Source: RFC 8446 section 5.1."""

from __future__ import annotations

from lab.frames.form import Protocol

PROTOCOL = Protocol(
    name="mqtts",
    port=8883,
    probe="mqtt",
    begins=lambda data: data[:1] == b"\x16",
    header=5,  # TLS record
    length_at=(3, 2, "big"),  # that of the record
    length_once=True,
    certificate=True,
    accounts=True,
    syntax=frozenset({"anonymous", "refusal"}),
)
