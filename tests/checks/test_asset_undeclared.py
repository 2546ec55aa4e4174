from __future__ import annotations

import pytest

from checks.asset_undeclared import CHECK
from scanner.model import Presence, Tier, Verdict, ZoneInfo
from scanner.spec import Zone

KNOWN = {"presence": Presence.DECLARED_AND_SEEN}
STRANGE = {"presence": Presence.SEEN_AND_UNDECLARED}
SILENT = {"presence": Presence.DECLARED_AND_SILENT}


@pytest.fixture
def judge(site, make_asset):
    def judge(*assets, unasked: int | None = 0):
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
        return CHECK.judge(Zone(info=info, assets=made, unasked=unasked), site)

    return judge


def test_an_undeclared_device_fails_and_is_a_place(judge):
    (judgement,) = judge(KNOWN, STRANGE, SILENT)

    assert judgement.verdict is Verdict.FAIL
    assert [place.asset for place in judgement.places] == ["cell/10.0.0.1"]
    assert judgement.evidence == ("o10.0.0.1",)


def test_a_zone_of_declared_devices_passes(judge):
    (judgement,) = judge(KNOWN, SILENT)

    assert judgement.verdict is Verdict.PASS


@pytest.mark.parametrize("assets", [(), (SILENT,), ({"presence": Presence.NOT_VISITED},)])
def test_a_zone_in_which_nobody_answered_is_not_passed(judge, assets):
    (judgement,) = judge(*assets)

    assert judgement.verdict is Verdict.NOT_CHECKED


def test_a_module_is_counted_with_its_rack(judge):
    (judgement,) = judge(KNOWN, STRANGE | {"parent": "cell/10.0.0.0"})

    assert judgement.verdict is Verdict.PASS


@pytest.mark.parametrize("unasked", [None, 1, 250])
def test_a_zone_that_was_not_asked_whole_is_not_passed(judge, unasked):
    (judgement,) = judge(KNOWN, unasked=unasked)

    assert judgement.verdict is Verdict.NOT_CHECKED
