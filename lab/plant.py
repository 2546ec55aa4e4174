"""
A plant as data: its zones, devices and services, and the truth that a scan is measured against.

`load` reads plants/NAME.yaml (or any path) into frozen values; a plant file with a mistake gives
a LabError that names the device. Services keep their settings as a mapping: each emulator
documents its own.

A plant file has, at the top: `site`, `zones` and `conduits` (as in a site file), `policy`,
`backups`, `attestations` with `documents`, `truth` (`shared`, `conduits`, `levels`,
`requirements`, `network`), `network` (see lab.cabling), `home` and `devices`. A device has `name`,
`zone`, `address` (null: none), `note` (a sentence for the reader of the site file), `declared`
(what the plant's own list says, in the words of a site file; null: not on the list), `backup`
{age_days, content, manifest}, `frailty` {dies_of, max_requests_per_s, min_reconnect_s}, `faults`
(a list: ways in which it misbehaves, see lab.faults; `walkdown lab` never ships a plant with
them), `presence`, `services` and `truth` {class, identity, optional, findings, behind}. `behind`
says of devices behind it, by sub-address ("slot 3"), what a scan may learn of them, each with
`class`, `identity` and `optional`; without it they are not scored. For example

    faults:
      - {name: drip, interval_s: 4}
      - {name: reset_at_byte, n: 7, on: [modbus], after: 1}

A plant may also be a JSON file with the same content, which is read much faster.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lab import cabling, frames
from lab.errors import LabError
from lab.faults import Given, given
from lab.frames import PROTOCOLS
from lab.ledger import CAUSES, Frailty

PLANTS = Path(__file__).parent / "plants"

STANDARD_PORTS: Mapping[str, int] = MappingProxyType(
    {name: known.port for name, known in PROTOCOLS.items()}
)
TRANSPORTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {name: known.transports for name, known in PROTOCOLS.items()}
)
"""Both as lab.frames has them."""


def asked_ports() -> dict[str, int]:
    """STANDARD_PORTS without those that a scan asks only where it is told to."""
    return {name: port for name, port in STANDARD_PORTS.items() if not is_opt_in(name)}


def is_opt_in(protocol: str) -> bool:
    known = frames.protocol(protocol)
    return known is not None and known.opt_in


HIGH_PORT_OFFSET = 20_000
"""Added to every port where low ports are not free to an ordinary user."""


def shifted(port: int, offset: int) -> int:
    """A port with the plant's offset; one that would leave the range stays where it is."""
    return port + offset if port + offset <= 65535 else port


HOME_OCTET = 30
"""Of a plant that names no other as its `home`."""

