"""
The forms that an import fills in, and how foreign files are read without harm.

An importer is one module with a constant `IMPORTER`; it is found by walking the package. It turns
a file into `Imported` things and knows neither site nor zones nor clock. Everything in a file is
hostile: lines, texts, numbers and times are bounded here, and what cannot be read is counted and
told, never guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

from scanner.errors import UsageError
from scanner.facts import DeviceIdentity, Fact
from scanner.model import Transport

HEAD_BYTES = 65_536
"""So much of a file's beginning decides which format it has."""
MAX_LINE_BYTES = 1024 * 1024
MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
"""The most that a format may have which can only be read whole."""
MAX_TEXT = 256
MAX_NOTES = 20
_PROTOCOL = re.compile(r"[a-z0-9][a-z0-9_.+-]{0,31}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """
    One thing that a file says of one device.

    `address` is an IP address, or a MAC address where the file has none; of a claimed device
    without one it is correlate.BY_NAME and its name. `port` 0: it belongs to no service. `place` is
    where in the file ("packet 512").
    `seen`: the file shows packets or answers of the device itself; False for what a list claims.
    A Conversation stands alone in `facts`; it is kept for both of its ends.
    """

    address: str
    facts: tuple[Fact, ...]
    at: datetime
    place: str
    port: int = 0
    transport: Transport = Transport.TCP
    protocol: str
    seen: bool = True
    zone: str | None = None
    """The zone that the file itself names."""


def _nobody(*_: object) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognise:
    """
    The tables that tell products apart, as the probes use them. They are lent by the composition
    root, since an importer knows no probe.
    """

    snmp: Callable[[Mapping[str, int | bytes | str | None]], DeviceIdentity | None] = _nobody
    """By object identifier: sysDescr and others as bytes, sysObjectID in dots."""
    ssh: Callable[[str], DeviceIdentity | None] = _nobody
    """By the software in the identification string."""
    http: Callable[[str | None, str | None], DeviceIdentity | None] = _nobody
    """By `Server` and title."""
    cip_vendor: Callable[[int], str | None] = _nobody
    bacnet_vendor: Callable[[int], str | None] = _nobody
    profinet_vendor: Callable[[int], str | None] = _nobody


@dataclass(slots=True, kw_only=True)
class Reading:
    """
    What one reading of a file is lent, and what it says of itself. `progress` hears how many bytes
    are done. `notes` are sentences on what was left out.
    """

    modified: datetime
    """When the file was last written: the age of what has no time of its own."""
    environment: Mapping[str, str] = field(default_factory=dict)
    recognise: Recognise = field(default_factory=Recognise)
    progress: Callable[[int], None] = lambda _: None
    notes: list[str] = field(default_factory=list)
    skipped: dict[str, list[str]] = field(default_factory=dict)
    """Reason -> the first places where something could not be read, and how many (as a number)."""
    _counts: dict[str, int] = field(default_factory=dict)

    def skip(self, reason: str, place: str) -> None:
        self._counts[reason] = self._counts.get(reason, 0) + 1
        if self._counts[reason] <= 3:
            self.skipped.setdefault(reason, []).append(place)

    def told(self) -> tuple[str, ...]:
        """The notes, and a sentence for each reason to skip something."""
        said = list(self.notes[:MAX_NOTES])
        for reason, places in list(self.skipped.items())[:MAX_NOTES]:
            more = self._counts[reason] - len(places)
            rest = f" and {more:,} more" if more else ""
            said.append(f"{reason}: {', '.join(places)}{rest}")
        return tuple(said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Importer:
    """
    One format. `noun` stands in sources before the file's name ("capture"). `recognises` looks at
    the first bytes of a file (HEAD_BYTES at most) and at its name.
    """

    name: str
    noun: str
    title: str
    recognises: Callable[[bytes, Path], bool]
    read: Callable[[Path, Reading], Iterator[Imported]]


# --- files -------------------------------------------------------------------------------------


def lines(path: Path, reading: Reading) -> Iterator[tuple[int, str]]:
    """
    (number, text) of each line, the file never whole in memory. Lines that are too long are
    skipped and told.
    """
    done = 0
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            done += len(line)
            if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
                reading.skip(f"lines longer than {MAX_LINE_BYTES:,} bytes", f"line {number}")
                while line and not line.endswith(b"\n"):
                    line = file.readline(MAX_LINE_BYTES)
                    done += len(line)
                continue
            if number % 1024 == 0:
                reading.progress(done)
            yield number, line.decode("utf-8", "replace").rstrip("\r\n")
    reading.progress(done)


def document(path: Path, reading: Reading) -> bytes:
    """A file that has to be read whole. Raises UsageError when it is too large for that."""
    size = path.stat().st_size
    if size > MAX_DOCUMENT_BYTES:
        raise UsageError(
            f"{path}: {size:,} bytes, and this format is read whole: at most "
            f"{MAX_DOCUMENT_BYTES:,}\n  hint: split the export (by site or zone) and name each part"
        )
    content = path.read_bytes()[: MAX_DOCUMENT_BYTES + 1]
    reading.progress(len(content))
    return content


MAX_DIGITS = 400


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError("a number with too many digits")
    return int(text)


def json_value(text: str | bytes) -> Any:
    """JSON, or None for what is none. Depth and digits are bounded."""
    try:
        return json.loads(text, parse_int=_integer)
    except (ValueError, RecursionError):
        return None


# --- values ------------------------------------------------------------------------------------


def text_of(value: object, most: int = MAX_TEXT) -> str | None:
    """Text without blanks and NULs at its ends, bounded; None when there is none."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        value = str(value) if abs(value) < 1e18 else ""
    if not isinstance(value, str):
        return None
    return value[: 4 * most].strip(" \t\r\n\0")[:most].rstrip() or None


def number_of(value: object, most: int = 2**32 - 1) -> int | None:
    """A whole number from 0 to `most`, also from text, decimal or with 0x; else None."""
    if isinstance(value, str) and len(value) <= 24:
        try:
            value = int(value.strip(), 16 if value.strip().lower().startswith("0x") else 10)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= most else None


def port_of(value: object) -> int | None:
    found = number_of(value, 65535)
    return found or None


def address_of(value: object) -> str | None:
    """An IP address in canonical text, also with a prefix length behind it; else None."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        ip: IPv4Address | IPv6Address = ip_address(value.strip().partition("/")[0].strip("[]"))
    except ValueError:
        return None
    if isinstance(ip, IPv6Address):
        if ip.scope_id is not None:
            return None
        ip = ip.ipv4_mapped or ip
    return str(ip)


def is_device(address: str) -> bool:
    """Whether one device can have this address: no group, no broadcast, not "none"."""
    try:
        ip = ip_address(address)
    except ValueError:
        return mac_of(address) is not None
    return not (ip.is_multicast or ip.is_unspecified or str(ip) == "255.255.255.255")


def mac_of(value: object) -> str | None:
    """A single device's hardware address as "00:1b:1b:0a:0b:0c"; None for groups and nonsense."""
    if not isinstance(value, str) or len(value) > 24:
        return None
    digits = re.sub(r"[:.\-\s]", "", value).lower()
    if not re.fullmatch(r"[0-9a-f]{12}", digits) or set(digits) == {"0"} or int(digits[1], 16) & 1:
        return None
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def protocol_of(value: object, default: str = "unknown") -> str:
    """A protocol's name in small letters, of characters that are safe in a key."""
    text = value.strip().lower() if isinstance(value, str) else ""
    return text if _PROTOCOL.fullmatch(text) else default


def transport_of(value: object) -> Transport | None:
    text = value.lower() if isinstance(value, str) else ""
    return Transport(text) if text in ("tcp", "udp") else None


def moment_of(value: object) -> datetime | None:
    """
    A time from seconds since 1970 (number or text) or from ISO 8601; without a time zone it is
    taken for UTC. None for what is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        if isinstance(value, str):
            if len(value) > 40:
                return None
            try:
                value = float(value)
            except ValueError:
                moment = datetime.fromisoformat(str(value).strip())
                aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
                return aware.astimezone(UTC)
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def identity_facts(*facts: DeviceIdentity | None) -> tuple[Fact, ...]:
    """Those that tell anything."""
    empty = {DeviceIdentity(basis=basis) for basis in ("protocol", "table", "text")}
    return tuple(
        fact for fact in facts if fact is not None and replace(fact, sub_address=None) not in empty
    )
