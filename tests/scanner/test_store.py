"""What was confirmed is on disk, whatever happens to the process, the disk or the file."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scanner import database, evidence, signing
from scanner.errors import StoreError, ToolBug
from scanner.facts import Account, DeviceIdentity, Fact, SshFace
from scanner.model import Observation, Outcome, Target, Tier, Transport
from scanner.state import SiteState
from scanner.store import RunMeta, RunStore, key_of, question_key, split_key

Places = Callable[[], str | Path]

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
META = RunMeta(
    id="run-1",
    site="Harbour waterworks",
    site_file_text="site: Harbour waterworks\n",
    plan_digest="00" * 32,
    started_at=NOON,
    version="0.1",
    authorisation="CHG-2026-0142",
    authorised_by="Shift lead",
    tiers=("identify",),
    limits={"default": "8 packets in any second"},
)
SIGNING_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
SIGNER = signing.Signer(SIGNING_KEY, SIGNING_KEY.public_key().public_bytes_raw().hex())
PLC = Target(zone="control", address="127.30.0.12", port=502, transport=Transport.TCP)


def key(target: Target = PLC) -> str:
    return question_key(target, "modbus", Tier.IDENTIFY)


def new_run(place: str | Path) -> RunStore:
    return RunStore.create(place, run=META, now=NOON)


async def ask(
    store: RunStore, question: str, *, request: bytes = b"ask", at: datetime = NOON
) -> str:
    target = split_key(question)[0] if question else PLC
    return await store.intent(
        target=target,
        probe="modbus",
        tier=Tier.IDENTIFY,
        label="identity",
        request=request,
        question=question,
        sent_at=at,
    )


async def start(store: RunStore, question: str) -> None:
    await store.question_started(question, protocol="modbus", at=NOON)


async def answer(store: RunStore, exchange: str, reply: bytes = b"answer") -> None:
    await store.ended(
        exchange,
        outcome=Outcome.ANSWERED,
        reason="",
        reply=reply,
        finished_at=NOON + timedelta(seconds=1),
        wire_out=3,
        wire_in=6,
    )


def observed(
    *exchanges: str,
    target: Target = PLC,
    outcome: Outcome = Outcome.ANSWERED,
    facts: tuple[Fact, ...] = (),
) -> Observation:
    return Observation(
        id="",
        zone=target.zone,
        address=target.address,
        port=target.port,
        transport=target.transport,
        protocol="modbus",
        probe="modbus",
        tier=Tier.IDENTIFY,
        outcome=outcome,
        reason="",
        started_at=NOON,
        finished_at=NOON,
        facts=facts,
        exchanges=exchanges,
    )


def device(number: int) -> Target:
    return replace(PLC, address=f"127.30.0.{number}")


# --- on both engines ---------------------------------------------------------------------------


async def test_a_new_run_tells_its_record_and_that_it_is_running(places: Places) -> None:
    async with new_run(places()) as store:
        assert store.meta() == META
        assert store.status().state == "running"
        assert store.observations() == ()
        assert store.safety() is None
        assert store.verify().whole


async def test_an_intent_is_readable_by_others_when_it_returns(places: Places) -> None:
    place = places()
    async with new_run(place) as store:
        await start(store, key())
        exchange = await ask(store, key(), request=bytes(range(256)))

        with RunStore.open(place, read_only=True) as other:
            (seen,) = other.exchanges()

    assert (seen.id, seen.request, seen.target) == (exchange, bytes(range(256)), PLC)
    assert (seen.outcome, seen.finished_at) == (Outcome.INTERRUPTED, None)


async def test_an_exchange_comes_back_as_it_was_written(places: Places) -> None:
    async with new_run(places()) as store:
        await start(store, key())
        exchange = await ask(store, key())
        await answer(store, exchange, bytes(range(255, -1, -1)))

        (seen,) = store.exchanges([exchange])
        chain = {f"x{event.seq}": event for event in store.events()}

        assert seen.reply == bytes(range(255, -1, -1))
        assert (seen.outcome, seen.wire_bytes_out, seen.wire_bytes_in) == (Outcome.ANSWERED, 3, 6)
        assert (seen.sent_at, seen.finished_at) == (NOON, NOON + timedelta(seconds=1))
        assert seen.sha256 == store.chain_head()
        assert chain[exchange].kind == "intent"
        assert store.verify(expected_head=store.chain_head()).tail_proven


async def test_an_observation_comes_back_with_its_facts(places: Places) -> None:
    facts: tuple[Fact, ...] = (
        DeviceIdentity(vendor="Sièmens\x00\ufffd", firmware=None, name="\u202e<script>"),
        SshFace(banner="SSH-2.0-x", kex=("a", "b"), mac=()),
        Account(name="admin", privileged=None, enabled=False),
    )
    async with new_run(places()) as store:
        await start(store, key())
        kept = await store.question_finished(observed("x3", facts=facts))

        assert kept == replace(observed("x3", facts=facts), id=kept.id)
        assert store.observations() == (kept,)
        assert key_of(kept) == key()
        assert store.verify().whole


async def test_text_that_a_database_cannot_hold_is_replaced_not_fatal(places: Places) -> None:
    async with new_run(places()) as store:
        await start(store, key())
        exchange = await ask(store, key())
        await store.ended(
            exchange,
            outcome=Outcome.GARBLED,
            reason="a\x00b\ud800c",
            reply=b"",
            finished_at=NOON,
            wire_out=0,
            wire_in=0,
        )

        assert next(store.exchanges()).reason == "a\ufffdb?c"
        assert store.verify().whole


async def test_facts_with_text_that_has_no_utf8_are_kept_without_it(places: Places) -> None:
    facts: tuple[Fact, ...] = (DeviceIdentity(vendor="a\ud800b", model="c"),)
    async with new_run(places()) as store:
        await start(store, key())
        kept = await store.question_finished(observed(facts=facts))

        assert kept.facts == (DeviceIdentity(vendor="a?b", model="c"),)
        assert store.observations() == (kept,)
        assert store.verify().whole


async def test_intents_that_wait_together_share_commits(places: Places) -> None:
    async with new_run(places()) as store:
        keys = [key(device(number)) for number in range(50)]
        await asyncio.gather(*(start(store, each) for each in keys))
        before = store.commits

        ids = await asyncio.gather(*(ask(store, each) for each in keys))

        assert len(set(ids)) == 50
        assert store.commits - before <= 5
        assert store.verify().whole


async def test_a_finished_question_is_finished_for_ever(places: Places) -> None:
    place = places()
    async with new_run(place) as store:
        await start(store, key())
        await store.question_finished(observed())
    async with RunStore.open(place) as store:
        assert store.finished_questions() == {key()}
        with pytest.raises(ToolBug):
            await start(store, key())
        with pytest.raises(ToolBug):
            await store.question_finished(observed())
        with pytest.raises(ToolBug):
            await ask(store, key())


async def test_a_question_withheld_before_it_was_started_is_kept(places: Places) -> None:
    async with new_run(places()) as store:
        await store.question_finished(observed(outcome=Outcome.WITHHELD))

        assert store.finished_questions() == {key()}


async def test_after_a_crash_only_what_was_asked_and_not_ended_is_interrupted(
    places: Places,
) -> None:
    place = places()
    async with new_run(place) as store:
        for number in (1, 2, 3, 4):
            await start(store, key(device(number)))
        await answer(store, await ask(store, key(device(1))))
        await store.question_finished(observed(target=device(1)))
        hanging = await ask(store, key(device(2)))
        ended = await ask(store, key(device(3)))
        await answer(store, ended)
    async with RunStore.open(place) as store:
        interrupted = store.interrupted_questions()
        marked = store.mark_interrupted(NOON)

        assert [(q.key, q.exchanges) for q in interrupted] == [
            (key(device(2)), (hanging,)),
            (key(device(3)), (ended,)),
        ]
        assert [o.outcome for o in marked] == [Outcome.INTERRUPTED] * 2
        assert store.finished_questions() == {key(device(n)) for n in (1, 2, 3)}
        assert store.interrupted_questions() == ()
        assert store.mark_interrupted(NOON) == ()
        await start(store, key(device(4)))  # was never asked: it simply was not done


async def test_a_question_in_flight_may_not_be_started_again_unmarked(places: Places) -> None:
    place = places()
    async with new_run(place) as store:
        await start(store, key())
        await ask(store, key())
    async with RunStore.open(place) as store:
        with pytest.raises(ToolBug):
            await start(store, key())


async def test_a_reopened_question_is_asked_again_and_its_answer_replaces_the_gap(
    places: Places,
) -> None:
    place = places()
    async with new_run(place) as store:
        await start(store, key())
        await ask(store, key())
    async with RunStore.open(place) as store:
        store.mark_interrupted(NOON)
        assert store.interrupted_keys() == {key()}

        store.reopen(store.interrupted_keys())

        assert store.finished_questions() == frozenset()
        await start(store, key())
        assert store.interrupted_questions() == ()  # the first attempt's request does not count
        await answer(store, await ask(store, key()))
        kept = await store.question_finished(observed())
        assert store.observations() == (kept,)
        assert store.verify().whole


async def test_a_question_that_a_stop_interrupted_may_be_reopened(places: Places) -> None:
    async with new_run(places()) as store:
        await start(store, key())
        await store.question_finished(observed(outcome=Outcome.INTERRUPTED))

        store.reopen([key()])

        assert store.finished_questions() == frozenset()


async def test_only_interrupted_questions_are_reopened(places: Places) -> None:
    async with new_run(places()) as store:
        await store.question_finished(observed())

        with pytest.raises(ToolBug):
            store.reopen([key()])
        assert store.finished_questions() == {key()}


async def test_a_broken_call_fails_alone_and_its_neighbours_are_kept(places: Places) -> None:
    async with new_run(places()) as store:
        await start(store, key())
        results = await asyncio.gather(
            ask(store, key()),
            ask(store, key(device(99))),
            answer(store, "x999"),
            ask(store, ""),
            return_exceptions=True,
        )

        assert [type(result) for result in results] == [str, ToolBug, ToolBug, str]
        assert len(list(store.exchanges())) == 2
        assert store.verify().whole


async def test_an_exchange_ends_once(places: Places) -> None:
    async with new_run(places()) as store:
        await start(store, key())
        exchange = await ask(store, key())
        await answer(store, exchange)

        with pytest.raises(ToolBug):
            await answer(store, exchange)


async def test_exchanges_are_found_by_device_and_time(places: Places) -> None:
    async with new_run(places()) as store:
        elsewhere = replace(device(1), zone="safety")
        berlin = timezone(timedelta(hours=1))
        for minute, target in enumerate([device(1), device(2), elsewhere, device(1)]):
            await start(store, question := question_key(target, f"p{minute}", Tier.READ))
            await ask(store, question, at=(NOON + timedelta(minutes=minute)).astimezone(berlin))

        def minutes(**wanted: object) -> list[int]:
            found = store.exchanges(**wanted)  # type: ignore[arg-type]
            return [(exchange.sent_at - NOON) // timedelta(minutes=1) for exchange in found]

        assert minutes() == [0, 1, 2, 3]
        assert minutes(address="127.30.0.1") == [0, 2, 3]
        assert minutes(address="127.30.0.1", zone="control") == [0, 3]
        assert minutes(since=NOON + timedelta(minutes=1)) == [1, 2, 3]
        assert minutes(until=NOON + timedelta(minutes=1)) == [0]
        assert minutes(ids=[]) == []


async def test_more_exchanges_than_are_read_at_once_come_complete_and_in_order(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scanner.store._PART", 7)
    async with new_run(places()) as store:
        ids = [await ask(store, "") for _ in range(22)]

        assert [exchange.id for exchange in store.exchanges()] == ids
        assert [exchange.id for exchange in store.exchanges(reversed(ids))] == ids
        assert store.verify().events == 23


async def test_state_and_safety_are_kept_and_chained(places: Places) -> None:
    place = places()
    async with new_run(place) as store:
        store.set_state("halted", "window closed", NOON + timedelta(hours=1))
        store.save_safety('{"total": 1.5}')
    with RunStore.open(place, read_only=True) as store:
        assert store.status().state == "halted"
        assert store.status().at == NOON + timedelta(hours=1)
        assert store.safety() == '{"total": 1.5}'
        assert [event.kind for event in store.events()] == ["run", "state", "safety"]


async def test_a_sealed_run_is_signed_until_something_follows(places: Places) -> None:
    place = places()
    async with new_run(place) as store:
        await start(store, key())
        await answer(store, exchange := await ask(store, key()))
        await store.question_finished(observed(exchange))
        store.save_safety("{}")
        store.set_state("finished", "", NOON)
        assert store.verify().outcome == "unsigned"
        store.seal(signer=SIGNER, extra_digests={"certificate.json": "ab" * 32}, now=NOON)
        result = store.verify(public_key=SIGNER.public_key, expected_head=store.chain_head())
    assert (result.outcome, result.sittings, result.problems) == ("signed", 1, ())
    assert result.end is not None
    assert (result.end.state, result.end.covers) == ("finished", result.events - 1)
    assert result.end.files == {"certificate.json": "ab" * 32}

    async with RunStore.open(place) as store:
        store.set_state("running", "resumed", NOON)
        again = store.verify(public_key=SIGNER.public_key)
        assert (again.outcome, again.signed_events) == ("unsigned", result.events)
        store.set_state("halted", "window closed", NOON)
        store.seal(signer=SIGNER, extra_digests={}, now=NOON)
        assert store.verify().sittings == 2


async def test_a_run_that_runs_is_not_sealed_and_files_lie_in_its_folder(places: Places) -> None:
    async with new_run(places()) as store:
        with pytest.raises(ToolBug):
            store.seal(signer=SIGNER, extra_digests={}, now=NOON)
        store.set_state("finished", "", NOON)
        for files in ({"../x": "ab" * 32}, {"x": "ab"}, {"/x": "ab" * 32}):
            with pytest.raises(ToolBug):
                store.seal(signer=SIGNER, extra_digests=files, now=NOON)
        assert store.verify().outcome == "unsigned"


async def test_a_second_writer_is_turned_away_and_a_reader_is_not(places: Places) -> None:
    place = places()
    async with new_run(place):
        with pytest.raises(StoreError, match="another process is using this run database"):
            RunStore.open(place)
        RunStore.open(place, read_only=True).close()
    RunStore.open(place).close()


async def test_a_run_is_not_overwritten(places: Places) -> None:
    place = places()
    new_run(place).close()

    with pytest.raises(StoreError, match="nothing was changed"):
        new_run(place)
    with RunStore.open(place) as store:
        assert store.meta() == META


async def test_a_reader_cannot_write(places: Places) -> None:
    place = places()
    new_run(place).close()

    with RunStore.open(place, read_only=True) as store, pytest.raises(ToolBug):
        store.set_state("finished", "", NOON)


async def test_closing_writes_what_waits_and_may_be_done_twice(places: Places) -> None:
    place = places()
    store = new_run(place)
    waiting = [asyncio.ensure_future(start(store, key(device(n)))) for n in range(20)]
    await asyncio.sleep(0)
    store.close()
    store.close()
    await asyncio.gather(*waiting)

    with pytest.raises(ToolBug):
        await start(store, key())
    with RunStore.open(place, read_only=True) as store:
        assert len(list(store.events())) == 21


async def test_an_end_is_written_even_when_its_caller_is_cancelled(places: Places) -> None:
    place = places()
    async with new_run(place) as store:
        await start(store, key())
        exchange = await ask(store, key())
        ending = asyncio.ensure_future(answer(store, exchange))
        await asyncio.sleep(0)
        ending.cancel()
        await asyncio.gather(ending, return_exceptions=True)
    with RunStore.open(place, read_only=True) as store:
        assert next(store.exchanges()).outcome is Outcome.ANSWERED


async def test_a_time_without_a_zone_is_our_bug(places: Places) -> None:
    async with new_run(places()) as store:
        await start(store, key())
        with pytest.raises(ToolBug):
            await ask(store, key(), at=NOON.replace(tzinfo=None))
        assert await ask(store, key())


@pytest.mark.parametrize("zone", ["control", "a|b|c", "", "Zone 1"])
def test_a_question_key_can_be_split_again(zone: str) -> None:
    target = Target(zone=zone, address="fd00::1", port=161, transport=Transport.UDP)

    assert split_key(question_key(target, "snmp", Tier.READ)) == (target, "snmp", Tier.READ)


@pytest.mark.parametrize("text", ["", "a|b", "z|a|tcp|x|p|read", "z|a|sctp|1|p|read"])
def test_what_is_no_question_key_is_our_bug(text: str) -> None:
    with pytest.raises(ToolBug):
        split_key(text)


# --- evidence on disk --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE exchanges SET reply = x'00'",
        "UPDATE exchanges SET request = x'00'",
        "UPDATE exchanges SET label = 'other'",
        "UPDATE exchanges SET sent_at = '2026-11-20 11:00:00.000000'",
        "UPDATE observations SET body = replace(body, 'modbus', 's7')",
        "UPDATE events SET payload = replace(payload, 'identity', 'other')",
        "UPDATE observations SET current = 0",
        "UPDATE run SET meta = replace(meta, 'Shift lead', 'Somebody')",
        "UPDATE run SET state = 'finished'",
        "UPDATE run SET safety = '{}'",
        "UPDATE run SET state_at = '2026-11-20T12:00:00.000000'",
        "UPDATE questions SET protocol = 's7'",
        "UPDATE questions SET state = 'open'",
        "UPDATE questions SET started_at = '2026-11-20 12:00:01.000000'",
        "UPDATE exchanges SET question = ''",
        "UPDATE exchanges SET port = '5O2'",
        "UPDATE exchanges SET reply = 'answer'",
        "UPDATE observations SET question = 'other'",
        "UPDATE observations SET id = 'o99'",
        "PRAGMA foreign_keys=OFF; DELETE FROM exchanges",
        "PRAGMA foreign_keys=OFF; DELETE FROM observations",
        "PRAGMA foreign_keys=OFF; DELETE FROM events WHERE seq = 3",
    ],
)
async def test_a_change_made_behind_our_back_is_found(tmp_path: Path, change: str) -> None:
    path = tmp_path / "walkdown.db"
    async with new_run(path) as store:
        await start(store, key())
        await answer(store, exchange := await ask(store, key()))
        await store.question_finished(observed(exchange))
    connection = sqlite3.connect(path)
    connection.executescript(change)
    connection.close()

    with RunStore.open(path, read_only=True) as store:
        assert not store.verify().whole


async def test_text_that_is_no_text_any_more_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "walkdown.db"
    async with new_run(path) as store:
        await start(store, key())
        await ask(store, key())
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE exchanges SET label = CAST(x'ff' AS TEXT)")
    connection.close()

    with RunStore.open(path, read_only=True) as store, pytest.raises(StoreError, match="damaged"):
        store.verify()


async def test_an_index_that_hides_rows_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "walkdown.db"
    async with new_run(path) as store:
        await start(store, key())
        await ask(store, key())
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA writable_schema=ON")
    connection.execute("UPDATE sqlite_master SET sql = '' WHERE name = 'nothing'")
    (page,) = connection.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = 'exchanges_by_device'"
    ).fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    data = bytearray(path.read_bytes())
    at = data.index(PLC.address.encode(), (page - 1) * size, page * size)
    data[at : at + len(PLC.address)] = b"127.30.0.99"
    path.write_bytes(data)

    with RunStore.open(path, read_only=True) as store:
        assert list(store.exchanges(address=PLC.address)) == []
        assert any("damaged" in problem for problem in store.verify().problems)


# --- files that cannot be used -----------------------------------------------------------------


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text_file(path: Path) -> None:
    path.write_text("zones:\n" * 100)


def other_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE run (id)")
    connection.close()


def site_state(path: Path) -> None:
    SiteState.open(path).close()


def folder(path: Path) -> None:
    path.mkdir()


def missing(path: Path) -> None:
    pass


@pytest.mark.parametrize("make", [empty, text_file, other_database, site_state, folder, missing])
def test_what_is_no_run_database_is_named_and_left_alone(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "walkdown.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None

    with pytest.raises(StoreError, match=r"not a Walkdown run database|no run database here"):
        RunStore.open(path)
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.mark.parametrize("make", [empty, text_file, other_database, folder])
def test_a_new_run_does_not_touch_a_file_that_is_there(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    path = tmp_path / "walkdown.db"
    make(path)

    with pytest.raises(StoreError, match="nothing was changed"):
        new_run(path)


async def filled(path: Path, exchanges: int = 60) -> None:
    async with new_run(path) as store:
        await start(store, key())
        for number in range(exchanges):
            await answer(store, await ask(store, key(), request=bytes([number]) * 600))


async def test_a_truncated_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "walkdown.db"
    await filled(path)
    whole = path.read_bytes()

    for share in (0.02, 0.3, 0.5, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(StoreError, match=r"damaged|not a Walkdown"):
            RunStore.open(path)


async def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "walkdown.db"
    await filled(path)
    data = bytearray(path.read_bytes())
    data[4096 : len(data) - 4096] = os.urandom(len(data) - 8192)
    path.write_bytes(data)

    with pytest.raises(StoreError, match="damaged"):
        RunStore.open(path)


def test_a_newer_schema_is_told(places: Places) -> None:
    place = places()
    store = new_run(place)
    with store._base.writing() as connection:
        connection.exec_driver_sql("UPDATE run_version SET version_num = 'run9999'")
    store.close()

    with pytest.raises(StoreError, match=r"made by a newer Walkdown \(schema run9999\)"):
        RunStore.open(place)


def test_a_file_locked_by_somebody_else_is_told(tmp_path: Path) -> None:
    path = tmp_path / "walkdown.db"
    new_run(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(StoreError, match="locked by another process"):
        RunStore.open(path, busy_timeout_s=0.05)

    other.close()
    RunStore.open(path).close()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match=r"Not a directory|exists"):
        new_run(tmp_path / "file" / "walkdown.db")


@pytest.mark.parametrize(
    "url", ["mysql://scan:hunter2@db/x", "postgresql://scan:hunter2@[::/x", "nonsense://hunter2"]
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(StoreError) as refusal:
        RunStore.open(url)
    assert "hunter2" not in str(refusal.value)


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "run1" / "walkdown.db"
    store = new_run(path)
    modes = {each.name: each.stat().st_mode & 0o077 for each in path.parent.iterdir()}
    store.close()

    assert modes
    assert set(modes.values()) == {0}
    assert [each.name for each in path.parent.iterdir()] == ["walkdown.db"]


@pytest.mark.root
async def test_a_finished_run_can_be_read_where_nothing_can_be_written(tiny_disk: Path) -> None:
    await filled(tiny_disk / "walkdown.db", exchanges=3)
    command = ["mount", "-o", "remount,ro", str(tiny_disk)]
    subprocess.run(command, check=True)

    with RunStore.open(tiny_disk / "walkdown.db", read_only=True) as store:
        assert len(list(store.exchanges())) == 3
        assert store.verify().whole
    with pytest.raises(StoreError):
        RunStore.open(tiny_disk / "walkdown.db")


# --- a disk that is full -----------------------------------------------------------------------


async def fill_up(store: RunStore) -> list[str]:
    """Write until the store refuses; returns the ids it confirmed."""
    confirmed: list[str] = []
    await start(store, key())
    with pytest.raises(StoreError, match="the disk is full"):
        for _ in range(3000):
            confirmed.append(await ask(store, key(), request=os.urandom(2000)))
    return confirmed


async def test_a_full_disk_is_told_at_every_call_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "walkdown.db"
    store = new_run(path)
    limit = "PRAGMA max_page_count = 60"
    event = database.event
    event.listen(store._base.engine, "begin", lambda connection: connection.exec_driver_sql(limit))

    confirmed = await fill_up(store)
    with pytest.raises(StoreError, match="the disk is full"):
        await ask(store, key())
    with pytest.raises(StoreError, match="the disk is full"):
        store.set_state("halted", "", NOON)
    store.close()

    assert confirmed
    with RunStore.open(path) as store:
        assert [exchange.id for exchange in store.exchanges()] == confirmed
        assert store.verify().whole


@pytest.fixture
def tiny_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr("scanner.store.QUESTION_BYTES", 0)  # so that it can be filled at all
    mounted = tmp_path / "tiny"
    mounted.mkdir()
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "walkdown-test", str(mounted)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("cannot mount here")
    yield mounted
    subprocess.run(["umount", str(mounted)], check=True)


@pytest.mark.root
async def test_a_file_system_that_is_full_is_told_and_loses_nothing(tiny_disk: Path) -> None:
    path = tiny_disk / "walkdown.db"
    store = new_run(path)
    confirmed = await fill_up(store)
    store.close()

    assert confirmed
    copied = shutil.copytree(tiny_disk, tiny_disk.with_name("copied"))
    with RunStore.open(copied / "walkdown.db") as store:
        assert [exchange.id for exchange in store.exchanges()] == confirmed
        assert store.verify().whole


async def test_no_question_begins_where_its_conversation_might_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = new_run(tmp_path / "walkdown.db")
    monkeypatch.setattr("scanner.store.QUESTION_BYTES", shutil.disk_usage(tmp_path).free * 2)
    with store, pytest.raises(StoreError, match="the disk is full"):
        await start(store, key())

    with RunStore.open(tmp_path / "walkdown.db", read_only=True) as kept:
        assert not [event for event in kept.events() if event.kind == "question"]


@pytest.mark.root
def test_a_run_on_a_file_system_that_is_full_is_refused_and_leaves_nothing(tiny_disk: Path) -> None:
    filler = tiny_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(bytes(2 << 20))

    with pytest.raises(StoreError, match="the disk is full"):
        new_run(tiny_disk / "walkdown.db")
    assert [each.name for each in tiny_disk.iterdir()] == ["filler"]


async def test_a_writer_that_died_is_told_at_the_next_call(tmp_path: Path) -> None:
    store = new_run(tmp_path / "walkdown.db")

    def broken(log: object) -> None:
        raise RuntimeError("a bug of ours")

    with pytest.raises(StoreError, match="the writer stopped: RuntimeError"):
        await store._submit(broken)
    with pytest.raises(StoreError, match="the writer stopped: RuntimeError"):
        await start(store, key())
    store.close()


# --- kill -9 and power loss --------------------------------------------------------------------

ZYGOTE = """
import asyncio, json, os, random, signal, sys, time
from datetime import UTC, datetime
from pathlib import Path
import alembic.command
from scanner.model import Observation, Outcome, Target, Tier, Transport
from scanner.store import RunMeta, RunStore, question_key

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

