"""Habits of every check, kept by walking the package."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import MISSING, fields
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import checks
from scanner.facts import Fact, ServiceAccess
from scanner.iec62443 import load
from scanner.model import (
    Asset,
    ConduitInfo,
    DeviceClass,
    Flow,
    Outcome,
    Presence,
    Tier,
    Transport,
    Verdict,
    ZoneInfo,
)
from scanner.spec import Check, Conduit, Inventory, Zone

FACT_TYPES: tuple[type, ...] = get_args(get_args(Fact)[0])
NAMES = sorted(module.name for module in iter_modules(checks.__path__))
EXPECTED = [
    "asset_identity_differs",
    "asset_outside_zones",
    "asset_silent",
    "asset_undeclared",
    "backup_differs_from_running",
    "backup_manifest_broken",
    "backup_missing",
    "backup_too_old",
    "cleartext_management",
    "default_credentials",
    "dual_homed_host",
    "enip_unauthenticated",
    "generic_accounts",
    "http_no_login",
    "log_target_missing",
    "login_banner_missing",
    "login_not_enforced",
    "modbus_unauthenticated",
    "remote_access_no_mfa",
    "s7_no_protection",
    "session_timeout_missing",
    "shared_secret",
    "snmp_cleartext_version",
    "snmp_default_community",
    "ssh_shared_host_key",
    "ssh_weak_algorithms",
    "telnet_no_login",
    "time_source_missing",
    "tls_weak",
    "unneeded_services",
]
LEARNED_WITHOUT_FACTS = frozenset({Outcome.REFUSED})
"""A refused port is knowledge of its own; the others leave everything open."""


def all_checks() -> list[Check]:
    return [import_module(f"checks.{name}").CHECK for name in NAMES]


def test_the_checks_are_those_that_others_rely_on():
    assert set(EXPECTED) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_check_is_whole(name):
    module = import_module(f"checks.{name}")
    check = module.CHECK

    assert isinstance(check, Check)
    assert check.id == name
    assert (Path(__file__).parent / f"test_{name}.py").is_file(), "a check has a test file"
    assert "Why it matters:" in (module.__doc__ or ""), "a docstring says why it matters"
    assert "Source:" in (module.__doc__ or ""), "a docstring names its source"
    assert check.title == check.title.strip()
    assert 8 <= len(check.title) <= 70
    assert len(check.remedy) >= 60, "a remedy tells an engineer what to do"
    assert check.remedy.endswith(".")
    assert check.reads in (*FACT_TYPES, Asset, Zone, Conduit, Inventory)
    assert check.protocols or check.reads not in FACT_TYPES, "a fact comes from a protocol"
    assert check.only_for <= {str(one) for one in DeviceClass}


@pytest.mark.parametrize("name", NAMES)
def test_every_requirement_is_one_of_the_standards(name):
    check = import_module(f"checks.{name}").CHECK

    assert check.requirements
    assert len(set(check.requirements)) == len(check.requirements)
    for requirement in check.requirements:
        assert load().get(requirement).observable != "no", "people must decide this one"


@pytest.mark.parametrize("name", NAMES)
def test_every_technique_is_an_id_of_attack_for_ics(name):
    for technique in import_module(f"checks.{name}").CHECK.attack:
        assert technique.startswith("T0")
        assert len(technique) == 5
        assert technique[1:].isdigit()


def test_titles_are_unique():
    titles = [check.title for check in all_checks()]

    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("name", NAMES)
def test_a_check_does_no_io_and_reads_no_clock(name):
    """A judgement is the same on another laptop, months later."""
    tree = ast.parse(Path(import_module(f"checks.{name}").__file__).read_text(encoding="utf-8"))
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }

    allowed = {"scanner.facts", "scanner.model", "scanner.spec", "importlib.resources"}
    foreign = {
        one for one in imported if one.split(".")[0] in ("scanner", "probes", "credentials", "lab")
    }
    assert foreign <= allowed
    assert not imported & {"os", "time", "socket", "subprocess", "random", "asyncio"}
    assert not any(isinstance(n, ast.Attribute) and n.attr == "now" for n in ast.walk(tree))


# --- never pass on absence ---------------------------------------------------------------------


def _required(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a field that a fact cannot do without; nothing that proves anything."""
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if hint is bool:
        return st.just(False)
    if hint is int:
        return st.integers(0, 999)
    if hint is str:
        return st.text(max_size=12)
    return st.just(())


