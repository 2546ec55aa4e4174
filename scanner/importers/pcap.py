"""
Captures (pcap, pcapng): who talked with whom, and what devices said of themselves.

The packets are dissected by tshark (importers.dissector); here its fields become facts:

1. Every TCP and UDP packet belongs to a conversation of a client with a server's port. Who is the
   server: whoever answers a SYN; else whose port is that of a known service; else, over UDP,
   whoever was spoken to first; else the lower port. Only what the server was seen to send proves a
   service.
2. A reply identifies the device that sent it (Modbus FC43 and FC17, S7 SZL, EtherNet/IP
   ListIdentity, BACnet ReadProperty, SNMP, OPC UA, MMS, FINS, HART-IP, KNX, HTTP, SSH, SMB, FTP,
   VNC); an announcement identifies its sender (LLDP, CDP, PROFINET DCP, DHCP, BACnet I-Am).
   Requests identify nobody; they show clients.
3. ARP and DHCP tie a hardware address to an address. What is told on layer 2 only stands under the
   hardware address, unless the same capture ties it to an address.

Communities, passwords, cookies and user names in a capture are not read.

Source: names of fields as of Wireshark 4.0 (`tshark -G fields`), which documents each; formats of
capture files: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng section 4.1 (magic numbers). What
the fields mean: Modbus Application Protocol V1.1b3 section 6.21, CIP Volume 2 section 2-4.3,
ASHRAE 135 clause 16, RFC 3418 (system group), IEEE 802.1AB-2016 clause 8, IEC 61158-6-10 (DCP),
RFC 2132.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scanner.facts import (
    BacnetAccess,
    CipAccess,
    Conversation,
    DeviceIdentity,
    Fact,
    HttpFace,
    LinkAddress,
    ModbusAccess,
    Neighbour,
    S7Access,
    ServiceAccess,
    SmbFace,
    SnmpAccess,
    SshFace,
    VncFace,
)
from scanner.importers import dissector
from scanner.importers.form import (
    Imported,
    Importer,
    Reading,
    address_of,
    identity_facts,
    is_device,
    mac_of,
    moment_of,
    number_of,
    port_of,
    protocol_of,
    text_of,
)
from scanner.model import Transport

MAGIC = (
    b"\xa1\xb2\xc3\xd4", b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x4d\x3c\xb2\xa1",
    b"\x0a\x0d\x0d\x0a",
)  # fmt: skip
"""pcap in both byte orders with micro- and nanoseconds, and pcapng's section header."""

MOST_TALKS = 100_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

SERVICES = {
    "modbus": "modbus", "s7comm": "s7", "s7comm-plus": "s7plus", "enip": "enip", "snmp": "snmp",
    "http": "http", "ssh": "ssh", "telnet": "telnet", "bacapp": "bacnet", "bacnet": "bacnet",
    "opcua": "opcua", "dnp3": "dnp3", "iec60870_104": "iec104", "mms": "mms", "omron": "fins",
    "hart_ip": "hartip", "knxip": "knx", "kip": "knx", "ams": "ads", "smb": "smb", "smb2": "smb",
    "rdp": "rdp", "vnc": "vnc", "ftp": "ftp", "mqtt": "mqtt", "ntp": "ntp", "dns": "dns",
    "tls": "tls", "dhcp": "dhcp", "tftp": "tftp", "ldap": "ldap", "kerberos": "kerberos",
    "nbns": "nbns", "mdns": "mdns", "llmnr": "llmnr", "ssdp": "ssdp", "syslog": "syslog",
    "dcerpc": "dcerpc", "rtsp": "rtsp", "sip": "sip", "tacplus": "tacacs+", "radius": "radius",
}  # fmt: skip
"""A dissector's name -> the probe's name, or that of the service."""

PORTS = {
    21, 22, 23, 25, 53, 67, 69, 80, 102, 111, 123, 135, 137, 138, 139, 161, 162, 389, 443, 445, 502,
    514, 554, 789, 802, 1089, 1090, 1091, 1217, 1433, 1502, 1883, 1911, 1962, 2222, 2404, 2455,
    3389, 3671, 4000, 4840, 4843, 4911, 5006, 5007, 5060, 5094, 5353, 5355, 5432, 5900, 5938, 6379,
    8000, 8080, 8443, 8883, 9600, 10001, 11740, 18245, 19999, 20000, 20547, 34962, 34963, 34964,
    38210, 44818, 47808, 48898, 50000, 55000,
}  # fmt: skip
"""Ports of servers, for conversations whose beginning a capture does not have."""

