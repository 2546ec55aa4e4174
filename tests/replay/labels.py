"""
What the label of a recording says, in the fields of an identity.

A recording's `facts` are what its replies carry, under the names of its protocol. `FIELDS` turns
them into identity fields, what stands there for a protocol before what stands for all; `READ` has
what a person read in the bytes where the facts lack it, or have it cut or in other words. `STATE`
are names that are no part of an identity. A name that stands nowhere is an error, so that none is
passed over. `OUT` takes labels out that the replies do not carry, each with its reason;
tests/replay/test_replay.py sees that none of them stands in the replies all the same.

SNMP recordings have two labels: sysDescr, read here by a person, and what LibreNMS makes of the
whole walk (`librenms_labels`), much of it from the vendor's own tables, which no tier reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.probes.test_http import LEFT_OUT, SAME_MAKER
from tests.probes.test_snmp import NOT_MODELS, folded
from tests.probes.test_snmp import VENDORS as SNMP_VENDORS
from tests.probes.test_ssh import SOLD_APART

Fields = Mapping[str, tuple[str, ...]]

EVERY: Final[Mapping[str, str]] = {
    "vendor": "vendor", "model": "model", "order_number": "order_number", "firmware": "firmware",
    "serial": "serial",
}  # fmt: skip
FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "ads": {"host_name": "name", "twincat_version": "firmware"},
    "bacnet": {
        "vendor_name": "vendor", "model_name": "model", "firmware_revision": "firmware",
        "object_name": "name",
    },
    "enip": {"product_name": "model", "revision": "firmware"},
    "enip-pccc": {"catalog_fragment": "order_number", "family": "model"},
    "fins": {"version": "firmware"},
    "fox": {"app.version": "firmware", "station.name": "name"},
    "hart-ip": {
        "manufacturer_id": "vendor", "device_id": "serial", "software_rev": "firmware",
        "long_tag": "name",
    },
    "knxnet-ip": {"friendly_name": "name"},
    "lldp": {"fw": "firmware", "hw": "hardware", "sys_name": "name"},
    "mms": {"revision": "firmware"},
    "moxa-nport": {"model_id": "model", "device_name": "name"},
    "profinet-dcp": {"device_vendor_value": "model", "name_of_station": "name"},
    "s7comm": {
        "module": "model", "module_type": "model", "serial_number": "serial",
        "system_name": "name", "plant_name": "name",
    },
    "smb": {"os": "firmware", "target": "name"},
    "umas": {"cpu": "model"},
}  # fmt: skip
"""By protocol of the recording: name of a fact, field of an identity."""

STATE: Final[Mapping[str, frozenset[str]]] = {
    "ads": frozenset({"ams_net_id", "os", "os_version", "plc_runtime"}),
    "atg": frozenset({"claims"}),  # an emulator (real_device false): what it claims is no identity
    "bacnet": frozenset({
        "device_instance", "max_apdu", "segmentation", "vendor_identifier", "snet", "sadr",
        "object_identifier", "system_status", "application_software_version",
        "segmentation_supported",
    }),
    "enip": frozenset({"vendor_id", "device_type", "product_code", "status", "state"}),
    "fins": frozenset({"internal_version"}),
    "fox": frozenset({
        "app.name",  # "Station", as all of them
        "os", "vm", "hostId",  # the platform in the host id: READ
    }),
    "hart-ip": frozenset({"expanded_device_type", "hart_rev", "device_rev", "note"}),
    "http": frozenset({"server_header"}),
    "iec104": frozenset({"common_address"}),
    "knxnet-ip": frozenset({
        "knx_medium", "programming_mode", "individual_address", "multicast", "mac",
        "service_families", "extended_device_info", "secured_service_families",
        "described_as",  # by whoever recorded it; the models that the replies name: READ
    }),
    "lldp": frozenset({"chassis_id", "port_id", "sys_desc", "port_desc", "src_mac", "mgmt_ip"}),
    "moxa-nport": frozenset({"mac", "ip_in_reply"}),
    "ntp": frozenset({"variables"}),
    "profinet-dcp": frozenset({
        "vendor_id", "device_id", "device_role", "ip", "mask", "gateway", "device_initiative",
        "mac",
    }),
    "s7comm": frozenset({
        "module_version_bytes", "hardware_version_bytes",  # the hardware in them: READ
        "module_name", "bootloader", "copyright", "memory_card_serial",
    }),
    "s7comm-plus": frozenset({"oms", "public_key_fingerprint"}),
    "smb": frozenset({"product"}),  # of Samba, a software
    "snmp": frozenset({"sysDescr", "sysObjectID", "librenms_labels", "walk_rows", "tables"}),
    "snmpv3": frozenset({"enterprise", "engine_id"}),
    "ssh": frozenset({"banner", "product"}),  # OpenSSH, which everybody ships
    "umas": frozenset({"project_name"}),
    "mqtt": frozenset({"product"}),
    "rdp": frozenset({"product"}),  # Windows, as which everything with RDP passes; no version
    "vnc": frozenset({"product"}),  # RealVNC by its RFB version: a program, not a device
}  # fmt: skip

NOBODY: Final = re.compile(
    r"unknown|not carried|see \w+$|vendor id \d+$|<private>$|$", re.IGNORECASE
)
"""Labels that say that there is none, or that somebody masked it."""

READ: Final[Mapping[str, Fields]] = {
    # The catalogue's name is 1766-LEC; the bytes carry it as the processor's text.
    "ab_micrologix1400_1766-lec": {"model": ("MicroLogix 1400", "1766-LEC")},
    # Identity object: revision 14 0B, serial 1A066C00 (little-endian).
    "ab_1756-l61_logix5561_cpppo": {"firmware": ("20.011",), "serial": ("006c061a",)},
    # The drive of the other recording (same identity_key); revision 0B 01, serial 151D4980.
    "ab_powerflex753_badcpf_cpppo": {"firmware": ("11.001",), "serial": ("80491d15",)},
    # The host id is Qnx-NPM6-…, NPM6 the controller's platform; the brand is who sells it.
    "tridium_jace_qnx_npm6_vykon": {"vendor": ("Tridium",), "model": ("NPM6",)},
    # 0026 in the list of manufacturers is Rosemount, which is Emerson's; byte 7 of command 0 is 0E,
    # hardware revision 1 in its upper five bits.
    "hart-ip_wirelesshart_gateway_wihartgw": {
        "vendor": ("Rosemount", "Emerson"), "hardware": ("1",),
    },
    # ASHRAE's list of vendor identifiers, number 24.
    "iam_device_4194303_vendor24": {"vendor": ("Automated Logic",)},
    # The name that it was given in the factory is that of the product.
    "gira-x1-no-ip-secure-support-but-corev2": {"model": ("X1",)},
    "mdt-scn-ip000-03-ip-interface-ip-secure-enabled": {"model": ("SCN-IP000.03",)},
    # The label has V4.0, cut off at the last character: the frame ends its text with "FW: V4.02".
    "siemens_scalance_x212-2": {"firmware": ("V4.02",)},
    # It has no system name; PROFINET devices have theirs as the chassis id. The text names a family
    # ("SCALANCE X 200 FAM") alone, no model.
    "siemens_x208_switch_idaho": {"name": ("siemens-x208-switch",)},
    # The label joins what stands apart: "ProCurve J8762A Switch 2600-8-PWR"; J8762A is the number
    # that it is ordered by.
    "hp_procurve_j8762a": {"model": ("2600-8-PWR",), "order_number": ("J8762A",)},
    # Behind the device id of the answer to 16: firmware 31 01 01 from the end, serial D207
    # (little-endian); the device's console printed 1.1.31 and 2002.
    "moxa_nport5110a_xcom-lan": {"firmware": ("1.1.31",), "serial": ("2002",)},
    # Vendor id 002A of PROFIBUS & PROFINET International's list: Siemens.
    "profinet_station_percent_n": {"vendor": ("Siemens",)},
    # SZL 0x0011, index 1: the module's version, in words 00010001 and 00030001.
    "siemens_cpu312_6es7312-5ac02": {"hardware": ("1",)},
    "siemens_cpu315-2pndp_6es7315-2eh14_tia": {"hardware": ("3",)},
    "siemens_im151-8_6es7151-8ab01": {"hardware": ("3",)},
    # The recorded words have "Service Pack" written out, "(R)" within and no year.
    "windows_2000_substation_server": {"firmware": ("Windows 5.0",)},
    "windows_2008_plant_ias01": {
        "firmware": ("Windows Server (R) 2008 Standard 6002 Service Pack 2",),
    },
    # Domain WORKGROUP, computer JOHN-PC behind the challenge.
    "windows_7_ultimate_sp1": {"name": ("JOHN-PC",)},
    "qnap_ts412_samba": {"name": ("TS412",)},
    # The catalogue number of a Quantum CPU is what it prints as its type.
    "schneider_quantum_140cpu31110_umas": {"order_number": ("140 CPU 311 10",)},

    # --- sysDescr of the SNMP recordings, read by a person --------------------------------------
    "snmp_advantech_eki-7712g-4fp": {"model": ("EKI-7712G-4FP",)},  # by sysObjectID
    # AF1 is the application's version, MN the model number, HR the hardware's revision.
    "snmp_apc_inrow-dx": {
        "model": ("InRow DX 300mm",), "order_number": ("0N-9580AC",), "hardware": ("06",),
        "firmware": ("v6.6.9.b",), "serial": ("JK1905001111",),
    },
    "snmp_aprisa": {"model": ("AprisaXE",)},
    "snmp_etherwan": {"model": ("6TX+2G",), "firmware": ("1.94.3",)},
    # sysObjectID 9.1.1473 is ciscoIE20008TCG in CISCO-PRODUCTS-MIB: so it is sold.
    "snmp_ios_ie2000": {"model": ("IE-2000-8TC-G",), "firmware": ("15.2(7)E2",)},
    # The label's version has the image before it.
    "snmp_iosxe_ir1101": {
        "model": ("IR1101-K9",), "firmware": ("17.3.1",), "serial": ("FCW2428P6Q9",),
    },
    "snmp_lantronix-uds": {"model": ("UDS1100",), "firmware": ("V6.8.0.2",)},
    "snmp_mbg-ltos6": {"model": ("LANTIME",), "firmware": ("V6.20.014",)},
    "snmp_moxa-eds-4000-series_eds-4012-4gc": {"model": ("EDS-4012-4GC",)},  # by sysObjectID
    # By sysObjectID, which is the same with and without -T (the wider range of temperature).
    "snmp_moxa-etherdevice_edsg512e": {"model": ("EDS-G512E-T",)},
    "snmp_moxa-etherdevice_edsg516e": {"model": ("EDS-G516E",)},
    "snmp_moxa-etherdevice_edsp510a8poe": {"model": ("EDS-P510A-8PoE-2GTXSFP-T",)},
    "snmp_moxa-nport": {"model": ("NP5610-16",)},
    "snmp_perle": {"model": ("MCR-MGT",)},
    # Its version is in entPhysicalTable.
    "snmp_planetos_igs-10020mt": {"model": ("IGS-10020MT",), "firmware": ("2.28f130731",)},
    "snmp_raritan-pdu_px2": {"model": ("PX2",)},  # nobody says what 030004 is
    "snmp_rutos": {"model": ("RUT955",)},
    "snmp_rutos-2xx": {"model": ("RUT240",)},
    "snmp_scalance_xc206-2sfp": {
        "model": ("SCALANCE XC206-2SFP",), "order_number": ("6GK5 206-2BS00-2AC2",),
        "hardware": ("3",), "firmware": ("V04.02.00",), "serial": ("SVPM81xxxxx",),
    },
    "snmp_sixnet": {"model": ("SLX-8MS-1",)},
    "snmp_stulz_wib8000": {"model": ("WIB 8000",)},
    "snmp_wipipe": {"model": ("CBA850",), "firmware": ("6.2.0.dd92f49", "6.2.0")},
}  # fmt: skip
"""By id of the recording; a field that stands here replaces the one of the facts."""

_PRIVATE: Final = "in a table of the vendor's own, which no tier reads"
OUT: Final[Mapping[tuple[str, str], str]] = {
    # (id of the recording, name of the fact or "librenms NAME"): reason
    ("opengear_cm4116", "vendor"): "known from inside the session; the greeting is a bare login:",
    ("opengear_cm4116", "model"): "known from inside the session; the greeting is a bare login:",
    ("schneider_modicon_ftp_s4", "vendor"): "known from its web server; the FTP reply has none",
    ("siemens_s7-300_authpassword", "vendor"): "two SZL of protection and state: no maker in them",
    ("siemens_s7-300_authpassword", "family"): "known from the capture's file name",
    ("qnap_ts412_samba", "model"): "the reply has QTS and a computer's name that somebody chose",
    ("windows_7_ultimate_sp1", "os"): "the sign-in that tells it is not in the recording",
    ("snmp_abbups_abbups", "librenms hardware"): _PRIVATE,
    ("snmp_abbups_abbups", "librenms version"): _PRIVATE,
    ("snmp_advantech_eki-7712g-4fp", "librenms version"): _PRIVATE,
    ("snmp_deltaups", "librenms hardware"): "put together from " + _PRIVATE[3:],
    ("snmp_deltaups", "librenms version"): _PRIVATE,
    ("snmp_hirschmann", "librenms hardware"): _PRIVATE,
    ("snmp_hirschmann", "librenms version"): _PRIVATE,
    ("snmp_hirschmann", "librenms serial"): _PRIVATE,
    ("snmp_huawei-smu", "librenms version"): _PRIVATE,
    ("snmp_mbg-ltos6", "librenms version"): _PRIVATE + " (sysDescr has an older one)",
    ("snmp_moxa-eds-4000-series_eds-4012-4gc", "librenms version"): _PRIVATE,
    ("snmp_moxa-eds-4000-series_eds-4012-4gc", "librenms serial"): _PRIVATE,
    ("snmp_moxa-etherdevice_edsg512e", "librenms version"): _PRIVATE,
    ("snmp_moxa-etherdevice_edsg512e", "librenms serial"): _PRIVATE,
    ("snmp_moxa-etherdevice_edsg516e", "librenms version"): _PRIVATE,
    ("snmp_moxa-etherdevice_edsg516e", "librenms serial"): _PRIVATE,
    ("snmp_moxa-etherdevice_edsp510a8poe", "librenms version"): _PRIVATE,
    ("snmp_rutos", "librenms hardware"): "LibreNMS falls back to the processor",
    ("snmp_rutos", "librenms version"): "LibreNMS falls back to the kernel's version",
    ("snmp_rutos-2xx", "librenms version"): _PRIVATE,
    ("snmp_rutos-2xx", "librenms serial"): _PRIVATE,
    ("snmp_scalance_xc206-2sfp", "librenms serial"): _PRIVATE,
    ("snmp_sixnet", "librenms version"): _PRIVATE,
}
IN_REPLY_AND_OUT: Final = frozenset({("snmp_rutos", "librenms version")})
"""Taken out though the text stands in a reply, since it says something else there."""

NO_VENDOR: Final = "the reply has the Net-SNMP agent's number and a name that somebody chose"
LIBRENMS: Final = {
    "hardware": "model", "version": "firmware", "serial": "serial", "sysName": "name"
}  # fmt: skip

NO_PROBE: Final[Mapping[str, str]] = {
    "enip-pccc": "no probe asks for the PCCC status of old controllers",
    "ftp": "no probe for it",
    "mqtt": "no probe for it",
    "ntp": "no probe for it",
    "s7comm-plus": "no probe for it",
}
"""By protocol, why no recording of it is played. What is played all the same is scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """
    `fields`: identity field, equally good readings. `true`: more that is right, though it does not
    count. `out`: what does not count, and why.
    """

    fields: Fields
    true: Fields = field(default_factory=dict)
    out: tuple[tuple[str, str, str], ...] = ()
    """Name, value, reason."""
    unknown: tuple[str, ...] = field(default=())
    """Names of facts that stand in no table here."""


