"""The SNMP probe: recordings of real agents, hostile bytes, and what it says to whom."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyasn1.codec.ber import decoder, encoder
from pysnmp.proto import api
from pysnmp.proto.rfc1905 import NoSuchObject

from probes import snmp, snmptables
from scanner.errors import BadReply, Silent
from scanner.facts import CredentialAttempt, DeviceIdentity, SnmpAccess
from scanner.model import DeviceClass
from scanner.spec import DefaultCredential, Secret
from tests.probes.ledger import Ledger

V1, V2C = 0, 1
MODULES = {V1: api.PROTOCOL_MODULES[0], V2C: api.PROTOCOL_MODULES[1]}


class Agent:
    """
    Answers as an agent with the given scalars would, through pysnmp's codec (not ours).

    `versions` are those it speaks; `communities` those it accepts; `lacks` makes SNMPv1 refuse.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        *,
        versions: tuple[int, ...] = (V1, V2C),
        communities: tuple[bytes, ...] = (b"public",),
        discovery: bytes | None = None,
    ) -> None:
        self.values = values
        self.versions = versions
        self.communities = communities
        self.discovery = discovery
        self.asked: list[tuple[int, bytes, tuple[str, ...]]] = []

    def __call__(self, request: bytes | None) -> bytes:
        assert request is not None
        version = int(api.decodeMessageVersion(request))
        if version == 3:
            self.asked.append((3, b"", ()))
            if self.discovery is None:
                raise Silent("no SNMPv3")
            return _with_message_id(self.discovery, _message_id(request))
        module = MODULES[version]
        message, rest = decoder.decode(request, asn1Spec=module.Message())
        assert not rest
        community = bytes(module.apiMessage.get_community(message))
        pdu = module.apiMessage.get_pdu(message)
        names = tuple(str(name) for name, _ in module.apiPDU.get_varbinds(pdu))
        self.asked.append((version, community, names))
        if version not in self.versions or community not in self.communities:
            raise Silent("not answered")
        reply = module.apiMessage.get_response(message)
        reply_pdu = module.apiMessage.get_pdu(reply)
        missing = [i for i, name in enumerate(names, 1) if name not in self.values]
        if version == V1 and missing:
            module.apiPDU.set_error_status(reply_pdu, 2)
            module.apiPDU.set_error_index(reply_pdu, missing[0])
        else:
            found = [(name, self.values.get(name, NoSuchObject(""))) for name in names]
            module.apiPDU.set_varbinds(reply_pdu, found)
        return bytes(encoder.encode(reply))


def _message_id(message: bytes) -> bytes:
    """The msgID element of one of our discoveries (small, so one byte)."""
    at = message.index(b"\x02\x01\x03") + 5
    return message[at : at + 3]


def _with_message_id(recorded: bytes, message_id: bytes) -> bytes:
    """A recorded Report with its msgID replaced by one of ours, lengths mended."""
    body = recorded[2:]
    assert body[:3] == b"\x02\x01\x03"
    header_length = body[4]
    header, behind = body[5 : 5 + header_length], body[5 + header_length :]
    header = message_id + header[2 + header[1] :]
    body = body[:3] + bytes((0x30, len(header))) + header + behind
    assert len(body) < 128
    return bytes((0x30, len(body))) + body


def text(value: str) -> Any:
    return api.PROTOCOL_MODULES[1].OctetString(value)


def oid(value: str) -> Any:
    return api.PROTOCOL_MODULES[1].ObjectIdentifier(value)


def ask(replay: Any, agent: Agent, **kwargs: Any) -> tuple[Any, ...]:
    return asyncio.run(snmp.run(replay(snmp.PROBE, agent, **kwargs)))


def of(facts: tuple[Any, ...], kind: type) -> Any:
    return next((fact for fact in facts if isinstance(fact, kind)), None)


# --- recordings ----------------------------------------------------------------------------------


def recorded_values(record: dict[str, Any]) -> dict[str, Any]:
    """Every scalar in the recorded replies, decoded by pysnmp."""
    values: dict[str, Any] = {}
    module = MODULES[V2C]
    for exchange in record["exchanges"]:
        message, _ = decoder.decode(
            bytes.fromhex(exchange["response_hex"]), asn1Spec=module.Message()
        )
        for name, value in module.apiPDU.get_varbinds(module.apiMessage.get_pdu(message)):
            values[str(name)] = value
    return values


