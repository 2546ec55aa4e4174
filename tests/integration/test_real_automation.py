"""
Building and process automation of other people's: BACnet by bacpypes3, OPC UA by asyncua.

Both are the whole thing here, with sockets, sessions and address space of their own; the lab's
emulators use parts of the same two.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.integration.real import Seen, Server, folder_of_servers, hall

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

SERVERS: Mapping[str, str | tuple[str, ...]] = {
    "bacnet": "bacpypes3 (PyPI)",
    "opcua": "asyncua (PyPI)",
}

PORTS = {"bacnet": 20808, "opcua": 20840}

BACNET = """
import asyncio, logging, sys
from bacpypes3.ipv4.app import NormalApplication
from bacpypes3.local.analog import AnalogValueObject
from bacpypes3.local.device import DeviceObject
from bacpypes3.pdu import IPv4Address
from bacpypes3.primitivedata import ObjectIdentifier

logging.basicConfig(level=logging.INFO)
ANY_DEVICE = ObjectIdentifier("device,4194303")

class Mended(NormalApplication):
    def get_object_id(self, identifier):
        return self.device_object if identifier == ANY_DEVICE else super().get_object_id(identifier)

async def main():
    kind = Mended if sys.argv[3] == "mended" else NormalApplication
    device = DeviceObject(
        objectIdentifier=("device", 4711), objectName="AHU-3", vendorIdentifier=999,
        vendorName="Quayside Controls", modelName="QC-AHU", firmwareRevision="1.4",
        applicationSoftwareVersion="7.2", description="Roof", location="Pump house",
    )
    app = kind(device, IPv4Address(f"{sys.argv[1]}/32:{sys.argv[2]}"))
    app.add_object(AnalogValueObject(
        objectIdentifier=("analog-value", 1), objectName="Level", presentValue=1.0))
    await asyncio.Event().wait()

asyncio.run(main())
"""
OPCUA = """
import asyncio, logging, sys
from pathlib import Path
from asyncua import Server, ua
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from cryptography.x509.oid import ExtendedKeyUsageOID

logging.basicConfig(level=logging.INFO)
logging.getLogger("asyncua.server.address_space").setLevel(logging.WARNING)
at, port, secured = sys.argv[1], sys.argv[2], sys.argv[3] == "secured"
key, certificate = Path(sys.argv[4], "key.pem"), Path(sys.argv[4], "certificate.der")
uri = "urn:quayside:sluice"