FIELDS = (
    "frame.number", "frame.time_epoch", "frame.protocols", "frame.cap_len", "eth.src",
    "eth.dst", "ip.src", "ip.dst",
    "ipv6.src", "ipv6.dst", "tcp.srcport", "tcp.dstport", "tcp.flags.syn", "tcp.flags.ack",
    "tcp.len", "udp.srcport", "udp.dstport", "icmp.type", "icmpv6.type",
    "arp.src.proto_ipv4", "arp.src.hw_mac",
    "mbtcp.unit_id", "modbus.func_code", "modbus.exception_code", "modbus.object_id",
    "modbus.object_str_value", "modbus.data",
    "s7comm.param.userdata.type", "s7comm.szl.xy11.0001.index", "s7comm.szl.xy11.0001.anz",
    "s7comm.szl.xy11.0001.ausbg", "s7comm.szl.xy11.0001.ausbe", "s7comm.szl.001c.0001.name",
    "s7comm.szl.001c.0002.name", "s7comm.szl.001c.0003.tag", "s7comm.szl.001c.0004.copyright",
    "s7comm.szl.001c.0005.serialn", "s7comm.szl.001c.0007.cputypname",
    "enip.command", "enip.lir.vendor", "enip.lir.devtype", "enip.lir.prodcode",
    "enip.lir.revision", "enip.lir.status", "enip.lir.serial", "enip.lir.name", "enip.lir.state",
    "bacapp.type", "bacapp.unconfirmed_service", "bacapp.confirmed_service", "bacapp.objectType",
    "bacapp.instance_number", "bacapp.vendor_identifier", "bacapp.property_identifier",
    "bacapp.present_value.char_string", "bacapp.object_name", "bacnet.snet",
    "snmp.data", "snmp.version", "snmp.msgVersion", "snmp.name", "snmp.value.octets",
    "snmp.value.oid", "snmp.msgAuthoritativeEngineID",
    "lldp.chassis.id.mac", "lldp.chassis.id", "lldp.port.id", "lldp.port.id.mac", "lldp.port.desc",
    "lldp.tlv.system.name", "lldp.tlv.system.desc", "lldp.mgn.addr.ip4", "lldp.mgn.addr.ip6",
    "cdp.deviceid", "cdp.platform", "cdp.software_version", "cdp.portid", "cdp.nrgyz.ip_address",
    "cdp.address", "cdp.model_number", "cdp.system_serial_number",
    "pn_dcp.service_id", "pn_dcp.service_type", "pn_dcp.suboption_device_nameofstation",
    "pn_dcp.suboption_device_devicevendorvalue", "pn_dcp.suboption_vendor_id",
    "pn_dcp.suboption_ip_ip",
    "opcua.ApplicationUri", "opcua.ProductUri", "opcua.servicenodeid.numeric",
    "mms.vendorName", "mms.modelName", "mms.revision",
    "omron.controller.model", "omron.controller.version",
    "hart_ip.message_type", "hart_ip.pt.rsp.tag", "hart_ip.pt.rsp.manufacturer_Id",
    "hart_ip.pt.rsp.software_rev", "hart_ip.pt.rsp.device_rev",
    "knxip.device.name", "knxip.sernr",
    "http.server", "http.response.code", "ssh.protocol", "ftp.response.code",
    "ftp.response.arg", "vnc.server_proto_ver", "smb.native_os", "smb.native_lanman",
    "dhcp.type", "dhcp.option.dhcp", "dhcp.hw.mac_addr", "dhcp.ip.client",
    "dhcp.ip.your", "dhcp.option.hostname", "dhcp.option.vendor_class_id",
    "dhcp.option.request_list_item",
)  # fmt: skip


@dataclass(slots=True)
class Packet:
    """
    One packet. `source` and `target` are the addresses of its outermost IP header ("" without one),
    `layers` the names of its protocols from the outside in.
    """

    fields: Mapping[str, Any]
    number: str
    at: datetime
    layers: tuple[str, ...]
    source: str = ""
    target: str = ""
    source_port: int = 0
    target_port: int = 0
    transport: Transport | None = None
    from_server: bool = False

    def all(self, name: str) -> list[str]:
        found = self.fields.get(name.replace(".", "_"))
        if isinstance(found, str):
            return [found]
        return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []

    def one(self, name: str) -> str | None:
        found = self.all(name)
        return found[0] if found else None

    def text(self, name: str) -> str | None:
        return text_of(self.one(name))

    def number_of(self, name: str) -> int | None:
        return number_of(self.one(name))

    @property
    def place(self) -> str:
        return f"packet {self.number}"

    @property
    def to_many(self) -> bool:
        """Whether it went to a group or to all: no single device is its target."""
        ethernet = (self.one("eth.dst") or "").replace(":", "")
        group = len(ethernet) == 12 and ethernet[1] in "13579bdfBDF"
        return group or not is_device(self.target)

    @property
    def service(self) -> str | None:
        """The innermost protocol above TCP or UDP that has a name of ours."""
        found = [SERVICES[layer] for layer in self.layers if layer in SERVICES]
        if not found:
            return None
        if found[-1] == "tls" or (found[-1] == "http" and "tls" in found):
            return "https" if 443 in (self.source_port, self.target_port) else "tls"
        return found[-1]

    @property
    def server(self) -> tuple[str, int]:
        return (
            (self.source, self.source_port) if self.from_server else (self.target, self.target_port)
        )

    @property
    def client(self) -> tuple[str, int]:
        return (
            (self.target, self.target_port) if self.from_server else (self.source, self.source_port)
        )