def folded(value: str | None) -> str:
    """Case, blanks and a leading V do not make two values different."""
    return re.sub(r"\s+", " ", value or "").casefold().strip().removeprefix("v").strip()


VENDORS = {
    "abbups": None, "advantech": "Advantech", "apc": "APC", "aprisa": "4RF",
    "deltaups": "Delta Electronics", "hirschmann": "Hirschmann", "huawei-smu": None,
    "ios": "Cisco", "iosxe": "Cisco", "mbg-ltos6": "Meinberg", "moxa-eds-4000-series": "Moxa",
    "moxa-etherdevice": "Moxa", "ntron": "N-Tron", "planetos": "PLANET",
    "raritan-pdu": "Raritan", "rutos": "Teltonika", "rutos-2xx": "Teltonika",
    "scalance": "Siemens", "sixnet": "Sixnet", "stulz": "Stulz",
    "etherwan": "EtherWAN", "lantronix-uds": "Lantronix", "moxa-nport": "Moxa",
    "perle": "Perle", "wipipe": "Cradlepoint",
}  # fmt: skip
"""
The maker behind a recording's operating-system label. None: the reply has only the number and the
name of the Net-SNMP agent, so that whoever names a maker guesses.
"""


def test_every_recorded_agent_is_identified_as_labelled(captures: Path, replay: Any) -> None:
    """Recall at least 95 % and precision 100 %, per field, over all recorded agents."""
    expected = found = 0
    wrong: list[str] = []
    missed: list[str] = []
    files = sorted(captures.glob("snmp__*.json"))
    assert len(files) >= 25
    for file in files:
        record = json.loads(file.read_text())
        facts = record["facts"]
        labels = facts["librenms_labels"]
        identity = of(ask(replay, Agent(recorded_values(record))), DeviceIdentity)
        reply = folded(facts["sysDescr"])
        name = labels.get("os") or file.stem.removeprefix("snmp__snmp_")
        wanted = {
            "vendor": VENDORS[name],
            "model": labels.get("hardware"),
            "firmware": labels.get("version"),
        }
        for field, value in wanted.items():
            got = getattr(identity, field) if identity else None
            if field != "vendor":
                # LibreNMS falls back to processor and kernel where it does not know the device.
                in_reply = value and folded(value) in reply and not reply.startswith("linux ")
                in_reply = in_reply or (value == "RUT240")
                value = value if in_reply else None
                if value is None and got is not None:
                    # A model or version that the label lacks must at least stand in the reply,
                    # or be registered for this sysObjectID.
                    known = snmp.object_id_rows().get(facts["sysObjectID"])
                    if folded(got) not in reply and not (known and known.model == got):
                        wrong.append(f"{file.stem}: {field} {got!r} is nowhere in the reply")
                    continue
            if value is None:
                if got is not None:
                    wrong.append(f"{file.stem}: {field} {got!r} was guessed")
                continue
            expected += 1
            if got is None:
                missed.append(f"{file.stem}: {field} {value!r}")
            elif folded(value) in folded(got) or folded(got) in folded(value):
                found += 1
            else:
                wrong.append(f"{file.stem}: {field} {got!r} instead of {value!r}")
    assert not wrong
    assert found >= 0.95 * expected, missed


@pytest.mark.parametrize("name", ["aruba_enterprise14823", "cisco_enterprise9"])
def test_engine_discovery_tells_the_recorded_engine(captures: Path, replay: Any, name: str) -> None:
    record = json.loads((captures / f"snmpv3__{name}.json").read_text())
    agent = Agent({}, versions=(), discovery=bytes.fromhex(record["exchanges"][0]["response_hex"]))

    facts = ask(replay, agent)

    access = of(facts, SnmpAccess)
    assert access.versions == ("3",)
    assert access.community is None
    assert access.engine_id == record["facts"]["engine_id"]
    assert access.enterprise == record["facts"]["enterprise"]
    assert of(facts, DeviceIdentity).vendor == record["facts"]["vendor"].split(" (")[0]


# Labels that name an operating system or a family, which are no model of a device.
NOT_MODELS = frozenset({
    "linux", "solaris", "vxworks", "windows ce", "windows 7", "windows 10", "ios-xe", "catos",
    "nx-os", "nam", "scm manager module", "unknown", "meraki ms", "digital unix", "wlse",
})  # fmt: skip


