"""
nmap's XML output (-oX), with what its scripts for industrial protocols said.

An open port is a service that answered; closed and filtered ones are not taken, since a scan from
elsewhere says nothing of what is reachable from here. Of scripts those are read whose structured
output (`elem` with a key) names a device: modbus-discover, s7-info, enip-info, bacnet-info,
fox-info, omron-info (tcp and udp), knx-gateway-info, snmp-sysdescr, http-server-header;
and the version detection (`service product=… version=…`), as text. An operating system
that nmap guesses is not taken.

The XML is read as a stream by expat; a document type with entities of its own is refused, and
nothing is ever fetched. Source: nmap.dtd (nmaprun, host, address, ports, port, state, service,
script, table, elem) and the NSE documentation of each script.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.parsers import expat

from scanner.errors import UsageError
from scanner.facts import (
    BacnetAccess,
    CipAccess,
    DeviceIdentity,
    Fact,
    LinkAddress,
    ModbusAccess,
    ServiceAccess,
    SnmpAccess,
)
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
    transport_of,
)
from scanner.model import Transport

CHUNK = 65_536
MAX_DEPTH = 64
MAX_TOKEN = 8 * 1024 * 1024
"""No tag of nmap's comes near it; what is longer is no output of nmap."""
MAX_ELEMENTS = 10_000
"""Elements of one host that are kept."""
SERVICES = {
    "iso-tsap": "unknown", "EtherNetIP-2": "enip", "EtherNet-IP-2": "enip", "bacnet": "bacnet",
    "http": "http", "https": "https", "ssh": "ssh", "telnet": "telnet", "snmp": "snmp",
    "modbus": "modbus", "mbap": "modbus", "niagara-fox": "fox", "opcua-tcp": "opcua",
    "fins": "fins", "microsoft-ds": "smb", "netbios-ssn": "smb", "ms-wbt-server": "rdp",
    "vnc": "vnc", "ftp": "ftp", "mqtt": "mqtt", "ntp": "ntp", "domain": "dns", "dnp": "dnp3",
    "iec-104": "iec104", "hart-ip": "hartip", "efcp": "knx",
}  # fmt: skip
"""nmap's names of services -> ours; one that was only looked up by port is not believed."""


_SERVICE = ("name", "method", "tunnel", "product", "version", "extrainfo")


@dataclass(slots=True)
class _Port:
    number: int
    transport: Transport
    state: str = ""
    service: Mapping[str, str] = field(default_factory=dict)
    scripts: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass(slots=True)
class _Host:
    number: int
    at: datetime | None = None
    up: bool = True
    reason: str = ""
    addresses: list[str] = field(default_factory=list)
    mac: str | None = None
    ports: list[_Port] = field(default_factory=list)
    elements: int = 0