def _nothing_learned(kind: type) -> st.SearchStrategy[Any]:
    """Facts of a type in which every field that may be unknown is unknown."""
    hints = get_type_hints(kind, include_extras=False)
    given_: dict[str, st.SearchStrategy[Any]] = {}
    for field in fields(kind):
        if NoneType in get_args(hints[field.name]):
            given_[field.name] = st.none()
        elif field.default is MISSING and field.default_factory is MISSING:
            given_[field.name] = _required(hints[field.name])
    return st.builds(kind, **given_)


ANY_FACTS = st.lists(st.sampled_from(FACT_TYPES).flatmap(_nothing_learned), max_size=6)
OPEN_SERVICES = st.dictionaries(
    st.sampled_from(
        ["modbus/502", "s7/102", "enip/44818", "snmp/161", "http/80", "https/443", "ssh/22",
         "telnet/23"]
    ),
    st.sampled_from([o for o in Outcome if o not in LEARNED_WITHOUT_FACTS]),
)  # fmt: skip


def _is_meant(check: Check, fact: object) -> bool:
    """A fact that many services tell is judged by the checks of its own service."""
    spoken = getattr(fact, "protocol", "")
    named = not isinstance(fact, ServiceAccess) or spoken in check.protocols
    return isinstance(fact, check.reads) and named


def _subjects(check: Check, asset: Asset) -> Iterator[object]:
    if check.reads is Asset:
        yield asset
    elif check.reads is Inventory:
        yield Inventory(assets=(asset,))
    elif check.reads is Conduit:
        info = ConduitInfo(
            id="c", from_zone="a", to_zone="b", sl_t={}, remote_access=True, monitored_by=None,
            allow=(),
        )  # fmt: skip
        yield Conduit(info=info, from_assets=(), to_assets=(asset,))
    elif check.reads is Zone:
        info = ZoneInfo(
            id="a", name="", purdue=None, networks=(), sl_t={}, tier=Tier.READ, profile="default"
        )
        yield Zone(info=info, assets=(asset,))
    else:
        yield from (fact for fact in asset.facts if _is_meant(check, fact))


@settings(
    max_examples=150,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(facts=ANY_FACTS, services=OPEN_SERVICES, presence=st.sampled_from(Presence))
def test_what_was_not_learned_is_never_passed(site, make_asset, facts, services, presence):
    asset = make_asset(
        *facts,
        services=services,
        presence=presence,
        declared=None,
        device_class=DeviceClass.PLC,
        expected_services=(Flow(protocol="ssh", transport=Transport.TCP, port=22),),
    )

    for check in all_checks():
        if check.reads is Zone and presence in (
            Presence.DECLARED_AND_SEEN,
            Presence.IDENTITY_DIFFERS,
        ):
            continue  # that somebody declared it and it answered is what these checks ask for
        for subject in _subjects(check, asset):
            verdicts = {judgement.verdict for judgement in check.judge(subject, site)}
            assert verdicts, check.id
            assert Verdict.PASS not in verdicts, check.id


@settings(  # the first draw resolves every type of fact, which takes longer than a deadline
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_fact_gets_a_word_and_only_requirements_of_the_check(site, make_asset, data):
    """Text from a device never breaks a check, whatever it holds."""
    facts = data.draw(st.lists(st.one_of(*map(st.from_type, FACT_TYPES)), max_size=3))
    asset = make_asset(*facts)

    for check in all_checks():
        for subject in _subjects(check, asset):
            for judgement in check.judge(subject, site):
                assert judgement.summary
                assert set(judgement.requirements or ()) <= set(check.requirements)
