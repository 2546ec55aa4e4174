"""
The tables of SNMP's read tier: which are walked, in which order and how far, and what they say.

1. Interfaces (ifTable, ifName), then the LLDP neighbours, the names under which the device's own
   LLDP announces itself and its ports, and the CDP cache: who is on the other end of its cables.
2. Its own IP addresses, and those that it has spoken to (ARP; where there is none, the newer
   ipNetToPhysicalTable).
3. Of a bridge its ports, the names of its VLANs, and the forwarding table: which MAC address it
   has heard at which port (Q-BRIDGE-MIB; where that has no row, BRIDGE-MIB).
4. The parts it is built of (entPhysicalTable): chassis, modules, power supplies.

A table is asked for its first column; when that is empty, nothing more of it is asked, so that a
table which does not exist costs one question. Each has a number of rows at which it is cut short;
`TableRead` then says so. Pure; what asks is probes.snmp.

Sample result, from a switch:
    BridgeEntry(mac="00:80:64:8c:dd:71", port="1/1/13", vlan=1)
    AddressEntry(ip="10.12.10.21", mac="3c:41:0e:e8:4b:c1", interface="VLAN10")
    Neighbour(local_port="port-008", system_name="C3560", port_id="Gi1/0/16", protocol="lldp", …)

Source: RFC 2863 (IF-MIB), RFC 4293 (IP-MIB), RFC 4188 (BRIDGE-MIB), RFC 4363 (Q-BRIDGE-MIB),
RFC 6933 (ENTITY-MIB), IEEE 802.1AB-2009 section 11 (LLDP-MIB), CISCO-CDP-MIB.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

from scanner.facts import (
    AddressEntry,
    BridgeEntry,
    DeviceIdentity,
    Fact,
    LinkLayerName,
    LinkLayerPort,
    Neighbour,
    NetworkInterface,
    OwnAddress,
    TableRead,
    VlanName,
)

MAX_TEXT = 512

Value = int | bytes | str | None
"""INTEGER and counters, OCTET STRING, OBJECT IDENTIFIER (dotted); None: no such object."""

IF_TABLE = "1.3.6.1.2.1.2.2.1"
IF_DESCR, IF_SPEED, IF_PHYS_ADDRESS, IF_ADMIN_STATUS, IF_OPER_STATUS = 2, 5, 6, 7, 8
IF_X_TABLE = "1.3.6.1.2.1.31.1.1.1"
IF_NAME = 1
ENT_PHYSICAL = "1.3.6.1.2.1.47.1.1.1.1"
ENT_DESCR, ENT_CLASS, ENT_NAME, ENT_HARDWARE, ENT_FIRMWARE = 2, 5, 7, 8, 9
ENT_SOFTWARE, ENT_SERIAL, ENT_MANUFACTURER, ENT_MODEL = 10, 11, 12, 13
ENT_COLUMNS = (ENT_DESCR, 7, 8, 9, 10, 11, 12, 13)
CHASSIS, STACK = 3, 11
PART_WORDS = {CHASSIS: "chassis", 6: "power supply", 9: "module"}
"""entPhysicalClass of the parts that are read beside the chassis itself."""
MAX_PARTS = 12
LLDP_LOCAL = "1.0.8802.1.1.2.1.3"
"""lldpLocChassisIdSubtype .1, lldpLocChassisId .2, lldpLocSysName .3, lldpLocSysCapEnabled .6."""
LLDP_LOCAL_PORT = "1.0.8802.1.1.2.1.3.7.1"
LLDP_LOCAL_PORT_ID, LLDP_LOCAL_PORT_DESCR = 3, 4
LLDP_REMOTE = "1.0.8802.1.1.2.1.4.1.1"
LLDP_CHASSIS_SUBTYPE, LLDP_CHASSIS_ID, LLDP_PORT_SUBTYPE, LLDP_PORT_ID = 4, 5, 6, 7
LLDP_SYS_NAME, LLDP_SYS_DESCR, LLDP_CAPABILITIES = 9, 10, 12
LLDP_REMOTE_ADDRESS = "1.0.8802.1.1.2.1.4.2.1"
LLDP_ADDRESS_IF_SUBTYPE = 3
MAC_SUBTYPE = 4
"""lldpRemChassisIdSubtype macAddress; the port id's is 3 (IEEE 802.1AB-2009 section 11.2)."""
PORT_MAC_SUBTYPE = 3
ADDRESS_SUBTYPE = 5
IPV4, IPV6 = 1, 2
LLDP_CAPABILITY_WORDS = (
    "other", "repeater", "bridge", "access point", "router", "telephone", "cable modem", "station",
)  # fmt: skip
CDP_CACHE = "1.3.6.1.4.1.9.9.23.1.2.1.1"
CDP_ADDRESS_TYPE, CDP_ADDRESS, CDP_DEVICE_ID, CDP_DEVICE_PORT = 3, 4, 6, 7
CDP_PLATFORM, CDP_CAPABILITIES = 8, 9
CDP_IP = 1
CDP_CAPABILITY_BITS = (
    (0x01, "router"), (0x02, "bridge"), (0x04, "bridge"), (0x08, "bridge"), (0x10, "station"),
    (0x40, "repeater"), (0x80, "telephone"),
)  # fmt: skip
OWN_ADDRESS = "1.3.6.1.2.1.4.20.1"
OWN_INTERFACE, OWN_MASK = 2, 3
ARP = "1.3.6.1.2.1.4.22.1"
ARP_MAC = 2
IP_NEIGHBOUR = "1.3.6.1.2.1.4.35.1"
IP_NEIGHBOUR_MAC = 4
BRIDGE_ADDRESS = "1.3.6.1.2.1.17.1.1.0"
BASE_PORT = "1.3.6.1.2.1.17.1.4.1"
BASE_PORT_INTERFACE = 2
FORWARDING = "1.3.6.1.2.1.17.4.3.1"
VLAN_FORWARDING = "1.3.6.1.2.1.17.7.1.2.2.1"
FORWARDING_PORT = 2
VLAN_CURRENT = "1.3.6.1.2.1.17.7.1.4.2.1"
VLAN_FORWARDING_ID = 3
VLAN_STATIC = "1.3.6.1.2.1.17.7.1.4.3.1"
VLAN_STATIC_NAME = 1
MAX_ROWS = 128

