"""
MQTT: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET

_NAME = b"\x00\x0fwalkdown0000000"
CONNECT = b"\x10\x1b\0\4MQTT\4\2\0\x0a" + _NAME
DISCONNECT = b"\xe0\0"

WRITES: Requests = {
    "mqtt publish": ("tcp", 1883, (b"\x30\x07\0\4pump1",)),
    "mqtt subscribe": ("tcp", 1883, (b"\x82\x08\0\1\0\3a/#\0",)),
    "mqtt will": ("tcp", 1883, (b"\x10\x22\0\4MQTT\4\6\0\x0a" + _NAME + b"\0\1t\0\2of",)),
    "mqtt name": ("tcp", 1883, (b"\x10\x22\0\4MQTT\4\x82\0\x0a" + _NAME + b"\0\5admin",)),
}

SIGNING_IN: Requests = {
    "mqtt connect": ("tcp", 1883, (CONNECT,)),
}

GRANTED: Requests = {
    "mqtt connect and disconnect": ("tcp", 1883, (CONNECT, DISCONNECT)),
}

BEHIND_A_LOGIN: Requests = {
    "mqtt publish behind a login": ("tcp", 1883, (CONNECT + b"\x30\x07\0\4pump1",)),
}

HARMLESS: Requests = {
    "mqtt goodbye": ("tcp", 1883, (DISCONNECT,)),
}

FOREIGN: Foreign = {
    "HTTP to MQTT": ("tcp", 1883, GET),
}
