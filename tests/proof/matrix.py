"""
Every probe against every behaviour: one plant, scanned once, judged once, read by many promises.

The plant has a device for each kind with each behaviour of the lab's table (lab.proving); the
probes are found as the product finds them. A probe for whose service the lab has no device fails
promise 1 by name; a probe that has not met a behaviour is named too.

The small size takes, beside every kind without a fault, a share of the devices that is drawn anew
with every seed, each behaviour at least once; the full size takes all, in all variants. Where two
thousand devices at once kept a question from being put (a device that was slow under that load is
left alone), the devices that can make up for it stand once more, a few at a time.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, Final

from lab import proving
from lab.errors import LabError
from lab.faults import FAULTS
from scanner import discovery
from scanner.model import Tier, Transport
from scanner.spec import Probe
from tests.proof.ground import ground
from tests.proof.judge.verdict import QUESTIONS, Finding
from tests.proof.plants import judged, scan, standing
from tests.proof.promise import KEPT_FAULTS, Measured, Unable, Work

SMALL_SHARE: Final = 0.1
"""Of the devices with a fault, in the small size."""
VARIANT_ROUNDS: Final = 4
"""All variants of all behaviours in so many plants: a site file has at most a mebibyte."""
ROUNDS: Final = {"ci": 1, "full": VARIANT_ROUNDS}
ONCE_MORE: Final = 3
"""Rounds of the full size for the pairs that its rounds have not met."""
CROWD: Final = 50
CHASSIS_FROM: Final = 200
"""Third octet of the device with several addresses."""
NO_DEVICE: Final = "no device"
FRAGILE_EVERY: Final = 4
"""Every so many devices have profile fragile, as far as they are only identified."""


class Matrix:
    """What all rounds together came to: findings by promise, and pairs of probe and behaviour."""

    def __init__(self) -> None:
        self.findings: dict[int, Finding] = defaultdict(Finding)
        self.services: dict[str, int] = {}
        self.met: set[str] = set()
        self.struck: set[str] = set()
        """Pairs of which the device's ledger says that its fault did something."""
        self.wanted: set[str] = set()
        self.rounds = 0
        self.devices = 0

    def add(self, told: Mapping[str, Any]) -> None:
        self.rounds += 1
        self.devices += told["devices"]
        for number, finding in told["promises"].items():
            merged(self.findings[int(number)], finding)
        for service, n in told["services"].items():
            self.services[service] = self.services.get(service, 0) + n
        self.met.update(told["met"])
        self.struck.update(told["struck"])
        self.wanted.update(told["wanted"])

    @property
    def unmet(self) -> list[str]:
        """Pairs that no round has seen."""
        return sorted(pair for pair in self.wanted - self.met if not pair.startswith(NO_DEVICE))

    @property
    def without_device(self) -> list[str]:
        """Probes that could not be proved at all."""
        return sorted(pair for pair in self.wanted if pair.startswith(NO_DEVICE))


def merged(finding: Finding, told: Mapping[str, Any]) -> None:
    finding.cases += told["cases"]
    finding.bad += told["bad"]
    for name, value in told["most"].items():
        best = min if name.startswith("least ") else max
        finding.most[name] = best(value, finding.most.get(name, value))
    for name, value in told["counts"].items():
        finding.counts[name] = finding.counts.get(name, 0) + value
    finding.faults = [*finding.faults, *told["faults"]][:KEPT_FAULTS]


def whole(work: Work) -> Matrix:
    """The matrix of this run of the proof, made by whoever asks first. Raises Unable."""
    result = Matrix()
    for number in range(ROUNDS[work.size]):
        _add_round(result, work, number, ())
    if work.size == "full":
        for number in range(VARIANT_ROUNDS, VARIANT_ROUNDS + ONCE_MORE):
            if result.unmet:
                _add_round(result, work, number, result.unmet)
    return result