Row = Mapping[int, Value]
Table = Mapping[tuple[int, ...], Row]
"""Index (the numbers behind the column) to column number to value."""


# --- what is walked ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """
    One table: `columns` below `entry`, at most `rows` of each, in this order. `after` is an entry
    without whose rows it is not asked, `unless` one with whose rows it is not.
    """

    entry: str
    columns: tuple[int, ...]
    rows: int
    after: str = ""
    unless: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{self.entry}.{column}" for column in self.columns)


TABLES = (
    Wanted(
        entry=IF_TABLE,
        columns=(IF_DESCR, IF_SPEED, IF_PHYS_ADDRESS, IF_ADMIN_STATUS, IF_OPER_STATUS),
        rows=80,
    ),
    Wanted(entry=IF_X_TABLE, columns=(IF_NAME,), rows=80, after=IF_TABLE),
    Wanted(entry=ENT_PHYSICAL, columns=(ENT_CLASS,), rows=80),
    Wanted(
        entry=LLDP_REMOTE,
        columns=(
            LLDP_CHASSIS_ID,
            LLDP_CHASSIS_SUBTYPE,
            LLDP_PORT_SUBTYPE,
            LLDP_PORT_ID,
            LLDP_SYS_NAME,
            LLDP_SYS_DESCR,
            LLDP_CAPABILITIES,
        ),
        rows=30,
    ),
    Wanted(
        entry=LLDP_REMOTE_ADDRESS,
        columns=(LLDP_ADDRESS_IF_SUBTYPE,),
        rows=40,
        after=LLDP_REMOTE,
    ),
    Wanted(entry=LLDP_LOCAL_PORT, columns=(LLDP_LOCAL_PORT_ID, LLDP_LOCAL_PORT_DESCR), rows=60),
    Wanted(
        entry=CDP_CACHE,
        columns=(
            CDP_DEVICE_ID,
            CDP_DEVICE_PORT,
            CDP_PLATFORM,
            CDP_CAPABILITIES,
            CDP_ADDRESS_TYPE,
            CDP_ADDRESS,
        ),
        rows=20,
    ),
    Wanted(entry=OWN_ADDRESS, columns=(OWN_INTERFACE, OWN_MASK), rows=30),
    Wanted(entry=BASE_PORT, columns=(BASE_PORT_INTERFACE,), rows=80),
    Wanted(entry=VLAN_STATIC, columns=(VLAN_STATIC_NAME,), rows=40),
    Wanted(entry=ARP, columns=(ARP_MAC,), rows=200),
    Wanted(entry=IP_NEIGHBOUR, columns=(IP_NEIGHBOUR_MAC,), rows=200, unless=ARP),
    Wanted(entry=VLAN_FORWARDING, columns=(FORWARDING_PORT,), rows=400),
    Wanted(entry=VLAN_CURRENT, columns=(VLAN_FORWARDING_ID,), rows=40, after=VLAN_FORWARDING),
    Wanted(entry=FORWARDING, columns=(FORWARDING_PORT,), rows=400, unless=VLAN_FORWARDING),
)
"""The largest come last: a device with too much to tell is cut short where it hurts least."""

SCALARS = (
    tuple(f"{LLDP_LOCAL}.{number}.0" for number in (1, 2, 3, 6)),
    (BRIDGE_ADDRESS,),
)
"""Asked a group at a time: an SNMPv1 agent that lacks one of a question refuses them all."""


def part_indices(values: Mapping[str, Value], chassis: int | None) -> tuple[int, ...]:
    """The rows of entPhysicalTable that are devices of their own: modules, power supplies, …"""
    classes = decode_table(ENT_PHYSICAL, values)
    return tuple(
        index[0]
        for index, row in sorted(classes.items())
        if len(index) == 1 and index[0] != chassis and row.get(ENT_CLASS) in PART_WORDS
    )[:MAX_PARTS]


# --- what it says --------------------------------------------------------------------------------


def text_of(value: Value) -> str | None:
    """Printable text of an OCTET STRING: NULs, quotes around and blanks gone, bounded; or None."""
    if not isinstance(value, bytes):
        return None
    text = value[: 4 * MAX_TEXT].split(b"\0")[0].decode("utf-8", errors="replace")
    text = " ".join(text.split())[:MAX_TEXT].strip('"\\ ')
    return text or None


_PLACEHOLDERS = frozenset({"unknown", "n/a", "none", "not available", "-", "x", "null"})


def meaningful(value: str | None) -> str | None:
    """Without what stands around it; None for a word that says that there is nothing."""
    text = (value or "").strip(" ,;:\t")
    return None if not text or text.lower() in _PLACEHOLDERS else text


def decode_table(
    entry: str, values: Mapping[str, Value]
) -> dict[tuple[int, ...], dict[int, Value]]:
    """Sort what was read below the table entry `entry` into rows; other names are left out."""
    table: dict[tuple[int, ...], dict[int, Value]] = {}
    prefix = entry + "."
    for name, value in values.items():
        if not name.startswith(prefix):
            continue
        try:
            column, *index = (int(number) for number in name.removeprefix(prefix).split("."))
        except ValueError:
            continue
        if index:
            table.setdefault(tuple(index), {})[column] = value
    return table


def mac_of(value: Value) -> str | None:
    """Six bytes as aa:bb:cc:dd:ee:ff; all zero means that there is none."""
    if not isinstance(value, bytes) or len(value) != 6 or not any(value):
        return None
    return value.hex(":")


def _number(value: Value, low: int = 0, high: int = 2**64 - 1) -> int | None:
    return value if isinstance(value, int) and low <= value <= high else None


def _is_up(value: Value) -> bool | None:
    """ifAdminStatus, ifOperStatus: 1 up, 2 down; the others (testing, unknown, …) tell neither."""
    return {1: True, 2: False}.get(value) if isinstance(value, int) else None


def _mac_of_index(numbers: tuple[int, ...]) -> str | None:
    if len(numbers) != 6 or any(number > 255 for number in numbers):
        return None
    return _device_mac(mac_of(bytes(numbers)))


def _device_mac(mac: str | None) -> str | None:
    """Of one device: group addresses (the last bit of the first byte set) are nobody's."""
    return None if mac is None or int(mac[:2], 16) & 1 else mac


