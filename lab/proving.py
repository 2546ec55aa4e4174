"""
Plants to prove with: every kind of device with every behaviour of the fault table.

    from lab import proving
    raw = proving.plant()                              # all kinds x all behaviours that apply
    raw = proving.plant(["modbus"], ["silent", "drip"], base="127.45")
    raw = proving.crowd(50)                            # one zone of 50 devices
    path = proving.write(raw, folder / "plant.json")
    control.up(str(path), folder, now=..., networks=[proving.NETWORK], prefix=(...), within_s=60)

or, in a namespace of one's own:

    ip netns exec NAME python -m lab serve plant.json FOLDER --now ... --network 10.77.0.0/16

The start writes FOLDER/site.yaml with authorisation and window around `now`, secrets, host keys
and, as for every plant, ledgers. A plant is plain data (as a plant file holds it), so a caller may
still change it. Its devices are those of the shipped plants, each in a zone of its own, so that a
circuit breaker of one does not touch the others; `note` of a device says what it proves, and its
name is KIND--BEHAVIOUR--VARIANT.

`KINDS` says which device stands for which probe, and after how many good connections its fault
begins, so that the identify, the read and the login step each meet it. `kinds_for(service)` finds
the kinds of a service, and makes one of a shipped device where none is written here: a probe for
a new emulator needs nothing in this file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from lab import frames
from lab.errors import LabError
from lab.faults import FAULTS, given
from lab.faults.base import Behaviour
from lab.frames import PROTOCOLS
from lab.ledger import write_json
from lab.plant import PLANTS, STANDARD_PORTS, TRANSPORTS

BASE = "10.77"
NETWORK = f"{BASE}.0.0/16"
NORMAL = "normal"
"""The behaviour that is none: the control of every proof."""
PER_NETWORK = 250
KEPT = ("vendor", "model", "class", "consent", "login", "dnp3_addresses", "dnp3_master")
"""Of what a plant file declares of a device: who it is, and without what it does not answer."""
FIRST = "harbour"
"""The plant whose devices KINDS names."""
ZONES_FROM = 1
"""Third octet of the first device; 10.77.0.x is left to whoever builds the network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """
    One kind of device. `shipped` is a device of a shipped plant, of which `services` stay: its
    name, or PLANT/NAME where a plant before it (`harbour` is first) has a device of that name.

    The fault is on `target`; `after` connections (datagrams) of it go well first. `probes` are
    the only ones asked, `tier` is what they are allowed.
    """

    name: str
    shipped: str
    target: str
    services: tuple[str, ...]
    probes: tuple[str, ...]
    tier: str
    after: int = 0
    over: str | None = None
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """{protocol: settings} that are put over the shipped ones."""


def _kind(
    name: str,
    shipped: str,
    target: str,
    *,
    also: tuple[str, ...] = (),
    probes: tuple[str, ...] | None = None,
    tier: str = "read",
    after: int = 0,
    over: str | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> Kind:
    return Kind(
        name=name,
        shipped=shipped,
        target=target,
        services=(target, *also),
        probes=probes or ("http" if target == "https" else target, *also),
        tier=tier,
        after=after,
        over=over,
        settings=settings or {},
    )


# `after` follows the order in which a scan asks: identify, read, login, each on connections of its
# own; tests/integration/test_proving.py sees to it that every kind's fault is met.
KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        _kind("modbus", "PLC-11", "modbus"),
        _kind("modbus_read", "PLC-11", "modbus", after=1),
        _kind("umas", "COIL-1", "umas", probes=("modbus", "umas"), after=2),
        _kind("s7", "PLC-12", "s7"),
        _kind("s7_read", "PLC-12", "s7", after=1),
        _kind("s7plus", "SAW-1", "s7plus", probes=("s7", "s7plus"), after=2),
        _kind("enip", "PLC-14", "enip"),
        _kind("enip_tcp", "PLC-14", "enip", over="tcp"),
        _kind("snmp", "SW-CTL", "snmp"),
        _kind("snmp_read", "SW-CTL", "snmp", after=2),
        _kind("snmp_login", "FW-1", "snmp", tier="login", after=9),
        _kind("http", "GW-17", "http"),
        _kind("https", "GW-17", "https"),
        _kind("https_read", "GW-17", "https", after=1),
        _kind("http_login", "SW-CTL", "http", also=("snmp",), tier="login", after=1),
        _kind("https_login", "FW-1", "https", also=("snmp",), tier="login", after=4),
        _kind("ssh", "HIST-1", "ssh", tier="identify"),
        _kind("ssh_read", "HIST-1", "ssh", after=1),
        _kind("ssh_login", "SW-RING", "ssh", also=("snmp",), tier="login", after=2),
        _kind("sshconfig_linux", "JUMP-1", "ssh", probes=("ssh", "sshconfig"), after=2),
        _kind("sshconfig_ios", "SW-SUP", "ssh", probes=("ssh", "sshconfig"), after=2),
        _kind("nport", "machine/FILL-2", "nport"),
        _kind("nport_read", "machine/FILL-3", "nport", after=1),
        _kind("telnet", "SW-FIELD", "telnet"),
        _kind("telnet_login", "UPS-1", "telnet", also=("snmp",), tier="login", after=1),
    )
}


