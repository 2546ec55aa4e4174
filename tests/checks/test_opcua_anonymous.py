from __future__ import annotations

import pytest

from checks.opcua_anonymous import CHECK
from scanner.facts import OpcUaEndpoint
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("tokens", "verdict"),
    [
        (("anonymous",), Verdict.FAIL),
        (("user_name", "anonymous"), Verdict.FAIL),
        (("user_name", "certificate"), Verdict.PASS),
        ((), Verdict.NOT_CHECKED),
    ],
)
def test_anonymous_users_are_seen_and_a_missing_list_is_no_pass(site, tokens, verdict):
    fact = OpcUaEndpoint(
        url="", security_mode="sign", security_policy="Basic256Sha256", token_types=tokens
    )

    (judgement,) = CHECK.judge(fact, site)

    assert judgement.verdict is verdict
