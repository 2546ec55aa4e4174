from __future__ import annotations

import pytest

from checks.login_banner_missing import CHECK
from scanner.facts import DeviceSettings
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("login_banner", "verdict"),
    [
        (False, Verdict.FAIL),
        (True, Verdict.PASS),
        (None, Verdict.NOT_CHECKED),
    ],
)
def test_login_banner_missing_is_told_from_a_pass_and_from_what_was_not_learned(
    site, login_banner, verdict
):
    (judgement,) = CHECK.judge(DeviceSettings(platform="linux", login_banner=login_banner), site)

    assert judgement.verdict is verdict
