from __future__ import annotations

import pytest

from checks.asset_outside_zones import CHECK
from scanner.facts import AddressEntry, Neighbour, OwnAddress, TableRead
from scanner.model import DualHomed, Leg, OutsideDevice, Topology, Verdict
from scanner.spec import Inventory

ENTRY = AddressEntry(ip="10.0.0.9", mac="02:00:00:00:00:09")
WHOLE = TableRead(table="addresses", rows=1, complete=True)
CUT = TableRead(table="addresses", rows=200, complete=False)


def outside(count: int = 1) -> Topology:
    return Topology(
        outside=tuple(
            OutsideDevice(
                node=f"neighbour:{n}",
                address=f"192.168.77.{n}",
                mac="02:00:00:00:00:77",
                name=None,
                seen_by=("cell/10.0.0.5",),
            )
            for n in range(count)
        )
    )


@pytest.fixture
def judge(site):
    def judge(*assets, topology: Topology | None = None):
        return CHECK.judge(Inventory(assets=assets, topology=topology or Topology()), site)

    return judge


def test_an_address_in_no_zone_fails_at_whoever_spoke_with_it(judge, make_asset):
    (judgement,) = judge(make_asset(ENTRY), make_asset(address="10.0.0.6"), topology=outside())

    assert judgement.verdict is Verdict.FAIL
    assert [(place.zone, place.asset) for place in judgement.places] == [("cell", "cell/10.0.0.5")]
    assert "192.168.77.0 (02:00:00:00:00:77)" in judgement.summary
    assert judgement.evidence == ("o10.0.0.5-0",)


def test_many_addresses_are_counted_and_not_all_listed(judge, make_asset):
    (judgement,) = judge(make_asset(ENTRY), topology=outside(40))

    assert "and 34 more" in judgement.summary
    assert len(judgement.summary) < 500


def test_a_leg_of_its_own_outside_every_zone_fails(judge, make_asset):
    legs = (
        Leg(address="10.0.0.5", zone="cell", how="asked there"),
        Leg(address="10.9.0.5", zone=None, how="its own address table"),
    )
    topology = Topology(dual_homed=(DualHomed(asset="cell/10.0.0.5", legs=legs, sure=True),))
    (judgement,) = judge(make_asset(OwnAddress(ip="10.9.0.5")), topology=topology)

    assert judgement.verdict is Verdict.FAIL
    assert "10.9.0.5" in judgement.summary


def test_tables_that_name_only_zones_pass(judge, make_asset):
    (judgement,) = judge(make_asset(ENTRY, WHOLE), make_asset(address="10.0.0.6"))

    assert judgement.verdict is Verdict.PASS
    assert "(1 told theirs)" in judgement.summary


def test_a_table_that_was_cut_short_is_no_pass(judge, make_asset):
    (judgement,) = judge(make_asset(ENTRY, WHOLE), make_asset(ENTRY, CUT, address="10.0.0.6"))

    assert judgement.verdict is Verdict.NOT_CHECKED
    assert "cut short" in judgement.summary


def test_without_any_table_nothing_is_known(judge, make_asset):
    nameless = Neighbour(local_port="p1", system_name="SW-2")
    for assets in ((), (make_asset(),), (make_asset(nameless),), (make_asset(ENTRY),)):
        (judgement,) = judge(*assets)
        assert judgement.verdict is Verdict.NOT_CHECKED
