"""`walkdown topology` and `walkdown init --from`, on an assessment as it lies in a run's folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from scanner import site
from scanner.assess import to_json
from scanner.cli.app import init, topology
from scanner.errors import UsageError
from tests.reports.conftest import sample


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run1"
    folder.mkdir()
    apart = tuple(
        replace(zone, networks=(f"10.{number}.0.0/24",))
        for number, zone in enumerate(sample().zones)
    )
    (folder / "assessment.json").write_bytes(to_json(replace(sample(), zones=apart)))
    return folder


def test_the_network_is_printed_as_a_table_as_json_and_for_graphviz(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topology(run)
    table = capsys.readouterr().out
    topology(run, as_json=True)
    document = json.loads(capsys.readouterr().out)
    topology(run, as_dot=True)
    graph = capsys.readouterr().out

    assert "Where each device hangs" in table
    assert [node["id"] for node in document["nodes"]] == [n.id for n in sample().topology.nodes]
    assert graph.startswith("graph network {")


def test_one_form_at_a_time(run: Path) -> None:
    with pytest.raises(UsageError, match="one form at a time"):
        topology(run, as_dot=True, as_json=True)


def test_a_site_file_is_written_from_what_a_run_proposes(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "proposed.yaml"

    init(run=run, output=file)

    made = site.load(file)
    assert made.name == sample().site
    assert "control-2" in {zone.id for zone in made.zones}
    with pytest.raises(UsageError, match="exists already"):
        init(run=run, output=file)


def test_networks_come_from_the_run_or_from_the_words_given_and_not_from_both(run: Path) -> None:
    with pytest.raises(UsageError, match="one of the two"):
        init(run=run, cidr=["10.0.0.0/24"])
    with pytest.raises(UsageError, match="no network given"):
        init()
