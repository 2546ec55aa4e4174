from __future__ import annotations

import pytest

from checks.shared_secret import CHECK
from scanner.facts import Account, DeviceSettings
from scanner.model import Outcome, Severity, Verdict
from scanner.spec import Inventory

SSH = {"ssh/22": Outcome.ANSWERED}
READ = DeviceSettings(platform="cisco_ios", snmp_communities=0)


def account(fingerprint, storage="type 7", **changes):
    return Account(
        name="eng", enabled=True, secret_fingerprint=fingerprint, secret_storage=storage, **changes
    )


@pytest.fixture
def judge(site, make_asset):
    def judge(*devices):
        assets = [
            make_asset(*facts, services=SSH, address=f"10.0.0.{n}", zone=f"z{n}")
            for n, facts in enumerate(devices)
        ]
        return CHECK.judge(Inventory(assets=tuple(assets)), site)

    return judge


def test_one_password_on_two_devices_is_one_finding_with_both_places(judge):
    failed, *rest = judge((account("aa"), READ), (account("aa"), READ), (account("bb"), READ))

    assert failed.verdict is Verdict.FAIL
    assert [(p.zone, p.asset) for p in failed.places] == [
        ("z0", "z0/10.0.0.0"),
        ("z1", "z1/10.0.0.1"),
    ]
    assert [(j.verdict, [p.asset for p in j.places]) for j in rest] == [
        (Verdict.PASS, ["z2/10.0.0.2"])
    ]


def test_different_passwords_pass_only_where_equal_ones_would_look_equal(judge):
    compared, open_ = judge(
        (account("aa"), READ), (account("bb"), READ), (account("cc", storage="sha512"), READ)
    )

    assert (compared.verdict, len(compared.places)) == (Verdict.PASS, 2)
    assert (open_.verdict, len(open_.places)) == (Verdict.NOT_CHECKED, 1)


def test_copied_salted_hashes_are_seen_as_shared(judge):
    failed, *_ = judge((account("aa", storage="sha512"),), (account("aa", storage="sha512"),))

    assert (failed.verdict, failed.severity) == (Verdict.FAIL, Severity.HIGH)


def test_communities_and_keys_count_with_less_weight(judge):
    settings = DeviceSettings(platform="x", snmp_communities=1, community_fingerprints=("cc",))
    key = Account(name="eng", enabled=True, key_fingerprints=("SHA256:k",))

    failed = [j for j in judge((settings, key), (settings, key)) if j.verdict is Verdict.FAIL]

    assert {j.severity for j in failed} == {Severity.MEDIUM, Severity.LOW}


def test_twice_on_one_device_is_not_shared(judge):
    judgements = judge((account("aa"), account("aa"), READ))

    assert [j.verdict for j in judgements] == [Verdict.NOT_CHECKED]


def test_a_disabled_account_does_not_count(judge):
    off = Account(name="old", enabled=False, secret_fingerprint="aa", secret_storage="type 7")

    assert all(j.verdict is not Verdict.FAIL for j in judge((off,), (off,)))


def test_devices_that_were_not_read_are_named_as_not_compared(judge):
    (judgement,) = judge((), ())

    assert (judgement.verdict, len(judgement.places)) == (Verdict.NOT_CHECKED, 2)


def test_two_shared_secrets_are_two_findings(judge):
    one, two = account("aa"), account("bb")

    failed = [j for j in judge((one, two), (one, two)) if j.verdict is Verdict.FAIL]

    assert len({j.about for j in failed}) == 2
