"""The certificate of a run that is kept: made, signed for, compared, and made of what is left."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from probes import dcp
from scanner import signing, verifier
from scanner.cli import app, certifying, display, verifying
from scanner.cli.terminal import Terminal
from scanner.errors import StoreError
from scanner.facts import LinkAddress
from scanner.model import (
    Certificate,
    CertifiedPromise,
    Observation,
    Outcome,
    Target,
    Tier,
    Transport,
)
from scanner.store import RunMeta, RunStore

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
OURS, PLC = "192.0.2.1", "192.0.2.11"
READ = bytes.fromhex("000100000005012b0e0100")
WRITE = bytes.fromhex("000200000006010600010005")
WHOLE = {"whole": True, "words": "headers of 6 packets, 0 lost by the kernel"}


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def target(address: str = PLC, port: int = 502) -> Target:
    return Target(zone="control", address=address, port=port, transport=Transport.TCP)


def limits(**changes: Any) -> dict[str, Any]:
    device = {
        "zone": "control", "addresses": [PLC], "profile": "default", "packets_per_s": 8,
        "zone_packets_per_s": 50, "connection_interval_ms": 1000, "budget": 20,
    }  # fmt: skip
    return {
        "devices": [device | changes.pop("device", {})],
        "ends": {"control": at(3600).isoformat()},
        "privileges": "root, capabilities 0x0, no_new_privs set",
        "capture": certifying.BEGUN,
        "ours": [OURS],
    } | changes


def segment(when: float, flags: int, payload: int, *, back: bool = False) -> bytes:
    ends = (PLC, OURS) if back else (OURS, PLC)
    ports = (502, 40000) if back else (40000, 502)
    address = b"".join(bytes(map(int, one.split("."))) for one in ends)
    sequence = 1000 if flags & 2 else 1001
    tcp = struct.pack("!HHIIBBHHH", *ports, sequence, 0, 0x50, flags, 8192, 0, 0)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 40 + payload, 1, 0x4000, 64, 6, 0) + address + tcp
    nanoseconds = round((NOON.timestamp() + when) * 1e9)
    return (
        struct.pack("<IIII", nanoseconds // 10**9, nanoseconds % 10**9, len(head), 40 + payload)
        + head
    )


def capture_of(request: bytes, when: float = 0.0) -> bytes:
    return struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 101) + conversation(request, when)


def conversation(request: bytes, when: float) -> bytes:
    return b"".join(
        [
            segment(when, 2, 0),
            segment(when + 0.01, 0x12, 0, back=True),
            segment(when + 0.2, 0x18, len(request)),
            segment(when + 0.21, 0x18, 9, back=True),
            segment(when + 0.4, 0x11, 0),
            segment(when + 0.41, 0x11, 0, back=True),
        ]
    )


async def ask(
    store: RunStore, when: float, request: bytes, *, end: bool = True, port: int = 502,
    probe: str = "modbus",
) -> None:  # fmt: skip
    asked = await store.intent(
        target=target(port=port), probe=probe, tier=Tier.IDENTIFY, label="identity",
        request=request, question="", sent_at=at(when),
    )  # fmt: skip
    if end:
        await store.ended(
            asked, outcome=Outcome.ANSWERED, reason="", reply=b"reply", finished_at=at(when + 0.3),
            wire_out=len(request), wire_in=9,
        )  # fmt: skip


@pytest.fixture
def signer(tmp_path: Path) -> signing.Signer:
    return signing.load_or_create(tmp_path / "site.signing-key")


@pytest.fixture
def begin(tmp_path: Path, signer: signing.Signer) -> Iterator[Callable[..., RunStore]]:
    """A run that has begun, in `tmp_path/name`."""
    opened = []

    def _begin(name: str = "run") -> RunStore:
        meta = RunMeta(
            id="r1", site="Harbour", site_file_text="", plan_digest="00" * 32, started_at=NOON,
            version="0.1", authorisation="", authorised_by="", tiers=("identify",),
            signing_key=signer.public_key,
        )  # fmt: skip
        store = RunStore.create(tmp_path / name / "walkdown.db", run=meta, now=NOON)
        opened.append(store)
        return store

    yield _begin
    for store in opened:
        store.close()


def finish(store: RunStore, folder: Path, signer: signing.Signer, state: Any = "finished") -> None:
    """As a scan does it: state, certificate, signature."""
    store.set_state(state, "", at(10))
    made = certifying.make(store, folder)
    (folder / certifying.FILE).write_bytes(certifying.text_of(made))
    store.seal(signer=signer, extra_digests=certifying.digests(folder), now=at(11))


@pytest.fixture
def run(begin: Callable[..., RunStore], tmp_path: Path, signer: signing.Signer) -> Path:
    """A signed run of one question, with its capture."""
    folder = tmp_path / "run"
    with begin() as store:
        store.note("limits", limits())
        asyncio.run(ask(store, 0.0, READ))
        (folder / "capture.pcap").write_bytes(capture_of(READ))
        store.note("capture", WHOLE)
        finish(store, folder, signer)
    return folder


def made_of(folder: Path) -> Certificate:
    with RunStore.open(folder / "walkdown.db", read_only=True) as store:
        return certifying.make(store, folder)


def signed_of(folder: Path) -> Certificate | None:
    with RunStore.open(folder / "walkdown.db", read_only=True) as store:
        return certifying.signed(store, folder)


def row(made: Certificate, number: int) -> CertifiedPromise:
    return next(one for one in made.promises if one.promise == number)


def said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object
) -> tuple[int, str]:
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setattr("sys.argv", ["walkdown", "evidence", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        app.run()
    told = capsys.readouterr()
    return int(ended.value.code or 0), " ".join(f"{told.out} {told.err}".split())


# --- made and signed -----------------------------------------------------------------------------


def test_a_certificate_counts_packets_and_record_together(run: Path) -> None:
    made = made_of(run)

    assert made.with_verdict("fail") == ()
    assert {one.promise for one in made.with_verdict("not measured")} == {15, 16}
    assert row(made, 6).measured.startswith("3 sent of 20 granted to 1 devices")
    assert row(made, 8).measured == "0 of 1 connection to controllers"
    assert made.capture == "headers of 6 packets, 0 lost by the kernel"
    assert (made.state, made.version, made.run, made.site) == ("finished", "0.1", "r1", "Harbour")


def test_it_is_the_same_before_the_run_is_signed_and_after(run: Path) -> None:
    assert signed_of(run) == made_of(run)
    assert certifying.text_of(made_of(run)) == (run / certifying.FILE).read_bytes()


def test_it_names_the_last_event_that_it_audited(run: Path) -> None:
    made = made_of(run)
    with RunStore.open(run / "walkdown.db", read_only=True) as store:
        events = list(store.events())

    assert events[-1].kind == "end"
    assert (made.events, made.chain_head) == (len(events) - 1, events[-2].sha256)


def test_the_text_is_ascii_and_json(run: Path) -> None:
    document = json.loads((run / certifying.FILE).read_bytes().decode("ascii"))

    assert document["schema"] == "walkdown-certificate/1"
    assert [one["promise"] for one in document["promises"]] == [*range(1, 12), 15, 16, 17]


@pytest.mark.parametrize("name", ["certificate.json", "capture.pcap"])
@pytest.mark.parametrize("place", [0, 30, -2])
def test_one_byte_changed_is_found_by_both_verifiers(run: Path, name: str, place: int) -> None:
    assert verifying.verify(str(run), public_key=None, head=None).passed
    assert verifier.verify_place(run).outcome == verifier.SIGNED
    file = bytearray((run / name).read_bytes())
    file[place] ^= 1
    (run / name).write_bytes(file)

    found = verifying.verify(str(run), public_key=None, head=None)
    alone = verifier.verify_place(run)

    assert not found.passed
    assert found.result.problems == (f"{name}: not the file that was signed for",)
    assert alone.outcome == verifier.BROKEN
    assert alone.problems == [f"{name}: not the file that was signed for"]


@pytest.mark.parametrize("name", ["certificate.json", "capture.pcap"])
def test_a_file_that_is_gone_is_found_by_both_verifiers(run: Path, name: str) -> None:
    (run / name).unlink()

    assert not verifying.verify(str(run), public_key=None, head=None).passed
    assert verifier.verify_place(run).outcome == verifier.BROKEN


def test_a_certificate_that_was_not_signed_for_is_not_taken(run: Path) -> None:
    text = (run / certifying.FILE).read_text()
    (run / certifying.FILE).write_text(text.replace('"not measured"', '"pass"'))

    assert signed_of(run) is None
    assert {one.promise for one in made_of(run).with_verdict("not measured")} == {15, 16}


def test_a_certificate_in_another_form_is_not_taken(
    begin: Callable[..., RunStore], tmp_path: Path, signer: signing.Signer
) -> None:
    folder = tmp_path / "run"
    with begin() as store:
        store.note("limits", limits())
        store.set_state("finished", "", at(10))
        (folder / certifying.FILE).write_bytes(b'{"schema": "walkdown-certificate/0"}')
        store.seal(signer=signer, extra_digests=certifying.digests(folder), now=at(11))

    assert signed_of(folder) is None


def test_files_that_are_not_there_are_not_signed_for(tmp_path: Path) -> None:
    assert certifying.digests(tmp_path) == {}


# --- what is left of a capture -------------------------------------------------------------------


def test_a_run_without_its_folder_says_that_the_capture_is_not_at_hand(run: Path) -> None:
    (run / "capture.pcap").unlink()

    made = made_of(run)

    assert "not at hand" in made.capture
    assert {one.promise for one in made.with_verdict("not measured")} >= {4, 5, 8}


@pytest.mark.parametrize(
    ("notes", "words"),
    [
        ([limits(capture="no capture: turned off")], "no capture: turned off"),
        ([limits(), {"whole": False, "words": "broken off: it died"}], "not whole"),
        ([limits(), WHOLE, limits(capture="no capture: turned off")], "was not captured"),
    ],
)
def test_a_capture_that_is_not_whole_counts_for_nothing(
    begin: Callable[..., RunStore], tmp_path: Path, notes: list[dict[str, Any]], words: str
) -> None:
    with begin() as store:
        for one in notes:
            store.note("limits" if "devices" in one else "capture", one)
        asyncio.run(ask(store, 0.0, READ))
        (tmp_path / "run" / "capture.pcap").write_bytes(capture_of(READ))

        made = certifying.make(store, tmp_path / "run")

    assert words in made.capture
    assert {one.promise for one in made.with_verdict("not measured")} >= {4, 5, 8}


def test_a_capture_that_is_none_counts_for_nothing(run: Path) -> None:
    (run / "capture.pcap").write_bytes(b"nonsense" * 9)

    assert "cannot be read" in made_of(run).capture
    assert row(made_of(run), 8).verdict == "not measured"


# --- layer 2 ------------------------------------------------------------------------------------

IDENTIFY = dcp.encode_identify(xid=7)
STATION = "00:09:91:43:e0:67"


def frames(mac: str = STATION) -> bytes:
    """One question on layer 2, as the capture keeps it."""
    head = bytes.fromhex(mac.replace(":", "")) + bytes.fromhex("0200000000098892") + IDENTIFY[:12]
    nanoseconds = round((NOON.timestamp() + 2.0) * 1e9)
    entry = struct.pack("<IIII", nanoseconds // 10**9, nanoseconds % 10**9, 26, 60)
    return struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1) + entry + head


def on_link(
    begin: Callable[..., RunStore], folder: Path, *, note: bool = True, answered: bool = True,
    kept: bytes | None = None, facts: tuple[Any, ...] = (),
) -> Certificate:  # fmt: skip
    """The certificate of a run with one question over Modbus and one on layer 2."""
    with begin() as store:
        store.note("limits", limits())
        asyncio.run(ask(store, 0.0, READ))
        station = Target(zone="control", address=PLC, port=0x8892, transport=Transport.LINK)

        async def identify() -> None:
            asked = await store.intent(
                target=station, probe="dcp", tier=Tier.IDENTIFY, label="DCP Identify",
                request=IDENTIFY, question="", sent_at=at(2.0),
            )  # fmt: skip
            await store.ended(
                asked, outcome=Outcome.ANSWERED if answered else Outcome.SILENT, reason="",
                reply=b"reply" if answered else b"", finished_at=at(2.1), wire_out=len(IDENTIFY),
                wire_in=5,
            )  # fmt: skip
            if facts:
                key = f"control|{PLC}|link|{0x8892}|dcp|identify"
                await store.question_started(key, protocol="dcp", at=at(2.0))
                await store.question_finished(
                    Observation(
                        id="", zone="control", address=PLC, port=0x8892, transport=Transport.LINK,
                        protocol="dcp", probe="dcp", tier=Tier.IDENTIFY, outcome=Outcome.ANSWERED,
                        reason="", started_at=at(2.0), finished_at=at(2.1), facts=facts,
                        exchanges=(),
                    )
                )  # fmt: skip

        asyncio.run(identify())
        (folder / "capture.pcap").write_bytes(capture_of(READ))
        if kept is not None:
            (folder / "link.pcap").write_bytes(kept)
        store.note("capture", WHOLE | ({"stations": {STATION: ["192.0.2.9", PLC]}} if note else {}))
        return certifying.make(store, folder)


def test_a_frame_of_layer_2_is_counted_with_the_packets(
    begin: Callable[..., RunStore], tmp_path: Path
) -> None:
    made = on_link(begin, tmp_path / "run", kept=frames())

    assert made.with_verdict("fail") == ()
    assert row(made, 5).measured == "0 windows over, 4 packets"
    assert certifying.digests(tmp_path / "run").keys() == {"capture.pcap", "link.pcap"}


@pytest.mark.parametrize("answered", [True, False])
def test_without_its_file_nothing_is_claimed_from_packets(
    begin: Callable[..., RunStore], tmp_path: Path, answered: bool
) -> None:
    made = on_link(begin, tmp_path / "run", answered=answered)

    assert "layer 2 is not at hand" in made.capture
    assert row(made, 5).verdict == "not measured"


def test_a_frame_to_whoever_nobody_knows_makes_the_capture_unreadable(
    begin: Callable[..., RunStore], tmp_path: Path
) -> None:
    made = on_link(begin, tmp_path / "run", kept=frames("02:00:00:00:00:77"))

    assert "cannot be read: a frame that is not between" in made.capture


def test_whose_a_mac_address_was_is_taken_from_the_record_where_a_sitting_was_killed(
    begin: Callable[..., RunStore], tmp_path: Path
) -> None:
    facts = (LinkAddress(mac=STATION),)

    made = on_link(begin, tmp_path / "run", note=False, kept=frames(), facts=facts)

    assert row(made, 5).measured == "0 windows over, 4 packets"


# --- killed, resumed, stopped --------------------------------------------------------------------


def test_a_run_that_was_killed_has_what_its_record_shows(
    begin: Callable[..., RunStore], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with begin() as store:
        store.note("limits", limits())
        asyncio.run(ask(store, 0.0, READ))
        asyncio.run(ask(store, 5.0, READ, end=False))
        (folder / "capture.pcap").write_bytes(capture_of(READ) + conversation(READ, 5.0)[:200])

        made = certifying.make(store, folder)

    assert made.state == "running"
    assert made.capture == certifying.CUT_OFF
    assert made.with_verdict("fail") == ()
    assert row(made, 8).basis == "packets"


def test_a_run_that_goes_on_is_one_certificate(
    begin: Callable[..., RunStore], tmp_path: Path, signer: signing.Signer
) -> None:
    folder = tmp_path / "run"
    with begin() as store:
        store.note("limits", limits())
        asyncio.run(ask(store, 0.0, READ))
        store.note("halt", {"at": at(0.5).isoformat(), "reason": "stopped by Ctrl-C"})
        store.note("capture", WHOLE)
        (folder / "capture.pcap").write_bytes(capture_of(READ))
        finish(store, folder, signer, "interrupted")
    first = signed_of(folder)
    with RunStore.open(folder / "walkdown.db") as store:
        store.set_state("running", "resumed", at(100))
        store.note("limits", limits(device={"packets_per_s": 40, "budget": 5}))
        asyncio.run(ask(store, 100.0, READ))
        store.note("capture", WHOLE)
        with (folder / "capture.pcap").open("ab") as file:
            file.write(conversation(READ, 100.0))
        finish(store, folder, signer)
    whole = signed_of(folder)

    assert first is not None
    assert whole is not None
    assert whole.with_verdict("fail") == first.with_verdict("fail") == ()
    assert row(whole, 6).measured.startswith("6 sent of 25 granted")
    assert row(whole, 16).verdict == "pass"
    assert whole.events > first.events
    assert verifying.verify(str(folder), public_key=None, head=None).passed


def test_the_strictest_limits_of_its_sittings_hold(
    begin: Callable[..., RunStore], tmp_path: Path
) -> None:
    loose = {"packets_per_s": None, "zone_packets_per_s": 1000, "connection_interval_ms": 0}
    with begin() as store:
        store.note("limits", limits(device={"packets_per_s": 2}))
        store.note("limits", limits(device=loose))
        asyncio.run(ask(store, 0.0, READ))
        (tmp_path / "run" / "capture.pcap").write_bytes(capture_of(READ))
        store.note("capture", WHOLE)
        store.note("capture", WHOLE)

        made = certifying.make(store, tmp_path / "run")

    assert row(made, 3).verdict == "fail"
    assert f"{PLC}: 3 of 2" in row(made, 3).measured


@pytest.mark.parametrize(
    ("sittings", "verdict"), [([[2404]], "pass"), ([[]], "fail"), ([[2404], []], "fail")]
)
def test_a_station_is_opened_by_every_sitting_or_not_at_all(
    begin: Callable[..., RunStore], tmp_path: Path, sittings: list[list[int]], verdict: str
) -> None:
    with begin() as store:
        for seats in sittings:
            store.note("limits", limits(device={"seats": seats}))
        asyncio.run(ask(store, 0.0, bytes.fromhex("680443000000"), port=2404, probe="iec104"))

        made = certifying.make(store, tmp_path / "run")

    assert row(made, 11).verdict == verdict


def test_a_device_left_alone_is_known_from_its_note_or_from_what_was_withheld(
    begin: Callable[..., RunStore], tmp_path: Path
) -> None:
    withheld = Observation(
        id="", zone="control", address=PLC, port=102, transport=Transport.TCP, protocol="s7",
        probe="s7", tier=Tier.IDENTIFY, outcome=Outcome.WITHHELD,
        reason="left alone after a sign of distress: it fell silent", started_at=at(1),
        finished_at=at(1), facts=(), exchanges=(),
    )  # fmt: skip
    rows = []
    for name, note in (("noted", True), ("killed", False)):
        with begin(name) as store:
            store.note("limits", limits())
            asyncio.run(ask(store, 0.0, READ))
            asyncio.run(store.question_finished(withheld))
            asyncio.run(ask(store, 4.0, READ))
            if note:
                left = {"zone": "control", "address": PLC, "at": at(0.3).isoformat()}
                store.note("left", left | {"reason": "it fell silent"})
            made = certifying.make(store, None)
        rows.append(row(made, 15))

    assert [one.verdict for one in rows] == ["fail", "fail"]
    assert "the last 3.70 s after" in rows[0].measured
    assert "the last 3.00 s after" in rows[1].measured


def test_a_record_that_was_made_before_limits_were_kept_is_not_passed(
    begin: Callable[..., RunStore],
) -> None:
    with begin() as store:
        asyncio.run(ask(store, 0.0, READ))
        made = certifying.make(store, None)

    assert {one.promise for one in made.with_verdict("not measured")} >= {3, 4, 5, 6, 8, 17}
    assert made.capture == "no capture: nothing was sent"


@pytest.mark.parametrize("content", [{}, {"devices": 3}, limits(ends={"control": "soon"})])
def test_a_record_with_damaged_notes_is_told_and_not_a_bug(
    begin: Callable[..., RunStore], content: dict[str, Any]
) -> None:
    with begin() as store:
        store.note("limits", content)
        with pytest.raises(StoreError, match="cannot be audited"):
            certifying.make(store, None)


# --- the command and the words -------------------------------------------------------------------


def test_the_command_prints_it_again_and_compares(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in run.iterdir()}

    code, words = said(capsys, monkeypatch, "certificate", run)

    assert code == 0
    assert "No write or control request: 0 writes, 0 unknown" in words
    assert "not measured" in words
    assert "It is the same as the signed certificate.json." in words
    assert {path: path.read_bytes() for path in run.iterdir()} == before


def test_the_command_prints_json(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["walkdown", "evidence", "certificate", str(run), "--json"])
    with pytest.raises(SystemExit):
        app.run()

    assert capsys.readouterr().out.encode() == (run / certifying.FILE).read_bytes()


def test_the_command_says_what_it_cannot_compare_with(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copyfile(run / "walkdown.db", alone / "walkdown.db")

    code, words = said(capsys, monkeypatch, "certificate", alone / "walkdown.db")
    assert code == 0
    assert "There is no signed certificate.json beside this run" in words

    code, words = said(capsys, monkeypatch, "certificate", alone)
    assert code == 2
    assert "There is NO certificate.json in this folder, though one was signed for." in words


def test_a_certificate_that_was_edited_is_not_called_absent(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = run / certifying.FILE
    path.write_bytes(path.read_bytes().replace(b'"pass"', b'"fail"', 1))

    code, words = said(capsys, monkeypatch, "certificate", run)

    assert code == 2
    assert "certificate.json beside this run is NOT the one that was signed" in words


def test_a_capture_that_was_edited_is_told(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    capture = run / "capture.pcap"
    capture.write_bytes(capture.read_bytes()[:-60])

    code, words = said(capsys, monkeypatch, "certificate", run)

    assert code == 2
    assert "NOT those that were signed (capture.pcap: not the file" in words


def test_an_audit_that_judges_otherwise_differs(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = replace(made_of(run), privileges="others")
    monkeypatch.setattr(certifying, "make", lambda store, folder: made)

    code, words = said(capsys, monkeypatch, "certificate", run)

    assert code == 2
    assert "It DIFFERS from the signed certificate.json, though record and files are" in words


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE exchanges SET reply = x'00'",
        "UPDATE exchanges SET sent_at = '2026-11-20 11:00:00.000000'",
        "UPDATE run SET safety = NULL, reason = 'x'",
        "DELETE FROM events WHERE kind = 'end'; UPDATE events SET payload = '{}' WHERE seq = 2",
        "DELETE FROM events WHERE seq = 3",
        "DELETE FROM run",
        "DROP TABLE questions",
    ],
)
def test_no_certificate_is_made_of_a_changed_record(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    connection = sqlite3.connect(run / "walkdown.db")
    connection.executescript(change)
    connection.close()

    code, words = said(capsys, monkeypatch, "certificate", run)
    assert code == 2
    assert "The record of this run is BROKEN" in words
    assert "the same as" not in words
    assert said(capsys, monkeypatch, "certificate", run, "--json")[0] == 2
    assert said(capsys, monkeypatch, "verify", run)[0] == 2


def test_the_command_of_a_run_that_was_killed(
    begin: Callable[..., RunStore],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with begin() as store:
        store.note("limits", limits())
        asyncio.run(ask(store, 0.0, READ))

    code, words = said(capsys, monkeypatch, "certificate", tmp_path / "run")

    assert code == 0
    assert "The run has not ended" in words


def test_a_broken_promise_is_an_exit_code_of_the_command(
    begin: Callable[..., RunStore],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with begin() as store:
        store.note("limits", limits())
        asyncio.run(ask(store, 0.0, WRITE))

    code, words = said(capsys, monkeypatch, "certificate", tmp_path / "run")

    assert code == 2
    assert "modbus function 6" in words
    assert "fail" in words


def test_foreign_text_in_a_certificate_is_inert(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b]0;x\x07[red]\u202e"
    made = Certificate(
        schema="s", run=hostile, site=hostile, version=hostile, state=hostile, events=1,
        chain_head=hostile, capture_sha256=hostile, capture=hostile, privileges=hostile,
        promises=(
            CertifiedPromise(
                promise=1, title=hostile, target=hostile, measured=hostile, verdict="fail",
                basis=hostile,
            ),
        ),
    )  # fmt: skip

    display.show_certificate(Terminal(), made)

    shown = capsys.readouterr().out
    assert "[red]" in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)


def test_after_a_scan_one_line_says_how_many_were_kept(
    run: Path, begin: Callable[..., RunStore], capsys: pytest.CaptureFixture[str]
) -> None:
    with begin("broken") as store:
        store.note("limits", limits())
        asyncio.run(ask(store, 0.0, WRITE))
        broken = certifying.make(store, None)

    display.show_verdicts(Terminal(), [made_of(run)])
    whole = capsys.readouterr().out
    display.show_verdicts(Terminal(), [made_of(run), broken])
    both = " ".join(capsys.readouterr().out.split())

    assert whole == "Certificate: 12 promises kept, 0 broken, 2 not measured\n"
    assert "Certificate of run r1: 4 promises kept, 1 broken, 9 not measured" in both
    assert "BROKEN: promise 1, No write or control request: 1 writes, 0 unknown of 1" in both
