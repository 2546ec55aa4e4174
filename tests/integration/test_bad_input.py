"""What a user gets for a mistake: a code, the place, the remedy. Nothing sent, nothing lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scanner.store import QUESTION_BYTES
from tests.integration.conftest import Said

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

Walkdown = Callable[..., Any]
WriteSite = Callable[..., Path]
NOW = datetime.now(UTC).replace(microsecond=0)
ELSEWHERE = {"id": "far", "networks": ["192.0.2.0/30"], "sl_t": 1}
"""Addresses for documentation (RFC 5737): nobody is there."""


def quiet_zone(octets: Callable[[], int], **changes: Any) -> dict[str, Any]:
    """A zone on loopback where nobody listens: a scan of it takes a moment."""
    network = f"127.{octets()}.200.1/32"
    return {
        "id": "empty",
        "networks": [network],
        "sl_t": 1,
        "profile": "lab",
        "probes": ["modbus"],
        **changes,
    }


@pytest.fixture
def zone(octets: Callable[[], int]) -> dict[str, Any]:
    return quiet_zone(octets)


@pytest.fixture(scope="module")
def run(
    walkdown: Walkdown, octets: Callable[[], int], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished run; tests take copies."""
    folder = tmp_path_factory.mktemp("finished")
    site = folder / "site.yaml"
    site.write_text(json.dumps({"site": "Test site", "zones": [quiet_zone(octets)]}))
    assert walkdown("scan", site, "--out", folder / "run").code == 0
    return folder / "run"


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "copy"))


def refused(said: Any, *words: object, code: int = 1) -> None:
    """It ended with the code, said all the words, and showed nothing of its insides."""
    assert said.code == code, said.text
    for word in words:
        assert str(word) in said.text
    assert "Traceback" not in said.text
    assert "internal error" not in said.text


def without_network() -> list[str]:
    """Words that run a command in a network namespace with nothing in it."""
    for words in (["unshare", "-n"], ["unshare", "-r", "-n"]):
        with_them = [*words, "true"]
        if (
            shutil.which("unshare")
            and not subprocess.run(with_them, capture_output=True).returncode
        ):
            return words
    if os.environ.get("CI"):
        pytest.fail("no network namespace can be made here")
    pytest.skip("no network namespace can be made here")


# --- the site file -------------------------------------------------------------------------------

MISTAKES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "unknown key": ({"profle": "lab"}, ("unknown key 'profle'", "did you mean 'profile'?")),
    "wrong type": ({"sl_t": "two"}, ("sl_t: expected a whole number", "hint:")),
    "text where a list belongs": ({"networks": "10.0.0.0/24"}, ("expected a list", "hint:")),
    "level 5": ({"sl_t": 5}, ("5 is not a security level", "from 0 to 4")),
    "level -1": ({"sl_t": -1}, ("-1 is not a security level", "from 0 to 4")),
    "network too large": (
        {"networks": ["10.0.0.0/16"], "profile": "default"},
        ("larger than profile default allows (/22)", "split it"),
    ),
    "lab profile beyond loopback": ({"networks": ["192.0.2.0/30"]}, ("loopback", "hint:")),
    "unknown window": ({"window": "night"}, ("night",)),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_site_file_is_told_with_line_and_remedy(
    walkdown: Walkdown, write_site: WriteSite, zone: dict[str, Any], mistake: str
) -> None:
    change, words = MISTAKES[mistake]
    site = write_site([zone | change])

    said = walkdown("plan", site)

    refused(said, *words)
    lines = site.read_text().splitlines()
    number = int(said.err.split(f"{site}:")[1].split(":")[0])
    near = " ".join(lines[max(number - 3, 0) : number + 1])
    assert any(f'"{key}"' in near for key in (*change, "profile"))


def test_a_mistake_in_the_site_file_stops_a_scan_before_it_begins(
    walkdown: Walkdown, write_site: WriteSite, zone: dict[str, Any], tmp_path: Path
) -> None:
    site = write_site([zone | {"profle": "lab"}])

    refused(walkdown("scan", site, "--out", tmp_path / "run"), "unknown key 'profle'")
    assert not (tmp_path / "run").exists()
    assert not site.with_name("site.state.db").exists()


def test_overlapping_networks_name_both_lines(walkdown: Walkdown, write_site: WriteSite) -> None:
    site = write_site(
        [
            {"id": "a", "networks": ["10.0.0.0/24"], "sl_t": 1},
            {"id": "b", "networks": ["10.0.0.128/25"], "sl_t": 1},
        ]
    )
    refused(walkdown("plan", site), "10.0.0.128/25 of zone b overlaps", "the other is in line")


