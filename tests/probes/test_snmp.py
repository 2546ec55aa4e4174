"""The SNMP probe: recordings of real agents, hostile bytes, and what it says to whom."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyasn1.codec.ber import decoder, encoder
from pysnmp.proto import api
from pysnmp.proto.rfc1905 import NoSuchObject

from probes import snmp
from scanner.errors import BadReply, Closed, Silent, WireError
from scanner.facts import CredentialAttempt, DeviceIdentity, SnmpAccess
from scanner.model import DeviceClass
from scanner.spec import DefaultCredential, Secret

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
