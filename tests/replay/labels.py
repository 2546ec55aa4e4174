"""
What the label of a recording says, in the fields of an identity.

A recording's `facts` are what its replies carry, under the names of its protocol. `FIELDS` turns
them into identity fields; what stands there for a protocol comes before what stands for all. Names
that are not listed (bytes of a state, dialects, tables) are no part of an identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

EVERY: Final[Mapping[str, str]] = {
    "vendor": "vendor", "vendor_name": "vendor", "model": "model", "model_name": "model",
    "product_name": "model", "order_number": "order_number", "hw": "hardware", "fw": "firmware",
    "firmware": "firmware", "firmware_revision": "firmware", "serial": "serial",
    "serial_number": "serial", "system_name": "name", "object_name": "name", "host_name": "name",
    "station.name": "name", "device_name": "name", "friendly_name": "name", "sys_name": "name",
    "long_tag": "name", "name_of_station": "name",
}  # fmt: skip
FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "ads": {"twincat_version": "firmware"},
    "enip": {"revision": "firmware"},
    "fins": {"version": "firmware"},
    "fox": {"app.version": "firmware", "app.name": "model"},
    "hart-ip": {"software_rev": "firmware", "device_id": "serial"},
    "mms": {"revision": "firmware"},
    "profinet-dcp": {"device_vendor_value": "model"},
    "s7comm": {"module_name": "", "module_type": "model"},
    "umas": {"cpu": "model"},
}
"""By protocol of the recording; "" takes a name out."""


def wanted(record: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Identity field → equally good readings, where the recorded reply carries an identity."""
    if not record.get("identity_in_reply"):
        return {}
    names = {**EVERY, **FIELDS.get(str(record["protocol"]), {})}
    found: dict[str, list[str]] = {}
    for name, value in record["facts"].items():
        field = names.get(name)
        if field and isinstance(value, str | int | float) and str(value).strip():
            found.setdefault(field, []).append(str(value))
    return {field: tuple(values) for field, values in found.items()}