async def scan(path, out):
    meta = RunMeta(id="r", site="s", site_file_text="", plan_digest="", started_at=NOW, version="0",
                   authorisation="", authorised_by="", tiers=("identify",))
    store = RunStore.create(path, run=meta, now=NOW)
    async def device(number):
        target = Target(zone="z", address=f"127.30.0.{number}", port=502, transport=Transport.TCP)
        for turn in range(10_000):
            key = question_key(target, f"p{turn}", Tier.IDENTIFY)
            await store.question_started(key, protocol="p", at=NOW)
            exchange = await store.intent(target=target, probe=f"p{turn}", tier=Tier.IDENTIFY,
                label="l", request=os.urandom(300), question=key, sent_at=NOW)
            os.write(out, f"{exchange} {key}\\n".encode())
            await store.ended(exchange, outcome=Outcome.ANSWERED, reason="", reply=os.urandom(900),
                finished_at=NOW, wire_out=1, wire_in=1)
            os.write(out, f"end {exchange}\\n".encode())
            await store.question_finished(Observation(id="", zone="z", address=target.address,
                port=502, transport=Transport.TCP, protocol="p", probe=f"p{turn}",
                tier=Tier.IDENTIFY, outcome=Outcome.ANSWERED, reason="", started_at=NOW,
                finished_at=NOW, facts=(), exchanges=(exchange,)))
            os.write(out, f"done {key}\\n".encode())
    await asyncio.gather(*(device(number) for number in range(4)))

