from __future__ import annotations

import pytest

from checks.asset_silent import CHECK
from scanner.model import Presence, Tier, Verdict, ZoneInfo
from scanner.spec import Zone

MET = {"presence": Presence.DECLARED_AND_SEEN}
OTHER = {"presence": Presence.IDENTITY_DIFFERS}
SILENT = {"presence": Presence.DECLARED_AND_SILENT}
LATER = {"presence": Presence.NOT_VISITED}
NOWHERE = {"presence": Presence.DECLARED_WITHOUT_ADDRESS}
STRANGE = {"presence": Presence.SEEN_AND_UNDECLARED}


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


@pytest.mark.parametrize(
    ("assets", "verdicts"),
    [
        ((MET, SILENT), [Verdict.FAIL]),
        ((MET, OTHER, STRANGE), [Verdict.PASS]),
        ((MET, LATER), [Verdict.NOT_CHECKED]),
        ((MET, NOWHERE), [Verdict.NOT_CHECKED]),
        ((SILENT, LATER), [Verdict.FAIL, Verdict.NOT_CHECKED]),
        ((STRANGE,), [Verdict.NOT_CHECKED]),
        ((), [Verdict.NOT_CHECKED]),
    ],
)
def test_only_a_device_that_was_asked_can_be_silent(judge, assets, verdicts):
    assert [judgement.verdict for judgement in judge(*assets)] == verdicts


def test_silent_devices_are_named(judge):
    (judgement,) = judge(MET, SILENT)

    assert [place.asset for place in judgement.places] == ["cell/10.0.0.1"]
