from __future__ import annotations

import pytest

from checks.remote_access_no_mfa import CHECK
from scanner.facts import DeviceSettings, SshAuthMethods
from scanner.model import ConduitInfo, Flow, Outcome, Transport, Verdict
from scanner.spec import Conduit

SSH = {"ssh/22": Outcome.ANSWERED}
PASSWORD = SshAuthMethods(methods=("password",))
OPEN = SshAuthMethods(methods=(), accepts_none=True)


def settings(multi_factor):
    return DeviceSettings(platform="linux", multi_factor=multi_factor)


@pytest.fixture
def judge(site, make_asset):
    def judge(*devices, remote=True, services=SSH, allow=()):
        info = ConduitInfo(
            id="c1",
            from_zone="office",
            to_zone="dmz",
            sl_t={},
            remote_access=remote,
            monitored_by=None,
            allow=allow,
        )
        assets = tuple(
            make_asset(*facts, services=services, address=f"10.0.0.{n}", zone="dmz")
            for n, facts in enumerate(devices)
        )
        return CHECK.judge(Conduit(info=info, from_assets=(), to_assets=assets), site)

    return judge


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        ((settings(False),), Verdict.FAIL),
        ((OPEN,), Verdict.FAIL),
        ((OPEN, settings(True)), Verdict.FAIL),
        ((PASSWORD, settings(True)), Verdict.PASS),
        ((PASSWORD,), Verdict.NOT_CHECKED),
        ((PASSWORD, settings(None)), Verdict.NOT_CHECKED),
        ((), Verdict.NOT_CHECKED),
    ],
)
def test_a_password_that_is_offered_proves_neither_way(judge, facts, verdict):
    (judgement,) = judge(facts)

    assert judgement.verdict is verdict


def test_a_conduit_without_remote_access_is_not_concerned(judge):
    (judgement,) = judge((settings(False),), remote=False)

    assert judgement.verdict is Verdict.NOT_APPLICABLE


def test_no_entrance_seen_is_no_pass(judge):
    (judgement,) = judge((settings(True),), services={"ssh/22": Outcome.REFUSED})

    assert judgement.verdict is Verdict.NOT_CHECKED


def test_each_entrance_is_named_under_its_own_verdict(judge):
    failed, open_, passed = judge((settings(False),), (PASSWORD,), (settings(True),))

    assert (failed.verdict, failed.places[0].asset) == (Verdict.FAIL, "dmz/10.0.0.0")
    assert (open_.verdict, open_.places[0].asset) == (Verdict.NOT_CHECKED, "dmz/10.0.0.1")
    assert (passed.verdict, passed.places[0].asset) == (Verdict.PASS, "dmz/10.0.0.2")
    assert "password" in open_.places[0].note


@pytest.mark.parametrize(
    ("flow", "verdict"),
    [
        (Flow(protocol="ssh", transport=Transport.TCP, port=10022), Verdict.FAIL),
        (Flow(protocol="secure-shell", transport=Transport.TCP, port=22), Verdict.FAIL),
        (Flow(protocol="rdp", transport=Transport.TCP, port=3389), Verdict.NOT_CHECKED),
    ],
)
def test_only_services_that_the_conduit_lets_through_count(judge, flow, verdict):
    (judgement,) = judge((settings(False),), allow=(flow,))

    assert judgement.verdict is verdict
