"""One word for many assets: nothing is lost by it, and only what settles nothing is folded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scanner.fold import FOLDED, folded, renamed_in, spread
from scanner.model import Effort, Exploitability, Finding, Place, Severity, Verdict


def finding(asset: str | None = "control/10.0.0.1", **given: Any) -> Finding:
    rest = given.pop("rest", "")
    subject = f"asset/{asset}" if asset is not None else "zone/control"
    values: dict[str, Any] = {
        "id": f"weak/{subject}{rest}",
        "check": "weak",
        "title": "weak",
        "scope": "zone" if asset is None else "asset",
        "zone": "control",
        "asset": asset,
        "conduit": None,
        "places": () if asset is None else (Place(zone="control", asset=asset),),
        "verdict": Verdict.NOT_CHECKED,
        "severity": Severity.HIGH,
        "exploitability": Exploitability.KNOWN_TOOL,
        "effort": Effort.QUICK,
        "requirements": ("SR 1.5",),
        "summary": "not learned: never asked",
        "remedy": "",
        "needs_outage": False,
        "evidence": (),
    }
    return Finding(**{**values, **given})


ASSETS = ("control/10.0.0.1", "control/10.0.0.2", "control/10.0.0.1/unit 3", "control/fd00::1")

several = st.lists(
    st.builds(
        finding,
        st.sampled_from(ASSETS),
        rest=st.sampled_from(("", "/port 22", "/port 22/cipher", "/port 443")),
        verdict=st.sampled_from(Verdict),
        severity=st.sampled_from((Severity.HIGH, Severity.LOW)),
        summary=st.sampled_from(("never asked", "kept silent")),
        requirements=st.sampled_from((("SR 1.5",), ("SR 1.5", "SR 2.1"))),
        evidence=st.lists(st.sampled_from(("o1", "o2", "x3")), unique=True).map(tuple),
    ),
    unique_by=lambda one: one.id,
    max_size=16,
)


@given(several)
def test_nothing_is_lost(before: Sequence[Finding]) -> None:
    after, renamed = folded(before)
    words = {one.id: one for one in before}
    found = {}
    for one in after:
        for name, asset in spread(one) if one.of_several else ((one.id, one.asset),):
            assert name not in found
            found[name] = one
            was = words[name]
            assert (was.asset, was.verdict, was.summary, was.severity, was.requirements) == (
                asset, one.verdict, one.summary, one.severity, one.requirements,
            )  # fmt: skip
            assert set(was.evidence) <= set(one.evidence)

    assert found.keys() == words.keys()
    assert sum(one.number for one in after) == len(before)
    assert [one.id for one in after] == sorted({one.id for one in after})
    assert all(renamed[name] == found[name].id for name in renamed)
    assert {one.id for one in after} == set(renamed_in(list(words), renamed))


@given(several)
def test_what_settles_something_stays_one_for_each_asset(before: Sequence[Finding]) -> None:
    after, _ = folded(before)

    settled = [one for one in before if one.verdict not in FOLDED]
    assert all(one in after for one in settled)
    assert not any(one.of_several and one.verdict not in FOLDED for one in after)


@given(several)
def test_the_ids_do_not_depend_on_who_else_is_there(before: Sequence[Finding]) -> None:
    more = [*before, finding("control/10.0.0.9", summary="withheld")]

    assert {one.id for one in folded(before)[0]} <= {one.id for one in folded(more)[0]}


def test_what_is_alike_is_told_once_with_all_its_places() -> None:
    one, other = finding("control/10.0.0.1"), finding("control/10.0.0.2", evidence=("o7",))
    port = finding("control/10.0.0.2", rest="/port 22")
    zone = finding(None)

    after, renamed = folded((other, zone, port, one))

    (both,) = (each for each in after if each.of_several)
    assert set(after) == {both, port, zone}
    assert both.id.startswith("weak/assets/control/")
    assert [place.asset for place in both.places] == ["control/10.0.0.1", "control/10.0.0.2"]
    assert both.evidence == ("o7",)
    assert renamed == {one.id: both.id, other.id: both.id}


def test_a_finding_with_places_of_its_own_is_not_folded() -> None:
    shared = (Place(zone="control", asset="control/10.0.0.1"), Place(zone="dmz", asset=None))
    pair = [finding(asset, places=shared) for asset in ASSETS[:2]]

    assert set(folded(pair)[0]) == set(pair)
