"""
From what files say to observations: every distinct fact once, with its source and its own time.

An observation of an import never shares a question with one of a scan (its tier is passive, its
probe is named after format, protocol and kind of fact), so merging runs can neither replace an
answer by a file nor a file by an answer. Its time is the evidence's own: the age that `max_age`
looks at is that of the capture, not that of the import. Memory grows with the number of devices,
services and distinct facts, not with the size of a file, and is bounded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import TypeVar

from scanner.correlate import DIGEST
from scanner.errors import UsageError
from scanner.facts import ClaimedDevice, Conversation, DeviceIdentity, Fact
from scanner.importers.form import Imported, Importer, is_device
from scanner.model import Observation, Outcome, Tier, Transport

OUTSIDE = "outside every zone"
"""The zone of addresses that lie in none; no zone of a site file can have blanks in its id."""

UNKNOWN = "unknown"
MOST_SUBJECTS = 250_000
MOST_OF_A_KIND = 32
"""Distinct facts of one kind on one service that are kept from all files; the newest."""
MOST_PEERS = 512
"""Conversations of one device on one port that are kept, those seen last."""
LONGEST_NAME = 120

K = TypeVar("K")
Place = Callable[[str, str | None], str]
"""(address, zone that the file names or None) -> zone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """`name` is the file's own name without its folder."""

    importer: Importer
    name: str
    sha256: str
    size: int

    def words(self, place: str) -> str:
        """As "capture plant.pcap (SHA-256 …), packet 512"."""
        return f"{self.importer.noun} {self.name[:LONGEST_NAME]}{DIGEST}{self.sha256}), {place}"


_End = tuple[str, int, Transport, str, str | None]
"""address, port, transport, protocol, zone: first as the file names it, then that of the site"""


@dataclass(slots=True)
class _Told:
    """One fact of one file: when and where it was told first, when last, and how often."""

    source: SourceFile
    place: str
    since: datetime
    until: datetime
    times: int
    seen: bool


@dataclass(slots=True)
class _Talk:
    source: SourceFile
    place: str
    conversation: Conversation


class Gathering:
    """Takes what importers yield. `add` raises UsageError when there is too much of it."""

    def __init__(self) -> None:
        self._facts: dict[tuple[_End, str, Fact], _Told] = {}  # end, digest of the file, fact
        self._present: dict[tuple[_End, str], _Told] = {}
        self._talks: dict[tuple[str, str, str, str, int | None, str], _Talk] = {}

    @property
    def subjects(self) -> int:
        return len(self._facts) + len(self._present) + len(self._talks)

    def add(self, source: SourceFile, found: Imported) -> None:
        if self.subjects >= MOST_SUBJECTS:
            raise UsageError(
                f"{source.name}: more than {MOST_SUBJECTS:,} devices, services and conversations\n"
                "  hint: cut the file to the plant's own networks, or import it in parts"
            )
        end = (found.address, found.port, found.transport, found.protocol, found.zone)
        if not found.facts:
            self._tell(self._present, (end, source.sha256), source, found)
        for fact in found.facts:
            if isinstance(fact, Conversation):
                self._talk(source, found.place, fact)
            else:
                self._tell(self._facts, (end, source.sha256, fact), source, found)

    @staticmethod
    def _tell(kept: dict[K, _Told], key: K, source: SourceFile, found: Imported) -> None:
        told = kept.get(key)
        if told is None:
            kept[key] = _Told(source, found.place, found.at, found.at, 1, found.seen)
            return
        told.since, told.until = min(told.since, found.at), max(told.until, found.at)
        told.times += 1

    def _talk(self, source: SourceFile, place: str, one: Conversation) -> None:
        key = (
            source.sha256, one.client, one.server, one.transport, one.port, one.protocol,
        )  # fmt: skip
        talk = self._talks.get(key)
        if talk is None:
            self._talks[key] = _Talk(source, place, one)
            return
        known = talk.conversation
        talk.conversation = replace(
            known,
            first_seen=min(known.first_seen, one.first_seen),
            last_seen=max(known.last_seen, one.last_seen),
            packets=None
            if known.packets is None or one.packets is None
            else known.packets + one.packets,
            answered=known.answered or one.answered,
        )

    def observations(self, place: Place, now: datetime) -> Iterator[Observation]:
        """
        All of them, in a fixed order. A time that lies ahead of `now` is taken for `now`, so that
        a wrong clock cannot make evidence young for ever.
        """
        for end, own in sorted(self._by_end(place).items(), key=lambda pair: _order(pair[0])):
            yield from _of_one_end(end, own, now)

    def _by_end(self, place: Place) -> dict[_End, list[tuple[Fact | None, _Told]]]:
        """By the zone of the site, so that two names for one zone make one question."""
        found: dict[_End, list[tuple[Fact | None, _Told]]] = defaultdict(list)
        for (end, _, fact), told in self._facts.items():
            found[(*end[:4], place(end[0], end[4]))].append((fact, told))
        for (end, _), told in self._present.items():
            found[(*end[:4], place(end[0], end[4]))].append((None, told))
        names = {(e[0], e[1], e[2].value): e[3] for e in found if e[3] != UNKNOWN}
        for talk in self._talks.values():
            one = talk.conversation
            if one.protocol != UNKNOWN:
                names[one.server, one.port or 0, one.transport] = one.protocol
        for talk in self._talks.values():
            one = talk.conversation
            if one.protocol == UNKNOWN:  # nothing was said, or nothing that is known
                known = names.get((one.server, one.port or 0, one.transport), UNKNOWN)
                one = replace(one, protocol=known)
            told = _Told(talk.source, talk.place, one.first_seen, one.last_seen, 1, True)
            transport = (
                Transport(one.transport) if one.transport in ("tcp", "udp") else Transport.TCP
            )
            if is_device(one.client):
                found[one.client, 0, transport, one.protocol, place(one.client, None)].append(
                    (one, told)
                )
            if one.answered and is_device(one.server):
                found[
                    one.server, one.port or 0, transport, one.protocol, place(one.server, None)
                ].append((one, told))
        return found


