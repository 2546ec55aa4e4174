"""What a narrow terminal still shows whole."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from scanner import site
from scanner.cli.app import _asset, out
from scanner.cli.display import inert, show_exchanges, show_inventory, show_plan, show_topology
from scanner.cli.scanning import make_plan
from scanner.errors import UsageError
from scanner.model import (
    Asset,
    Conflict,
    DeviceClass,
    DualHomed,
    Exchange,
    Identity,
    Leg,
    Outcome,
    OutsideDevice,
    Placement,
    Presence,
    Service,
    SwitchPort,
    Target,
    Tier,
    Topology,
    TopologyLink,
    TopologyNode,
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
    return printed(lambda console: show_inventory(console, assets))


def printed(show: Callable[[Console], None]) -> list[str]:
    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        console = out()
        console.width = 80
        show(console)
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


# --- the plan ----------------------------------------------------------------------------------

SITE = """
site: Test
zones:
  - {id: dmz, networks: [127.30.8.0/29], sl_t: 1, tier: read, profile: lab}
  - id: control
    networks: [127.30.9.0/29]
    sl_t: 1
    profile: lab
    assets:
      - {name: PLC-1, address: 127.30.9.1}
"""


def test_a_plan_without_declared_devices_lists_every_request_too(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(SITE)
    plan = make_plan(site.load(tmp_path / "site.yaml"))

    said = printed(lambda console: show_plan(console, plan, full=False))

    heads = [line for line in said if " · zone " in line]
    assert [head.split(" · ")[:2] for head in heads] == [
        ["127.30.9.1 PLC-1", "zone control"],
        ["others: 6 addresses", "zone dmz"],
        ["others: 5 addresses", "zone control"],
    ]
    text = " ".join(" ".join(said).split())
    for device in plan.devices:
        for question in device.questions:
            for asked in question.probe.questions:
                assert asked.label in text
    frame = "63 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00"
    assert any(line.endswith(frame) for line in said), "frames stay on one line"
    assert "'auth none', encrypted" in text
    canaries = [f"up to {device.canaries} times more (canary)" for device in plan.devices]
    assert text.count("times more (canary)") == len(heads)
    assert set(canaries) == {words for words in canaries if words in text}


# --- what was sent -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "out_on_wire", "ended", "words"),
    [
        (Outcome.ANSWERED, 4, True, "→     4 B"),
        (Outcome.ANSWERED, 0, True, "→     4 B"),  # inside a connection that a library encrypts
        (Outcome.REFUSED, 0, True, "not sent:     4 B"),
        (Outcome.SILENT, 4, True, "→     4 B"),
        (Outcome.INTERRUPTED, 0, False, "→     4 B"),  # killed: nobody knows, so it may have been
    ],
)
def test_what_met_no_connection_is_not_shown_as_sent(
    outcome: Outcome, out_on_wire: int, ended: bool, words: str
) -> None:
    noon = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    target = Target(zone="control", address="10.0.0.1", port=502, transport=Transport.TCP)
    exchange = Exchange(
        id="x1", target=target, probe="modbus", tier=Tier.IDENTIFY, label="ask", sent_at=noon,
        finished_at=noon if ended else None, outcome=outcome, reason="", request=b"\0\1\2\3",
        reply=b"", wire_bytes_out=out_on_wire, wire_bytes_in=0, sha256="",
    )  # fmt: skip

    said = printed(lambda console: show_exchanges(console, [exchange]))

    assert said[1].startswith(f"  {words}  00 01 02 03")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.1.0.12", (None, "10.1.0.12")),
        ("control/10.1.0.12", ("control", "10.1.0.12")),
        ("10.1.0.12#slot 3", (None, "10.1.0.12")),
        ("2001:DB8::1", (None, "2001:db8::1")),
    ],
)
def test_an_asset_is_named_by_its_address(text: str, expected: tuple[str | None, str]) -> None:
    assert _asset(text) == expected


def test_a_name_instead_of_an_address_is_answered_with_a_hint() -> None:
    with pytest.raises(UsageError, match=r"(?s)FW-1: no IP address.*walkdown inventory"):
        _asset("FW-1")


@pytest.mark.parametrize(
    "ending", ["", "\\", "\\\\", "\\\\\\", "\\\\\\\\", "[", "[bold", "[/bold]", "[@click=x()]"]
)
def test_no_text_of_a_device_takes_part_in_our_markup(ending: str) -> None:
    text = f"PLC{ending}"

    lines = printed(lambda console: console.print(f"[bold]{inert(text)}[/bold] [dim]ours[/dim]"))

    assert [line.replace("  ", " ") for line in lines] == [f"{text} ours"]


@pytest.mark.parametrize("markup", [True, False])
def test_what_nobody_made_inert_is_still_visible_only(markup: bool) -> None:
    text = "a\x1b[31m\x9b1m\u202e\rb\x07\u3164\nc"

    lines = printed(lambda console: console.print(text, markup=markup, soft_wrap=True))

    assert lines == [r"a\x1b[31m\x9b1m\u202e\x0db\x07\u3164", "c"]


def test_the_network_is_shown_whole_on_a_narrow_terminal_and_nothing_in_it_acts() -> None:
    hostile = "\x1b[2J[red]x"
    found = Topology(
        nodes=(
            TopologyNode(
                id="sw", known="asset", zone="control", name=hostile, addresses=(), macs=(),
                device_class=DeviceClass.SWITCH, bridges=True,
            ),
        ),
        links=(
            TopologyLink(
                a="sw", a_port=hostile, b="far", b_port=None, known_by=("cdp",), both_sides=False,
                note="directly, or not",
            ),
        ),
        placements=(
            Placement(
                node="plc", mac=None, certainty="on or behind", known_by=("bridge table",),
                at=SwitchPort(switch="sw", port="Gi1/1", vlan=7, heard=2), reason="so",
                others=(SwitchPort(switch="sw", port="Gi1/2", vlan=None, heard=3),),
            ),
            Placement(
                node="hmi", mac=None, certainty="unknown", known_by=(), at=None, others=(),
                reason="its MAC address is not known",
            ),
        ),
        dual_homed=(
            DualHomed(
                asset="hist", legs=(Leg(address="10.9.0.1", zone=None, how="own"),), sure=False,
                note="or a router",
            ),
        ),
        outside=(
            OutsideDevice(
                node="x", address="192.168.7.7", mac=None, name=None, seen_by=("sw",)
            ),
        ),
        notes=("two claim it",),
    )  # fmt: skip

    text = " ".join(" ".join(printed(lambda console: show_topology(console, found))).split())

    assert "\x1b" not in text
    for words in (
        "on or behind", "Gi1/1 VLAN 7", "Gi1/2", "its MAC address is not known", "told by one end",
        "hist (perhaps)", "no zone", "192.168.7.7", "two claim it", "[red]x",
    ):  # fmt: skip
        assert words in text
    (nothing,) = (line for line in printed(lambda c: show_topology(c, Topology())) if line.strip())
    assert "No device told" in nothing
