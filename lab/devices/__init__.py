"""Emulators, one module per kind of service; each stands on a third-party server or codec."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

from lab.bench import Bench, Server
from lab.devices import (
    enip_device,
    ios_switch,
    linux_host,
    modbus_device,
    s7_controller,
    snmp_agent,
    telnet_console,
    web_panel,
)

KINDS: Mapping[str, Callable[[Bench], Awaitable[Server]]] = MappingProxyType(
    {
        "modbus": modbus_device.serve,
        "s7": s7_controller.serve,
        "enip": enip_device.serve,
        "snmp": snmp_agent.serve,
        "http": web_panel.serve,
        "https": web_panel.serve,
        "ssh_linux": linux_host.serve,
        "ssh_ios": ios_switch.serve,
        "telnet": telnet_console.serve,
    }
)

SHAREABLE: Mapping[str, Callable[[Mapping[str, Any]], bool]] = MappingProxyType(
    {"snmp": snmp_agent.shareable}
)
"""Emulators of which devices with equal settings may have one between them, if this says so."""
