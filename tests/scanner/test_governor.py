"""The governor with a clock of our own: caps are caps, windows end, distress stops."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.errors import BreakerOpen, BudgetSpent, Halted, OutsideWindow, TierTooLow
from scanner.governor import LOST_S, WINDOW_S, Clock, Device, Governor, Rate
from scanner.model import Tier
from scanner.profiles import DEFAULT, FRAGILE, Profile
from scanner.windows import Permission

START = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)


class FakeTime:
    """Time that passes only when somebody sleeps; `skew` is a wall clock set wrong."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.skew = timedelta(0)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)

    def clock(self) -> Clock:
        return Clock(
            monotonic=lambda: self.now,
            wall=lambda: START + timedelta(seconds=self.now - 1000.0) + self.skew,
            sleep=self.sleep,
        )


def always(zone: str, now: datetime) -> Permission:
    return Permission(allowed=True, until=None, reason="")


def until(end: datetime):
    def permission(zone: str, now: datetime) -> Permission:
        if now >= end:
            return Permission(allowed=False, until=None, reason="the window is closed")
        return Permission(allowed=True, until=end, reason="")

    return permission


def device(
    governor: Governor, key: str = "127.0.0.1", *, limits: Profile = DEFAULT, budget: int = 1000
) -> Device:
    return governor.device(
        zone="z",
        zone_cap=limits.zone_packets_per_s,
        key=key,
        address=key,
        limits=limits,
        tier=Tier.IDENTIFY,
        budget=budget,
    )


@settings(max_examples=60)
@given(
    cap=st.integers(1, 10),
    steps=st.lists(st.tuples(st.integers(1, 4), st.floats(0, 2)), max_size=30),
)
def test_no_window_of_one_second_ever_holds_more_than_the_cap(
    cap: int, steps: list[tuple[int, float]]
) -> None:
    rate = Rate(cap)
    now = 0.0
    sent: list[float] = []

    for count, pause in steps:
        count = min(count, cap)
        while (wait := rate.wait(count, now)) > 0:
            now += wait
        rate.charge(count, now)
        sent.extend([now] * count)
        now += pause

    for moment in sent:
        assert sum(1 for other in sent if moment <= other < moment + 1.0) <= cap


def test_a_reservation_gives_back_what_was_not_used() -> None:
    rate = Rate(4)

    entry = rate.charge(3, 0.0)
    rate.settle(entry, 1, 0.1)

    assert rate.wait(3, 0.2) == 0.0
    assert rate.wait(4, 0.2) > 0


def test_what_is_set_aside_counts_until_it_is_settled_however_late() -> None:
    rate = Rate(4)
    one = rate.charge(4, 0.0)

    assert rate.wait(1, 3.0) > 0  # our own machine was busy: it may leave only now
    rate.settle(one, 1, 3.0)
    assert rate.wait(3, 3.0) == 0.0
    assert rate.wait(4, 3.0) > 0


def test_what_has_left_counts_from_then() -> None:
    rate = Rate(2)
    one = rate.charge(2, 0.0)
    rate.left(one, 0.1)

    rate.settle(one, 2, 2.0)

    assert rate.wait(1, 2.1) == 0.0
    assert rate.wait(2, 2.1) > 0


def test_what_was_never_settled_is_forgotten_when_it_cannot_leave_any_more() -> None:
    rate = Rate(1)
    rate.charge(1, 0.0)

    assert rate.wait(1, LOST_S - 1) > 0
    assert rate.wait(1, LOST_S) == 0.0


def test_a_step_larger_than_the_cap_goes_alone_instead_of_never() -> None:
    rate = Rate(4)

    assert rate.wait(9, 0.0) == 0.0
    rate.settle(rate.charge(9, 0.0), 9, 0.0)
    assert rate.wait(1, 0.5) > 0
    assert rate.wait(9, 2.0) == 0.0


async def test_a_new_connection_waits_for_the_interval_of_the_profile() -> None:
    time = FakeTime()
    governor = Governor(time.clock(), always, lambda zone, address: True)
    fragile = device(governor, limits=FRAGILE)

    await governor.may_connect(fragile)
    first = time.now
    await governor.may_connect(fragile)

    assert time.now - first >= 5.0


async def test_all_devices_of_a_zone_share_its_cap() -> None:
    time = FakeTime()
    governor = Governor(time.clock(), always, lambda zone, address: True)
    devices = [device(governor, f"127.0.0.{n}") for n in range(1, 51)]
    sent: list[float] = []

    async def talk(one: Device) -> None:
        for _ in range(3):
            reservation = await governor.reserve(one, 1)
            sent.append(time.now)
            reservation.settle(1, time.now)

    await asyncio.gather(*(talk(one) for one in devices))

    assert len(sent) == 150
    for moment in sent:
        assert sum(1 for other in sent if moment <= other < moment + 1.0) <= 50


async def test_the_planned_budget_is_never_exceeded() -> None:
    governor = Governor(FakeTime().clock(), always, lambda zone, address: True)
    one = device(governor, budget=3)

    (await governor.reserve(one, 2)).settle(2, 1000.0)

    with pytest.raises(BudgetSpent):
        await governor.reserve(one, 2)
    assert one.figures.refusals["budget"] == 1
    await governor.reserve(one, 2, closing=True)  # silence must be reachable from everywhere


