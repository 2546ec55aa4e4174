"""The OPC UA emulator answers asyncua's own client, and a service that changes something shows."""

from __future__ import annotations

from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.ua.uaerrors import BadTooManySessions, BadUserAccessDenied

from probes import opcua
from scanner.facts import ApplicationCertificate, DeviceIdentity, OpcUaEndpoint, ServiceAccess

pytestmark = pytest.mark.lab

SERVICE: dict[str, Any] = {
    "protocol": "opcua",
    "application_uri": "urn:SIMATIC.S7-1200.OPC-UA.Application:PLC_1",
    "product_uri": "https://www.siemens.com/s7-1200",
    "application_name": "PLC_1",
    "certificate": "good",
    "endpoints": [
        {"mode": "none", "policy": "None", "tokens": ["anonymous", "user_name"]},
        {"mode": "sign", "policy": "Basic256", "tokens": ["user_name"], "password_policy": "None"},
    ],
}


def client_of(plant: Any) -> Client:
    return Client(f"opc.tcp://{plant.ledgers['D1'].address}:{plant.port('D1', 'opcua')}", timeout=3)


async def test_another_client_reads_its_endpoints(begin) -> None:
    plant = await begin({"services": [SERVICE]})

    plain, signed = await client_of(plant).connect_and_get_server_endpoints()

    assert plain.Server.ApplicationUri == SERVICE["application_uri"]
    assert plain.Server.ApplicationName.Text == "PLC_1"
    assert (plain.SecurityMode, signed.SecurityMode) == (
        ua.MessageSecurityMode.None_, ua.MessageSecurityMode.Sign,
    )  # fmt: skip
    assert [token.TokenType.name for token in plain.UserIdentityTokens] == ["Anonymous", "UserName"]
    assert signed.UserIdentityTokens[0].SecurityPolicyUri.endswith("#None")
    assert plain.ServerCertificate == signed.ServerCertificate
    assert not plant.ledgers["D1"].writes


async def test_a_session_is_refused_and_shows_in_the_ledger(begin) -> None:
    plant = await begin({"services": [SERVICE]})

    with pytest.raises(BadTooManySessions):
        async with client_of(plant):
            pass

    assert plant.ledgers["D1"].writes == {"opcua service 461": 1}


async def test_a_write_without_a_session_is_refused_and_shows_in_the_ledger(begin) -> None:
    plant = await begin({"services": [SERVICE]})
    client = client_of(plant)
    await client.connect_socket()
    await client.send_hello()
    await client.open_secure_channel()

    with pytest.raises(BadUserAccessDenied):
        await client.write_values([client.get_node("i=2253")], [ua.Variant(True)])
    await client.close_secure_channel()
    client.disconnect_socket()

    assert plant.ledgers["D1"].writes == {"opcua service 673": 1}


async def test_the_probe_reads_it_through_the_door(begin, governed) -> None:
    plant = await begin({"services": [SERVICE]})
    ledger = plant.ledgers["D1"]

    async with governed(opcua.PROBE, plant.port("D1", "opcua"), address=ledger.address) as session:
        access, plain, signed, certificate, identity = await opcua.run(session)

    assert isinstance(access, ServiceAccess)
    assert isinstance(certificate, ApplicationCertificate)
    assert certificate.names == (SERVICE["application_uri"],)
    assert (plain.cleartext_password, signed.cleartext_password) == (True, True)
    assert isinstance(plain, OpcUaEndpoint)
    assert isinstance(identity, DeviceIdentity)
    assert (identity.model, identity.name) == ("SIMATIC S7-1200", "PLC_1")
    assert ledger.functions == {
        "opcua Hello": 1, "opcua OpenSecureChannel": 1, "opcua GetEndpoints": 1,
        "opcua CloseSecureChannel": 1,
    }  # fmt: skip
    assert not ledger.resets


async def test_a_server_that_wants_security_first_says_so(begin, governed) -> None:
    plant = await begin({"services": [{**SERVICE, "refuses_none": True}]})

    async with governed(
        opcua.PROBE, plant.port("D1", "opcua"), address=plant.ledgers["D1"].address
    ) as session:
        (access,) = await opcua.run(session)

    assert access.answers_without_login is False
    assert dict(access.details)["StatusCode"] == "0x80550000"
