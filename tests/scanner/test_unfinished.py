"""A run that broke off claims nothing of devices it was not done with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from scanner import site
from scanner.cli.assessing import assess_runs
from scanner.cli.scanning import make_plan
from scanner.model import Assessment, Observation, Outcome, Presence, Verdict
from scanner.plan import PlannedQuestion
from scanner.store import RunMeta, RunState, RunStore

NIGHT = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
SITE = """
site: Test
zones:
  - id: control
    networks: [127.30.9.0/30]
    sl_t: 1
    profile: lab
    assets:
      - {name: PLC-1, address: 127.30.9.1}
      - {name: PLC-2, address: 127.30.9.2}
"""


def questions(which: site.Site, address: str) -> list[PlannedQuestion]:
    """What every scan asks of this address, whatever it answers."""
    device = next(d for d in make_plan(which).devices if d.addresses == (address,))
    return [question for question in device.questions if not question.only_if]


@pytest.fixture
def which(tmp_path: Path) -> site.Site:
    (tmp_path / "site.yaml").write_text(SITE)
    return site.load(tmp_path / "site.yaml", now=NIGHT)


async def run(
    which: site.Site,
    place: Path,
    asked: list[PlannedQuestion],
    state: RunState,
    outcome: Outcome = Outcome.SILENT,
) -> Path:
    meta = RunMeta(
        id=place.stem, site=which.name, site_file_text=SITE, plan_digest="", started_at=NIGHT,
        version="0.1", authorisation="", authorised_by="", tiers=("identify",), limits={},
    )  # fmt: skip
    async with RunStore.create(place, run=meta, now=NIGHT) as store:
        for question in asked:
            await store.question_started(question.key, protocol=question.service, at=NIGHT)
            await store.question_finished(
                Observation(
                    id="", zone="control", address=question.target.address,
                    port=question.target.port, transport=question.target.transport,
                    protocol=question.service, probe=question.probe.name,
                    tier=question.probe.tier, outcome=outcome, reason="", started_at=NIGHT,
                    finished_at=NIGHT, facts=(), exchanges=(),
                )
            )  # fmt: skip
        store.set_state(state, "stopped by Ctrl-C" if state == "interrupted" else "", NIGHT)
    return place


def presence(assessment: Assessment) -> list[Presence]:
    return [asset.presence for asset in assessment.assets]


def verdicts(assessment: Assessment, check: str) -> set[Verdict]:
    return {finding.verdict for finding in assessment.findings if finding.check == check}


async def test_a_device_asked_half_is_not_called_silent(which: site.Site, tmp_path: Path) -> None:
    done = questions(which, "127.30.9.1")
    begun = questions(which, "127.30.9.2")[:3]
    night = await run(which, tmp_path / "1.db", done + begun, "interrupted")

    told = assess_runs([night], which, now=NIGHT, environment={})

    assert presence(told) == [Presence.DECLARED_AND_SILENT, Presence.NOT_VISITED]
    assert [
        place.asset
        for finding in told.findings
        if finding.check == "asset_silent" and finding.verdict is Verdict.FAIL
        for place in finding.places
    ] == ["control/127.30.9.1"]
    left = [o for o in told.observations if o.outcome is Outcome.WITHHELD]
    assert len(left) == len(questions(which, "127.30.9.2")) - 3
    assert all("stopped by Ctrl-C" in o.reason and not o.exchanges for o in left)


async def test_a_run_killed_while_it_ran_claims_no_more(which: site.Site, tmp_path: Path) -> None:
    night = await run(which, tmp_path / "1.db", questions(which, "127.30.9.1")[:1], "running")

    told = assess_runs([night], which, now=NIGHT, environment={})

    assert presence(told) == [Presence.NOT_VISITED, Presence.NOT_VISITED]


@pytest.mark.parametrize(
    ("state", "verdict"), [("finished", Verdict.PASS), ("interrupted", Verdict.NOT_CHECKED)]
)
async def test_a_zone_asked_half_is_not_free_of_strangers(
    which: site.Site, tmp_path: Path, state: RunState, verdict: Verdict
) -> None:
    night = await run(which, tmp_path / "1.db", questions(which, "127.30.9.1")[:1], state)
    met = await run(
        which, tmp_path / "2.db", questions(which, "127.30.9.2"), "finished", Outcome.ANSWERED
    )

    told = assess_runs([night, met], which, now=NIGHT, environment={})

    assert verdicts(told, "asset_undeclared") == {verdict}


async def test_a_finished_run_speaks_for_what_it_asked(which: site.Site, tmp_path: Path) -> None:
    """Also when a later version asks more: what it did not know of takes nothing away."""
    night = await run(which, tmp_path / "1.db", questions(which, "127.30.9.1")[:4], "finished")

    told = assess_runs([night], which, now=NIGHT, environment={})

    assert presence(told) == [Presence.DECLARED_AND_SILENT, Presence.NOT_VISITED]


async def test_the_next_night_completes_the_first(which: site.Site, tmp_path: Path) -> None:
    every = questions(which, "127.30.9.1")
    one = await run(which, tmp_path / "1.db", every[:3], "interrupted")
    two = await run(which, tmp_path / "2.db", every[3:], "finished")

    told = assess_runs([one, two], which, now=NIGHT, environment={})

    assert presence(told)[0] is Presence.DECLARED_AND_SILENT
    assert len({observation.id for observation in told.observations}) == len(told.observations)
