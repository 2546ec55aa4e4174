from __future__ import annotations

import pytest

from checks.unneeded_services import CHECK
from scanner.facts import DeviceSettings
from scanner.model import Flow, Outcome, Transport, Verdict

MODBUS = Flow(protocol="modbus", transport=Transport.TCP, port=502)
SSH = Flow(protocol="ssh", transport=Transport.TCP, port=22)


def listening(*ports):
    return DeviceSettings(platform="linux", listening=ports)


@pytest.mark.parametrize(
    ("expected", "facts", "services", "verdict"),
    [
        ((MODBUS,), (), {"telnet/23": Outcome.ANSWERED}, Verdict.FAIL),
        ((MODBUS,), (), {"telnet/23": Outcome.GARBLED}, Verdict.FAIL),
        ((SSH,), (listening("tcp/22", "udp/69"),), {"ssh/22": Outcome.ANSWERED}, Verdict.FAIL),
        ((SSH,), (listening("tcp/22"),), {"ssh/22": Outcome.ANSWERED}, Verdict.PASS),
        ((SSH,), (), {"ssh/22": Outcome.ANSWERED}, Verdict.NOT_CHECKED),
        ((SSH,), (), {"telnet/23": Outcome.REFUSED}, Verdict.NOT_CHECKED),
        ((), (listening("tcp/22"),), {"ssh/22": Outcome.ANSWERED}, Verdict.NOT_CHECKED),
    ],
)
def test_a_pass_needs_the_devices_own_list_of_open_ports(
    site, make_asset, expected, facts, services, verdict
):
    asset = make_asset(*facts, services=services, expected_services=expected)

    (judgement,) = CHECK.judge(asset, site)

    assert judgement.verdict is verdict


def test_surplus_services_are_named_with_port_and_protocol(site, make_asset):
    asset = make_asset(services={"telnet/23": Outcome.ANSWERED}, expected_services=(MODBUS,))

    (judgement,) = CHECK.judge(asset, site)

    assert "tcp/23 (telnet)" in judgement.summary


def test_a_device_behind_a_device_is_judged_at_the_one_in_front(site, make_asset):
    (judgement,) = CHECK.judge(make_asset(parent="cell/10.0.0.1"), site)

    assert judgement.verdict is Verdict.NOT_APPLICABLE
