from __future__ import annotations

import pytest

from checks.smb_v1_enabled import CHECK
from scanner.facts import SmbFace
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("smb1", "verdict"),
    [(True, Verdict.FAIL), (False, Verdict.PASS), (None, Verdict.NOT_CHECKED)],
)
def test_smb_1_is_told_from_a_pass_and_from_what_was_not_learned(site, smb1, verdict):
    (judgement,) = CHECK.judge(SmbFace(smb1=smb1), site)

    assert judgement.verdict is verdict


@pytest.mark.parametrize(
    ("dialects", "alone"), [(("NT LM 0.12",), True), (("3.1.1", "NT LM 0.12"), False)]
)
def test_a_server_that_speaks_nothing_later_is_said_to(site, dialects, alone):
    (judgement,) = CHECK.judge(SmbFace(smb1=True, dialects=dialects), site)

    assert ("no later version" in judgement.summary) == alone
