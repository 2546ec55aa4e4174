from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.backups.dates import in_name

CET = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("sw-01_2026-11-19T22:05:07Z.cfg", datetime(2026, 11, 19, 22, 5, 7, tzinfo=UTC)),
        ("sw-01_2026-11-19T2205+0100.cfg", datetime(2026, 11, 19, 22, 5, tzinfo=CET)),
        ("sw-01-20261119T220507.cfg", datetime(2026, 11, 19, 22, 5, 7, tzinfo=CET)),
        ("20261119-2205.zip", datetime(2026, 11, 19, 22, 5, tzinfo=CET)),
        ("2026-11-19_22-05-07.tar.gz", datetime(2026, 11, 19, 22, 5, 7, tzinfo=CET)),
        ("2026_11_19.cfg", datetime(2026, 11, 19, 23, 59, 59, tzinfo=CET)),
        ("20261119.cfg", datetime(2026, 11, 19, 23, 59, 59, tzinfo=CET)),
        ("from-20250101-to-20261119.cfg", datetime(2026, 11, 19, 23, 59, 59, tzinfo=CET)),
    ],
)
def test_iso_times_in_names_are_read(name, moment):
    assert in_name(name, CET) == moment


@pytest.mark.parametrize(
    "name",
    ["running.cfg", "sw-01.cfg", "20261345.cfg", "1202611190.cfg", "2026-1119.cfg",
     "serial20261119123", "20261119T9905.cfg", ""],
)  # fmt: skip
def test_other_numbers_are_no_times(name):
    assert in_name(name, CET) is None


@given(st.text(max_size=60))
def test_any_name_gives_a_time_or_none(name):
    moment = in_name(name, UTC)

    assert moment is None or moment.tzinfo is not None
