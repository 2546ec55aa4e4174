from __future__ import annotations

import pytest

from checks.backup_differs_from_running import CHECK
from scanner.facts import BackupRecord
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("matches_running", "verdict"),
    [(False, Verdict.FAIL), (True, Verdict.PASS), (None, Verdict.NOT_CHECKED)],
)
def test_a_backup_is_judged_by_what_was_compared(site, make_asset, matches_running, verdict):
    fact = BackupRecord(source="nas", found=True, matches_running=matches_running)

    (judgement,) = CHECK.judge(make_asset(fact), site)

    assert judgement.verdict is verdict


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        ((BackupRecord(source="nas", found=False),), Verdict.NOT_APPLICABLE),
        ((), Verdict.NOT_CHECKED),
    ],
)
def test_without_a_backup_there_is_nothing_to_compare(site, make_asset, facts, verdict):
    (judgement,) = CHECK.judge(make_asset(*facts), site)

    assert judgement.verdict is verdict


def test_each_source_is_a_finding_of_its_own(site, make_asset):
    facts = [
        BackupRecord(source="nas", found=True, matches_running=False),
        BackupRecord(source="git", found=True, matches_running=True),
    ]

    told = {j.about: j.verdict for j in CHECK.judge(make_asset(*facts), site)}

    assert told == {"nas": Verdict.FAIL, "git": Verdict.PASS}
