"""Observations become assets; nothing seen is dropped and nothing unseen is claimed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.correlate import (
    DECLARED,
    Declared,
    agree,
    assets,
    contains,
    differences,
    merge,
    qualified,
    reach,
)
from scanner.facts import ClaimedDevice, DeviceIdentity, HttpFace, LinkAddress, ModbusAccess
from scanner.model import (
    NOBODY_THERE,
    Asset,
    DeviceClass,
    Exchange,
    Flow,
    Identity,
    Observation,
    Outcome,
    Presence,
    Target,
    Tier,
    Transport,
)

START = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
PLC = "192.168.0.10"


def observation(name: str, **given: Any) -> Observation:
    at = given.pop("at", START)
    defaults: dict[str, Any] = {
        "zone": "control",
        "address": PLC,
        "port": 502,
        "transport": Transport.TCP,
        "protocol": "modbus",
        "probe": "modbus",
        "tier": Tier.IDENTIFY,
        "outcome": Outcome.ANSWERED,
        "reason": "",
        "facts": (),
        "exchanges": (f"x{name}",),
    }
    return Observation(id=name, started_at=at, finished_at=at, **{**defaults, **given})


def told(name: str, /, **given: Any) -> Observation:
    """An answer that tells an identity; keys of the identity and of the observation mixed."""
    fact = {
        key: given.pop(key) for key in tuple(given) if key in DeviceIdentity.__dataclass_fields__
    }
    return observation(name, facts=(DeviceIdentity(**fact),), **given)


def declared(**given: Any) -> Declared:
    return Declared(**{"zone": "control", "address": PLC, "name": "PLC-12", **given})


def one(observations: list[Observation], entries: list[Declared] | None = None) -> Asset:
    (found,) = assets(observations, entries or [])
    return found


# --- who is there ------------------------------------------------------------------------------


def test_an_answer_makes_an_asset_with_its_identity_and_source() -> None:
    found = one([told("o1", vendor="Siemens", model="CPU 1214C", device_class="plc")])
    assert found.id == f"control/{PLC}"
    assert found.identity == Identity(vendor="Siemens", model="CPU 1214C")
    assert found.device_class is DeviceClass.PLC
    assert found.sources == {"vendor": ("o1",), "model": ("o1",), "device_class": ("o1",)}
    assert found.presence is Presence.SEEN_AND_UNDECLARED
    assert (found.fact_sources, found.observations) == (("o1",), ("o1",))


@pytest.mark.parametrize("outcome", [Outcome.GARBLED, Outcome.REFUSED])
def test_a_responder_that_tells_nothing_is_an_asset_with_an_empty_identity(
    outcome: Outcome,
) -> None:
    found = one([observation("o1", outcome=outcome)])
    assert found.identity == Identity()
    assert found.device_class is DeviceClass.UNKNOWN


@pytest.mark.parametrize(
    "outcome", [Outcome.SILENT, Outcome.WITHHELD, Outcome.INTERRUPTED, Outcome.FAILED, Outcome.BUG]
)
def test_an_undeclared_address_that_did_not_respond_is_no_asset(outcome: Outcome) -> None:
    assert assets([observation("o1", outcome=outcome)], []) == ()


def test_on_loopback_a_refusal_is_the_local_kernel_and_proves_nobody() -> None:
    refused = observation("o1", address="127.30.0.12", outcome=Outcome.REFUSED)
    assert assets([refused], []) == ()
    found = one([refused], [declared(address="127.30.0.12")])
    assert found.presence is Presence.DECLARED_AND_SILENT


def test_the_same_address_in_two_cells_is_two_assets() -> None:
    found = assets([observation("o1", zone="cell-1"), observation("o2", zone="cell-2")], [])
    assert [asset.id for asset in found] == [f"cell-1/{PLC}", f"cell-2/{PLC}"]


def test_a_device_behind_a_device_is_a_child_of_its_own() -> None:
    gateway = observation(
        "o1",
        facts=(
            DeviceIdentity(vendor="Moxa"),
            DeviceIdentity(vendor="ABB", sub_address="unit 10"),
            DeviceIdentity(vendor="Danfoss", sub_address="unit 2", device_class="drive"),
            ModbusAccess(unit_id=1),
        ),
    )
    parent, second, tenth = assets([gateway], [])
    assert (parent.identity.vendor, parent.parent, len(parent.facts)) == ("Moxa", None, 2)
    assert (second.id, second.sub_address) == (f"control/{PLC}#unit 2", "unit 2")
    assert (second.parent, second.device_class) == (parent.id, DeviceClass.DRIVE)
    assert tenth.identity == Identity(vendor="ABB")
    assert second.services == ()


def test_further_addresses_of_a_chassis_are_the_same_asset() -> None:
    found = one(
        [
            told("o1", vendor="Siemens"),
            observation("o2", address="192.168.0.11", port=80, protocol="http", probe="http"),
        ],
        [declared(addresses=("192.168.0.11",))],
    )
    assert found.addresses == (PLC, "192.168.0.11")
    assert [service.port for service in found.services] == [80, 502]


def test_a_private_address_in_two_zones_keeps_what_each_device_told() -> None:
    cell1 = told("o1", zone="cell1", vendor="Siemens", serial="S C-1")
    cell2 = told("o2", zone="cell2", vendor="Rockwell Automation", serial="c01e335e")
    entries = [declared(zone="cell1", name="A"), declared(zone="cell2", name="B")]

    one_, other = assets([cell1, cell2], entries)

    assert (one_.id, one_.name, one_.identity.serial) == (f"cell1/{PLC}", "A", "S C-1")
    assert (other.id, other.name, other.identity.serial) == (f"cell2/{PLC}", "B", "c01e335e")
    assert one_.conflicts == other.conflicts == ()
    assert (one_.observations, other.observations) == (("o1",), ("o2",))


def test_a_further_address_counts_in_its_own_zone_only() -> None:
    chassis = declared(zone="cell1", address="192.168.0.1", addresses=(PLC,), name="A")
    answers = [told("o1", zone="cell1", serial="1"), told("o2", zone="cell2", serial="2")]

    found = assets(answers, [chassis])

    assert [(a.id, a.observations) for a in found] == [
        ("cell1/192.168.0.1", ("o1",)),
        (f"cell2/{PLC}", ("o2",)),
    ]


def test_a_chassis_is_one_asset_over_addresses_and_protocols_where_the_site_file_says_so() -> None:
    entry = declared(addresses=("192.168.0.11",))
    answers = [
        told("o1", protocol="s7comm", port=102, serial="S C-1", model="CPU 315-2 PN/DP"),
        told("o2", protocol="snmp", port=161, address="192.168.0.11", serial="S C-1"),
        told("o3", protocol="http", port=80, address="192.168.0.11", serial="S C-2"),
    ]

    found = one(answers, [entry])

    assert found.addresses == (PLC, "192.168.0.11")
    assert set(found.observations) == {"o1", "o2", "o3"}
    (conflict,) = found.conflicts
    assert (conflict.field, {value for value, _ in conflict.values}) == (
        "serial",
        {"S C-1", "S C-2"},
    )


def test_what_looks_like_one_chassis_stays_two_assets_until_the_site_file_says_so() -> None:
    answers = [
        told("o1", vendor="Siemens", serial="S C-X4U421302009"),
        told("o2", address="192.168.0.11", vendor="Siemens", serial="S C-X4U421302009"),
    ]

    assert len(assets(answers, [])) == 2


# --- how sure it is ----------------------------------------------------------------------------


def test_every_shown_field_says_how_sure_it_is() -> None:
    found = one(
        [
            told("o1", model="1769-L24ER", firmware="27.011"),
            told("o2", vendor="Rockwell Automation", device_class="plc", basis="table"),
            told("o3", name="MIXER", basis="text"),
        ]
    )

    assert found.confidence == {
        "model": "protocol", "firmware": "protocol", "vendor": "table", "device_class": "table",
        "name": "text",
    }  # fmt: skip
    assert set(found.confidence) == set(found.sources)


def test_a_longer_value_is_as_sure_as_its_own_source() -> None:
    found = one([told("o1", model="S7-1200"), told("o2", model="SIMATIC S7-1200", basis="text")])

    assert (found.identity.model, found.confidence["model"]) == ("SIMATIC S7-1200", "text")


def test_a_class_that_only_the_owner_tells_is_the_site_files_word() -> None:
    entry = declared(device_class=DeviceClass.PLC)

    assert one([observation("o1")], [entry]).confidence == {"device_class": "declared"}
    assert one([], [declared(address=None, device_class=DeviceClass.PLC)]).confidence == {
        "device_class": "declared"
    }


def test_a_vendor_from_a_table_never_displaces_one_that_the_device_told() -> None:
    found = one(
        [told("o1", vendor="Acme"), told("o2", vendor="Tridium", basis="table", probe="other")]
    )

    assert (found.identity.vendor, found.confidence["vendor"]) == ("Acme", "protocol")
    assert [conflict.values for conflict in found.conflicts] == [
        (("Acme", "o1"), ("Tridium", "o2"))
    ]


# --- whose interface it is ---------------------------------------------------------------------

MOXA, LOCAL = LinkAddress(mac="00:90:e8:01:02:03"), LinkAddress(mac="52:54:00:12:34:56")


def test_the_maker_of_an_interface_is_told_beside_its_address_and_is_no_vendor() -> None:
    found = one([observation("o1", facts=(MOXA, LOCAL))])

    assert found.interface_makers == {MOXA.mac: "MOXA TECHNOLOGIES CORP., LTD."}
    assert found.identity == Identity()
    assert found.device_class is DeviceClass.UNKNOWN


def test_the_maker_of_an_interface_contradicts_nobody() -> None:
    seen = observation("o1", facts=(DeviceIdentity(vendor="Siemens", basis="text"), MOXA))

    found = one([seen], [declared(identity=Identity(vendor="Siemens"))])

    assert found.identity.vendor == "Siemens"
    assert found.conflicts == ()
    assert found.presence is Presence.DECLARED_AND_SEEN


def test_a_device_that_only_a_list_names_has_the_maker_of_the_listed_address() -> None:
    listed = observation("o1", port=0, source="list.csv", facts=(ClaimedDevice(mac=MOXA.mac),))

    found = one([listed])

    assert found.presence is Presence.CLAIMED
    assert found.interface_makers == {MOXA.mac: "MOXA TECHNOLOGIES CORP., LTD."}


# --- the order -----------------------------------------------------------------------------------


def test_assets_come_in_the_order_of_zone_and_address_number() -> None:
    several = [observation(f"o{n}", address=f"192.168.0.{n}") for n in (100, 20, 3)]
    assert [asset.address for asset in assets(several, [])] == [
        "192.168.0.3",
        "192.168.0.20",
        "192.168.0.100",
    ]


# --- declared against seen ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcomes", "presence"),
    [
        ([Outcome.ANSWERED], Presence.DECLARED_AND_SEEN),
        ([Outcome.SILENT, Outcome.GARBLED], Presence.DECLARED_AND_SEEN),
        ([Outcome.SILENT, Outcome.REFUSED], Presence.DECLARED_AND_SEEN),
        ([Outcome.SILENT], Presence.DECLARED_AND_SILENT),
        ([Outcome.WITHHELD, Outcome.SILENT], Presence.NOT_VISITED),
        ([Outcome.SILENT, Outcome.INTERRUPTED], Presence.NOT_VISITED),
        ([Outcome.FAILED, Outcome.SILENT], Presence.NOT_VISITED),
        ([Outcome.ANSWERED, Outcome.INTERRUPTED], Presence.DECLARED_AND_SEEN),
        ([Outcome.WITHHELD], Presence.NOT_VISITED),
        ([Outcome.INTERRUPTED, Outcome.FAILED, Outcome.BUG], Presence.NOT_VISITED),
        ([], Presence.NOT_VISITED),
    ],
)
def test_presence_of_a_declared_asset(outcomes: list[Outcome], presence: Presence) -> None:
    several = [observation(f"o{n}", port=500 + n, outcome=end) for n, end in enumerate(outcomes)]
    assert one(several, [declared()]).presence is presence


@pytest.mark.parametrize("outcome", [Outcome.SILENT, Outcome.FAILED, Outcome.INTERRUPTED])
def test_who_takes_a_connection_is_there_even_if_it_says_nothing(outcome: Outcome) -> None:
    hung_up = observation("o1", outcome=outcome, connected=True)
    assert one([hung_up], [declared()]).presence is Presence.DECLARED_AND_SEEN
    assert one([hung_up]).presence is Presence.SEEN_AND_UNDECLARED


def test_an_address_that_does_not_resolve_is_silent_whatever_else_was_to_be_asked() -> None:
    first = observation("o1", outcome=Outcome.SILENT)
    rest = observation("o2", port=80, outcome=Outcome.WITHHELD, reason=NOBODY_THERE)
    assert one([first, rest], [declared()]).presence is Presence.DECLARED_AND_SILENT


def test_an_asset_without_an_address_is_kept() -> None:
    found = one([], [declared(address=None, device_class=DeviceClass.DRIVE, criticality="high")])
    assert found.id == "control/name:PLC-12"
    assert found.presence is Presence.DECLARED_WITHOUT_ADDRESS
    assert (found.device_class, found.criticality) == (DeviceClass.DRIVE, "high")


def test_a_backup_file_does_not_make_a_silent_device_seen() -> None:
    from_file = observation("o1", port=0, protocol="backup", probe="backup", source="backup:nas")
    assert reach([from_file]) == "not_visited"
    silent = observation("o2", outcome=Outcome.SILENT)
    assert one([from_file, silent], [declared()]).presence is Presence.DECLARED_AND_SILENT


@pytest.mark.parametrize(
    ("owner_says", "device_says", "presence"),
    [
        ({"vendor": "siemens "}, {"vendor": "SIEMENS\0"}, Presence.DECLARED_AND_SEEN),
        ({"model": "S7-1200"}, {"model": "SIMATIC S7-1200"}, Presence.DECLARED_AND_SEEN),
        ({"order_number": "6ES7214-1AG40"}, {"order_number": "6ES7 214-1AG40"},
         Presence.DECLARED_AND_SEEN),
        ({"firmware": "4.2"}, {"firmware": "V4.2.1"}, Presence.DECLARED_AND_SEEN),
        ({"firmware": "4.2"}, {"firmware": "14.2"}, Presence.IDENTITY_DIFFERS),
        ({"vendor": "Siemens"}, {"vendor": "Schneider Electric"}, Presence.IDENTITY_DIFFERS),
        ({"serial": "S1"}, {"vendor": "Siemens"}, Presence.DECLARED_AND_SEEN),
        ({}, {"vendor": "Siemens"}, Presence.DECLARED_AND_SEEN),
    ],
)  # fmt: skip
def test_identity_differs_only_where_both_tell_and_disagree(
    owner_says: dict[str, str], device_says: dict[str, str], presence: Presence
) -> None:
    found = one([told("o1", **device_says)], [declared(identity=Identity(**owner_says))])
    assert found.presence is presence
    assert bool(differences(Identity(**owner_says), found.identity)) == (
        presence is Presence.IDENTITY_DIFFERS
    )


def test_what_the_owner_declares_is_kept_beside_what_is_seen() -> None:
    flow = Flow(protocol="modbus", transport=Transport.TCP, port=502)
    entry = declared(identity=Identity(vendor="ABB"), expected_services=(flow,), criticality="low")
    found = one([told("o1", vendor="Siemens", name="station 1")], [entry])
    assert found.declared == Identity(vendor="ABB")
    assert found.identity.vendor == "Siemens"
    assert (found.name, found.criticality) == ("PLC-12", "low")
    assert found.expected_services == (flow,)


# --- which value is shown ----------------------------------------------------------------------


def test_a_field_made_for_the_purpose_beats_a_table_beats_text() -> None:
    found = one(
        [
            told("o1", vendor="Text", basis="text", tier=Tier.LOGIN),
            told("o2", vendor="Table", basis="table", port=503),
            told("o3", vendor="Proto", port=504),
        ]
    )
    assert found.identity.vendor == "Proto"
    (conflict,) = found.conflicts
    assert conflict.values == (("Proto", "o3"), ("Table", "o2"), ("Text", "o1"))


def test_the_order_of_the_answers_does_not_decide_which_value_is_shown() -> None:
    early, late = START, START + timedelta(hours=1)
    for first, second in ((early, late), (late, early)):
        found = one(
            [
                told("o1", firmware="1.004", at=first, port=502),
                told("o2", firmware="01.04.02", at=second, port=503),
            ]
        )
        assert found.identity.firmware == "1.004"


def test_the_deeper_tier_beats_the_gentler() -> None:
    found = one(
        [
            told("o1", model="A", firmware="1", at=START),
            told("o2", model="B", tier=Tier.READ, at=START + timedelta(hours=1)),
            told("o3", firmware="2", port=503, at=START + timedelta(hours=1)),
        ]
    )
    assert (found.identity.model, found.identity.firmware) == ("B", "1")


def test_a_longer_value_that_says_the_same_and_more_wins_without_conflict() -> None:
    found = one(
        [
            told("o1", model="CPU 1214C"),
            told("o2", model="SIMATIC S7-1200 CPU 1214C", basis="text", port=80),
        ]
    )
    assert found.identity.model == "SIMATIC S7-1200 CPU 1214C"
    assert found.sources["model"] == ("o2", "o1")
    assert found.conflicts == ()


def test_case_blanks_and_nuls_make_no_conflict() -> None:
    found = one([told("o1", vendor="Siemens"), told("o2", vendor="SIEMENS \0\0", port=503)])
    assert found.identity.vendor == "Siemens"
    assert found.conflicts == ()


def test_a_value_of_blanks_is_no_value() -> None:
    assert one([told("o1", vendor=" \0 ")]).identity.vendor is None


def test_a_class_that_nobody_knows_is_unknown() -> None:
    assert one([told("o1", device_class="toaster")]).device_class is DeviceClass.UNKNOWN


def test_a_declared_class_fills_in_and_a_differing_one_is_a_conflict() -> None:
    entry = declared(device_class=DeviceClass.PLC)
    filled = one([observation("o1")], [entry])
    assert (filled.device_class, filled.sources["device_class"]) == (DeviceClass.PLC, (DECLARED,))
    differing = one([told("o1", device_class="hmi")], [entry])
    assert differing.device_class is DeviceClass.HMI
    assert differing.conflicts[0].values == (("hmi", "o1"), ("plc", DECLARED))


def test_facts_count_only_where_the_question_was_answered() -> None:
    garbled = told("o1", vendor="Siemens", outcome=Outcome.GARBLED)
    found = one([garbled])
    assert (found.identity, found.facts) == (Identity(), ())


def test_a_service_shows_the_best_that_any_question_to_it_met() -> None:
    found = one(
        [
            observation("o1"),
            observation("o2", tier=Tier.READ, outcome=Outcome.WITHHELD, reason="window"),
            observation("o3", port=80, protocol="http", probe="http", outcome=Outcome.REFUSED),
            observation("o4", port=22, protocol="ssh", probe="ssh", outcome=Outcome.WITHHELD),
        ]
    )
    assert {(s.port, s.outcome) for s in found.services} == {
        (502, Outcome.ANSWERED),
        (80, Outcome.REFUSED),
        (22, Outcome.WITHHELD),
    }


def test_facts_keep_the_observation_they_came_from() -> None:
    face = HttpFace(scheme="http", status=200)
    found = one(
        [
            observation("o1", port=80, facts=(face, DeviceIdentity(vendor="ABB"))),
            observation("o2", port=81, facts=(face,)),
        ]
    )
    assert found.fact_sources == ("o1", "o1", "o2")
    assert found.facts[0] == found.facts[2] == face


# --- several runs ------------------------------------------------------------------------------


def test_the_newest_answer_to_a_question_wins() -> None:
    old = told("o1", firmware="1")
    new = told("o2", firmware="2", at=START + timedelta(days=1))
    assert merge([new, old]).observations == (new,)


@pytest.mark.parametrize(
    "outcome", [Outcome.WITHHELD, Outcome.INTERRUPTED, Outcome.FAILED, Outcome.BUG]
)
def test_a_night_without_an_answer_takes_nothing_away(outcome: Outcome) -> None:
    answered = told("o1", firmware="1")
    later = observation("o2", outcome=outcome, at=START + timedelta(days=1))
    assert merge([answered, later]).observations == (answered,)
    assert merge([later]).observations == (later,)


@pytest.mark.parametrize("outcome", [Outcome.SILENT, Outcome.REFUSED, Outcome.GARBLED])
def test_a_device_that_fell_silent_is_believed(outcome: Outcome) -> None:
    later = observation("o2", outcome=outcome, at=START + timedelta(days=1))
    assert merge([told("o1", firmware="1"), later]).observations == (later,)


@pytest.mark.parametrize(
    "other",
    [
        {"zone": "safety"},
        {"address": "192.168.0.11"},
        {"port": 503},
        {"transport": Transport.UDP},
        {"probe": "snmp"},
        {"tier": Tier.READ},
    ],
)
def test_different_questions_stand_side_by_side(other: dict[str, Any]) -> None:
    assert len(merge([observation("o1"), observation("o2", **other)]).observations) == 2


def test_answers_that_are_too_old_are_put_aside_and_told() -> None:
    old = observation("o1", port=501, at=START - timedelta(days=31))
    fresh = observation("o2", at=START - timedelta(days=30))
    merged = merge([old, fresh], now=START, max_age=timedelta(days=30))
    assert (merged.observations, merged.stale) == ((fresh,), (old,))


def test_ids_of_two_runs_are_told_apart() -> None:
    first = observation("o1")
    wire = Exchange(
        id="xo1",
        target=Target(zone="control", address=PLC, port=502, transport=Transport.TCP),
        probe="modbus",
        tier=Tier.IDENTIFY,
        label="identity",
        sent_at=START,
        finished_at=START,
        outcome=Outcome.ANSWERED,
        reason="",
        request=b"\1",
        reply=b"\2",
        wire_bytes_out=1,
        wire_bytes_in=1,
        sha256="",
    )
    observations, exchanges = qualified("r2", [first], [wire])
    assert observations[0].id == "o1@r2"
    assert observations[0].exchanges == (exchanges[0].id,) == ("xo1@r2",)


# --- properties --------------------------------------------------------------------------------

VALUES = st.text("aAbB1 .-", max_size=6)
IDENTITIES = st.builds(
    DeviceIdentity,
    vendor=st.none() | VALUES,
    model=st.none() | VALUES,
    firmware=st.none() | VALUES,
    sub_address=st.none() | st.sampled_from(["unit 1", "unit 2"]),
    device_class=st.none() | st.sampled_from(["plc", "hmi", "unknown", "?"]),
    basis=st.sampled_from(["protocol", "table", "text"]),
)
OBSERVATIONS = st.lists(
    st.builds(
        observation,
        st.uuids().map(str),
        address=st.sampled_from([PLC, "192.168.0.11", "127.0.0.1", "not an address"]),
        port=st.sampled_from([0, 80, 502]),
        tier=st.sampled_from(list(Tier)),
        outcome=st.sampled_from(list(Outcome)),
        facts=st.lists(IDENTITIES, max_size=2).map(tuple),
        at=st.timedeltas(timedelta(0), timedelta(days=2)).map(lambda d: START + d),
    ),
    max_size=6,
)
ENTRIES = st.sampled_from([[], [declared()], [declared(addresses=("192.168.0.11",))]])


@settings(max_examples=60)
@given(OBSERVATIONS, ENTRIES)
def test_every_value_told_is_shown_contained_or_in_conflict(
    observations: list[Observation], entries: list[Declared]
) -> None:
    for asset in assets(observations, entries):
        shown = {conflict.field: conflict.values for conflict in asset.conflicts}
        for fact in asset.facts:
            if not isinstance(fact, DeviceIdentity):
                continue
            for name in ("vendor", "model", "firmware"):
                value = (getattr(fact, name) or "").strip(" \0")
                kept = getattr(asset.identity, name)
                if value:
                    assert kept is not None
                    assert asset.sources[name]
                    assert agree(name, kept, value) or any(
                        agree(name, value, other) for other, _ in shown[name]
                    )


@settings(max_examples=60)
@given(OBSERVATIONS, ENTRIES, st.randoms(use_true_random=False))
def test_the_order_of_observations_makes_no_difference(
    observations: list[Observation], entries: list[Declared], chance: Any
) -> None:
    shuffled = list(observations)
    chance.shuffle(shuffled)
    assert assets(shuffled, entries) == assets(observations, entries)
    assert merge(shuffled) == merge(observations)


@settings(max_examples=60)
@given(OBSERVATIONS, ENTRIES)
def test_asset_ids_are_unique_and_silence_is_never_seen(
    observations: list[Observation], entries: list[Declared]
) -> None:
    found = assets(observations, entries)
    assert len({asset.id for asset in found}) == len(found)
    answered = {o.id for o in observations if o.outcome in (Outcome.ANSWERED, Outcome.GARBLED)}
    refused = {o.id for o in observations if o.outcome is Outcome.REFUSED}
    for asset in found:
        if asset.presence in (Presence.SEEN_AND_UNDECLARED, Presence.DECLARED_AND_SEEN):
            assert set(asset.observations) & (answered | refused)


@settings(max_examples=60)
@given(VALUES, VALUES, VALUES)
def test_containment_is_an_order(one: str, other: str, third: str) -> None:
    if contains("model", one, other) and contains("model", other, third):
        assert contains("model", one, third)
    assert agree("model", one, other) == agree("model", other, one)