def label_of(record: Mapping[str, Any]) -> Label:
    protocol, name = str(record["protocol"]), str(record["id"])
    found: dict[str, list[str]] = {}
    out: list[tuple[str, str, str]] = []
    unknown: list[str] = []
    for fact, identity_field, value in _labels(record):
        if reason := OUT.get((name, fact)):
            out.append((fact, value, reason))
        elif identity_field is None:
            if fact not in STATE.get(protocol, ()):
                unknown.append(fact)
        elif not NOBODY.match(plain := _plain(value)):
            found.setdefault(identity_field, []).append(plain)
    if protocol == "snmp":
        key = record["facts"]["librenms_labels"].get("os") or name.removeprefix("snmp_")
        if vendor := SNMP_VENDORS[key]:
            found["vendor"] = [vendor]
        else:
            out.append(("vendor", key, NO_VENDOR))
    fields = {key: tuple(dict.fromkeys(values)) for key, values in found.items()}
    return Label(fields={**fields, **READ.get(name, {})}, out=tuple(out), unknown=tuple(unknown))


def _labels(record: Mapping[str, Any]) -> Iterator[tuple[str, str | None, str]]:
    protocol = str(record["protocol"])
    names = {**EVERY, **FIELDS.get(protocol, {})}
    for fact, value in record["facts"].items():
        yield fact, names.get(fact), str(value)
    for fact, identity_field in LIBRENMS.items():
        if value := record["facts"].get("librenms_labels", {}).get(fact):
            yield f"librenms {fact}", identity_field, str(value)