def _order(end: _End) -> tuple[str, int, str, str, str]:
    address, port, transport, protocol, zone = end
    return address, port, transport.value, protocol, zone or ""


def _of_one_end(
    end: _End, own: list[tuple[Fact | None, _Told]], now: datetime
) -> Iterator[Observation]:
    aspects: dict[str, list[tuple[Fact | None, _Told]]] = defaultdict(list)
    for fact, told in own:
        aspects[_probe(end, fact, told)].append((fact, told))
    zone = end[4] or OUTSIDE
    for probe, alike in sorted(aspects.items()):
        alike.sort(
            key=lambda pair: (-pair[1].until.timestamp(), pair[1].source.name, repr(pair[0]))
        )
        if isinstance(alike[0][0], Conversation):
            kept = alike[:MOST_PEERS]
            yield _observation(end, zone, probe, kept, len(alike) - len(kept), now)
            continue
        for number, pair in enumerate(alike[:MOST_OF_A_KIND], 1):
            name = probe if number == 1 else f"{probe} {number}"
            left = len(alike) - MOST_OF_A_KIND if number == 1 else 0
            yield _observation(end, zone, name, [pair], left, now)


def _probe(end: _End, fact: Fact | None, told: _Told) -> str:
    """
    The name of the question that this answers: format, protocol, kind, and of an identity which
    fields it tells. In a later import the newer answer to the same question takes its place.
    """
    parts = [told.source.importer.name, end[3], fact.kind if fact else "present"]
    if isinstance(fact, DeviceIdentity):
        parts.append(
            "+".join(f.name for f in fields(fact) if f.name in _TELLING and getattr(fact, f.name))
        )
        if fact.sub_address is not None:
            parts.append(safe(fact.sub_address))
    elif isinstance(fact, ClaimedDevice):
        parts.append(safe(fact.behind or fact.zone or ""))
    else:
        parts += [safe(str(getattr(fact, name))) for name in _WHICH if hasattr(fact, name)]
    return " ".join(part for part in parts if part)


_TELLING = frozenset(
    {"vendor", "model", "order_number", "hardware", "firmware", "serial", "name", "device_class"}
)
_WHICH = (
    "unit_id",
    "instance",
    "scheme",
    "index",
    "local_port",
    "security_policy",
    "security_mode",
)
"""Fields of other facts that tell which of several things they speak of."""


def safe(text: str) -> str:
    """As a part of a question's key, which is separated by "|"."""
    return "".join(c if c.isalnum() or c in " ._-" else "_" for c in text[:64])


def _observation(
    end: _End,
    zone: str,
    probe: str,
    own: list[tuple[Fact | None, _Told]],
    left_out: int,
    now: datetime,
) -> Observation:
    address, port, transport, protocol, _ = end
    newest = own[0][1]
    since = min(told.since for _, told in own)
    until = max(told.until for _, told in own)
    times = newest.times - 1 if len(own) == 1 else 0
    where = newest.place + (f" and {times:,} more" if times else "")
    notes = []
    if until > now:
        notes.append(f"its time {until:%Y-%m-%d %H:%M} lies ahead of our clock and counts as now")
    if left_out:
        notes.append(f"{left_out:,} more of the kind were left out")
    if not newest.seen:
        notes.append("a claim, not seen")
    return Observation(
        id="",
        zone=zone,
        address=address,
        port=port,
        transport=transport,
        protocol=protocol,
        probe=probe,
        tier=Tier.PASSIVE,
        outcome=Outcome.ANSWERED,
        reason="; ".join(notes),
        started_at=min(since, now),
        finished_at=min(until, now),
        facts=tuple(fact for fact, _ in own if fact is not None),
        exchanges=(),
        source=newest.source.words(where),
        connected=newest.seen,
    )
