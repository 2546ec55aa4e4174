from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scanner.backups import folder
from scanner.backups.layout import wanted
from scanner.errors import UsageError
from scanner.facts import RunningConfiguration
from scanner.model import DeviceClass, Presence

DAY = 86_400
POLICY = {"switch": 7 * DAY}


def put(root, relative, content=b"hostname sw-01\n", at=None):
    path = root / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if at is not None:
        os.utime(path, (at.timestamp(), at.timestamp()))
    return path


@pytest.fixture
def read(tmp_path, now):
    def read(*assets, policy=POLICY, normalise=None):
        records = folder.read(
            tmp_path, source="nas", assets=assets, policy=policy, now=now, normalise=normalise
        )
        return [records.get(asset.id) for asset in assets]

    return read


def test_the_newest_file_counts_by_the_time_in_its_name(tmp_path, read, make_asset, now):
    put(tmp_path, "sw-01/sw-01_2026-11-18T1200Z.cfg", at=now)
    put(tmp_path, "sw-01/sw-01_2026-11-19T1200Z.cfg", at=now - timedelta(days=300))

    (record,) = read(make_asset())

    assert (record.found, record.path) == (True, "sw-01/sw-01_2026-11-19T1200Z.cfg")
    assert record.age_s == DAY
    assert record.max_age_s == 7 * DAY
    assert record.source == "nas"


def test_without_a_time_in_the_name_the_file_time_counts(tmp_path, read, make_asset, now):
    put(tmp_path, "sw-01/old.cfg", at=now - timedelta(days=3))
    put(tmp_path, "sw-01/new.cfg", at=now - timedelta(days=2))

    (record,) = read(make_asset())

    assert (record.path, record.age_s) == ("sw-01/new.cfg", 2 * DAY)


def test_a_backup_of_today_without_a_time_is_not_from_the_future(tmp_path, read, make_asset, now):
    put(tmp_path, "sw-01/20261120.cfg")

    (record,) = read(make_asset())

    assert (record.taken_at, record.age_s) == (now, 0)


def test_a_time_in_the_future_stays_visible(tmp_path, read, make_asset):
    put(tmp_path, "sw-01/20261125.cfg")

    (record,) = read(make_asset())

    assert record.age_s < 0


@pytest.mark.parametrize("place", ["sw-01", "10.0.0.5", "cell/sw-01", "cell/10.0.0.5"])
def test_a_folder_is_named_after_the_asset_its_address_or_below_its_zone(
    tmp_path, read, make_asset, place
):
    put(tmp_path, f"{place}/20261119.cfg")

    (record,) = read(make_asset())

    assert record.path == f"{place}/20261119.cfg"


def test_an_ipv6_address_is_written_with_dashes(tmp_path, read, make_asset):
    put(tmp_path, "fd00--5/20261119.cfg")

    (record,) = read(make_asset(None, "fd00::5"))

    assert record.found is True


def test_no_folder_and_an_empty_one_are_no_backup(tmp_path, read, make_asset):
    (tmp_path / "sw-02").mkdir()
    put(tmp_path, "sw-03/20261119.cfg", content=b"")
    put(tmp_path, "sw-04/.hidden.cfg")
    put(tmp_path, "sw-05/manifest.sha256")
    assets = [make_asset(f"sw-0{n}", f"10.0.0.{n}") for n in range(1, 6)]

    assert [record.found for record in read(*assets)] == [False] * 5


def test_an_asset_that_no_policy_covers_has_a_record_only_with_a_backup(tmp_path, read, make_asset):
    put(tmp_path, "cam-1/20261119.cfg")
    with_backup = make_asset("cam-1", "10.0.0.8", device_class=DeviceClass.CAMERA)
    without = make_asset("cam-2", "10.0.0.9", device_class=DeviceClass.CAMERA)

    found, nothing = read(with_backup, without)

    assert (found.found, found.max_age_s) == (True, None)
    assert nothing is None


def test_a_policy_for_one_name_goes_before_that_of_its_class(tmp_path, read, make_asset):
    (record,) = read(make_asset(), policy={"switch": 7 * DAY, "sw-01": DAY})

    assert record.max_age_s == DAY


def test_two_assets_of_one_name_share_no_folder(tmp_path, read, make_asset):
    """Two cells may both have 192.168.0.10; a backup of one must not stand for the other."""
    put(tmp_path, "sw-01/20261119.cfg")
    put(tmp_path, "cell2/sw-01/20261119.cfg")
    first = make_asset("sw-01", "192.168.0.10", zone="cell1")
    second = make_asset("sw-01", "192.168.0.10", zone="cell2")

    nothing, own = read(first, second)

    assert nothing is None
    assert own.path == "cell2/sw-01/20261119.cfg"


def test_a_name_that_a_device_gave_itself_claims_nothing(tmp_path, read, make_asset):
    put(tmp_path, "sw-01/20261119.cfg")
    liar = make_asset("sw-01", "10.0.0.66", presence=Presence.SEEN_AND_UNDECLARED, declared=None)

    (record,) = read(liar)

    assert record.found is False


def test_devices_behind_a_device_are_left_out(make_asset):
    assert wanted([make_asset(parent="cell/10.0.0.1")], POLICY) == ()


@pytest.mark.parametrize(
    "name",
    ["..", ".", "../outside", "/etc", "a/b", "a\\b", "", " sw", "sw\n", "sw\0", ".git", "C:",
     "x" * 200, "x\x1b[2J"],
)  # fmt: skip
def test_hostile_names_never_become_folders(make_asset, name):
    (one,) = wanted([make_asset(name, None, id="cell/name:x")], POLICY)

    assert one.folders == ()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(max_size=30), zone=st.text(max_size=10))
