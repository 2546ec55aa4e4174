"""A scan that broke a promise of its own does not end as if all were well."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scanner.cli import app
from scanner.model import Certificate, CertifiedPromise
from tests.proof.forms import assessment


def certificate(verdict: str) -> Certificate:
    row = CertifiedPromise(
        promise=2,
        title="One connection per device",
        target="1",
        measured="2",
        verdict=verdict,
        basis="",
    )
    return Certificate(
        schema="1", run="r", site="s", version="0", state="finished", events=1, chain_head="",
        capture_sha256="", capture="none", privileges="", promises=(row,),
    )  # fmt: skip


def ended_with(*verdicts: str) -> int | None:
    found = assessment(("text",), head="h")
    safety = replace(found.safety, certificates=tuple(certificate(one) for one in verdicts))
    try:
        app._kept_its_promises(replace(found, safety=safety))
    except app.Ended as ended:
        return ended.code
    return None


@pytest.mark.parametrize("kept", [("pass",), ("not measured",), ("pass", "pass")])
def test_kept_or_not_measured_is_no_failure(kept: tuple[str, ...]) -> None:
    assert ended_with(*kept) is None


def test_one_broken_promise_of_one_run_ends_with_3() -> None:
    assert ended_with("fail") == 3
    assert ended_with("pass", "fail") == 3
