"""
The list of devices known to suffer from being asked, and what is therefore not done to them.

The list is data (fragile.yaml, its head explains the keys); every entry names the document that
tells it. A rule can only take away: slower pacing, fewer questions, a lower tier, nothing at all.
There is no key that would allow more, and whoever matches several entries gets the strictest of
everything. Matched are what the site file declares (before contact), what the device says of
itself (from then on) and the maker of its network interface, which the kernel learns by itself on
a local link. A claim nobody proved is good enough, since it can only take away.

Pacing of an entry does not slow down profile `lab`: emulators on loopback, by the owner's word.

Source: safety contract, promise 14 and its decisions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from scanner.errors import ToolBug
from scanner.model import Identity, Tier, Transport
from scanner.profiles import FRAGILE, LAB, Profile, stricter

ARP_TABLE = Path("/proc/net/arp")
LEFT_ALONE = "known as fragile: "
"""How the plan begins its words on a device that is not asked at all."""

_RULES = frozenset(
    {"profile", "tier", "never", "connections", "reconnect_s", "stop_after_identify",
     "leave_alone", "seats"}
)  # fmt: skip
_MATCHES = frozenset({"vendor", "model", "firmware_below", "oui"})
_REQUIRED = frozenset({"id", "match", "rule", "why", "source"})
_OPTIONAL = frozenset({"example"})


class Told(Protocol):
    """Anything with names of a device: model.Identity, facts.DeviceIdentity."""

    @property
    def vendor(self) -> str | None: ...
    @property
    def model(self) -> str | None: ...
    @property
    def order_number(self) -> str | None: ...
    @property
    def firmware(self) -> str | None: ...
    @property
    def name(self) -> str | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """`opened`: read by us; else cited from another document, which `title` then names."""

    title: str
    address: str
    read: date
    opened: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """
    What is not done to a device. The values here take away nothing.

    `tier`: none above it. `never`: services not asked (any more), as `ports:` names them.
    `connections`: the most TCP connections that come about in one scan; one that exists when the
    rule becomes known is finished. `reconnect_s`: least time between two of them.
    `stop_after_identify`: no question once a device has told its model. `leave_alone`: no question
    at all. `seats` is for the reader: a known limit that others count on.
    """

    fragile_pace: bool = False
    tier: Tier = Tier.LOGIN
    never: frozenset[str] = frozenset()
    connections: int | None = None
    reconnect_s: float = 0.0
    stop_after_identify: bool = False
    leave_alone: bool = False
    seats: str = ""

    def __and__(self, other: Rule) -> Rule:
        """The strictest of both."""
        limits = [n for n in (self.connections, other.connections) if n is not None]
        return Rule(
            fragile_pace=self.fragile_pace or other.fragile_pace,
            tier=min(self.tier, other.tier, key=lambda tier: tier.rank),
            never=self.never | other.never,
            connections=min(limits, default=None),
            reconnect_s=max(self.reconnect_s, other.reconnect_s),
            stop_after_identify=self.stop_after_identify or other.stop_after_identify,
            leave_alone=self.leave_alone or other.leave_alone,
            seats="; ".join(filter(None, (self.seats, other.seats))),
        )

    def forbids(
        self,
        service: str,
        tier: Tier,
        *,
        connections: int,
        made: int,
        identified: bool,
    ) -> str:
        """
        Why a question is not put, or "". `connections`: how many it may make, 0 for datagrams;
        `made`: how many this scan has made; `identified`: the device has told its model.
        """
        if self.leave_alone:
            return "the device is to be left alone"
        if service in self.never:
            return f"{service} is not to be asked"
        if not self.tier.allows(tier):
            return f"no question above tier {self.tier}"
        if self.stop_after_identify and identified:
            return "nothing more once the model is known"
        if self.connections is not None and connections and made + connections > self.connections:
            return f"no more than {self.connections} connections in one scan"
        return ""

    def paced(self, profile: Profile) -> Profile:
        """The stricter of a device's profile and this rule's."""
        if profile.name == LAB.name:
            return profile
        slow = stricter(profile, FRAGILE) if self.fragile_pace else profile
        interval = max(slow.connection_interval_s, self.reconnect_s)
        return replace(slow, connection_interval_s=interval)

    def words(self) -> str:
        """For plan and report."""
        said = []
        if self.leave_alone:
            said.append("left alone")
        if self.fragile_pace:
            said.append("profile fragile")
        if self.tier is not Tier.LOGIN:
            said.append(f"tier {self.tier} at most")
        if self.stop_after_identify:
            said.append("nothing more once the model is known")
        if self.never:
            said.append(f"never asked: {', '.join(sorted(self.never))}")
        if self.connections is not None:
            said.append(f"at most {self.connections} TCP connections")
        if self.reconnect_s:
            said.append(f"{self.reconnect_s:g} s between connections")
        if self.seats:
            said.append(f"warning: {self.seats}")
        return "; ".join(said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    One device known to suffer. `vendor` and `model` are searched (ignoring case) in what any
    source told; `model` also in order numbers and names. `firmware_below` does not match when all
    firmware that was told is that or newer; not told is a match. `ouis` are the first three bytes
    of a MAC address, "00:90:e8"; any of them is a match of its own. `example` None: by OUI only.
    """

    id: str
    vendor: re.Pattern[str] | None
    model: re.Pattern[str] | None
    firmware_below: str | None
    ouis: frozenset[str]
    rule: Rule
    why: str
    source: Source
    example: Identity | None

    def fits(self, told: Iterable[Told], link_addresses: Iterable[str] = ()) -> bool:
        if self.ouis and any(one.lower()[:8] in self.ouis for one in link_addresses):
            return True
        if self.model is None:
            return False
        said = tuple(told)
        names = [text for one in said for text in (one.model, one.order_number, one.name) if text]
        if not any(self.model.search(name) for name in names):
            return False
        vendors = [one.vendor for one in said if one.vendor]
        if self.vendor is not None and vendors and not any(map(self.vendor.search, vendors)):
            return False
        if self.firmware_below is None:
            return True
        versions = [version(one.firmware) for one in said if one.firmware]
        known = [one for one in versions if one]
        return not known or any(one < version(self.firmware_below) for one in known)

    @property
    def words(self) -> str:
        """One line for plan and report: what, why, says who."""
        return f"{self.id}: {self.rule.words()}. {self.why} [{self.source.title}]"


