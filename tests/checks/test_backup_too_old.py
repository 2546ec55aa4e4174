from __future__ import annotations

import pytest

from checks.backup_too_old import CHECK
from scanner.facts import BackupRecord
from scanner.model import Verdict

DAY = 86_400


def record(age_s, max_age_s=30 * DAY, found=True):
    return BackupRecord(source="nas", found=found, age_s=age_s, max_age_s=max_age_s)


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        ((record(31 * DAY),), Verdict.FAIL),
        ((record(30 * DAY),), Verdict.PASS),
        ((record(31 * DAY), record(DAY)), Verdict.PASS),
        ((record(None),), Verdict.NOT_CHECKED),
        ((record(-DAY),), Verdict.NOT_CHECKED),
        ((record(DAY, max_age_s=None),), Verdict.NOT_CHECKED),
        ((record(None, found=False),), Verdict.NOT_APPLICABLE),
        ((), Verdict.NOT_CHECKED),
    ],
)
def test_the_newest_backup_of_all_sources_counts(site, make_asset, facts, verdict):
    (judgement,) = CHECK.judge(make_asset(*facts), site)

    assert judgement.verdict is verdict