class _Parser:
    """Hosts as they come. Nothing of a host is kept once it was taken."""

    def __init__(self, path: Path, reading: Reading) -> None:
        self._path, self._reading = path, reading
        self.hosts: list[_Host] = []
        self._count = 0
        self._depth = 0
        self._host: _Host | None = None
        self._port: _Port | None = None
        self._script: dict[str, str] | None = None
        self._key: str | None = None
        self._text: list[str] = []
        self._length = 0
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.EntityDeclHandler = self._refuse
        parser.UnparsedEntityDeclHandler = self._refuse
        parser.ExternalEntityRefHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        self._parser = parser
        self._done = 0

    def feed(self, chunk: bytes, is_last: bool) -> None:
        """Raises ExpatError, and UsageError for what no nmap wrote."""
        self._parser.Parse(chunk, is_last)
        self._done += len(chunk)
        if self._done - max(self._parser.CurrentByteIndex, 0) > MAX_TOKEN:
            raise UsageError(f"{self._path}: a tag longer than any of nmap's; it was not read")

    def _refuse(self, *_: Any) -> int:
        raise UsageError(
            f"{self._path}: the XML defines entities of its own, which no nmap output does; it was "
            "not read"
        )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise UsageError(f"{self._path}: nested more deeply than any nmap output; not read")
        if name == "host":
            self._count += 1
            self._host = _Host(self._count, moment_of(attributes.get("endtime")))
            return
        host = self._host
        if host is None:
            return
        host.elements += 1
        if host.elements > MAX_ELEMENTS:
            if host.elements == MAX_ELEMENTS + 1:
                self._reading.skip(
                    f"elements beyond {MAX_ELEMENTS:,} of one host", f"host {host.number}"
                )
            return
        if name == "status":
            host.up, host.reason = attributes.get("state") == "up", attributes.get("reason", "")
        elif name == "address" and attributes.get("addrtype") == "mac":
            host.mac = mac_of(attributes.get("addr"))
        elif name == "address" and (address := address_of(attributes.get("addr"))):
            host.addresses.append(address)
        elif name == "port":
            transport = transport_of(attributes.get("protocol"))
            number = port_of(attributes.get("portid"))
            self._port = _Port(number, transport) if number and transport else None
        elif self._port is not None and name == "state":
            self._port.state = attributes.get("state", "")
        elif self._port is not None and name == "service":
            self._port.service = {key: attributes.get(key, "")[:256] for key in _SERVICE}
        elif self._port is not None and name == "script":
            self._script = {}
            self._port.scripts[attributes.get("id", "")[:64]] = self._script
            self._script["output"] = attributes.get("output", "")[:4096]
        elif self._script is not None and name == "table":
            known = self._script.get("tables", "")
            if (key := text_of(attributes.get("key"), 64)) and len(known) < 4096:
                self._script["tables"] = f"{known}{key}\n"
        elif self._script is not None and name == "elem":
            self._key = text_of(attributes.get("key"), 64)
            self._text, self._length = [], 0

    def _characters(self, text: str) -> None:
        if self._key is not None and self._length < 4096:
            self._text.append(text[:4096])
            self._length += len(text)

    def _end(self, name: str) -> None:
        self._depth -= 1
        if name == "elem" and self._script is not None and self._key is not None:
            self._script.setdefault(self._key.casefold(), "".join(self._text))
            self._key = None
        elif name == "script":
            self._script = None
        elif name == "port":
            if self._host is not None and self._port is not None:
                self._host.ports.append(self._port)
            self._port = None
        elif name == "host" and self._host is not None:
            self.hosts.append(self._host)
            self._host = None


def read(path: Path, reading: Reading) -> Iterator[Imported]:
    """Raises UsageError for entities and for what is no XML; what came before a cut is kept."""
    parser = _Parser(path, reading)
    done = 0
    with path.open("rb") as file:
        while True:
            chunk = file.read(CHUNK)
            done += len(chunk)
            try:
                parser.feed(chunk, not chunk)
            except expat.ExpatError as error:
                if parser.hosts or done > CHUNK or not chunk:
                    reading.notes.append(
                        f"the XML is cut off or damaged at line {error.lineno}; the hosts before "
                        "it were read"
                    )
                    chunk = b""
                else:
                    raise UsageError(
                        f"{path}: not readable as XML (line {error.lineno})\n"
                        "  hint: name the file that nmap wrote with -oX"
                    ) from error
            reading.progress(done)
            for host in parser.hosts:
                yield from _host(host, reading)
            parser.hosts.clear()
            if not chunk:
                return


def _host(host: _Host, reading: Reading) -> Iterator[Imported]:
    address = next((one for one in host.addresses if is_device(one)), None)
    if address is None or not host.up:
        return
    at = host.at or reading.modified
    place = f"host {host.number}"
    # "user-set" (-Pn) is nmap's assumption that somebody is there.
    if host.mac or host.reason not in ("user-set", "unknown-response", ""):
        facts = (LinkAddress(mac=host.mac, told_by="nmap"),) if host.mac else ()
        yield Imported(address=address, protocol="ip", facts=facts, at=at, place=place)
    for port in host.ports:
        if port.state != "open":
            continue
        told = _told(port, reading)
        protocol = told[0] if told else _service(port)
        facts_ = told[1] if told else ()
        yield Imported(
            address=address, port=port.number, transport=port.transport, protocol=protocol,
            facts=(*facts_, *_version(port)), at=at, place=f"{place}, port {port.number}",
        )  # fmt: skip


