"""
Tank gauges: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET

REVISION = b"\x01I90200\n"

WRITES: Requests = {
    "atg name of a tank": ("tcp", 10001, (b"\x01S60201DIESEL\n",)),
    "atg clock": ("tcp", 10001, (b"\x01S501002611302000\n",)),
    "atg reset": ("tcp", 10001, (b"\x01S00100\n",)),
    "atg alarm reset": ("tcp", 10001, (REVISION, b"\x01S00300\n")),
    "atg alarm reset as some tools send it": ("tcp", 10001, (b"\x01IS00300\n",)),
    "atg limit in the form for computers": ("tcp", 10001, (b"\x01s62801461C4000\n",)),
}

NOT_ONLY_READING: Requests = {
    "atg inventory": ("tcp", 10001, (b"\x01I20100\n",)),
    "atg inventory for computers": ("tcp", 10001, (b"\x01i20100\n",)),
    "atg revision of another device": ("tcp", 10001, (b"\x01I90201\n",)),
}

HARMLESS: Requests = {
    "atg identify": ("tcp", 10001, (REVISION,)),
}

FOREIGN: Foreign = {
    "HTTP to a tank gauge": ("tcp", 10001, GET),
    "a stray byte behind a tank gauge's function": ("tcp", 10001, REVISION + b"\x00"),
    "a function without its SOH": ("tcp", 10001, REVISION[1:]),
}