def _add_round(result: Matrix, work: Work, number: int, unmet: Sequence[str]) -> None:
    place = work.shared(f"matrix-{number}", partial(one_round, work, number, unmet))
    result.add(json.loads((place / "judged.json").read_text(encoding="utf-8")))


def crowd(work: Work) -> Matrix:
    """Fifty devices of one zone at once."""
    result = Matrix()
    place = work.shared("crowd", partial(_crowd, work))
    result.add(json.loads((place / "judged.json").read_text(encoding="utf-8")))
    return result


# --- making it -----------------------------------------------------------------------------------


DEEPER: Final[Mapping[str, tuple[int, ...]]] = {
    "https-login": (5,), "ssh-login": (2,), "snmp-login": (13, 14, 15, 16),
}  # fmt: skip
"""Kinds whose fault would otherwise end the visit before the login: connections (datagrams) that
identifying and reading take. How many datagrams these are depends on how often one is repeated."""
STILL_DEEPER: Final[Mapping[str, tuple[int, ...]]] = {
    "snmp-read": (3, 4), "snmp-login": tuple(range(12, 26)),
}  # fmt: skip
"""In the rounds for what was not met."""


IDENTIFIED: Final = frozenset({*QUESTIONS, "http", "telnet"})
"""Kinds of which the sound ones are only identified: all whose questions promise 13 counts, too."""


def plant(size: str, seed: int, number: int, unmet: Sequence[str] = ()) -> dict[str, Any]:
    """
    The devices of one round. Those of the full size share all variants between them, and the
    rounds after them have the devices that may meet what is `unmet` (titles of pairs).
    """
    raw = proving.plant(variants=size == "full")
    _deepen(raw, DEEPER if number < VARIANT_ROUNDS else {**DEEPER, **STILL_DEEPER})
    _reach(raw)
    _chassis(raw)
    devices, zones = raw["devices"], {zone["id"]: zone for zone in raw["zones"]}
    if size == "ci":
        devices = _some(devices, random.Random(seed))
    elif number < VARIANT_ROUNDS:
        mine = {zone["id"] for zone in raw["zones"][number::VARIANT_ROUNDS]}
        devices = [device for device in devices if device["zone"] in mine]
    else:
        devices = [device for device in devices if _may_meet(device, unmet)]
    for count, device in enumerate(devices):
        zone = zones[device["zone"]]
        identified = device["name"].split("--")[0] in IDENTIFIED
        if identified and "--normal--" in device["name"]:
            zone["tier"] = "identify"  # so that promise 13 can count what identifying takes
        elif identified and (count + number) % FRAGILE_EVERY == 0:
            zone["profile"] = "fragile"
    kept = {device["zone"] for device in devices}
    return {
        **raw, "devices": devices, "zones": [zone for zone in raw["zones"] if zone["id"] in kept],
    }  # fmt: skip


def _may_meet(device: Mapping[str, Any], unmet: Sequence[str]) -> bool:
    """Whether it has the service and the behaviour of one of these pairs."""
    _, behaviour, _ = device["name"].split("--")
    services = {str(each["protocol"]) for each in device["services"]}
    for pair in unmet:
        title, _, wanted = pair.rpartition(" with ")
        service = title.partition(" (")[0].rpartition(" on ")[2]
        if wanted == behaviour and service in services:
            return True
    return False


CHASSIS: Final = ("modbus", "s7")
"""What each address of the device that has several answers."""
ADDRESSES: Final = 3