def _shipped() -> dict[str, dict[str, Any]]:
    """Every device of the shipped plants as its plant file has it, by what `Kind.shipped` says."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(PLANTS.glob("*.yaml"), key=lambda each: (each.stem != FIRST, each.stem)):
        for device in _devices(path):
            name = str(device["name"])
            found[f"{path.stem}/{name}" if name in found else name] = device
    return found


@cache
def _devices(path: Path) -> list[dict[str, Any]]:
    """A plant file's devices, for all who ask: to be copied before they are changed."""
    raw = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    return list(raw["devices"])


def kinds_for(service: str, shipped: Mapping[str, dict[str, Any]] | None = None) -> list[Kind]:
    """
    The kinds whose faults are on `service`, by its protocol's name in a plant file.

    Where none is written in KINDS, one is made of the first shipped device that speaks it, on its
    standard port and not frail if there is such a one (frailty does not come along), asked by its
    own probe alone. Raises LabError where no shipped device does: then the lab lacks an emulator.
    """
    written = [kind for kind in KINDS.values() if kind.target == service]
    if written:
        return written
    devices = _shipped() if shipped is None else shipped
    speaking = [
        (bool(device.get("frailty")), "port" in each, name)
        for name, device in devices.items()
        for each in device.get("services", ())
        if str(each["protocol"]) == service
    ]
    if speaking:
        name = min(speaking, key=lambda each: each[:2])[2]
        known = frames.protocol(service)
        declared = devices[name].get("declared") or {}
        return [
            Kind(
                name=service, shipped=name, target=service, services=(service,),
                probes=((known.probe if known else "") or service,),
                tier="login" if declared.get("tier") == "login" else "read",
            )
        ]  # fmt: skip
    raise LabError(f"no shipped plant has a device that speaks {service}")


def all_kinds() -> list[Kind]:
    """Those of KINDS, and one for every protocol that a shipped device speaks beside them."""
    shipped = _shipped()
    kinds = list(KINDS.values())
    for service in STANDARD_PORTS:
        if not any(kind.target == service for kind in kinds):
            kinds += kinds_for(service, shipped)
    return kinds


def behaviours_for(kind: Kind) -> list[Behaviour]:
    """What the table has for a kind's service, over any of its transports."""
    transports = TRANSPORTS.get(kind.target, ("tcp",))
    chosen = [kind.over] if kind.over else transports
    return [
        each for each in FAULTS.values() if any(each.applies(kind.target, over) for over in chosen)
    ]


def plant(
    kinds: Iterable[str | Kind] | None = None,
    behaviours: Iterable[str] | None = None,
    *,
    base: str = BASE,
    variants: bool = False,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    profile: str = "default",
    normal: bool = True,
) -> dict[str, Any]:
    """
    One device for each kind with each behaviour that applies to it, each in its own zone.

    None stands for all. `behaviours` may name "normal". With `variants` each behaviour comes in
    all its variants, else in the first. `parameters` are put over a behaviour's own, by its name
    (say {"rogue": {"canaries": [...]}}). `normal` adds each kind without a fault. `base` are the
    first two octets of the addresses: "10.77", or "127.45" on loopback.
    """
    shipped = _shipped()
    chosen = [
        KINDS[each] if isinstance(each, str) and each in KINDS else each
        for each in (all_kinds() if kinds is None else kinds)
    ]
    wanted = None if behaviours is None else set(behaviours)
    if wanted is not None and (unknown := wanted - set(FAULTS) - {NORMAL}):
        raise LabError(f"there is no fault {', '.join(sorted(unknown))}")
    builder = _Builder(base=base, profile=profile)
    for each in chosen:
        if isinstance(each, str):
            raise LabError(f"there is no kind of device {each!r}")
        if normal or (wanted is not None and NORMAL in wanted):
            builder.add(each, shipped[each.shipped], NORMAL, {}, 0)
        for behaviour in behaviours_for(each):
            if wanted is not None and behaviour.name not in wanted:
                continue
            for number, variant in enumerate(
                behaviour.variants if variants else behaviour.variants[:1]
            ):
                over = dict((parameters or {}).get(behaviour.name, {}))
                builder.add(
                    each, shipped[each.shipped], behaviour.name, {**variant, **over}, number
                )
    return builder.raw("Proving ground")


