"""
A run against the truth: recall and precision of identities, presence, findings, levels and
requirement verdicts.

Reads an assessment.json as plain data, and nothing else of the product. What the truth does not
know of is a false statement: an asset nobody planted, a field the device does not tell, a failed
check that was not planted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.ledger import totals
from lab.plant import Device, Plant, Truth

FIELDS = (
    "vendor", "model", "order_number", "hardware", "firmware", "serial", "name", "device_class",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    One line of the score: `right` of `expected` were found, and `false` were said besides.

    The shares are None where nothing was to be found or nothing was said.
    """

    part: str
    name: str
    expected: int
    right: int
    false: int

    @property
    def recall(self) -> float | None:
        return self.right / self.expected if self.expected else None

    @property
    def precision(self) -> float | None:
        said = self.right + self.false
        return self.right / said if said else None

    @property
    def perfect(self) -> bool:
        return self.right == self.expected and self.false == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """`missed` and `false` are sentences, one for each difference from the truth."""

    plant: str
    rows: tuple[Row, ...]
    missed: tuple[str, ...]
    false: tuple[str, ...]

    @property
    def perfect(self) -> bool:
        return all(row.perfect for row in self.rows)


class _Tally:
    """Counts by (part, name), with the sentences that go with them."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], list[int]] = {}
        self.missed: list[str] = []
        self.false: list[str] = []

    def found(self, part: str, name: str) -> None:
        self._add(part, name, 1, 1, 0)

    def miss(self, part: str, name: str, sentence: str) -> None:
        self._add(part, name, 1, 0, 0)
        self.missed.append(sentence)

    def wrong(self, part: str, name: str, sentence: str) -> None:
        self._add(part, name, 0, 0, 1)
        self.false.append(sentence)

    def _add(self, part: str, name: str, *numbers: int) -> None:
        counts = self._counts.setdefault((part, name), [0, 0, 0])
        for position, number in enumerate(numbers):
            counts[position] += number

    def rows(self) -> tuple[Row, ...]:
        return tuple(
            Row(part=part, name=name, expected=expected, right=right, false=false)
            for (part, name), (expected, right, false) in self._counts.items()
        )


def score(assessment: Mapping[str, Any], plant: Plant) -> Score:
    """Compare one assessment with a plant's truth. Raises LabError when it is no assessment."""
    try:
        tally = _Tally()
        assets = _assets_by_device(assessment, plant, tally)
        for device in plant.devices:
            _presence(device, assets.get(device.name), tally)
        for device in plant.devices:
            _identity(device.name, device.truth, assets.get(device.name), tally)
        _behind(assessment, plant, tally)
        _findings(assessment, plant, tally)
        _levels(assessment, plant, tally)
        _requirements(assessment, plant, tally)
        _network(assessment, plant, tally)
    except (KeyError, TypeError, AttributeError) as error:
        raise LabError(
            f"this is not a Walkdown assessment ({type(error).__name__} {error}); "
            "give the assessment.json of a finished run"
        ) from error
    return Score(
        plant=plant.name,
        rows=tally.rows(),
        missed=tuple(tally.missed),
        false=tuple(tally.false),
    )


def _key(zone: object, address: object, name: object) -> str:
    return f"{zone}/{address}" if address else f"{zone}/name:{name}"


def _devices_by_key(plant: Plant) -> dict[str, Device]:
    return {_key(d.zone, d.address, d.name): d for d in plant.devices}


def _assets_by_device(
    assessment: Mapping[str, Any], plant: Plant, tally: _Tally
) -> dict[str, Mapping[str, Any]]:
    """The asset that stands for each device; devices behind a device are no part of it."""
    devices = _devices_by_key(plant)
    found: dict[str, Mapping[str, Any]] = {}
    for asset in assessment["assets"]:
        if asset.get("sub_address"):
            continue
        device = devices.get(_key(asset["zone"], asset["address"], asset.get("name")))
        if device is None:
            tally.wrong("presence", "asset", f"an asset that is not there: {asset['id']}")
        else:
            found[device.name] = asset
    return found


def _presence(device: Device, asset: Mapping[str, Any] | None, tally: _Tally) -> None:
    expected = device.truth.presence
    said = asset["presence"] if asset else "not listed"
    if said == expected:
        tally.found("presence", expected)
    else:
        tally.miss("presence", expected, f"{device.name}: presence {expected}, said {said}")


def _behind(assessment: Mapping[str, Any], plant: Plant, tally: _Tally) -> None:
    """Of devices whose truth names those behind them: each is there, as it is, and no other."""
    for device in plant.devices:
        if device.truth.behind is None:
            continue
        said = {
            str(asset["sub_address"]): asset
            for asset in assessment["assets"]
            if asset.get("sub_address")
            and (asset["zone"], asset["address"]) == (device.zone, device.address)
        }
        for place, truth in device.truth.behind.items():
            name = f"{device.name} {place}"
            if place in said:
                tally.found("presence", "behind a device")
            else:
                tally.miss("presence", "behind a device", f"{name}: not listed")
            _identity(name, truth, said.get(place), tally)
        for place in sorted(said.keys() - device.truth.behind.keys()):
            tally.wrong("presence", "behind a device", f"{device.name} {place}: is not there")


