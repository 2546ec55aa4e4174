"""
A list as CSV: what somebody wrote down, not what was seen.

The first line names the columns, in any order and with comma, semicolon or tab between; those that
are known are `address` (or ip, ip_address), `mac`, `zone`, `sub_address`, `name`, `vendor` (or
manufacturer), `model`, `order_number`, `hardware`, `firmware`, `serial` (or serial_number),
`class`, `own_name`, `addresses` and `as_of` (the day the row was true; else the file's own time).
Every other column is kept as a detail. A row needs an address or a name.

What `walkdown export --to csv` writes has a first column `walkdown`; there a backslash begins the
code of a character that would not show or that a spreadsheet would run, and is read back. In other
files a backslash is a backslash.

Source: RFC 4180.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from scanner.errors import UsageError
from scanner.facts import ClaimedDevice
from scanner.importers.claims import claim
from scanner.importers.form import (
    HEAD_BYTES,
    Imported,
    Importer,
    Reading,
    address_of,
    is_device,
    lines,
    mac_of,
    moment_of,
)

MARK = "walkdown"
VERSION = "1"
MAX_COLUMNS = 200
MAX_CELL = 4096
OTHER_NAMES = {
    "ip": "address", "ip_address": "address", "ip address": "address", "manufacturer": "vendor",
    "serial_number": "serial", "serial number": "serial", "firmware_version": "firmware",
    "device_class": "class", "mac_address": "mac", "hostname": "name", "type": "model",
    "order number": "order_number", "part_number": "order_number",
}  # fmt: skip
COLUMNS = (
    "address", "mac", "zone", "sub_address", "name", "vendor", "model", "order_number", "hardware",
    "firmware", "serial", "class", "own_name", "addresses", "as_of",
)  # fmt: skip
_ESCAPED = re.compile(r"\\(?:\\|x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))")


def unescaped(cell: str) -> str:
    """The text that `reports.register.escaped` made a cell of."""

    def character(found: re.Match[str]) -> str:
        code = found[1] or found[2] or found[3]
        value = int(code, 16) if code else 0x5C
        return chr(value) if value <= 0x10FFFF else found[0]

    return _ESCAPED.sub(character, cell)


def recognises(head: bytes, path: Path) -> bool:
    text = head.decode("utf-8-sig", "replace").partition("\n")[0]
    names = _names(_cells(text, _delimiter(text)) or [])
    return "address" in names or ("name" in names and len(set(names) & set(COLUMNS)) > 2)


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)


def _cells(line: str, delimiter: str) -> list[str] | None:
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return None


def _names(cells: Sequence[str]) -> list[str]:
    plain = [cell.strip().strip("\ufeff").casefold() for cell in cells[:MAX_COLUMNS]]
    return [OTHER_NAMES.get(name, name) for name in plain]


def read(path: Path, reading: Reading) -> Iterator[Imported]:
    """Raises UsageError for a file without a usable header."""
    with path.open("rb") as file:
        header = file.read(HEAD_BYTES).decode("utf-8-sig", "replace").partition("\n")[0]
    delimiter = _delimiter(header)
    names = _names(_cells(header.rstrip("\r"), delimiter) or [])
    if not {"address", "name"} & set(names):
        raise UsageError(
            f"{path}: the first line names neither a column `address` nor `name`\n"
            f"  hint: columns that are known: {', '.join(COLUMNS)}"
        )
    is_ours = MARK in names
    rows = lines(path, reading)
    next(rows, None)
    for number, line in rows:
        if not line.strip():
            continue
        place = f"row {number}"
        cells = _cells(line, delimiter)
        if cells is None or len(cells) > len(names):
            reading.skip("rows that do not fit the header (a cell with a line break?)", place)
            continue
        row = {
            name: (unescaped(cell[:MAX_CELL]) if is_ours else cell[:MAX_CELL].strip())
            for name, cell in zip(names, cells, strict=False)
            if cell
        }
        found = _row(row, place, reading, is_ours=is_ours)
        if found is None:
            reading.skip("rows with neither a readable address nor a name", place)
        else:
            yield found


def _row(row: dict[str, str], place: str, reading: Reading, *, is_ours: bool) -> Imported | None:
    address = address_of(row.get("address"))
    mac = mac_of(row.get("mac"))
    if address is None or not is_device(address):
        address = mac_of(row.get("address")) or (mac if not row.get("name") else None)
    if address is None and not row.get("name"):
        return None
    details = tuple(
        (name, value) for name, value in row.items() if name not in (*COLUMNS, MARK) and value
    )
    device = ClaimedDevice(
        vendor=row.get("vendor"),
        model=row.get("model"),
        order_number=row.get("order_number"),
        hardware=row.get("hardware"),
        firmware=row.get("firmware"),
        serial=row.get("serial"),
        name=row.get("name"),
        own_name=row.get("own_name"),
        class_=row.get("class"),
        mac=mac or row.get("mac"),
        zone=row.get("zone"),
        behind=row.get("sub_address"),
        addresses=tuple(one for one in row.get("addresses", "").split() if address_of(one)),
        details=details,
    )
    at = moment_of(row.get("as_of", "").strip()) or reading.modified
    return claim(device, address=address, at=at, place=place, protocol="csv")


IMPORTER = Importer(
    name="csv",
    noun="list",
    title="list of devices, CSV",
    recognises=recognises,
    read=read,
)