def test_all_mistakes_are_told_at_once(
    walkdown: Walkdown, write_site: WriteSite, zone: dict[str, Any]
) -> None:
    said = walkdown("plan", write_site([zone | {"sl_t": 7, "profle": "x", "tier": "deep"}]))

    refused(said, "7 is not a security level", "'profle'", "deep")


def test_a_window_in_the_past_can_never_open(
    walkdown: Walkdown, write_site: WriteSite, zone: dict[str, Any]
) -> None:
    window = {"id": "n", "start": "2020-01-01T00:00", "duration": "2h", "timezone": "UTC"}

    said = walkdown("plan", write_site([zone | {"window": "n"}], windows=[window]))

    refused(said, "site.yaml:", "in the past", "set a new start")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe\x00\x01", "UTF-8"),
        (b"site: &a x\nzones: *a\n", "anchors"),
        (b"zones: [", "site.yaml:"),
        (b"", "site.yaml"),
        (b"x" * 2_000_000, "site.yaml"),
    ],
    ids=["binary", "anchors", "cut off", "empty", "too large"],
)
def test_what_is_no_site_file_is_told(
    walkdown: Walkdown, tmp_path: Path, content: bytes, words: str
) -> None:
    site = tmp_path / "site.yaml"
    site.write_bytes(content)

    refused(walkdown("plan", site), words)


def test_a_site_file_that_is_not_there_is_told(walkdown: Walkdown, tmp_path: Path) -> None:
    refused(walkdown("plan", tmp_path / "none.yaml"), "none.yaml", "No such file")


# --- authorisation, window, network --------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"authorisation": None}, "has no authorisation"),
        (
            {"valid_from": "2020-01-01T00:00+00:00", "valid_until": "2020-01-02T00:00+00:00"},
            "ended",
        ),
        ({"valid_from": "2090-01-01T00:00+00:00", "valid_until": "2090-01-02T00:00+00:00"}, "only"),
    ],
    ids=["missing", "expired", "not yet valid"],
)
def test_beyond_loopback_nothing_starts_without_authorisation(
    walkdown: Walkdown,
    write_site: WriteSite,
    tmp_path: Path,
    changes: dict[str, Any],
    words: str,
) -> None:
    site = write_site([ELSEWHERE])
    document = json.loads(site.read_text())
    if "authorisation" in changes:
        del document["authorisation"]
    else:
        document["authorisation"] |= changes
    site.write_text(json.dumps(document))

    # In this namespace a packet could not leave; that it refuses for another reason than the
    # missing network shows that it did not try.
    said = walkdown("scan", site, "--out", tmp_path / "run", before=without_network())

    refused(said, words, site, "hint: `authorisation`")
    assert not (tmp_path / "run").exists()
    assert walkdown("plan", site).code == 0  # sends nothing, needs no permission


def test_a_network_without_a_route_is_told_before_a_run_begins(
    walkdown: Walkdown, write_site: WriteSite, tmp_path: Path
) -> None:
    site = write_site([ELSEWHERE])

    said = walkdown("scan", site, "--out", tmp_path / "run", before=without_network())

    refused(said, "zone far", "no route to 192.0.2.1", "hint:")
    assert not (tmp_path / "run").exists()


def test_outside_its_window_nothing_is_sent_and_the_next_opening_is_told(
    walkdown: Walkdown, write_site: WriteSite, zone: dict[str, Any], tmp_path: Path
) -> None:
    opens = (NOW + timedelta(hours=30)).replace(minute=0, second=0)
    window = {"id": "n", "start": opens.isoformat(), "duration": "2h"}
    site = write_site([zone | {"window": "n"}], windows=[window])

    said = walkdown("scan", site, "--out", tmp_path / "run")

    refused(
        said, "the window n is closed", f"opens next at {opens:%Y-%m-%dT%H:%M}", "--resume", code=3
    )
    shown = walkdown("evidence", "show", tmp_path / "run", "--json")
    assert json.loads(shown.out) == []
    safety = json.loads((tmp_path / "run" / "assessment.json").read_bytes())["safety"]
    assert safety["total"]["packets_counted"] == 0


# --- wrong words on the command line -------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--only", "127.200.0.9"), ("127.200.0.9: in no zone of the site file", "hint:")),
        (("--only", "plc-12"), ("plc-12: not an IP address",)),
        (("--fail-on", "bad"), ("--fail-on bad: not a severity", "critical, high")),
        (("--resume",), ("there is no run to resume", "leave --resume out")),
        (("--store", "mysql://db/x"), ("mysql", "postgresql://")),
        (("--frobnicate",), ("--frobnicate",)),
    ],
    ids=lambda value: " ".join(value) if str(value[0]).startswith("--") else None,
)
def test_wrong_options_are_told_before_a_run_begins(
    walkdown: Walkdown,
    write_site: WriteSite,
    zone: dict[str, Any],
    tmp_path: Path,
    options: tuple[str, ...],
    words: tuple[str, ...],
) -> None:
    said = walkdown("scan", write_site([zone]), "--out", tmp_path / "run", *options)

    refused(said, *words)
    assert not (tmp_path / "run" / "walkdown.db").exists()