def test_every_labelled_sysdescr_is_read_as_labelled(captures: Path) -> None:
    """Recall at least 95 % and precision 100 %, per field, over 175 banners of real products."""
    items = [
        item
        for item in json.loads((captures / "banners.json").read_text())["items"]
        if item["kind"] == "snmp_sysdescr"
    ]
    assert len(items) >= 170
    counts = {"vendor": [0, 0], "model": [0, 0], "firmware": [0, 0]}
    wrong: list[str] = []
    for item in items:
        labels, banner = item["labels"], item["banner"]
        identity = snmp.identify({snmp.SYS_DESCR: banner.encode()})
        wanted = {
            "vendor": [labels.get("hw.vendor"), labels.get("os.vendor")],
            "model": [labels.get(f"{k}.{f}") for k in ("hw", "os") for f in ("model", "product")],
            "firmware": [labels.get("hw.version")]
            + [labels.get("os.version" + ".version" * depth) for depth in range(3)],
        }
        for field, values in wanted.items():
            good = {folded(value) for value in values if value}
            got = folded(getattr(identity, field)) if identity else ""
            if field == "model":
                good -= NOT_MODELS
                # Only what stands in the reply can be read from it.
                good = {value for value in good if value in folded(banner)}
            if field == "vendor" and folded(banner).startswith("vxworks"):
                good = set()  # the operating system's maker, not the device's
            if good:
                counts[field][1] += 1
            fits = any(value in got or got in value for value in good) if got else False
            counts[field][0] += bool(good and fits)
            if got and not fits and got not in folded(banner) and got != "solaris":
                wrong.append(f"{banner[:60]!r}: {field} {got!r} instead of {good}")
            if got and good and not fits and field != "model":
                wrong.append(f"{banner[:60]!r}: {field} {got!r} instead of {good}")
    assert not wrong
    for field, (found, all_of_them) in counts.items():
        assert found >= 0.95 * all_of_them, f"{field}: {found} of {all_of_them}"
        assert all_of_them >= 100


# --- what is asked -------------------------------------------------------------------------------

SCALANCE = {
    snmp.SYS_DESCR: text(
        "Siemens, SIMATIC NET, SCALANCE XC206-2SFP, 6GK5 206-2BS00-2AC2, HW: Version 3, "
        "FW: Version V04.02.00, SVPM8100001"
    ),
    snmp.SYS_OBJECT_ID: oid("1.3.6.1.4.1.4329.6.1.2.1.2"),
    snmp.SYS_UP_TIME: api.PROTOCOL_MODULES[1].TimeTicks(123456),
    snmp.SYS_NAME: text("sw-1"),
    snmp.SYS_LOCATION: text("hall 3"),
}


def test_an_agent_that_answers_v2c_is_asked_once_and_then_for_its_engine(replay: Any) -> None:
    agent = Agent(SCALANCE)

    facts = ask(replay, agent)

    assert [asked[0] for asked in agent.asked] == [V2C, 3]
    access = of(facts, SnmpAccess)
    assert access.versions == ("2c",)
    assert (access.community, access.uptime_s, access.enterprise) == ("public", 1234, 4329)
    assert of(facts, DeviceIdentity) == DeviceIdentity(
        vendor="Siemens",
        model="SCALANCE XC206-2SFP",
        order_number="6GK5 206-2BS00-2AC2",
        hardware="3",
        firmware="V04.02.00",
        serial="SVPM8100001",
        name="sw-1",
        device_class=DeviceClass.SWITCH,
        basis="text",
    )


def test_v1_is_spoken_only_when_v2c_stayed_silent(replay: Any) -> None:
    agent = Agent(SCALANCE, versions=(V1,))

    facts = ask(replay, agent)

    assert [asked[0] for asked in agent.asked] == [V2C, V1, 3]
    assert of(facts, SnmpAccess).versions == ("1",)
    assert of(facts, DeviceIdentity).model == "SCALANCE XC206-2SFP"


def test_an_old_agent_that_lacks_a_scalar_is_asked_for_two_alone(replay: Any) -> None:
    values = {k: v for k, v in SCALANCE.items() if k in (snmp.SYS_DESCR, snmp.SYS_OBJECT_ID)}
    agent = Agent(values, versions=(V1,))

    facts = ask(replay, agent)

    assert [asked[0] for asked in agent.asked] == [V2C, V1, V1, 3]
    assert agent.asked[2][2] == (snmp.SYS_DESCR, snmp.SYS_OBJECT_ID)
    assert of(facts, DeviceIdentity).vendor == "Siemens"


