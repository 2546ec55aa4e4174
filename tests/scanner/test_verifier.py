"""The stand-alone verifier and the product's own agree on every change that can be made."""

from __future__ import annotations

import ast
import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from scanner import evidence, signing, verifier
from scanner.errors import StoreError
from scanner.model import Observation, Outcome, Target, Tier, Transport
from scanner.store import RunMeta, RunStore, question_key
from tests.proof import mutations

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def signer_of(seed: int) -> signing.Signer:
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    return signing.Signer(key, key.public_key().public_bytes_raw().hex())


SITE = signer_of(1)


async def scan(place: Path, name: str, devices: int) -> None:
    meta = RunMeta(
        id=name, site="s", site_file_text="site: s\n", plan_digest="00" * 32, started_at=NOON,
        version="0.1", authorisation="", authorised_by="", tiers=("identify",),
        signing_key=SITE.public_key, probe_set="11" * 32,
    )  # fmt: skip
    async with RunStore.create(place, run=meta, now=NOON) as store:
        for number in range(devices):
            target = Target(
                zone="z", address=f"127.0.0.{number}", port=502, transport=Transport.TCP
            )
            key = question_key(target, "modbus", Tier.IDENTIFY)
            observation = Observation(
                id="", zone="z", address=target.address, port=502, transport=Transport.TCP,
                protocol="modbus", probe="modbus", tier=Tier.IDENTIFY, outcome=Outcome.ANSWERED,
                reason="", started_at=NOON, finished_at=NOON, facts=(), exchanges=(),
            )  # fmt: skip
            if number == 0:  # withheld before it was started
                withheld = replace(observation, outcome=Outcome.WITHHELD)
                await store.question_finished(withheld)
                continue
            await store.question_started(key, protocol="modbus", at=NOON)
            for label in ("identity", "detail ü"):
                asked = await store.intent(
                    target=target, probe="modbus", tier=Tier.IDENTIFY, label=label,
                    request=f"{name} {number}".encode(), question=key,
                    sent_at=NOON + timedelta(microseconds=number),
                )  # fmt: skip
                await store.ended(
                    asked, outcome=Outcome.ANSWERED, reason="", reply=bytes([number]) * 9,
                    finished_at=NOON, wire_out=3, wire_in=6,
                )  # fmt: skip
            await store.question_finished(observation)
        end(store, NOON)


def end(store: RunStore, now: datetime, **files: str) -> None:
    store.save_safety(json.dumps({"at": now.isoformat()}))
    store.set_state("finished", "", now)
    store.seal(signer=SITE, extra_digests=files, now=now)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("runs")
    for name, devices in (("run", 4), ("other", 3)):
        asyncio.run(scan(made / name / "walkdown.db", name, devices))
    shutil.copytree(made / "run", made / "resumed")
    with RunStore.open(made / "resumed" / "walkdown.db") as store:
        store.set_state("running", "resumed", NOON)
        end(store, NOON + timedelta(hours=1))
    return made


@pytest.fixture(scope="module")
def victims(folder: Path) -> mutations.Victims:
    records = {
        name: verifier.read_rows(folder / name / "walkdown.db")
        for name in ("run", "other", "resumed")
    }
    return mutations.Victims(signer=SITE.public_key, attacker=signer_of(2), **records)


@pytest.mark.parametrize("name", ["run", "other", "resumed"])
def test_both_take_an_untouched_record_for_signed(victims: mutations.Victims, name: str) -> None:
    rows = getattr(victims, name)
    known = (rows, victims.signer, mutations.head_of(rows))

    assert mutations.outcome_of_product(*known) == "signed"
    assert mutations.outcome_of_verifier(*known) == "signed"


def test_both_find_a_thousand_changes_and_say_the_same_of_each(victims: mutations.Victims) -> None:
    chance, seen = Random(28), Counter[str]()
    for _ in range(1000):
        made = mutations.mutate(victims, chance)
        known = (made.rows, victims.signer, made.head if made.needs_head else None)
        product, alone = mutations.outcome_of_product(*known), mutations.outcome_of_verifier(*known)
        seen[made.kind] += 1

        assert product == alone, made.kind
        assert product != "signed", made.kind
    assert set(seen) == set(mutations.KINDS)


def test_a_tail_that_is_cut_well_is_seen_by_nothing_but_the_missing_signature(
    victims: mutations.Victims,
) -> None:
    for length in range(1, len(victims.run["events"])):
        cut = mutations.prefix(victims.run, length)

        assert mutations.outcome_of_product(cut, victims.signer, None) == "unsigned"
        assert mutations.outcome_of_verifier(cut, victims.signer, None) == "unsigned"


