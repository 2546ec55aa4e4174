from __future__ import annotations

import ast
import base64
import hashlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from reports import html
from scanner.assess import from_json, to_json
from scanner.model import (
    Assessment,
    Level,
    Outcome,
    Presence,
    RequirementVerdict,
    Topology,
    Verdict,
)

ROOT = Path(__file__).resolve().parents[2]

SECTIONS = [
    "summary", "diagram", "network", "zones", "inventory", "matrix", "gaps", "roadmap", "findings",
    "evidence", "attestations", "certificate", "safety", "reading",
]  # fmt: skip

VOID = {"meta", "link", "br", "input", "line", "rect", "polyline", "polygon", "hr", "img"}


@dataclass
class Node:
    tag: str
    attributes: dict[str, str]
    children: list[Node | str] = field(default_factory=list)

    def all(self, tag: str, **attributes: str) -> list[Node]:
        found = []
        for child in self.children:
            if isinstance(child, Node):
                wanted = {k.rstrip("_"): v for k, v in attributes.items()}
                if child.tag == tag and wanted.items() <= child.attributes.items():
                    found.append(child)
                found += child.all(tag, **attributes)
        return found

    def rows(self) -> list[Node]:
        """Rows of this table itself, not of tables inside."""
        bodies = [c for c in self.children if isinstance(c, Node) and c.tag == "tbody"]
        return [c for b in bodies for c in b.children if isinstance(c, Node) and c.tag == "tr"]

    def cells(self) -> list[Node]:
        return [c for c in self.children if isinstance(c, Node)]

    @property
    def text(self) -> str:
        parts = (child if isinstance(child, str) else child.text for child in self.children)
        return re.sub(r"\s+", " ", " ".join(parts)).strip()


class Tree(HTMLParser):
    """A tree, and a failure where an element is closed that was not open."""

    def __init__(self, document: bytes) -> None:
        super().__init__()
        self.root = Node("", {})
        self.open = [self.root]
        self.feed(document.decode("utf-8"))
        self.close()
        assert self.open == [self.root], [node.tag for node in self.open]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attributes]
        assert len(set(names)) == len(names), names
        node = Node(tag, {name: value or "" for name, value in attributes})
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, (tag, self.open[-1].tag, self.open[-1].attributes)
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def by_id(root: Node, name: str) -> Node:
    found = [node for node in walk(root) if node.attributes.get("id") == name]
    assert len(found) == 1, name
    return found[0]


def walk(node: Node) -> list[Node]:
    own = [child for child in node.children if isinstance(child, Node)]
    return [*own, *(below for child in own for below in walk(child))]


@pytest.fixture(scope="session")
def document(plant: Assessment) -> bytes:
    return html.render(plant)


@pytest.fixture(scope="session")
def page(document: bytes) -> Node:
    return Tree(document).root


# --- the file as a whole -----------------------------------------------------------------------


def test_every_section_is_there_in_order_and_in_the_navigation(page: Node) -> None:
    assert [node.attributes["id"] for node in page.all("section")] == SECTIONS
    links = [a.attributes["href"] for a in page.all("nav")[0].all("a")]
    assert links == [f"#{name}" for name in SECTIONS]
    assert all(node.all("h2") for node in page.all("section"))


def test_nothing_is_loaded_from_anywhere(page: Node, document: bytes) -> None:
    for node in walk(page):
        assert "src" not in node.attributes
        assert "style" not in node.attributes
        assert not any(name.startswith("on") for name in node.attributes)
        assert not any("://" in value for value in node.attributes.values())
        if "href" in node.attributes:
            assert node.attributes["href"].startswith("#") or node.tag == "link"
    assert {n.tag for n in walk(page)}.isdisjoint({"iframe", "object", "embed", "form", "base"})
    style = page.all("style")[0].text
    assert "url(" not in style
    assert "@import" not in style
    assert "innerHTML" not in page.all("script")[0].text
    assert b"http://" not in document
    assert b"https://" not in document


