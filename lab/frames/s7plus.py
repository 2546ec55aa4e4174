"""
S7comm-plus and the S7 beside which it stands on one port, as newer CPUs have both. Sources:
lab.frames.s7, which tells the requests of both apart.
"""

from __future__ import annotations

from lab.frames import s7
from lab.frames.form import Protocol

PROTOCOL = Protocol(
    name="s7plus",
    port=102,
    length=s7.length,
    classify=s7.classify,
    header=4,  # TPKT
    length_at=(2, 2, "big"),
    reference=s7.reference,
    busy=s7.s7_busy,
    latin_1=True,
    longest_text=32,
    syntax=frozenset({"like"}),
)