def test_a_record_forged_whole_is_seen_only_by_who_knows_the_key(
    victims: mutations.Victims,
) -> None:
    forged = mutations.sign_anew(victims.run, victims, Random(1))

    assert mutations.outcome_of_product(forged, None, None) == "signed"
    assert mutations.outcome_of_verifier(forged, None, None) == "signed"
    assert mutations.outcome_of_product(forged, victims.signer, None) == "broken"
    assert mutations.outcome_of_verifier(forged, victims.signer, None) == "broken"


def test_a_changed_file_is_found_by_both_through_the_database(
    victims: mutations.Victims, folder: Path, tmp_path: Path
) -> None:
    chance, tried = Random(5), 0
    for _ in range(40):
        made = mutations.mutate(victims, chance)
        if made.needs_head or not mutations.write(
            made.rows, folder / "run" / "walkdown.db", tmp_path / "walkdown.db"
        ):
            continue
        tried += 1
        alone = verifier.verify_place(tmp_path, public_key=victims.signer)
        assert alone.outcome != verifier.SIGNED
        assert product_says(tmp_path / "walkdown.db", victims.signer) != "signed"
    assert tried > 10


def product_says(path: Path, key: str) -> str:
    try:
        with RunStore.open(path, read_only=True) as store:
            return store.verify(public_key=key).outcome
    except StoreError:
        return "broken"


def alone(*arguments: object) -> tuple[int, str]:
    said: list[str] = []
    return verifier.main([str(one) for one in arguments], said.append), "".join(said)


