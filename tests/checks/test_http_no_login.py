from __future__ import annotations

import pytest

from checks.http_no_login import CHECK
from scanner.facts import HttpFace
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("asks_login", "offers_controls", "redirects_to_https", "verdict"),
    [
        (False, True, None, Verdict.FAIL),
        (False, False, None, Verdict.MANUAL),
        (False, None, None, Verdict.NOT_CHECKED),
        (True, None, None, Verdict.PASS),
        (True, True, None, Verdict.PASS),
        (None, None, None, Verdict.NOT_CHECKED),
        (None, True, None, Verdict.NOT_CHECKED),
        (None, None, True, Verdict.NOT_APPLICABLE),
    ],
)
def test_http_no_login_is_told_from_a_pass_and_from_what_was_not_learned(
    site, asks_login, offers_controls, redirects_to_https, verdict
):
    (judgement,) = CHECK.judge(
        HttpFace(
            scheme="https",
            status=200,
            asks_login=asks_login,
            offers_controls=offers_controls,
            redirects_to_https=redirects_to_https,
        ),
        site,
    )

    assert judgement.verdict is verdict
