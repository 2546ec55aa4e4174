"""BACnet/IP: a recorded device's single reads, made answers to several, refusals, tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import probes.bacnet
from scanner.facts import BacnetAccess, ServiceAccess
from tests.fuzz import mutate
from tests.fuzz.seeds.form import captured, remembered
from tests.fuzz.session import Dialogue

FOREIGN = ("Sequence[Value]",)


def dialogues(captures: Path) -> Iterator[Dialogue]:
    from tests.probes import test_bacnet as made

    recorded = _recorded(captures)
    table = b"\x81\x03\x00\x0e" + bytes([10, 1, 2, 3, 0xBA, 0xC0, 255, 255, 255, 255])
    foreign = b"\x81\x07\x00\x0e" + bytes([10, 9, 9, 9, 0xBA, 0xC1, 0, 60, 0, 45])
    bindings = b"\xc4" + made.device_id(29) + b"\x21\x03\x61\x1d"
    devices = {
        "several": made.Device(),
        "no table": made.Device(tables={2: b"\x81\x00\x00\x06\x00\x20"}),
        "router and BBMD": made.Device(
            bindings=bindings,
            behind={probes.bacnet.Station(3, b"\x1d"): made.Device()},
            tables={2: table, 6: foreign},
        ),
        "no wildcard": made.Device(wildcard=False),
        "recorded": made.Device(recorded),
        "recorded, one by one": made.Device(recorded, multiple=False),
    }
    for name, device in devices.items():
        yield Dialogue(name=name, probe=probes.bacnet.PROBE, answer=remembered(device))
        access = BacnetAccess(instance=made.INSTANCE)
        multiple = "answered" if device.multiple else "refused"
        told = ServiceAccess(protocol="bacnet", details=(("ReadPropertyMultiple", multiple),))
        yield Dialogue(
            name=f"{name}, read",
            probe=probes.bacnet.READ_PROBE,
            answer=remembered(device),
            known=(access, told),
        )


def recordings(captures: Path) -> Iterator[Dialogue]:
    from tests.probes import test_bacnet as made

    (record,) = captured(captures, "bacnet__lithonia_*.json")
    device = made.Device(_recorded(captures), multiple=False)
    access = BacnetAccess(instance=made.INSTANCE)
    told = ServiceAccess(protocol="bacnet", details=(("ReadPropertyMultiple", "refused"),))
    for probe, known in ((probes.bacnet.PROBE, ()), (probes.bacnet.READ_PROBE, (access, told))):
        yield Dialogue(name=record["id"], probe=probe, answer=remembered(device), known=known)


def _recorded(captures: Path) -> dict[int, bytes]:
    """The values that a real device told, as it tagged them."""
    (record,) = captured(captures, "bacnet__lithonia_*.json")
    found = {}
    for exchange in record["exchanges"]:
        reply = bytes.fromhex(exchange["response_hex"])
        at = reply.find(b"\x3e", 20)
        if reply[10:11] == b"\x30" and at > 0 and reply[18:19] == b"\x19":
            found[reply[19]] = reply[at + 1 : -1]
    return found


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """What follows the service choice is damaged; the BVLC length is mended or not."""
    at = 9 if data[5:6] == b"\x00" else 13
    body = mutate.blind(rng, data[at:], mutate.bodies(others, at))[:1400]
    length = at + len(body) if rng.random() < 0.9 else rng.choice(mutate.WIDE)
    return data[:2] + (length & 0xFFFF).to_bytes(2, "big") + data[4:at] + body
