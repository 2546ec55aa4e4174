from __future__ import annotations

import pytest

from checks.ftp_anonymous import CHECK
from scanner.facts import ServiceAccess
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("let_in", "verdict"),
    [(True, Verdict.FAIL), (False, Verdict.PASS), (None, Verdict.NOT_CHECKED)],
)
def test_anonymous_ftp_is_told_from_a_pass_and_from_what_was_not_learned(site, let_in, verdict):
    (judgement,) = CHECK.judge(ServiceAccess(protocol="ftp", answers_without_login=let_in), site)

    assert judgement.verdict is verdict


def test_another_service_is_none_of_its_business(site):
    assert CHECK.judge(ServiceAccess(protocol="mqtt", answers_without_login=True), site) == ()
