from __future__ import annotations

from dataclasses import replace

import pytest

from checks.log_target_missing import CHECK
from scanner.facts import DeviceSettings
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("log_targets", "verdict"),
    [
        ((), Verdict.FAIL),
        (("10.0.0.1",), Verdict.PASS),
        (None, Verdict.NOT_CHECKED),
    ],
)
def test_log_target_missing_is_told_from_a_pass_and_from_what_was_not_learned(
    site, log_targets, verdict
):
    (judgement,) = CHECK.judge(DeviceSettings(platform="linux", log_targets=log_targets), site)

    assert judgement.verdict is verdict


@pytest.mark.parametrize(
    ("wanted", "verdict"),
    [((), Verdict.PASS), (("10.0.0.1", "10.0.0.9"), Verdict.PASS), (("10.0.0.9",), Verdict.FAIL)],
)
def test_a_site_that_names_its_own_servers_wants_one_of_them(site, wanted, verdict):
    fact = DeviceSettings(platform="linux", log_targets=("10.0.0.1",))

    (judgement,) = CHECK.judge(fact, replace(site, log_targets=wanted))

    assert judgement.verdict is verdict
