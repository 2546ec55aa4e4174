from __future__ import annotations

import pytest

from checks.generic_accounts import CHECK, is_generic, names
from scanner.facts import Account, LoginUnavailable
from scanner.model import Outcome, Verdict

SSH = {"ssh/22": Outcome.ANSWERED}


@pytest.mark.parametrize(
    ("accounts", "verdict"),
    [
        ((("operator", True), ("jsmith", True)), Verdict.FAIL),
        ((("Bediener2", True),), Verdict.FAIL),
        ((("pumpe", True),), Verdict.FAIL),
        ((("operator", False), ("jsmith", True)), Verdict.PASS),
        ((("jsmith", True),), Verdict.PASS),
        ((("root", True), ("jsmith", True)), Verdict.PASS),
        ((("operator", None),), Verdict.NOT_CHECKED),
        ((("jsmith", None),), Verdict.NOT_CHECKED),
        ((), Verdict.NOT_CHECKED),
    ],
)
def test_only_enabled_accounts_with_a_generic_name_fail(site, make_asset, accounts, verdict):
    facts = [Account(name=name, enabled=enabled) for name, enabled in accounts]

    (judgement,) = CHECK.judge(make_asset(*facts, services=SSH), site)

    assert judgement.verdict is verdict


def test_a_login_that_could_not_be_used_is_the_reason_given(site, make_asset):
    asset = make_asset(LoginUnavailable(service="ssh", reason="host key differs"), services=SSH)

    (judgement,) = CHECK.judge(asset, site)

    assert judgement.verdict is Verdict.NOT_CHECKED
    assert "host key differs" in judgement.summary


def test_a_device_without_a_login_service_is_not_concerned(site, make_asset):
    asset = make_asset(services={"ssh/22": Outcome.REFUSED, "telnet/23": Outcome.SILENT})

    (judgement,) = CHECK.judge(asset, site)

    assert judgement.verdict is Verdict.NOT_APPLICABLE


@pytest.mark.parametrize("name", ["admin", "ADMIN", " Operator ", "hmi_01", "оператор", "técnico"])
def test_generic_names_are_known_in_any_case_and_with_numbers(name):
    assert is_generic(name)


@pytest.mark.parametrize("name", ["root", "adminsky", "k.bauer", "m340lead", "", "1234"])
def test_other_names_are_not_generic(name):
    assert not is_generic(name)


def test_every_listed_name_is_small_once_and_has_a_reason():
    assert len(names()) > 80
    assert all(name == name.casefold().strip() and reason for name, reason in names().items())


def test_an_account_name_from_a_device_cannot_break_the_line(site, make_asset):
    asset = make_asset(Account(name="admin\x1b[2J\n", enabled=True))

    (judgement,) = CHECK.judge(asset, site)

    assert "\x1b" not in judgement.summary
    assert "\n" not in judgement.summary
