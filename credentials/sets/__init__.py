"""
Published default credentials, as data with source and date.

One YAML file per vendor beside this module. An entry is a fact that a public document states
about one product: nothing is guessed, nothing is a word list. `match` gives at most one pair per
protocol, and only for a device whose vendor and product are known.

Keys of an entry: `id`; `vendor` and `product`, regular expressions searched (ignoring case) in
the vendor and in the model or order number of a device; `firmware_below` (optional: matches only
a known, older firmware); `protocol` (http, ssh, telnet, snmp); `user` and `secret` (for snmp the
community, `user` is empty); `options` (http: `scheme`, `path`, and for a form `form_path`,
`user_field`, `password_field`, `success`, `failure`); `document`, `source` (the address that was
read) and `read` (when); `example` (an identity that the entry matches; proven by test).

`scheme: basic` says: send the pair only where the device answers `path` with a Basic challenge.
`success` and `failure` are texts of the reply to a form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Literal, cast

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from scanner.errors import ToolBug
from scanner.model import Identity
from scanner.spec import DefaultCredential, Secret

Protocol = Literal["http", "ssh", "telnet", "snmp"]
LONGEST_NAME = 80
"""Characters of a device's own vendor and product names that are repeated."""
PROTOCOLS: tuple[Protocol, ...] = ("http", "ssh", "telnet", "snmp")
_REQUIRED = frozenset(
    {"id", "vendor", "product", "example", "protocol", "user", "secret", "document", "source",
     "read"}
)  # fmt: skip
_OPTIONAL = frozenset({"options", "firmware_below"})
_HTTP_OPTIONS = frozenset(
    {"scheme", "path", "form_path", "user_field", "password_field", "success", "failure"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One published default. `firmware_below` None: every firmware of the product."""

    id: str
    vendor: re.Pattern[str]
    product: re.Pattern[str]
    firmware_below: str | None
    protocol: Protocol
    user: str
    secret: Secret
    options: Mapping[str, str] = field(default_factory=dict)
    document: str
    source: str
    read: date
    example: Identity


@cache
def load() -> tuple[Entry, ...]:
    """All entries of the package, ordered by id. Raises ToolBug when a file breaks the schema."""
    found: list[Entry] = []
    for file in sorted(files(__package__).iterdir(), key=lambda item: item.name):
        if file.name.endswith(".yaml"):
            found.extend(parse(file.read_text(encoding="utf-8"), file.name))
    ids = [entry.id for entry in found]
    if doubled := {one for one in ids if ids.count(one) > 1}:
        raise ToolBug(f"credential ids used twice: {', '.join(sorted(doubled))}")
    return tuple(sorted(found, key=lambda entry: entry.id))


def parse(text: str, name: str) -> tuple[Entry, ...]:
    """The entries of one file. Raises ToolBug with the file and the entry."""
    try:
        rows = YAML(typ="safe").load(text)
    except YAMLError as error:
        raise ToolBug(f"credential set {name}: {error}") from error
    if not isinstance(rows, list):
        raise ToolBug(f"credential set {name}: a list of entries is expected")
    return tuple(_entry(row, f"credential set {name}, entry {n + 1}") for n, row in enumerate(rows))


def _entry(row: object, place: str) -> Entry:
    if not isinstance(row, dict):
        raise ToolBug(f"{place}: a mapping is expected")
    keys = set(row)
    if missing := _REQUIRED - keys:
        raise ToolBug(f"{place}: missing {', '.join(sorted(missing))}")
    if surplus := keys - _REQUIRED - _OPTIONAL:
        raise ToolBug(f"{place}: unknown {', '.join(sorted(map(str, surplus)))}")
    texts = ("id", "vendor", "product", "protocol", "user", "secret", "document", "source")
    if wrong := [key for key in texts if not isinstance(row[key], str)]:
        raise ToolBug(f"{place}: not text: {', '.join(wrong)}")
    if row["protocol"] not in PROTOCOLS:
        raise ToolBug(f"{place}: unknown protocol")
    if not row["source"].startswith(("https://", "http://")) or not row["document"]:
        raise ToolBug(f"{place}: a source is the document's name and the address that was read")
    if not isinstance(row["read"], date):
        raise ToolBug(f"{place}: read is a date")
    below = row.get("firmware_below")
    if below is not None and (not isinstance(below, str) or not _version(below)):
        raise ToolBug(f"{place}: firmware_below is a version in quotes")
    example = row["example"]
    if not isinstance(example, dict) or not {"vendor", "model"} <= set(example):
        raise ToolBug(f"{place}: example names vendor and model")
    try:
        vendor = re.compile(row["vendor"], re.IGNORECASE)
        product = re.compile(row["product"], re.IGNORECASE)
        identity = Identity(**example)
    except (re.error, TypeError) as error:
        raise ToolBug(f"{place}: {error}") from error
    return Entry(
        id=row["id"],
        vendor=vendor,
        product=product,
        firmware_below=below,
        protocol=cast(Protocol, row["protocol"]),
        user=row["user"],
        secret=Secret(row["secret"]),
        options=_options(row.get("options", {}), row["protocol"], place),
        document=row["document"],
        source=row["source"],
        read=row["read"],
        example=identity,
    )


def _options(options: object, protocol: str, place: str) -> Mapping[str, str]:
    if not isinstance(options, dict) or not all(
        isinstance(key, str) and isinstance(value, str) for key, value in options.items()
    ):
        raise ToolBug(f"{place}: options are a mapping of texts")
    if protocol != "http":
        if options:
            raise ToolBug(f"{place}: only http has options")
        return {}
    if surplus := set(options) - _HTTP_OPTIONS:
        raise ToolBug(f"{place}: unknown options {', '.join(sorted(surplus))}")
    if options.get("scheme") not in ("basic", "form") or not options.get("path", "").startswith(
        "/"
    ):
        raise ToolBug(f"{place}: http needs scheme (basic, form) and path")
    if options["scheme"] == "form":
        needed = {"form_path", "user_field", "password_field"}
        if not needed <= set(options) or not {"success", "failure"} & set(options):
            raise ToolBug(f"{place}: a form needs form_path, both fields, and success or failure")
    return options


def match(
    identity: Identity, protocol: str, entries: tuple[Entry, ...] | None = None
) -> tuple[DefaultCredential, ...]:
    """
    The pair published for this product and protocol ("https" is asked as "http"): one or none.

    Without a vendor and a product there is none: a pair is only for a product that was
    recognised. Where several entries match, the one whose product expression matched the longest
    text is taken, since it is the more exact one.
    """
    product = " ".join(text for text in (identity.model, identity.order_number) if text)
    if not identity.vendor or not product:
        return ()
    wanted = "http" if protocol == "https" else protocol
    best: tuple[int, Entry] | None = None
    for entry in load() if entries is None else entries:
        found = entry.product.search(product)
        if entry.protocol != wanted or not found or not entry.vendor.search(identity.vendor):
            continue
        if entry.firmware_below and not _older(identity.firmware, entry.firmware_below):
            continue
        length = len(found.group())
        if best is None or length > best[0]:
            best = (length, entry)
    return () if best is None else (_credential(best[1], identity.vendor, product),)


def _credential(entry: Entry, vendor: str, product: str) -> DefaultCredential:
    """`vendor` and `product` as the device told them: that is what the report shows."""
    return DefaultCredential(
        id=entry.id,
        vendor=vendor[:LONGEST_NAME],
        product=product[:LONGEST_NAME],
        protocol=entry.protocol,
        user=entry.user,
        secret=entry.secret,
        options=dict(entry.options),
    )


def _version(text: str) -> tuple[int, ...]:
    """The first dotted number of a firmware text: "V05.01.00" gives (5, 1, 0)."""
    found = re.search(r"\d{1,6}(?:\.\d{1,6})*", text)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def _older(firmware: str | None, below: str) -> bool:
    """False also when the firmware is not known: the version family must be proven."""
    seen = _version(firmware or "")
    return bool(seen) and seen < _version(below)