def interfaces_of(values: Mapping[str, Value]) -> tuple[NetworkInterface, ...]:
    """The rows of ifTable, by index, with their ifName."""
    names = decode_table(IF_X_TABLE, values)
    return tuple(
        NetworkInterface(
            index=index[0],
            name=text_of(row.get(IF_DESCR)),
            short_name=text_of(names.get(index, {}).get(IF_NAME)),
            mac=mac_of(row.get(IF_PHYS_ADDRESS)),
            speed_bps=_number(row.get(IF_SPEED)) or None,
            admin_up=_is_up(row.get(IF_ADMIN_STATUS)),
            oper_up=_is_up(row.get(IF_OPER_STATUS)),
        )
        for index, row in sorted(decode_table(IF_TABLE, values).items())[:MAX_ROWS]
        if len(index) == 1
    )


def chassis_index(values: Mapping[str, Value]) -> int | None:
    """The row of entPhysicalTable that stands for the whole: the first chassis, else a stack."""
    classes = {
        index[0]: row.get(ENT_CLASS)
        for index, row in sorted(decode_table(ENT_PHYSICAL, values).items())
        if len(index) == 1
    }
    for wanted in (CHASSIS, STACK):
        for index, kind in classes.items():
            if kind == wanted:
                return index
    return None