def test_the_policy_names_the_hashes_of_the_inline_blocks_and_nothing_else(
    page: Node, document: bytes
) -> None:
    (meta,) = (
        node
        for node in page.all("meta")
        if node.attributes.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(
        rule.strip().split(" ", 1) for rule in meta.attributes["content"].split(";") if rule.strip()
    )
    text = document.decode()
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        blocks = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", text, re.S)
        assert len(blocks) == 1
        digest = base64.b64encode(hashlib.sha256(blocks[0].encode()).digest()).decode()
        assert rules.pop(rule) == f"'sha256-{digest}'"
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert text.index("Content-Security-Policy") < text.index("<style>")


def test_every_link_inside_leads_somewhere_and_every_id_is_unique(page: Node) -> None:
    ids = [node.attributes["id"] for node in walk(page) if "id" in node.attributes]
    assert len(set(ids)) == len(ids)
    wanted = {a.attributes["href"][1:] for a in page.all("a")}
    assert wanted <= set(ids)
    for node in walk(page):
        for name in ("aria-labelledby", "data-for"):
            if name in node.attributes:
                assert node.attributes[name] in ids


def test_equal_assessments_give_equal_bytes(plant: Assessment, document: bytes) -> None:
    assert html.render(plant) == document
    assert html.render(from_json(to_json(plant))) == document


@pytest.mark.integration
def test_another_process_with_another_hash_seed_writes_the_same_bytes(
    plant: Assessment, tmp_path: Path
) -> None:
    (tmp_path / "a.json").write_bytes(to_json(plant))
    program = (
        "import sys; from pathlib import Path; from reports import html; "
        "from scanner.assess import from_json; "
        "sys.stdout.buffer.write(html.render(from_json(Path(sys.argv[1]).read_bytes())))"
    )
    written = {
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "a.json")],
            capture_output=True,
            check=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        ).stdout
        for seed in ("1", "2")
    }

    assert written == {html.render(from_json(to_json(plant)))}


def test_an_empty_plant_still_gives_a_whole_report(plant: Assessment) -> None:
    empty = replace(
        plant,
        zones=(), conduits=(), assets=(), observations=(), exchanges=(), findings=(),
        requirements=(), levels=(), gaps=(), score=(), roadmap=(), attestations=(),
        safety=replace(plant.safety, devices=(), loosenings=(), halted=None, withheld={}),
        run=replace(plant.run, finished_at=None, observations={}, limits={}, runs=(), tiers=()),
        titles={}, topology=Topology(),
    )  # fmt: skip
    page = Tree(html.render(empty)).root

    assert [node.attributes["id"] for node in page.all("section")] == SECTIONS


def test_thirty_assets_stay_below_two_megabytes(plant: Assessment) -> None:
    """Each of thirty assets with five failing findings on full-sized bytes of its own."""
    pattern, asset = plant.findings[0], plant.assets[0]
    assets, observations, exchanges, findings = [], [], [], []
    for n in range(30):
        name = f"control/127.30.1.{n}"
        rests = tuple(f"o{n}-{k}" for k in range(5))
        assets.append(
            replace(asset, id=name, address=f"127.30.1.{n}", sources={"vendor": rests[:1]})
        )
        for k, rest in enumerate(rests):
            wire = f"x{n}-{k}"
            exchanges.append(replace(plant.exchanges[1], id=wire, request=bytes(300)))
            observations.append(
                replace(
                    plant.observations[0],
                    id=rest,
                    address=f"127.30.1.{n}",
                    exchanges=(wire,),
                    facts=plant.observations[1].facts,
                )
            )
            findings.append(
                replace(
                    pattern,
                    id=f"check{k}/asset/{name}",
                    check=f"check{k}",
                    asset=name,
                    evidence=(rest, wire),
                )
            )
    large = replace(
        plant,
        assets=tuple(assets),
        observations=tuple(observations),
        exchanges=tuple(exchanges),
        findings=tuple(findings),
    )

    assert len(html.render(large)) < 2_000_000


# --- what it says ------------------------------------------------------------------------------