@cache
def load() -> tuple[Entry, ...]:
    """The list that comes with Walkdown. Raises ToolBug when its file breaks the schema."""
    place = files(__package__) / "fragile.yaml"
    return parse(place.read_text(encoding="utf-8"))


def matching(
    told: Iterable[Told],
    link_addresses: Iterable[str] = (),
    entries: tuple[Entry, ...] | None = None,
) -> tuple[Entry, ...]:
    """The entries that fit a device by all that was told about it."""
    said, links = tuple(told), tuple(link_addresses)
    return tuple(
        entry for entry in (load() if entries is None else entries) if entry.fits(said, links)
    )


def strictest(entries: Iterable[Entry]) -> Rule:
    rule = Rule()
    for entry in entries:
        rule &= entry.rule
    return rule


def version(text: str | None) -> tuple[int, ...]:
    """The first dotted number of a firmware text: "V05.01.00" gives (5, 1, 0); () when none."""
    found = re.search(r"\d{1,6}(?:\.\d{1,6})*", text or "")
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def connections_of(transport: Transport, connections: int) -> int:
    """How many TCP connections one run of a probe may make."""
    return connections if transport is Transport.TCP else 0


class Neighbours:
    """
    The MAC addresses that the kernel holds for neighbours. Its table is read anew for an address
    that was not in it before, and never for our own host's.

    Source: proc(5), /proc/net/arp: IP address, HW type, flags (0x2: complete), HW address, …
    """

    def __init__(self, table: Path = ARP_TABLE) -> None:
        self._table = table
        self._known: dict[str, str] = {}

    def link_address(self, address: str) -> str | None:
        """
        "00:90:e8:…"; None when the kernel holds none (not on a local link, nobody there, or no
        such table on this system). Nothing is sent.
        """
        if address not in self._known and not ip_address(address).is_loopback:
            self._read()
        return self._known.get(address)

    def _read(self) -> None:
        try:
            lines = self._table.read_text(encoding="ascii", errors="replace").splitlines()[1:]
        except OSError:
            return
        for line in lines:
            fields = line.split()
            if len(fields) < 4 or fields[1] != "0x1" or not fields[2].startswith("0x"):
                continue
            if int(fields[2], 16) & 0x2:
                self._known[fields[0]] = fields[3].lower()


# --- the file ------------------------------------------------------------------------------------


def parse(text: str) -> tuple[Entry, ...]:
    """The entries of a list. Raises ToolBug with the entry that breaks the schema."""
    try:
        rows = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ToolBug(f"fragile list: {error}") from error
    if not isinstance(rows, list):
        raise ToolBug("fragile list: a list of entries is expected")
    entries = tuple(_entry(row, f"fragile list, entry {n + 1}") for n, row in enumerate(rows))
    ids = [entry.id for entry in entries]
    if doubled := {one for one in ids if ids.count(one) > 1}:
        raise ToolBug(f"fragile list: ids used twice: {', '.join(sorted(doubled))}")
    return entries


