from __future__ import annotations

import pytest

from checks.telnet_no_login import CHECK
from scanner.facts import TelnetFace
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("asks_login", "verdict"),
    [
        (False, Verdict.FAIL),
        (True, Verdict.PASS),
        (None, Verdict.NOT_CHECKED),
    ],
)
def test_telnet_no_login_is_told_from_a_pass_and_from_what_was_not_learned(
    site, asks_login, verdict
):
    (judgement,) = CHECK.judge(TelnetFace(banner="", asks_login=asks_login), site)

    assert judgement.verdict is verdict