def read(path: Path, reading: Reading) -> Iterator[Imported]:
    """Raises UsageError, also where there is no tshark."""
    directions, talks, links = _Directions(), _Talks(), _Links()
    count = done = before = last = 0
    size = path.stat().st_size
    for fields in dissector.packets(path, FIELDS, reading):
        count += 1
        if count % 256 == 0:
            reading.progress(min(size, done))
        packet = _packet(fields)
        if packet is None:
            reading.skip("packets without number or time", f"packet {count}")
            continue
        # tshark counts from 1 again when it forgets (dissector.FORGET_AFTER).
        if int(packet.number) <= last:
            before += last
        last = int(packet.number)
        packet.number = str(before + last)
        done += 32 + (packet.number_of("frame.cap_len") or 0)
        if packet.transport is not None:
            packet.from_server = directions.is_from_server(packet)
            talks.add(packet, reading)
        for found in _say(packet, reading):
            if found.facts and isinstance(found.facts[0], LinkAddress):
                links.learn(found)
            if found.address and not links.holds(found):
                yield found
    yield from links.told()
    yield from talks.told()
    reading.progress(size)


def _packet(fields: Mapping[str, Any]) -> Packet | None:
    raw = Packet(fields, "", EPOCH, ())
    number, at = raw.one("frame.number"), moment_of(raw.one("frame.time_epoch"))
    if number is None or not (number.isdecimal() and len(number) < 12) or at is None:
        return None
    layers = tuple((raw.one("frame.protocols") or "").split(":"))
    packet = Packet(fields, number, at, layers)
    # Behind a tunnel (a mirrored port) the inner packet counts; ICMP quotes one that counts not.
    inner = -1 if {"gre", "erspan", "vxlan"} & set(layers) and "icmp" not in layers else 0
    for family in ("ip", "ipv6"):
        sources, targets = packet.all(f"{family}.src"), packet.all(f"{family}.dst")
        if sources and targets:
            packet.source = address_of(sources[inner]) or ""
            packet.target = address_of(targets[inner]) or ""
            break
    if packet.one("icmp.type") is not None or packet.one("icmpv6.type") is not None:
        return packet
    for transport in Transport:
        ports, others = packet.all(f"{transport}.srcport"), packet.all(f"{transport}.dstport")
        if ports and others and packet.source and packet.target:
            packet.source_port = port_of(ports[inner]) or 0
            packet.target_port = port_of(others[inner]) or 0
            if packet.source_port and packet.target_port:
                packet.transport = transport
            break
    return packet


# --- conversations -----------------------------------------------------------------------------


class _Directions:
    """Which end of a conversation is the server."""

    def __init__(self) -> None:
        self._servers: set[tuple[str, int]] = set()
        self._clients: set[tuple[str, int, str, int]] = set()

    def is_from_server(self, packet: Packet) -> bool:
        source = (packet.source, packet.source_port)
        target = (packet.target, packet.target_port)
        if packet.to_many:
            return False
        if packet.transport is Transport.TCP:
            if _flag(packet, "tcp.flags.syn"):
                answer = _flag(packet, "tcp.flags.ack")
                self._remember(source if answer else target)
                return answer
            if (source in self._servers) != (target in self._servers):
                return source in self._servers
        known = (packet.source_port in PORTS, packet.target_port in PORTS)
        if known[0] != known[1]:
            return known[0]
        if packet.transport is Transport.UDP or packet.source_port == packet.target_port:
            # Whoever spoke first asked.
            if (*target, *source) in self._clients:
                return True
            if len(self._clients) < MOST_TALKS:
                self._clients.add((*source, *target))
            return False
        return packet.source_port < packet.target_port

    def _remember(self, end: tuple[str, int]) -> None:
        if len(self._servers) < MOST_TALKS:
            self._servers.add(end)


def _flag(packet: Packet, name: str) -> bool:
    return packet.one(name) in ("1", "True", "true")


@dataclass(slots=True)
class _Talk:
    first: datetime
    last: datetime
    place: str
    packets: int = 0
    answered: bool = False
    to_many: bool = False
    protocol: str | None = None


