from __future__ import annotations

import pytest

from checks.mqtt_anonymous import CHECK
from scanner.facts import ServiceAccess
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("let_in", "verdict"),
    [(True, Verdict.FAIL), (False, Verdict.PASS), (None, Verdict.NOT_CHECKED)],
)
@pytest.mark.parametrize("encrypted", [True, False])
def test_anonymous_mqtt_is_told_from_a_pass_and_from_what_was_not_learned(
    site, let_in, verdict, encrypted
):
    fact = ServiceAccess(protocol="mqtt", answers_without_login=let_in, encrypted=encrypted)

    (judgement,) = CHECK.judge(fact, site)

    assert judgement.verdict is verdict
    assert let_in is None or ("TLS" in judgement.summary) == encrypted


def test_another_service_is_none_of_its_business(site):
    assert CHECK.judge(ServiceAccess(protocol="ftp", answers_without_login=True), site) == ()
