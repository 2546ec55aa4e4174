"""Network UPS Tools: a version, supplies with their fields, errors in place of each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import probes.nut
from tests.fuzz.seeds.form import script
from tests.fuzz.session import Dialogue

OUR_PARAMETERS = ("what", "name", "supply")
VERSION = b"Network UPS Tools upsd 2.8.0 - http://www.networkupstools.org/\n"
SUPPLIES = b'BEGIN LIST UPS\nUPS rack1 "Rack \\"1\\""\nUPS rack2 "Rack 2"\nEND LIST UPS\n'
FIELDS = (
    b'BEGIN LIST VAR rack1\nVAR rack1 battery.charge "100"\nVAR rack1 device.mfr "EATON"\n'
    b'VAR rack1 device.model "5PX 1500"\nVAR rack1 device.serial "G118Z"\n'
    b'VAR rack1 ups.firmware "02.08.0010"\nEND LIST VAR rack1\n'
)
BYE = b"OK Goodbye\n"


def dialogues(captures: Path) -> Iterator[Dialogue]:
    for version in (VERSION, b"ERR ACCESS-DENIED\n"):
        yield Dialogue(name="version", probe=probes.nut.PROBE, answer=script(version, BYE))
    for said in (
        (SUPPLIES, FIELDS, b"ERR DRIVER-NOT-CONNECTED\n", BYE),
        (b"BEGIN LIST UPS\nEND LIST UPS\n", BYE),
        (b"ERR ACCESS-DENIED\n", BYE),
    ):
        yield Dialogue(name="supplies", probe=probes.nut.READ_PROBE, answer=script(*said))
