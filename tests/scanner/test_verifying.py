"""`walkdown evidence verify`: what is said of a signed, an unsigned and a broken record."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scanner import evidence, signing, verifier
from scanner.cli import app, verifying
from scanner.errors import UsageError
from scanner.model import Target, Tier, Transport
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


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def emptied(content: bytes) -> bytes:
    return b""


def scribbled(content: bytes) -> bytes:
    return bytes(reversed(content))


def of_another_kind(content: bytes) -> bytes:
    return content[:68] + b"WDKS" + content[72:]


@pytest.mark.parametrize("damage", [cut, emptied, scribbled, of_another_kind])
def test_a_damaged_file_is_broken_and_a_missing_one_a_mistake(
    run: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[bytes], bytes],
) -> None:
    database = run / "walkdown.db"
    database.write_bytes(damage(database.read_bytes()))

    for options in ((), ("--json",)):
        code, words = said(capsys, monkeypatch, "verify", run, *options)
        assert code == 2
        assert "walkdown.db" in words
    assert json.loads(said(capsys, monkeypatch, "verify", run, "--json")[1])["outcome"] == "broken"
    assert said(capsys, monkeypatch, "verify", run.parent / "nothing")[0] == 1
    assert verifier.verify_place(run).outcome == verifier.BROKEN or damage is of_another_kind


@pytest.mark.parametrize("command", ["verify", "certificate", "show"])
def test_a_rollback_journal_is_refused_and_nothing_changes(
    run: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    (run / "walkdown.db-journal").write_bytes(bytes.fromhex("d9d505f920a163d7") + bytes(700))
    before = {path.name: path.read_bytes() for path in run.iterdir()}

    code, words = said(capsys, monkeypatch, command, run)

    assert code == (1 if command == "show" else 2)
    assert "walkdown.db-journal: a rollback journal lies beside this run" in words
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_an_empty_journal_harms_nobody(run: Path) -> None:
    (run / "walkdown.db-journal").touch()

    assert verifying.verify(str(run), public_key=None, head=None).passed
    assert verifier.verify_place(run).outcome == verifier.SIGNED


def test_a_run_that_is_written_meanwhile_is_not_called_broken(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = evidence.verify_run
    with RunStore.open(run / "walkdown.db") as writer:

        def written_meanwhile(events: Iterable[evidence.Event], *rest: Any, **more: Any) -> Any:
            seen = list(events)
            asyncio.run(
                writer.intent(
                    target=Target(zone="z", address="127.0.0.1", port=1, transport=Transport.TCP),
                    probe="p", tier=Tier.IDENTIFY, label="", request=b"", question="",
                    sent_at=NOON,
                )
            )  # fmt: skip
            return check(seen, *rest, **more)

        monkeypatch.setattr(evidence, "verify_run", written_meanwhile)

        assert verifying.verify(str(run), public_key=None, head=None).result.problems == ()


def test_it_says_what_it_covers_and_what_not(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Not covered: report, tables and assessment.json" in said(
        capsys, monkeypatch, "verify", run
    )[1]  # fmt: skip


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