def test_a_tier_that_was_not_granted_is_refused() -> None:
    governor = Governor(FakeTime().clock(), always, lambda zone, address: True)

    with pytest.raises(TierTooLow):
        governor.check(device(governor), Tier.READ, 5.0)


def test_no_step_starts_that_might_not_end_before_the_window() -> None:
    time = FakeTime()
    governor = Governor(
        time.clock(), until(START + timedelta(seconds=60)), lambda zone, address: True
    )
    one = device(governor)

    governor.check(one, Tier.IDENTIFY, 5.0)
    time.now += 54

    with pytest.raises(OutsideWindow):
        governor.check(one, Tier.IDENTIFY, 5.0)


@pytest.mark.parametrize("jump", [timedelta(hours=-1), timedelta(hours=1)])
def test_a_wall_clock_that_jumps_cannot_lengthen_a_window(jump: timedelta) -> None:
    time = FakeTime()
    governor = Governor(
        time.clock(), until(START + timedelta(seconds=60)), lambda zone, address: True
    )
    one = device(governor)
    governor.check(one, Tier.IDENTIFY, 5.0)

    time.skew = jump
    time.now += 61

    with pytest.raises(OutsideWindow):
        governor.check(one, Tier.IDENTIFY, 5.0)


async def test_a_halt_ends_every_wait_at_once() -> None:
    governor = Governor(
        Clock(monotonic=lambda: 0.0, wall=lambda: START, sleep=asyncio.sleep),
        always,
        lambda zone, address: True,
    )
    waiting = asyncio.ensure_future(governor.sleep(3600))
    await asyncio.sleep(0)

    governor.halt("Ctrl-C", rule="stop")

    with pytest.raises(Halted):
        await waiting
    with pytest.raises(Halted):
        governor.check(device(governor), Tier.IDENTIFY, 1.0)


def test_silence_of_an_address_that_never_answered_is_no_distress() -> None:
    governor = Governor(FakeTime().clock(), always, lambda zone, address: True)
    one = device(governor)

    for _ in range(10):
        governor.note_silence(one, 502, "identity")

    assert one.health.needs_canary is None
    assert not one.health.signs


def test_silence_of_a_question_answered_before_asks_for_a_canary() -> None:
    governor = Governor(FakeTime().clock(), always, lambda zone, address: True)
    one = device(governor)
    governor.note_answer(one, 502, "identity", 0.01, exempt=False)

    governor.note_silence(one, 502, "identity")

    assert one.health.needs_canary
    assert not one.health.stopped


def test_a_new_question_left_unanswered_by_a_port_that_answers_is_no_distress() -> None:
    governor = Governor(FakeTime().clock(), always, lambda zone, address: True)
    one = device(governor)
    governor.note_answer(one, 502, "unit 1", 0.01, exempt=False)

    for unit in range(2, 9):
        governor.note_silence(one, 502, f"unit {unit}")

    assert one.health.needs_canary is None


def test_a_slow_reply_is_a_sign_and_a_second_sign_stops_the_device() -> None:
    governor = Governor(FakeTime().clock(), always, lambda zone, address: True)
    one = device(governor)
    governor.note_answer(one, 502, "identity", 0.01, exempt=False)

    governor.note_answer(one, 502, "identity", 0.5, exempt=False)
    assert len(one.health.signs) == 1
    governor.note_reset(one, 80, "identity")

    with pytest.raises(BreakerOpen):
        governor.check(one, Tier.IDENTIFY, 1.0)


def test_a_failed_canary_stops_the_device() -> None:
    governor = Governor(FakeTime().clock(), always, lambda zone, address: True)
    one = device(governor)

    governor.note_canary(one, False, "silent")

    with pytest.raises(BreakerOpen):
        governor.check(one, Tier.IDENTIFY, 1.0)


def test_two_devices_in_distress_within_a_minute_stop_their_zone() -> None:
    time = FakeTime()
    governor = Governor(time.clock(), always, lambda zone, address: True)
    first, second, third = (device(governor, f"127.0.0.{n}") for n in (1, 2, 3))

    governor.note_reset(first, 502, "identity")
    time.now += 59
    governor.note_reset(second, 502, "identity")

    with pytest.raises(BreakerOpen):
        governor.check(third, Tier.IDENTIFY, 1.0)


def test_two_devices_in_distress_far_apart_do_not_stop_their_zone() -> None:
    time = FakeTime()
    governor = Governor(time.clock(), always, lambda zone, address: True)
    first, second, third = (device(governor, f"127.0.0.{n}") for n in (1, 2, 3))

    governor.note_reset(first, 502, "identity")
    time.now += 61
    governor.note_reset(second, 502, "identity")

    governor.check(third, Tier.IDENTIFY, 1.0)


def test_the_rate_counts_over_a_little_more_than_the_promised_second() -> None:
    assert 1.0 < WINDOW_S < 1.2