class _Talks:
    """Conversations as they come, one for each client, server and port."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, Transport, int], _Talk] = {}

    def add(self, packet: Packet, reading: Reading) -> None:
        assert packet.transport is not None  # noqa: S101 - the caller looked
        (server, port), (client, _) = packet.server, packet.client
        key = (client, server, packet.transport, port)
        talk = self._kept.get(key)
        if talk is None:
            if len(self._kept) >= MOST_TALKS:
                reading.skip(f"conversations beyond {MOST_TALKS:,}", packet.place)
                return
            talk = self._kept[key] = _Talk(packet.at, packet.at, packet.place)
        talk.first, talk.last = min(talk.first, packet.at), max(talk.last, packet.at)
        talk.packets += 1
        if packet.from_server and (
            packet.transport is Transport.UDP
            or _flag(packet, "tcp.flags.syn")
            or (packet.number_of("tcp.len") or 0) > 0
        ):
            talk.answered = True
        talk.to_many = talk.to_many or packet.to_many
        talk.protocol = packet.service or talk.protocol

    def told(self) -> Iterator[Imported]:
        for (client, server, transport, port), talk in self._kept.items():
            protocol = protocol_of(talk.protocol)
            conversation = Conversation(
                client=client,
                server=server,
                transport=transport.value,
                port=port,
                protocol=protocol,
                first_seen=talk.first,
                last_seen=talk.last,
                packets=talk.packets,
                answered=talk.answered and not talk.to_many,
            )
            yield Imported(
                address=server,
                port=port,
                transport=transport,
                protocol=protocol,
                facts=(conversation,),
                at=talk.first,
                place=f"{talk.place} and on",
            )


class _Links:
    """
    Hardware addresses. What is told on layer 2 alone waits until the end of the capture: there may
    come a packet that ties the hardware address to one address.
    """

    MOST = 10_000

    def __init__(self) -> None:
        self._address: dict[str, set[str]] = {}
        self._waiting: list[Imported] = []

    def learn(self, found: Imported) -> None:
        fact = found.facts[0]
        if isinstance(fact, LinkAddress) and len(self._address) < self.MOST:
            self._address.setdefault(fact.mac, set()).add(found.address)

    def holds(self, found: Imported) -> bool:
        if mac_of(found.address) is None or len(self._waiting) >= self.MOST:
            return False
        self._waiting.append(found)
        return True

    def told(self) -> Iterator[Imported]:
        for found in self._waiting:
            known = self._address.get(found.address, set())
            # A router answers for many: then it stays with the hardware address.
            yield replace(found, address=next(iter(known))) if len(known) == 1 else found


# --- what packets say --------------------------------------------------------------------------


def _say(packet: Packet, reading: Reading) -> Iterator[Imported]:
    """Everything that one packet says of devices."""
    layers = set(packet.layers)
    for layer, says in _ANNOUNCEMENTS.items():
        if layer in layers:
            yield from says(packet, reading)
    if packet.transport is None or not packet.from_server or not is_device(packet.source):
        return
    for layer, protocol, reply in _REPLIES:
        if layer in layers and (facts := reply(packet, reading)):
            yield Imported(
                address=packet.source,
                port=packet.source_port,
                transport=packet.transport,
                protocol=protocol,
                facts=tuple(facts),
                at=packet.at,
                place=packet.place,
            )


def _of(packet: Packet, address: str | None, protocol: str, *facts: Fact) -> Iterator[Imported]:
    if address and facts and is_device(address):
        yield Imported(
            address=address, protocol=protocol, facts=facts, at=packet.at, place=packet.place
        )


def _arp(packet: Packet, reading: Reading) -> Iterator[Imported]:
    """The sender's own pair, also in a question; a probe (sender 0.0.0.0) has none."""
    address, mac = (
        address_of(packet.one("arp.src.proto_ipv4")),
        mac_of(packet.one("arp.src.hw_mac")),
    )
    if address and mac:
        yield from _of(packet, address, "arp", LinkAddress(mac=mac, told_by="arp"))


def _lldp(packet: Packet, reading: Reading) -> Iterator[Imported]:
    description = packet.text("lldp.tlv.system.desc")
    chassis = packet.text("lldp.chassis.id.mac") or _printable(packet.one("lldp.chassis.id"))
    # PROFINET stations have no system name and put theirs into the chassis id.
    name = packet.text("lldp.tlv.system.name") or (None if mac_of(chassis) else chassis)
    port = packet.text("lldp.port.id") or packet.text("lldp.port.id.mac")
    mac = mac_of(packet.one("eth.src"))
    addresses = [address_of(one) for one in packet.all("lldp.mgn.addr.ip4")]
    address = next((one for one in addresses if one and is_device(one)), None) or mac
    read = reading.recognise.snmp({SYS_DESCR: description.encode()}) if description else None
    facts = identity_facts(
        DeviceIdentity(name=name), read or DeviceIdentity(model=description, basis="text")
    )
    told = Neighbour(
        chassis_id=chassis, port_id=port, system_name=name, system_description=description,
        management_address=address if address != mac else None,
    )  # fmt: skip
    if told != Neighbour() and mac:
        link = (LinkAddress(mac=mac, told_by="lldp"),) if address != mac else ()
        yield from _of(packet, address, "lldp", *link, *facts, told)


