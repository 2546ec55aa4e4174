"""
Zeek logs, as TSV with their `#fields` line or as JSON, one object per line.

Which log it is says `#path` (JSON: `_path`, else the beginning of the file's name). Read are
conn, known_hosts, known_services, known_modbus, software, dhcp, ssl, ssh, snmp, http, modbus, and
of the ICSNPP parsers modbus_read_device_identification, modbus_detailed, cip_identity,
bacnet_discovery, bacnet_property, opcua_binary_get_endpoints_description. Of every other log that
has `id.orig_h` and `id.resp_h` (s7comm, s7comm_plus, cotp, enip, cip, dnp3, profinet,
profinet_io_cm, opcua_binary, …) the conversation is taken, no more. x509.log names no address and
ecat_*.log no IP address: they are named as left out. Communities, user names and passwords are not
read.

Source: Zeek documentation, "Zeek Log Formats and Inspection" and the log pages of the script
reference (Conn::Info, Known::ServicesInfo, Software::Info, DHCP::Info, SSL::Info, SSH::Info,
SNMP::Info, HTTP::Info, Modbus::Info); README, "Logging Capabilities", of cisagov/icsnpp-modbus,
icsnpp-enip, icsnpp-bacnet and icsnpp-s7comm; icsnpp-opcua-binary, scripts, GetEndpointsDescription.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
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
    OpcUaEndpoint,
    ServiceAccess,
    SnmpAccess,
    SshFace,
    TlsFace,
)
from scanner.importers.form import (
    Imported,
    Importer,
    Reading,
    address_of,
    identity_facts,
    is_device,
    json_value,
    lines,
    mac_of,
    moment_of,
    number_of,
    port_of,
    protocol_of,
    text_of,
    transport_of,
)
from scanner.model import Transport

MAX_FIELDS = 1000
MOST_OBJECTS = 50_000
NAMES = {
    "s7comm": "s7", "s7comm-plus": "s7plus", "s7comm_plus": "s7plus", "enip": "enip", "cip": "enip",
    "cip_io": "enip", "ssl": "tls", "opcua-binary": "opcua", "dce_rpc": "dcerpc", "rfb": "vnc",
    "bacnet": "bacnet", "profinet": "profinet", "profinet_dce_rpc": "profinet",
    "profinet_io_cm": "profinet", "krb": "kerberos", "modbus_detailed": "modbus",
    "modbus_mask_write_register": "modbus", "modbus_read_write_multiple_registers": "modbus",
    "dnp3_control": "dnp3", "dnp3_objects": "dnp3", "s7comm_read_szl": "s7",
    "s7comm_upload_download": "s7", "cotp": "unknown",
}  # fmt: skip
"""Zeek's names of services and logs -> ours."""

