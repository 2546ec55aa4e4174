from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports import diagram
from scanner.model import (
    FR_KEYS,
    Assessment,
    ConduitInfo,
    DeviceClass,
    DualHomed,
    Flow,
    Leg,
    Tier,
    Topology,
    TopologyLink,
    TopologyNode,
    Transport,
    ZoneInfo,
)


def zone(name: str, purdue: float | None) -> ZoneInfo:
    return ZoneInfo(
        id=name,
        name=name,
        purdue=purdue,
        networks=(),
        sl_t=dict.fromkeys(FR_KEYS, 2),
        tier=Tier.IDENTIFY,
        profile="default",
    )


def conduit(name: str, from_zone: str, to_zone: str, *, remote: bool = False) -> ConduitInfo:
    return ConduitInfo(
        id=name,
        from_zone=from_zone,
        to_zone=to_zone,
        sl_t=dict.fromkeys(FR_KEYS, 1),
        remote_access=remote,
        monitored_by=None,
        allow=(Flow(protocol="modbus", transport=Transport.TCP, port=502),),
    )


ZONES = st.lists(st.sampled_from([None, 0, 1, 2, 3, 3.5, 4]), min_size=1, max_size=9).map(
    lambda levels: tuple(zone(f"z{n}", level) for n, level in enumerate(levels))
)
ENDS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8), st.booleans()), max_size=14)


@settings(max_examples=60, deadline=None)
@given(ZONES, ENDS)
def test_no_two_labels_and_no_two_boxes_overlap_and_all_stays_inside(
    zones: tuple[ZoneInfo, ...], ends: list[tuple[int, int, bool]]
) -> None:
    conduits = [
        conduit(f"c{n}", f"z{a % len(zones)}", f"z{b % len(zones)}", remote=remote)
        for n, (a, b, remote) in enumerate(ends)
    ]

    layout = diagram.arrange(zones, conduits)

    assert len(layout.lines) == len(conduits)
    assert {box.zone.id for box in layout.boxes} == {one.id for one in zones}
    labels = [(x.label_x, x.label_y - 11, x.label_w, 22.0) for x in layout.lines]
    boxes = [(b.x, b.y, float(diagram.BOX_W), float(diagram.BOX_H)) for b in layout.boxes]
    areas = labels + boxes
    for n, one in enumerate(areas):
        assert one[0] >= 0
        assert one[1] >= 0
        assert one[0] + one[2] <= layout.width
        assert one[1] + one[3] <= layout.height
        for other in areas[n + 1 :]:
            apart_x = one[0] + one[2] <= other[0] or other[0] + other[2] <= one[0]
            apart_y = one[1] + one[3] <= other[1] or other[1] + other[3] <= one[1]
            assert apart_x or apart_y
    for line in layout.lines:
        for (x1, y1), (x2, y2) in zip(line.points, line.points[1:], strict=False):
            assert x1 == x2 or y1 == y2
            assert 0 <= x2 <= layout.width
            assert 0 <= y2 <= layout.height


@settings(max_examples=40, deadline=None)
@given(ZONES, ENDS)
def test_a_line_runs_from_its_first_zone_to_its_second(
    zones: tuple[ZoneInfo, ...], ends: list[tuple[int, int, bool]]
) -> None:
    conduits = [
        conduit(f"c{n}", f"z{a % len(zones)}", f"z{b % len(zones)}")
        for n, (a, b, _) in enumerate(ends)
    ]

    layout = diagram.arrange(zones, conduits)

    boxes = {box.zone.id: box for box in layout.boxes}
    for line in layout.lines:
        for point, name in (
            (line.points[0], line.conduit.from_zone),
            (line.points[-1], line.conduit.to_zone),
        ):
            box = boxes[name]
            assert box.x < point[0] < box.x + diagram.BOX_W
            assert point[1] in (box.y, box.y + diagram.BOX_H)


def test_rows_follow_the_purdue_levels_from_the_highest() -> None:
    layout = diagram.arrange([zone("a", 1), zone("b", 3.5), zone("c", None), zone("d", 2)], [])

    rows = {box.zone.id: box.row for box in layout.boxes}
    assert rows == {"c": 0, "b": 1, "d": 2, "a": 3}
    assert [name for name, _ in layout.levels] == ["No level", "Level 3.5", "Level 2", "Level 1"]


def test_remote_access_is_marked_in_words_and_by_its_dashes(plant: Assessment) -> None:
    svg = str(diagram.draw(plant))

    assert svg.count('<g class="d-conduit d-remote">') == 1
    assert "remote · remote access · SL-T 2" in svg