def _printable(text: str | None) -> str | None:
    """Bytes that tshark shows in hex, as text where they are text."""
    try:
        raw = bytes.fromhex((text or "").replace(":", ""))
    except ValueError:
        return text_of(text)
    shown = raw.rstrip(b"\0").decode("latin-1")
    return text_of(shown if shown.isascii() and shown.isprintable() else text)


def _cdp(packet: Packet, reading: Reading) -> Iterator[Imported]:
    addresses = [_ipv4_of_hex(one) for one in packet.all("cdp.address")]
    addresses += [address_of(one) for one in packet.all("cdp.nrgyz.ip_address")]
    mac = mac_of(packet.one("eth.src"))
    address = next((one for one in addresses if one and is_device(one)), None) or mac
    name = packet.text("cdp.deviceid")
    facts = identity_facts(
        DeviceIdentity(
            model=packet.text("cdp.platform"),
            firmware=packet.text("cdp.software_version"),
            serial=packet.text("cdp.system_serial_number"),
            name=name,
        )
    )
    told = Neighbour(
        chassis_id=name, port_id=packet.text("cdp.portid"), system_name=name,
        system_description=packet.text("cdp.software_version"),
    )  # fmt: skip
    if facts and mac:
        link = (LinkAddress(mac=mac, told_by="cdp"),) if address != mac else ()
        yield from _of(packet, address, "cdp", *link, *facts, told)


def _ipv4_of_hex(text: str) -> str | None:
    digits = text.replace(":", "")
    try:
        raw = bytes.fromhex(digits)
    except ValueError:
        return None
    return address_of(".".join(map(str, raw))) if len(raw) == 4 else None


def _dcp(packet: Packet, reading: Reading) -> Iterator[Imported]:
    """Identify replies and Hellos (service 5 and 6) name their sender; requests name others."""
    service, kind = packet.number_of("pn_dcp.service_id"), packet.number_of("pn_dcp.service_type")
    if not (service == 6 or (service in (3, 5) and kind == 1)):
        return
    mac = mac_of(packet.one("eth.src"))
    address = address_of(packet.one("pn_dcp.suboption_ip_ip"))
    address = address if address and is_device(address) else mac
    vendor = packet.number_of("pn_dcp.suboption_vendor_id")
    facts = identity_facts(
        DeviceIdentity(
            model=packet.text("pn_dcp.suboption_device_devicevendorvalue"),
            name=packet.text("pn_dcp.suboption_device_nameofstation"),
        ),
        DeviceIdentity(
            vendor=None if vendor is None else reading.recognise.profinet_vendor(vendor),
            basis="table",
        ),
    )
    if facts and mac:
        link = (LinkAddress(mac=mac, told_by="profinet"),) if address != mac else ()
        yield from _of(packet, address, "profinet", *link, *facts)


def _dhcp(packet: Packet, reading: Reading) -> Iterator[Imported]:
    """
    Requests of a client (BOOTREQUEST): its host name, vendor class and list of options, which is
    known as a fingerprint. Answers tie an address to a hardware address (ACK, 5).
    """
    mac = mac_of(packet.one("dhcp.hw.mac_addr"))
    if mac is None:
        return
    if packet.number_of("dhcp.type") == 2:
        your = address_of(packet.one("dhcp.ip.your"))
        if packet.number_of("dhcp.option.dhcp") == 5 and your:
            yield from _of(packet, your, "dhcp", LinkAddress(mac=mac, told_by="dhcp"))
        return
    own = address_of(packet.one("dhcp.ip.client"))
    address = own if own and is_device(own) else mac
    vendor_class = packet.text("dhcp.option.vendor_class_id")
    wanted = [one for one in packet.all("dhcp.option.request_list_item") if one.isdecimal()][:64]
    details = []
    if vendor_class:
        details.append(("vendor class", vendor_class))
    if wanted:
        details.append(("requested options", ",".join(wanted)))
    facts: list[Fact] = [*identity_facts(DeviceIdentity(name=packet.text("dhcp.option.hostname")))]
    if details:
        facts.append(ServiceAccess(protocol="dhcp", details=tuple(details)))
    if own and address == own:
        facts.append(LinkAddress(mac=mac, told_by="dhcp"))
    yield from _of(packet, address, "dhcp", *facts)


def _bacnet_announcement(packet: Packet, reading: Reading) -> Iterator[Imported]:
    """
    I-Am (unconfirmed service 0), whoever it is sent to. One that a router passed on (SNET) is that
    of a device behind it, named as the probe names those.
    """
    if packet.number_of("bacapp.type") != 1 or not packet.source:
        return
    if packet.number_of("bacapp.unconfirmed_service") != 0:
        return
    instance = packet.number_of("bacapp.instance_number")
    vendor = packet.number_of("bacapp.vendor_identifier")
    if instance is None or not is_device(packet.source):
        return
    network = packet.number_of("bacnet.snet")
    access = BacnetAccess(instance=instance, vendor_id=vendor)
    made_by = identity_facts(
        DeviceIdentity(
            sub_address=None if network is None else f"network {network} device {instance}",
            vendor=None if vendor is None else reading.recognise.bacnet_vendor(vendor),
            basis="table",
        )
    )
    yield Imported(
        address=packet.source,
        port=packet.source_port,
        transport=Transport.UDP,
        protocol="bacnet",
        facts=made_by if network is not None else (access, *made_by),
        at=packet.at,
        place=packet.place,
    )


