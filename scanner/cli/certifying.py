"""The certificate of a run: what is kept for it during a scan, and how it is made at the end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter

from reports.inert import ascii_json
from scanner import __version__, capture, privileges
from scanner.audit import certificate, packets
from scanner.audit.certificate import Audited, Limits
from scanner.errors import UsageError
from scanner.evidence import Event
from scanner.model import Certificate, Outcome, Safety
from scanner.plan import Plan
from scanner.store import RunStore
from scanner.wire import source_towards

FILE = "certificate.json"
CERTIFICATE = TypeAdapter(Certificate)
SAFETY = TypeAdapter(Safety)
LEFT_ALONE = "left alone"
BEGUN = "begun"
"""What is kept of a capture that goes on."""


def begin_capture(
    helper: capture.Helper | None, plan: Plan, folder: Path, *, wanted: bool
) -> tuple[str, tuple[str, ...]]:
    """
    Watch this scan's packets, where there is a helper for it. (BEGUN or why not, our own addresses
    towards the devices.)
    """
    scope = [address for device in plan.devices for address in device.addresses]
    ours = sorted({source for address in scope if (source := source_towards(address))})
    if not wanted:
        return "no capture: turned off", tuple(ours)
    if helper is None:
        return "no capture: this process may not watch packets (CAP_NET_RAW)", tuple(ours)
    if not helper.begin(scope, ours, folder.resolve() / capture.FILE):
        return f"no capture: {helper.problem}", tuple(ours)
    return BEGUN, tuple(ours)


def note_limits(
    store: RunStore,
    plan: Plan,
    ends: Mapping[str, datetime],
    *,
    captured: str,
    ours: Sequence[str],
) -> None:
    """Keep in the chain what this sitting may do, so that it can be held against it later."""
    store.note(
        "limits",
        {
            "devices": [
                {
                    "zone": device.zone,
                    "addresses": list(device.addresses),
                    "profile": device.profile.name,
                    "packets_per_s": device.profile.packets_per_s,
                    "zone_packets_per_s": device.zone_cap,
                    "connection_interval_ms": round(device.profile.connection_interval_s * 1000),
                    "budget": device.budget,
                }
                for device in plan.devices
            ],
            "ends": {zone: at.isoformat() for zone, at in sorted(ends.items())},
            "privileges": _privileges_words(),
            "capture": captured,
            "ours": list(ours),
        },
    )


def _privileges_words() -> str:
    mine = privileges.of_thread("self")
    return mine.words if mine is not None else "not known on this system"


def end_capture(store: RunStore, helper: capture.Helper) -> None:
    """End what was begun, when the wire is quiet, and keep what the helper says."""
    found = helper.end()
    if found is None:
        store.note("capture", {"whole": False, "words": f"broken off: {helper.problem}"})
        return
    words = f"headers of {found.packets} packets, {found.dropped} lost by the kernel"
    if found.full:
        words += ", cut off when the file was full"
    if found.clock_set_s:
        words += (
            f"; the clock was set by {found.clock_set_s:+.0f} s meanwhile, times go on as before"
        )
    store.note("capture", {"whole": found.whole, "words": words})


def make(store: RunStore, folder: Path) -> Certificate:
    """Audit a run: its record, and the capture beside it. Sends and changes nothing."""
    meta = store.meta()
    events = list(store.events())
    limits, ends, privileged = _limits(events)
    kept, words, digest = _packets(events, folder / capture.FILE)
    safety = store.safety()
    left_alone: dict[tuple[str, str], datetime] = {}
    for one in store.observations():
        if one.outcome is Outcome.WITHHELD and LEFT_ALONE in one.reason:
            place = (one.zone, one.address)
            left_alone[place] = min(one.started_at, left_alone.get(place, one.started_at))
    return certificate.audit(
        Audited(
            run=meta.id,
            site=meta.site,
            version=__version__,
            events=len(events),
            chain_head=store.chain_head(),
            exchanges=tuple(store.exchanges()),
            limits=limits,
            safety=SAFETY.validate_json(safety) if safety else None,
            stops=tuple(_stops(events)),
            left_alone=left_alone,
            ends=ends,
            packets=kept,
            capture=words,
            capture_sha256=digest,
            privileges=privileged,
        )
    )


def _limits(events: Iterable[Event]) -> tuple[list[Limits], dict[str, datetime], str]:
    """
    The limits of the run's sittings: the rates of the newest, and the sum of all budgets, for each
    sitting printed its own.
    """
    found: dict[tuple[str, ...], Limits] = {}
    ends: dict[str, datetime] = {}
    privileged: set[str] = set()
    for event in events:
        if event.kind != "limits":
            continue
        told = json.loads(event.payload)
        privileged.add(told["privileges"])
        ends |= {zone: datetime.fromisoformat(at) for zone, at in told["ends"].items()}
        for one in told["devices"]:
            key = (str(one["zone"]), *one["addresses"])
            earlier = found[key].budget if key in found else 0
            found[key] = Limits(
                zone=one["zone"],
                addresses=tuple(one["addresses"]),
                profile=one["profile"],
                packets_per_s=one["packets_per_s"],
                zone_packets_per_s=one["zone_packets_per_s"],
                connection_interval_s=one["connection_interval_ms"] / 1000,
                budget=one["budget"] + earlier,
            )
    return list(found.values()), ends, "; ".join(sorted(privileged))


def _stops(events: Iterable[Event]) -> Iterator[tuple[datetime, str]]:
    for event in events:
        if event.kind == "halt":
            told = json.loads(event.payload)
            yield datetime.fromisoformat(told["at"]), told["reason"]


def _packets(events: Iterable[Event], path: Path) -> tuple[list[packets.Packet] | None, str, str]:
    """(packets or None, in words, SHA-256 of the file or "")."""
    said = [json.loads(event.payload) for event in events if event.kind == "capture"]
    begun = [json.loads(event.payload)["capture"] for event in events if event.kind == "limits"]
    if not path.exists():
        return None, next(iter(begun), "no capture"), ""
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    words = "; ".join(one["words"] for one in said) or "headers of our packets"
    if any(one != "begun" for one in begun):
        return None, f"{words}; a sitting of this run was not captured", digest
    if not all(one["whole"] for one in said):
        return None, f"{words}: not whole, so nothing was counted in it", digest
    if len(said) < len(begun):
        words += "; a sitting ended without a word"
    try:
        return list(packets.read(data)), words, digest
    except packets.Unreadable as problem:
        return None, f"the capture cannot be read: {problem}", digest


def text_of(made: Certificate) -> bytes:
    """The certificate as JSON."""
    document = json.dumps(CERTIFICATE.dump_python(made, mode="json"), indent=2).encode()
    return ascii_json(document) + b"\n"


def read(folder: Path) -> Certificate | None:
    """The certificate in a run's folder. Raises UsageError when it is none."""
    path = folder / FILE
    try:
        return CERTIFICATE.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UsageError(
            f"{path}: not a certificate\n  hint: make it again: walkdown evidence certificate "
            f"{folder}"
        ) from error


def digests(folder: Path) -> dict[str, str]:
    """The files of a run that its signature covers, with their SHA-256."""
    found = {}
    for name in (FILE, capture.FILE):
        path = folder / name
        if path.exists():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
