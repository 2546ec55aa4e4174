from __future__ import annotations

import pytest

from checks.smb_signing_not_required import CHECK
from scanner.facts import SmbFace
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("required", "verdict"),
    [(False, Verdict.FAIL), (True, Verdict.PASS), (None, Verdict.NOT_CHECKED)],
)
def test_unsigned_smb_is_told_from_a_pass_and_from_what_was_not_learned(site, required, verdict):
    (judgement,) = CHECK.judge(SmbFace(signing_required=required, dialects=("3.1.1",)), site)

    assert judgement.verdict is verdict


@pytest.mark.parametrize(("enabled", "words"), [(True, "offered"), (False, "switched off")])
def test_signing_that_is_offered_is_told_from_signing_that_is_off(site, enabled, words):
    (judgement,) = CHECK.judge(SmbFace(signing_required=False, signing_enabled=enabled), site)

    assert words in judgement.summary