_ANNOUNCEMENTS: Mapping[str, Callable[[Packet, Reading], Iterator[Imported]]] = {
    "arp": _arp,
    "lldp": _lldp,
    "cdp": _cdp,
    "pn_dcp": _dcp,
    "dhcp": _dhcp,
    "bacapp": _bacnet_announcement,
}

FC_READS = frozenset({1, 2, 3, 4, 17, 43})


def _modbus(packet: Packet, reading: Reading) -> Sequence[Fact]:
    """FC43/14: objects 0 vendor, 1 code, 2 revision, 4 product, 5 model, 6 application."""
    functions = packet.all("modbus.func_code")
    unit = packet.number_of("mbtcp.unit_id")
    if not functions or unit is None or unit > 255 or packet.one("modbus.exception_code"):
        return ()
    function = number_of(functions[0])
    if function not in FC_READS or len(functions) > 1:
        return ()
    access = ModbusAccess(unit_id=unit, answers_without_login=True)
    if function == 43:
        ids, values = packet.all("modbus.object_id"), packet.all("modbus.object_str_value")
        if len(ids) != len(values):
            return (access,)
        said = {number_of(one): text_of(value) for one, value in zip(ids, values, strict=True)}
        identity = DeviceIdentity(
            vendor=said.get(0),
            model=said.get(5) or said.get(4) or said.get(1),
            order_number=said.get(1),
            firmware=said.get(2),
            name=said.get(6),
        )
        access = ModbusAccess(
            unit_id=unit, answers_without_login=True,
            identification="objects" if said else "empty",
        )  # fmt: skip
        return (access, *identity_facts(identity))
    if function == 17:
        return (access, *identity_facts(_server_id(packet)))
    return (access,)


def _server_id(packet: Packet) -> DeviceIdentity | None:
    """FC17: the layout is the device's own; the printable text at its end, where there is one."""
    try:
        data = bytes.fromhex((packet.one("modbus.data") or "").replace(":", "")[:512])
    except ValueError:
        return None
    text = data[2:].decode("latin-1").strip("\0 ")
    if len(text) < 4 or not text.isascii() or not text.isprintable():
        return None
    return DeviceIdentity(model=text_of(text), basis="text")


def _s7(packet: Packet, reading: Reading) -> Sequence[Fact]:
    """SZL 0x0011 and 0x001C in a response (userdata type 8)."""
    if packet.number_of("s7comm.param.userdata.type") not in (8, None):
        return ()
    order = hardware = firmware = None
    indexes = packet.all("s7comm.szl.xy11.0001.index")
    rows = [
        (number_of(index), name, number_of(major), number_of(minor))
        for index, name, major, minor in zip(
            indexes,
            packet.all("s7comm.szl.xy11.0001.anz"),
            packet.all("s7comm.szl.xy11.0001.ausbg"),
            packet.all("s7comm.szl.xy11.0001.ausbe"),
            strict=False,
        )
    ]
    for index, name, version, release in rows:
        if index == 1:
            order = text_of(name)
        if index in (1, 6) and version and version < 256:
            hardware = hardware or str(version)
        if index == 7 and version is not None and release is not None and version >> 8 == 0x56:
            # "V" and three numbers: Ausbg 0x56xx, Ausbe 0xyyzz.
            firmware = f"V{version & 0xFF}.{release >> 8}.{release & 0xFF}"
    copyright_ = packet.text("s7comm.szl.001c.0004.copyright")
    identity = DeviceIdentity(
        vendor="Siemens" if copyright_ and "siemens" in copyright_.casefold() else None,
        model=packet.text("s7comm.szl.001c.0007.cputypname"),
        order_number=order,
        hardware=hardware,
        firmware=firmware,
        serial=packet.text("s7comm.szl.001c.0005.serialn"),
        name=packet.text("s7comm.szl.001c.0001.name") or packet.text("s7comm.szl.001c.0002.name"),
    )
    found = identity_facts(identity)
    if not found:
        return ()
    module, plant = (
        packet.text("s7comm.szl.001c.0002.name"),
        packet.text("s7comm.szl.001c.0003.tag"),
    )
    return (*found, S7Access(module_name=module, plant_id=plant)) if module or plant else found


