"""Registered numbers name the right maker, unknown ones nobody, and the files are of one form."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from probes import bacnet, enip, profinet, snmp
from scanner.clients import cip
from scanner.facts import DeviceIdentity
from tests.registries import form

A_DAY = date(2026, 11, 30)


def recordings(captures: Path, pattern: str) -> list[dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in sorted(captures.glob(pattern))]
    assert found, pattern
    return found


# --- the files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", form.FORMS)
def test_a_listed_table_is_in_the_form_that_the_command_writes(name: str) -> None:
    which = form.FORMS[name]
    text = which.path.read_text(encoding="utf-8")

    assert form.render(which, form.comment(text), tomllib.loads(text)) == text


@pytest.mark.parametrize("name", form.FORMS)
def test_a_listed_table_says_whence_it_is_and_has_each_number_once(name: str) -> None:
    which = form.FORMS[name]
    table = tomllib.loads(which.path.read_text(encoding="utf-8"))

    assert all(table[key] for key in ("source", "licence", "refresh"))
    assert date(2020, 1, 1) < table["as_of"]
    numbers = [row[which.number] for row in table[which.array]]
    assert len(numbers) == len(set(numbers)) >= 3
    assert all(row.get("listed") or row.get("source") for row in table[which.array])


def test_the_table_of_blocks_is_in_the_form_that_the_command_writes() -> None:
    text = form.MAC_BLOCKS.read_text(encoding="utf-8")

    assert form.render_blocks(form.read_blocks(text), form.as_of_blocks(text)) == text


def run(*given: object) -> str:
    command = [sys.executable, "-m", "tests.registries", *map(str, given)]
    done = subprocess.run(command, cwd=form.ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_command_refreshes_the_words_of_the_registry_and_nothing_of_ours(
    tmp_path: Path,
) -> None:
    table = tmp_path / "table.toml"
    table.write_text(form.FORMS["enterprises"].path.read_text(encoding="utf-8"), encoding="utf-8")
    before = tomllib.loads(table.read_text(encoding="utf-8"))["enterprise"]
    entries = "\n".join(
        f"{row['number']}\n  {'Renamed' if row['number'] == 9 else row['listed']}\n    Somebody"
        for row in before
        if row["number"] != 11
    )
    (tmp_path / "iana.txt").write_text(f"Decimal\n| Organization\n{entries}\n", encoding="utf-8")

    said = run("enterprises", tmp_path / "iana.txt", "--as-of", "2026-11-30", "--into", table)

    after = tomllib.loads(table.read_text(encoding="utf-8"))
    assert after["as_of"] == A_DAY
    changed = [
        (old, new) for old, new in zip(before, after["enterprise"], strict=True) if old != new
    ]
    assert changed == [(before[0], {**before[0], "listed": "Renamed"})]
    assert "9 is listed as 'Renamed'; it was 'ciscoSystems'" in said
    assert "11 is no longer listed" in said


def test_the_command_writes_the_same_blocks_again_from_the_same_files(tmp_path: Path) -> None:
    head = "Registry,Assignment,Organization Name,Organization Address\n"
    (tmp_path / "mam.csv").write_text(
        head + 'MA-M,CC1BE08,MDT technologies GmbH ,"Papiermuehle 1, Engelskirchen"\n'
        "MA-M,741AE09,Private,\n"
    )
    (tmp_path / "oui36.csv").write_text(head + "MA-S,70B3D5F2F,TELEPLATFORMS,Moscow\n")
    files = (tmp_path / "mam.csv", tmp_path / "oui36.csv")

    for name in ("one.tsv", "other.tsv"):
        run("mac", *files, "--as-of", A_DAY, "--into", tmp_path / name)

    text = (tmp_path / "one.tsv").read_text(encoding="utf-8")
    assert (tmp_path / "other.tsv").read_text(encoding="utf-8") == text
    assert form.read_blocks(text) == {
        "70b3d5f2f": "TELEPLATFORMS",
        "cc1be08": "MDT technologies GmbH",
    }
    assert form.as_of_blocks(text) == A_DAY


def test_blocks_of_24_bits_are_turned_away() -> None:
    head = "Registry,Assignment,Organization Name,Organization Address\n"
    with pytest.raises(SystemExit, match="28 or 36 bits"):
        form.read_ieee(head + "MA-L,001B1B,Siemens AG,Karlsruhe\n")


def test_a_page_of_vendor_ids_is_read_row_by_row() -> None:
    page = (
        "<table><tr><th>Vendor ID</th><th>Organization</th></tr>"
        "<tr><td>7</td><td><a href='#'>Siemens&nbsp;Schweiz <b>AG</b></a></td><td>x</td></tr>"
        "<tr><td>none</td><td>Nobody</td></tr><tr><td> 42 </td><td>Acuity</td></tr></table>"
    )
    assert form.read_bacnet(page) == {7: "Siemens Schweiz AG", 42: "Acuity"}


def test_a_device_description_names_its_maker() -> None:
    text = (
        '<ISO15745Profile xmlns="http://www.profibus.com/GSDML/2003/11/DeviceProfile"><ProfileBody>'
        '<DeviceIdentity VendorID="0x0493" DeviceID="0x0002"><InfoText TextId="T"/>'
        '<VendorName Value="RT-Labs"/></DeviceIdentity></ProfileBody></ISO15745Profile>'
    )
    assert form.read_gsdml(text) == {0x0493: "RT-Labs"}
    which = form.FORMS["profinet"]
    shipped = which.path.read_text(encoding="utf-8")
    refreshed, told = form.refreshed(which, shipped, form.read_gsdml(text), A_DAY, whole=False)
    assert 'name = "RT-Labs", listed = "RT-Labs"' in refreshed
    assert len(told) == 1


# --- what they say of recorded devices ------------------------------------------------------------


def test_recorded_bacnet_devices_have_their_maker(captures: Path) -> None:
    told = {
        (one["facts"]["vendor_identifier"], bacnet.vendor_name(one["facts"]["vendor_identifier"]))
        for one in recordings(captures, "bacnet__*.json")
    }

    assert told == {(42, "Lithonia Lighting"), (24, "Automated Logic")}


def test_recorded_cip_devices_have_their_maker(captures: Path) -> None:
    played = 0
    for one in recordings(captures, "enip__*.json"):
        label = one["facts"]["vendor"]
        reply = bytes.fromhex(one["exchanges"][0]["response_hex"])
        if int.from_bytes(reply[:2], "little") != enip.LIST_IDENTITY:
            continue
        identity = enip.decode_list_identity(reply)
        assert DeviceIdentity(
            vendor=label, device_class=enip.device_class(identity), basis="table"
        ) in enip.facts(identity)
        played += 1
    assert played >= 3
    assert cip.vendor_name(1251) == "Siemens AG"


def test_recorded_profinet_stations_have_their_maker(captures: Path) -> None:
    (station,) = recordings(captures, "profinet-dcp__ge_*.json")

    assert station["facts"]["vendor"].startswith("GE ")
    assert profinet.vendor_name(int(station["facts"]["vendor_id"], 16)) == "GE"
    assert profinet.vendor_name(0x002A) == "Siemens"


@pytest.mark.parametrize(
    ("recording", "vendor"),
    [
        ("hirschmann", "Hirschmann"),
        ("moxa-etherdevice_edsg512e", "Moxa"),
        ("advantech_eki-7712g-4fp", "Advantech"),
        ("lantronix-uds", "Lantronix"),
        ("scalance_xc206-2sfp", "Siemens"),
        ("mbg-ltos6", "Meinberg"),
        ("ios_ie2000", "Cisco"),
    ],
)
def test_recorded_agents_have_their_maker_by_their_number(
    captures: Path, recording: str, vendor: str
) -> None:
    lines = (captures / "snmprec" / f"{recording}.snmprec").read_text(encoding="utf-8").splitlines()
    (object_id,) = (
        line.split("|", 2)[2] for line in lines if line.startswith("1.3.6.1.2.1.1.2.0|")
    )
    number = snmp.enterprise_of_object_id(object_id)

    assert number is not None
    assert snmp.enterprises()[number].vendor == vendor


# --- numbers that nobody has ----------------------------------------------------------------------


def test_unknown_numbers_name_nobody() -> None:
    assert bacnet.vendor_name(65535) is None
    assert profinet.vendor_name(0) is None
    assert profinet.vendor_name(0xFFFF) is None
    assert cip.vendor_name(0) is None
    assert cip.vendor_name(64999) is None
    assert 0 not in snmp.enterprises()
    assert 4294967295 not in snmp.enterprises()


def test_a_cip_device_of_an_unknown_vendor_is_told_without_one() -> None:
    identity = enip.CipIdentity(
        vendor_id=64999, device_type=0x0E, product_code=1, major=1, minor=1, status_word=0,
        serial=1, name="X",
    )  # fmt: skip

    told = [fact for fact in enip.facts(identity) if isinstance(fact, DeviceIdentity)]

    assert [fact.vendor for fact in told] == [None, None]
