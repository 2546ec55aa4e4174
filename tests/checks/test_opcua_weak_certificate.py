from __future__ import annotations

from datetime import timedelta

import pytest

from checks.opcua_weak_certificate import CHECK
from scanner.facts import ApplicationCertificate
from scanner.model import Verdict
from tests.conftest import NOON

GOOD = {
    "key_type": "RSA",
    "key_bits": 2048,
    "signature_hash": "sha256",
    "not_before": NOON - timedelta(days=30),
    "not_after": NOON + timedelta(days=30),
    "seen_at": NOON,
}


@pytest.mark.parametrize(
    ("change", "key", "validity"),
    [
        ({}, Verdict.PASS, Verdict.PASS),
        ({"key_bits": 1024}, Verdict.FAIL, Verdict.PASS),
        ({"signature_hash": "sha1"}, Verdict.FAIL, Verdict.PASS),
        ({"signature_hash": "md5"}, Verdict.FAIL, Verdict.PASS),
        ({"key_bits": None}, Verdict.NOT_CHECKED, Verdict.PASS),
        ({"signature_hash": None}, Verdict.NOT_CHECKED, Verdict.PASS),
        ({"not_after": NOON - timedelta(days=1)}, Verdict.PASS, Verdict.FAIL),
        ({"not_before": NOON + timedelta(days=1)}, Verdict.PASS, Verdict.FAIL),
        ({"not_after": None}, Verdict.PASS, Verdict.NOT_CHECKED),
        ({"seen_at": None}, Verdict.PASS, Verdict.NOT_CHECKED),
    ],
)
def test_key_and_validity_are_judged_apart(site, change, key, validity):
    judgements = CHECK.judge(ApplicationCertificate(**{**GOOD, **change}), site)

    assert {one.about: one.verdict for one in judgements} == {"key": key, "validity": validity}