def test_public_is_never_sent_where_the_site_forbids_it(replay: Any) -> None:
    agent = Agent(SCALANCE)

    with pytest.raises(Silent):
        ask(replay, agent, options={"snmp_public": False})

    assert [asked[0] for asked in agent.asked] == [3]


def test_an_agent_that_refuses_public_is_silent_not_absent(replay: Any) -> None:
    with pytest.raises(Silent):
        ask(replay, Agent(SCALANCE, communities=(b"secret",)))


def test_nonsense_is_told_as_nonsense(replay: Any) -> None:
    def answer(request: bytes | None) -> bytes:
        if request and request[4] == 3:
            raise Silent("no v3")
        return b"HTTP/1.1 400 Bad Request\r\n\r\n"

    with pytest.raises(BadReply):
        asyncio.run(snmp.run(replay(snmp.PROBE, answer)))


def test_what_v2c_told_stays_when_v3_is_garbled(replay: Any) -> None:
    agent = Agent(SCALANCE)

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        return b"\x30\x00" if request[4] == 3 else agent(request)

    facts = asyncio.run(snmp.run(replay(snmp.PROBE, answer)))

    assert of(facts, SnmpAccess).versions == ("2c",)


def test_a_generic_agent_is_no_identity(replay: Any) -> None:
    """Net-SNMP's number and a kernel's name say what software answers, not what device it is."""
    values = {
        snmp.SYS_DESCR: text("Linux gateway 5.10.0 #1 SMP x86_64"),
        snmp.SYS_OBJECT_ID: oid("1.3.6.1.4.1.8072.3.2.10"),
    }

    assert of(ask(replay, Agent(values)), DeviceIdentity) is None


@pytest.mark.parametrize(
    ("descr", "number", "expected"),
    [
        ("Socomec NETYS PR 3000, FW: 2.14", 4555, ("Socomec", "NETYS PR 3000", "2.14")),
        ("CyberPower RMCARD205 firmware version 1.3.6", 3808, ("CyberPower", "RMCARD205", "1.3.6")),
        ("Rittal firmware V3.15", 2606, ("Rittal", None, "3.15")),
        ("Zyxel switch", 890, ("Zyxel", None, None)),
        ("Some text, firmware 9.9", 4555, ("Socomec", None, None)),
    ],
)
def test_a_maker_without_a_known_form_is_read_behind_its_own_name(
    replay: Any, descr: str, number: int, expected: tuple[str | None, ...]
) -> None:
    values = {
        snmp.SYS_DESCR: text(descr),
        snmp.SYS_OBJECT_ID: oid(f"1.3.6.1.4.1.{number}.1"),
    }

    identity = of(ask(replay, Agent(values)), DeviceIdentity)

    assert (identity.vendor, identity.model, identity.firmware) == expected


# --- login ---------------------------------------------------------------------------------------


PRIVATE = DefaultCredential(
    id="siemens-scalance-snmp", vendor="Siemens", product="SCALANCE", protocol="snmp", user="",
    secret=Secret("private"),
)  # fmt: skip


def log_in(replay: Any, agent: Agent, ledger: Ledger) -> tuple[Any, Any]:
    session = replay(
        snmp.LOGIN_PROBE, agent, default_credentials=(PRIVATE,), attempts=ledger,
        known=(SnmpAccess(versions=("2c",), community="public"),),
    )  # fmt: skip
    facts = asyncio.run(snmp.run_login(session))
    communities = [fact.community for fact in facts if isinstance(fact, SnmpAccess)]
    fact = of(facts, CredentialAttempt)
    assert communities == (["private"] if fact.accepted and not fact.control_accepted else [])
    return fact, session


def test_a_default_community_that_answers_is_accepted_and_its_control_is_not(replay: Any) -> None:
    agent = Agent(SCALANCE, communities=(b"private",))

    fact, session = log_in(replay, agent, Ledger(2))

    assert (fact.accepted, fact.control_accepted, fact.withheld) == (True, False, None)
    assert [asked[1] for asked in agent.asked] == [b"private", b"walkdown-no-such-community"]
    assert fact.account == snmp.ACCOUNT
    assert "private" not in repr(fact)
    (start, end), *_ = session.secrets[0]
    assert session.sent[0][start:end] == b"private"


