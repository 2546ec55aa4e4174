"""
MQTT in TLS; what is inside is told by tshark where the key log opened it.

Sources: as for TLS on other ports (https.py); RFC 8446, section 5.1.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.grammar import https
from tests.proof.judge.grammar.form import Grammar

GRAMMAR: Final = Grammar(
    protocol="mqtts",
    read=https.read,
    ports=(("tcp", 8883),),
    ics=False,
    client_speaks_first=True,
    dissector="tls",
    inside_tls="mqtt",
    codes={"tls.handshake.type": "tls {}"},
    writes_nothing="what would write is MQTT inside TLS, opened by the key log and judged as MQTT",
)