def test_resume_needs_to_know_which_run(
    walkdown: Walkdown, write_site: WriteSite, zone: dict[str, Any]
) -> None:
    refused(walkdown("scan", write_site([zone]), "--resume"), "--resume needs --out")


def test_a_folder_that_holds_a_run_is_not_written_over(
    walkdown: Walkdown, write_site: WriteSite, zone: dict[str, Any], copied: Path
) -> None:
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}

    said = walkdown("scan", write_site([zone]), "--out", copied)

    refused(said, "already holds a run", "--resume")
    assert {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()} == before


def test_a_file_is_no_folder_for_a_run(
    walkdown: Walkdown, write_site: WriteSite, zone: dict[str, Any], tmp_path: Path, copied: Path
) -> None:
    letter = tmp_path / "letter"
    letter.write_text("dear shift lead")

    refused(walkdown("scan", write_site([zone]), "--out", letter), letter, "another --out")
    refused(walkdown("report", copied, "--out", letter), letter)
    assert letter.read_text() == "dear shift lead"


def test_a_run_of_another_site_is_not_gone_on_with(
    walkdown: Walkdown, write_site: WriteSite, zone: dict[str, Any], copied: Path
) -> None:
    site = write_site([zone], site="Another site")

    refused(walkdown("scan", site, "--out", copied, "--resume"), "'Test site'", "'Another site'")


# --- databases and files -------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["report", "inventory", "lab score", "diff", "diff back"])
def test_a_truncated_assessment_is_told_with_its_name_and_remedy(
    walkdown: Walkdown, run: Path, copied: Path, command: str
) -> None:
    file = copied / "assessment.json"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    others = {"diff": (run, copied), "diff back": (copied, run)}
    words = command.removesuffix(" back").split()

    said = walkdown(*words, *others.get(command, (copied,)))

    refused(said, file, "walkdown assess")
    assert file.read_bytes() == whole[: len(whole) // 2]
    if command == "report":
        assert walkdown("assess", copied).code == 0  # the remedy works
        assert walkdown("report", copied).code == 0


@pytest.mark.parametrize("command", ["assess", "report", "evidence verify", "evidence show"])
def test_a_run_that_is_not_there_is_told(walkdown: Walkdown, tmp_path: Path, command: str) -> None:
    refused(walkdown(*command.split(), tmp_path / "nowhere"), tmp_path / "nowhere", "--out")


@pytest.mark.parametrize("command", ["assess", "evidence verify", "evidence show"])
def test_a_database_of_a_newer_version_is_left_alone(
    walkdown: Walkdown, copied: Path, command: str
) -> None:
    database = copied / "walkdown.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE run_version SET version_num = 'run9999'")
    before = database.read_bytes()

    said = walkdown(*command.split(), copied)

    refused(said, database, "newer Walkdown", "run9999")
    assert database.read_bytes() == before


def test_a_site_state_of_a_newer_version_stops_a_scan_before_it_begins(
    walkdown: Walkdown, write_site: WriteSite, zone: dict[str, Any], tmp_path: Path
) -> None:
    site = write_site([zone])
    assert walkdown("scan", site, "--out", tmp_path / "one").code == 0
    state = site.with_name("site.state.db")
    with closing(sqlite3.connect(state)) as connection, connection:
        connection.execute("UPDATE state_version SET version_num = 'state9999'")

    said = walkdown("scan", site, "--out", tmp_path / "two")

    refused(said, state, "newer Walkdown")
    assert not (tmp_path / "two").exists()


def test_what_is_no_database_is_told(walkdown: Walkdown, tmp_path: Path) -> None:
    (tmp_path / "walkdown.db").write_text("this is a letter, and not a database at all")

    words = "not a Walkdown run database"
    refused(walkdown("evidence", "verify", tmp_path), "walkdown.db", words, code=2)
    refused(walkdown("assess", tmp_path), "walkdown.db", words)


def test_an_inventory_has_one_form_at_a_time(walkdown: Walkdown, run: Path) -> None:
    refused(walkdown("inventory", run, "--csv", "--json"), "--csv and --json: one form at a time")
    refused(walkdown("inventory", run, "--csv", "--xlsx", run / "a.xlsx"), "--csv and --xlsx")