def _plain(value: str) -> str:
    """Without what the label adds in brackets, and without NULs and blanks around."""
    named = re.fullmatch(r"0x[0-9a-fA-F]+ \((.+)\)", value)  # a number and its meaning
    value = named[1] if named else re.sub(r"\s+\([^()]*\)$", "", value)
    return value.strip(" \0\r\n")


# --- banners -------------------------------------------------------------------------------------

READINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "vendor": ("hw.vendor", "os.vendor", "service.vendor"),
    "model": ("hw.model", "hw.product", "os.model", "os.product", "service.product"),
    "firmware": (
        "hw.version", "os.version", "os.version.version", "os.version.version.version",
    ),
    "serial": ("hw.serial_number",),
    "name": ("host.name",),
}  # fmt: skip
"""Identity field -> labels of recog that name it; any of them is right."""

RUN_ON: Final = "an operating system or a family of them, which is no model of a device"
NOT_IN_TEXT: Final = "recog's own knowledge: it does not stand in the text"
SOFTWARE: Final = "a software or an operating system that many makers build in"


def label_of_banner(item: Mapping[str, Any]) -> Label:
    """What a labelled text names, as far as it stands in it."""
    labels, text = item["labels"], folded(item["banner"])
    fields: dict[str, tuple[str, ...]] = {}
    true: dict[str, tuple[str, ...]] = {}
    out: list[tuple[str, str, str]] = []
    for identity_field, names in READINGS.items():
        good, not_counted = [], []
        for value in dict.fromkeys(str(labels[name]) for name in names if labels.get(name)):
            if reason := _why_not(item, identity_field, value, text):
                out.append((identity_field, value, reason))
                not_counted.append(SAME_MAKER.get(folded(value), value))
            else:
                good.append(SAME_MAKER.get(folded(value), value))
        if good:
            fields[identity_field] = tuple(good)
        if not_counted and item["banner"] not in LEFT_OUT:
            true[identity_field] = tuple(not_counted)
    return Label(fields=fields, true=true, out=tuple(out))


def _why_not(item: Mapping[str, Any], identity_field: str, value: str, text: str) -> str | None:
    said = folded(value)
    if item["banner"] in LEFT_OUT:
        return "a web server's software, too little to tell, or labelled as another maker's"
    if item["labels"].get("os.vendor") in SOLD_APART and "hw.vendor" not in item["labels"]:
        # The operating system's maker, name and version, not the device's.
        return SOFTWARE
    if identity_field == "vendor":
        return None  # a maker is recognised by its products, too
    if identity_field == "model" and said in {*NOT_MODELS, "ios"}:
        return RUN_ON
    if identity_field == "model" and item["kind"] == "ssh_banners":
        return SOFTWARE  # "SSH" of Sun_SSH
    if identity_field == "firmware" and item["kind"].startswith("h") and "axis" in said:
        return "a kernel's version"
    return None if said in text else NOT_IN_TEXT


def fits(told: str, good: Sequence[str]) -> bool:
    """Whether one of the readings holds what was told, or the other way round."""
    one = folded(told)
    return any(folded(value) in one or one in folded(value) for value in good)
