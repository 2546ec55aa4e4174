from __future__ import annotations

import pytest

from checks.fox_weak_login import CHECK
from scanner.facts import ServiceAccess
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("methods", "encrypted", "verdict"),
    [
        (("basic",), False, Verdict.FAIL),
        (("basic",), None, Verdict.FAIL),
        (("basic",), True, Verdict.PASS),
        (("digest-md5",), False, Verdict.PASS),
        (None, False, Verdict.NOT_CHECKED),
    ],
)
def test_a_password_in_clear_text_is_told_from_a_digest(site, methods, encrypted, verdict):
    fact = ServiceAccess(protocol="fox", authentication=methods, encrypted=encrypted)

    (judgement,) = CHECK.judge(fact, site)

    assert judgement.verdict is verdict


def test_another_protocol_is_none_of_its_business(site):
    assert CHECK.judge(ServiceAccess(protocol="knx", authentication=("basic",)), site) == ()