def test_an_agent_that_takes_any_community_is_found_by_the_control(replay: Any) -> None:
    agent = Agent(SCALANCE, communities=(b"private", b"walkdown-no-such-community"))

    fact, _ = log_in(replay, agent, Ledger(2))

    assert (fact.accepted, fact.control_accepted) == (True, True)


def test_a_refused_community_has_no_control(replay: Any) -> None:
    agent = Agent(SCALANCE, communities=())
    ledger = Ledger(2)

    fact, _ = log_in(replay, agent, ledger)

    assert (fact.accepted, fact.control_accepted) == (False, None)
    assert len(agent.asked) == 1
    assert [end[1] for end in ledger.ends] == [False]


def test_without_room_in_the_ledger_no_community_is_sent(replay: Any) -> None:
    agent = Agent(SCALANCE, communities=(b"private",))

    fact, _ = log_in(replay, agent, Ledger(0))

    assert fact.withheld == "ledger"
    assert fact.accepted is None
    assert agent.asked == []


# --- tables --------------------------------------------------------------------------------------


def test_rows_that_do_not_fit_a_table_are_left_out() -> None:
    values: dict[str, snmp.Value] = {
        "1.3.6.1.2.1.2.2.1.2.1": b"eth0",
        "1.3.6.1.2.1.2.2.1.2.1.7": b"not an interface",
        "1.3.6.1.2.1.2.2.1.2": b"no index",
        "1.3.6.1.2.1.2.2.1.6.1": bytes(6),
        "1.3.6.1.2.1.2.2.1.8.1": 7,
        "1.0.8802.1.1.2.1.4.1.1.5.1.2": b"short index",
        "1.0.8802.1.1.2.1.4.2.1.3.1.2.3.1.4.10.0.0": 2,
    }

    (interface,) = snmptables.interfaces_of(values)

    assert interface.name == "eth0"
    assert (interface.mac, interface.oper_up) == (None, None)
    assert snmptables.neighbours_of(values) == ()


def test_of_two_revisions_the_one_that_is_known_counts() -> None:
    def row(software: str, firmware: str) -> dict[str, snmp.Value]:
        entry = snmptables.ENT_PHYSICAL
        return {f"{entry}.10.1": software.encode(), f"{entry}.9.1": firmware.encode()}

    siemens = row("6.2.0", "V04.02.00.00_06.01.56")

    known = snmptables.chassis_of(1, siemens, ("V04.02.00",))
    unknown = snmptables.chassis_of(1, siemens)
    single = snmptables.chassis_of(1, row("17.3.1", ""))

    assert known is not None
    assert known.firmware == "V04.02.00"
    assert unknown is None
    assert single is not None
    assert single.firmware == "17.3.1"


# --- hostile bytes -------------------------------------------------------------------------------

VALID = snmp.encode_get(V2C, "public", snmp.SYSTEM_GROUP, 2)[0].replace(b"\xa0Q", b"\xa2Q", 1)


def total(decode: Any, *arguments: Any) -> None:
    with suppress(BadReply):
        decode(*arguments)


@settings(max_examples=400)
@given(st.binary(max_size=300))
def test_any_bytes_decode_or_raise_bad_reply(data: bytes) -> None:
    total(snmp.decode_message, data)
    total(snmp.decode_varbinds, data)
    total(snmp.decode_oid, data)
    total(snmp.answer_framer(2), data)
    for tag in (0x02, 0x04, 0x06, 0x41, 0x46, 0x80):
        total(snmp.decode_value, tag, data)


@settings(max_examples=400)
@given(at=st.integers(0, len(VALID) - 1), value=st.integers(0, 255), cut=st.integers(0, 120))
def test_a_damaged_answer_decodes_or_raises_bad_reply(at: int, value: int, cut: int) -> None:
    assert isinstance(snmp.decode_message(VALID), snmp.Response)
    damaged = bytearray(VALID)
    damaged[at] = value
    total(snmp.decode_message, bytes(damaged)[:cut])
    total(snmp.decode_message, bytes(damaged))