def test_the_head_names_who_allowed_it_and_the_evidence_chain(
    page: Node, plant: Assessment
) -> None:
    head = by_id(page, "header").text

    for text in (plant.site, "r0, r1", "CHG-2026-0142", "Shift lead", "0.1.0", "ab" * 32):
        assert text in head
    assert "2026-11-20 22:00:00 +01:00" in head


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("finished", "Finished"),
        ("halted", "HALTED before its end"),
        ("interrupted", "INTERRUPTED before its end"),
        ("running", "STILL RUNNING"),
    ],
)
def test_the_state_stands_before_everything_else(plant: Assessment, state: str, words: str) -> None:
    run = replace(plant.run, state=state, reason="the reason that was given")
    page = Tree(html.render(replace(plant, run=run))).root

    said = by_id(page, "header").all("p", class_=f"state state-{state}")[0].text
    assert words in said
    assert state == "running" or "the reason that was given" in said


def test_the_score_never_stands_without_the_share_assessed(page: Node, plant: Assessment) -> None:
    overall = plant.score[0]
    tiles = [tile.text for tile in by_id(page, "summary").all("div", class_="tile")]

    assert f"{overall.compliant} of {overall.applicable} required" in tiles[0]
    assert html.percent(overall.score) in tiles[0]
    assert f"{overall.items_assessed} of {overall.items_total} required" in tiles[1]
    assert html.percent(overall.assessed_share) in tiles[1]


def test_the_summary_says_what_was_not_seen(page: Node) -> None:
    said = by_id(page, "summary").all("p", class_="notseen")[0].text

    for text in (
        "1 question withheld by a safety rule, a tier or the window (tier passive: 1)",
        "1 question without any answer",
        "1 asset declared and silent",
        "1 asset declared and not visited",
        "1 asset declared without an address",
        "1 asset answered without telling what they are",
        "2 check results could not be judged",
        "Nothing of this counts as passed",
    ):
        assert text in said


@pytest.mark.parametrize("outcome", [o for o in Outcome if o is not Outcome.ANSWERED])
def test_no_outcome_without_an_answer_is_left_unsaid(plant: Assessment, outcome: Outcome) -> None:
    run = replace(plant.run, observations={str(outcome): 17})
    page = Tree(html.render(replace(plant, run=run))).root

    assert "17 questions" in by_id(page, "summary").all("p", class_="notseen")[0].text


def test_the_summary_counts_failing_findings_and_the_first_gaps(
    page: Node, plant: Assessment
) -> None:
    summary = by_id(page, "summary")
    counts = [li.text for li in summary.all("ul", class_="counts")[0].all("li")]
    assert counts == ["critical 1", "high 2", "medium 0", "low 0", "info 0"]
    zones = [li.text for li in summary.all("ul", class_="counts")[1].all("li")]
    assert zones == ["Enterprise 0", "Dmz 0", "Supervision 1", "Control 4", "Safety 2"]
    top = summary.all("ol")[0].all("li")
    assert len(top) == html.TOP_GAPS
    for item, gap in zip(top, plant.gaps, strict=False):
        assert gap.requirement in item.text


def test_every_requirement_has_a_cell_in_every_zone_with_its_verdict(
    page: Node, plant: Assessment
) -> None:
    table = by_id(page, "t-matrix")
    heads = [th.text for th in table.all("thead")[0].all("th")][1:]
    with_results = [
        c.id for c in plant.conduits if any(r.conduit == c.id for r in plant.requirements)
    ]
    assert heads == [*(z.name for z in plant.zones), *(f"{name} conduit" for name in with_results)]
    places = [*((z.id, None) for z in plant.zones), *((None, name) for name in with_results)]
    results = {(r.zone, r.conduit, r.id): r for r in plant.requirements}
    seen = set()
    for row in table.rows():
        cells = row.cells()
        assert len(cells) == 1 + len(places)
        if row.attributes.get("class") == "fr-row":
            continue
        match = re.match(r"SR \d+\.\d+( RE \d+)?", cells[0].text)
        assert match
        for place, cell in zip(places, cells[1:], strict=True):
            result = results.get((*place, match[0]))
            if result is None:
                assert place[0] is None
                continue
            seen.add((*place, match[0]))
            assert f"v-{result.verdict}" in cell.attributes["class"].split()
            assert ("req" in cell.attributes["class"].split()) == result.required_by_sl_t
            summary = cell.all("summary")[0].text
            assert result.verdict.replace("_", " ") in summary
            assert html.VERDICT_SIGNS[result.verdict] in summary
            assert ("●" in summary) == result.required_by_sl_t
            assert result.note in cell.text
            assert f"evidence: {result.evidence_class}" in cell.text
    assert seen == set(results)
    assert len({name for _, _, name in seen}) == 100


