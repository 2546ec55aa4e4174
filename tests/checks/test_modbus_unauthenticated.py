from __future__ import annotations

import pytest

from checks.modbus_unauthenticated import CHECK
from scanner.facts import ModbusAccess
from scanner.model import Verdict


@pytest.mark.parametrize(
    ("answers_without_login", "verdict"),
    [
        (True, Verdict.FAIL),
        (False, Verdict.PASS),
        (None, Verdict.NOT_CHECKED),
    ],
)
def test_modbus_unauthenticated_is_told_from_a_pass_and_from_what_was_not_learned(
    site, answers_without_login, verdict
):
    (judgement,) = CHECK.judge(
        ModbusAccess(unit_id=3, answers_without_login=answers_without_login), site
    )

    assert judgement.verdict is verdict


def test_each_unit_behind_a_gateway_is_a_finding_of_its_own(site):
    told = {
        CHECK.judge(ModbusAccess(unit_id=unit, answers_without_login=True), site)[0].about
        for unit in (1, 2)
    }

    assert told == {"unit 1", "unit 2"}
