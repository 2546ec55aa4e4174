"""What a site remembers survives every crash, and one scan per site runs at a time."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest

from credentials import attempts as policy
from scanner.errors import StoreError, ToolBug
from scanner.state import (
    LOCK_SILENCE,
    Attempt,
    AttemptLedger,
    AttemptOutcome,
    ProcessId,
    SiteState,
    fingerprint_key,
    is_running,
    lock_is_stale,
    this_process,
)

Places = Callable[[], str | Path]
NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ME = ProcessId(host="laptop/pid:[1]", boot_id="boot-1", pid=100, started="5000")


class Clock(Protocol):
    slept: list[float]

    def now(self) -> datetime: ...
    def move(self, seconds: float) -> None: ...
    async def sleep(self, seconds: float) -> None: ...


def always(verdict: float | str) -> Callable[..., float | str]:
    return lambda rows, now, service, account: verdict


house_policy = policy.policy(profile="default", safety_controller=False)
"""The policy of credentials.attempts, as the composition root joins it to the ledger."""


def ledger(
    state: SiteState,
    clock: Clock,
    decide: Callable[..., float | str] = house_policy,
    **more: object,
) -> AttemptLedger:
    return AttemptLedger(
        state,
        zone="dmz",
        address="127.30.3.5",
        policy=decide,
        now=clock.now,
        sleep=clock.sleep,
        **more,  # type: ignore[arg-type]
    )


# --- attempts ----------------------------------------------------------------------------------


async def test_an_attempt_is_on_disk_before_it_is_made(places: Places, clock: Clock) -> None:
    place = places()
    with SiteState.open(place) as state:
        assert await ledger(state, clock).begin("ssh/22", "admin") is None

        with SiteState.open(place) as other:
            (row,) = other.attempts_since(None)

    assert row == Attempt(
        zone="dmz",
        address="127.30.3.5",
        service="ssh/22",
        account="admin",
        at=clock.now(),
        outcome=AttemptOutcome.PENDING,
        sign=None,
    )


@pytest.mark.parametrize(
    ("accepted", "sign", "outcome"),
    [
        (True, None, AttemptOutcome.ACCEPTED),
        (False, None, AttemptOutcome.REJECTED),
        (False, "423 Locked", AttemptOutcome.LOCKED),
    ],
)
async def test_an_attempt_keeps_how_it_ended(
    places: Places, clock: Clock, accepted: bool, sign: str | None, outcome: AttemptOutcome
) -> None:
    with SiteState.open(places()) as state:
        tries = ledger(state, clock)
        await tries.begin("http", "admin")
        await tries.ended("http", "admin", accepted=accepted, lockout_sign=sign)

        (row,) = state.attempts_since(None)
        assert (row.outcome, row.sign) == (outcome, sign)


async def test_failures_count_over_runs_and_restarts(places: Places, clock: Clock) -> None:
    place = places()
    answers = []
    for _ in range(3):
        with SiteState.open(place) as state:
            tries = ledger(state, clock)
            answers.append(await tries.begin("http", "admin"))
            if answers[-1] is None:
                await tries.ended("http", "admin", accepted=False)
        clock.move(3600)

    assert answers == [None, None, "ledger"]


async def test_an_attempt_without_an_end_counts_as_a_failure(places: Places, clock: Clock) -> None:
    """A crash between the attempt and its end must not give the account a third chance."""
    place = places()
    answers = []
    for _ in range(3):
        with SiteState.open(place) as state:
            answers.append(await ledger(state, clock).begin("http", "admin"))
        clock.move(3600)

    assert answers == [None, None, "ledger"]


async def test_the_spacing_between_attempts_is_waited_for(places: Places, clock: Clock) -> None:
    with SiteState.open(places()) as state:
        tries = ledger(state, clock)
        await tries.begin("http", "admin")
        await tries.ended("http", "admin", accepted=True)
        clock.move(15)

        assert await tries.begin("http", "root") is None

    assert clock.slept == [45.0]


async def test_a_lockout_sign_ends_all_attempts_on_the_device(places: Places, clock: Clock) -> None:
    with SiteState.open(places()) as state:
        tries = ledger(state, clock)
        await tries.begin("http", "admin")
        await tries.ended("http", "admin", accepted=False, lockout_sign="429")
        clock.move(3600)

        assert await tries.begin("ssh", "root") == "locked"


async def test_a_device_is_one_device_through_all_its_addresses(
    places: Places, clock: Clock
) -> None:
    with SiteState.open(places()) as state:
        for service in ("http", "ssh"):
            tries = ledger(state, clock)
            await tries.begin(service, "admin")
            await tries.ended(service, "admin", accepted=False)
            clock.move(3600)
        twin = AttemptLedger(
            state,
            zone="dmz",
            address="127.30.3.6",
            addresses=("127.30.3.5", "127.30.3.6"),
            policy=house_policy,
            now=clock.now,
            sleep=clock.sleep,
        )

        assert await twin.begin("http", "admin") == "ledger"


async def test_another_device_or_zone_has_its_own_count(places: Places, clock: Clock) -> None:
    with SiteState.open(places()) as state:
        await ledger(state, clock).begin("http", "admin")

        assert state.attempts_since(None, zone="control") == ()
        assert state.attempts_since(None, zone="dmz", addresses=["127.30.3.6"]) == ()
        assert len(state.attempts_since(clock.now())) == 1
        assert state.attempts_since(clock.now() + timedelta(seconds=1)) == ()


async def test_another_name_of_the_zone_does_not_empty_the_ledger(
    places: Places, clock: Clock
) -> None:
    with SiteState.open(places()) as state:
        for _ in range(2):
            tries = ledger(state, clock)
            await tries.begin("http", "admin")
            await tries.ended("http", "admin", accepted=False)
            clock.move(3600)
        renamed = AttemptLedger(
            state,
            zone="new name",
            address="127.30.3.5",
            policy=house_policy,
            now=clock.now,
            sleep=clock.sleep,
        )

        assert await renamed.begin("http", "admin") == "ledger"


async def test_an_attempt_that_was_not_made_does_not_count(places: Places, clock: Clock) -> None:
    with SiteState.open(places()) as state:
        tries = ledger(state, clock)
        for _ in range(4):
            assert await tries.begin("ssh/22", "audit") is None
            await tries.not_made("ssh/22", "audit")

        assert state.attempts_since(None) == ()
        with pytest.raises(ToolBug):
            await tries.not_made("ssh/22", "audit")


async def test_a_refusal_that_is_suddenly_slow_is_a_lockout_sign(
    places: Places, clock: Clock
) -> None:
    with SiteState.open(places()) as state:
        for took_s in (0.5, 20.0):
            tries = ledger(state, clock, sudden=lambda usual_s, took_s: took_s > 5 * usual_s)
            assert await tries.begin("http", "admin") is None
            clock.move(took_s)
            await tries.ended("http", "admin", accepted=False)
            clock.move(3600)

        first, second = state.attempts_since(None)
        assert first.outcome is AttemptOutcome.REJECTED
        assert second.outcome is AttemptOutcome.LOCKED
        assert second.sign == "a refusal after 20.0 s instead of 0.5 s"


async def test_a_site_wide_account_is_told_of_other_devices(places: Places, clock: Clock) -> None:
    def at(state: SiteState, address: str, account: str) -> AttemptLedger:
        return AttemptLedger(
            state,
            zone="dmz",
            address=address,
            policy=policy.policy(
                profile="default", safety_controller=False, addresses=frozenset({address})
            ),
            now=clock.now,
            sleep=clock.sleep,
            shared_accounts=(account,),
        )

    with SiteState.open(places()) as state:
        answers = []
        for n in range(3):
            tries = at(state, f"127.30.3.{n}", "Audit")
            answers.append(await tries.begin("ssh/22", "audit"))
            if answers[-1] is None:
                await tries.ended("ssh/22", "audit", accepted=False)

        assert answers == [None, None, "ledger"]
        assert await at(state, "127.30.3.9", "other").begin("ssh/22", "audit") is None


async def test_two_processes_cannot_both_take_the_last_attempt(
    places: Places, clock: Clock
) -> None:
    place = places()
    SiteState.open(place).close()
    stored: list[int | float | str] = []

    def take() -> None:
        with SiteState.open(place) as state:
            stored.append(
                state.begin_attempt(
                    zone="dmz",
                    address="a",
                    addresses=(),
                    service="http",
                    account="admin",
                    now=NOON,
                    decide=lambda rows: "ledger" if rows else 0,
                )
            )

    threads = [threading.Thread(target=take) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(map(type, stored), key=str) == [int] + [str] * 5


async def test_a_policy_that_never_lets_go_ends_as_refused(places: Places, clock: Clock) -> None:
    with SiteState.open(places()) as state:
        assert await ledger(state, clock, always(5.0)).begin("http", "admin") == "ledger"
        assert state.attempts_since(None) == ()


async def test_ends_without_beginning_are_our_bug(places: Places, clock: Clock) -> None:
    with SiteState.open(places()) as state:
        tries = ledger(state, clock, always(0))
        with pytest.raises(ToolBug):
            await tries.ended("http", "admin", accepted=True)
        await tries.begin("http", "admin")
        with pytest.raises(ToolBug):
            await tries.begin("http", "admin")


def test_an_attempt_survives_kill_9_between_storing_and_trying(tmp_path: Path) -> None:
    path = tmp_path / "site.state.db"
    script = (
        "import os, signal, sys\nfrom datetime import UTC, datetime\n"
        "from scanner.state import SiteState\n"
        "state = SiteState.open(sys.argv[1])\n"
        "state.begin_attempt(zone='z', address='a', addresses=(), service='http',\n"
        "    account='admin', now=datetime(2026, 11, 20, tzinfo=UTC), decide=lambda rows: 0)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(path)])

    assert ended.returncode == -9
    with SiteState.open(path) as state:
        assert [row.outcome for row in state.attempts_since(None)] == [AttemptOutcome.PENDING]


# --- contacts, chassis, baselines --------------------------------------------------------------


def test_last_contacts_are_the_newest_of_each_device(places: Places) -> None:
    place = places()
    with SiteState.open(place) as state:
        state.touch({("z", "a"): NOON, ("z", "b"): NOON})
        state.touch({("z", "a"): NOON + timedelta(seconds=5), ("y", "a"): NOON})
    with SiteState.open(place) as state:
        assert state.last_contacts() == {
            ("z", "a"): NOON + timedelta(seconds=5),
            ("z", "b"): NOON,
            ("y", "a"): NOON,
        }


def test_addresses_of_one_chassis_are_joined(places: Places) -> None:
    with SiteState.open(places()) as state:
        state.remember_chassis("z", ["b", "c"])
        state.remember_chassis("z", ["d", "e"])
        state.remember_chassis("y", ["b", "x"])
        state.remember_chassis("z", ["c", "d", "a"])

        assert set(state.chassis()) == {
            ("z", frozenset("abcde")),
            ("y", frozenset("bx")),
        }


def test_baselines_keep_the_newest_value(places: Places) -> None:
    with SiteState.open(places()) as state:
        state.set_baseline("z", "a", "connect_s", 0.25, NOON)
        state.set_baseline("z", "a", "connect_s", 0.5, NOON + timedelta(days=1))

        assert state.baselines("z", "a") == {"connect_s": (0.5, NOON + timedelta(days=1))}
        assert state.baselines("z", "b") == {}


# --- the scan lock -----------------------------------------------------------------------------


def take(state: SiteState, me: ProcessId = ME, now: datetime = NOON, alive: bool = True):  # type: ignore[no-untyped-def]
    return state.take_scan_lock(
        purpose="scan run1", now=now, me=me, is_running=lambda process: alive
    )


def test_one_scan_per_site_at_a_time(places: Places) -> None:
    place = places()
    with SiteState.open(place) as first, SiteState.open(place) as second:
        with take(first):
            with pytest.raises(
                StoreError, match=r"another scan .*scan run1, process 100 on laptop"
            ):
                take(second, replace(ME, pid=101))
        take(second, replace(ME, pid=101)).release()


def test_the_lock_of_a_dead_process_is_taken_over_and_cannot_be_renewed(places: Places) -> None:
    with SiteState.open(places()) as state:
        old = take(state)
        new = take(state, replace(ME, pid=101), alive=False)

        assert not old.beat(NOON)
        assert new.beat(NOON)
        old.release()  # too late: it must not open the new holder's lock
        assert new.beat(NOON)


@pytest.mark.parametrize(
    ("holder", "silent_for", "alive", "stale"),
    [
        (ME, timedelta(0), True, False),
        (ME, timedelta(days=9), True, False),  # frozen, but it may wake up
        (ME, timedelta(0), False, True),
        (replace(ME, boot_id="boot-0"), timedelta(0), True, True),  # its pid means nothing now
        (replace(ME, host="other/pid:[1]"), timedelta(0), False, False),
        (replace(ME, host="other/pid:[1]"), LOCK_SILENCE + timedelta(seconds=1), True, True),
        (replace(ME, host="laptop/pid:[2]"), timedelta(0), False, False),  # another container
        (replace(ME, boot_id=""), timedelta(0), False, False),
        (replace(ME, boot_id=""), LOCK_SILENCE + timedelta(seconds=1), True, True),
    ],
)
def test_a_lock_is_stale_only_when_its_holder_is_surely_gone(
    holder: ProcessId, silent_for: timedelta, alive: bool, stale: bool
) -> None:
    assert lock_is_stale(holder, NOON - silent_for, ME, NOON, lambda process: alive) is stale


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_process_is_known_by_its_start_and_not_by_its_number() -> None:
    me = this_process()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        stat = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        other = replace(me, pid=child.pid, started=stat[19])
        assert is_running(other)
        child.kill()
        # It is a zombie until it is waited for: no scan, although it has a number.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not is_running(other)

    assert is_running(me)
    assert me.boot_id
    assert not is_running(replace(me, started="1"))
    assert not is_running(replace(me, started=""))
    assert not is_running(other)


def test_the_lock_of_a_killed_scan_is_recovered(places: Places) -> None:
    place = places()
    script = (
        "import sys, time\nfrom datetime import UTC, datetime\nfrom scanner import state\n"
        "site = state.SiteState.open(sys.argv[1])\n"
        "lock = site.take_scan_lock(purpose='scan', now=datetime.now(UTC),\n"
        "    me=state.this_process(), is_running=state.is_running)\n"
        "print('locked', flush=True)\ntime.sleep(60)"
    )

    def again() -> None:
        with SiteState.open(place) as state:
            state.take_scan_lock(
                purpose="scan", now=datetime.now(UTC), me=this_process(), is_running=is_running
            ).release()

    with subprocess.Popen(
        [sys.executable, "-c", script, str(place)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(StoreError, match="another scan"):
            again()
        holder.kill()
        holder.wait()

    again()


# --- the key -----------------------------------------------------------------------------------


def test_the_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "site.key"

    key = fingerprint_key(path)

    assert len(key) == 32
    assert fingerprint_key(path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert fingerprint_key(tmp_path / "other.key") != key
    assert sorted(each.name for each in tmp_path.iterdir()) == ["other.key", "site.key"]


def test_a_key_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "site.key"
    key = fingerprint_key(path)
    path.chmod(0o644)

    assert fingerprint_key(path) == key
    assert path.stat().st_mode & 0o777 == 0o600


def test_starters_at_the_same_moment_agree_on_one_key(tmp_path: Path) -> None:
    path = tmp_path / "site.key"
    keys: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: keys.append(fingerprint_key(path))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(keys) == 8
    assert len(set(keys)) == 1


@pytest.mark.parametrize("content", [b"", b"short", bytes(33)])
def test_a_damaged_key_is_not_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "site.key"
    path.write_bytes(content)

    with pytest.raises(StoreError, match="restore it from a backup"):
        fingerprint_key(path)
    assert path.read_bytes() == content


def test_the_key_is_not_in_the_database(tmp_path: Path) -> None:
    key = fingerprint_key(tmp_path / "site.key")
    SiteState.open(tmp_path / "site.state.db").close()

    assert key not in (tmp_path / "site.state.db").read_bytes()


# --- files that cannot be used -----------------------------------------------------------------


def test_a_state_cut_to_nothing_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    """An empty ledger would allow attempts that were used up."""
    path = tmp_path / "site.state.db"
    SiteState.open(path).close()
    path.write_bytes(b"")

    with pytest.raises(StoreError, match="not a Walkdown site state"):
        SiteState.open(path)


def test_a_truncated_state_is_told(tmp_path: Path) -> None:
    path = tmp_path / "site.state.db"
    SiteState.open(path).close()
    path.write_bytes(path.read_bytes()[:9000])

    with pytest.raises(StoreError, match="damaged"):
        SiteState.open(path)


def test_a_newer_state_is_told(places: Places) -> None:
    place = places()
    with SiteState.open(place) as state, state.base.writing() as connection:
        connection.exec_driver_sql("UPDATE state_version SET version_num = 'state9999'")

    with pytest.raises(StoreError, match="made by a newer Walkdown"):
        SiteState.open(place)


def test_a_locked_state_is_told(tmp_path: Path) -> None:
    path = tmp_path / "site.state.db"
    with SiteState.open(path, busy_timeout_s=0.05) as state:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreError, match="locked by another process"):
            state.touch({("z", "a"): NOON})

        other.close()
        state.touch({("z", "a"): NOON})


def test_starters_at_the_same_moment_share_one_state(places: Places) -> None:
    place = places()
    problems: list[BaseException] = []

    def begin(number: int) -> None:
        try:
            with SiteState.open(place) as state:
                state.touch({("z", str(number)): NOON})
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert problems == []
    with SiteState.open(place) as state:
        assert len(state.last_contacts()) == 5
