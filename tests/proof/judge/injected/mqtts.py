"""
MQTT in TLS: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.https import CLIENT_HELLO
from tests.proof.judge.injected.mqtt import CONNECT

HARMLESS: Requests = {
    "mqtts hello": ("tcp", 8883, (CLIENT_HELLO,)),
}

FOREIGN: Foreign = {
    "MQTT without TLS": ("tcp", 8883, CONNECT),
}