def test_signs_alone_tell_all_verdicts_apart() -> None:
    assert set(html.VERDICT_SIGNS) == set(RequirementVerdict)
    assert len(set(html.VERDICT_SIGNS.values())) == len(RequirementVerdict)


def test_a_verdict_that_the_document_lacks_is_shown_as_lacking(plant: Assessment) -> None:
    lost = plant.requirements[0]
    page = Tree(html.render(replace(plant, requirements=plant.requirements[1:]))).root
    (row,) = [
        row for row in by_id(page, "t-matrix").rows() if row.cells()[0].text.startswith("SR 1.1 ")
        and " RE " not in row.cells()[0].text[:12]
    ]  # fmt: skip

    assert (lost.zone, lost.id) == ("enterprise", "SR 1.1")
    assert row.cells()[1].text == "no result"


def test_zone_cards_show_both_bounds_for_each_fr_and_the_six_lists(
    page: Node, plant: Assessment
) -> None:
    cards = by_id(page, "zones").all("article")
    assert len(cards) == len(plant.zones)
    for zone, card in zip(plant.zones, cards, strict=True):
        levels = [level for level in plant.levels if level.zone == zone.id]
        shown = card.all("ul", class_="levels")[0].all("li")
        assert len(shown) == 7
        for level, cell in zip(levels, shown, strict=True):
            assert f"SL-A {html.span(level)}" in cell.text
            assert f"SL-T {level.sl_t}" in cell.text
        lists = card.all("ul", class_="presence")[0].text
        for presence, words in html.PRESENCE_WORDS.items():
            own = [a for a in plant.assets if a.zone == zone.id and a.presence is presence]
            assert f"{words}: {len(own)}" in lists
            assert all((asset.name or asset.address or "") in lists for asset in own)
    assert set(html.PRESENCE_WORDS) == set(Presence)
    assert "declared Siemens S7-1200, seen Schneider Electric TM221CE24T" in cards[3].text


def test_a_level_is_reached_only_by_its_low_bound(plant: Assessment) -> None:
    def level(low: int, high: int, target: int) -> Level:
        return replace(plant.levels[0], sl_a_low=low, sl_a_high=high, sl_t=target)

    assert html.standing(level(2, 4, 2)) == "reached"
    assert html.standing(level(1, 4, 2)) == "open"
    assert html.standing(level(0, 1, 2)) == "below"
    assert html.standing(level(0, 4, 0)) == "none"


def test_the_inventory_lists_every_asset_with_sources_and_conflicts(
    page: Node, plant: Assessment
) -> None:
    rows = by_id(page, "t-inventory").rows()
    main, more = rows[::2], rows[1::2]
    assert len(main) == len(more) == len(plant.assets)
    assert [row.attributes["data-of"] for row in more] == [row.attributes["id"] for row in main]
    text = {
        row.attributes["id"]: row.text + below.text for row, below in zip(main, more, strict=True)
    }
    assert "modbus tcp/502" in text["asset-0"]
    assert "http tcp/80 refused" in text["asset-0"]
    assert "o1" in [a.text for a in more[0].all("a")]
    assert "≠ 1 conflict" in text["asset-2"]
    assert "1.6.2.0 ( o1 ); 1.5 ( o2 )" in text["asset-2"]
    assert "S7-1200" in text["asset-2"]
    assert "? unidentified responder" in text["asset-5"]
    assert "unidentified" not in text["asset-3"]