def test_whatever_the_name_every_folder_lies_inside_the_source(tmp_path, make_asset, name, zone):
    (one,) = wanted([make_asset(name, None, zone=zone, id="x")], POLICY)

    for relative in one.folders:
        assert (tmp_path / relative).resolve().is_relative_to(tmp_path.resolve())
        assert (tmp_path / relative) != tmp_path


def test_links_are_not_followed(tmp_path_factory, tmp_path, read, make_asset):
    outside = tmp_path_factory.mktemp("outside")
    put(outside, "20261119.cfg")
    (tmp_path / "sw-01").symlink_to(outside, target_is_directory=True)
    (tmp_path / "sw-02").mkdir()
    (tmp_path / "sw-02" / "20261119.cfg").symlink_to(outside / "20261119.cfg")
    (tmp_path / "cell").symlink_to(tmp_path, target_is_directory=True)

    first, second = read(make_asset("sw-01", "10.0.0.1"), make_asset("sw-02", "10.0.0.2"))

    assert (first.found, second.found) == (False, False)


def test_a_pipe_is_not_opened(tmp_path, read, make_asset):
    (tmp_path / "sw-01").mkdir()
    os.mkfifo(tmp_path / "sw-01" / "20261119.cfg")

    (record,) = read(make_asset())

    assert record.found is False


# --- list of hashes ----------------------------------------------------------------------------


def sha(content):
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("listed", "ok"),
    [
        (lambda c: f"{sha(c)}  20261119.cfg\n", True),
        (lambda c: f"{sha(c)} *./20261119.cfg\n", True),
        (lambda c: f"{sha(b'other')}  20261119.cfg\n", False),
        (lambda c: f"{sha(c)}  20261119.cfg\n{sha(c)}  20261012.cfg\n", False),
        (lambda c: f"{sha(c)}  ../sw-01/20261119.cfg\n", False),
        (lambda c: "garbage\n", False),
        (lambda c: "", None),
    ],
)
def test_the_list_of_hashes_decides(tmp_path, read, make_asset, listed, ok):
    content = b"hostname sw-01\n"
    put(tmp_path, "sw-01/20261119.cfg", content)
    put(tmp_path, "sw-01/manifest.sha256", listed(content).encode())

    (record,) = read(make_asset())

    assert record.manifest_ok is ok
    assert record.manifest_note


def test_without_a_list_nothing_is_said(tmp_path, read, make_asset):
    put(tmp_path, "sw-01/20261119.cfg")

    (record,) = read(make_asset())

    assert record.manifest_ok is None
    assert "manifest.sha256" in record.manifest_note


def test_a_listed_link_counts_as_missing(tmp_path_factory, tmp_path, read, make_asset):
    secret = put(tmp_path_factory.mktemp("outside"), "secret")
    put(tmp_path, "sw-01/20261119.cfg")
    (tmp_path / "sw-01" / "link").symlink_to(secret)
    digest = sha(secret.read_bytes())
    put(tmp_path, "sw-01/manifest.sha256", f"{digest}  link\n".encode())

    (record,) = read(make_asset())

    assert record.manifest_ok is False


def test_a_list_that_is_far_too_long_is_refused(tmp_path, read, make_asset, monkeypatch):
    monkeypatch.setattr("scanner.backups.manifest.MAX_BYTES", 100)
    put(tmp_path, "sw-01/20261119.cfg")
    put(tmp_path, "sw-01/manifest.sha256", b"0" * 101)

    (record,) = read(make_asset())

    assert record.manifest_ok is False


# --- compared with what runs -------------------------------------------------------------------


def without_clock(text):
    kept = [line for line in text.splitlines() if not line.startswith("! clock")]
    return "\n".join(kept).encode(), ("clock",)


def running(content, rules=("clock",)):
    return RunningConfiguration(
        platform="cisco_ios", sha256=sha(without_clock(content)[0]), lines=2, drop_rules=rules
    )


@pytest.mark.parametrize(
    ("backup", "runs", "matches"),
    [
        (b"! clock 12:00\nhostname a\n", running("! clock 13:00\nhostname a\n"), True),
        (b"hostname a\n", running("hostname b\n"), False),
        (b"hostname a\n", running("hostname a\n", rules=("clock", "more")), None),
        (b"\xff\xfe binary", running("hostname a\n"), None),
        (b"PK\0\0", running("hostname a\n"), None),
        (b"hostname a\n", None, None),
    ],
)
def test_a_backup_is_compared_after_the_same_lines_were_dropped(
    tmp_path, read, make_asset, backup, runs, matches
):
    put(tmp_path, "sw-01/20261119.cfg", backup)
    facts = (runs,) if runs else ()
    asset = make_asset(facts=facts, fact_sources=("o1",) * len(facts))

    (record,) = read(asset, normalise=without_clock)

    assert record.matches_running is matches


def test_without_a_normaliser_nothing_is_compared(tmp_path, read, make_asset):
    put(tmp_path, "sw-01/20261119.cfg", b"hostname a\n")
    asset = make_asset(facts=(running("hostname a\n"),), fact_sources=("o1",))

    (record,) = read(asset)

    assert record.matches_running is None


def test_a_folder_that_is_not_there_is_a_clear_error(tmp_path, now):
    with pytest.raises(UsageError, match="backup source nas"):
        folder.read(tmp_path / "gone", source="nas", assets=(), policy={}, now=now)


def test_times_are_read_in_the_time_zone_of_the_run(tmp_path, make_asset):
    put(tmp_path, "sw-01/20261119T1200.cfg")
    now = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

    record = folder.read(tmp_path, source="nas", assets=[make_asset()], policy=POLICY, now=now)[
        "cell/10.0.0.5"
    ]

    assert record.taken_at == datetime(2026, 11, 19, 12, 0, tzinfo=UTC)