def chassis_of(
    index: int, values: Mapping[str, Value], firmwares: Collection[str] = ()
) -> DeviceIdentity | None:
    """
    The identity in one row of entPhysicalTable, None when it names nothing.

    Makers use the firmware and the software revision either way round (a boot loader in the one,
    a build tool in the other), so of two that differ only the one that begins like a firmware
    already known counts, and none when neither does.
    """
    row = decode_table(ENT_PHYSICAL, values).get((index,), {})

    def said(column: int) -> str | None:
        return meaningful(text_of(row.get(column)))

    identity = DeviceIdentity(
        vendor=said(ENT_MANUFACTURER),
        model=said(ENT_MODEL),
        hardware=said(ENT_HARDWARE),
        firmware=_one_firmware((said(ENT_SOFTWARE), said(ENT_FIRMWARE)), firmwares),
        serial=said(ENT_SERIAL),
    )
    named = (identity.vendor, identity.model, identity.hardware, identity.firmware, identity.serial)
    return identity if any(named) else None


def _one_firmware(said: tuple[str | None, ...], known: Collection[str]) -> str | None:
    def plain(version: str) -> str:
        return version.casefold().removeprefix("v").lstrip(". ")

    revisions = {revision for revision in said if revision}
    for revision in said:
        for firmware in known:
            if revision and plain(revision).startswith(plain(firmware)):
                return firmware
    return revisions.pop() if len(revisions) == 1 else None


def _chassis_id(value: Value, subtype: Value) -> str | None:
    if subtype == MAC_SUBTYPE:
        return mac_of(value)
    if subtype == ADDRESS_SUBTYPE and isinstance(value, bytes):
        if (value[:1], len(value)) in ((b"\x01", 5), (b"\x02", 17)):  # family, address
            return str(ip_address(value[1:]))
        return None
    return text_of(value)


def _management_address(index: tuple[int, ...]) -> str | None:
    """Index behind time mark, local port and remote index: subtype, length, then the address."""
    if len(index) < 5 or len(index) != 5 + index[4] or any(n > 255 for n in index[5:]):
        return None
    address = bytes(index[5:])
    if (index[3], len(address)) in ((IPV4, 4), (IPV6, 16)):
        return str(ip_address(address))
    return None


def neighbours_of(values: Mapping[str, Value]) -> tuple[Neighbour, ...]:
    """The rows of lldpRemTable; index is time mark, local port number, remote index."""
    addresses: dict[tuple[int, ...], str] = {}
    for index in sorted(decode_table(LLDP_REMOTE_ADDRESS, values)):
        if address := _management_address(index):
            addresses.setdefault(index[:3], address)
    ports = decode_table(LLDP_LOCAL_PORT, values)
    found = []
    for index, row in sorted(decode_table(LLDP_REMOTE, values).items())[:MAX_ROWS]:
        if len(index) != 3:
            continue
        local = ports.get((index[1],), {})
        found.append(
            Neighbour(
                local_port=_local_port_id(local.get(LLDP_LOCAL_PORT_ID))
                or text_of(local.get(LLDP_LOCAL_PORT_DESCR))
                or str(index[1]),
                chassis_id=_chassis_id(row.get(LLDP_CHASSIS_ID), row.get(LLDP_CHASSIS_SUBTYPE)),
                port_id=(mac_of if row.get(LLDP_PORT_SUBTYPE) == PORT_MAC_SUBTYPE else text_of)(
                    row.get(LLDP_PORT_ID)
                ),
                system_name=text_of(row.get(LLDP_SYS_NAME)),
                system_description=text_of(row.get(LLDP_SYS_DESCR)),
                management_address=addresses.get(index),
                capabilities=lldp_capabilities(row.get(LLDP_CAPABILITIES)),
            )
        )
    return tuple(found)


