"""The first site file loads as it is, and still loads when all its examples are taken."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.errors import UsageError
from scanner.initsite import render, render_proposed
from scanner.model import DeviceClass, Tier, Topology, TopologyNode, ZoneInfo, ZoneProposal
from scanner.profiles import PROFILES
from scanner.site import Site, load, resolve
from scanner.sitefile import BLOCKS, SiteBlock
from scanner.windows import authorisation_problem
from scanner.yamlfile import Block, keys, parse

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
EXAMPLE = re.compile(r"^#(?= *(- )?\{?[a-z_]+:)", re.MULTILINE)
DOCUMENTATION = Path(__file__).resolve().parents[2] / "docs" / "site-file.md"


def read(text: str) -> Site:
    return resolve(parse(text, Path("/plant/site.yaml")))


def test_a_rendered_file_loads_from_disk_with_its_zones_and_networks(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(render(["10.1.0.0/24", "10.2.0.0/24"], ["control", "safety"]), encoding="utf-8")

    site = load(file, known_probes=frozenset({"modbus", "s7", "http"}), now=NOW)

    assert {zone.id: [str(each) for each in zone.networks] for zone in site.zones} == {
        "control": ["10.1.0.0/24"],
        "safety": ["10.2.0.0/24"],
    }
    assert site.loosenings() == ()


def test_a_rendered_file_permits_no_scan_before_the_authorisation_is_filled_in() -> None:
    problem = authorisation_problem(read(render(["10.1.0.0/24"], ["control"])), NOW)

    assert problem is not None


def test_every_example_in_the_file_is_valid_when_its_mark_is_removed() -> None:
    text = render(["10.1.0.0/24", "10.2.0.0/24"], ["control", "safety"])

    site = read(EXAMPLE.sub("", text))

    assert site.authorisation is not None
    assert site.windows[0].id == "night"
    assert site.zone("control").window == "night"
    assert site.zone("control").assets[0].login is not None
    assert site.conduits[0].to_zone == "safety"
    assert site.backups.max_age
    assert site.services[0].port == 5432
    assert site.notify


def test_every_key_that_a_site_file_may_have_is_shown_and_explained() -> None:
    text = render(["10.1.0.0/24"], ["control"])

    absent = [
        key
        for block in BLOCKS
        for key in keys(block)
        if not re.search(rf"(^|[ #{{]){key}:", text, re.MULTILINE)
    ]

    assert absent == []


def test_every_key_is_documented() -> None:
    documentation = DOCUMENTATION.read_text(encoding="utf-8")

    absent = [
        f"{block.__name__}.{key}"
        for block in BLOCKS
        for key in keys(block)
        if f"`{key}`" not in documentation
    ]

    assert absent == []


def test_the_example_of_the_documentation_loads() -> None:
    examples = re.findall(r"```yaml\n(site: .*?)```", DOCUMENTATION.read_text("utf-8"), re.DOTALL)

    assert [read(each).name for each in examples] == ["Harbour waterworks"]


def test_the_documented_pacing_is_what_holds() -> None:
    documentation = DOCUMENTATION.read_text(encoding="utf-8")

    for profile in PROFILES.values():
        (row,) = [
            line for line in documentation.splitlines() if line.startswith(f"| `{profile.name}` | ")
        ]
        cells = [cell.strip() for cell in row.split("|")]
        assert cells[2] == str(profile.packets_per_s or "no cap")
        assert cells[4] == str(profile.zone_packets_per_s or "no cap")
        assert cells[5] == f"/{profile.largest_prefix(4)} (IPv6 /{profile.largest_prefix(6)})"


def test_every_block_that_a_site_file_can_hold_is_among_the_documented_ones() -> None:
    found: set[type[Block]] = set()
    waiting: list[object] = [SiteBlock]
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and issubclass(kind, Block) and kind not in found:
            found.add(kind)
            waiting.extend(field.annotation for field in keys(kind).values())
        waiting.extend(get_args(kind))

    assert found == set(BLOCKS)


def test_every_key_says_what_it_is() -> None:
    silent = [
        key for block in BLOCKS for key, field in keys(block).items() if not field.description
    ]

    assert silent == []


def test_comments_stand_under_each_other() -> None:
    text = render(["10.1.0.0/24"], ["control"])

    columns = {line.index(" # ") for line in text.splitlines() if " # " in line[10:]}

    assert min(columns) == 41


def test_networks_go_to_zones_in_order_and_the_rest_to_the_last() -> None:
    site = read(render(["10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24"], ["a", "b"]))

    assert [len(zone.networks) for zone in site.zones] == [1, 2]


def test_a_zone_without_network_is_one_outside_reach() -> None:
    site = read(render(["10.1.0.0/24"], ["control", "enterprise"]))

    assert site.zone("enterprise").networks == ()


def test_without_a_zone_name_there_is_one_zone() -> None:
    assert [zone.id for zone in read(render(["10.1.0.0/24"], [])).zones] == ["zone1"]


@pytest.mark.parametrize(
    ("cidrs", "zones", "said"),
    [
        ([], ["a"], "no network given"),
        (["10.0.0.0/16"], ["a"], "larger than the default profile allows (/22)"),
        (["10.0.0.1/24"], ["a"], "the network is 10.0.0.0/24"),
        (["plant.local"], ["a"], "is not a network"),
        (["10.0.0.0/24"], ["a b"], "--zone: 'a b' cannot be an id"),
        (["10.0.0.0/24", "10.0.0.128/25"], ["a", "b"], "overlaps"),
        (["224.0.0.0/24"], ["a"], "not made of device addresses"),
    ],
)
def test_arguments_that_make_no_valid_file_are_refused(
    cidrs: list[str], zones: list[str], said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        render(cidrs, zones)

    assert said in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(
    st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=40),
    st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,20}\Z"),
)
def test_any_name_reads_back_as_it_was_given(name: str, zone: str) -> None:
    if not name.strip() or not name.strip().isprintable():
        with pytest.raises(UsageError):
            render(["10.1.0.0/24"], [zone], site=name)
        return

    site = read(render(["10.1.0.0/24"], [zone], site=name))

    assert site.name == name.strip()
    assert site.zones[0].id == zone


@pytest.mark.parametrize("name", ["a\nzones: []", "a\rb", "a\x1b[31m", "a\u202eb", "a\u2028b", "ü"])
def test_the_name_of_the_file_stays_in_its_comment(name: str) -> None:
    text = render(["10.1.0.0/24"], ["control"], file=f"{name}.yaml")

    assert all(character.isprintable() or character == "\n" for character in text)
    assert read(text).zones[0].id == "control"
    assert text.count("\n") == render(["10.1.0.0/24"], ["control"]).count("\n")


# --- zones that a run proposes --------------------------------------------------------------------


def zone(name: str, *networks: str, profile: str = "default") -> ZoneInfo:
    return ZoneInfo(
        id=name, name=name, purdue=2, networks=networks, sl_t={}, tier=Tier.READ, profile=profile
    )


def proposed(*proposals: tuple[str, tuple[str, ...], str], text: str = "PLC-1") -> Topology:
    """Each: id, networks, and the zone of the one device behind it ("" : in none)."""
    nodes = tuple(
        TopologyNode(
            id=f"n{number}", known="asset" if home else "neighbour", zone=home or None, name=text,
            addresses=(f"10.9.0.{number}",), macs=(), device_class=DeviceClass.PLC, bridges=False,
        )
        for number, (_, _, home) in enumerate(proposals)
    )  # fmt: skip
    return Topology(
        nodes=nodes,
        proposals=tuple(
            ZoneProposal(
                id=name, name=text, purdue=1.0, networks=networks, nodes=(f"n{number}",),
                reasons=(f"because {text}",),
            )
            for number, (name, networks, _) in enumerate(proposals)
        ),
    )  # fmt: skip


def test_proposed_zones_take_the_place_of_the_zone_they_part_and_the_others_stay() -> None:
    text = render_proposed(
        (zone("all", "10.0.0.0/22"), zone("dmz", "10.5.0.0/24")),
        proposed(
            ("process", ("10.0.0.0/24",), "all"),
            ("dmz", ("10.0.1.0/24",), "all"),
            ("network", ("192.168.77.0/24",), ""),
        ),
        site="Works",
    )

    site = read(text)
    assert {one.id: [str(each) for each in one.networks] for one in site.zones} == {
        "dmz": ["10.5.0.0/24"],
        "process": ["10.0.0.0/24"],
        "dmz-2": ["10.0.1.0/24"],
        "network": ["192.168.77.0/24"],
    }
    assert [one.purdue for one in site.zones] == [2, 1, 1, 1]
    assert "# Proposed: because PLC-1." in text
    assert "Zone all (10.0.0.0/22) is parted below" in text
    assert "#      - address: 10.9.0.0" in text
    assert all(not one.assets for one in site.zones)


def test_a_run_without_proposals_writes_nothing() -> None:
    with pytest.raises(UsageError, match="proposes no other zones"):
        render_proposed((zone("all", "10.0.0.0/24"),), Topology())


@settings(max_examples=80)
@given(st.text(max_size=60))
def test_whatever_a_device_is_called_the_proposed_file_loads(text: str) -> None:
    topology = proposed(("process", ("10.0.0.0/24",), "all"), text=text or "x")

    try:
        site = read(render_proposed((zone("all", "10.0.0.0/22"),), topology))
    except UsageError:
        return  # a name that no site file may hold
    assert [one.id for one in site.zones] == ["process"]
    assert all(not one.assets for one in site.zones)