def test_each_field_says_how_sure_it_is_and_interfaces_have_their_own_makers(page: Node) -> None:
    (more,) = (
        row
        for row in by_id(page, "t-inventory").rows()
        if row.attributes.get("data-of") == "asset-2"
    )
    fields = {row.cells()[0].text: row.text for row in more.all("table")[0].rows()}

    assert "looked up by a number" in fields["vendor"]
    assert "recognised in a text" in fields["model"]
    assert "00:02:e3:17:c7:50 LITE-ON Communications, Inc." in more.text
    assert "need not be that of the device" in more.text


def test_what_stands_behind_a_device_stands_below_it(page: Node) -> None:
    main = by_id(page, "t-inventory").rows()[::2]

    assert [row.attributes["id"] for row in main[:3]] == ["asset-0", "asset-1", "asset-2"]
    assert "depth-1" in main[1].attributes["class"]
    assert main[1].attributes["data-head"] == main[0].attributes["id"]
    assert "↳" in main[1].text


def test_parents_that_name_each_other_lose_nobody(plant: Assessment) -> None:
    one, other = plant.assets[0], plant.assets[2]
    ring = (replace(one, parent=other.id), replace(other, parent=one.id))
    page = Tree(html.render(replace(plant, assets=ring))).root

    assert len(by_id(page, "t-inventory").rows()) == 4


def test_the_network_says_where_each_asset_hangs_and_how_sure_that_is(page: Node) -> None:
    section = by_id(page, "network")
    rows = [[cell.text for cell in row.cells()] for row in by_id(page, "t-placements").rows()]

    assert rows[0][:4] == ["PLC-11", "02:00:00:00:00:11", "on", "SW-1, port Gi1/1 (VLAN 10)"]
    assert rows[1][2:5] == ["ambiguous", "–", "SW-1, port Gi1/2; core, port 7"]
    assert rows[1][6] == "heard at 2 ports alike, and nothing tells them apart"
    assert len(section.all("svg")) == 1
    for words in (
        "192.168.77.9 02:00:00:00:00:77", "10.0.0.9 in no zone", "one end", "Proposed zones",
        "2 devices in 127.30.0.0/24", "What is not clear (1)",
    ):  # fmt: skip
        assert words in section.text


def test_without_a_table_the_network_section_says_so(plant: Assessment) -> None:
    page = Tree(html.render(replace(plant, topology=Topology()))).root

    assert "No device told a table" in by_id(page, "network").text


def test_long_lists_of_the_network_are_cut_and_say_so(plant: Assessment) -> None:
    place = plant.topology.placements[0]
    many = replace(plant.topology, placements=(place,) * (html.NETWORK_ROWS + 5))
    page = Tree(html.render(replace(plant, topology=many))).root

    assert len(by_id(page, "t-placements").rows()) == html.NETWORK_ROWS
    assert "5 more stand in assessment.json" in by_id(page, "network").text


def test_the_gap_register_can_be_filtered_by_what_it_shows(page: Node, plant: Assessment) -> None:
    rows = by_id(page, "t-gaps").rows()
    assert len(rows) == len(plant.gaps)
    for row, gap in zip(rows, plant.gaps, strict=True):
        data = row.attributes
        assert data["data-severity"] == gap.severity
        assert data["data-phase"] == str(gap.phase)
        assert data["data-fr"] == gap.fr
        assert data["data-exploitability"] == gap.exploitability.replace("_", " ")
        assert data["data-place"] == gap.zone or data["data-place"] == f"conduit {gap.conduit}"
        assert gap.requirement in row.text
        assert gap.remedy.split()[0] in row.text
        assert gap.remedy.split()[-1] in row.text
        outage = next(c for c in row.cells() if c.attributes.get("data-label") == "Outage")
        assert outage.text == ("yes" if gap.needs_outage else "no")
    tools = by_id(page, "gaps").all("div", class_="tools")[0]
    assert "hidden" in tools.attributes  # dead controls are not shown where scripts do not run
    names = {node.attributes.get("data-filter") for node in walk(tools)} - {None}
    assert names == {"text", "place", "severity", "exploitability", "phase", "fr", "verdict"}