def test_a_zone_shows_target_bounds_and_number_of_assets(plant: Assessment) -> None:
    svg = str(diagram.draw(plant))

    for text in ("4 assets", "1 asset", "SL-T", "SL-A low", "SL-A high", "✗ below SL-T"):
        assert text in svg


def test_a_zone_without_levels_is_not_called_reached(plant: Assessment) -> None:
    svg = str(diagram.draw(replace(plant, levels=())))

    assert "✓ SL-T reached" not in svg
    assert svg.count("? SL-T not shown") == len(plant.zones)


def test_a_zone_whose_low_bound_reaches_the_target_says_so(plant: Assessment) -> None:
    levels = tuple(
        replace(level, sl_a_low=4, sl_a_high=4) if level.zone == "dmz" else level
        for level in plant.levels
    )

    assert str(diagram.draw(replace(plant, levels=levels))).count("✓ SL-T reached") == 1


def test_a_conduit_to_a_zone_that_is_not_there_is_left_out(plant: Assessment) -> None:
    layout = diagram.arrange(plant.zones, plant.conduits)

    assert "lost" not in {line.conduit.id for line in layout.lines}
    assert len(layout.lines) == len(plant.conduits) - 1


@pytest.mark.parametrize("name", ["x" * 500, "<b>", "\u202e", "工" * 60])
def test_foreign_names_are_short_and_inert(name: str) -> None:
    zones = [zone(name, 1), zone("b", 2)]
    layout = diagram.arrange(zones, [conduit(name, name, "b")])

    assert all(len(line.label) <= diagram.LABEL_LIMIT for line in layout.lines)
    assert all(line.label_x + line.label_w <= layout.width for line in layout.lines)


# --- what was seen between zones -----------------------------------------------------------------


def node(node_id: str, zone_id: str | None) -> TopologyNode:
    return TopologyNode(
        id=node_id, known="asset", zone=zone_id, name=node_id, addresses=(), macs=(),
        device_class=DeviceClass.SWITCH, bridges=True,
    )  # fmt: skip


def cable(a: str, b: str, port: str = "gi1") -> TopologyLink:
    return TopologyLink(a=a, a_port=port, b=b, b_port=None, known_by=("lldp",), both_sides=True)


def test_cables_between_zones_are_drawn_with_their_ports_and_without_an_arrow() -> None:
    topology = Topology(
        nodes=(node("SW-1", "a"), node("SW-2", "b"), node("SW-3", "a"), node("SW-9", None)),
        links=(cable("SW-1", "SW-2"), cable("SW-1", "SW-3"), cable("SW-1", "SW-9")),
    )

    layout = diagram.arrange((zone("a", 1), zone("b", 2)), (conduit("c", "a", "b"),), topology)

    assert [(line.kind, line.label) for line in layout.lines[1:]] == [
        ("cable", "SW-1 gi1 – SW-2 ?")
    ]
    assert diagram._line(layout.lines[0]).count("<polygon") == 1
    assert diagram._line(layout.lines[1]).count("<polygon") == 0


def test_a_host_in_three_zones_is_drawn_between_each_two() -> None:
    legs = tuple(Leg(address="10.0.0.1", zone=name, how="own") for name in ("a", "b", "c"))
    topology = Topology(
        nodes=(node("HIST", "a"),),
        dual_homed=(DualHomed(asset="HIST", legs=legs, sure=False, note="or a router"),),
    )

    layout = diagram.arrange((zone("a", 1), zone("b", 2), zone("c", 3)), (), topology)

    assert [line.label for line in layout.lines] == ["HIST may stand in both"] * 3
    assert {line.kind for line in layout.lines} == {"host"}


def test_more_cables_than_a_diagram_holds_are_left_to_the_table() -> None:
    topology = Topology(
        nodes=(node("SW-1", "a"), node("SW-2", "b")),
        links=tuple(cable("SW-1", "SW-2", f"gi{n}") for n in range(diagram.MAX_SEEN + 5)),
    )

    layout = diagram.arrange((zone("a", 1), zone("b", 2)), (), topology)

    assert len(layout.lines) == diagram.MAX_SEEN


def test_text_from_devices_is_inert_between_zones(plant: Assessment) -> None:
    hostile = "<script>\x1b[2J"
    topology = Topology(
        nodes=(replace(node("x", "control"), name=hostile), node("y", "dmz")),
        links=(cable("x", "y", hostile),),
    )

    drawn = diagram.draw(replace(plant, topology=topology))

    assert "<script>" not in drawn
    assert "\x1b" not in drawn