def _enip(packet: Packet, reading: Reading) -> Sequence[Fact]:
    """The identity item of ListIdentity (command 0x63)."""
    vendor = packet.number_of("enip.lir.vendor")
    if packet.number_of("enip.command") != 0x63 or vendor is None:
        return ()
    revision, serial = packet.one("enip.lir.revision"), packet.number_of("enip.lir.serial")
    return (
        CipAccess(
            answers_without_login=True,
            vendor_id=vendor,
            device_type=packet.number_of("enip.lir.devtype"),
            product_code=packet.number_of("enip.lir.prodcode"),
            status_word=packet.number_of("enip.lir.status"),
            state=packet.number_of("enip.lir.state"),
        ),
        *identity_facts(
            DeviceIdentity(
                model=packet.text("enip.lir.name"),
                firmware=_revision(revision),
                serial=f"{serial:08x}" if serial else None,
            ),
            DeviceIdentity(vendor=reading.recognise.cip_vendor(vendor), basis="table"),
        ),
    )


def _revision(text: str | None) -> str | None:
    """`major.minor`, as words or as one number with the major revision in front."""
    if text is None:
        return None
    major, separator, minor = text.partition(".")
    if separator and major.isdecimal() and minor.isdecimal() and len(text) < 12:
        return f"{int(major)}.{int(minor):03d}"
    value = number_of(text, 65535)
    return None if value is None else f"{value >> 8}.{value & 0xFF:03d}"


BACNET_PROPERTIES = {"121": "vendor", "70": "model", "44": "firmware", "77": "name"}


def _bacnet(packet: Packet, reading: Reading) -> Sequence[Fact]:
    """ReadProperty-Ack (complex ack 3, service 12) of one text property of a device object (8)."""
    if packet.number_of("bacapp.type") != 3 or packet.number_of("bacapp.confirmed_service") != 12:
        return ()
    kinds, instance = packet.all("bacapp.objectType"), packet.number_of("bacapp.instance_number")
    properties = packet.all("bacapp.property_identifier")
    if kinds[:1] != ["8"] or len(properties) != 1 or instance is None:
        return ()
    access = BacnetAccess(instance=instance)
    said = packet.text("bacapp.present_value.char_string") or packet.text("bacapp.object_name")
    name = BACNET_PROPERTIES.get(properties[0])
    behind = packet.one("bacnet.snet") is not None
    if name is None or said is None:
        return () if behind else (access,)
    identity = DeviceIdentity(
        sub_address=f"device {instance}" if behind else None,
        vendor=said if name == "vendor" else None,
        model=said if name == "model" else None,
        firmware=said if name == "firmware" else None,
        name=said if name == "name" else None,
    )
    return (identity,) if behind else (access, identity)


SNMP_VERSIONS = {0: "1", 1: "2c", 3: "3"}


def _snmp(packet: Packet, reading: Reading) -> Sequence[Fact]:
    """A response (PDU 2) or report (8). The community is not read."""
    kind = packet.number_of("snmp.data")
    if kind not in (2, 8):
        return ()
    version = packet.number_of("snmp.msgVersion")
    if version is None:
        version = packet.number_of("snmp.version")
    engine = (packet.one("snmp.msgAuthoritativeEngineID") or "").replace(":", "").lower()
    access = SnmpAccess(
        versions=(SNMP_VERSIONS[version],) if version in SNMP_VERSIONS else (),
        engine_id=engine[:64] or None,
    )
    return (access, *identity_facts(_system_group(packet, reading)))


def _system_group(packet: Packet, reading: Reading) -> DeviceIdentity | None:
    """Names and values are listed apart; octets and object identifiers in the order of names."""
    names = packet.all("snmp.name")
    octets, oids = packet.all("snmp.value.octets"), packet.all("snmp.value.oid")
    if not names or not all(name.startswith(_SYSTEM) for name in names):
        return None  # among others it would not be known which value is whose
    values: dict[str, int | bytes | str | None] = {}
    texts = [name for name in names if name.removeprefix(_SYSTEM) in _TEXTS]
    if len(texts) == len(octets):
        values |= {name: _bytes(value) for name, value in zip(texts, octets, strict=True)}
    if len(oids) == 1 and _SYS_OBJECT_ID in names:
        values[_SYS_OBJECT_ID] = oids[0]
    return reading.recognise.snmp(values) if values else None


_SYSTEM = "1.3.6.1.2.1.1."
SYS_DESCR = "1.3.6.1.2.1.1.1.0"
_SYS_OBJECT_ID = "1.3.6.1.2.1.1.2.0"
_TEXTS = frozenset({"1.0", "4.0", "5.0", "6.0"})
"""sysDescr, sysContact, sysName, sysLocation."""


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text.replace(":", "")[:4096])
    except ValueError:
        return text.encode("utf-8", "replace")[:2048]


def _opcua(packet: Packet, reading: Reading) -> Sequence[Fact]:
    """Application and product URI of a FindServers (425) or GetEndpoints (431) response."""
    uri, product = packet.text("opcua.ApplicationUri"), packet.text("opcua.ProductUri")
    if packet.number_of("opcua.servicenodeid.numeric") not in (425, 431) or not (uri or product):
        return ()
    details = tuple(
        (name, value)
        for name, value in (("application URI", uri), ("product URI", product))
        if value
    )
    return (ServiceAccess(protocol="opcua", details=details),)


