from __future__ import annotations

import pytest

from checks.rdp_no_nla import CHECK
from scanner.facts import RdpFace
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("needs_nla", "failure", "verdict"),
    [
        (False, None, Verdict.FAIL),
        (False, "SSL_NOT_ALLOWED_BY_SERVER", Verdict.FAIL),
        (True, None, Verdict.PASS),
        (None, None, Verdict.NOT_CHECKED),
        (None, "INCONSISTENT_FLAGS", Verdict.NOT_CHECKED),
    ],
)
def test_rdp_without_nla_is_told_from_a_pass_and_from_what_was_not_learned(
    site, needs_nla, failure, verdict
):
    (judgement,) = CHECK.judge(RdpFace(needs_nla=needs_nla, failure=failure), site)

    assert judgement.verdict is verdict
    assert failure is None or verdict is not Verdict.NOT_CHECKED or failure in judgement.summary
