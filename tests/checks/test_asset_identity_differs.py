from __future__ import annotations

import pytest

from checks.asset_identity_differs import CHECK
from scanner.model import Identity, Presence, Tier, Verdict, ZoneInfo
from scanner.spec import Zone

SEEN = Identity(vendor="Siemens", model="CPU 315-2 PN/DP", firmware="3.2.11")
SAME = {
    "presence": Presence.DECLARED_AND_SEEN,
    "declared": Identity(vendor="Siemens", firmware="3.2.11"),
    "identity": SEEN,
}
DIFFERENT = {
    "presence": Presence.IDENTITY_DIFFERS,
    "declared": Identity(vendor="Siemens", firmware="3.2.8"),
    "identity": SEEN,
}
NAMED_ONLY = {"declared": Identity(name="PLC-1"), "identity": SEEN}


@pytest.fixture
def judge(site, make_asset):
    def judge(*assets):
        info = ZoneInfo(
            id="cell",
            name="Cell",
            purdue=1,
            networks=(),
            sl_t={},
            tier=Tier.IDENTIFY,
            profile="default",
        )
        made = tuple(
            make_asset(address=f"10.0.0.{n}", **changes) for n, changes in enumerate(assets)
        )
        return CHECK.judge(Zone(info=info, assets=made), site)

    return judge


def test_a_difference_fails_and_the_note_shows_both_sides(judge):
    (judgement,) = judge(SAME, DIFFERENT)

    assert judgement.verdict is Verdict.FAIL
    (place,) = judgement.places
    assert place.asset == "cell/10.0.0.1"
    assert "'3.2.8'" in place.note
    assert "'3.2.11'" in place.note
    assert "vendor" not in place.note


def test_devices_that_agree_with_the_register_pass(judge):
    (judgement,) = judge(SAME, SAME)

    assert judgement.verdict is Verdict.PASS
    assert [place.asset for place in judgement.places] == ["cell/10.0.0.0", "cell/10.0.0.1"]


def test_what_could_not_be_compared_is_said_beside_what_could(judge):
    passed, open_ = judge(SAME, NAMED_ONLY, SAME | {"identity": Identity()})

    assert passed.verdict is Verdict.PASS
    assert [place.asset for place in passed.places] == ["cell/10.0.0.0"]
    assert (open_.verdict, open_.about) == (Verdict.NOT_CHECKED, "not compared")
    assert [place.asset for place in open_.places] == ["cell/10.0.0.1", "cell/10.0.0.2"]


@pytest.mark.parametrize(
    "assets",
    [
        (),
        (NAMED_ONLY,),
        ({"declared": None, "identity": SEEN},),
        (SAME | {"identity": Identity()},),
    ],
)
def test_nothing_to_compare_is_not_passed(judge, assets):
    (judgement,) = judge(*assets)

    assert judgement.verdict is Verdict.NOT_CHECKED


def test_a_devices_own_text_is_bounded_and_quoted_in_the_note(judge):
    hostile = DIFFERENT | {"identity": Identity(firmware="\x1b[2J" + "9" * 500)}

    (judgement,) = judge(hostile)

    assert "\x1b" not in judgement.places[0].note
    assert len(judgement.places[0].note) < 200
