from __future__ import annotations

from dataclasses import replace

import pytest

from checks.backup_missing import CHECK
from scanner.facts import BackupRecord
from scanner.model import DeviceClass, Verdict

THERE = BackupRecord(source="nas", found=True, path="sw-01/2026-11-19.cfg")
NOT_THERE = BackupRecord(source="nas", found=False)


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        ((THERE,), Verdict.PASS),
        ((NOT_THERE,), Verdict.FAIL),
        ((NOT_THERE, replace(THERE, source="git")), Verdict.PASS),
        ((), Verdict.NOT_CHECKED),
    ],
)
def test_one_source_that_has_it_is_enough(site, make_asset, facts, verdict):
    (judgement,) = CHECK.judge(make_asset(*facts), site)

    assert judgement.verdict is verdict


@pytest.mark.parametrize(
    ("device_class", "verdict"),
    [
        (DeviceClass.PLC, Verdict.NOT_CHECKED),
        (DeviceClass.CAMERA, Verdict.NOT_APPLICABLE),
        (DeviceClass.UNKNOWN, Verdict.NOT_CHECKED),
    ],
)
def test_the_policy_says_which_classes_are_concerned(site, make_asset, device_class, verdict):
    (judgement,) = CHECK.judge(make_asset(device_class=device_class), site)

    assert judgement.verdict is verdict


def test_a_site_without_backup_sources_knows_nothing_of_backups(site, make_asset):
    asset = make_asset(device_class=DeviceClass.CAMERA)

    (judgement,) = CHECK.judge(asset, replace(site, backup_sources=0))

    assert judgement.verdict is Verdict.NOT_CHECKED


def test_a_module_is_backed_up_with_its_rack(site, make_asset):
    (judgement,) = CHECK.judge(make_asset(parent="cell/10.0.0.1"), site)

    assert judgement.verdict is Verdict.NOT_APPLICABLE