def _entry(row: object, place: str) -> Entry:
    found = _mapping(row, place, _REQUIRED, _OPTIONAL)
    place = f"{place} ({found['id']})"
    match = _mapping(found["match"], f"{place} match", frozenset(), _MATCHES)
    if not match.keys() & {"model", "oui"}:
        raise ToolBug(f"{place}: match needs a model or an oui")
    example = found.get("example")
    if "model" in match and example is None:
        raise ToolBug(f"{place}: an entry with a model needs an example")
    below = match.get("firmware_below")
    if below is not None and (not isinstance(below, str) or not version(below)):
        raise ToolBug(f"{place}: firmware_below is a version in quotes")
    if not isinstance(found["why"], str) or not found["why"].strip():
        raise ToolBug(f"{place}: why is a sentence")
    try:
        entry = Entry(
            id=str(found["id"]),
            vendor=_pattern(match.get("vendor")),
            model=_pattern(match.get("model")),
            firmware_below=below,
            ouis=_ouis(match.get("oui", []), place),
            rule=_rule(found["rule"], place),
            why=" ".join(found["why"].split()),
            source=_source(found["source"], place),
            example=None if example is None else Identity(**example),
        )
    except (re.error, TypeError) as error:
        raise ToolBug(f"{place}: {error}") from error
    if entry.example is not None and not entry.fits((entry.example,)):
        raise ToolBug(f"{place}: its own example does not match")
    return entry


def _mapping(
    row: object, place: str, required: frozenset[str], optional: frozenset[str]
) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise ToolBug(f"{place}: a mapping is expected")
    if missing := required - set(row):
        raise ToolBug(f"{place}: missing {', '.join(sorted(missing))}")
    if surplus := set(row) - required - optional:
        raise ToolBug(f"{place}: unknown {', '.join(sorted(map(str, surplus)))}")
    return row


def _pattern(text: object) -> re.Pattern[str] | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise TypeError("an expression is text")
    return re.compile(text, re.IGNORECASE)


def _ouis(row: object, place: str) -> frozenset[str]:
    if not isinstance(row, list) or not all(
        isinstance(one, str) and re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){2}", one) for one in row
    ):
        raise ToolBug(f'{place}: oui is a list of texts like "00:90:e8"')
    return frozenset(row)


def _rule(row: object, place: str) -> Rule:
    found = _mapping(row, f"{place} rule", frozenset(), _RULES)
    if not found:
        raise ToolBug(f"{place}: a rule that takes nothing away")
    if found.get("profile", FRAGILE.name) != FRAGILE.name:
        raise ToolBug(f"{place}: the only profile of a rule is {FRAGILE.name}")
    never, number = found.get("never", []), found.get("connections")
    interval = found.get("reconnect_s", 0)
    if not isinstance(never, list) or not all(isinstance(one, str) for one in never):
        raise ToolBug(f"{place}: never is a list of services")
    if number is not None and (type(number) is not int or number < 0):
        raise ToolBug(f"{place}: connections is a number from 0")
    if type(interval) not in (int, float) or not 0 <= interval <= 600:
        raise ToolBug(f"{place}: reconnect_s is a number of seconds up to 600")
    for key in ("stop_after_identify", "leave_alone"):
        if found.get(key, True) is not True:
            raise ToolBug(f"{place}: {key} can only be true")
    try:
        tier = Tier(found.get("tier", Tier.LOGIN))
    except ValueError as error:
        raise ToolBug(f"{place}: {error}") from error
    return Rule(
        fragile_pace="profile" in found,
        tier=tier,
        never=frozenset(never),
        connections=number,
        reconnect_s=float(interval),
        stop_after_identify="stop_after_identify" in found,
        leave_alone="leave_alone" in found,
        seats=str(found.get("seats", "")),
    )


def _source(row: object, place: str) -> Source:
    keys = frozenset({"title", "address", "read", "opened"})
    found = _mapping(row, f"{place} source", keys, frozenset())
    if not isinstance(found["title"], str) or not found["title"]:
        raise ToolBug(f"{place}: a source has a title")
    if not isinstance(found["address"], str) or not found["address"].startswith("https://"):
        raise ToolBug(f"{place}: a source has an address (https)")
    if type(found["read"]) is not date or type(found["opened"]) is not bool:
        raise ToolBug(f"{place}: read is a date, opened is true or false")
    return Source(**found)
