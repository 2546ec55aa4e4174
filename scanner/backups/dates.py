"""When a backup was taken, by the time in its name."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo

_STAMP = re.compile(
    r"(?<!\d)(?P<year>20\d\d)(?P<sep>[-_.]?)(?P<month>\d\d)(?P=sep)(?P<day>\d\d)"
    r"(?:[T_ -]{1,3}(?P<hour>\d\d)[:h._-]?(?P<minute>\d\d)(?:[:m._-]?(?P<second>\d\d))?"
    r"(?P<zone>Z|[+-]\d\d:?\d\d)?)?(?!\d)"
)


def in_name(name: str, zone: tzinfo) -> datetime | None:
    """
    The last ISO time in a file name ("sw-01_2026-11-20T2200.cfg", "20261120.zip"), else None.

    Without an offset the time is one of `zone`. A day without a time counts as its last second:
    the backup may be that young, and too old is only what is proven to be.
    """
    found = None
    for match in _STAMP.finditer(name):
        try:
            found = _moment(match, zone)
        except ValueError:
            continue
    return found


def _moment(match: re.Match[str], zone: tzinfo) -> datetime:
    year, month, day = (int(match[part]) for part in ("year", "month", "day"))
    if match["hour"] is None:
        clock = time(23, 59, 59)
    else:
        clock = time(int(match["hour"]), int(match["minute"]), int(match["second"] or 0))
    written = match["zone"]
    if written == "Z":
        zone = UTC
    elif written:
        sign = -1 if written[0] == "-" else 1
        digits = written[1:].replace(":", "")
        zone = timezone(sign * timedelta(hours=int(digits[:2]), minutes=int(digits[2:])))
    return datetime(year, month, day, clock.hour, clock.minute, clock.second, tzinfo=zone)