def test_the_roadmap_has_three_phases_and_drops_no_item(page: Node, plant: Assessment) -> None:
    roadmap = by_id(page, "roadmap")

    titles = [node.text for node in roadmap.all("h3")]
    assert titles == [
        "Phase 1: 0 to 3 months", "Phase 2: 3 to 12 months", "Phase 3: 12 to 24 months",
    ]  # fmt: skip
    assert len([li for ol in roadmap.all("ol") for li in ol.cells()]) == len(plant.roadmap)
    assert all(item.title in roadmap.text for item in plant.roadmap)


def test_every_failing_finding_leads_to_its_bytes(page: Node, plant: Assessment) -> None:
    failing = [f for f in plant.findings if f.verdict is Verdict.FAIL]
    assert len(by_id(page, "findings").all("details", class_="one")) == len(failing)
    modbus = next(
        node
        for node in by_id(page, "findings").all("details", class_="one")
        if "unit 1 answered a read" in node.text and "o1" in node.text
    )
    links = {
        a.text: a.attributes["href"][1:] for a in modbus.all("a") if "data-evidence" in a.attributes
    }
    assert set(links) == {"o1", "x1"}
    bytes_of = by_id(page, links["x1"]).text
    assert "0000 00 01 00 00 00 05 01 2b 0e 01 00" in bytes_of
    assert "Schneider" in bytes_of
    decoded = by_id(page, links["o1"]).text
    assert "answers_without_login yes" in decoded
    assert "firmware 1.6.2.0" in decoded


def test_evidence_that_is_not_in_the_document_is_named_without_a_link(page: Node) -> None:
    critical = next(
        node for node in by_id(page, "findings").all("details", class_="one") if "x999" in node.text
    )

    assert "file:backups/plc.txt" in critical.text
    assert {a.text for a in critical.all("a") if "data-evidence" in a.attributes} == {"x3"}


def test_every_other_finding_stands_in_a_list_with_its_reason(
    page: Node, plant: Assessment
) -> None:
    lists = by_id(page, "findings").all("details", class_="others")
    said = [node.all("summary")[0].text for node in lists]

    assert said == ["error: 1", "not checked: 1", "manual: 1", "pass: 1", "not applicable: 1"]
    for finding in plant.findings:
        if finding.verdict is not Verdict.FAIL:
            assert any(finding.summary in node.text for node in lists)


def test_long_replies_are_cut_and_say_so(page: Node) -> None:
    shown = by_id(page, "x-1").text

    assert "Reply: 768 bytes, the first 512 shown" in shown
    assert "01f0" in shown
    assert "0200 " not in shown
    assert "Request: no bytes" in shown


def test_a_hex_dump_shows_offsets_hex_and_printable_characters() -> None:
    dump = html.dump(b"GET <b>\r\n" + bytes(8), 512)

    assert str(dump.text).split("\n") == [
        "0000  47 45 54 20 3c 62 3e 0d  0a 00 00 00 00 00 00 00  GET &lt;b&gt;.........",
        "0010  00                                                .",
    ]
    assert (dump.shown, dump.total) == (17, 17)
    assert html.dump(bytes(100), 20).shown == 20
    assert len(str(html.dump(bytes(100), 20).text).split("\n")) == 2
    assert html.dump(b"", 512).total == 0


def test_attestations_stand_with_what_became_of_them(page: Node) -> None:
    rows = [row.text for row in by_id(page, "attestations").all("table")[0].rows()]

    assert len(rows) == 6
    for row, state in zip(
        rows,
        ["accepted", "accepted", "expired", "document missing", "document changed", "unknown"],
        strict=True,
    ):
        assert f"{'✓' if state == 'accepted' else '✗'} {state}" in row
    assert "A relay does it" in rows[1]