def crowd(
    count: int,
    *,
    base: str = BASE,
    network: int = 200,
    kind: str = "modbus",
    faults: Sequence[Mapping[str, Any]] = (),
    profile: str = "default",
) -> dict[str, Any]:
    """So many devices of one kind in ONE zone, base.network.0/24. `count` is at most 250."""
    if not 1 <= count <= PER_NETWORK:
        raise LabError(f"a crowd has 1 to {PER_NETWORK} devices, not {count}")
    device = _shipped()[KINDS[kind].shipped]
    builder = _Builder(base=base, profile=profile)
    zone = builder.zone("crowd", f"{base}.{network}.0/24", KINDS[kind])
    for number in range(1, count + 1):
        name = f"crowd-{number}"
        builder.stand(
            KINDS[kind], device, name, zone, f"{base}.{network}.{number}", "one of many", faults
        )
    return builder.raw("Crowd")


def write(raw: Mapping[str, Any], path: Path) -> Path:
    """The plant as a JSON file for control.up or `lab serve`."""
    write_json(path, raw)
    return path


def ledgers(folder: Path) -> dict[str, dict[str, Any]]:
    """What the devices of a plant that ran in `folder` saw, by device; the totals are left out."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((folder / "ledgers").glob("*.json"))
        if path.stem != "totals"
    }


class _Builder:
    def __init__(self, *, base: str, profile: str) -> None:
        self._base = base
        self._profile = profile
        self._zones: list[dict[str, Any]] = []
        self._devices: list[dict[str, Any]] = []

    def add(
        self,
        kind: Kind,
        shipped: Mapping[str, Any],
        behaviour: str,
        parameters: Mapping[str, Any],
        number: int,
    ) -> None:
        name = f"{kind.name}--{behaviour}--{number}".replace("_", "-")
        index = len(self._zones)
        address = f"{self._base}.{ZONES_FROM + index // PER_NETWORK}.{1 + index % PER_NETWORK}"
        if ZONES_FROM + index // PER_NETWORK > 199:
            raise LabError("a proving plant has room for 49,750 devices")
        zone = self.zone(f"z{index}", f"{address}/32", kind)
        faults: list[dict[str, Any]] = []
        note = "answers as it should"
        if behaviour != NORMAL:
            faults.append(
                {
                    "name": behaviour,
                    "on": [kind.target],
                    "over": kind.over,
                    "after": kind.after,
                    **parameters,
                }
            )
            note = FAULTS[behaviour].meaning
        self.stand(kind, shipped, name, zone, address, note, faults)

    def zone(self, name: str, network: str, kind: Kind) -> str:
        zone = {
            "id": name,
            "name": name,
            "networks": [network],
            "sl_t": 1,
            "tier": "read" if kind.tier == "login" else kind.tier,
            "profile": self._profile,
        }
        if kind.probes:
            zone["probes"] = list(kind.probes)
        known = PROTOCOLS.get(kind.target)
        if known is not None and known.opt_in:
            zone["ports"] = {kind.target: known.port}
        self._zones.append(zone)
        return name

    def stand(
        self,
        kind: Kind,
        shipped: Mapping[str, Any],
        name: str,
        zone: str,
        address: str,
        note: str,
        faults: Sequence[Mapping[str, Any]],
    ) -> None:
        for fault in faults:
            given(name, fault)
        declared = {
            key: value
            for key, value in deepcopy(dict(shipped.get("declared") or {})).items()
            if key in KEPT
        }
        if kind.tier == "login":
            declared |= {"tier": "login", "consent": ["cleartext"]}
        if "sshconfig" not in kind.probes:
            declared.pop("login", None)
        services = []
        for service in deepcopy(list(shipped["services"])):
            if service["protocol"] in kind.services:
                services.append({**service, **kind.settings.get(service["protocol"], {})})
        self._devices.append(
            {
                "name": name,
                "zone": zone,
                "address": str(IPv4Address(address)),
                "note": " ".join(note.split()),
                "declared": declared,
                "services": services,
                "faults": [dict(each) for each in faults],
                "truth": {},
            }
        )

    def raw(self, site: str) -> dict[str, Any]:
        return {"plant": "proving", "site": site, "zones": self._zones, "devices": self._devices}