@given(st.dictionaries(st.sampled_from(snmp.SYSTEM_GROUP), st.binary(max_size=80)))
def test_any_scalars_give_facts(values: dict[str, bytes]) -> None:
    response = snmp.Response(
        version=1, community=b"public", request_id=2, error_status=0, values=values
    )
    facts = snmp.facts_of(response, None)

    assert of(facts, SnmpAccess).community == "public"


@given(
    st.dictionaries(
        st.lists(st.integers(0, 300), min_size=1, max_size=8).map(
            lambda n: "1.0.8802.1.1.2.1.4." + ".".join(map(str, n))
        ),
        st.one_of(st.binary(max_size=8), st.integers(-5, 2**40), st.just("1.3")),
        max_size=12,
    )
)
def test_any_table_rows_give_facts(values: dict[str, snmp.Value]) -> None:
    snmptables.neighbours_of(values)
    snmptables.interfaces_of(
        {k.replace("1.0.8802.1.1.2.1.4", "1.3.6.1.2.1.2"): v for k, v in values.items()}
    )
    index = snmptables.chassis_index(values)
    assert index is None
    snmptables.chassis_of(1, values)


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20))
def test_object_identifiers_survive_the_round_trip(numbers: list[int]) -> None:
    dotted = ".".join(map(str, (1, 3, *numbers)))

    assert snmp.decode_oid(snmp.encode_oid(dotted)[2:]) == dotted


def test_an_object_identifier_of_more_numbers_than_any_has_is_a_bad_reply() -> None:
    assert snmp.decode_oid(b"\x2b" + b"\x01" * 126).count(".") == 127
    with pytest.raises(BadReply):
        snmp.decode_oid(b"\x2b" + b"\x01" * 127)


def test_an_object_identifier_that_is_longer_than_any_text_is_not_told() -> None:
    long = "1.3.6.1.4.1." + ".".join(["4294967295"] * 60)
    response = snmp.Response(
        version=1, community=b"public", request_id=2, error_status=0,
        values={snmp.SYS_OBJECT_ID: long},
    )  # fmt: skip

    assert of(snmp.facts_of(response, None), SnmpAccess).object_id is None


@pytest.mark.parametrize("tail", ["", "x", "٣", "²", "99999999999", "9\x00"])
def test_an_enterprise_that_is_no_number_is_none(tail: str) -> None:
    assert snmp.enterprise_of_object_id("1.3.6.1.4.1." + tail) is None


@given(st.integers(0, 2**31 - 1))
def test_integers_are_written_as_pyasn1_writes_them(value: int) -> None:
    from pyasn1.type.univ import Integer

    assert snmp.encode_integer(value) == bytes(encoder.encode(Integer(value)))


def test_no_hostile_text_makes_a_pattern_slow() -> None:
    seeds = (
        "Siemens, ", "A", "a b ", "1.", "Lantronix X ", "APC A (MB:", "Cisco IOS Software ", "-",
        "Westermo a,", "Digi One ", "COMPAQ ", "Hirschmann A", "6AV2 ", "SunOS a ",
    )  # fmt: skip
    started = time.monotonic()
    for seed in seeds:
        for tail in ("a", " ", "1", "(", ",", "V1.", "x y "):
            hostile = (seed + tail * snmp.MAX_TEXT)[: snmp.MAX_TEXT]
            snmp.identity_from_descr(hostile, None)
    assert (time.monotonic() - started) / (len(seeds) * 7) < 0.1


@pytest.mark.parametrize(
    ("descr", "told"),
    [
        (
            "Summit300-48 - Version 7.4e.1 (Build 5) by Release_Master 05/27/05 04:53:11",
            {"vendor": "Extreme Networks", "model": "Summit300-48", "firmware": "7.4e.1"},
        ),
        (
            "ProCurve J8762A Switch 2600-8-PWR, revision H.08.89, ROM H.08.5X (/sw/code/build)",
            {"vendor": "HP", "model": "2600-8-PWR", "order_number": "J8762A",
             "firmware": "H.08.89"},
        ),
        ("Siemens AG SIMATIC S7 MULTIPORT SCALANCE X 200 FAM", {"vendor": "Siemens"}),
    ],
)  # fmt: skip
def test_switches_that_announce_themselves_are_read(descr: str, told: dict[str, str]) -> None:
    expected = DeviceIdentity(**told, device_class="switch", basis="text")

    assert snmp.identity_from_descr(descr, None) == expected