def test_the_script_runs_without_walkdown_and_changes_nothing(folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "verify_evidence.py"
    script.write_text(Path(verifier.__file__).read_text(encoding="utf-8"), encoding="utf-8")
    blocked = tmp_path / "sitecustomize.py"
    blocked.write_text(
        "import sys\n"
        "for name in ('scanner', 'sqlalchemy', 'pydantic', 'alembic', 'probes', 'lab'):\n"
        "    sys.modules[name] = None\n"
    )
    database = folder / "run" / "walkdown.db"
    before = database.read_bytes(), sorted(database.parent.iterdir())

    done = subprocess.run(
        [sys.executable, str(script), str(database.parent), "--public-key", SITE.public_key],
        capture_output=True, text=True, cwd=tmp_path, check=False,
        env={"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "intact and signed" in done.stdout
    assert (database.read_bytes(), sorted(database.parent.iterdir())) == before


def test_its_exit_codes_tell_signed_unsigned_broken_and_unreadable(
    folder: Path, tmp_path: Path
) -> None:
    run = folder / "run"
    assert alone(run)[0] == 0
    assert "NOT compared" in alone(run)[1]
    assert alone(run, "--public-key", signer_of(2).public_key)[0] == 2
    assert alone(run, "--head", "00" * 32)[0] == 2
    assert alone(tmp_path)[0] == 3
    assert alone(run, "--public-key", "nonsense")[0] == 3
    (tmp_path / "walkdown.db").write_bytes(b"nonsense")
    assert alone(tmp_path)[0] == 2

    copy = shutil.copytree(run, tmp_path / "copy")
    with RunStore.open(copy / "walkdown.db") as store:
        store.set_state("running", "resumed", NOON)
    code, words = alone(copy, "--public-key", SITE.public_key)
    assert code == 1
    assert "unsigned since event" in words


def test_it_says_what_it_covers_and_what_not(folder: Path) -> None:
    code, words = alone(folder / "run")

    assert code == 0
    assert "report, tables and assessment.json are not" in words
    assert "assessment.json are not" in json.loads(alone(folder / "run", "--json")[1])["covers"]


def test_a_rollback_journal_beside_the_database_is_broken_for_both_and_stays(
    folder: Path, tmp_path: Path
) -> None:
    """It makes another record of the database as soon as anybody opens that with SQLite."""
    copy = shutil.copytree(folder / "run", tmp_path / "copy")
    add_journal(copy / "walkdown.db")
    before = {path.name: path.read_bytes() for path in copy.iterdir()}

    code, words = alone(copy)

    assert code == 2
    assert "walkdown.db-journal lies beside the database" in words
    assert alone(copy / "walkdown.db")[0] == 2
    link = tmp_path / "elsewhere.db"
    link.symlink_to(copy / "walkdown.db")
    assert alone(link)[0] == 2
    for place in (copy / "walkdown.db", link):
        with pytest.raises(StoreError, match=r"walkdown\.db-journal"):
            RunStore.open(place, read_only=True)
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before

    forged = shutil.copytree(copy, tmp_path / "forged")  # the journal is a real one
    with sqlite3.connect(forged / "walkdown.db") as connection:
        assert connection.execute("SELECT state FROM run").fetchone() == ("FINISHED",)
    connection.close()
    assert not (forged / "walkdown.db-journal").exists()


def add_journal(database: Path) -> None:
    """A hot journal that writes FINISHED for finished (sqlite.org, File Format, 3: journals)."""
    content = database.read_bytes()
    size = int.from_bytes(content[16:18], "big")
    pages = [content[at : at + size] for at in range(0, len(content), size)]
    changed = [
        (number, page.replace(b"finished", b"FINISHED"))
        for number, page in enumerate(pages, 1)
        if b"finished" in page
    ]
    header = (len(changed), 7, len(pages), 512, size)
    journal = bytes.fromhex("d9d505f920a163d7") + b"".join(n.to_bytes(4, "big") for n in header)
    journal = journal.ljust(512, b"\0")
    for number, page in changed:
        check = (7 + sum(page[at] for at in range(size - 200, 0, -200))) & 0xFFFFFFFF
        journal += number.to_bytes(4, "big") + page + check.to_bytes(4, "big")
    database.with_name(database.name + "-journal").write_bytes(journal)


def script(tmp_path: Path, *arguments: object, block: str = "") -> tuple[int, str]:
    """The file alone, in a Python that lacks a package."""
    shutil.copyfile(verifier.__file__, tmp_path / "verify_evidence.py")
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{block!r}] = None\n")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "verify_evidence.py"), *map(str, arguments)],
        capture_output=True, text=True, cwd=tmp_path, check=False,
        env={"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_without_cryptography_it_says_so_and_no_verdict(folder: Path, tmp_path: Path) -> None:
    code, words = script(tmp_path, folder / "run", block="cryptography")

    assert code == 3
    assert "pip install cryptography" in words
    assert "Traceback" not in words
    assert len(words.splitlines()) == 1
    code, words = script(tmp_path, "--help", block="cryptography")
    assert code == 0
    assert "Needs Python 3.11 or newer and `cryptography`" in words


@pytest.mark.parametrize("arguments", [(), ("run", "--no-such"), ("run", "second")])
def test_wrong_arguments_are_no_verdict(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    code, words = script(tmp_path, *arguments)

    assert code == 3
    assert "nothing was checked" in words


def test_any_python_can_read_it_and_say_that_it_is_too_old() -> None:
    ast.parse(Path(verifier.__file__).read_text(encoding="utf-8"), feature_version=(3, 8))


def test_a_run_that_was_killed_is_read_from_its_log(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder / "run", tmp_path / "copy")
    store = RunStore.open(copy / "walkdown.db")
    store.set_state("running", "resumed", NOON)
    killed = shutil.copytree(copy, tmp_path / "killed")
    store.close()

    told = json.loads(alone(killed, "--json")[1])

    assert (killed / "walkdown.db-wal").stat().st_size
    assert told["events"] == told["signed_to"] + 1


def test_files_that_were_sealed_are_compared(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder / "run", tmp_path / "copy")
    (copy / "certificate.json").write_bytes(b"{}")
    with RunStore.open(copy / "walkdown.db") as store:
        end(store, NOON, **{"certificate.json": evidence.digest(b"{}")})
    assert alone(copy)[0] == 0

    (copy / "certificate.json").write_bytes(b"{ }")
    assert alone(copy)[0] == 2
    (copy / "certificate.json").unlink()
    assert alone(copy)[0] == 2
    assert alone(copy / "walkdown.db")[0] == 0  # the database alone: nothing to compare with


@pytest.mark.parametrize(
    "change",
    ["CREATE TABLE more (a)", "CREATE VIEW more AS SELECT 1", "ALTER TABLE events ADD COLUMN a"],
)
def test_a_database_of_another_form_is_broken(folder: Path, tmp_path: Path, change: str) -> None:
    copy = shutil.copytree(folder / "run", tmp_path / "copy")
    connection = sqlite3.connect(copy / "walkdown.db")
    connection.execute(change)
    connection.commit()
    connection.close()

    assert alone(copy)[0] == 2
