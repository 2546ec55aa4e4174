from __future__ import annotations

import pytest

from checks.tftp_no_login import CHECK
from scanner.facts import ServiceAccess
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("answered", "details", "verdict", "word"),
    [
        (True, (("error", "1"), ("message", "File not found")), Verdict.FAIL, "looked for"),
        (True, (("file", "sent, …"),), Verdict.FAIL, "sent a file"),
        (None, (("error", "2"), ("message", "Access violation")), Verdict.NOT_CHECKED, "error 2"),
        (None, (("error", "4"), ("message", "")), Verdict.NOT_CHECKED, "error 4"),
    ],
)
def test_who_looks_for_a_file_is_told_from_who_refuses_reading(
    site, answered, details, verdict, word
):
    """It never passes: TFTP has no login that could be seen."""
    fact = ServiceAccess(protocol="tftp", answers_without_login=answered, details=details)

    (judgement,) = CHECK.judge(fact, site)

    assert judgement.verdict is verdict
    assert word in judgement.summary


def test_another_service_is_none_of_its_business(site):
    assert CHECK.judge(ServiceAccess(protocol="ftp", answers_without_login=True), site) == ()
