"""The certificate of a run: what is kept for it during a scan, and how it is made at the end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from heapq import merge
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from reports.inert import ascii_json
from scanner import capture, privileges
from scanner.audit import certificate, packets
from scanner.audit.certificate import Audited, Limits
from scanner.errors import StoreError
from scanner.evidence import Event
from scanner.facts import LinkAddress
from scanner.model import Certificate, Exchange, Observation, Outcome, Safety, Transport
from scanner.plan import Plan
from scanner.store import RunStore
from scanner.wire import source_towards

FILE = "certificate.json"
CERTIFICATE = TypeAdapter(Certificate)
SAFETY = TypeAdapter(Safety)
LEFT_ALONE = "left alone"
BEGUN = "begun"
"""What is kept of a capture that goes on."""
CUT_OFF = "a sitting was killed: whether the kernel lost packets of it is not known"


def begin_capture(
    helper: capture.Helper | None, plan: Plan, folder: Path, *, wanted: bool
) -> tuple[str, tuple[str, ...]]:
    """
    Watch this scan's packets, where there is a helper for it. (BEGUN or why not, our own addresses
    towards the devices.)
    """
    scope = [address for device in plan.devices for address in device.addresses]
    link = folder.resolve() / capture.LINK_FILE if asks_on_link(plan) else None
    ours = sorted({source for address in scope if (source := source_towards(address))})
    if not wanted:
        return "no capture: turned off", tuple(ours)
    if helper is None:
        return "no capture: this process may not watch packets (CAP_NET_RAW)", tuple(ours)
    if not helper.begin(scope, ours, folder.resolve() / capture.FILE, link):
        return f"no capture: {helper.problem}", tuple(ours)
    return BEGUN, tuple(ours)


def asks_on_link(plan: Plan) -> bool:
    """Whether any question goes out on layer 2."""
    return any(
        question.target.transport is Transport.LINK
        for device in plan.devices
        for question in device.questions
    )


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
                    "seats": sorted(device.seats),
                }
                for device in plan.devices
            ],
            "ends": {zone: at.isoformat() for zone, at in sorted(ends.items())},
            "privileges": privileges.standing().words,
            "capture": captured,
            "ours": list(ours),
        },
    )


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
    kept: dict[str, object] = {"whole": found.whole, "words": words}
    if found.stations:
        kept["words"] = f"{words}; heads of {found.frames} frames of layer 2"
        kept["stations"] = {mac: list(has) for mac, has in found.stations.items()}
    store.note("capture", kept)


def make(store: RunStore, folder: Path | None) -> Certificate:
    """
    Audit a run: its record, and the capture in its folder where that is at hand. Sends and changes
    nothing. What is audited ends before the signed end record, if that is the last event: so the
    certificate is the same before the run is signed and after. Raises StoreError.
    """
    try:
        return _made(store, folder)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            f"{store.place}: the record cannot be audited ({type(error).__name__}); "
            "`walkdown evidence verify` tells what was changed in it"
        ) from error


def _made(store: RunStore, folder: Path | None) -> Certificate:
    meta = store.meta()
    events = list(store.events())
    if events and events[-1].kind == "end":
        events.pop()
    limits, privileged, ours = _limits(events)
    safety = store.safety()
    exchanges = tuple(store.exchanges())

    def audited(kept: Iterable[packets.Packet] | None, words: str, digest: str) -> Audited:
        return Audited(
            run=meta.id,
            site=meta.site,
            version=meta.version,
            state=store.status().state,
            events=len(events),
            chain_head=events[-1].sha256 if events else "",
            exchanges=exchanges,
            limits=limits,
            safety=SAFETY.validate_json(safety) if safety else None,
            sittings=tuple(_sittings(events)),
            stops=tuple(_stops(events)),
            left_alone=_left_alone(events, store.observations()),
            ends=tuple(_ends(events)),
            ours=ours,
            packets=kept,
            capture=words,
            capture_sha256=digest,
            privileges=privileged,
        )

    with _capture(events, folder) as (data, words, digest):
        try:
            kept = packets.read(data) if data is not None else None
            asked = {one.target.address for one in exchanges if _left_on_link(one)}
            frames = _frames(store, events, folder, asked) if kept is not None else None
            if kept is not None and frames is not None:
                kept = merge(kept, frames, key=lambda packet: packet.at)
            elif kept is not None and asked:
                kept, words = None, f"{words}; what was kept of layer 2 is not at hand"
            return certificate.audit(audited(kept, words, digest))
        except packets.Unreadable as problem:
            why = f"the capture cannot be read: {problem}"
            return certificate.audit(audited(None, why, digest))


def _told(events: Iterable[Event], kind: str) -> list[dict[str, Any]]:
    return [json.loads(event.payload) for event in events if event.kind == kind]


def _limits(events: Sequence[Event]) -> tuple[list[Limits], str, frozenset[str]]:
    """
    The limits of a run, the privileges of its sittings in words, and our own addresses. Where a
    sitting was allowed more than another, the strictest holds for all; budgets add up, since each
    sitting printed its own.
    """
    found: dict[tuple[str, ...], Limits] = {}
    privileged: set[str] = set()
    ours: set[str] = set()
    for told in _told(events, "limits"):
        privileged.add(told["privileges"])
        ours |= set(told.get("ours", ()))
        for one in told["devices"]:
            key = (str(one["zone"]), *one["addresses"])
            this = Limits(
                zone=one["zone"],
                addresses=tuple(one["addresses"]),
                profile=one["profile"],
                packets_per_s=one["packets_per_s"],
                zone_packets_per_s=one["zone_packets_per_s"],
                connection_interval_s=one["connection_interval_ms"] / 1000,
                budget=one["budget"],
                seats=frozenset(one.get("seats", ())),
            )
            found[key] = _both(found[key], this) if key in found else this
    return list(found.values()), "; ".join(sorted(privileged)), frozenset(ours)


def _both(one: Limits, other: Limits) -> Limits:
    return replace(
        other,
        packets_per_s=_least(one.packets_per_s, other.packets_per_s),
        zone_packets_per_s=_least(one.zone_packets_per_s, other.zone_packets_per_s),
        connection_interval_s=max(one.connection_interval_s, other.connection_interval_s),
        budget=one.budget + other.budget,
        seats=one.seats & other.seats,
    )


def _least(one: int | None, other: int | None) -> int | None:
    return min((cap for cap in (one, other) if cap is not None), default=None)


def _sittings(events: Iterable[Event]) -> Iterator[datetime]:
    """When each sitting asked its first question."""
    waiting = False
    for event in events:
        if event.kind == "limits":
            waiting = True
        elif event.kind == "intent" and waiting:
            waiting = False
            yield datetime.fromisoformat(json.loads(event.payload)["sent_at"])


def _stops(events: Iterable[Event]) -> Iterator[tuple[datetime, str]]:
    for told in _told(events, "halt"):
        yield datetime.fromisoformat(told["at"]), told["reason"]


def _ends(events: Iterable[Event]) -> Iterator[tuple[datetime, str]]:
    seen = {(at, zone) for told in _told(events, "limits") for zone, at in told["ends"].items()}
    for at, zone in sorted(seen):
        yield datetime.fromisoformat(at), zone


def _left_alone(
    events: Iterable[Event], observations: Iterable[Observation]
) -> dict[tuple[str, str], datetime]:
    """
    When devices were left alone. A sitting that was killed has not noted it: then it is when the
    first question was withheld for that.
    """
    found = {
        (told["zone"], told["address"]): datetime.fromisoformat(told["at"])
        for told in reversed(_told(events, "left"))
    }
    withheld = sorted(
        ((one.started_at, one.zone, one.address) for one in observations
         if one.outcome is Outcome.WITHHELD and LEFT_ALONE in one.reason),
    )  # fmt: skip
    for at, zone, address in withheld:
        found.setdefault((zone, address), at)
    return found


@contextmanager
def _capture(
    events: Sequence[Event], folder: Path | None
) -> Iterator[tuple[packets.Capture | None, str, str]]:
    """(the capture or None, in words, SHA-256 of the file or ""). It is mapped, not read whole."""
    said, begun = _told(events, "capture"), [told["capture"] for told in _told(events, "limits")]
    words = "; ".join(one["words"] for one in said)
    path = folder / capture.FILE if folder is not None else None
    if not begun:
        yield None, "no capture: nothing was sent", ""
    elif BEGUN not in begun:
        yield None, "; ".join(dict.fromkeys(begun)), ""
    elif path is None or not path.exists():
        yield None, f"there was a capture ({words or 'not ended'}), and it is not at hand", ""
    else:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if any(one != BEGUN for one in begun):
                yield None, f"{words}; a sitting of this run was not captured", digest
            elif not all(one["whole"] for one in said):
                yield None, f"{words}: not whole, so nothing was counted in it", digest
            elif not path.stat().st_size:
                yield b"", words, digest
            else:
                if len(said) < len(begun):
                    words = "; ".join(filter(None, (words, CUT_OFF)))
                with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
                    yield data, words, digest


def _frames(
    store: RunStore, events: Sequence[Event], folder: Path | None, asked: Collection[str]
) -> Iterator[packets.Packet] | None:
    """
    What was kept of layer 2; None where it is not at hand. Which MAC address is whose says the
    capture; of a sitting that was killed, and has not said it, the record. Where it has several
    addresses, it is the one by which it was `asked`.
    """
    path = folder / capture.LINK_FILE if folder is not None else None
    if path is None or not path.exists():
        return None
    known: dict[str, list[str]] = {}
    for told in _told(events, "capture"):
        for mac, has in told.get("stations", {}).items():
            known.setdefault(mac, []).extend(has)
    for one in store.observations():
        for fact in one.facts:
            if isinstance(fact, LinkAddress) and fact.told_by == "neighbours":
                known.setdefault(fact.mac.lower(), []).append(one.address)
    stations = {
        mac: next((one for one in has if one in asked), has[0]) for mac, has in known.items()
    }
    return packets.read_link(path.read_bytes(), stations)


def _left_on_link(exchange: Exchange) -> bool:
    return exchange.target.transport is Transport.LINK and exchange.wire_bytes_out > 0


def text_of(made: Certificate) -> bytes:
    """The certificate as JSON."""
    document = json.dumps(CERTIFICATE.dump_python(made, mode="json"), indent=2).encode()
    return ascii_json(document) + b"\n"


def signed(store: RunStore, folder: Path | None) -> Certificate | None:
    """The certificate in a run's folder, where it is the one that the run was signed with."""
    events = list(store.events())
    if folder is None or not events or events[-1].kind != "end":
        return None
    wanted = json.loads(events[-1].payload)["statement"]["files"].get(FILE)
    try:
        text = (folder / FILE).read_bytes()
    except OSError:
        return None
    if hashlib.sha256(text).hexdigest() != wanted:
        return None
    try:
        return CERTIFICATE.validate_json(text)
    except ValueError:
        return None  # signed by an earlier version, in another form


def digests(folder: Path) -> dict[str, str]:
    """The files of a run that its signature covers, with their SHA-256."""
    found = {}
    for name in (FILE, capture.FILE, capture.LINK_FILE):
        path = folder / name
        if path.exists():
            with path.open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