def _service(port: _Port) -> str:
    if port.service.get("method") == "table":
        return "unknown"
    name = port.service.get("name", "")
    if name == "http" and port.service.get("tunnel") == "ssl":
        return "https"
    return protocol_of(SERVICES.get(name, name))


def _version(port: _Port) -> tuple[Fact, ...]:
    """What the version detection recognised in a banner: the software, not the device."""
    if port.service.get("method") != "probed":
        return ()
    words = [text_of(port.service.get(name), 100) for name in ("product", "version", "extrainfo")]
    said = " ".join(word for word in words if word)
    return (ServiceAccess(protocol=_service(port), version=said),) if said else ()


def _told(port: _Port, reading: Reading) -> tuple[str, tuple[Fact, ...]] | None:
    """(protocol, facts) of the first script that names the device."""
    for script, values in port.scripts.items():
        says = _SCRIPTS.get(script)
        if says is not None and (found := says(values, reading)) is not None:
            return found
    return None


_Says = Callable[[Mapping[str, str], Reading], "tuple[str, tuple[Fact, ...]] | None"]


def _modbus(values: Mapping[str, str], reading: Reading) -> tuple[str, tuple[Fact, ...]] | None:
    """modbus-discover: tables "sid 0x1" with "Slave ID data" and "Device identification"."""
    unit = re.search(r"sid 0x([0-9a-f]{1,2})\b", values.get("tables", ""), re.IGNORECASE)
    number = int(unit[1], 16) if unit else 0
    said = text_of(values.get("device identification"))
    access = ModbusAccess(
        unit_id=number, answers_without_login=True, identification="objects" if said else None
    )
    return "modbus", (access, *identity_facts(DeviceIdentity(model=said, basis="text")))


def _s7(values: Mapping[str, str], reading: Reading) -> tuple[str, tuple[Fact, ...]] | None:
    """s7-info. `Basic Hardware` is the order number, `Version` the firmware."""
    copyright_ = values.get("copyright", "")
    order = text_of(values.get("basic hardware")) or text_of(values.get("module"))
    identity = DeviceIdentity(
        vendor="Siemens" if "siemens" in copyright_.casefold() else None,
        model=text_of(values.get("module type")),
        order_number=order,
        firmware=text_of(values.get("version")),
        serial=text_of(values.get("serial number")),
        name=text_of(values.get("system name")),
    )
    return "s7", identity_facts(identity)


def _enip(values: Mapping[str, str], reading: Reading) -> tuple[str, tuple[Fact, ...]] | None:
    """enip-info. `vendor` ends with its number in brackets; `serialNumber` and others are hex."""
    vendor = re.fullmatch(r"(.*?)\s*\((\d{1,5})\)", values.get("vendor", "")[:200].strip())
    serial = text_of(values.get("serialnumber"))
    identity = DeviceIdentity(
        model=text_of(values.get("productname")),
        firmware=_revision(values.get("revision")),
        serial=serial.lower().removeprefix("0x") if serial else None,
    )
    number = int(vendor[2]) if vendor else None
    name = (reading.recognise.cip_vendor(number) if number is not None else None) or (
        text_of(vendor[1]) if vendor else None
    )
    access = CipAccess(
        answers_without_login=True, vendor_id=number,
        product_code=number_of(values.get("productcode")),
    )  # fmt: skip
    return "enip", (
        access, *identity_facts(identity, DeviceIdentity(vendor=name, basis="table")),
    )  # fmt: skip