def _mms(packet: Packet, reading: Reading) -> Sequence[Fact]:
    return identity_facts(
        DeviceIdentity(
            vendor=packet.text("mms.vendorName"),
            model=packet.text("mms.modelName"),
            firmware=packet.text("mms.revision"),
        )
    )


def _fins(packet: Packet, reading: Reading) -> Sequence[Fact]:
    model = packet.text("omron.controller.model")
    found = identity_facts(
        DeviceIdentity(model=model, firmware=packet.text("omron.controller.version")),
        DeviceIdentity(
            vendor="Omron" if model else None, device_class="plc" if model else None, basis="table"
        ),
    )
    return (ServiceAccess(protocol="fins", answers_without_login=True), *found) if found else ()


def _hartip(packet: Packet, reading: Reading) -> Sequence[Fact]:
    """Message type 1: a response."""
    if packet.number_of("hart_ip.message_type") != 1:
        return ()
    software = packet.number_of("hart_ip.pt.rsp.software_rev")
    tag = packet.text("hart_ip.pt.rsp.tag")
    tag = tag if tag and any(c.isalnum() for c in tag) else None  # an empty one is all "@"
    found = identity_facts(DeviceIdentity(name=tag, firmware=str(software) if software else None))
    maker = packet.number_of("hart_ip.pt.rsp.manufacturer_Id")
    details = (("manufacturer id", str(maker)),) if maker is not None else ()
    return (ServiceAccess(protocol="hartip", answers_without_login=True, details=details), *found)


def _knx(packet: Packet, reading: Reading) -> Sequence[Fact]:
    name = packet.text("knxip.device.name")
    serial = packet.text("knxip.sernr")
    if not name and not serial:
        return ()
    return (
        ServiceAccess(protocol="knx", answers_without_login=True),
        *identity_facts(DeviceIdentity(model=name, serial=serial)),
    )


def _http(packet: Packet, reading: Reading) -> Sequence[Fact]:
    """
    Status and `Server` of a reply. Whether the page asks for a login is not told: the request may
    have carried one.
    """
    status = packet.number_of("http.response.code")
    if status is None or not 100 <= status <= 599 or "tls" in packet.layers:
        return ()
    server = packet.text("http.server")
    face = HttpFace(scheme="http", status=status, server=server)
    return (face, *identity_facts(reading.recognise.http(server, None) if server else None))


def _ssh(packet: Packet, reading: Reading) -> Sequence[Fact]:
    banner = packet.text("ssh.protocol")
    if not banner or not banner.startswith("SSH-"):
        return ()
    version, _, software = banner[4:].partition("-")
    software = software.split(" ", 1)[0]
    face = SshFace(banner=banner, protocol_version=version, software=software or None)
    return (face, *identity_facts(reading.recognise.ssh(software)))


def _ftp(packet: Packet, reading: Reading) -> Sequence[Fact]:
    """The greeting (220); other replies may quote what a user typed."""
    greeting = packet.text("ftp.response.arg")
    if packet.number_of("ftp.response.code") != 220 or not greeting:
        return ()
    return (ServiceAccess(protocol="ftp", encrypted=False, details=(("greeting", greeting),)),)


def _vnc(packet: Packet, reading: Reading) -> Sequence[Fact]:
    version = packet.text("vnc.server_proto_ver")
    return (VncFace(version=version),) if version else ()


def _smb(packet: Packet, reading: Reading) -> Sequence[Fact]:
    """The native system of an SMB 1 session set-up, in the server's own words."""
    os_, manager = packet.text("smb.native_os"), packet.text("smb.native_lanman")
    facts: list[Fact] = []
    if "smb" in packet.layers:
        facts.append(SmbFace(smb1=True))
    if os_ or manager:
        facts += identity_facts(DeviceIdentity(model=os_ or manager, basis="text"))
    return facts


_REPLIES: Sequence[tuple[str, str, Callable[[Packet, Reading], Sequence[Fact]]]] = (
    ("modbus", "modbus", _modbus),
    ("s7comm", "s7", _s7),
    ("enip", "enip", _enip),
    ("bacapp", "bacnet", _bacnet),
    ("snmp", "snmp", _snmp),
    ("opcua", "opcua", _opcua),
    ("mms", "mms", _mms),
    ("omron", "fins", _fins),
    ("hart_ip", "hartip", _hartip),
    ("knxip", "knx", _knx),
    ("kip", "knx", _knx),
    ("http", "http", _http),
    ("ssh", "ssh", _ssh),
    ("smb", "smb", _smb),
    ("ftp", "ftp", _ftp),
    ("vnc", "vnc", _vnc),
)

IMPORTER = Importer(
    name="pcap",
    noun="capture",
    title="packet capture (pcap, pcapng), dissected by tshark",
    recognises=lambda head, path: head.startswith(MAGIC),
    read=read,
)
