"""`walkdown evidence verify`: what is said of a signed, an unsigned and a broken record."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from scanner import evidence, signing
from scanner.cli import app, verifying
from scanner.errors import UsageError
from scanner.store import RunMeta, RunStore

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture
def signer(tmp_path: Path) -> signing.Signer:
    return signing.load_or_create(tmp_path / "site.signing-key")


@pytest.fixture
def run(tmp_path: Path, signer: signing.Signer) -> Path:
    """A run that has ended, with a certificate beside it."""
    folder = tmp_path / "run"
    meta = RunMeta(
        id="r", site="s", site_file_text="", plan_digest="00" * 32, started_at=NOON, version="0.1",
        authorisation="", authorised_by="", tiers=("identify",), signing_key=signer.public_key,
    )  # fmt: skip
    with RunStore.create(folder / "walkdown.db", run=meta, now=NOON) as store:
        (folder / "certificate.json").write_bytes(b"{}")
        store.set_state("finished", "", NOON)
        files = {"certificate.json": evidence.digest(b"{}")}
        store.seal(signer=signer, extra_digests=files, now=NOON)
    return folder


def said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object
) -> tuple[int, str]:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("sys.argv", ["walkdown", "evidence", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        app.run()
    told = capsys.readouterr()
    return int(ended.value.code or 0), " ".join(f"{told.out} {told.err}".split())


def test_a_signed_run_says_by_whom_and_against_which_key(
    run: Path,
    signer: signing.Signer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code, words = said(capsys, monkeypatch, "verify", run)
    assert code == 0
    assert "not compared with a known key" in words
    assert signer.public_key in words

    code, words = said(
        capsys, monkeypatch, "verify", run, "--public-key", run.parent / "site.signing-key.pub"
    )
    assert code == 0
    assert "That is the key you named." in words

    code, words = said(capsys, monkeypatch, "verify", run, "--public-key", "ab" * 32)
    assert code == 2
    assert "not by abababab" in words


def test_a_run_that_did_not_end_is_told_apart_and_fails_only_against_a_key(
    run: Path,
    signer: signing.Signer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with RunStore.open(run / "walkdown.db") as store:
        store.set_state("running", "resumed", NOON)

    code, words = said(capsys, monkeypatch, "verify", run)
    assert code == 0
    assert "not ended: unsigned since event 4" in words
    assert "may be missing" in words
    assert said(capsys, monkeypatch, "verify", run, "--public-key", signer.public_key)[0] == 2
    assert (
        json.loads(said(capsys, monkeypatch, "verify", run, "--json")[1])["outcome"] == "unsigned"
    )


def test_an_end_that_is_gone_is_not_called_a_scan_under_way(run: Path) -> None:
    with sqlite3.connect(run / "walkdown.db") as connection:
        connection.execute("DELETE FROM events WHERE kind = 'end'")
    connection.close()

    found = verifying.verify(str(run), public_key=None, head=None)

    words = " ".join(verifying.words(found))
    assert "no end record: unsigned since event 1, though the run says 'finished'" in words


def test_a_changed_certificate_is_found_where_the_folder_is_named(run: Path) -> None:
    (run / "certificate.json").write_bytes(b"{ }")

    whole = verifying.verify(str(run), public_key=None, head=None)
    database = verifying.verify(str(run / "walkdown.db"), public_key=None, head=None)

    assert whole.result.problems == ("certificate.json: not the file that was signed for",)
    assert database.passed
    assert "(not compared)" in " ".join(verifying.words(database))


def test_a_head_from_elsewhere_is_compared(run: Path) -> None:
    head = verifying.verify(str(run), public_key=None, head=None).result.head

    same = verifying.verify(str(run), public_key=None, head=head.upper())
    other = verifying.verify(str(run), public_key=None, head="00" * 32)

    assert "ends in the head you named" in " ".join(verifying.words(same))
    assert other.result.outcome == "broken"
    with pytest.raises(UsageError, match="not a head"):
        verifying.verify(str(run), public_key=None, head="123")


def test_words_of_a_hostile_record_are_inert(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with sqlite3.connect(run / "walkdown.db") as connection:
        connection.execute("UPDATE events SET kind = ? WHERE seq = 2", ("\x1b]0;x\x07[red]",))
    connection.close()

    code, words = said(capsys, monkeypatch, "verify", run)

    assert code == 2
    assert "\x1b]" not in words
    assert "\x07" not in words


def test_the_stand_alone_verifier_is_printed_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["walkdown", "evidence", "verifier"])
    with pytest.raises(SystemExit):
        app.run()

    source = capsys.readouterr().out

    assert source == verifying.verifier_source()
    compile(source, "verify_evidence.py", "exec")
    assert "import scanner" not in source
    assert "from scanner" not in source
