"""MQTT: the recorded CONNACK, refusals of both versions, and the TLS end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import probes.mqtt
from tests.fuzz.seeds.form import ROOT, captured, script
from tests.fuzz.session import Dialogue

OURS = {"probes.mqtt.accepted": "takes a code that was decoded"}


def dialogues(captures: Path) -> Iterator[Dialogue]:
    recorded = [
        bytes.fromhex(exchange["response_hex"])
        for record in captured(captures, "mqtt__*.json")
        for exchange in record["exchanges"]
    ]
    version_5 = b"\x20\x03\x00\x84\x00"
    for said in (*recorded, b"\x20\x02\x00\x05", b"\x20\x02\x01\x00", version_5):
        for probe in (probes.mqtt.LOGIN_PROBE, probes.mqtt.TLS_LOGIN_PROBE):
            yield Dialogue(name="connack", probe=probe, answer=script(said))
    der = (ROOT / "tests" / "fuzz" / "data" / "ec.der").read_bytes()
    yield Dialogue(name="tls", probe=probes.mqtt.TLS_PROBE, answer=script(), certificate=der)
