"""What a narrow terminal still shows whole."""

from __future__ import annotations

import contextlib
import io

from scanner.cli.app import out
from scanner.cli.display import show_inventory
from scanner.model import (
    Asset,
    Conflict,
    DeviceClass,
    Identity,
    Outcome,
    Presence,
    Service,
    Transport,
)


def asset(address: str, **given: object) -> Asset:
    defaults: dict[str, object] = {
        "id": f"control/{address}", "zone": "control", "address": address, "sub_address": None,
        "parent": None, "name": "PLC-12", "device_class": DeviceClass.PLC,
        "identity": Identity(
            vendor="Schneider Electric", model="BMX P34 2020", firmware="v2.40", serial="21170401"
        ),
        "services": (
            Service(
                transport=Transport.TCP, port=502, protocol="modbus", outcome=Outcome.ANSWERED
            ),
            Service(transport=Transport.TCP, port=23, protocol="telnet", outcome=Outcome.REFUSED),
        ),
        "sources": {}, "conflicts": (), "presence": Presence.DECLARED_AND_SEEN, "declared": None,
        "criticality": None, "addresses": (address,), "facts": (), "fact_sources": (),
        "observations": (),
    }  # fmt: skip
    return Asset(**defaults | given)


def shown(*assets: Asset) -> list[str]:
    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        console = out()
        console.width = 80
        show_inventory(console, assets)
    return [line.rstrip() for line in written.getvalue().splitlines()]


def test_addresses_and_words_are_whole_on_80_columns() -> None:
    said = shown(asset("192.168.100.112"), asset("2001:db8::1234:5678:9abc", zone="dmz"))

    assert said[:3] == [
        "control",
        "  192.168.100.112  PLC-12 · plc · Schneider Electric BMX P34 2020 · firmware",
        "                   v2.40 · serial 21170401",
    ]
    assert said[3].strip() == "modbus/502 · declared and seen"
    assert "dmz" in said
    assert any(line.startswith("  2001:db8::1234:5678:9abc ") for line in said)


def test_what_nobody_told_takes_no_room_and_conflicts_are_marked() -> None:
    empty = asset("10.0.0.1", name=None, identity=Identity(), services=())
    torn = asset(
        "10.0.0.1",
        sub_address="slot 3",
        name="[red]\x1b[2J",
        conflicts=(Conflict(field="vendor", values=(("A", "o1"), ("B", "o2"))),),
    )

    said = "\n".join(shown(empty, torn))

    assert "10.0.0.1            plc\n" in said
    assert "10.0.0.1 #slot 3 *" in said
    assert "[red]\\x1b[2J · plc" in said
    assert "sources disagree" in said
