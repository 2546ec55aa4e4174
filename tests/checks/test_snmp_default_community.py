from __future__ import annotations

import pytest

from checks.snmp_default_community import CHECK
from scanner.facts import DeviceSettings, SnmpAccess
from scanner.model import Outcome, Severity, Verdict

PUBLIC = SnmpAccess(versions=("2c",), community="public")
PRIVATE = SnmpAccess(versions=("2c",), community="private")
V3 = SnmpAccess(versions=("3",))
NONE_SET = DeviceSettings(platform="linux", snmp_communities=0)
ONE_SET = DeviceSettings(platform="linux", snmp_communities=1)


@pytest.mark.parametrize(
    ("facts", "services", "verdict"),
    [
        ((PUBLIC,), {"snmp/161": Outcome.ANSWERED}, Verdict.FAIL),
        ((V3,), {"snmp/161": Outcome.ANSWERED}, Verdict.NOT_CHECKED),
        ((V3, NONE_SET), {"snmp/161": Outcome.ANSWERED}, Verdict.PASS),
        ((V3, ONE_SET), {"snmp/161": Outcome.ANSWERED}, Verdict.NOT_CHECKED),
        ((PUBLIC, NONE_SET), {"snmp/161": Outcome.ANSWERED}, Verdict.FAIL),
        ((), {"snmp/161": Outcome.SILENT}, Verdict.NOT_APPLICABLE),
        ((), {"snmp/161": Outcome.WITHHELD}, Verdict.NOT_CHECKED),
        ((), {}, Verdict.NOT_CHECKED),
    ],
)
def test_only_an_answer_fails_and_only_a_configuration_passes(
    site, make_asset, facts, services, verdict
):
    (judgement,) = CHECK.judge(make_asset(*facts, services=services), site)

    assert judgement.verdict is verdict


def test_a_write_community_weighs_more_than_public(site, make_asset):
    (read_only,) = CHECK.judge(make_asset(PUBLIC), site)
    (both,) = CHECK.judge(make_asset(PUBLIC, PRIVATE), site)

    assert read_only.severity is Severity.MEDIUM
    assert (both.severity or CHECK.severity) is Severity.HIGH


def test_a_finding_rests_on_the_observation_that_saw_it(site, make_asset):
    asset = make_asset(V3, PUBLIC)

    (judgement,) = CHECK.judge(asset, site)

    assert judgement.evidence == (asset.fact_sources[1],)