def _chassis(raw: dict[str, Any]) -> None:
    """
    One device with several addresses, which the site file declares as one: the lab plays them one
    by one, and only the first is an asset. Each answers all that is asked, so that no refusal ends
    the visit before the last.
    """
    number = len(raw["zones"])
    third, last = divmod(number, proving.PER_NETWORK)
    zone = f"z{number}"
    addresses = [f"{proving.BASE}.{CHASSIS_FROM + third}.{1 + last + k}" for k in range(ADDRESSES)]
    model = _sound(raw, CHASSIS[0])
    home = next(one for one in raw["zones"] if one["id"] == model["zone"])
    raw["zones"].append(
        {**home, "id": zone, "name": zone, "networks": [f"{one}/32" for one in addresses],
         "probes": list(CHASSIS)}
    )  # fmt: skip
    for count, address in enumerate(addresses):
        device = deepcopy(model)
        device |= {
            "name": f"{CHASSIS[0]}--{proving.NORMAL}--chassis{count}", "zone": zone,
            "address": address,
            "services": [each for kind in CHASSIS for each in _sound(raw, kind)["services"]],
        }  # fmt: skip
        if count == 0:
            device["declared"] = {**(device["declared"] or {}), "addresses": addresses[1:]}
        else:
            device |= {"declared": None, "presence": "seen_and_undeclared"}
        raw["devices"].append(device)