def parts_of(indices: Iterable[int], values: Mapping[str, Value]) -> tuple[DeviceIdentity, ...]:
    """
    The parts of entPhysicalTable that tell a model or a serial number, as devices behind this one:
    "module 3", "power supply 2" with the row's index, which stays over restarts (RFC 6933).
    """
    rows = decode_table(ENT_PHYSICAL, values)
    found = []
    for index in indices:
        row = rows.get((index,), {})
        kind = row.get(ENT_CLASS)
        identity = chassis_of(index, values)
        if identity is None or not isinstance(kind, int) or kind not in PART_WORDS:
            continue
        if identity.model or identity.serial:
            name = meaningful(text_of(row.get(ENT_NAME))) or meaningful(text_of(row.get(ENT_DESCR)))
            found.append(
                DeviceIdentity(
                    sub_address=f"{PART_WORDS[kind]} {index}",
                    vendor=identity.vendor,
                    model=identity.model,
                    hardware=identity.hardware,
                    firmware=identity.firmware,
                    serial=identity.serial,
                    name=name,
                    device_class="other",
                )
            )
    return tuple(found)


def interface_names(values: Mapping[str, Value]) -> dict[int, str]:
    """Index to the name under which ports are spoken of: ifName, else ifDescr."""
    names = {
        index[0]: text
        for index, row in decode_table(IF_TABLE, values).items()
        if len(index) == 1 and (text := text_of(row.get(IF_DESCR)))
    }
    names |= {
        index[0]: text
        for index, row in decode_table(IF_X_TABLE, values).items()
        if len(index) == 1 and (text := text_of(row.get(IF_NAME)))
    }
    return names


def bridge_ports(values: Mapping[str, Value]) -> dict[int, str]:
    """Number of each bridge port to the name of its interface ("port N" where it has none)."""
    names = interface_names(values)
    return {
        index[0]: names.get(interface, f"port {index[0]}")
        for index, row in decode_table(BASE_PORT, values).items()
        if len(index) == 1 and isinstance(interface := row.get(BASE_PORT_INTERFACE), int)
    }


def bridge_entries(values: Mapping[str, Value]) -> tuple[BridgeEntry, ...]:
    """
    The forwarding table, by MAC address. The index of dot1qTpFdbTable is a table's id and six
    bytes, that of dot1dTpFdbTable six bytes. Port 0 means that the bridge does not know the port.
    """
    ports = bridge_ports(values)
    vlans = _vlans_by_table(values)
    found: dict[tuple[str, str, int | None], BridgeEntry] = {}
    for entry, length in ((VLAN_FORWARDING, 7), (FORWARDING, 6)):
        for index, row in decode_table(entry, values).items():
            port = row.get(FORWARDING_PORT)
            if len(index) != length or not isinstance(port, int) or not 0 < port < 2**31:
                continue
            mac = _mac_of_index(index[-6:])
            if mac is not None:
                vlan = vlans.get(index[0]) if length == 7 else None
                one = BridgeEntry(mac=mac, port=ports.get(port, f"port {port}"), vlan=vlan)
                found[one.mac, one.port, one.vlan] = one
    return tuple(found[key] for key in sorted(found, key=lambda k: (k[0], k[1], k[2] or 0)))


def _vlans_by_table(values: Mapping[str, Value]) -> dict[int, int]:
    """Id of a forwarding table to its VLAN, where exactly one VLAN has that table."""
    vlans: dict[int, set[int]] = {}
    for index, row in decode_table(VLAN_CURRENT, values).items():
        number = row.get(VLAN_FORWARDING_ID)
        if len(index) == 2 and isinstance(number, int) and 0 < index[1] < 4095:
            vlans.setdefault(number, set()).add(index[1])
    return {number: min(own) for number, own in vlans.items() if len(own) == 1}


