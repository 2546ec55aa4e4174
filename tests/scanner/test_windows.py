"""A window allows what the plant's clock says, and never more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.windows import (
    Authorisation,
    Window,
    authorisation_problem,
    ended,
    next_opening,
    open_until,
    permission,
    rule_problem,
)

BERLIN = ZoneInfo("Europe/Berlin")
FRIDAY = datetime.fromisoformat("2026-11-20T22:00")


def window(
    start: str,
    hours: float,
    rule: str | None = None,
    *,
    name: str = "night",
    zone: ZoneInfo = BERLIN,
) -> Window:
    return Window(
        id=name,
        start=datetime.fromisoformat(start),
        duration=timedelta(hours=hours),
        rule=rule,
        timezone=zone,
    )


def berlin(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# --- one opening -------------------------------------------------------------------------------


def test_a_window_is_open_from_its_start_to_before_its_end() -> None:
    night = window("2026-11-20T22:00", 4)

    assert open_until((night,), "night", berlin("2026-11-20T21:59:59")) is None
    assert open_until((night,), "night", berlin("2026-11-20T22:00")) == berlin("2026-11-21T02:00")
    assert open_until((night,), "night", berlin("2026-11-21T01:59:59")) == berlin(
        "2026-11-21T02:00"
    )


def test_the_end_is_exclusive() -> None:
    night = window("2026-11-20T22:00", 4)

    assert open_until((night,), "night", berlin("2026-11-21T02:00")) is None


def test_a_window_crosses_midnight() -> None:
    night = window("2026-11-20T22:00", 4, "FREQ=DAILY")

    assert open_until((night,), "night", berlin("2026-11-28T00:00")) == berlin("2026-11-28T02:00")


def test_a_window_without_recurrence_opens_once() -> None:
    night = window("2026-11-20T22:00", 4)

    assert open_until((night,), "night", berlin("2026-11-21T23:00")) is None
    assert next_opening((night,), "night", berlin("2026-11-20T23:00")) is None


def test_an_unknown_window_is_never_open() -> None:
    night = window("2026-11-20T22:00", 4)

    assert open_until((night,), "day", berlin("2026-11-20T23:00")) is None
    assert next_opening((night,), "day", berlin("2026-11-20T12:00")) is None


def test_without_a_name_all_windows_count() -> None:
    both = (window("2026-11-20T22:00", 4), window("2026-11-20T12:00", 1, name="noon"))

    assert open_until(both, None, berlin("2026-11-20T12:30")) == berlin("2026-11-20T13:00")
    assert next_opening(both, None, berlin("2026-11-20T12:30")) == berlin("2026-11-20T22:00")


# --- recurrence --------------------------------------------------------------------------------


def test_a_weekly_window_is_closed_on_other_nights() -> None:
    night = window("2026-11-20T22:00", 4, "FREQ=WEEKLY")

    assert open_until((night,), "night", berlin("2026-11-26T23:00")) is None
    assert open_until((night,), "night", berlin("2026-11-27T23:00")) == berlin("2026-11-28T02:00")
    assert next_opening((night,), "night", berlin("2026-11-21T03:00")) == berlin("2026-11-27T22:00")


def test_a_recurrence_does_not_open_before_its_start() -> None:
    night = window("2026-11-20T22:00", 4, "FREQ=WEEKLY")

    assert open_until((night,), "night", berlin("2026-11-13T23:00")) is None


def test_count_and_until_end_a_recurrence() -> None:
    twice = window("2026-11-20T22:00", 4, "FREQ=WEEKLY;COUNT=2")
    until = window("2026-11-20T22:00", 4, "FREQ=WEEKLY;UNTIL=20261127T220000")

    for each in (twice, until):
        assert open_until((each,), "night", berlin("2026-11-27T23:00")) is not None
        assert open_until((each,), "night", berlin("2026-12-04T23:00")) is None
        assert next_opening((each,), "night", berlin("2026-11-28T12:00")) is None


def test_the_first_saturday_of_a_month_is_found() -> None:
    monthly = window("2026-11-07T06:00", 2, "FREQ=MONTHLY;BYDAY=1SA")

    assert next_opening((monthly,), "night", berlin("2026-11-08T00:00")) == berlin(
        "2026-12-05T06:00"
    )


def test_overlapping_openings_count_as_one() -> None:
    daily = window("2026-11-20T22:00", 30, "FREQ=DAILY")

    now = berlin("2026-11-25T23:00")
    end = open_until((daily,), "night", now)

    assert end is not None
    assert end > berlin("2026-11-27T04:00")


def test_openings_that_touch_count_as_one() -> None:
    first = window("2026-11-20T22:00", 2)
    second = window("2026-11-21T00:00", 3)

    assert open_until((first, second), None, berlin("2026-11-20T23:59")) == berlin(
        "2026-11-21T03:00"
    )


def test_a_long_opening_is_still_seen_in_its_last_hour() -> None:
    shutdown = window("2026-08-01T06:00", 24 * 21)

    assert open_until((shutdown,), "night", berlin("2026-08-22T05:30")) == berlin(
        "2026-08-22T06:00"
    )
    assert open_until((shutdown,), "night", berlin("2026-08-22T06:00")) is None


def test_a_short_opening_inside_a_longer_one_does_not_shorten_it() -> None:
    long = window("2026-11-20T20:00", 8)
    short = window("2026-11-20T22:00", 1, name="short")

    assert open_until((short, long), None, berlin("2026-11-20T22:30")) == berlin("2026-11-21T04:00")


# --- summer time: Berlin, 2026-03-29 02:00→03:00 and 2026-10-25 03:00→02:00 -------------------


def test_a_night_window_keeps_its_wall_clock_time_through_the_year() -> None:
    nightly = window("2026-01-09T22:00", 4, "FREQ=DAILY")

    assert open_until((nightly,), "night", utc("2026-01-09T21:00")) == utc("2026-01-10T01:00")
    assert open_until((nightly,), "night", utc("2026-07-09T20:00")) == utc("2026-07-10T00:00")


def test_in_spring_the_window_ends_by_the_clock_on_the_wall() -> None:
    """Six hours from 22:00 are over at 04:00 on the wall, after five real hours."""
    nightly = window("2026-03-01T22:00", 6, "FREQ=DAILY")

    end = open_until((nightly,), "night", berlin("2026-03-28T23:00"))

    assert end == utc("2026-03-29T02:00")
    assert open_until((nightly,), "night", berlin("2026-03-29T04:00")) is None


def test_in_autumn_the_window_ends_after_its_duration() -> None:
    """Six hours from 22:00 are over at 03:00 on the wall: the hour from two to three came twice."""
    nightly = window("2026-10-01T22:00", 6, "FREQ=DAILY")

    end = open_until((nightly,), "night", berlin("2026-10-24T23:00"))

    assert end == utc("2026-10-25T02:00")
    assert open_until((nightly,), "night", utc("2026-10-25T02:30")) is None


def test_an_opening_in_the_skipped_hour_begins_after_the_jump() -> None:
    early = window("2026-03-01T02:30", 4, "FREQ=DAILY")

    assert open_until((early,), "night", utc("2026-03-29T01:15")) is None
    assert open_until((early,), "night", utc("2026-03-29T01:45")) == berlin("2026-03-29T06:30")


def test_an_opening_that_lies_wholly_in_the_skipped_hour_does_not_happen() -> None:
    early = window("2026-03-01T02:15", 0.5, "FREQ=DAILY")

    on_the_day = [utc("2026-03-29T00:00") + timedelta(minutes=5 * each) for each in range(48)]

    assert [each for each in on_the_day if open_until((early,), "night", each)] == []
    assert next_opening((early,), "night", utc("2026-03-28T12:00")) == berlin("2026-03-30T02:15")


def test_an_end_in_the_skipped_hour_comes_before_the_jump() -> None:
    night = window("2026-03-28T22:00", 4.5)

    end = open_until((night,), "night", berlin("2026-03-28T23:00"))

    assert end is not None
    assert end <= utc("2026-03-29T01:00")


def test_an_opening_in_the_repeated_hour_happens_once() -> None:
    early = window("2026-10-01T02:15", 0.5, "FREQ=DAILY")

    assert open_until((early,), "night", berlin("2026-10-25T02:30")) is not None
    assert open_until((early,), "night", berlin("2026-10-25T02:30", fold=1)) is None


@settings(max_examples=60, deadline=None)
@given(
    st.datetimes(datetime.fromisoformat("2026-03-01"), datetime.fromisoformat("2026-11-20")),
    st.integers(1, 30 * 60),
    st.integers(0, 23 * 60),
)
def test_an_opening_is_never_longer_than_its_duration(
    now: datetime, minutes: int, start: int
) -> None:
    once = window(
        (datetime.fromisoformat("2026-03-01") + timedelta(minutes=start)).isoformat(), minutes / 60
    )
    moment = now.replace(tzinfo=BERLIN)

    end = open_until((once,), "night", moment)

    if end is not None:
        opened = once.start.replace(tzinfo=BERLIN).astimezone(UTC)
        assert opened <= moment < end
        assert end - opened <= once.duration


# --- rules -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("WEEKLY", "NAME=VALUE"),
        ("FREQ=HOURLY", "FREQ must be"),
        ("FREQ=SECONDLY", "FREQ must be"),
        ("INTERVAL=2", "FREQ must be"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL"),
        ("FREQ=DAILY;INTERVAL=-1", "INTERVAL"),
        ("FREQ=DAILY;COUNT=0", "COUNT"),
        ("FREQ=DAILY;COUNT=2;UNTIL=20270101T000000", "exclude"),
        ("FREQ=DAILY;UNTIL=20270101T000000Z", "without Z"),
        ("FREQ=DAILY;UNTIL=20200101T000000", "ends before it begins"),
        ("FREQ=DAILY;FREQ=WEEKLY", "twice"),
        ("FREQ=DAILY;BYHOUR=3", "cannot be used"),
        ("FREQ=WEEKLY;BYDAY=MO", "not one of the times"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "not one of the times"),
        ("FREQ=WEEKLY;BYDAY=XX", "cannot be read"),
        ("FREQ=DAILY;BYMONTH=99", "not one of the times"),
        ("FREQ=DAILY\nFREQ=DAILY", "FREQ must be"),
        ("", "NAME=VALUE"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused_with_the_reason(rule: str, said: str) -> None:
    problem = rule_problem(rule, FRIDAY)

    assert problem is not None
    assert said in problem


@pytest.mark.parametrize(
    "rule",
    ["FREQ=WEEKLY", "FREQ=WEEKLY;BYDAY=FR,SA", "FREQ=MONTHLY;BYDAY=3FR", "FREQ=DAILY;INTERVAL=2"],
)
def test_usual_rules_are_accepted(rule: str) -> None:
    assert rule_problem(rule, FRIDAY) is None


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.text(max_size=40),
        st.lists(
            st.sampled_from(
                ["FREQ=DAILY", "FREQ=YEARLY", "INTERVAL=3", "COUNT=9", "BYDAY=1FR", "BYDAY=FR",
                 "BYMONTH=11", "BYMONTHDAY=-1", "BYSETPOS=1", "UNTIL=2026", "WKST=SU", "BYDAY=9FR",
                 "BYSETPOS=0", "UNTIL=20991231"]
            ),
            max_size=5,
        ).map(";".join),
    )
)  # fmt: skip
def test_any_rule_is_accepted_or_refused_but_never_breaks(rule: str) -> None:
    start = FRIDAY

    if rule_problem(rule, start) is None:
        accepted = window("2026-11-20T22:00", 1, rule)
        assert open_until((accepted,), "night", berlin("2026-11-20T22:30")) is not None


# --- authorisation and permission --------------------------------------------------------------


GIVEN = Authorisation(
    reference="CHG-1",
    owner="Shift lead",
    contact="4711",
    valid_from=berlin("2026-11-20T18:00"),
    valid_until=berlin("2026-11-21T01:00"),
)


@dataclass(frozen=True)
class Plant:
    authorisation: Authorisation | None = GIVEN
    windows: tuple[Window, ...] = ()
    loopback_only: bool = False
    window: str | None = None

    def window_of(self, zone_id: str) -> str | None:
        return self.window


NIGHT = window("2026-11-20T22:00", 4, "FREQ=WEEKLY")


def test_without_authorisation_nothing_beyond_loopback_is_allowed() -> None:
    answer = permission(Plant(authorisation=None), "z", berlin("2026-11-20T23:00"))

    assert not answer.allowed
    assert "no authorisation" in answer.reason


def test_the_authorisation_names_when_it_begins_and_ends() -> None:
    early = authorisation_problem(Plant(), berlin("2026-11-20T17:59"))
    late = authorisation_problem(Plant(), berlin("2026-11-21T01:00"))

    assert early is not None
    assert "valid only from 2026-11-20T18:00+01:00" in early
    assert late is not None
    assert "ended at 2026-11-21T01:00+01:00" in late
    assert authorisation_problem(Plant(), berlin("2026-11-21T00:59")) is None


def test_a_zone_without_window_may_be_scanned_until_the_authorisation_ends() -> None:
    answer = permission(Plant(), "z", berlin("2026-11-20T19:00"))

    assert answer.allowed
    assert answer.until == GIVEN.valid_until
    assert answer.reason == ""


def test_the_earlier_of_window_and_authorisation_ends_the_permission() -> None:
    plant = Plant(windows=(NIGHT,), window="night")

    assert permission(plant, "z", berlin("2026-11-20T23:00")).until == GIVEN.valid_until


def test_a_closed_window_says_when_it_opens_in_the_plants_own_time() -> None:
    plant = Plant(windows=(NIGHT,), window="night")

    answer = permission(plant, "z", berlin("2026-11-20T21:00"))

    assert not answer.allowed
    assert answer.until is None
    assert answer.reason == ("the window night is closed; it opens next at 2026-11-20T22:00+01:00")


def test_a_window_that_never_opens_again_says_so() -> None:
    plant = Plant(windows=(window("2026-11-19T22:00", 4),), window="night")

    answer = permission(plant, "z", berlin("2026-11-20T23:00"))

    assert not answer.allowed
    assert "it has ended" in answer.reason


def test_loopback_needs_no_authorisation_and_never_ends() -> None:
    answer = permission(
        Plant(authorisation=None, loopback_only=True), "z", berlin("2026-11-20T23:00")
    )

    assert answer.allowed
    assert answer.until is None


def test_loopback_obeys_an_authorisation_that_it_states() -> None:
    plant = Plant(loopback_only=True)

    assert not permission(plant, "z", berlin("2026-11-21T01:00")).allowed
    assert permission(plant, "z", berlin("2026-11-20T23:00")).until == GIVEN.valid_until


def test_loopback_obeys_a_window_that_its_zone_names() -> None:
    plant = Plant(authorisation=None, loopback_only=True, windows=(NIGHT,), window="night")

    assert not permission(plant, "z", berlin("2026-11-20T21:00")).allowed
    assert permission(plant, "z", berlin("2026-11-20T23:00")).until == berlin("2026-11-21T02:00")


def test_a_window_has_ended_only_after_its_last_opening() -> None:
    once = window("2026-11-20T22:00", 4)

    assert not ended(once, berlin("2026-11-20T12:00"))
    assert not ended(once, berlin("2026-11-21T01:00"))
    assert ended(once, berlin("2026-11-21T02:00"))
    assert not ended(NIGHT, berlin("2028-01-01T00:00"))