PRESENCES = frozenset(
    {
        "declared_and_seen",
        "declared_and_silent",
        "seen_and_undeclared",
        "identity_differs",
        "declared_without_address",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """
    One protocol on its standard port, or on the `port` of its entry in the plant file.

    `emulator` names the kind in lab.devices.
    """

    protocol: str
    emulator: str
    port: int
    transports: tuple[str, ...]
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """
    What a right assessment says of one device.

    `identity` maps a field to its equally good readings; `optional` fields may be missing from
    the assessment. `device_classes` empty: the class cannot be told. `findings` are ids of the
    checks that fail, complete. `behind` by sub-address, complete; None: nothing is said of them.
    """

    identity: Mapping[str, tuple[str, ...]]
    optional: frozenset[str]
    device_classes: tuple[str, ...]
    presence: str
    findings: frozenset[str]
    behind: Mapping[str, Truth] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """`declared` None: not on the plant's own list. `backup` None: nobody saves it."""

    name: str
    zone: str
    address: str | None
    note: str
    declared: Mapping[str, Any] | None
    backup: Mapping[str, Any] | None
    frailty: Frailty
    services: tuple[Service, ...]
    truth: Truth
    faults: tuple[Given, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    name: str
    second_octet: int
    site: str
    zones: tuple[Mapping[str, Any], ...]
    conduits: tuple[Mapping[str, Any], ...]
    policy: Mapping[str, Any]
    backups: Mapping[str, Any]
    attestations: tuple[Mapping[str, Any], ...]
    documents: Mapping[str, str]
    devices: tuple[Device, ...]
    shared_findings: tuple[Mapping[str, Any], ...] = field(default=())
    """{check, devices}: findings of the whole site that name several devices."""
    conduit_findings: tuple[Mapping[str, Any], ...] = field(default=())
    """{check, conduit}."""
    levels: tuple[Mapping[str, Any], ...] = field(default=())
    """{zone, fr, at_least}: lower bounds that SL-A low has to reach."""
    requirements: tuple[Mapping[str, Any], ...] = field(default=())
    """{zone or conduit, ids, verdict}: requirement verdicts that the plant decides."""
    placements: tuple[Mapping[str, Any], ...] = field(default=())
    """{device, certainty, switch, port, mac}: where a device hangs; `mac` where it has several."""
    links: tuple[tuple[str, ...], ...] = field(default=())
    """Device, port, device, port of each cable that is to be found."""
    dual_homed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Device to the zones in which it has a leg."""
    outside: tuple[str, ...] = field(default=())
    """Addresses in no zone that stand in devices' tables."""

    def device(self, name: str) -> Device:
        for device in self.devices:
            if device.name == name:
                return device
        raise LabError(f"plant {self.name} has no device {name!r}")


def names() -> tuple[str, ...]:
    """The plants that ship with Walkdown."""
    return tuple(sorted(path.stem for path in PLANTS.glob("*.yaml")))


_HOME = re.compile(r"^home: (\d{1,3})$", re.MULTILINE)


def load(name: str | Path, *, second_octet: int | None = None) -> Plant:
    """
    A shipped plant by name, or a plant file by path (also as text that ends in .yaml or .json).

    A plant lives in 127.HOME.0.0/16, its `home` being 30 where the file names no other; another
    `second_octet` moves all its addresses, so that two can stand side by side. Raises LabError.
    """
    if second_octet is not None and not 1 <= second_octet <= 255:
        raise LabError(f"127.{second_octet}.0.0/16 is not a network for a plant; use 1 to 255")
    if isinstance(name, str) and name.endswith((".yaml", ".json")):
        name = Path(name)
    path = name if isinstance(name, Path) else PLANTS / f"{name}.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        known = ", ".join(names())
        raise LabError(f"there is no plant {str(name)!r}; shipped plants: {known}") from error
    told = _HOME.search(text)
    home = int(told[1]) if told else HOME_OCTET
    second_octet = home if second_octet is None else second_octet
    try:
        moved = text.replace(f"127.{home}.", f"127.{second_octet}.")
        if path.suffix == ".json":
            raw = json.loads(moved)
        else:
            raw = YAML(typ="safe", pure=True).load(moved)
    except (YAMLError, ValueError) as error:
        raise LabError(f"{path.name} is not valid {path.suffix[1:].upper()}: {error}") from error
    try:
        return parse(raw, path.stem, second_octet=second_octet)
    except (KeyError, TypeError, AttributeError) as error:
        raise LabError(f"{path.name}: {type(error).__name__} {error}") from error


def parse(raw: Mapping[str, Any], name: str, *, second_octet: int = HOME_OCTET) -> Plant:
    """A plant from the data of a plant file. Raises LabError, KeyError, TypeError on mistakes."""
    truth = raw.get("truth", {})
    devices = _cabled(tuple(_device(entry) for entry in raw["devices"]), raw.get("network", {}))
    seen_network = truth.get("network", {})
    seen: set[str] = set()
    for device in devices:
        for key in (device.name, device.address):
            if key is not None and key in seen:
                raise LabError(f"{device.name}: {key} is given twice in the plant file")
            seen.update({key} if key else ())
    return Plant(
        name=str(raw.get("plant", name)),
        second_octet=second_octet,
        site=str(raw["site"]),
        zones=tuple(raw["zones"]),
        conduits=tuple(raw.get("conduits", ())),
        policy=raw.get("policy", {}),
        backups=raw.get("backups", {}),
        attestations=tuple(raw.get("attestations", ())),
        documents={str(k): str(v) for k, v in raw.get("documents", {}).items()},
        devices=devices,
        shared_findings=tuple(truth.get("shared", ())),
        conduit_findings=tuple(truth.get("conduits", ())),
        levels=tuple(truth.get("levels", ())),
        requirements=tuple(truth.get("requirements", ())),
        placements=tuple(seen_network.get("placements", ())),
        links=tuple(tuple(map(str, row)) for row in seen_network.get("links", ())),
        dual_homed={
            str(name): tuple(zones) for name, zones in seen_network.get("dual_homed", {}).items()
        },
        outside=tuple(map(str, seen_network.get("outside", ()))),
    )


def _cabled(devices: tuple[Device, ...], network: Mapping[str, Any]) -> tuple[Device, ...]:
    """The same devices; their SNMP services tell of the plant's cables."""
    if not network:
        return devices
    interfaces = {
        device.name: list(service.settings.get("interfaces", ()))
        for device in devices
        for service in device.services
        if service.protocol == "snmp"
    }
    own = {device.name: device.address for device in devices if device.address is not None}
    told = cabling.told(network, interfaces, own)
    return tuple(
        replace(
            device,
            services=tuple(
                replace(service, settings={**service.settings, **told[device.name]})
                if service.protocol == "snmp"
                else service
                for service in device.services
            ),
        )
        for device in devices
    )


def _device(raw: Mapping[str, Any]) -> Device:
    name = str(raw["name"])
    presence = str(raw.get("presence", "declared_and_seen"))
    if presence not in PRESENCES:
        raise LabError(f"{name}: unknown presence {presence!r}")
    return Device(
        name=name,
        zone=str(raw["zone"]),
        address=None if raw.get("address") is None else str(raw["address"]),
        note=str(raw.get("note", "")),
        declared=raw.get("declared"),
        backup=raw.get("backup"),
        frailty=_frailty(name, raw.get("frailty", {})),
        services=tuple(_service(entry) for entry in raw.get("services", ())),
        truth=_truth(raw["truth"], presence),
        faults=tuple(given(name, entry) for entry in raw.get("faults", ())),
    )


def _truth(raw: Mapping[str, Any], presence: str) -> Truth:
    behind: Mapping[str, Mapping[str, Any]] | None = raw.get("behind")
    return Truth(
        identity={
            str(key): tuple(str(v) for v in _several(value))
            for key, value in raw.get("identity", {}).items()
        },
        optional=frozenset(raw.get("optional", ())),
        device_classes=tuple(str(c) for c in _several(raw.get("class", ()))),
        presence=presence,
        findings=frozenset(raw.get("findings", ())),
        behind=None
        if behind is None
        else {str(place): _truth(one, presence) for place, one in behind.items()},
    )


def _frailty(name: str, raw: Mapping[str, Any]) -> Frailty:
    causes = frozenset(raw.get("dies_of", ()))
    if unknown := causes - CAUSES:
        raise LabError(f"{name}: a device cannot die of {', '.join(sorted(unknown))}")
    return Frailty(
        dies_of=causes,
        max_requests_per_s=int(raw.get("max_requests_per_s", 1_000_000)),
        min_reconnect_s=float(raw.get("min_reconnect_s", 0.0)),
    )


def _service(raw: Mapping[str, Any]) -> Service:
    settings = dict(raw)
    protocol = str(settings.pop("protocol"))
    emulator = str(settings.pop("emulator", protocol))
    port = int(settings.pop("port", STANDARD_PORTS[protocol]))
    return Service(
        protocol=protocol,
        emulator=emulator,
        port=port,
        transports=TRANSPORTS.get(protocol, ("tcp",)),
        settings=settings,
    )


def _several(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else (value,)