def _identity(name: str, known: Truth, asset: Mapping[str, Any] | None, tally: _Tally) -> None:
    truth = dict(known.identity)
    if known.device_classes:
        truth["device_class"] = known.device_classes
    said = {} if asset is None else {k: v for k, v in asset["identity"].items() if v}
    if asset is not None and truth.get("device_class") and asset["device_class"] != "unknown":
        said["device_class"] = asset["device_class"]
    for field in FIELDS:
        good, value = truth.get(field, ()), said.get(field)
        if value is None:
            if good and field not in known.optional:
                tally.miss("identity", field, f"{name}: {field} {good[0]!r} not learned")
        elif any(same(value, each) for each in good):
            tally.found("identity", field)
        elif field not in truth and field in known.optional:
            continue
        else:
            if good and field not in known.optional:
                tally.miss("identity", field, f"{name}: {field} {good[0]!r} not learned")
            told = f", is {good[0]!r}" if good else ", which the device does not tell"
            tally.wrong("identity", field, f"{name}: {field} said {value!r}{told}")


def same(said: object, true: str) -> bool:
    """Equal but for case, blanks, and the V that firmware versions carry or not."""

    def plain(text: str) -> str:
        text = re.sub(r"\s+", " ", text).strip().casefold()
        return re.sub(r"^v\.? ?(?=\d)", "", text)

    return plain(str(said)) == plain(true)


def _findings(assessment: Mapping[str, Any], plant: Plant, tally: _Tally) -> None:
    expected = _planted(plant)
    said = _said(assessment, plant)
    for check, subject in sorted(expected):
        if (check, subject) in said:
            tally.found("finding", check)
        else:
            tally.miss("finding", check, f"{check} on {subject} not found")
    for check, subject in sorted(said - expected):
        tally.wrong("finding", check, f"{check} on {subject} is false")


def _planted(plant: Plant) -> set[tuple[str, str]]:
    planted = {(check, d.name) for d in plant.devices for check in d.truth.findings}
    planted |= {(str(f["check"]), _together(f["devices"])) for f in plant.shared_findings}
    planted |= {(str(f["check"]), f"conduit {f['conduit']}") for f in plant.conduit_findings}
    return planted


def _together(names: Iterable[object]) -> str:
    return " + ".join(sorted(str(name) for name in names))


def _said(assessment: Mapping[str, Any], plant: Plant) -> set[tuple[str, str]]:
    """
    Failed checks as (check, subject).

    A check that the truth plants on several devices together is taken as one statement about all
    its places; every other one as a statement about each of its places.
    """
    devices = _devices_by_key(plant)
    shared = {str(f["check"]) for f in plant.shared_findings}

    def device_name(asset_id: object) -> str:
        key = str(asset_id).split("#", 1)[0]
        return devices[key].name if key in devices else key

    said: set[tuple[str, str]] = set()
    for finding in assessment["findings"]:
        if finding["verdict"] != "fail":
            continue
        check = str(finding["check"])
        places = [p["asset"] for p in finding["places"] if p.get("asset")]
        assets = [finding["asset"]] if finding.get("asset") else places
        if check in shared:
            said.add((check, _together(device_name(a) for a in assets)))
        elif finding.get("conduit"):
            said.add((check, f"conduit {finding['conduit']}"))
        elif assets:
            said |= {(check, device_name(a)) for a in assets}
        else:
            said.add((check, f"zone {finding['zone']}" if finding.get("zone") else "site"))
    return said


def _levels(assessment: Mapping[str, Any], plant: Plant, tally: _Tally) -> None:
    reached = {
        (level["zone"], level["fr"]): int(level["sl_a_low"]) for level in assessment["levels"]
    }
    for level in plant.levels:
        name = f"{level['zone']} {level['fr']} at least {level['at_least']}"
        got = reached.get((level["zone"], level["fr"]), 0)
        if got >= int(level["at_least"]):
            tally.found("level", name)
        else:
            tally.miss("level", name, f"{name}, said {got}")


def _requirements(assessment: Mapping[str, Any], plant: Plant, tally: _Tally) -> None:
    said = {
        (result["zone"] or result["conduit"], result["id"]): result["verdict"]
        for result in assessment["requirements"]
    }
    for truth in plant.requirements:
        place = truth.get("zone") or truth["conduit"]
        verdicts = truth["verdict"] if isinstance(truth["verdict"], list) else [truth["verdict"]]
        for requirement in truth["ids"]:
            got = said.get((place, requirement), "nothing")
            if got in verdicts:
                tally.found("requirement", str(place))
            else:
                sentence = f"{requirement} in {place} is {' or '.join(verdicts)}, said {got}"
                tally.miss("requirement", str(place), sentence)


