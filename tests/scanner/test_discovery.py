"""Probes and checks are found by walking their packages; nothing is registered."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scanner import discovery
from scanner.errors import ToolBug
from scanner.model import Tier
from scanner.spec import Check, Probe

MODULE = """
from scanner.facts import ModbusAccess
from scanner.model import Effort, Exploitability, Severity, Tier, Transport
from scanner.spec import Check, Probe

async def run(session):
    return ()

def probe(tier, ports):
    return Probe(name="{name}", protocol="modbus", transport=Transport.TCP, ports=ports, tier=tier,
                 run=run, questions=())

PROBE = probe(Tier.IDENTIFY, (502,))
READ_PROBE = probe(Tier.READ, (502,))
CHECK = Check(id="{name}", title="t", requirements=(), severity=Severity.LOW,
              exploitability=Exploitability.SKILLED, reads=ModbusAccess, judge=run, remedy="r",
              effort=Effort.QUICK, needs_outage=False)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "strangers"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [one for one in sys.modules if one.split(".")[0] == "strangers"]:
        del sys.modules[name]


def test_every_constant_of_the_wanted_type_is_found_once(package: Path) -> None:
    (package / "b.py").write_text(MODULE.format(name="b"))
    (package / "a.py").write_text("from strangers.b import CHECK, PROBE\nOTHER = CHECK\n")
    assert [check.id for check in discovery.constants("strangers", Check)] == ["b"]
    assert {probe.tier for probe in discovery.constants("strangers", Probe)} == {
        Tier.IDENTIFY,
        Tier.READ,
    }


def test_two_checks_with_one_id_are_a_bug(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        (package / f"{name}.py").write_text(MODULE.format(name="same"))
    both = discovery.constants("strangers", Check)
    monkeypatch.setattr(discovery, "constants", lambda package, kind: both)
    with pytest.raises(ToolBug, match="'same' is defined twice"):
        discovery.checks.__wrapped__()


def test_our_own_probes_and_checks_come_sorted() -> None:
    probes = discovery.probes()
    assert [(p.name, p.tier.rank) for p in probes] == sorted((p.name, p.tier.rank) for p in probes)
    assert "modbus" in {probe.name for probe in probes}
    ids = [check.id for check in discovery.checks()]
    assert ids == sorted(set(ids))
