"""Every decoder is total, whoever wrote it; and the fuzzer sees what it is meant to see."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scanner.discovery import probes
from scanner.errors import BadReply
from scanner.facts import DeviceIdentity, TelnetFace
from tests.fuzz import campaign, caps, mutate, seeds
from tests.fuzz.decoders import OURS, Decoder, decoders, modules
from tests.fuzz.seeds import modbus
from tests.fuzz.session import Broken, FuzzSession, drive
from tests.proof.promise import Tally

LATER = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def families(captures: Path) -> dict[str, campaign.Family]:
    return campaign.families(captures)


@pytest.fixture(scope="module")
def calls(families: dict[str, campaign.Family]) -> dict[str, list[campaign.Call]]:
    return {found[0].decoder.name: found for family in families.values() for found in family.calls}


@pytest.mark.parametrize("decoder", decoders(), ids=lambda decoder: decoder.name)
@LATER
@given(data=st.data())
def test_every_decoder_gives_a_value_or_a_bad_reply(
    decoder: Decoder,
    families: dict[str, campaign.Family],
    calls: dict[str, list[campaign.Call]],
    data: st.DataObject,
) -> None:
    call = data.draw(st.sampled_from(calls[decoder.name]), label="call")
    family = families[decoder.family]
    args: tuple[Any, ...] = call.args
    if isinstance(args[0], bytes) and data.draw(st.booleans(), label="any bytes"):
        args = (data.draw(st.binary(max_size=300)), *args[1:])
    else:
        rng = Random(data.draw(st.integers(0, 2**32), label="damage"))
        args = campaign._damaged_args(rng, call, family, seeds.FRAMINGS.get(family.name))

    _, fault = campaign.decode(call, args)

    assert fault is None


@pytest.mark.parametrize("name", [*seeds.DIALOGUES])
@LATER
@given(seed=st.integers(0, 2**32))
def test_every_damaged_conversation_ends_in_facts_or_an_expected_error(
    name: str, families: dict[str, campaign.Family], seed: int
) -> None:
    rng = Random(seed)
    family = families[name]
    damage = campaign.Drawn(rng, family, seeds.FRAMINGS.get(name))
    with seeds.made_up_libraries():
        _, fault = campaign.converse(rng.choice(family.dialogues), damage, True)

    assert fault is None


# --- the fuzzer itself ---------------------------------------------------------------------------


def test_exceptions_to_the_rule_name_functions_that_exist() -> None:
    known = {f"{m.__name__}.{name}" for m in modules() for name in vars(m)}

    assert OURS.keys() <= known


def test_decoders_are_found_by_their_first_parameter() -> None:
    names = {decoder.name for decoder in decoders()}

    assert {"probes.modbus.decode_frame", "scanner.clients.certificate.describe"} <= names
    assert {"scanner.importers.ios.read_configuration", "scanner.guards.s7.reply_framer"} <= names
    assert not any(".encode_" in name for name in names)


def test_a_probe_without_a_conversation_and_a_decoder_without_a_seed_are_named(
    captures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fewer = {name: make for name, make in seeds.DIALOGUES.items() if name != "modbus"}
    monkeypatch.setattr(seeds, "DIALOGUES", fewer)

    with pytest.raises(SystemExit) as told:
        campaign.families.__wrapped__(captures)

    assert "no conversation for probes.modbus.run;" in str(told.value)
    assert "no seed reaches probes.modbus.decode_identification" in str(told.value)


def test_seeds_are_found_by_walking_and_what_they_say_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tomorrow.py").write_text("def dialogues(captures):\n    return iter(())\n")
    monkeypatch.setattr(seeds, "__path__", [*seeds.__path__, str(tmp_path)])
    monkeypatch.setattr(seeds, "tomorrow", None, raising=False)  # what an import leaves is undone
    monkeypatch.setitem(sys.modules, "tests.fuzz.seeds.tomorrow", None)
    monkeypatch.delitem(sys.modules, "tests.fuzz.seeds.tomorrow")
    importlib.invalidate_caches()

    found = seeds.walked()

    assert found.keys() - seeds.MODULES.keys() == {"tomorrow"}
    assert [*found["tomorrow"].dialogues(tmp_path)] == []


def test_conversations_stand_under_the_name_of_their_probes_module() -> None:
    modules_of_probes = {probe.run.__module__.rpartition(".")[2] for probe in probes()}

    assert seeds.DIALOGUES.keys() == modules_of_probes


def test_two_protocols_that_speak_of_the_same_are_told() -> None:
    with pytest.raises(SystemExit, match=r"two\.py repeats \['a'\]"):
        seeds.merged({"one": {"a": 1}, "two": {"a": 1}})


def of_function(family: campaign.Family, function: Callable[..., Any]) -> campaign.Family:
    """A family whose only decoder is this function of bytes."""
    decoder = Decoder("made.decode_made", "made", modules()[0], function)
    call = campaign.Call(decoder, (b"0123456789abcdef" * 2,), {})
    return replace(family, name="made", dialogues=[], calls=[[call]], guard=None, truncations=[])


def without_times(tally: Tally) -> tuple[Any, ...]:
    sums = {name: value for name, value in tally.sums.items() if name != "cpu_s"}
    return tally.cases, tally.bad, sums, tally.faults


def test_an_index_beyond_the_end_is_found(families: dict[str, campaign.Family]) -> None:
    tally = campaign.run(of_function(families["modbus"], lambda data: data[31]), 1, 0, 200)

    assert tally.sums["uncaught"] > 0
    assert "IndexError" in tally.faults[0]


def test_a_pattern_that_never_ends_is_found(
    families: dict[str, campaign.Family], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "HANG_S", 0.05)
    campaign.ready()
    slow = re.compile(rb"([0-9a-f]+)+$")

    tally = campaign.run(
        of_function(families["modbus"], lambda data: slow.match(b"a" * 40 + b"!")), 1, 0, 2
    )

    assert tally.sums["hangs"] == 2


def test_a_value_beyond_every_cap_is_found(families: dict[str, campaign.Family]) -> None:
    tally = campaign.run(of_function(families["modbus"], lambda data: data * 10**6), 1, 0, 20)

    assert tally.sums["cap_breaks"] > 0


def test_what_a_decoder_may_raise_is_no_fault(families: dict[str, campaign.Family]) -> None:
    def refuse(data: bytes) -> None:
        raise BadReply("no")

    tally = campaign.run(of_function(families["modbus"], refuse), 1, 0, 20)

    assert (tally.bad, tally.sums["bad_reply"]) == (0, 20)


@pytest.mark.parametrize("name", ["modbus", "http", "snmp", "sshconfig", "certificate", "tls"])
def test_a_seed_and_a_number_are_a_case(name: str, families: dict[str, campaign.Family]) -> None:
    once, again, other = (campaign.run(families[name], seed, 0, 60) for seed in (1, 1, 2))

    assert without_times(once) == without_times(again)
    assert once.bad == other.bad == 0
    if families[name].dialogues:  # a parser that accepts everything has but one tally
        assert without_times(once) != without_times(other)


def test_every_truncation_point_is_visited_once(families: dict[str, campaign.Family]) -> None:
    for name in ("modbus", "s7", "enip"):
        family = families[name]
        points = len(family.truncations)
        assert points > 100
        visited = {
            (d.name, t.which, t.size)
            for number in range(0, 2 * points, 2)
            for d, t in [campaign._conversation(family, Random(1), number, None)]
            if isinstance(t, campaign.Truncated)
        }
        cut = {(family.dialogues[d].name, r, size) for d, r, size in family.truncations}
        assert visited == cut
        drawn = campaign._conversation(family, Random(1), 2 * points, None)[1]
        assert isinstance(drawn, campaign.Drawn)


def test_lengths_around_damage_are_mended() -> None:
    rng = Random(4)
    frame = bytes.fromhex("000100000007ff2b0e01000000")
    for _ in range(200):
        damaged = modbus.mend(rng, frame, [frame])
        assert int.from_bytes(damaged[4:6], "big") == len(damaged) - 6
    message = bytes.fromhex("300c020101040561646d696e0500")
    whole = sum(
        mutate.parse_ber(mutate.ber(rng, message, [message])) is not None for _ in range(200)
    )
    assert whole > 120


def test_texts_numbers_and_lists_beyond_their_caps_are_told() -> None:
    assert caps.broken_by_facts((DeviceIdentity(vendor="x" * 257),)) is not None
    assert caps.broken_by_facts((TelnetFace(banner="x" * 2048),)) is None
    assert caps.broken_by_facts((TelnetFace(banner="", options=("x",) * 501),)) is not None
    assert caps.not_storable((DeviceIdentity(vendor="\ud800"),)) is not None
    assert caps.not_storable((DeviceIdentity(vendor="ä"),)) is None


async def _asks_too_often(session: FuzzSession) -> None:
    while True:
        await session.exchange(None, len, label="again")


def test_a_probe_that_never_stops_asking_is_broken(families: dict[str, campaign.Family]) -> None:
    dialogue = next(d for d in families["enip"].dialogues if d.name != "read")
    endless = replace(dialogue, answer=lambda: lambda request: b"x")

    with pytest.raises(Broken):
        drive(_asks_too_often(FuzzSession(endless, None)))
