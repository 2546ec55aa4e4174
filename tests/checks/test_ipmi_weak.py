from __future__ import annotations

import pytest

from checks.ipmi_weak import CHECK
from scanner.facts import ServiceAccess
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("authentication", "anonymous", "verdict"),
    [
        (("none", "MD5"), "disabled", Verdict.FAIL),
        (("MD5",), "enabled", Verdict.FAIL),
        (("none",), "enabled", Verdict.FAIL),
        (("MD5", "password"), "disabled", Verdict.PASS),
        ((), "disabled", Verdict.PASS),
        (None, "disabled", Verdict.NOT_CHECKED),
        (("MD5",), None, Verdict.NOT_CHECKED),
    ],
)
def test_a_controller_that_lets_in_anyone_is_told_from_one_that_does_not(
    site, authentication, anonymous, verdict
):
    details = () if anonymous is None else (("anonymous login", anonymous),)
    fact = ServiceAccess(protocol="ipmi", authentication=authentication, details=details)

    (judgement,) = CHECK.judge(fact, site)

    assert judgement.verdict is verdict


def test_another_service_is_none_of_its_business(site):
    assert CHECK.judge(ServiceAccess(protocol="ldap", authentication=("none",)), site) == ()