def test_a_file_that_cannot_be_written_is_told_by_the_name_that_was_given(
    walkdown: Walkdown, run: Path, tmp_path: Path
) -> None:
    for path in (tmp_path / "nowhere" / "x.xlsx", tmp_path):
        said = walkdown("inventory", run, "--xlsx", path)

        refused(said, path, "hint")
        assert ".part" not in said.text
    assert not list(tmp_path.parent.glob(".*.part"))


def test_an_asset_that_is_not_in_the_run_is_told(walkdown: Walkdown, run: Path) -> None:
    refused(walkdown("evidence", "show", run, "--asset", "192.0.2.9"), "no such asset", "hint")

    (device,) = json.loads((run.parent / "site.yaml").read_text())["zones"]
    address = device["networks"][0].partition("/")[0]
    assert walkdown("evidence", "show", run, "--asset", address).code == 0
    assert walkdown("evidence", "show", run, "--asset", f"empty/{address}").code == 0
    late = walkdown("evidence", "show", run, "--asset", address, "--from", "2199-01-01T00:00+00:00")
    assert late.code == 0
    refused(walkdown("evidence", "show", run, "--asset", f"other/{address}"), "no such asset")


def wait_for(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_second_scan_of_a_site_waits_for_nobody_and_harms_nothing(
    walkdown: Walkdown,
    begin_walkdown: Callable[..., subprocess.Popen[bytes]],
    write_site: WriteSite,
    octets: Callable[[], int],
    tmp_path: Path,
) -> None:
    zone = quiet_zone(octets, profile="fragile", probes=["http", "modbus", "s7", "ssh", "telnet"])
    site, first, second = write_site([zone]), tmp_path / "one", tmp_path / "two"
    running = begin_walkdown("scan", site, "--out", first)
    try:
        wait_for(lambda: (first / "walkdown.db").exists())
        same_site = walkdown("scan", site, "--out", second)
        same_run = walkdown("scan", site, "--out", first, "--resume")
        assert running.poll() is None, "the first scan was over too soon to be in the way"
    finally:
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)

    refused(same_site, "scan of Test site")
    refused(same_run, "scan of Test site")
    assert not second.exists()
    assert running.returncode == 130, errors.decode()
    assert "--resume" in errors.decode()
    assert walkdown("evidence", "verify", first).code == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, that can be filled."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32M", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        if os.environ.get("CI"):
            pytest.fail("no small file system can be mounted here")
        pytest.skip("no small file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.root
@pytest.mark.parametrize("left", [QUESTION_BYTES - 1, 0], ids=["no room for a question", "none"])
def test_a_full_disk_ends_the_scan_loses_nothing_and_resume_goes_on(
    walkdown: Walkdown,
    begin_walkdown: Callable[..., subprocess.Popen[bytes]],
    write_site: WriteSite,
    plant: Callable[..., Any],
    small_disk: Path,
    left: int,
) -> None:
    out, filler = small_disk / "run", small_disk / "filler"
    standing = plant("HMI-1", "SW-SUP")
    zone = {
        "id": "supervision",
        "networks": [f"127.{standing.octet}.1.2/32", f"127.{standing.octet}.1.8/29"],
        "sl_t": 1,
        "tier": "read",
        "ports": standing.ports(),
    }
    site = write_site([zone])
    process = begin_walkdown("scan", site, "--out", out)
    end = time.monotonic() + 30
    while not any(one["requests"] for one in standing.ledgers().values()):
        assert time.monotonic() < end, "the scan did not begin"
        time.sleep(0.05)
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while shutil.disk_usage(small_disk).free > left:
            file.write(bytes(min(65536, shutil.disk_usage(small_disk).free - left)))

    printed, errors = process.communicate(timeout=60)
    said = Said(code=process.returncode, out=printed.decode(), err=errors.decode())

    refused(said, out / "walkdown.db", "the disk is full", "--resume")
    sent = {name: ledger["requests"] for name, ledger in standing.ledgers().items()}
    shown = json.loads(walkdown("evidence", "show", out, "--json").out)
    if left:
        for name, ledger in standing.ledgers().items():
            assert ledger["empty_connections"] == 0, f"{name}: a connection without its request"
    for name, requests in sent.items():
        mine = [one for one in shown if one["target"]["address"] == standing.address(name)]
        assert requests <= len([one for one in mine if one["request"]]), "sent but not written down"
    assert walkdown("evidence", "verify", out).code == 0

    filler.unlink()
    resumed = walkdown("scan", site, "--out", out, "--resume")
    # Filled in mid-question, it may have left a connection without its request, and then says so.
    assert resumed.code in ((0,) if left else (0, 3)), resumed.err
    assert "finished" in walkdown("evidence", "certificate", out).out
    kept = {one["id"] for one in json.loads(walkdown("evidence", "show", out, "--json").out)}
    assert {one["id"] for one in shown} <= kept
    assert walkdown("evidence", "verify", out).code == 0
