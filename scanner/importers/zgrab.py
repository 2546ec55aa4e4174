"""
zgrab2 results: JSON, one object per line:
`{"ip": …, "data": {MODULE: {"status": …, "result": …}}}`.

Only `status` success is read: everything else is silence or another protocol. Modules with fields
of their own: modbus, siemens, bacnet, fox, enip, omronfins (fins), codesys2 (codesys), dnp3, http,
ssh, telnet, tls, ftp, smb. Of every other module it is kept that the service answered. Bodies of
pages and host keys are not taken.

Source: zgrab2, README and the result types of its modules (modules/modbus, siemens, bacnet, fox,
dnp3, http, ssh, telnet, tls, ftp, smb); enip, omronfins and codesys2 are modules that others add
to it and are read by the usual names of fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from scanner.facts import (
    BacnetAccess,
    CipAccess,
    DeviceIdentity,
    Fact,
    HttpFace,
    ModbusAccess,
    ServiceAccess,
    SmbFace,
    SshFace,
    TelnetFace,
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
    moment_of,
    number_of,
    port_of,
    protocol_of,
    text_of,
)
from scanner.model import Transport

Result = Mapping[str, Any]

MODULES: Mapping[str, tuple[str, int, Transport]] = {
    "modbus": ("modbus", 502, Transport.TCP),
    "siemens": ("s7", 102, Transport.TCP),
    "bacnet": ("bacnet", 47808, Transport.UDP),
    "fox": ("fox", 1911, Transport.TCP),
    "enip": ("enip", 44818, Transport.TCP),
    "omronfins": ("fins", 9600, Transport.UDP),
    "fins": ("fins", 9600, Transport.UDP),
    "codesys2": ("codesys", 2455, Transport.TCP),
    "codesys": ("codesys", 2455, Transport.TCP),
    "dnp3": ("dnp3", 20000, Transport.TCP),
    "http": ("http", 80, Transport.TCP),
    "ssh": ("ssh", 22, Transport.TCP),
    "telnet": ("telnet", 23, Transport.TCP),
    "tls": ("tls", 443, Transport.TCP),
    "ftp": ("ftp", 21, Transport.TCP),
    "smb": ("smb", 445, Transport.TCP),
    "mqtt": ("mqtt", 1883, Transport.TCP),
    "ntp": ("ntp", 123, Transport.UDP),
    "banner": ("unknown", 0, Transport.TCP),
}
"""Module -> (protocol, its usual port where the result names none, transport)."""


def recognises(head: bytes, path: Path) -> bool:
    start = head.decode("utf-8", "replace").partition("\n")[0]
    first = json_value(start)
    if isinstance(first, dict):
        return isinstance(first.get("data"), dict) and ("ip" in first or "domain" in first)
    # A first line that is longer than what is looked at.
    return start.startswith(('{"ip":', '{"domain":')) and '"data":{' in start.replace(" ", "")


def read(path: Path, reading: Reading) -> Iterator[Imported]:
    for number, line in lines(path, reading):
        if not line.strip():
            continue
        place = f"line {number}"
        value = json_value(line)
        data = value.get("data") if isinstance(value, dict) else None
        address = address_of(value.get("ip")) if isinstance(value, dict) else None
        if not isinstance(data, dict) or address is None or not is_device(address):
            reading.skip("lines without an address and data", place)
            continue
        for module, told in list(data.items())[:64]:
            if isinstance(module, str) and isinstance(told, dict):
                yield from _module(module, told, address, place, reading)


def _module(
    module: str, told: Result, address: str, place: str, reading: Reading
) -> Iterator[Imported]:
    if told.get("status") != "success":
        return
    # A module may be named with a suffix where a scan uses it twice ("http-8080").
    kind = told.get("protocol") if isinstance(told.get("protocol"), str) else module
    name = str(kind).partition("-")[0].lower()
    protocol, port, transport = MODULES.get(name, (protocol_of(name), 0, Transport.TCP))
    port = port_of(told.get("port")) or port
    result = told.get("result")
    says = _SAYS.get(name)
    facts = tuple(says(result, reading)) if says and isinstance(result, dict) else ()
    if name == "http" and isinstance(result, dict) and port == 80 and _is_https(result):
        protocol, port = "https", 443
    yield Imported(
        address=address,
        port=port,
        transport=transport,
        protocol=protocol,
        facts=facts,
        at=moment_of(told.get("timestamp")) or reading.modified,
        place=f"{place}, {module[:32]}",
    )


def _in(value: object, *path: str) -> Any:
    """What lies at a path of keys; None where it does not."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _is_https(result: Result) -> bool:
    return bool(_in(result, "response", "request", "url", "scheme") == "https")