def test_the_safety_figures_hide_nothing(page: Node, plant: Assessment) -> None:
    safety = by_id(page, "safety")

    for text in (
        "two devices of zone control gave a sign of distress",
        "4, at most 1 at once with any device",
        "31 of 40",
        "1,432 out, 20,480 in",
        "0.250 s",
        "guard: 1",
        "Withheld, by reason tier passive: 1",
        "zone supervision: profile robust",
        "request deadline 5 s",
    ):
        assert text in safety.text
    rows = [row.text for row in safety.all("table")[0].rows()]
    assert len(rows) == len(plant.safety.devices)
    assert "41 ✗ over" in rows[1]
    assert "0 of 1 healthy" in rows[1]
    assert "no answer" in rows[1]
    assert "window: 2" in rows[1]


def test_the_certificate_says_every_row_with_a_word(page: Node, plant: Assessment) -> None:
    section = by_id(page, "certificate")
    whole, broken = section.all("article")

    assert "✓ No promise was broken." in whole.text
    assert "13 held, 1 not measured (17)" in whole.text
    assert "✗ 1 of 14 promises BROKEN in this scan: 1." in broken.text
    assert "12 held, 1 not measured (17)" in broken.text
    assert "The run has not ended" in broken.text
    assert "The run has not ended" not in whole.text
    for article, one in zip((whole, broken), plant.safety.certificates, strict=True):
        rows = [row.text for row in article.all("table")[0].rows()]
        assert len(rows) == len(one.promises)
        for text, row in zip(rows, one.promises, strict=True):
            sign = {"pass": "✓ pass", "fail": "✗ FAIL", "not measured": "? not measured"}
            assert sign[row.verdict] in text
            assert row.measured in text
            assert row.basis in text
        for text in (one.run, one.chain_head, one.capture_sha256, one.capture, one.privileges):
            assert text in article.text
    assert "4,306 events" in whole.text
    assert "12 to 14 and 18 to 30 are not measured in a single scan" in section.text


def test_a_report_without_a_certificate_says_so(plant: Assessment) -> None:
    none = replace(plant, safety=replace(plant.safety, certificates=()))
    page = Tree(html.render(none)).root

    assert "no run was audited for this report" in by_id(page, "certificate").text


def test_a_budget_that_did_not_hold_is_said_in_the_total(plant: Assessment) -> None:
    total = replace(plant.safety.total, packets_counted=41)
    page = Tree(html.render(replace(plant, safety=replace(plant.safety, total=total)))).root

    assert "41 of 40 ✗ OVER BUDGET" in by_id(page, "safety").text


def test_the_reader_is_told_what_is_not_promised(page: Node) -> None:
    text = by_id(page, "reading").text

    for verdict in RequirementVerdict:
        assert verdict.replace("_", " ") in text
    assert "What is not promised" in text
    assert "It is no certificate" in text


# --- words -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (None, "not applicable"),
        (0.0, "0%"),
        (0.999, "99%"),
        (0.29, "29%"),
        (0.57, "57%"),
        (1.0, "100%"),
    ],
)
def test_shares_are_never_rounded_up(share: float | None, shown: str) -> None:
    assert html.percent(share) == shown


def test_a_hundred_percent_means_all_of_them() -> None:
    for whole in range(1, 3000):
        assert html.percent((whole - 1) / whole) != "100%"
        assert html.percent(whole / whole) == "100%"


def test_times_carry_their_offset(plant: Assessment) -> None:
    assert html.when(plant.run.started_at) == "2026-11-20 22:00:00 +01:00"
    assert html.when(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "2026-01-02 03:04:05 UTC"
    assert html.when(None) == "not recorded"


@pytest.mark.parametrize(
    "text",
    ["", "short", "word " * 60, "x" * 500, "One sentence that is long enough to stand alone. " * 8],
)
def test_an_opening_and_its_rest_are_the_whole_text(text: str) -> None:
    head, tail = html.opening(text)

    assert (head + tail).replace(" ", "") == text.replace(" ", "")
    assert len(head) <= html.OPENING + html.OPENING // 3 or " " not in text


def test_reports_read_the_nouns_and_nothing_else_of_ours() -> None:
    ours = {"scanner", "probes", "checks", "credentials", "lab", "tests"}
    for path in (ROOT / "reports").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                allowed = name in ("scanner.model", "scanner.facts")
                assert allowed or name.split(".")[0] not in ours, (path.name, name)
