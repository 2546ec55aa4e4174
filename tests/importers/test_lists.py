"""Lists claim: NetBox and CSV."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.errors import UsageError
from scanner.facts import ClaimedDevice
from scanner.importers import netbox, table
from tests.importers.conftest import READ_AT, read

DEVICE = {
    "name": "PLC-12", "serial": "S C-1", "asset_tag": "A7", "last_updated": "2026-10-01T08:00:00Z",
    "device_type": {"model": "CPU 315", "part_number": "6ES7 315-2EH14-0AB0",
                    "manufacturer": {"name": "Siemens"}},
    "role": {"name": "PLC"}, "site": {"name": "Harbour"}, "status": {"value": "active"},
    "primary_ip4": {"address": "10.1.0.7/24"},
}  # fmt: skip


def test_a_page_of_the_api_and_the_bare_list_are_read_alike(tmp_path: Path) -> None:
    page, bare = tmp_path / "page.json", tmp_path / "bare.json"
    page.write_text(json.dumps({"count": 1, "next": None, "results": [DEVICE]}))
    bare.write_text(json.dumps([DEVICE]))

    for path in (page, bare):
        (found,), reading = read(netbox.IMPORTER, path)
        assert (found.address, found.seen, found.place) == ("10.1.0.7", False, "device 1")
        assert found.at.isoformat() == "2026-10-01T08:00:00+00:00"
        (claim,) = found.facts
        assert isinstance(claim, ClaimedDevice)
        assert (claim.vendor, claim.model, claim.order_number, claim.serial, claim.name) == (
            "Siemens", "CPU 315", "6ES7 315-2EH14-0AB0", "S C-1", "PLC-12",
        )  # fmt: skip
        assert ("site", "Harbour") in claim.details
        assert not reading.told()


def test_a_device_without_an_address_stands_under_its_name(tmp_path: Path) -> None:
    path = tmp_path / "page.json"
    path.write_text(json.dumps([DEVICE | {"primary_ip4": None}]))

    (found,), _ = read(netbox.IMPORTER, path)

    assert found.address == "name:PLC-12"


def test_one_page_of_several_is_told(tmp_path: Path) -> None:
    path = tmp_path / "page.json"
    path.write_text(json.dumps({"next": "http://netbox/?offset=50", "results": [DEVICE]}))

    assert "one page of several" in read(netbox.IMPORTER, path)[1].told()[0]


def test_what_holds_no_devices_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "page.json"
    path.write_text('{"detail": "Authentication credentials were not provided."}')

    with pytest.raises(UsageError, match="no list of devices"):
        read(netbox.IMPORTER, path)


def sheet(folder: Path, *lines: str) -> Path:
    path = folder / "register.csv"
    path.write_bytes("\r\n".join((*lines, "")).encode("utf-8-sig"))
    return path


def test_a_sheet_with_semicolons_and_other_names_of_columns(tmp_path: Path) -> None:
    path = sheet(
        tmp_path,
        "IP Address;Manufacturer;Model;Serial_Number;Hall;as_of",
        r"10.1.0.7;Siemens;C:\new;S C-1;North;2026-10-01",
        ";;nothing;;;",
    )

    (found,), reading = read(table.IMPORTER, path)

    assert table.IMPORTER.recognises(path.read_bytes(), path)
    (claim,) = found.facts
    assert claim == ClaimedDevice(
        vendor="Siemens", model=r"C:\new", serial="S C-1", details=(("hall", "North"),)
    )
    assert (found.seen, found.place, found.at.day) == (False, "row 2", 1)
    assert "row 3" in reading.told()[0]


def test_a_row_without_a_date_is_as_old_as_its_file(tmp_path: Path) -> None:
    (found,), _ = read(table.IMPORTER, sheet(tmp_path, "address,name", "10.1.0.7,PLC"))

    assert found.at == READ_AT


def test_a_sheet_that_names_nobody_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="columns that are known"):
        read(table.IMPORTER, sheet(tmp_path, "a,b,c", "1,2,3"))


@given(content=st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_no_sheet_breaks_the_reader(tmp_path_factory: pytest.TempPathFactory, content: str) -> None:
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    path.write_text(f"walkdown,address,name\n{content}", newline="", errors="replace")

    table.IMPORTER.recognises(path.read_bytes(), path)
    read(table.IMPORTER, path)


@given(
    value=st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(["results", "devices", "name", "device_type", "manufacturer",
                                 "primary_ip", "address", "ip_addresses", "role", "serial"]),
                inner, max_size=4,
            ),
        ),
        max_leaves=12,
    )
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_no_register_breaks_the_reader(
    tmp_path_factory: pytest.TempPathFactory, value: Any
) -> None:
    path = tmp_path_factory.mktemp("netbox") / "x.json"
    path.write_text(json.dumps(value))

    netbox.IMPORTER.recognises(path.read_bytes(), path)
    try:
        found, _ = read(netbox.IMPORTER, path)
    except UsageError:
        return
    assert not any(one.seen for one in found)
