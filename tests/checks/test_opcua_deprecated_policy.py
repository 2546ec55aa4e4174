from __future__ import annotations

import pytest

from checks.opcua_deprecated_policy import CHECK
from scanner.facts import OpcUaEndpoint
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("policy", "verdict"),
    [
        ("Basic128Rsa15", Verdict.FAIL),
        ("Basic256", Verdict.FAIL),
        ("Basic256Sha256", Verdict.PASS),
        ("None", Verdict.PASS),  # that is another check's business
        ("", Verdict.NOT_CHECKED),
        ("Basic512", Verdict.NOT_CHECKED),
    ],
)
def test_withdrawn_policies_fail(site, policy, verdict):
    fact = OpcUaEndpoint(url="", security_mode="sign", security_policy=policy)

    (judgement,) = CHECK.judge(fact, site)

    assert judgement.verdict is verdict