folder, times, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed)
for turn in range(times):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        asyncio.run(scan(folder / f"{turn}.db", writer))
    os.close(writer)
    confirmed = os.read(reader, 100)  # it has begun
    time.sleep(chance.random() * 0.12)
    os.kill(child, signal.SIGKILL)
    while more := os.read(reader, 1 << 16):
        confirmed += more
    os.waitpid(child, 0)
    os.close(reader)
    (folder / f"{turn}.json").write_text(json.dumps(confirmed.decode().splitlines()))
"""


def kill_often(folder: Path, times: int, seed: int) -> None:
    command = [sys.executable, "-c", ZYGOTE, str(folder), str(times), str(seed)]
    subprocess.run(command, check=True, timeout=110)
    for turn in range(times):
        lines: list[str] = json.loads((folder / f"{turn}.json").read_text())
        sent = {line.split(" ", 1)[0] for line in lines if line.startswith("x")}
        ended = {line.split()[1] for line in lines if line.startswith("end ")}
        with RunStore.open(folder / f"{turn}.db") as store:
            with store._base.reading() as connection:
                found = connection.exec_driver_sql("PRAGMA integrity_check").scalar_one()
            kept = {exchange.id: exchange for exchange in store.exchanges()}
            interrupted = store.interrupted_questions()
            assert found == "ok"
            assert store.verify().whole
            assert sent <= set(kept), "a request may have left that is not on disk"
            assert all(kept[each].finished_at for each in ended)
            devices = [question.key.split("|")[1] for question in interrupted]
            assert len(devices) == len(set(devices)), "more than one in flight at a device"
            hanging = {each for each in sent if kept[each].finished_at is None}
            assert {each for q in interrupted for each in q.exchanges} >= hanging
            assert store.finished_questions() >= {line[5:] for line in lines if line[:4] == "done"}


def test_killed_at_any_moment_every_confirmed_request_is_there(tmp_path: Path) -> None:
    kill_often(tmp_path, times=5, seed=1)


@pytest.mark.integration
def test_killed_at_sixty_moments_every_confirmed_request_is_there(tmp_path: Path) -> None:
    kill_often(tmp_path, times=60, seed=random.randrange(10_000))


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes, list[str]]:
    """A run as a power cut leaves it: the file, the write-ahead log, and the events' links."""
    path = tmp_path_factory.mktemp("wal") / "walkdown.db"

    async def work() -> tuple[bytes, bytes, list[str]]:
        async with new_run(path) as store:
            await start(store, key())
            for number in range(40):
                await answer(store, await ask(store, key(), request=bytes([number]) * 200))
            links = [event.sha256 for event in store.events()]
            return path.read_bytes(), path.with_name("walkdown.db-wal").read_bytes(), links

    return asyncio.run(work())


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_log_cut_or_flipped_anywhere_leaves_a_prefix_of_the_commits(
    unfinished: tuple[bytes, bytes, list[str]], tmp_path: Path, data: st.DataObject
) -> None:
    main, log, links = unfinished
    torn = bytearray(log)
    place = data.draw(st.integers(0, len(log) - 1))
    if data.draw(st.booleans()):
        del torn[place:]
    else:
        torn[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path / f"{place}-{len(torn)}.db"
    path.unlink(missing_ok=True)
    path.write_bytes(main)
    path.with_name(path.name + "-wal").write_bytes(torn)

    with RunStore.open(path) as store:
        kept = [event.sha256 for event in store.events()]
        assert kept == links[: len(kept)]
        assert store.verify().whole
        assert evidence.verify(store.events(), expected_head=links[-1]).tail_proven == (
            len(kept) == len(links)
        )


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_request_is_confirmed_only_after_the_disk_was_told_to_keep_it(tmp_path: Path) -> None:
    """Order of system calls: the log is written, then synchronised, then the request may go."""
    path, trace = tmp_path / "walkdown.db", tmp_path / "trace"
    new_run(path).close()
    script = """
import asyncio, os, sys
from datetime import UTC, datetime
from scanner.model import Target, Tier, Transport
from scanner.store import RunStore
async def main():
    store = RunStore.open(sys.argv[1])
    target = Target(zone="z", address="127.30.0.1", port=502, transport=Transport.TCP)
    for _ in range(8):
        await store.intent(target=target, probe="p", tier=Tier.IDENTIFY, label="l",
            request=b"ask", question="", sent_at=datetime.now(UTC))
        os.write(1, b"may leave\\n")
asyncio.run(main())
"""
    calls = "trace=write,pwrite64,fsync,fdatasync"
    command = ["strace", "-f", "-qq", "-y", "-e", calls, "-o", str(trace)]
    subprocess.run(
        [*command, sys.executable, "-c", script, str(path)], check=True, capture_output=True
    )

    steps = []
    for line in trace.read_text().splitlines():
        if "may leave" in line:
            steps.append("leave")
        elif "walkdown.db-wal>" in line:
            steps.append("sync" if "sync(" in line else "log")
    moments = [at for at, step in enumerate(steps) if step == "leave"]
    assert len(moments) == 8
    for before, at in zip([0, *moments], moments, strict=False):
        assert "log" in steps[before:at]
        assert steps[at - 1] == "sync"


def test_a_writers_lock_falls_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "walkdown.db"
    new_run(path).close()
    script = (
        "import sys, time\nfrom scanner.store import RunStore\n"
        "store = RunStore.open(sys.argv[1])\nprint('open', flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(StoreError, match="another process is using"):
            RunStore.open(path)
        holder.kill()
        holder.wait()

    RunStore.open(path).close()
