"""The catalogue agrees with the published counts and with its own rules."""

from __future__ import annotations

import pytest

from scanner import iec62443
from scanner.errors import ToolBug
from scanner.model import FR_IDS

CATALOGUE = iec62443.load()

ITEMS_PER_LEVEL = {
    "FR 1": (10, 16, 22, 24),
    "FR 2": (8, 12, 21, 24),
    "FR 3": (5, 10, 16, 19),
    "FR 4": (2, 4, 5, 6),
    "FR 5": (4, 6, 10, 11),
    "FR 6": (1, 2, 3, 3),
    "FR 7": (7, 10, 13, 13),
    None: (37, 60, 90, 100),
}
SR_AND_RE = {
    "FR 1": (13, 11),
    "FR 2": (12, 12),
    "FR 3": (9, 10),
    "FR 4": (3, 3),
    "FR 5": (4, 7),
    "FR 6": (2, 1),
    "FR 7": (8, 5),
}
NOT_FROM_SL_1 = {
    "SR 1.2", "SR 1.8", "SR 1.9", "SR 2.6", "SR 2.7", "SR 2.11", "SR 2.12",
    "SR 3.4", "SR 3.7", "SR 3.8", "SR 3.9", "SR 4.2", "SR 6.2", "SR 7.8",
}  # fmt: skip
NEW_AT_SL_4 = {
    "SR 1.1 RE 3", "SR 1.7 RE 2", "SR 2.1 RE 4", "SR 2.11 RE 2", "SR 2.12 RE 1",
    "SR 3.3 RE 2", "SR 3.8 RE 3", "SR 3.9 RE 1", "SR 4.1 RE 2", "SR 5.1 RE 3",
}  # fmt: skip


@pytest.mark.parametrize("fr", ITEMS_PER_LEVEL)
def test_the_items_needed_per_fr_and_level_are_the_published_counts(fr: str | None) -> None:
    counts = tuple(len(CATALOGUE.items(fr, level)) for level in (1, 2, 3, 4))
    assert counts == ITEMS_PER_LEVEL[fr]


def test_level_0_needs_nothing() -> None:
    assert CATALOGUE.items(max_sl=0) == ()


@pytest.mark.parametrize("fr", FR_IDS)
def test_each_fr_has_its_srs_and_res(fr: str) -> None:
    items = CATALOGUE.items(fr)
    assert (
        sum(item.base is None for item in items),
        sum(item.base is not None for item in items),
    ) == SR_AND_RE[fr]


def test_ids_are_unique_and_found() -> None:
    assert len(CATALOGUE.by_id) == 100
    assert all(CATALOGUE.get(item.id) is item for item in CATALOGUE.requirements)
    with pytest.raises(ToolBug, match=r"SR 9\.9"):
        CATALOGUE.get("SR 9.9")


def test_every_re_follows_its_base_and_needs_a_higher_level() -> None:
    for item in CATALOGUE.requirements:
        if item.base is not None:
            base = CATALOGUE.get(item.base)
            assert item.id.startswith(f"{base.id} RE ")
            assert item.sl > base.sl
            assert (item.fr, item.clause) == (base.fr, base.clause)
            assert item in CATALOGUE.enhancements(base.id)


def test_clause_numbers_follow_from_the_sr_numbers() -> None:
    for item in CATALOGUE.requirements:
        fr, number = (int(part) for part in item.id.split(" RE ")[0].removeprefix("SR ").split("."))
        assert item.clause == f"{fr + 4}.{number + 2}"
        assert item.fr == f"FR {fr}"


def test_levels_that_are_easily_got_wrong() -> None:
    bases = [item for item in CATALOGUE.requirements if item.base is None]
    assert {item.id for item in bases if item.sl > 1} == NOT_FROM_SL_1
    assert {item.id for item in CATALOGUE.requirements if item.sl == 4} == NEW_AT_SL_4
    assert CATALOGUE.get("SR 3.4").sl == 2  # corrigendum 1
    assert [i.id for i in CATALOGUE.requirements if i.sl_confidence == "medium"] == ["SR 2.2 RE 1"]


def test_what_machines_can_decide_is_the_small_part() -> None:
    observable = {
        kind: [item.id for item in CATALOGUE.requirements if item.observable == kind]
        for kind in ("full", "partial", "no")
    }
    assert [item for item in observable["full"] if " RE " not in item] == [
        "SR 1.12", "SR 2.11", "SR 4.3", "SR 5.1", "SR 5.2", "SR 7.6", "SR 7.7", "SR 7.8",
    ]  # fmt: skip
    assert observable["no"] == ["SR 2.1 RE 4", "SR 3.6", "SR 4.2", "SR 4.2 RE 1", "SR 7.4"]
    assert len(observable["partial"]) == 81


def test_every_item_has_a_title_and_a_sentence_of_our_own() -> None:
    for item in CATALOGUE.requirements:
        assert item.title
        assert item.title[-1] != "."
        assert item.intent.endswith(".")
    assert len({item.intent for item in CATALOGUE.requirements}) == 100
    assert tuple(CATALOGUE.fr_titles) == FR_IDS
    assert all(CATALOGUE.fr_titles.values())