def _network(assessment: Mapping[str, Any], plant: Plant, tally: _Tally) -> None:
    """
    Placements, cables, hosts in several zones and addresses in none, each complete: where the truth
    has none of a kind, none is expected, and a plant without cables is not compared.
    """
    if not plant.placements and not plant.links:
        return
    devices = _devices_by_key(plant)
    topology = assessment["topology"]
    names = {node["id"]: node["name"] or node["id"] for node in topology["nodes"]}

    def name(node: object) -> str:
        return devices[str(node)].name if str(node) in devices else str(names.get(node, node))

    def compare(what: str, expected: Iterable[str], said: Iterable[str]) -> None:
        true, told = set(expected), set(said)
        for _ in true & told:
            tally.found("network", what)
        for sentence in sorted(true - told):
            tally.miss("network", what, f"{what} not found: {sentence}")
        for sentence in sorted(told - true):
            tally.wrong("network", what, f"{what} is false: {sentence}")

    several = {p["device"] for p in plant.placements if p.get("mac")}
    compare(
        "placement",
        (
            f"{p['device']}{' ' + p['mac'] if p.get('mac') else ''} {p['certainty']} "
            f"{p.get('switch', '')} {p.get('port', '')}".strip()
            for p in plant.placements
        ),
        (
            f"{name(p['node'])}{' ' + p['mac'] if name(p['node']) in several else ''} "
            f"{p['certainty']} {name(p['at']['switch']) if p['at'] else ''} "
            f"{p['at']['port'] if p['at'] else ''}".strip()
            for p in topology["placements"]
        ),
    )
    compare(
        "cable",
        (_ends((row[0], row[1]), (row[2], row[3])) for row in plant.links),
        (
            _ends((name(x["a"]), str(x["a_port"])), (name(x["b"]), str(x["b_port"])))
            for x in topology["links"]
        ),
    )
    compare(
        "dual-homed host",
        (f"{name}: {' '.join(sorted(zones))}" for name, zones in plant.dual_homed.items()),
        (
            f"{name(x['asset'])}: "
            + " ".join(sorted({str(leg["zone"]) for leg in x["legs"] if leg["zone"]}))
            for x in topology["dual_homed"]
        ),
    )
    compare("outside", plant.outside, (x["address"] for x in topology["outside"]))


def _ends(*ends: tuple[str, str]) -> str:
    return " - ".join(" ".join(end) for end in sorted(ends))


def render(result: Score) -> str:
    """The score as a table in plain text, with every difference below it."""
    verdict = (
        "everything found, nothing false"
        if result.perfect
        else f"{len(result.missed)} missed, {len(result.false)} false"
    )
    lines = [f"Plant {result.plant}: {verdict}"]
    head = f"{'':12}{'':28}{'expected':>9}{'right':>7}{'false':>7}{'recall':>9}{'precision':>11}"
    lines += ["", head]
    part = ""
    for row in result.rows:
        shown = row.part if row.part != part else ""
        part = row.part
        lines.append(
            f"{shown:12}{row.name:28}{row.expected:9}{row.right:7}{row.false:7}"
            f"{_percent(row.recall):>9}{_percent(row.precision):>11}"
        )
    for part in dict.fromkeys(row.part for row in result.rows):
        rows = [row for row in result.rows if row.part == part]
        total = Row(
            part=part,
            name="all",
            expected=sum(r.expected for r in rows),
            right=sum(r.right for r in rows),
            false=sum(r.false for r in rows),
        )
        lines.append(
            f"{'all':12}{part:28}{total.expected:9}{total.right:7}{total.false:7}"
            f"{_percent(total.recall):>9}{_percent(total.precision):>11}"
        )
    for title, sentences in (("Missed", result.missed), ("False", result.false)):
        if sentences:
            lines += ["", f"{title}:"] + [f"  {sentence}" for sentence in sentences]
    return "\n".join(lines) + "\n"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def ledger_totals(directory: Path) -> dict[str, object]:
    """The sums over DIRECTORY/ledgers: writes, peak connections, resets, fragile alive, …"""
    folder = directory / "ledgers"
    ledgers = []
    for path in sorted(folder.glob("*.json")):
        if path.name == "totals.json":
            continue
        try:
            ledgers.append(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise LabError(f"{path} cannot be read ({error}); run the lab again") from error
    if not ledgers:
        raise LabError(f"there are no ledgers in {folder}; was a lab started there?")
    return totals(ledgers)


def render_ledgers(sums: Mapping[str, object]) -> str:
    """The ledger totals as a few lines of text."""
    dead = sums["dead"]
    names = ", ".join(map(str, dead)) if isinstance(dead, list) and dead else "none"
    return (
        f"{sums['devices']} devices, {sums['connections']} connections "
        f"(at most {sums['peak_concurrent']} at once on a device), {sums['requests']} requests, "
        f"{sums['datagrams']} datagrams\n"
        f"writes {sums['writes']}, resets by us {sums['resets']}, half-closes "
        f"{sums['half_closes']}, connections without a request {sums['empty_connections']}, "
        f"foreign bytes {sums['foreign']}, malformed frames {sums['malformed']}\n"
        f"unexpected commands {sums['unexpected_commands']}, lockouts {sums['lockouts']}, "
        f"sessions left open {sums['leaked_sessions']}, programmer's seats {sums['pg_seats']}\n"
        f"fragile devices alive: {sums['fragile_alive']} of {sums['fragile']}; dead: {names}\n"
    )