def _modbus(result: Result, reading: Reading) -> Iterator[Fact]:
    unit = number_of(result.get("unit_id"), 255)
    objects = _in(result, "mei_response", "objects")
    if unit is None or result.get("exception_response"):
        return
    said: Result = objects if isinstance(objects, dict) else {}
    yield ModbusAccess(
        unit_id=unit, answers_without_login=True,
        identification="objects" if said else "empty",
    )  # fmt: skip
    code = text_of(said.get("product_code"))
    yield from identity_facts(
        DeviceIdentity(
            vendor=text_of(said.get("vendor")),
            model=text_of(said.get("model_name")) or text_of(said.get("product_name")) or code,
            order_number=code,
            firmware=text_of(said.get("revision")),
            name=text_of(said.get("user_application_name")),
        )
    )


def _siemens(result: Result, reading: Reading) -> Iterator[Fact]:
    if result.get("is_s7") is False:
        return
    copyright_ = text_of(result.get("copyright")) or ""
    yield from identity_facts(
        DeviceIdentity(
            vendor="Siemens" if "siemens" in copyright_.casefold() else None,
            model=text_of(result.get("module_type")),
            order_number=text_of(result.get("module_id")),
            hardware=text_of(result.get("hardware")),
            firmware=text_of(result.get("firmware")),
            serial=text_of(result.get("serial_number")),
            name=text_of(result.get("system")),
        )
    )


def _bacnet(result: Result, reading: Reading) -> Iterator[Fact]:
    if result.get("is_bacnet") is False:
        return
    yield BacnetAccess(
        instance=number_of(result.get("instance_number")),
        vendor_id=number_of(result.get("vendor_id"), 65535),
    )
    yield from identity_facts(
        DeviceIdentity(
            vendor=text_of(result.get("vendor_name")),
            model=text_of(result.get("model_name")),
            firmware=text_of(result.get("firmware_revision")),
            name=text_of(result.get("object_name")),
        )
    )


def _fox(result: Result, reading: Reading) -> Iterator[Fact]:
    if result.get("is_fox") is False:
        return
    version = text_of(result.get("version"))
    yield ServiceAccess(protocol="fox", answers_without_login=True, version=version)
    yield from identity_facts(
        DeviceIdentity(
            vendor=text_of(result.get("brand_id")),
            firmware=text_of(result.get("app_version")),
            name=text_of(result.get("station_name")) or text_of(result.get("hostname")),
            basis="text",
        )
    )


def _enip(result: Result, reading: Reading) -> Iterator[Fact]:
    vendor = number_of(result.get("vendor_id"), 65535)
    serial = text_of(result.get("serial_number"))
    yield CipAccess(
        answers_without_login=True, vendor_id=vendor,
        device_type=number_of(result.get("device_type"), 65535),
        product_code=number_of(result.get("product_code"), 65535),
    )  # fmt: skip
    yield from identity_facts(
        DeviceIdentity(
            model=text_of(result.get("product_name")),
            firmware=text_of(result.get("revision")),
            serial=serial.lower().removeprefix("0x") if serial else None,
        ),
        DeviceIdentity(
            vendor=(reading.recognise.cip_vendor(vendor) if vendor is not None else None)
            or text_of(result.get("vendor_name")),
            basis="table",
        ),
    )


