"""
The asset list as CSV that `walkdown import` reads back without loss.

`reports.tables` writes for people; here every text comes back as it was. A backslash begins the
code of a character that would not show or that a spreadsheet would run, so that a cell is inert and
its text can still be told exactly. What is read back is a claim: a list says, it does not see.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Mapping

from reports.inert import BLANK, FORMULA_STARTS, MARKS_IN_A_ROW
from scanner.facts import ClaimedDevice, LinkAddress
from scanner.model import Assessment, Asset, Identity, Observation, Outcome, Presence

MARK, VERSION = "walkdown", "1"
COLUMNS = (
    MARK, "address", "mac", "zone", "sub_address", "name", "own_name", "vendor", "model",
    "order_number", "hardware", "firmware", "serial", "class", "addresses", "as_of", "services",
    "presence", "criticality", "known_from",
)  # fmt: skip


def escaped(text: str) -> str:
    """
    A cell that shows as it is and runs nowhere: at its start and behind a semicolon, where some
    spreadsheets see the next cell, there is no sign of a formula. importers.table.unescaped is its
    inverse.
    """
    shown: list[str] = []
    marks = 0
    at_start = True
    for character in text:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        harmless = (
            (character == " " or category[0] not in "CZ")
            and character not in BLANK
            and marks <= MARKS_IN_A_ROW
            and not (at_start and character in FORMULA_STARTS)
        )
        shown.append("\\\\" if character == "\\" else character if harmless else _code(character))
        at_start = character == ";" or (at_start and (character in "\"'" or character.isspace()))
    return "".join(shown)


def _code(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def render(assessment: Assessment) -> bytes:
    """The whole list, in the order of the assessment."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    newest = {one.id: one for one in assessment.observations}
    for asset in assessment.assets:
        writer.writerow({key: escaped(cell) for key, cell in row(asset, newest).items()})
    return text.getvalue().encode("utf-8-sig", "replace")  # spreadsheets look for the mark


def row(asset: Asset, observations: Mapping[str, Observation]) -> dict[str, str]:
    """One asset as plain texts by column; what is not known is empty."""
    identity = shown_identity(asset)
    claims = [fact for fact in asset.facts if isinstance(fact, ClaimedDevice)]
    times = [observations[name].finished_at for name in asset.observations if name in observations]
    told = {
        MARK: VERSION,
        "address": asset.address,
        "mac": link_address(asset),
        "zone": asset.zone,
        "sub_address": asset.sub_address,
        "name": asset.name,
        "own_name": identity.name,
        "vendor": identity.vendor,
        "model": identity.model,
        "order_number": identity.order_number,
        "hardware": identity.hardware,
        "firmware": identity.firmware,
        "serial": identity.serial,
        "class": (claims[-1].class_ if asset.presence is Presence.CLAIMED and claims else None)
        or str(asset.device_class),
        "addresses": " ".join(asset.addresses),
        "as_of": max(times).isoformat() if times else None,
        "services": ", ".join(
            f"{s.protocol} {s.transport}/{s.port}"
            for s in asset.services
            if s.outcome is Outcome.ANSWERED
        ),
        "presence": str(asset.presence),
        "criticality": asset.criticality,
        "known_from": ", ".join(asset.origins),
    }
    return {name: value or "" for name, value in told.items()}


def shown_identity(asset: Asset) -> Identity:
    """What was seen; of a device that only lists name, what they say."""
    if asset.presence is Presence.CLAIMED and asset.declared is not None:
        return asset.declared
    return asset.identity


def link_address(asset: Asset) -> str | None:
    """The first hardware address that was told of it."""
    macs = [fact.mac for fact in asset.facts if isinstance(fact, LinkAddress)]
    claimed = [f.mac for f in asset.facts if isinstance(f, ClaimedDevice) and f.mac]
    return next(iter((*macs, *claimed)), None)
