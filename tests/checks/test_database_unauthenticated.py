from __future__ import annotations

import pytest

from checks.database_unauthenticated import CHECK
from scanner.facts import ServiceAccess
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("answers_without_login", "verdict"),
    [(True, Verdict.FAIL), (False, Verdict.PASS), (None, Verdict.NOT_CHECKED)],
)
def test_an_open_database_is_told_from_a_pass_and_from_what_was_not_learned(
    site, answers_without_login, verdict
):
    fact = ServiceAccess(protocol="redis", answers_without_login=answers_without_login)

    (judgement,) = CHECK.judge(fact, site)

    assert judgement.verdict is verdict


def test_a_service_that_is_no_database_is_none_of_its_business(site):
    assert CHECK.judge(ServiceAccess(protocol="nut", answers_without_login=True), site) == ()
