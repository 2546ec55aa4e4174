from __future__ import annotations

import pytest

from checks.opcua_no_security import CHECK
from scanner.facts import OpcUaEndpoint
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("mode", "policy", "verdict"),
    [
        ("none", "None", Verdict.FAIL),
        ("none", "Basic256Sha256", Verdict.FAIL),
        ("sign", "None", Verdict.FAIL),
        ("sign", "Basic256Sha256", Verdict.PASS),
        ("sign_and_encrypt", "Aes256_Sha256_RsaPss", Verdict.PASS),
        ("invalid", "Basic256Sha256", Verdict.NOT_CHECKED),
        ("sign", "", Verdict.NOT_CHECKED),
    ],
)
def test_an_endpoint_without_security_is_told_from_one_that_signs(site, mode, policy, verdict):
    fact = OpcUaEndpoint(url="opc.tcp://plc:4840", security_mode=mode, security_policy=policy)

    (judgement,) = CHECK.judge(fact, site)

    assert judgement.verdict is verdict
