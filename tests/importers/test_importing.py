"""A run made of files: told apart from a scan's, never better than it, whole or not there."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scanner import discovery, judge, signing, site
from scanner.cli import assessing, importing, scanning, verifying
from scanner.correlate import Declared, assets, merge
from scanner.errors import UsageError
from scanner.facts import ClaimedDevice, Conversation, DeviceIdentity, ModbusAccess
from scanner.importers.gather import OUTSIDE
from scanner.model import (
    Assessment,
    Asset,
    DeviceClass,
    Finding,
    Identity,
    Observation,
    Outcome,
    Presence,
    Tier,
    Transport,
    Verdict,
)
from scanner.spec import Judgement, SitePolicy
from tests.importers.conftest import Run, make_site

NIGHT = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
LIST = (
    "address,name,vendor,model,firmware\n10.1.0.7,PLC-7,ACME,P-1,v9\n10.1.0.8,PLC-8,ACME,P-2,v1\n"
)


def zeek(folder: Path, *rows: dict[str, object], name: str = "conn.log") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps({"_path": "conn"} | row) + "\n" for row in rows))
    return path


def talk(client: str, server: str, port: int = 502, *, ts: float = 1.79e9) -> dict[str, object]:
    return {
        "ts": ts, "uid": "C", "id.orig_h": client, "id.orig_p": 4000, "id.resp_h": server,
        "id.resp_p": port, "proto": "tcp", "service": "modbus", "conn_state": "SF",
        "orig_pkts": 3, "resp_pkts": 3,
    }  # fmt: skip


def assess(which: site.Site, *folders: Path) -> Assessment:
    places = [folder / "walkdown.db" for folder in folders]
    return assessing.assess_runs(places, which, now=importing.utc_now(), environment=os.environ)


def observation(name: str, **given: object) -> Observation:
    """One of a scan."""
    at = given.pop("at", NIGHT)
    values: dict[str, object] = {
        "zone": "control", "address": "10.1.0.7", "port": 502, "transport": Transport.TCP,
        "protocol": "modbus", "probe": "modbus", "tier": Tier.IDENTIFY,
        "outcome": Outcome.ANSWERED, "reason": "", "facts": (), "exchanges": (),
        "started_at": at, "finished_at": at,
    }  # fmt: skip
    return Observation(id=name, **{**values, **given})  # type: ignore[arg-type]  # as given


def capture(name: str, **given: object) -> Observation:
    values: dict[str, object] = {
        "tier": Tier.PASSIVE, "probe": "pcap modbus", "connected": True,
        "source": "capture a.pcap (SHA-256 0), packet 1",
    }  # fmt: skip
    return observation(name, **{**values, **given})


# --- the run -----------------------------------------------------------------------------------


def test_a_run_of_files_is_signed_whole_and_certified_to_have_sent_nothing(
    tmp_path: Path, which: site.Site, imported: Run
) -> None:
    folder, _ = imported(zeek(tmp_path, talk("10.2.0.5", "10.1.0.7")))

    found = verifying.verify(str(folder), public_key=None, head=None)
    made = verifying.certificate(str(folder)).made
    assert found.result.outcome == "signed"
    assert found.state == "finished"
    assert made is not None
    assert made.capture == "no capture: nothing was sent"
    assert not made.with_verdict("fail")
    assert assess(which, folder).safety.total.exchanges == 0


def test_an_observation_tells_file_digest_place_and_its_own_time(
    tmp_path: Path, imported: Run
) -> None:
    _, observations = imported(
        zeek(tmp_path, talk("10.2.0.5", "10.1.0.7", ts=1_700_000_000)),
    )

    server = next(one for one in observations if one.address == "10.1.0.7")
    assert server.source.startswith("Zeek log conn.log (SHA-256 ")
    assert server.source.endswith("), line 1")
    assert len(server.source.partition("SHA-256 ")[2].partition(")")[0]) == 64
    assert server.finished_at == datetime.fromtimestamp(1_700_000_000, UTC)
    assert (server.tier, server.port, server.connected) == (Tier.PASSIVE, 502, True)
    assert server.imported


def test_clients_are_seen_too_and_addresses_in_no_zone_are_listed(
    tmp_path: Path, which: site.Site, imported: Run
) -> None:
    folder, _ = imported(
        zeek(tmp_path, talk("10.2.0.5", "10.1.0.7"), talk("172.16.5.5", "10.1.0.9"))
    )

    seen = {(a.zone, a.address) for a in assess(which, folder).assets}
    assert seen == {
        ("hmi", "10.2.0.5"), ("control", "10.1.0.7"), ("control", "10.1.0.9"),
        (OUTSIDE, "172.16.5.5"),
    }  # fmt: skip


def test_what_lies_outside_every_zone_is_listed_and_not_judged(
    tmp_path: Path, which: site.Site, imported: Run
) -> None:
    row = talk("10.2.0.5", "172.16.0.1") | {
        "_path": "modbus", "unit": 1, "func": "READ_COILS", "pdu_type": "RESP",
    }  # fmt: skip
    folder, _ = imported(zeek(tmp_path, row, name="modbus.log"))

    found = assess(which, folder)

    assert f"{OUTSIDE}/172.16.0.1" in {asset.id for asset in found.assets}
    assert OUTSIDE not in {finding.zone for finding in found.findings}


def test_old_evidence_counts_as_not_assessed(tmp_path: Path, imported: Run) -> None:
    folder, _ = imported(zeek(tmp_path, talk("10.2.0.5", "10.1.0.7", ts=1_700_000_000)))

    young = make_site(tmp_path, max_age="30d")

    assert assess(young, folder).assets == ()


def test_a_clock_ahead_of_ours_makes_nothing_younger(tmp_path: Path, imported: Run) -> None:
    _, observations = imported(zeek(tmp_path, talk("10.2.0.5", "10.1.0.7", ts=9_000_000_000)))

    assert all(one.finished_at <= importing.utc_now() for one in observations)
    assert all("ahead of our clock" in one.reason for one in observations)


def test_runs_of_files_merge_with_each_other_and_the_newer_capture_wins(
    tmp_path: Path, which: site.Site, imported: Run
) -> None:
    old, new = tmp_path / "old.xml", tmp_path / "new.xml"
    for path, version, at in ((old, "1.0", 1_700_000_000), (new, "2.0", 1_790_000_000)):
        path.write_text(
            f'<nmaprun><host endtime="{at}"><status state="up" reason="x"/>'
            '<address addr="10.1.0.7" addrtype="ipv4"/><ports><port protocol="tcp" portid="102">'
            '<state state="open"/><script id="s7-info" output="">'
            f'<elem key="Version">{version}</elem></script></port></ports></host></nmaprun>'
        )
    first, _ = imported(new)
    second, _ = imported(old)

    (asset,) = (a for a in assess(which, first, second).assets)

    assert asset.identity.firmware == "2.0"
    assert asset.origins == ("nmap scan new.xml",)


def test_two_files_of_one_run_that_disagree_are_a_conflict_the_newer_first(
    tmp_path: Path, which: site.Site, imported: Run
) -> None:
    files = []
    for name, version, at in (("a", "1.0", 1_700_000_000), ("b", "2.0", 1_790_000_000)):
        path = tmp_path / f"{name}.xml"
        path.write_text(
            f'<nmaprun><host endtime="{at}"><status state="up" reason="x"/>'
            '<address addr="10.1.0.7" addrtype="ipv4"/><ports><port protocol="tcp" portid="102">'
            '<state state="open"/><script id="s7-info" output="">'
            f'<elem key="Version">{version}</elem></script></port></ports></host></nmaprun>'
        )
        files.append(path)
    folder, _ = imported(*files)

    (asset,) = assess(which, folder).assets

    assert asset.identity.firmware == "2.0"
    assert [value for value, _ in asset.conflicts[0].values] == ["2.0", "1.0"]


# --- whole or not at all -----------------------------------------------------------------------


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError])
def test_what_stops_an_import_leaves_nothing_behind(
    tmp_path: Path, which: site.Site, stop: type[BaseException]
) -> None:
    path = zeek(tmp_path, talk("10.2.0.5", "10.1.0.7"))
    place = tmp_path / "runs"

    def finish(_: Path) -> None:
        raise stop

    with pytest.raises(stop):
        importing.import_files([path], which, place / "run", environment=os.environ, finish=finish)

    assert list(place.iterdir()) == []


def test_an_earlier_run_is_never_mixed_with_a_new_one(tmp_path: Path, which: site.Site) -> None:
    (tmp_path / "run").mkdir()

    with pytest.raises(UsageError, match="is there already"):
        importing.import_files([], which, tmp_path / "run", environment=os.environ)


def test_nothing_is_unpacked(tmp_path: Path, which: site.Site) -> None:
    path = tmp_path / "conn.log.gz"
    path.write_bytes(gzip.compress(b"#separator"))

    with pytest.raises(UsageError, match="compressed"):
        importing.import_files([path], which, tmp_path / "run", environment=os.environ)


def test_an_unknown_format_is_told_with_those_that_are_known(
    tmp_path: Path, which: site.Site
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"hello")

    with pytest.raises(UsageError, match="--format"):
        importing.import_files([path], which, tmp_path / "run", environment=os.environ)
    with pytest.raises(UsageError, match="no such format"):
        importing.import_files(
            [path], which, tmp_path / "run", format_="word", environment=os.environ
        )


def test_a_file_name_is_text_and_no_path_in_the_run(
    tmp_path: Path, which: site.Site, imported: Run
) -> None:
    path = zeek(tmp_path, talk("10.2.0.5", "10.1.0.7"), name="=cmd|'\x1b[31m <b>.log")

    folder, observations = imported(path)
    assessing.write_reports(assess(which, folder), folder)

    assert "\x1b[31m" in observations[0].source
    assert b"\x1b" not in (folder / "report.html").read_bytes()
    assert b"<b>.log" not in (folder / "report.html").read_bytes()


def test_every_format_is_found_by_walking() -> None:
    names = [one.name for one in discovery.importers()]

    assert names == ["csv", "netbox", "nmap", "pcap", "zeek", "zgrab2"]


# --- claims ------------------------------------------------------------------------------------


def test_a_claim_is_neither_seen_nor_declared(
    tmp_path: Path, which: site.Site, imported: Run
) -> None:
    path = tmp_path / "register.csv"
    path.write_text(LIST)

    folder, observations = imported(path)
    found = assess(which, folder).assets

    assert not any(one.connected for one in observations)
    assert {(a.address, a.presence) for a in found} == {
        ("10.1.0.7", Presence.CLAIMED), ("10.1.0.8", Presence.CLAIMED),
    }  # fmt: skip
    assert all(a.identity == Identity() for a in found)
    assert found[0].declared == Identity(vendor="ACME", model="P-1", firmware="v9")
    assert found[0].origins == ("list register.csv",)


def test_a_claim_that_differs_from_what_was_seen_is_a_conflict_and_no_identity(
    tmp_path: Path, which: site.Site
) -> None:
    claim = observation(
        "o2", facts=(ClaimedDevice(vendor="ACME", firmware="v9", own_name="X"),), port=0,
        tier=Tier.PASSIVE, probe="csv", source="list a.csv (SHA-256 0), row 2",
    )  # fmt: skip
    seen = observation("o1", facts=(DeviceIdentity(vendor="ACME", firmware="v2"),))

    (asset,) = assets([claim, seen], ())

    assert asset.identity == Identity(vendor="ACME", firmware="v2")
    assert asset.presence is Presence.SEEN_AND_UNDECLARED
    assert [c.values for c in asset.conflicts] == [(("v2", "o1"), ("v9", "o2"))]
    assert "o2" not in asset.sources["vendor"]


def test_no_claim_and_no_capture_makes_a_check_pass(
    tmp_path: Path, which: site.Site, imported: Run
) -> None:
    """Everything that could pass: a claimed device, and one that was only seen in a log."""
    path = tmp_path / "register.csv"
    path.write_text(LIST)
    folder, _ = imported(path, zeek(tmp_path, talk("10.2.0.5", "10.1.0.20")))

    assessment = assess(which, folder)

    passed: list[Finding] = [f for f in assessment.findings if f.verdict is Verdict.PASS]
    assert passed == []
    assert {a.address for a in assessment.assets} >= {"10.1.0.7", "10.1.0.20"}


def test_a_declared_device_that_only_a_log_shows_passes_no_check_of_its_zone(
    tmp_path: Path, imported: Run
) -> None:
    folder, _ = imported(zeek(tmp_path, talk("10.2.0.5", "10.1.0.7")))
    path = tmp_path / "site.yaml"
    path.write_text(
        path.read_text().replace(
            "exclude: [10.1.0.9], sl_t: 2",
            "exclude: [10.1.0.9], sl_t: 2, assets: [{address: 10.1.0.7, name: PLC}]",
        )
    )

    assessment = assess(site.load(path), folder)

    asset = next(a for a in assessment.assets if a.address == "10.1.0.7")
    assert asset.presence is Presence.DECLARED_AND_SEEN
    told = {f.id: f for f in assessment.findings if f.zone == "control" and f.scope == "zone"}
    silent = told["asset_silent/zone/control"]
    assert silent.verdict is Verdict.NOT_CHECKED
    assert "imported files only" in silent.summary


def test_what_a_capture_shows_can_fail_a_check(
    tmp_path: Path, which: site.Site, imported: Run
) -> None:
    row = talk("10.2.0.5", "10.1.0.7") | {
        "_path": "modbus", "unit": 1, "func": "READ_COILS", "pdu_type": "RESP",
    }  # fmt: skip
    folder, _ = imported(zeek(tmp_path, row, name="modbus.log"))

    failed = [f for f in assess(which, folder).findings if f.verdict is Verdict.FAIL]

    assert "modbus_unauthenticated/asset/control/10.1.0.7/port 502/unit 1" in {f.id for f in failed}


# --- beside a scan -----------------------------------------------------------------------------


def test_what_was_asked_comes_before_what_was_imported_whatever_the_age() -> None:
    asked = observation(
        "o1", facts=(DeviceIdentity(vendor="ACME", firmware="v2", basis="text"),), at=NIGHT
    )
    older = capture(
        "o2", facts=(DeviceIdentity(vendor="ACME", firmware="v1", serial="77"),),
        at=NIGHT - timedelta(days=30),
    )  # fmt: skip
    younger = capture(
        "o3", facts=(DeviceIdentity(firmware="v3"),), at=NIGHT + timedelta(days=1), port=0
    )

    (asset,) = assets([older, asked, younger], ())

    assert asset.identity.firmware == "v2"
    assert asset.identity.serial == "77"
    assert asset.sources["serial"] == ("o2",)
    assert [value for value, _ in asset.conflicts[0].values] == ["v2", "v3", "v1"]
    assert asset.origins == ("capture a.pcap", "asked")


def test_a_longer_value_of_a_file_does_not_replace_what_was_asked() -> None:
    asked = observation("o1", facts=(DeviceIdentity(model="S7-1200"),))
    file = capture("o2", facts=(DeviceIdentity(model="SIMATIC S7-1200 CPU 1215C"),))

    (asset,) = assets([asked, file], ())

    assert asset.identity.model == "S7-1200"


def test_a_service_that_refuses_today_is_not_open_because_it_was_once() -> None:
    refused = observation("o1", outcome=Outcome.REFUSED, at=NIGHT)
    once = capture("o2", facts=(ModbusAccess(unit_id=1),), at=NIGHT - timedelta(days=3))

    (asset,) = assets([refused, once], ())

    assert [service.outcome for service in asset.services] == [Outcome.REFUSED]


def test_what_a_file_told_of_a_service_is_history_once_it_was_asked() -> None:
    asked = observation("o1", outcome=Outcome.REFUSED, at=NIGHT)
    told = (ModbusAccess(unit_id=1, answers_without_login=True), DeviceIdentity(serial="77"))
    older = capture("o2", facts=told, at=NIGHT - timedelta(days=3))
    younger = capture("o3", facts=told, at=NIGHT + timedelta(days=3))

    (before,) = assets([asked, older], ())
    (after,) = assets([asked, younger], ())

    assert before.identity.serial == after.identity.serial == "77"
    assert not any(isinstance(fact, ModbusAccess) for fact in before.facts)
    assert any(isinstance(fact, ModbusAccess) for fact in after.facts)


def test_a_class_that_only_a_file_tells_excuses_a_device_from_no_check() -> None:
    some = next(one for one in discovery.checks() if one.id == "cleartext_management")
    check = replace(some, only_for=frozenset({DeviceClass.PLC}))
    file = capture("o1", facts=(DeviceIdentity(device_class="server"),))
    asked = observation("o2", facts=(DeviceIdentity(device_class="server"),))

    for one, verdict in ((file, Verdict.NOT_CHECKED), (asked, Verdict.NOT_APPLICABLE)):
        found = judge.findings(
            [check], assets([one], ()), [one], (), (),
            SitePolicy(site="S", assessed_at=NIGHT, zones=(), conduits=()),
        )  # fmt: skip
        assert {each.verdict for each in found} == {verdict}


@pytest.mark.parametrize("reads", [Asset, ModbusAccess])
def test_a_pass_on_imported_evidence_alone_is_not_checked(reads: type) -> None:
    some = next(one for one in discovery.checks() if one.id == "modbus_unauthenticated")
    fine = (Judgement(verdict=Verdict.PASS, summary="fine"),)
    check = replace(some, reads=reads, judge=lambda subject, site: fine)
    fact = ModbusAccess(unit_id=1)
    policy = SitePolicy(site="S", assessed_at=NIGHT, zones=(), conduits=())

    def judged(*observations: Observation) -> set[tuple[Verdict, str]]:
        found = judge.findings([check], assets(observations, ()), observations, (), (), policy)
        return {(one.verdict, one.summary.partition(",")[0]) for one in found}

    assert judged(capture("o1", facts=(fact,))) == {(Verdict.NOT_CHECKED, "fine")}
    assert judged(observation("o2", facts=(fact,))) == {(Verdict.PASS, "fine")}


def test_two_names_for_one_zone_make_one_question(tmp_path: Path, imported: Run) -> None:
    path = tmp_path / "register.csv"
    path.write_text("address,sub_address,zone,model\n10.1.0.7,slot 1,A,x\n10.1.0.7,slot 1,B,x\n")

    _, observations = imported(path)

    assert [one.zone for one in observations] == ["control", "control"]
    assert len({one.probe for one in observations}) == 2


async def test_a_scan_does_not_go_on_in_a_run_of_files(tmp_path: Path, which: site.Site) -> None:
    path = zeek(tmp_path, talk("10.2.0.5", "10.1.0.7"))
    await asyncio.to_thread(
        importing.import_files, [path], which, tmp_path / "run", environment=os.environ
    )
    order = scanning.ScanOrder(site_file=which.path, out=tmp_path / "run", resume=True)
    plan = scanning.make_plan(which)
    signer = signing.load_or_create(scanning.signing_key_file(which))

    with pytest.raises(UsageError, match="made of files"):
        scanning._open_run(order, tmp_path / "run" / "walkdown.db", which, plan, signer)


def test_a_capture_answers_no_question_of_a_scan() -> None:
    asked = observation("o1", outcome=Outcome.SILENT, at=NIGHT - timedelta(days=9))
    file = capture("o2", facts=(ModbusAccess(unit_id=1),), at=NIGHT)

    merged = merge([asked, file], now=NIGHT, max_age=timedelta(days=5))

    assert [o.id for o in merged.observations] == ["o2"]
    assert [o.id for o in merged.stale] == ["o1"]


def test_a_conversation_stands_at_both_ends(tmp_path: Path, imported: Run) -> None:
    _, observations = imported(zeek(tmp_path, talk("10.2.0.5", "10.1.0.7")))

    ends = {
        (one.address, one.port)
        for one in observations
        for fact in one.facts
        if isinstance(fact, Conversation)
    }
    assert ends == {("10.2.0.5", 0), ("10.1.0.7", 502)}


def test_a_declared_chassis_takes_what_its_other_address_said() -> None:
    declared = Declared(zone="control", address="10.1.0.7", addresses=("10.1.0.17",), name="PLC")
    file = capture("o1", address="10.1.0.17", facts=(DeviceIdentity(serial="77"),))

    (asset,) = assets([file], (declared,))

    assert asset.identity.serial == "77"
    assert asset.presence is Presence.DECLARED_AND_SEEN
