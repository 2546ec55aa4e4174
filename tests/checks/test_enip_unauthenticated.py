from __future__ import annotations

import pytest

from checks.enip_unauthenticated import CHECK
from scanner.facts import CipAccess
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("answers_without_login", "verdict"),
    [
        (True, Verdict.FAIL),
        (False, Verdict.PASS),
        (None, Verdict.NOT_CHECKED),
    ],
)
def test_enip_unauthenticated_is_told_from_a_pass_and_from_what_was_not_learned(
    site, answers_without_login, verdict
):
    (judgement,) = CHECK.judge(CipAccess(answers_without_login=answers_without_login), site)

    assert judgement.verdict is verdict
