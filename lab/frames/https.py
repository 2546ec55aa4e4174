"""HTTPS, of which a front sees TLS records. Source: RFC 8446 section 5.1."""

from __future__ import annotations

from lab.frames.form import Protocol
from lab.frames.http import lure_of_a_page

PROTOCOL = Protocol(
    name="https",
    port=443,
    probe="http",
    begins=lambda data: data[:1] == b"\x16",
    header=5,  # TLS record
    length_at=(3, 2, "big"),  # that of the record
    length_once=True,
    pages=True,
    certificate=True,
    accounts=True,
    lure=lambda settings: {
        "tls": "good",
        "certificate_name": "rogue",
        **lure_of_a_page(settings),
    },
)
