from __future__ import annotations

import pytest

from checks.default_credentials import CHECK
from scanner.facts import CredentialAttempt
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("accepted", "control_accepted", "withheld", "verdict"),
    [
        (True, False, None, Verdict.FAIL),
        (True, True, None, Verdict.MANUAL),
        (True, None, None, Verdict.NOT_CHECKED),
        (False, None, None, Verdict.PASS),
        (None, None, None, Verdict.NOT_CHECKED),
        (None, None, "ledger", Verdict.NOT_CHECKED),
        (None, None, "open_without_login", Verdict.NOT_CHECKED),
    ],
)
def test_default_credentials_is_told_from_a_pass_and_from_what_was_not_learned(
    site, accepted, control_accepted, withheld, verdict
):
    (judgement,) = CHECK.judge(
        CredentialAttempt(
            service="http/80",
            credential="c1",
            account="admin",
            product="X",
            accepted=accepted,
            control_accepted=control_accepted,
            withheld=withheld,
        ),
        site,
    )

    assert judgement.verdict is verdict


@pytest.mark.parametrize("reason", ["ledger", "locked", "policy", "open_without_login"])
def test_a_withheld_attempt_says_why_in_words(site, reason):
    fact = CredentialAttempt(
        service="ssh/22", credential="c1", account="admin", product="X", withheld=reason
    )

    (judgement,) = CHECK.judge(fact, site)

    assert len(judgement.summary.rpartition(": ")[2]) > len(reason)


def test_a_pass_speaks_of_the_one_pair_that_was_tried(site):
    fact = CredentialAttempt(
        service="ssh/22", credential="c1", account="admin", product="X", accepted=False
    )

    (judgement,) = CHECK.judge(fact, site)

    assert "c1" in judgement.summary
    assert "no other pair" in judgement.summary
