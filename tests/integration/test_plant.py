"""The demonstration, from its first packet to its report, and everything one does with a run."""

from __future__ import annotations

import base64
import csv
import fcntl
import io
import json
import os
import re
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from lab.plant import load

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(180),
]

Walkdown = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    folder: Path
    said: Any
    seconds: float

    @property
    def assessment(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.folder / "assessment.json").read_bytes())
        return document

    def ledgers(self) -> list[dict[str, Any]]:
        paths = (self.folder / "lab" / "ledgers").glob("*.json")
        return [json.loads(path.read_bytes()) for path in paths if path.name != "totals.json"]


def run_demo(walkdown: Walkdown, folder: Path) -> Demo:
    """The demo stands at fixed addresses: other workers wait for theirs."""
    with (Path(tempfile.gettempdir()) / f"walkdown-demo-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        started = time.monotonic()
        said = walkdown("demo", "--out", folder)
        return Demo(folder=folder, said=said, seconds=time.monotonic() - started)


@pytest.fixture(scope="module")
def demo(walkdown: Walkdown, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return run_demo(walkdown, tmp_path_factory.mktemp("demo") / "one")


@pytest.fixture(scope="module")
def second(walkdown: Walkdown, demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return run_demo(walkdown, tmp_path_factory.mktemp("demo") / "two")


def test_the_demo_ends_well_within_90_seconds_and_says_so(demo: Demo) -> None:
    assert demo.said.code == 0, demo.said.err
    assert demo.seconds < 90
    assert "Traceback" not in demo.said.text
    for words in ("Findings:", "Safety:", "ledgers say:", "report.html", "devices found"):
        assert words in demo.said.text


def test_the_summary_leaves_nothing_of_the_ledgers_out(demo: Demo) -> None:
    assert "writes 0, resets by us 0" in demo.said.text
    assert "fragile devices alive: 1 of 1; dead: none" in demo.said.text


def test_the_demo_writes_report_assessment_and_run(demo: Demo, walkdown: Walkdown) -> None:
    schema = json.loads(walkdown("schema").out)
    jsonschema.validate(demo.assessment, schema)
    jsonschema.Draft202012Validator.check_schema(schema)
    page = (demo.folder / "report.html").read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "Harbour waterworks" in page
    assert (demo.folder / "walkdown.db").read_bytes().startswith(b"SQLite format 3\0")


def test_every_device_and_planted_weakness_is_found_and_nothing_false(
    demo: Demo, walkdown: Walkdown
) -> None:
    said = walkdown("lab", "score", demo.folder)

    assert said.code == 0, said.out
    assert "everything found, nothing false" in said.out


def test_the_score_can_fail(demo: Demo, walkdown: Walkdown, tmp_path: Path) -> None:
    worse = demo.assessment
    failed = [f for f in worse["findings"] if f["verdict"] == "fail"]
    worse["findings"].remove(failed[0])
    (tmp_path / "assessment.json").write_text(json.dumps(worse), encoding="utf-8")

    assert walkdown("lab", "score", tmp_path).code == 2


def test_the_devices_own_ledgers_show_no_harm(demo: Demo) -> None:
    ledgers = demo.ledgers()

    assert len(ledgers) >= 18
    for ledger in ledgers:
        device = ledger["device"]
        assert ledger["alive"], f"{device} died of {ledger['cause_of_death']}"
        assert ledger["peak_concurrent"] <= 1, device
        for what in ("resets", "lockouts", "half_closes", "empty_connections", "leaked_sessions"):
            assert ledger[what] == 0, f"{device}: {what}"
        for what in ("writes", "foreign", "malformed", "unexpected_commands"):
            assert ledger[what] == {}, f"{device}: {what}"
    assert any(ledger["fragile"] for ledger in ledgers)
    assert sum(ledger["requests"] for ledger in ledgers) > 100


def test_our_own_figures_agree_with_the_ledgers(demo: Demo) -> None:
    figures = {one["address"]: one for one in demo.assessment["safety"]["devices"]}
    for ledger in demo.ledgers():
        if not ledger["connections"]:
            continue
        ours = figures[ledger["address"]]
        # refused connects are ours alone: no server accepted them
        assert ours["connections"] >= ledger["connections"], ledger["device"]
        assert ours["peak_concurrent"] == 1
        assert ours["packets_counted"] <= ours["packets_budget"]


def identity_of(asset: dict[str, Any]) -> dict[str, Any]:
    keys = ("id", "zone", "address", "name", "device_class", "identity", "presence")
    services = sorted(
        (s["transport"], s["port"], s["protocol"], s["outcome"]) for s in asset["services"]
    )
    return {key: asset[key] for key in keys} | {"services": services}


def test_a_second_demo_on_the_same_day_gives_the_same_result(demo: Demo, second: Demo) -> None:
    assert second.said.code == 0
    one, two = demo.assessment, second.assessment

    def of(document: dict[str, Any], part: str) -> list[Any]:
        pick: dict[str, Callable[[dict[str, Any]], Any]] = {
            "assets": identity_of,
            "findings": lambda f: (f["id"], f["verdict"], f["severity"]),
            "requirements": lambda r: (r["zone"], r["conduit"], r["id"], r["verdict"]),
            "levels": lambda row: [
                row[k] for k in ("zone", "conduit", "fr", "sl_a_low", "sl_a_high")
            ],
        }
        return sorted(map(pick[part], document[part]), key=str)

    for part in ("assets", "findings", "requirements", "levels"):
        assert of(one, part) == of(two, part), part
    assert len(one["assets"]) >= 18


def test_the_difference_of_two_equal_runs_is_empty(
    demo: Demo, second: Demo, walkdown: Walkdown
) -> None:
    told = walkdown("diff", demo.folder, second.folder)
    as_json = json.loads(walkdown("diff", demo.folder, second.folder, "--json").out)

    assert told.code == 0
    assert "nothing changed" in told.out
    lists = ("new_assets", "gone_assets", "changes", "new_findings", "fixed_findings", "levels")
    assert {name: as_json[name] for name in lists} == {name: [] for name in lists}


def test_the_evidence_is_intact_and_answers_what_was_sent_when(
    demo: Demo, walkdown: Walkdown
) -> None:
    verified = walkdown("evidence", "verify", demo.folder)
    assert verified.code == 0
    assert "intact" in verified.out
    assert demo.assessment["run"]["chain_head"] in verified.out

    shown = walkdown("evidence", "show", demo.folder, "--asset", "127.30.0.18")
    asked = json.loads(
        walkdown("evidence", "show", demo.folder, "--asset", "control/127.30.0.18", "--json").out
    )
    assert shown.code == 0
    assert re.search(r"127\.30\.0\.18 tcp/(20)?502 modbus", shown.out)  # high ports if not root
    assert f"{len(asked)} exchanges" in shown.out
    assert asked
    assert {one["target"]["address"] for one in asked} == {"127.30.0.18"}
    ledger = json.loads((demo.folder / "lab" / "ledgers" / "PLC-18.json").read_bytes())
    assert len([one for one in asked if one["request"]]) == ledger["requests"]

    middle = asked[len(asked) // 2]["sent_at"]
    show = ("evidence", "show", demo.folder, "--asset", "127.30.0.18", "--json")
    before, after = walkdown(*show, "--to", middle), walkdown(*show, "--from", middle)
    assert len(json.loads(before.out)) + len(json.loads(after.out)) == len(asked)


def test_a_changed_byte_of_evidence_is_noticed(
    demo: Demo, walkdown: Walkdown, tmp_path: Path
) -> None:
    copy = tmp_path / "walkdown.db"
    copy.write_bytes((demo.folder / "walkdown.db").read_bytes())
    with sqlite3.connect(copy) as database:
        database.execute(
            "UPDATE exchanges SET reply = x'00' WHERE seq ="
            " (SELECT seq FROM exchanges WHERE length(reply) > 0 LIMIT 1)"
        )
    database.close()

    said = walkdown("evidence", "verify", copy)

    assert said.code == 2
    assert "intact" not in said.out
    judged = walkdown("assess", copy, "--out", tmp_path / "judged")
    assert judged.code == 1
    assert "not intact" in judged.err
    assert not (tmp_path / "judged").exists()


def test_the_inventory_is_printed_as_table_csv_and_json(demo: Demo, walkdown: Walkdown) -> None:
    assets = demo.assessment["assets"]

    table = walkdown("inventory", demo.folder)
    rows = list(csv.DictReader(io.StringIO(walkdown("inventory", demo.folder, "--csv").out)))
    as_json = json.loads(walkdown("inventory", demo.folder, "--json").out)
    control = json.loads(walkdown("inventory", demo.folder, "--zone", "control", "--json").out)

    assert table.code == 0
    for device in load("harbour").devices:
        assert (device.address or device.name) in table.out
    assert len(rows) == len(as_json) == len(assets)
    assert [asset["id"] for asset in as_json] == [asset["id"] for asset in assets]
    assert control
    assert {asset["zone"] for asset in control} == {"control"}


def test_a_report_is_rendered_again_to_the_same_bytes(
    demo: Demo, walkdown: Walkdown, tmp_path: Path
) -> None:
    said = walkdown("report", demo.folder, "--out", tmp_path)

    assert said.code == 0
    fresh = {path.relative_to(tmp_path): path for path in tmp_path.rglob("*") if path.is_file()}
    assert len(fresh) > 2
    for name, path in fresh.items():
        assert path.read_bytes() == (demo.folder / name).read_bytes(), name


def test_judged_again_the_verdicts_are_the_same(
    demo: Demo, walkdown: Walkdown, tmp_path: Path
) -> None:
    said = walkdown("assess", demo.folder, "--out", tmp_path)

    assert said.code == 0, said.err
    again = json.loads((tmp_path / "assessment.json").read_bytes())
    for part in ("findings", "requirements", "levels", "score", "gaps", "safety"):
        assert again[part] == demo.assessment[part], part
    # the assets' facts tell the age of backups, which are older by now
    assert [*map(identity_of, again["assets"])] == [*map(identity_of, demo.assessment["assets"])]


def test_gaps_of_a_severity_give_exit_code_2(
    demo: Demo, walkdown: Walkdown, tmp_path: Path
) -> None:
    said = walkdown("assess", demo.folder, "--out", tmp_path, "--fail-on", "high")

    assert said.code == 2
    assert (tmp_path / "report.html").exists()


def planted_secrets() -> Iterator[str]:
    """Every password and community of the plant that is no ordinary word, with login lines."""
    for device in load("harbour").devices:
        for service in device.services:
            for user, password in service.settings.get("users", {}).items():
                for secret in password.values() if isinstance(password, dict) else (password,):
                    if "-" in secret:
                        yield secret
                    else:  # a word like any other: look for it where it is sent
                        yield base64.b64encode(f"{user}:{secret}".encode()).decode()
                        yield f"{user}:{secret}"
            yield from (word for word in _hashes(service.settings.get("running_config", "")))


def _hashes(configuration: str) -> Iterator[str]:
    for line in configuration.splitlines():
        if " secret " in line or " password " in line:
            yield line.rsplit(maxsplit=1)[-1]


def disguises(secret: str) -> set[bytes]:
    """The secret as it would look in a file: as it is, as hex, and inside Base64."""
    raw = secret.encode()
    found = {raw, raw.hex().encode(), raw.hex().upper().encode(), raw.hex(" ").encode()}
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + raw)
        start = -(-shift * 8 // 6)
        found.add(whole[start : len(whole) - 4 if len(whole) > start + 8 else len(whole)])
    return {one for one in found if len(one) >= 6}


def test_no_secret_is_in_anything_written_or_said(demo: Demo, second: Demo) -> None:
    theirs = {"secrets", "backups", "documents", "ledgers"}
    written = {
        path: path.read_bytes()
        for path in demo.folder.rglob("*")
        if path.is_file() and not theirs & set(path.relative_to(demo.folder).parts)
    }
    assert {"walkdown.db", "report.html", "assessment.json", "site.state.db"} <= {
        path.name for path in written
    }
    own = [path.read_text().strip() for path in (demo.folder / "lab" / "secrets").iterdir()]
    secrets = {*own, *planted_secrets()}
    assert len(secrets) > 15
    said = {"standard output": demo.said.out.encode(), "errors": demo.said.err.encode()}
    for place, content in {**written, **said}.items():
        for secret in secrets:
            for form in disguises(secret):
                assert form not in content, f"{secret} as {form!r} in {place}"


def test_the_search_for_secrets_finds_them() -> None:
    assert b"gezeiten-0417-lesen" in disguises("gezeiten-0417-lesen")
    for shift in range(3):
        hidden = base64.b64encode(b"x" * shift + b"gezeiten-0417-lesen" + b"tail")
        assert any(form in hidden for form in disguises("gezeiten-0417-lesen"))


def test_a_typed_password_is_masked_in_the_evidence(demo: Demo, walkdown: Walkdown) -> None:
    address = load("harbour").device("UPS-1").address
    asked = json.loads(walkdown("evidence", "show", demo.folder, "--asset", address, "--json").out)
    typed = [
        bytes.fromhex(one["request"])
        for one in asked
        if one["probe"] == "telnet" and one["tier"] == "login" and one["request"]
    ]

    # The account is called like its password: it may be read once, the password never.
    assert typed
    assert any(b"\0" in line or b"*" in line or b"\xff" not in line for line in typed)
    accounts = sum(line.count(b"apc") for line in typed)
    passwords = sum(line.strip(b"\r\n\0") == b"apc" for line in typed)
    assert (accounts, passwords) in {(0, 0), (1, 1)}


@pytest.mark.parametrize("said_first", [b"Starting the plant", b"Walking them down"])
def test_a_demo_that_is_told_to_end_stops_its_plant(
    begin_walkdown: Callable[..., subprocess.Popen[bytes]], tmp_path: Path, said_first: bytes
) -> None:
    """Ctrl-C is turned off here, as for whatever a script puts in the background."""
    with (Path(tempfile.gettempdir()) / f"walkdown-demo-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            process = begin_walkdown("demo", "--no-capture", "--out", tmp_path / "demo")
        finally:
            signal.signal(signal.SIGINT, before)
        assert process.stderr is not None
        seen = b""
        while said_first not in seen:
            line = process.stderr.readline()
            assert line, seen
            seen += line
        process.terminate()
        seen += process.communicate(timeout=60)[1]

    assert process.returncode == 130
    assert b"The plant is stopped." in seen
    assert b"stopped" in seen.splitlines()[-1] or b"interrupted" in seen
    assert not (tmp_path / "demo" / "lab" / "lab.json").exists()


def test_a_demo_does_not_overwrite_what_is_no_demo(walkdown: Walkdown, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear shift lead", encoding="utf-8")

    said = walkdown("demo", "--out", tmp_path)

    assert said.code == 1
    assert "choose another --out" in said.text
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
