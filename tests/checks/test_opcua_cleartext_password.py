from __future__ import annotations

import pytest

from checks.opcua_cleartext_password import CHECK
from scanner.facts import OpcUaEndpoint
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("cleartext", "tokens", "verdict"),
    [
        (True, ("user_name",), Verdict.FAIL),
        (False, ("user_name",), Verdict.PASS),
        (None, ("anonymous",), Verdict.PASS),
        (None, (), Verdict.NOT_CHECKED),
    ],
)
def test_a_password_in_clear_fails_and_no_list_of_tokens_is_no_pass(
    site, cleartext, tokens, verdict
):
    fact = OpcUaEndpoint(
        url="",
        security_mode="none",
        security_policy="None",
        token_types=tokens,
        cleartext_password=cleartext,
    )

    (judgement,) = CHECK.judge(fact, site)

    assert judgement.verdict is verdict
