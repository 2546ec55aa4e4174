"""
When a scan may talk: maintenance windows, the authorisation's period, and both combined.

A window is written in the plant's wall-clock time and recurs by that clock, through summer time
and back. Where the clock jumps, the reading that allows less is taken: an opening ends at its
stated duration or at its wall-clock end, whichever comes first, and one that begins in the hour
that is skipped in spring begins after the jump. Ends are exclusive. Everything here is pure; `now`
is an argument and must be aware.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from itertools import takewhile
from typing import Protocol

from dateutil.rrule import rrule, rrulestr

MAX_DURATION = timedelta(days=60)

_HORIZON = timedelta(days=3660)
"""How far ahead the next opening is looked for."""

_RULE_PARTS = frozenset(
    ("FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTH", "BYMONTHDAY", "BYSETPOS", "WKST")
)
_FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """
    `start` is naive wall-clock time in `timezone`: the first opening. `rule` is an RFC 5545
    recurrence rule (its RRULE value) or None for a single opening.
    """

    id: str
    start: datetime
    duration: timedelta
    rule: str | None
    timezone: tzinfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorisation:
    """Who allowed the scan, under which reference, and from when until when (exclusive)."""

    reference: str
    owner: str
    contact: str
    valid_from: datetime
    valid_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """
    May a zone be talked to now. `until` is the last moment (exclusive) at which this holds, None
    when nothing ends it (loopback only) or when it is not allowed. `reason` is "" when allowed.
    """

    allowed: bool
    until: datetime | None
    reason: str


class Permitted(Protocol):
    """What `permission` needs to know of a site."""

    @property
    def authorisation(self) -> Authorisation | None: ...

    @property
    def windows(self) -> tuple[Window, ...]: ...

    @property
    def loopback_only(self) -> bool: ...

    def window_of(self, zone_id: str) -> str | None: ...


def rule_problem(rule: str, start: datetime) -> str | None:
    """
    Why a recurrence rule cannot be used, or None.

    The parts are checked by name before the library sees them: it loops for ever on INTERVAL=0,
    and a rule finer than a day is no maintenance window.
    """
    parts: dict[str, str] = {}
    for piece in rule.split(";"):
        name, equals, value = piece.partition("=")
        if not equals or not value:
            return f"{piece!r} is not of the form NAME=VALUE"
        if name not in _RULE_PARTS:
            return f"{name!r} cannot be used here; known are {', '.join(sorted(_RULE_PARTS))}"
        if name in parts:
            return f"{name} is given twice"
        parts[name] = value
    if parts.get("FREQ") not in _FREQUENCIES:
        return f"FREQ must be one of {', '.join(_FREQUENCIES)}"
    for name in ("INTERVAL", "COUNT"):
        value = parts.get(name, "1")
        if not (value.isascii() and value.isdigit() and 1 <= int(value[:9]) <= 9999):
            return f"{name} must be a whole number from 1 to 9999"
    if "UNTIL" in parts and "COUNT" in parts:
        return "UNTIL and COUNT exclude each other"
    if parts.get("UNTIL", "").endswith("Z"):
        return "UNTIL is written in the window's own wall-clock time, without Z"
    try:
        if next(iter(_rule(rule, start, drop=("COUNT",), until=start)), None) != start:
            return "the start is not one of the times that it names, so that opening would not come"
        if _rule(rule, start).after(start, inc=True) is None:
            return "it ends before it begins"
    except (ValueError, OverflowError, TypeError) as error:
        return f"it cannot be read ({error})"
    return None


def open_until(
    windows: tuple[Window, ...], window_id: str | None, now: datetime
) -> datetime | None:
    """
    The end (exclusive, UTC) of the opening that `now` lies in; None when closed.

    Openings that overlap or touch count as one, looked at for two days ahead. `window_id` None
    looks at all windows together. An unknown id is a window that never opens.
    """
    openings = sorted(
        opening
        for window in windows
        if window_id in (None, window.id)
        for opening in _openings(window, now.astimezone(UTC).date())
    )
    end: datetime | None = None
    for opens, closes in openings:
        if end is None:
            end = closes if opens <= now < closes else None
        elif opens <= end:
            end = max(end, closes)
    return end


def next_opening(
    windows: tuple[Window, ...], window_id: str | None, now: datetime
) -> datetime | None:
    """When the next opening after `now` begins (UTC), None when there is none in ten years."""
    starts = [
        opens
        for window in windows
        if window_id in (None, window.id)
        if (opens := _first_after(window, now)) is not None
    ]
    return min(starts, default=None)


def ended(window: Window, now: datetime) -> bool:
    """Whether the window has no opening now and none to come."""
    return (
        open_until((window,), window.id, now) is None
        and next_opening((window,), window.id, now) is None
    )


def authorisation_problem(site: Permitted, now: datetime) -> str | None:
    """Why the site may not be scanned now by its authorisation; None when it may."""
    given = site.authorisation
    if given is None:
        if site.loopback_only:
            return None
        return (
            "the site file has no authorisation, and a network beyond loopback needs one: fill in "
            "`authorisation`"
        )
    if now < given.valid_from:
        return f"the authorisation {given.reference} is valid only from {_text(given.valid_from)}"
    if now >= given.valid_until:
        return f"the authorisation {given.reference} ended at {_text(given.valid_until)}"
    return None


def permission(site: Permitted, zone_id: str, now: datetime) -> Permission:
    """
    Whether a zone may be talked to at this moment, by authorisation and window together.

    A zone without a window needs the authorisation only. A site on loopback only needs neither,
    but what it states is obeyed: a port on loopback may be forwarded to a device. Raises KeyError
    for an unknown zone.
    """
    window_id = site.window_of(zone_id)
    if problem := authorisation_problem(site, now):
        return Permission(allowed=False, until=None, reason=problem)
    ends: list[datetime] = []
    if site.authorisation is not None:
        ends.append(site.authorisation.valid_until)
    if window_id is not None:
        closes = open_until(site.windows, window_id, now)
        if closes is None:
            opens = next_opening(site.windows, window_id, now)
            zone = next((w.timezone for w in site.windows if w.id == window_id), UTC)
            when = f"it opens next at {_text(opens.astimezone(zone))}" if opens else "it has ended"
            return Permission(
                allowed=False, until=None, reason=f"the window {window_id} is closed; {when}"
            )
        ends.append(closes)
    return Permission(allowed=True, until=min(ends, default=None), reason="")


# --- openings ----------------------------------------------------------------------------------


def _opening(window: Window, start: datetime) -> tuple[datetime, datetime] | None:
    """One opening in UTC; None when a clock change leaves nothing of it."""
    opens = start.replace(tzinfo=window.timezone).astimezone(UTC)
    by_clock = (start + window.duration).replace(tzinfo=window.timezone)
    # a wall-clock end that the clock shows twice, or skips, has two readings: the earlier holds
    ends = (by_clock.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    closes = min(opens + window.duration, *ends)
    return (opens, closes) if opens < closes else None


@lru_cache(maxsize=256)
def _openings(window: Window, day: date) -> tuple[tuple[datetime, datetime], ...]:
    """Every opening that may touch the UTC day or the two after it, in order."""
    noon = datetime.combine(day, time(12), tzinfo=UTC).astimezone(window.timezone)
    local = noon.replace(tzinfo=None)
    first, last = local - window.duration - timedelta(days=2), local + timedelta(days=3)
    found = (_opening(window, start) for start in _starts(window, first, last))
    return tuple(opening for opening in found if opening is not None)


def _first_after(window: Window, now: datetime) -> datetime | None:
    local = now.astimezone(window.timezone).replace(tzinfo=None)
    for start in _starts(window, local - timedelta(days=1), local + _HORIZON):
        opening = _opening(window, start)
        if opening is not None and opening[0] > now:
            return opening[0]
    return None


def _starts(window: Window, first: datetime, last: datetime) -> Iterator[datetime]:
    if window.rule is None:
        return iter([window.start] if first <= window.start <= last else [])
    rule = _rule(window.rule, window.start)
    return takewhile(lambda start: start <= last, rule.xafter(first, inc=True))


def _rule(
    text: str, start: datetime, *, drop: tuple[str, ...] = (), until: datetime | None = None
) -> rrule:
    """`until` ends the rule at latest then; only for rules without COUNT."""
    kept = ";".join(part for part in text.split(";") if part.partition("=")[0] not in drop)
    parsed = rrulestr(kept, dtstart=start)
    if not isinstance(parsed, rrule):
        raise ValueError("it is a set of rules")
    return parsed if until is None else parsed.replace(until=until)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="minutes")
