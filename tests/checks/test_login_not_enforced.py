from __future__ import annotations

import pytest

from checks.login_not_enforced import CHECK
from scanner.facts import CredentialAttempt
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("service", "accepted", "control_accepted", "open_without_login", "verdict"),
    [
        ("http/80", True, True, False, Verdict.FAIL),
        ("snmp/161", True, True, None, Verdict.FAIL),
        ("ssh/22", None, None, True, Verdict.FAIL),
        ("telnet/23", None, None, True, Verdict.FAIL),
        ("http/80", None, None, True, Verdict.NOT_CHECKED),
        ("http/80", False, None, False, Verdict.PASS),
        ("http/80", True, False, False, Verdict.PASS),
        ("http/80", True, None, False, Verdict.NOT_CHECKED),
        ("http/80", None, None, None, Verdict.NOT_CHECKED),
    ],
)
def test_login_not_enforced_is_told_from_a_pass_and_from_what_was_not_learned(
    site, service, accepted, control_accepted, open_without_login, verdict
):
    (judgement,) = CHECK.judge(
        CredentialAttempt(
            credential="c1",
            account="admin",
            product="X",
            service=service,
            accepted=accepted,
            control_accepted=control_accepted,
            open_without_login=open_without_login,
        ),
        site,
    )

    assert judgement.verdict is verdict