def address_entries(values: Mapping[str, Value]) -> tuple[AddressEntry, ...]:
    """
    Whom the device has spoken to. The index of ipNetToMediaTable is an interface and four bytes,
    that of ipNetToPhysicalTable an interface, a type of address, its length and its bytes.
    """
    names = interface_names(values)
    found: dict[tuple[str, str], AddressEntry] = {}
    for entry, column in ((ARP, ARP_MAC), (IP_NEIGHBOUR, IP_NEIGHBOUR_MAC)):
        for index, row in decode_table(entry, values).items():
            address = _address(index[1:], typed=entry == IP_NEIGHBOUR)
            mac = _device_mac(mac_of(row.get(column)))
            if address is not None and mac is not None:
                one = AddressEntry(ip=address, mac=mac, interface=names.get(index[0]))
                found.setdefault((one.ip, one.mac), one)
    return tuple(found[key] for key in sorted(found))


def _address(numbers: tuple[int, ...], *, typed: bool) -> str | None:
    if typed:
        if len(numbers) < 2 or (numbers[0], numbers[1]) not in ((IPV4, 4), (IPV6, 16)):
            return None
        if len(numbers) != 2 + numbers[1]:
            return None
        numbers = numbers[2:]
    elif len(numbers) != 4:
        return None
    if any(number > 255 for number in numbers):
        return None
    return str(ip_address(bytes(numbers)))


def own_addresses(values: Mapping[str, Value]) -> tuple[OwnAddress, ...]:
    """ipAddrTable, whose index is the address itself."""
    names = interface_names(values)
    found = []
    for index, row in sorted(decode_table(OWN_ADDRESS, values).items()):
        address = _address(index, typed=False)
        interface = row.get(OWN_INTERFACE)
        if address is not None and isinstance(interface, int):
            found.append(
                OwnAddress(
                    ip=address,
                    prefix_length=_prefix_length(row.get(OWN_MASK)),
                    interface=names.get(interface),
                )
            )
    return tuple(found)


def _prefix_length(mask: Value) -> int | None:
    """Of a net mask of four bytes; None where its ones do not stand together, or it has none."""
    if not isinstance(mask, bytes) or len(mask) != 4:
        return None
    bits = f"{int.from_bytes(mask, 'big'):032b}"
    return bits.count("1") or None if "01" not in bits else None


def vlan_names(values: Mapping[str, Value]) -> tuple[VlanName, ...]:
    return tuple(
        VlanName(vlan=index[0], name=name)
        for index, row in sorted(decode_table(VLAN_STATIC, values).items())
        if len(index) == 1 and 0 < index[0] < 4095 and (name := text_of(row.get(VLAN_STATIC_NAME)))
    )


def cdp_neighbours(values: Mapping[str, Value]) -> tuple[Neighbour, ...]:
    """The rows of cdpCacheTable; index is the local interface and a number of its own."""
    names = interface_names(values)
    found = []
    for index, row in sorted(decode_table(CDP_CACHE, values).items())[:MAX_ROWS]:
        name = text_of(row.get(CDP_DEVICE_ID))
        if len(index) != 2 or name is None:
            continue
        address = row.get(CDP_ADDRESS)
        is_ip = row.get(CDP_ADDRESS_TYPE) == CDP_IP and isinstance(address, bytes)
        found.append(
            Neighbour(
                protocol="cdp",
                local_port=names.get(index[0], str(index[0])),
                port_id=text_of(row.get(CDP_DEVICE_PORT)),
                system_name=name,
                platform=text_of(row.get(CDP_PLATFORM)),
                capabilities=cdp_capabilities(row.get(CDP_CAPABILITIES)),
                management_address=str(ip_address(address))
                if is_ip and isinstance(address, bytes) and len(address) == 4 and any(address)
                else None,
            )
        )
    return tuple(found)


def cdp_capabilities(value: Value) -> tuple[str, ...] | None:
    """Four bytes of flags, the last bit a router's."""
    if not isinstance(value, bytes) or len(value) != 4:
        return None
    flags = int.from_bytes(value, "big")
    return tuple(dict.fromkeys(word for bit, word in CDP_CAPABILITY_BITS if flags & bit))


def lldp_capabilities(value: Value) -> tuple[str, ...] | None:
    """BITS, the first bit of the first byte being number 0 (LldpSystemCapabilitiesMap)."""
    if not isinstance(value, bytes) or not 1 <= len(value) <= 2:
        return None
    return tuple(word for bit, word in enumerate(LLDP_CAPABILITY_WORDS) if value[0] & (0x80 >> bit))