ESTABLISHED = frozenset({"S1", "SF", "S2", "S3", "RSTO", "RSTR"})
"""Values of `conn_state` in which both sides shook hands."""
NOT_ANSWERED = frozenset({"S0", "REJ", "RSTOS0", "SH"})
TLS_VERSIONS = {
    "SSLv2": "SSLv2", "SSLv3": "SSLv3", "TLSv10": "TLSv1", "TLSv11": "TLSv1.1", "TLSv12": "TLSv1.2",
    "TLSv13": "TLSv1.3",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One line: its fields by name (None where unset), its time and where it stands."""

    fields: Mapping[str, Any]
    at: datetime
    place: str

    def text(self, name: str) -> str | None:
        return text_of(self.fields.get(name))

    def address(self, name: str) -> str | None:
        found = address_of(self.fields.get(name))
        return found if found and is_device(found) else None

    def number(self, name: str) -> int | None:
        return number_of(self.fields.get(name), 2**63 - 1)

    def many(self, name: str) -> list[str]:
        """A set or vector: a list in JSON, with commas between in TSV."""
        value = self.fields.get(name)
        parts = value.split(",") if isinstance(value, str) else value
        return [one for one in parts if isinstance(one, str)] if isinstance(parts, list) else []

    @property
    def transport(self) -> Transport:
        return transport_of(self.fields.get("proto")) or Transport.TCP

    def sender(self) -> tuple[str | None, int]:
        """Who sent the message of an ICSNPP log: `source_h`, else by `is_orig`, else responder."""
        for name in ("source", "id.orig" if self._is_orig() else "id.resp"):
            if address := self.address(f"{name}_h"):
                return address, port_of(self.fields.get(f"{name}_p")) or 0
        return None, 0

    def _is_orig(self) -> bool:
        return self.fields.get("is_orig") in (True, "T")


def read(path: Path, reading: Reading) -> Iterator[Imported]:
    log, rows = _rows(path, reading)
    if log == "modbus_read_device_identification":
        yield from _modbus_identification(rows)
        return
    if log == "x509" or log.startswith("ecat"):
        what = (
            "names no address (ssl.log has the subject)" if log == "x509" else "has no IP address"
        )
        reading.notes.append(f"{log}.log {what}: nothing was taken from it")
        return
    says = _LOGS.get(log)
    name = NAMES.get(log, log.split("_")[0])
    for row in rows:
        if says is not None:
            yield from says(row, reading)
        else:
            yield from _conversation(row, name)


# --- the two formats ---------------------------------------------------------------------------


def recognises(head: bytes, path: Path) -> bool:
    text = head.decode("utf-8", "replace")
    if text.startswith("#separator"):
        return "\n#fields" in text
    first = json_value(text.partition("\n")[0])
    if not isinstance(first, dict) or "ts" not in first:
        return False
    return bool({"_path", "uid", "uids", "id.orig_h", "id", "host", "fingerprint"} & set(first))


def _rows(path: Path, reading: Reading) -> tuple[str, Iterator[Row]]:
    """The name of the log, and its lines."""
    with path.open("rb") as file:
        head = file.read(65_536).decode("utf-8", "replace")
    by_name = re.split(r"[.\s]", path.name, maxsplit=1)[0].lower()
    if head.startswith("#"):
        named = re.search(r"^#path\s+([A-Za-z0-9_\-]+)\s*$", head, re.MULTILINE)
        return (named[1].lower() if named else by_name), _tsv(path, reading)
    first = json_value(head.partition("\n")[0])
    own = first.get("_path") if isinstance(first, dict) else None
    return (own.lower() if isinstance(own, str) else by_name).replace("-", "_"), _json(
        path, reading
    )


def _tsv(path: Path, reading: Reading) -> Iterator[Row]:
    separator, unset, empty = "\t", "-", "(empty)"
    names: list[str] = []
    for number, line in lines(path, reading):
        if line.startswith("#"):
            if line.startswith("#separator "):
                separator = _separator(line[11:]) or separator
            key, _, rest = line[1:].partition(separator)
            if key == "fields":
                names = rest.split(separator)[:MAX_FIELDS]
            elif key == "unset_field":
                unset = rest
            elif key == "empty_field":
                empty = rest
            continue
        values = line.split(separator)
        place = f"line {number}"
        if not names or len(values) != len(names):
            if line:
                reading.skip("lines that do not fit the #fields line", place)
            continue
        fields = {
            name: None if value == unset else "" if value == empty else value
            for name, value in zip(names, values, strict=True)
        }
        yield from _row(fields, place, reading)


def _separator(text: str) -> str | None:
    """As "\\x09"."""
    found = re.fullmatch(r"\\x([0-9a-fA-F]{2})", text.strip())
    return chr(int(found[1], 16)) if found else None


def _json(path: Path, reading: Reading) -> Iterator[Row]:
    for number, line in lines(path, reading):
        if not line.strip():
            continue
        value = json_value(line)
        place = f"line {number}"
        if not isinstance(value, dict) or len(value) > MAX_FIELDS:
            reading.skip("lines that are no JSON objects", place)
            continue
        nested = value.pop("id", None)
        if isinstance(nested, dict):
            value |= {f"id.{name}": one for name, one in nested.items() if isinstance(name, str)}
        yield from _row(value, place, reading)


def _row(fields: Mapping[str, Any], place: str, reading: Reading) -> Iterator[Row]:
    at = moment_of(fields.get("ts"))
    if at is None:
        reading.skip("lines without a readable time", place)
        return
    yield Row(fields, at, place)


# --- conversations -----------------------------------------------------------------------------


def _conversation(
    row: Row, protocol: str, *, answered: bool | None = None, packets: int | None = None
) -> Iterator[Imported]:
    client = address_of(row.fields.get("id.orig_h"))
    server = address_of(row.fields.get("id.resp_h"))
    port = number_of(row.fields.get("id.resp_p"), 65535)
    if client is None or server is None or port is None:
        return
    if answered is None and row.fields.get("is_orig") in (False, "F"):
        answered = True  # the responder's own message
    duration = row.fields.get("duration")
    try:
        lasted = timedelta(seconds=min(max(float(duration or 0), 0.0), 10_000_000.0))
        until = row.at + lasted
    except (TypeError, ValueError, OverflowError):
        until = row.at
    kind = row.fields.get("proto")
    transport = kind if kind in ("tcp", "udp", "icmp") else "tcp"
    if transport == "icmp":
        return
    yield Imported(
        address=server,
        facts=(
            Conversation(
                client=client,
                server=server,
                transport=transport,
                port=port or None,
                protocol=protocol_of(NAMES.get(protocol, protocol)),
                first_seen=row.at,
                last_seen=until,
                packets=packets,
                answered=answered,
            ),
        ),
        at=row.at,
        place=row.place,
        protocol=protocol_of(NAMES.get(protocol, protocol)),
    )


def _conn(row: Row, reading: Reading) -> Iterator[Imported]:
    """`service` is empty where nothing was recognised; several are separated by commas."""
    services = row.many("service")
    state = row.text("conn_state")
    replies = row.number("resp_pkts")
    if state in ESTABLISHED:
        answered: bool | None = True
    elif state in NOT_ANSWERED:
        answered = False
    else:
        answered = None if replies is None else replies > 0
    if row.transport is Transport.UDP and replies is not None:
        answered = replies > 0
    own, theirs = row.number("orig_pkts"), replies
    packets = None if own is None or theirs is None else own + theirs
    protocol = services[-1] if services else "unknown"
    yield from _conversation(row, protocol, answered=answered, packets=packets)


# --- what a log says of a device ---------------------------------------------------------------


def _of(
    row: Row, address: str | None, protocol: str, *facts: Fact, port: int = 0,
    transport: Transport = Transport.TCP,
) -> Iterator[Imported]:  # fmt: skip
    if address:
        yield Imported(
            address=address, port=port, transport=transport, protocol=protocol, facts=facts,
            at=row.at, place=row.place,
        )  # fmt: skip


def _server(row: Row, protocol: str, *facts: Fact) -> Iterator[Imported]:
    """Facts of the responder, and the conversation."""
    yield from _conversation(row, protocol, answered=True if facts else None)
    if facts:
        yield from _of(
            row, row.address("id.resp_h"), protocol, *facts,
            port=port_of(row.fields.get("id.resp_p")) or 0, transport=row.transport,
        )  # fmt: skip


def _known_hosts(row: Row, reading: Reading) -> Iterator[Imported]:
    yield from _of(row, row.address("host"), "ip")


def _known_services(row: Row, reading: Reading) -> Iterator[Imported]:
    port = port_of(row.fields.get("port_num"))
    transport = transport_of(row.fields.get("port_proto"))
    services = row.many("service")
    name = (services[-1] if services else "unknown").lower()
    if port and transport:
        yield from _of(
            row, row.address("host"), protocol_of(NAMES.get(name, name)), port=port,
            transport=transport,
        )  # fmt: skip


def _known_modbus(row: Row, reading: Reading) -> Iterator[Imported]:
    yield from _of(row, row.address("host"), "modbus")


def _software(row: Row, reading: Reading) -> Iterator[Imported]:
    """What is known of a server's software (`host_p` set); that of clients shows clients only."""
    address, port = row.address("host"), port_of(row.fields.get("host_p"))
    said = row.text("unparsed_version") or row.text("name")
    if address is None:
        return
    kind = (row.text("software_type") or "").upper()
    if port is None or said is None:
        yield from _of(row, address, "ip")
        return
    protocol = "ssh" if kind.startswith("SSH") else "http" if kind.startswith("HTTP") else "unknown"
    facts: tuple[Fact, ...]
    if protocol == "ssh":
        read = reading.recognise.ssh(said)
    elif protocol == "http":
        read = reading.recognise.http(said, None)
    else:
        read = None
    if protocol == "unknown":
        facts = (ServiceAccess(protocol="unknown", details=(("software", said),)),)
    else:
        facts = (ServiceAccess(protocol=protocol, version=said), *identity_facts(read))
    yield from _of(row, address, protocol, *facts, port=port)


def _dhcp(row: Row, reading: Reading) -> Iterator[Imported]:
    """The client's own name and hardware address, tied to the address that it was given."""
    mac = mac_of(row.fields.get("mac"))
    address = row.address("assigned_addr") or row.address("client_addr") or mac
    name = row.text("host_name")
    facts: list[Fact] = [*identity_facts(DeviceIdentity(name=name))]
    if mac and address != mac:
        facts.append(LinkAddress(mac=mac, told_by="dhcp"))
    if facts:
        yield from _of(row, address, "dhcp", *facts)
    if row.address("server_addr"):
        yield from _of(row, row.address("server_addr"), "dhcp", port=67, transport=Transport.UDP)


def _ssl(row: Row, reading: Reading) -> Iterator[Imported]:
    """A handshake that came to its end; subject and issuer where this Zeek logs them."""
    if row.fields.get("established") not in (True, "T"):
        yield from _conversation(row, "tls")
        return
    version = row.text("version") or ""
    subject, issuer = row.text("subject"), row.text("issuer")
    face = TlsFace(
        version=TLS_VERSIONS.get(version, version or None),
        cipher=row.text("cipher"),
        subject=subject,
        issuer=issuer,
        self_signed=subject == issuer if subject and issuer else None,
        seen_at=row.at,
    )
    port = port_of(row.fields.get("id.resp_p"))
    yield from _server(row, "https" if port == 443 else "tls", face)


def _ssh(row: Row, reading: Reading) -> Iterator[Imported]:
    banner = row.text("server")
    if not banner or not banner.startswith("SSH-"):
        yield from _conversation(row, "ssh")
        return
    version, _, software = banner[4:].partition("-")
    software = software.split(" ", 1)[0]
    face = SshFace(banner=banner, protocol_version=version, software=software or None)
    yield from _server(row, "ssh", face, *identity_facts(reading.recognise.ssh(software)))


SYS_DESCR = "1.3.6.1.2.1.1.1.0"


def _snmp(row: Row, reading: Reading) -> Iterator[Imported]:
    """`display_string` is the system description, where one was seen to be answered."""
    if not row.number("get_responses"):
        yield from _conversation(row, "snmp")
        return
    version = row.text("version")
    said = row.text("display_string")
    read = reading.recognise.snmp({SYS_DESCR: said.encode()}) if said else None
    known = {"1": "1", "2": "2c", "2c": "2c", "3": "3"}
    access = SnmpAccess(versions=(known[version],) if version in known else ())
    identity = read or DeviceIdentity(model=said, basis="text")
    yield from _server(row, "snmp", access, *identity_facts(identity))


def _http(row: Row, reading: Reading) -> Iterator[Imported]:
    status = row.number("status_code")
    if status is None or not 100 <= status <= 599:
        yield from _conversation(row, "http")
        return
    yield from _server(row, "http", HttpFace(scheme="http", status=status))


MODBUS_READS = re.compile(r"READ_|REPORT_SLAVE_ID|ENCAP_INTERFACE_TRANSPORT", re.IGNORECASE)


def _modbus(row: Row, reading: Reading) -> Iterator[Imported]:
    """A response to a read (`pdu_type` RESP, ICSNPP: `matched`) is an answer without a login."""
    answered = row.text("pdu_type") == "RESP" or row.fields.get("matched") in (True, "T")
    unit = row.number("unit")
    function = row.text("func") or ""
    failed = row.text("exception") or row.text("error_code")
    if not answered or failed or unit is None or unit > 255 or not MODBUS_READS.search(function):
        yield from _conversation(row, "modbus")
        return
    yield from _server(row, "modbus", ModbusAccess(unit_id=unit, answers_without_login=True))


OBJECTS = {0: "vendor", 1: "code", 2: "revision", 4: "product", 5: "model", 6: "application"}


def _modbus_identification(rows: Iterator[Row]) -> Iterator[Imported]:
    """One line per object of a reply; they belong together by address and unit."""
    found: dict[tuple[str, int, int], tuple[dict[int, str], Row]] = {}
    for row in rows:
        yield from _conversation(row, "modbus")
        if (row.text("request_response") or "").upper() != "RESPONSE":
            continue
        address, port = row.sender()
        code, value = row.number("object_id_code"), row.text("object_value")
        unit = row.number("uint") if "uint" in row.fields else row.number("unit")
        if address is None or code is None or value is None or len(found) >= MOST_OBJECTS:
            continue
        key = (address, port, unit if unit is not None and unit <= 255 else 0)
        objects, _ = found.setdefault(key, ({}, row))
        if code <= 0xFF:
            objects[code] = value
        found[key] = (objects, row)
    for (address, port, unit), (objects, row) in found.items():
        said = {name: objects.get(code) for code, name in OBJECTS.items()}
        identity = DeviceIdentity(
            vendor=said["vendor"],
            model=said["model"] or said["product"] or said["code"],
            order_number=said["code"],
            firmware=said["revision"],
            name=said["application"],
        )
        access = ModbusAccess(unit_id=unit, answers_without_login=True, identification="objects")
        yield from _of(row, address, "modbus", access, *identity_facts(identity), port=port)


def _cip_identity(row: Row, reading: Reading) -> Iterator[Imported]:
    """The identity item of a reply. It is sent by the responder."""
    address, port = row.sender()
    vendor = row.number("vendor_id")
    serial = row.text("serial_number")
    revision = re.fullmatch(r"(\d{1,3})\.(\d{1,3})", row.text("revision") or "")
    yield from _conversation(row, "enip")
    facts = (
        CipAccess(
            answers_without_login=True,
            vendor_id=vendor,
            device_type=row.number("device_type_id"),
            product_code=row.number("product_code"),
            inner_address=row.text("socket_address"),
        ),
        *identity_facts(
            DeviceIdentity(
                model=row.text("product_name"),
                firmware=f"{int(revision[1])}.{int(revision[2]):03d}" if revision else None,
                serial=serial.lower().removeprefix("0x") if serial else None,
            ),
            DeviceIdentity(
                vendor=(reading.recognise.cip_vendor(vendor) if vendor is not None else None)
                or row.text("vendor_name"),
                basis="table",
            ),
        ),
    )
    yield from _of(row, address, "enip", *facts, port=port, transport=row.transport)


def _word(text: str | None) -> str:
    return re.sub(r"[^a-z]", "", (text or "").lower())


def _bacnet_discovery(row: Row, reading: Reading) -> Iterator[Imported]:
    """I-Am names its sender; Who-Is shows who asks."""
    if _word(row.text("pdu_service")) not in ("iam", "ihave"):
        yield from _conversation(row, "bacnet")
        return
    address, port = row.sender()
    facts = (
        BacnetAccess(instance=row.number("instance_number")),
        *identity_facts(DeviceIdentity(vendor=row.text("vendor"), basis="table")),
    )
    yield from _of(row, address, "bacnet", *facts, port=port, transport=Transport.UDP)


PROPERTIES = {
    "vendorname": "vendor", "modelname": "model", "firmwarerevision": "firmware",
    "objectname": "name",
}  # fmt: skip


def _bacnet_property(row: Row, reading: Reading) -> Iterator[Imported]:
    """A Read-Property-ACK of the device object."""
    yield from _conversation(row, "bacnet")
    field = PROPERTIES.get(_word(row.text("property")))
    value = row.text("value")
    service = _word(row.text("pdu_service"))
    if not (service.startswith("readproperty") and service.endswith("ack")) or not value:
        return
    if _word(row.text("object_type")) != "device" or field is None:
        return
    address, port = row.sender()
    identity = DeviceIdentity(
        vendor=value if field == "vendor" else None,
        model=value if field == "model" else None,
        firmware=value if field == "firmware" else None,
        name=value if field == "name" else None,
    )
    yield from _of(row, address, "bacnet", identity, port=port, transport=Transport.UDP)


def _opcua_endpoint(row: Row, reading: Reading) -> Iterator[Imported]:
    """One endpoint of a GetEndpoints response; mode 1 none, 2 sign, 3 sign and encrypt."""
    url, policy = row.text("endpoint_uri"), row.text("security_policy_uri")
    mode = row.number("message_security_mode")
    details = tuple(
        (words, value)
        for words, name in (("application URI", "application_uri"), ("product URI", "product_uri"))
        if (value := row.text(name))
    )
    facts: list[Fact] = []
    if details:
        facts.append(ServiceAccess(protocol="opcua", details=details))
    if url and policy:
        facts.append(
            OpcUaEndpoint(
                url=url,
                security_mode="none" if mode == 1 else "sign" if mode == 2
                else "sign_and_encrypt" if mode == 3 else "invalid",
                security_policy=policy.rpartition("#")[2],
            )
        )  # fmt: skip
    yield from _server(row, "opcua", *facts)


_LOGS: Mapping[str, Callable[[Row, Reading], Iterator[Imported]]] = {
    "conn": _conn,
    "known_hosts": _known_hosts,
    "known_services": _known_services,
    "known_modbus": _known_modbus,
    "software": _software,
    "dhcp": _dhcp,
    "ssl": _ssl,
    "ssh": _ssh,
    "snmp": _snmp,
    "http": _http,
    "modbus": _modbus,
    "modbus_detailed": _modbus,
    "cip_identity": _cip_identity,
    "bacnet_discovery": _bacnet_discovery,
    "bacnet_property": _bacnet_property,
    "opcua_binary_get_endpoints_description": _opcua_endpoint,
}

IMPORTER = Importer(
    name="zeek",
    noun="Zeek log",
    title="Zeek log, TSV or JSON",
    recognises=recognises,
    read=read,
)