@pytest.mark.parametrize(
    "descr",
    [
        "Summit meeting room - Version 7",
        "My ProCurve J8762A Switch 2600-8-PWR, revision H.08.89",
        "ProCurve manager, revision 3",
    ],
)
def test_texts_that_only_resemble_a_switch_s_name_none(descr: str) -> None:
    assert snmp.identity_from_descr(descr, None) is None


# --- the tables ----------------------------------------------------------------------------------


def test_every_row_names_its_source_and_known_device_classes() -> None:
    classes = {str(c) for c in DeviceClass}
    for row in snmp.descr_rows():
        assert row.source
        assert {row.device_class or "other", *(name for _, name in row.classes)} <= classes
        assert set(row.pattern.groupindex) <= set(snmp.IDENTITY_FIELDS)
    for enterprise in snmp.enterprises().values():
        assert enterprise.source
        assert (enterprise.device_class or "other") in classes
    for product in snmp.object_id_rows().values():
        assert product.source
        number = snmp.enterprise_of_object_id(product.object_id)
        assert number in snmp.enterprises()


def test_the_plan_shows_every_request_and_what_it_leaves_behind() -> None:
    for probe in (snmp.PROBE, snmp.LOGIN_PROBE):
        for question in probe.questions:
            assert question.label
            assert question.sample or probe is snmp.LOGIN_PROBE
    assert "authenticationFailure" in snmp.PROBE.questions[0].trace


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (snmp.encode_tlv(0x30, snmp.encode_integer(2)), "version 2"),
        (snmp.encode_tlv(0x30, snmp.encode_tlv(2, bytes(9))), "version of 9 bytes"),
        (b"\x3f\x00", "multi-byte tag"),
        (b"\x30\x80", "length form"),
        (b"\x30\x05\x00", "announced"),
        (b"\x04\x00", "instead of 0x30"),
    ],
)
def test_a_bad_reply_says_what_is_wrong(message: bytes, words: str) -> None:
    with pytest.raises(BadReply, match=words):
        snmp.decode_message(message)


def test_an_engine_id_shorter_or_longer_than_allowed_is_a_bad_reply() -> None:
    t, i = snmp.encode_tlv, snmp.encode_integer

    def report(engine: bytes) -> bytes:
        security = t(0x30, t(4, engine) + i(1) + i(2) + t(4, b"") * 3)
        return t(0x30, i(3) + t(0x30, i(4)) + t(4, security))

    assert isinstance(snmp.decode_message(report(bytes(5))), snmp.Report)
    for engine in (b"", bytes(4), bytes(33)):
        with pytest.raises(BadReply, match="engine id"):
            snmp.decode_message(report(engine))


def test_a_number_of_more_bytes_than_a_counter_has_is_a_bad_reply() -> None:
    assert snmp.decode_value(0x46, b"\x00" + b"\xff" * 8) == 2**64 - 1
    for body in (b"", bytes(10)):
        with pytest.raises(BadReply, match="number of"):
            snmp.decode_value(0x46, body)


def test_more_variables_than_any_question_had_are_a_bad_reply() -> None:
    def bindings(count: int) -> bytes:
        return b"".join(
            snmp.encode_tlv(0x30, snmp.encode_oid(f"1.3.6.{n}") + snmp.encode_integer(n))
            for n in range(count)
        )

    assert len(snmp.decode_varbinds(bindings(256))) == 256
    with pytest.raises(BadReply, match="more than 256"):
        snmp.decode_varbinds(bindings(257))


async def test_a_version_3_message_to_another_question_is_no_answer(replay: Any) -> None:
    """Whoever answers a community question in version 3, or a discovery in version 2c, lies."""
    t, i = snmp.encode_tlv, snmp.encode_integer
    security = t(0x30, t(4, bytes(5)) + i(1) + i(2) + t(4, b"") * 3)
    asked_2c = t(0x30, i(3) + t(0x30, i(2)) + t(4, security))
    pdu = t(0xA2, i(4) + i(0) + i(0) + t(0x30, b""))
    discovery = t(0x30, i(1) + t(4, b"public") + pdu)

    def answer(request: bytes | None) -> bytes:
        assert request is not None
        return asked_2c if request[4] == 1 else discovery

    with pytest.raises(BadReply, match="version 3 answered a question without it"):
        await snmp.run(replay(snmp.PROBE, answer))
