"""The drawing of the network: everything has a place of its own, in rings and crowds too."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports import network
from scanner.model import DeviceClass, Placement, SwitchPort, Topology, TopologyLink, TopologyNode


def switch(node_id: str, **changes: object) -> TopologyNode:
    values: dict[str, object] = {
        "id": node_id,
        "known": "asset",
        "zone": "cell",
        "name": None,
        "addresses": (),
        "macs": (),
        "device_class": DeviceClass.SWITCH,
        "bridges": True,
    }
    return TopologyNode(**{**values, **changes})


def cable(a: str, b: str, port: str = "p1") -> TopologyLink:
    return TopologyLink(a=a, a_port=port, b=b, b_port=None, known_by=("lldp",), both_sides=True)


def hangs(node: str, at: str, port: str, certainty: str = "on") -> Placement:
    return Placement(
        node=node, mac=None, certainty=certainty, others=(), known_by=(), reason="so",
        at=SwitchPort(switch=at, port=port, vlan=None, heard=1),
    )  # fmt: skip


def site(count: int, *pairs: tuple[int, int], placements: tuple[Placement, ...] = ()) -> Topology:
    return Topology(
        nodes=tuple(switch(f"s{n:03}") for n in range(count)),
        links=tuple(cable(f"s{a:03}", f"s{b:03}", f"p{n}") for n, (a, b) in enumerate(pairs)),
        placements=placements,
    )


def test_without_a_bridge_there_is_no_picture() -> None:
    assert network.draw(Topology()) == ""
    assert network.draw(Topology(nodes=(switch("plc", bridges=False),))) == ""


def test_the_best_joined_bridge_stands_on_top() -> None:
    picture = network.arrange(site(4, (1, 0), (1, 2), (2, 3)))

    rows = {box.node.id: box.y for box in picture.boxes}
    assert rows["s001"] < rows["s000"] == rows["s002"] < rows["s003"]


def test_what_hangs_on_a_port_stands_in_its_box_with_its_doubt() -> None:
    picture = network.arrange(
        site(1, placements=(hangs("plc", "s000", "p2"), hangs("hmi", "s000", "p9", "behind")))
    )

    (box,) = picture.boxes
    assert box.rows == ("p2: plc", "p9: hmi (behind)")
    assert box.height >= network.HEAD_H + 2 * network.ROW_H


def test_a_crowded_bridge_is_cut_and_says_so() -> None:
    crowd = tuple(hangs(f"d{n:03}", "s000", "p1") for n in range(network.MAX_ROWS + 4))

    (box,) = network.arrange(site(1, placements=crowd)).boxes
    assert box.rows[-1] == "… and 4 more"


def test_more_bridges_than_a_picture_holds_are_counted() -> None:
    count = network.MAX_BOXES + 3
    picture = network.arrange(site(count, *((0, n) for n in range(1, count))))

    assert len(picture.boxes) == network.MAX_BOXES
    assert picture.left_out == 3


def test_a_cable_ends_on_the_boxes_it_joins() -> None:
    picture = network.arrange(site(5, (0, 1), (1, 2), (2, 0), (0, 3), (3, 4), (4, 0)))

    boxes = {box.node.id: box for box in picture.boxes}
    assert len(picture.cables) == 6
    for one in picture.cables:
        for (x, y), names in zip(
            (one.points[0], one.points[-1]), ((one.link.a, one.link.b),) * 2, strict=True
        ):
            assert any(
                boxes[name].x < x < boxes[name].x + network.BOX_W
                and y in (boxes[name].y, boxes[name].y + boxes[name].height)
                for name in names
            )


@pytest.mark.parametrize("text", ["<b>x</b>", "\x1b[2J", '"><script>', "\u202etxt"])
def test_text_from_devices_is_inert_in_the_drawing(text: str) -> None:
    topology = Topology(
        nodes=(switch("a", name=text), switch("b")),
        links=(
            TopologyLink(
                a="a", a_port=text, b="b", b_port=text, known_by=("lldp",), both_sides=False,
                note=text,
            ),
        ),
        placements=(hangs(text, "a", text),),
    )  # fmt: skip

    drawn = network.draw(topology)

    assert text not in drawn


PAIRS = st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda pair: pair[0] != pair[1])


@settings(max_examples=60, deadline=None)
@given(st.lists(PAIRS, max_size=25))
def test_no_box_covers_another_and_every_line_is_straight(pairs: list[tuple[int, int]]) -> None:
    picture = network.arrange(site(10, *pairs))

    for one, other in combinations(picture.boxes, 2):
        assert (
            one.x + network.BOX_W < other.x
            or other.x + network.BOX_W < one.x
            or one.y + one.height < other.y
            or other.y + other.height < one.y
        )
    for drawn in picture.cables:
        assert all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(drawn.points))
        assert all(0 <= x <= picture.width and 0 <= y <= picture.height for x, y in drawn.points)