async def main():
    server = Server()
    await server.init()
    await server.set_application_uri(uri)
    server.set_server_name("Sluice")
    server.set_endpoint(f"opc.tcp://{at}:{port}/sluice")
    if secured:
        await setup_self_signed_certificate(
            key, certificate, uri, at, [ExtendedKeyUsageOID.SERVER_AUTH],
            {"organizationName": "Quayside Controls", "commonName": "Sluice"})
        await server.load_certificate(str(certificate))
        await server.load_private_key(str(key))
        server.set_security_policy([
            ua.SecurityPolicyType.Basic256Sha256_Sign,
            ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
        server.set_identity_tokens([ua.UserNameIdentityToken])
    else:
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        server.set_identity_tokens([ua.AnonymousIdentityToken, ua.UserNameIdentityToken])
    async with server:
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def seen(
    walkdown: Callable[..., Any], octets: Callable[[], int]
) -> Iterator[Callable[[str], Seen]]:
    net = f"127.{octets()}.42"
    with folder_of_servers() as folder:

        def _bacnet(last: int, kind: str) -> Server:
            at, port = f"{net}.{last}", PORTS["bacnet"]
            words = (sys.executable, "-c", BACNET, at, port, kind)
            return Server(words=words, address=at, port=port, udp=True)

        def _opcua(last: int, kind: str) -> Server:
            at, port = f"{net}.{last}", PORTS["opcua"]
            words = (sys.executable, "-c", OPCUA, at, port, kind, folder)
            return Server(words=words, address=at, port=port)

        servers = {
            "bacpypes3": _bacnet(1, "as it is"),
            "bacpypes3, mended": _bacnet(2, "mended"),
            "asyncua, open": _opcua(3, "open"),
            "asyncua, secured": _opcua(4, "secured"),
        }
        with hall(walkdown, folder, servers, ports=PORTS) as found:
            yield found


NAMES = {
    "bacpypes3": "bacnet",
    "bacpypes3, mended": "bacnet",
    "asyncua, open": "opcua",
    "asyncua, secured": "opcua",
}


@pytest.mark.parametrize(("name", "protocol"), NAMES.items())
def test_it_answers_in_its_own_protocol_and_in_no_other(
    seen: Callable[[str], Seen], name: str, protocol: str
) -> None:
    one = seen(name)

    assert one.answered == {protocol}
    assert one.bad_ends == []


def test_bacpypes3_refuses_the_instance_that_stands_for_any(seen: Callable[[str], Seen]) -> None:
    """
    It means to answer, but compares the object type's number with its name (0.0.110,
    service/object.py). When this fails, `mended` is needed no more.
    """
    one = seen("bacpypes3")

    assert one.identity == {"device_class": "unknown"}
    assert one.access("bacnet").get("answers_without_login") is None
    assert one.access("bacnet")["encrypted"] is False


def test_bacpypes3_tells_its_device_object(seen: Callable[[str], Seen]) -> None:
    one = seen("bacpypes3, mended")

    assert one.identity == {
        "vendor": "Quayside Controls", "model": "QC-AHU", "firmware": "1.4", "name": "AHU-3",
        "device_class": "unknown",
    }  # fmt: skip
    assert {fact["instance"] for fact in one.facts("bacnet_access")} == {4711}
    assert one.access("bacnet")["answers_without_login"] is True
    assert "service_unauthenticated" in one.weaknesses


def test_asyncua_tells_that_anybody_may_come_in(seen: Callable[[str], Seen]) -> None:
    one = seen("asyncua, open")

    endpoint = one.fact("opcua_endpoint")
    assert (endpoint["security_mode"], endpoint["security_policy"]) == ("none", "None")
    assert endpoint["token_types"] == ["anonymous", "user_name"]
    assert endpoint["cleartext_password"] is True
    told = dict(one.access("opcua")["details"])
    assert told["ApplicationName"] == "Sluice"
    assert told["ProductUri"] == "urn:freeopcua.github.io:python:server"
    assert one.identity == {"device_class": "unknown"}, "the URI names a library, no product"
    assert {"opcua_anonymous", "opcua_no_security", "opcua_cleartext_password"} <= one.weaknesses


def test_asyncua_tells_that_it_is_secured(seen: Callable[[str], Seen]) -> None:
    one = seen("asyncua, secured")

    endpoints = one.facts("opcua_endpoint")
    assert {e["security_mode"] for e in endpoints} == {"sign", "sign_and_encrypt"}
    assert {e["security_policy"] for e in endpoints} == {"Basic256Sha256"}
    assert {tuple(e["token_types"]) for e in endpoints} == {("user_name",)}
    certificate = one.fact("application_certificate")
    assert certificate["key_bits"] == 2048
    assert certificate["self_signed"] is True
    assert "urn:quayside:sluice" in certificate["names"]
    assert {e["certificate_sha256"] for e in endpoints} == {certificate["fingerprint_sha256"]}
    assert not {one for one in one.weaknesses if one.startswith("opcua_")}


def test_nobody_complains_of_us(seen: Callable[[str], Seen]) -> None:
    for name in NAMES:
        assert "Traceback" not in seen(name).log
        assert "ERROR" not in seen(name).log
    for name in ("asyncua, open", "asyncua, secured"):
        asked = seen(name).log.partition("Listening on")[2]
        assert asked.count("New connection from") == 1
        assert asked.count("get endpoints request") == 1
        assert "WARNING" not in asked
        assert ", None" in asked.partition("Lost connection from")[2], "the goodbye was not clean"
