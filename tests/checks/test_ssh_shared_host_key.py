from __future__ import annotations

import pytest

from checks.ssh_shared_host_key import CHECK
from scanner.facts import SshHostKey
from scanner.model import Outcome, Verdict
from scanner.spec import Inventory


def key(fingerprint):
    return SshHostKey(algorithm="ssh-ed25519", fingerprint_sha256=fingerprint)


@pytest.fixture
def judge(site, make_asset):
    def judge(*devices, outcome=Outcome.ANSWERED):
        assets = [
            make_asset(*facts, services={"ssh/22": outcome}, address=f"10.0.0.{n}")
            for n, facts in enumerate(devices)
        ]
        return CHECK.judge(Inventory(assets=tuple(assets)), site)

    return judge


def test_a_key_on_two_devices_fails_with_both_places(judge):
    failed, passed = judge((key("A"),), (key("A"),), (key("B"),))

    assert (failed.verdict, len(failed.places)) == (Verdict.FAIL, 2)
    assert (passed.verdict, len(passed.places)) == (Verdict.PASS, 1)


def test_different_keys_pass(judge):
    (judgement,) = judge((key("A"),), (key("B"),))

    assert (judgement.verdict, len(judgement.places)) == (Verdict.PASS, 2)


@pytest.mark.parametrize("devices", [((),), ((key("A"),),)])
def test_a_key_that_was_not_read_or_stands_alone_is_not_passed(judge, devices):
    (judgement,) = judge(*devices)

    assert judgement.verdict is Verdict.NOT_CHECKED


def test_two_keys_of_one_device_are_not_shared(judge):
    judgements = judge((key("A"), key("A")), (key("B"),))

    assert [j.verdict for j in judgements] == [Verdict.PASS]


def test_a_site_without_ssh_is_not_concerned(judge):
    (judgement,) = judge((), outcome=Outcome.REFUSED)

    assert judgement.verdict is Verdict.NOT_APPLICABLE


def test_nothing_asked_is_nothing_known(site):
    (judgement,) = CHECK.judge(Inventory(assets=()), site)

    assert judgement.verdict is Verdict.NOT_CHECKED