def _sound(raw: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return next(d for d in raw["devices"] if d["name"] == f"{kind}--{proving.NORMAL}--0")


def _deepen(raw: dict[str, Any], deeper: Mapping[str, Sequence[int]]) -> None:
    """
    More devices for probes that are only asked after others: EtherNet/IP over TCP where the
    datagram stays unanswered, and logins after all reading went well.
    """
    zones = {zone["id"]: zone for zone in raw["zones"]}
    for device in list(raw["devices"]):
        kind, behaviour, variant = device["name"].split("--")
        if kind == "enip-tcp":
            more = deepcopy(device)
            more["faults"].append({"name": "silent", "on": ["enip"], "over": "udp"})
            more["name"] = f"enip-tcp-only--{behaviour}--{variant}"
            _stand(raw, more, zones[device["zone"]])
        elif kind in deeper and behaviour != "normal":
            for after in deeper[kind]:
                more = deepcopy(device)
                for fault in more["faults"]:
                    fault["after"] = after
                more["name"] = f"{kind}-late-{after}--{behaviour}--{variant}"
                _stand(raw, more, zones[device["zone"]])


def _stand(raw: dict[str, Any], device: dict[str, Any], like: Mapping[str, Any]) -> None:
    """The device with an address and a zone of its own, beside those that are there."""
    number = len(raw["zones"])
    third, last = divmod(number, proving.PER_NETWORK)
    device["address"] = f"{proving.BASE}.{proving.ZONES_FROM + third}.{1 + last}"
    device["zone"] = f"z{number}"
    raw["zones"].append(
        {**like, "id": device["zone"], "name": device["zone"],
         "networks": [f"{device['address']}/32"]}
    )  # fmt: skip
    raw["devices"].append(device)


def _reach(raw: dict[str, Any]) -> None:
    """
    Devices whose fault begins when a higher tier, or the second transport, is asked: for every
    service that lab.proving has no written kinds for, by what its probes say of themselves.
    """
    zones = {zone["id"]: zone for zone in raw["zones"]}
    written = {kind.replace("_", "-") for kind in proving.KINDS}
    for device in list(raw["devices"]):
        kind, behaviour, variant = device["name"].split("--")
        if kind in written:
            continue
        for words, tier, transport, after in _steps(kind):
            if not _applies(behaviour, kind, transport):
                continue
            more = deepcopy(device)
            for fault in more["faults"]:
                fault["after"] = after
                if words:
                    fault["over"] = transport
            if words:
                more["faults"].append({"name": "silent", "on": [kind], "over": "udp"})
            more["name"] = f"{kind}-{tier}-{transport}{words}-{after}--{behaviour}--{variant}"
            _stand(raw, more, {**zones[device["zone"]], "tier": tier})


def _applies(behaviour: str, service: str, transport: str) -> bool:
    return behaviour == proving.NORMAL or FAULTS[behaviour.replace("-", "_")].applies(
        service, transport
    )


STEP: Final = re.compile(r".+-(identify|read|login)-(tcp|udp)(?:-only)?-\d+")
"""The kind in the name of a device of `_reach`."""


def _steps(service: str) -> Iterator[tuple[str, str, str, int]]:
    """
    (" only" in words where the datagrams have to stay unanswered, tier, transport, connections or
    datagrams that go well first) of every step behind the first of a service.
    """
    own = [probe for probe in discovery.probes() if (probe.service or probe.name) == service]
    for probe in own:
        over_tcp = any("udp_silent" in other.needs for other in own)
        only = "-only" if over_tcp and probe.transport is Transport.TCP else ""
        before = sum(
            other.connections
            if other.transport is Transport.TCP
            else sum(question.at_most * question.packets for question in other.questions)
            for other in own
            if other.transport is probe.transport and other.tier.rank < probe.tier.rank
        )
        if probe.tier is Tier.IDENTIFY and not only:
            continue
        for after in sorted({min(before, 1), before}):
            yield only, str(probe.tier), str(probe.transport), after


def _some(devices: list[dict[str, Any]], rng: random.Random) -> list[dict[str, Any]]:
    """All without a fault, each behaviour at least once on each service's cheapest kind, a share
    of the rest; few of those that wait a minute between logins."""
    chosen: list[dict[str, Any]] = []
    seen: set[str] = set()
    for device in rng.sample(devices, len(devices)):
        kind, behaviour, _ = device["name"].split("--")
        slow = "login" in kind
        if behaviour == "normal" and not slow:
            chosen.append(device)
        elif slow:
            if behaviour == "normal" and kind in ("http-login", "telnet-login"):
                chosen.append(device)
        elif behaviour not in seen or rng.random() < SMALL_SHARE:
            seen.add(behaviour)
            chosen.append(device)
    names = {device["name"] for device in chosen}
    return [device for device in devices if device["name"] in names]


def one_round(work: Work, number: int, unmet: Sequence[str], folder: Path) -> None:
    raw = plant(work.size, work.setting.seed + number, number, unmet)
    result = _measured(work, raw, folder)
    result["met"], result["wanted"] = pairs(raw, folder / "run" / "walkdown.db")
    faulty = _struck(folder / "lab" / "ledgers")
    only = {**raw, "devices": [one for one in raw["devices"] if one["name"] in faulty]}
    result["struck"], _ = pairs(only, folder / "run" / "walkdown.db")
    _keep(result, folder)


def _crowd(work: Work, folder: Path) -> None:
    raw = proving.crowd(CROWD, base="10.78", network=0)
    # On the link itself, so that addresses are found by ARP; each address by itself, so that
    # those of the scanner and of the device side are not in the scope.
    raw["zones"][0]["networks"] = [f"{device['address']}/32" for device in raw["devices"]]
    result = _measured(work, raw, folder)
    result["met"] = result["struck"] = result["wanted"] = []
    _keep(result, folder)


def _measured(work: Work, raw: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    with ground() as place:
        with standing(place, raw, folder) as lab:
            seen = scan(place, lab, folder, work.setting.walkdown, leaving=True)
        work.say(f"scanned {len(raw['devices'])} devices (exit code {seen.code}); judging")
        judgement = judged(seen, lab)
    return {**judgement.as_dict(), "devices": len(raw["devices"]), "code": seen.code,
            "said": seen.said}  # fmt: skip


def _keep(result: dict[str, Any], folder: Path) -> None:
    """The judgement; captures and runs only where something broke."""
    (folder / "judged.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    if not any(finding["bad"] for finding in result["promises"].values()):
        for capture in folder.glob("*.pcap"):
            capture.unlink()
        shutil.rmtree(folder / "run", ignore_errors=True)


# --- which probe met which behaviour -------------------------------------------------------------


def title(probe: Probe) -> str:
    service = probe.service or probe.name
    name = probe.name if probe.name == service else f"{probe.name} on {service}"
    return f"{name} ({probe.tier}, {probe.transport})"


def pairs(raw: Mapping[str, Any], database: Path) -> tuple[list[str], list[str]]:
    """
    (pairs of probe and behaviour that happened, pairs that there have to be).

    A pair has happened when the probe asked something of a device with that behaviour; where the
    fault begins later, only what is asked in the device's last tier, and over the fault's
    transport, counts. Every probe of the product has to meet every behaviour that the table has for
    its service and transport.
    """
    devices = {str(device["address"]): device for device in raw["devices"]}
    zones = {str(zone["id"]): zone for zone in raw.get("zones", ())}
    met: set[str] = set()
    for probe, transport, service, tier, address in _asked(database):
        if (device := devices.get(address)) is None:
            continue
        _, behaviour, _ = device["name"].split("--")
        if not _begun(device, zones, behaviour, tier, transport):
            continue
        where = "" if probe == service else f" on {service}"
        met.add(f"{probe}{where} ({tier}, {transport}) with {behaviour}")
    wanted: set[str] = set()
    for probe in discovery.probes():
        service = "ssh" if probe.name == "sshconfig" else probe.service or probe.name
        try:
            proving.kinds_for(service)
        except LabError:
            wanted.add(f"{NO_DEVICE} for {title(probe)}: the lab has to learn {service}")
            continue
        for behaviour in FAULTS.values():
            if behaviour.applies(service, str(probe.transport)):
                wanted.add(f"{title(probe)} with {behaviour.name.replace('_', '-')}")
        wanted.add(f"{title(probe)} with normal")
    return sorted(met), sorted(wanted)


def _begun(
    device: Mapping[str, Any], zones: Mapping[str, Any], behaviour: str, tier: str, transport: str
) -> bool:
    """Whether the device's fault is for this question."""
    named = [f for f in device.get("faults", ()) if f["name"] == behaviour.replace("-", "_")]
    own = [fault for fault in named if fault.get("over") in (None, transport)]
    if named and not own:
        return False
    if not any(fault.get("after") for fault in own):
        return True
    if made := STEP.fullmatch(str(device["name"]).split("--")[0]):
        return (tier, transport) == made.groups()
    declared = (device.get("declared") or {}).get("tier")
    return tier == (declared or zones[device["zone"]]["tier"])


def _struck(folder: Path) -> set[str]:
    """Names of the devices whose ledger counts something that their fault did."""
    return {
        path.stem
        for path in folder.glob("*--*--*.json")
        if json.loads(path.read_text(encoding="utf-8"))["faults"]
    }


def _asked(database: Path) -> Iterator[tuple[str, str, str, str, str]]:
    """(probe, transport, service, tier, address) of every question that was put."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        passed = set(
            connection.execute(
                "SELECT address, transport, probe, tier FROM exchanges"
                " WHERE wire_out > 0 OR wire_in > 0"
            )
        )
        for (text,) in connection.execute("SELECT body FROM observations"):
            told = json.loads(text)
            key = (told["address"], told["transport"], told["probe"], told["tier"])
            if told["outcome"] != "withheld" or key in passed:  # or withheld in between
                yield (
                    told["probe"], told["transport"], told["protocol"], told["tier"],
                    told["address"],
                )  # fmt: skip


# --- reading it ----------------------------------------------------------------------------------


def measured(
    finding: Finding, value: str, *, passed: bool = True, note: str = "", cases: int | None = None
) -> Measured:
    """A promise's result from the judge's finding. Without a case it has not been measured."""
    cases = finding.cases if cases is None else cases
    if not cases:
        raise Unable("nothing was captured that this promise is about")
    return Measured(
        passed=passed and not finding.bad, value=value, cases=cases, bad=finding.bad,
        faults=tuple(finding.faults[:KEPT_FAULTS]), note=note,
    )  # fmt: skip
