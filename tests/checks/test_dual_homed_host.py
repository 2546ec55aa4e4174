from __future__ import annotations

from dataclasses import replace

import pytest

from checks.dual_homed_host import CHECK
from scanner.facts import OwnAddress, TableRead
from scanner.model import (
    ConduitInfo,
    DeviceClass,
    DualHomed,
    Leg,
    Presence,
    Topology,
    Verdict,
)
from scanner.spec import Inventory

SERVER = {"device_class": DeviceClass.SERVER}
TOLD = OwnAddress(ip="10.0.0.5")
WHOLE = TableRead(table="own_addresses", rows=2, complete=True)
CUT = TableRead(table="own_addresses", rows=30, complete=False)


def homes(*zones: str | None, sure: bool = True, asset: str = "cell/10.0.0.5") -> Topology:
    legs = tuple(Leg(address=f"10.{n}.0.5", zone=z, how="own") for n, z in enumerate(zones))
    note = "" if sure else "or a router"
    return Topology(dual_homed=(DualHomed(asset=asset, legs=legs, sure=sure, note=note),))


@pytest.fixture
def judge(site):
    def judge(*assets, topology: Topology, conduits=()):
        policy = replace(site, conduits=tuple(conduits))
        return CHECK.judge(Inventory(assets=assets, topology=topology), policy)

    return judge


def conduit(one: str, other: str) -> ConduitInfo:
    return ConduitInfo(
        id="c", from_zone=one, to_zone=other, sl_t={}, remote_access=False, monitored_by=None,
        allow=(),
    )  # fmt: skip


def test_a_host_in_two_zones_without_a_conduit_fails_in_both(judge, make_asset):
    (judgement,) = judge(make_asset(TOLD, WHOLE, **SERVER), topology=homes("cell", "office"))

    assert judgement.verdict is Verdict.FAIL
    assert {place.zone for place in judgement.places} == {"cell", "office"}
    assert "cell and office" in judgement.summary
    assert judgement.evidence == ("o10.0.0.5-0",)


@pytest.mark.parametrize("ends", [("cell", "office"), ("office", "cell")])
def test_zones_that_a_conduit_joins_pass(judge, make_asset, ends):
    (judgement,) = judge(
        make_asset(TOLD, WHOLE, **SERVER),
        topology=homes("cell", "office"),
        conduits=[conduit(*ends)],
    )

    assert judgement.verdict is Verdict.PASS


def test_of_three_zones_the_pair_without_a_conduit_is_named(judge, make_asset):
    (judgement,) = judge(
        make_asset(TOLD, WHOLE, **SERVER),
        topology=homes("cell", "dmz", "office"),
        conduits=[conduit("cell", "dmz"), conduit("dmz", "office")],
    )

    assert judgement.verdict is Verdict.FAIL
    assert "(cell and office)" in judgement.summary


@pytest.mark.parametrize("kind", [DeviceClass.SWITCH, DeviceClass.FIREWALL, DeviceClass.GATEWAY])
def test_a_boundary_device_is_no_host(judge, make_asset, kind):
    server = make_asset(TOLD, WHOLE, address="10.0.0.6", **SERVER)
    (judgement,) = judge(make_asset(device_class=kind), server, topology=homes("cell", "office"))

    assert judgement.verdict is Verdict.PASS


def test_what_may_be_a_routers_answer_is_not_checked(judge, make_asset):
    judgements = judge(
        make_asset(TOLD, WHOLE, **SERVER), topology=homes("cell", "office", sure=False)
    )

    assert [one.verdict for one in judgements] == [Verdict.NOT_CHECKED]
    assert "or a router" in judgements[0].summary


def test_a_host_that_did_not_tell_its_addresses_leaves_it_open(judge, make_asset):
    silent = make_asset(address="10.0.0.6", **SERVER)
    (judgement,) = judge(make_asset(TOLD, WHOLE, **SERVER), silent, topology=Topology())

    assert judgement.verdict is Verdict.NOT_CHECKED
    assert "1 of 2 hosts" in judgement.summary


def test_a_table_that_was_cut_short_leaves_it_open(judge, make_asset):
    (judgement,) = judge(make_asset(TOLD, CUT, **SERVER), topology=Topology())

    assert judgement.verdict is Verdict.NOT_CHECKED


def test_hosts_that_all_told_one_zone_pass(judge, make_asset):
    (judgement,) = judge(make_asset(TOLD, WHOLE, **SERVER), topology=Topology())

    assert judgement.verdict is Verdict.PASS


def test_without_a_host_nothing_is_known(judge, make_asset):
    unseen = make_asset(presence=Presence.DECLARED_AND_SILENT, **SERVER)

    for assets in ((), (unseen,)):
        (judgement,) = judge(*assets, topology=Topology())
        assert judgement.verdict is Verdict.NOT_CHECKED