def _revision(text: str | None) -> str | None:
    found = re.fullmatch(r"(\d{1,3})\.(\d{1,3})", (text or "").strip())
    return f"{int(found[1])}.{int(found[2]):03d}" if found else None


def _bacnet(values: Mapping[str, str], reading: Reading) -> tuple[str, tuple[Fact, ...]] | None:
    """bacnet-info. `Vendor ID` is a name with a number in brackets."""
    vendor = re.search(r"\((\d{1,5})\)\s*$", values.get("vendor id", "")[:200])
    access = BacnetAccess(
        instance=number_of(values.get("object-identifier")),
        vendor_id=int(vendor[1]) if vendor else None,
    )
    identity = DeviceIdentity(
        vendor=text_of(values.get("vendor name")),
        model=text_of(values.get("model name")),
        firmware=text_of(values.get("firmware")),
        name=text_of(values.get("object name")),
    )
    return "bacnet", (access, *identity_facts(identity))


def _fox(values: Mapping[str, str], reading: Reading) -> tuple[str, tuple[Fact, ...]] | None:
    identity = DeviceIdentity(
        vendor=text_of(values.get("brandid")),
        firmware=text_of(values.get("app.version")),
        name=text_of(values.get("hostname")),
        basis="text",
    )
    version = text_of(values.get("fox.version"))
    access = ServiceAccess(protocol="fox", answers_without_login=True, version=version)
    return "fox", (access, *identity_facts(identity))


def _omron(values: Mapping[str, str], reading: Reading) -> tuple[str, tuple[Fact, ...]] | None:
    model = text_of(values.get("controller model"))
    facts = identity_facts(
        DeviceIdentity(model=model, firmware=text_of(values.get("controller version"))),
        DeviceIdentity(vendor="Omron" if model else None, basis="table"),
    )
    return "fins", (ServiceAccess(protocol="fins", answers_without_login=True), *facts)


def _knx(values: Mapping[str, str], reading: Reading) -> tuple[str, tuple[Fact, ...]] | None:
    """knx-gateway-info; it writes "Decive serial"."""
    identity = DeviceIdentity(
        model=text_of(values.get("device friendly name")),
        serial=text_of(values.get("decive serial") or values.get("device serial")),
    )
    return "knx", (
        ServiceAccess(protocol="knx", answers_without_login=True), *identity_facts(identity),
    )  # fmt: skip


def _snmp(values: Mapping[str, str], reading: Reading) -> tuple[str, tuple[Fact, ...]] | None:
    """snmp-sysdescr: plain output, the description before "System uptime"."""
    said = text_of(values.get("output", "").partition("\n")[0])
    read_ = reading.recognise.snmp({"1.3.6.1.2.1.1.1.0": said.encode()}) if said else None
    return "snmp", (
        SnmpAccess(), *identity_facts(read_ or DeviceIdentity(model=said, basis="text")),
    )  # fmt: skip


def _http(values: Mapping[str, str], reading: Reading) -> tuple[str, tuple[Fact, ...]] | None:
    server = text_of(values.get("output"))
    known = reading.recognise.http(server, None) if server else None
    facts = (ServiceAccess(protocol="http", version=server),) if server else ()
    return "http", (*facts, *identity_facts(known))


_SCRIPTS: Mapping[str, _Says] = {
    "modbus-discover": _modbus,
    "s7-info": _s7,
    "enip-info": _enip,
    "bacnet-info": _bacnet,
    "fox-info": _fox,
    "omron-info": _omron,
    "omrontcp-info": _omron,
    "omronudp-info": _omron,
    "knx-gateway-info": _knx,
    "snmp-sysdescr": _snmp,
    "http-server-header": _http,
}

IMPORTER = Importer(
    name="nmap",
    noun="nmap scan",
    title="nmap XML (-oX)",
    recognises=lambda head, path: b"<nmaprun" in head[:16_384],
    read=read,
)
