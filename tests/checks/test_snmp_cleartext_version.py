from __future__ import annotations

import pytest

from checks.snmp_cleartext_version import CHECK
from scanner.facts import DeviceSettings, SnmpAccess
from scanner.model import Outcome, Verdict

V2C = SnmpAccess(versions=("2c", "3"), community="public")
V3 = SnmpAccess(versions=("3",))


def settings(communities):
    return DeviceSettings(platform="cisco_ios", snmp_communities=communities)


@pytest.mark.parametrize(
    ("facts", "services", "verdict"),
    [
        ((V2C,), {"snmp/161": Outcome.ANSWERED}, Verdict.FAIL),
        ((V3,), {"snmp/161": Outcome.ANSWERED}, Verdict.NOT_CHECKED),
        ((V3, settings(2)), {"snmp/161": Outcome.ANSWERED}, Verdict.FAIL),
        ((V3, settings(0)), {"snmp/161": Outcome.ANSWERED}, Verdict.PASS),
        ((V3, settings(None)), {"snmp/161": Outcome.ANSWERED}, Verdict.NOT_CHECKED),
        ((), {"snmp/161": Outcome.SILENT}, Verdict.NOT_APPLICABLE),
        ((), {}, Verdict.NOT_CHECKED),
    ],
)
def test_version_3_alone_proves_nothing_about_the_older_ones(
    site, make_asset, facts, services, verdict
):
    (judgement,) = CHECK.judge(make_asset(*facts, services=services), site)

    assert judgement.verdict is verdict
