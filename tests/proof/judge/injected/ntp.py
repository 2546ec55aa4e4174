"""
NTP: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from tests.proof.judge.injected import snmp
from tests.proof.judge.injected.form import Foreign, Requests

CLIENT = b"\x23" + bytes(39) + b"12345678"

WRITES: Requests = {
    "ntp monlist": ("udp", 123, (bytes.fromhex("1700032a00000000"),)),
    "ntp write variable": ("udp", 123, (bytes.fromhex("160300010000000000000004") + b"a=b\0",)),
    "ntp configure": ("udp", 123, (bytes.fromhex("160800010000000000000004") + b"fuzz",)),
    "ntp set trap": ("udp", 123, (bytes.fromhex("160600010000000000000000"),)),
    "ntp association": ("udp", 123, (b"\x21" + CLIENT[1:],)),
    "ntp broadcast": ("udp", 123, (b"\x25" + CLIENT[1:],)),
}

HARMLESS: Requests = {
    "ntp client": ("udp", 123, (CLIENT,)),
    "ntp variables": ("udp", 123, (bytes.fromhex("160200010000000000000007") + b"version\0",)),
}

FOREIGN: Foreign = {
    "SNMP to NTP": ("udp", 123, snmp.HARMLESS["snmp get"][2][0]),
}
