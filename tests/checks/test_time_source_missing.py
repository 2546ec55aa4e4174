from __future__ import annotations

from dataclasses import replace

import pytest

from checks.time_source_missing import CHECK
from scanner.facts import DeviceSettings
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("time_servers", "time_synchronised", "verdict"),
    [
        ((), None, Verdict.FAIL),
        ((), False, Verdict.FAIL),
        (("10.0.0.1",), False, Verdict.FAIL),
        (None, False, Verdict.FAIL),
        (("10.0.0.1",), True, Verdict.PASS),
        (("10.0.0.1",), None, Verdict.NOT_CHECKED),
        ((), True, Verdict.NOT_CHECKED),
        (None, True, Verdict.NOT_CHECKED),
        (None, None, Verdict.NOT_CHECKED),
    ],
)
def test_time_source_missing_is_told_from_a_pass_and_from_what_was_not_learned(
    site, time_servers, time_synchronised, verdict
):
    (judgement,) = CHECK.judge(
        DeviceSettings(
            platform="linux", time_servers=time_servers, time_synchronised=time_synchronised
        ),
        site,
    )

    assert judgement.verdict is verdict


@pytest.mark.parametrize(
    ("wanted", "verdict"),
    [((), Verdict.PASS), (("10.0.0.1", "10.0.0.9"), Verdict.PASS), (("10.0.0.9",), Verdict.FAIL)],
)
def test_a_site_that_names_its_own_servers_wants_one_of_them(site, wanted, verdict):
    fact = DeviceSettings(platform="linux", time_servers=("10.0.0.1",), time_synchronised=True)

    (judgement,) = CHECK.judge(fact, replace(site, time_servers=wanted))

    assert judgement.verdict is verdict