def _fins(result: Result, reading: Reading) -> Iterator[Fact]:
    yield ServiceAccess(protocol="fins", answers_without_login=True)
    model = text_of(result.get("controller_model"))
    yield from identity_facts(
        DeviceIdentity(model=model, firmware=text_of(result.get("controller_version"))),
        DeviceIdentity(vendor="Omron" if model else None, basis="table"),
    )


def _codesys(result: Result, reading: Reading) -> Iterator[Fact]:
    details = tuple(
        (key.replace("_", " "), value)
        for key in ("os_name", "os_type", "product_type")
        if (value := text_of(result.get(key)))
    )
    yield ServiceAccess(protocol="codesys", details=details)


def _dnp3(result: Result, reading: Reading) -> Iterator[Fact]:
    if result.get("is_dnp3") is True:
        yield ServiceAccess(protocol="dnp3", encrypted=False)


def _http(result: Result, reading: Reading) -> Iterator[Fact]:
    """Status and `Server` of the page. Of a login it tells nothing here."""
    response = result.get("response")
    status = number_of(_in(response, "status_code"), 599)
    if status is None or status < 100:
        return
    headers = _in(response, "headers", "server")
    server = text_of(headers[0]) if isinstance(headers, list) and headers else text_of(headers)
    yield HttpFace(scheme="https" if _is_https(result) else "http", status=status, server=server)
    if server:
        yield from identity_facts(reading.recognise.http(server, None))


def _ssh(result: Result, reading: Reading) -> Iterator[Fact]:
    banner = text_of(_in(result, "server_id", "raw"))
    if not banner or not banner.startswith("SSH-"):
        return
    version, _, software = banner[4:].partition("-")
    software = software.split(" ", 1)[0]
    yield SshFace(banner=banner, protocol_version=version, software=software or None)
    yield from identity_facts(reading.recognise.ssh(software))


def _telnet(result: Result, reading: Reading) -> Iterator[Fact]:
    yield TelnetFace(banner=text_of(result.get("banner")) or "")


def _tls(result: Result, reading: Reading) -> Iterator[Fact]:
    log = result.get("handshake_log")
    version = text_of(_in(log, "server_hello", "version", "name"))
    parsed = _in(log, "server_certificates", "certificate", "parsed")
    subject, issuer = text_of(_in(parsed, "subject_dn")), text_of(_in(parsed, "issuer_dn"))
    names = {"TLSv1.0": "TLSv1"}
    if version is None and parsed is None:
        return
    yield TlsFace(
        version=names.get(version or "", version),
        cipher=text_of(_in(log, "server_hello", "cipher_suite", "name")),
        subject=subject,
        issuer=issuer,
        self_signed=subject == issuer if subject and issuer else None,
        not_before=moment_of(_in(parsed, "validity", "start")),
        not_after=moment_of(_in(parsed, "validity", "end")),
        fingerprint_sha256=text_of(_in(parsed, "fingerprint_sha256"), 64),
    )


def _ftp(result: Result, reading: Reading) -> Iterator[Fact]:
    greeting = text_of(result.get("banner"))
    if greeting:
        yield ServiceAccess(protocol="ftp", details=(("greeting", greeting),))


def _smb(result: Result, reading: Reading) -> Iterator[Fact]:
    old = _in(result, "smbv1_support")
    native = text_of(result.get("native_os"))
    yield SmbFace(smb1=old if isinstance(old, bool) else None)
    yield from identity_facts(DeviceIdentity(model=native, basis="text"))


_SAYS: Mapping[str, Callable[[Result, Reading], Iterator[Fact]]] = {
    "modbus": _modbus,
    "siemens": _siemens,
    "bacnet": _bacnet,
    "fox": _fox,
    "enip": _enip,
    "omronfins": _fins,
    "fins": _fins,
    "codesys2": _codesys,
    "codesys": _codesys,
    "dnp3": _dnp3,
    "http": _http,
    "ssh": _ssh,
    "telnet": _telnet,
    "tls": _tls,
    "ftp": _ftp,
    "smb": _smb,
}

IMPORTER = Importer(
    name="zgrab2",
    noun="zgrab2 result",
    title="zgrab2 results, JSON lines",
    recognises=recognises,
    read=read,
)