def link_layer_name(values: Mapping[str, Value]) -> LinkLayerName | None:
    """What the LLDP scalars and the bridge's address say; None when they say nothing."""
    subtype = values.get(f"{LLDP_LOCAL}.1.0")
    name = LinkLayerName(
        chassis_id=_chassis_id(values.get(f"{LLDP_LOCAL}.2.0"), subtype),
        system_name=text_of(values.get(f"{LLDP_LOCAL}.3.0")),
        bridge_address=mac_of(values.get(BRIDGE_ADDRESS)),
        capabilities=lldp_capabilities(values.get(f"{LLDP_LOCAL}.6.0")),
    )
    return name if name != LinkLayerName() else None


def link_layer_ports(values: Mapping[str, Value]) -> tuple[LinkLayerPort, ...]:
    """
    lldpLocPortTable. The interface is the one that the port's id or description names; else the
    one of the bridge port with its number, or, of a number that is no bridge port's, the one with
    that index (LldpPortNumber).
    """
    names = interface_names(values)
    ports = bridge_ports(values)
    by_text = _interfaces_by_text(values, names)
    found = []
    for index, row in sorted(decode_table(LLDP_LOCAL_PORT, values).items())[:MAX_ROWS]:
        if len(index) != 1:
            continue
        number = index[0]
        identifier = _local_port_id(row.get(LLDP_LOCAL_PORT_ID))
        description = text_of(row.get(LLDP_LOCAL_PORT_DESCR))
        found.append(
            LinkLayerPort(
                number=number,
                port_id=identifier,
                description=description,
                interface=by_text.get(identifier or "")
                or by_text.get(description or "")
                or ports.get(number)
                or names.get(number),
            )
        )
    return tuple(found)


def _local_port_id(value: Value) -> str | None:
    """lldpLocPortId, whose subtype is not asked for: lldpd gives six bytes of MAC address."""
    return mac_of(value) if isinstance(value, bytes) and _is_bare_mac(value) else text_of(value)


def _is_bare_mac(value: bytes) -> bool:
    """Six bytes that are no printable text."""
    return len(value) == 6 and not all(0x20 <= byte < 0x7F for byte in value)


def _interfaces_by_text(values: Mapping[str, Value], names: Mapping[int, str]) -> dict[str, str]:
    """Every text that stands for exactly one interface, with the interface's name."""
    found: dict[str, set[str]] = {}
    rows = decode_table(IF_TABLE, values)
    for number, name in names.items():
        row = rows.get((number,), {})
        for text in (name, text_of(row.get(IF_DESCR)), mac_of(row.get(IF_PHYS_ADDRESS))):
            if text:
                found.setdefault(text, set()).add(name)
    return {text: min(own) for text, own in found.items() if len(own) == 1}


def tables_read(values: Mapping[str, Value], cut: Collection[str]) -> tuple[TableRead, ...]:
    """How much of the tables was read that have rows; `cut` are the columns that were cut short."""

    def read(
        table: Literal["bridge", "addresses", "own_addresses", "neighbours"], *entries: str
    ) -> Iterable[TableRead]:
        rows = sum(len(decode_table(entry, values)) for entry in entries)
        complete = not any(column.startswith(f"{e}.") for e in entries for column in cut)
        if rows or not complete:
            yield TableRead(table=table, rows=rows, complete=complete)

    return (
        *read("bridge", VLAN_FORWARDING, FORWARDING),
        *read("addresses", ARP, IP_NEIGHBOUR),
        *read("own_addresses", OWN_ADDRESS),
        *read("neighbours", LLDP_REMOTE, CDP_CACHE),
    )


def facts_of_tables(
    values: Mapping[str, Value], cut: Collection[str], firmwares: Collection[str]
) -> tuple[Fact, ...]:
    """Everything that was read, as facts. `firmwares` are those that the device is known by."""
    index = chassis_index(values)
    chassis = chassis_of(index, values, firmwares) if index is not None else None
    name = link_layer_name(values)
    return (
        *((chassis,) if chassis else ()),
        *interfaces_of(values),
        *neighbours_of(values),
        *cdp_neighbours(values),
        *((name,) if name else ()),
        *link_layer_ports(values),
        *own_addresses(values),
        *address_entries(values),
        *vlan_names(values),
        *bridge_entries(values),
        *tables_read(values, cut),
        *parts_of(part_indices(values, index), values),
    )
