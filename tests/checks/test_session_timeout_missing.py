from __future__ import annotations

import pytest

from checks.session_timeout_missing import CHECK
from scanner.facts import DeviceSettings
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("session_timeout_s", "verdict"),
    [
        (0, Verdict.FAIL),
        (901, Verdict.FAIL),
        (900, Verdict.PASS),
        (None, Verdict.NOT_CHECKED),
    ],
)
def test_session_timeout_missing_is_told_from_a_pass_and_from_what_was_not_learned(
    site, session_timeout_s, verdict
):
    (judgement,) = CHECK.judge(
        DeviceSettings(platform="linux", session_timeout_s=session_timeout_s), site
    )

    assert judgement.verdict is verdict
