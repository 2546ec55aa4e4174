from __future__ import annotations

import pytest

from checks.s7_no_protection import CHECK
from scanner.facts import S7Access
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("protection_level", "verdict"),
    [
        (1, Verdict.FAIL),
        (2, Verdict.PASS),
        (3, Verdict.PASS),
        (None, Verdict.NOT_CHECKED),
        (0, Verdict.NOT_CHECKED),
        (4, Verdict.NOT_CHECKED),
    ],
)
def test_s7_no_protection_is_told_from_a_pass_and_from_what_was_not_learned(
    site, protection_level, verdict
):
    (judgement,) = CHECK.judge(S7Access(protection_level=protection_level), site)

    assert judgement.verdict is verdict


def test_a_password_alone_is_no_protection_level(site):
    """The level in force decides: a password may be set and the level still be 1."""
    (judgement,) = CHECK.judge(S7Access(protection_level=1, password_set=True), site)

    assert judgement.verdict is Verdict.FAIL
