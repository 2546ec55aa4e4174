"""
Files of other tools with hostile text in the fields that Walkdown takes over, for each importer.

`FILES` is by the importer's name; a capture is not made here, it is the one of a scan of hostile
devices.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

AT = 1_790_000_000
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML document can hold (XML 1.0, section 2.2)."""

Make = Callable[[Path, Sequence[str], Sequence[str]], None]
"""(file, texts, addresses to give them to in turn)"""


def _rows(texts: Sequence[str], addresses: Sequence[str]) -> list[tuple[str, str]]:
    return [(addresses[n % len(addresses)], text) for n, text in enumerate(texts)]


def table(path: Path, texts: Sequence[str], addresses: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("address", "vendor", "model", "name", "comment"))
        rows.writerows((address, t, t, t, t) for address, t in _rows(texts, addresses))


def netbox(path: Path, texts: Sequence[str], addresses: Sequence[str]) -> None:
    devices = [
        {
            "name": t, "serial": t, "asset_tag": t, "site": {"name": t}, "role": {"name": t},
            "device_type": {"model": t, "part_number": t, "manufacturer": {"name": t}},
            "primary_ip4": {"address": f"{address}/32"}, "status": {"value": "active"},
        }
        for address, t in _rows(texts, addresses)
    ]  # fmt: skip
    path.write_text(json.dumps({"next": None, "results": devices}), encoding="ascii")


def nmap(path: Path, texts: Sequence[str], addresses: Sequence[str]) -> None:
    hosts = []
    for address, text in _rows(texts, addresses):
        t = _NOT_XML.sub("", text)
        elements = "".join(
            f"<elem key={quoteattr(key)}>{escape(t)}</elem>"
            for key in ("Module", "Version", "System Name", "Module Type", "Serial Number")
        )
        service = f"<service name='ftp' method='probed' product={quoteattr(t)} version='1'/>"
        hosts.append(
            f"<host endtime='{AT}'><status state='up' reason='echo-reply'/>"
            f"<address addr='{address}' addrtype='ipv4'/>"
            f"<hostnames><hostname name={quoteattr(t)} type='PTR'/></hostnames><ports>"
            f"<port protocol='tcp' portid='102'><state state='open'/>"
            f"<script id='s7-info' output={quoteattr(t)}>{elements}</script></port>"
            f"<port protocol='tcp' portid='21'><state state='open'/>{service}</port>"
            "</ports></host>"
        )
    document = f"<?xml version='1.0'?><nmaprun scanner='nmap'>{''.join(hosts)}</nmaprun>"
    path.write_text(document, encoding="utf-8")


def zgrab2(path: Path, texts: Sequence[str], addresses: Sequence[str]) -> None:
    lines = []
    for address, t in _rows(texts, addresses):
        results: dict[str, Any] = {
            "modbus": {"unit_id": 0, "function_code": 43, "mei_response": {
                "objects": {"vendor": t, "product_code": t, "revision": t}}},
            "siemens": {"is_s7": True, "system": t, "module_type": t, "serial_number": t,
                        "module_id": t, "firmware": t},
            "fox": {"is_fox": True, "version": t, "app_version": t, "brand_id": t,
                    "station_name": t},
            "http": {"response": {"status_code": 200, "headers": {"server": [t]}, "body":
                     f"<title>{t}</title>"}},
            "ssh": {"server_id": {"raw": f"SSH-2.0-{t}"}},
            "telnet": {"banner": t},
        }  # fmt: skip
        data = {
            name: {"status": "success", "protocol": name, "timestamp": "2026-10-01T00:00:00Z",
                   "result": result}
            for name, result in results.items()
        }  # fmt: skip
        lines.append(json.dumps({"ip": address, "data": data}))
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def zeek(path: Path, texts: Sequence[str], addresses: Sequence[str]) -> None:
    """Two logs in one folder: who answered by SNMP, and what CIP identities were told."""
    path.mkdir()
    snmp, cip = [], []
    for address, t in _rows(texts, addresses):
        both: dict[str, Any] = {
            "ts": AT, "uid": "C1", "id.orig_h": "127.46.201.126", "id.orig_p": 40000,
            "id.resp_h": address,
        }  # fmt: skip
        snmp.append(
            both | {"_path": "snmp", "id.resp_p": 161, "version": "2c", "get_responses": 1,
                    "display_string": t, "community": t}
        )  # fmt: skip
        cip.append(
            both | {"_path": "cip_identity", "id.resp_p": 44818, "is_orig": False, "vendor_name": t,
                    "product_name": t, "serial_number": t, "device_type_name": t}
        )  # fmt: skip
    for name, rows in (("snmp", snmp), ("cip_identity", cip)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (path / f"{name}.log").write_text(text, encoding="ascii")


FILES: Mapping[str, tuple[str, Make]] = {
    "csv": ("register.csv", table),
    "netbox": ("netbox.json", netbox),
    "nmap": ("scan.xml", nmap),
    "zgrab2": ("grab.json", zgrab2),
    "zeek": ("zeek", zeek),
}
"""Importer → the name of its file (or folder), and who makes it."""
