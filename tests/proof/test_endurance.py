"""The endurance run's judgement: what grows, and what must not change, is seen."""

from __future__ import annotations

from typing import Any

import pytest

from tests.proof.promise import Unable
from tests.proof.promises.p23_endurance import PER_HOUR, judge


def samples(count: int, per_scan: float, **changes: Any) -> list[dict[str, Any]]:
    """`count` scans of `per_scan` hours' worth each; a change may be a function of the scan."""
    flat: dict[str, Any] = {
        "rss": 120.0, "descriptors": 9, "tasks": 1, "threads": 3, "blocks": 500_000,
        "answered": 200, "bugs": [], "seconds": 1.0,
    }  # fmt: skip
    return [
        {
            **flat,
            **{name: make(scan) if callable(make) else make for name, make in changes.items()},
            "requests": round((scan + 1) * per_scan * PER_HOUR),
        }
        for scan in range(count)
    ]


def test_a_process_that_stays_as_it_is_keeps_the_promise() -> None:
    tally = judge(samples(40, 0.1))

    assert (tally.bad, tally.figures["slope"]) == (0, pytest.approx(0.0))


def test_growth_at_the_beginning_is_no_slope() -> None:
    assert judge(samples(40, 0.1, rss=lambda scan: 120.0 if scan > 2 else 60.0)).bad == 0


def test_two_megabytes_an_hour_break_it() -> None:
    tally = judge(samples(40, 0.1, rss=lambda scan: 120 + 0.2 * scan))

    assert tally.figures["slope"] == pytest.approx(2.0, rel=0.01)
    assert "memory grows by 2.00 MiB an hour" in tally.faults


def test_in_a_run_too_short_for_a_slope_great_growth_breaks_it() -> None:
    assert judge(samples(8, 0.02, rss=lambda scan: 120 + 9.0 * scan)).bad == 1
    assert judge(samples(8, 0.02, rss=lambda scan: 120 + 0.5 * scan)).bad == 0


@pytest.mark.parametrize("name", ["descriptors", "tasks", "threads"])
def test_one_more_at_each_scan_breaks_it(name: str) -> None:
    assert judge(samples(10, 0.1, **{name: lambda scan: 9 + scan})).faults[0].startswith(name)


def test_a_probe_that_broke_and_devices_that_never_answered_are_told() -> None:
    assert "a probe broke: KeyError" in judge(samples(10, 0.1, bugs=["KeyError"])).faults
    assert "nothing was measured" in judge(samples(10, 0.1, answered=0)).faults[0]


def test_too_few_scans_are_no_measurement() -> None:
    with pytest.raises(Unable):
        judge(samples(5, 0.1))
