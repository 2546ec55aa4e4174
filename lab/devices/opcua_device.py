"""
An OPC UA server: asyncua's own server side, with an application that tells what a plant file says.

asyncua reads and writes every message (hello, channels, services, their parameters). What it asks
of the application behind them is answered here: endpoints and servers are told, a session is
refused as by a server that has none left, so that no address space is loaded (5 s and 136 MiB each)
and all devices of a plant live in one process.

Settings: `application_uri`, `product_uri`, `application_name`, `application_type` (0 server, 3
discovery server), `certificate` (good, expired, small_key; without it none is shown), `endpoints`,
a list of {mode: none|sign|sign_and_encrypt, policy: Basic256Sha256, tokens: [anonymous, user_name,
certificate], password_policy: the policy of the user name token}; `refuses_none`: the channel
without security, and so all that is asked here, is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NoReturn

from lab.bench import LOOPBACK, Bench, Server
from lab.errors import LabError

POLICIES = "http://opcfoundation.org/UA/SecurityPolicy#"
BINARY = "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary"
MODES = {"none": 1, "sign": 2, "sign_and_encrypt": 3}
TOKENS = {"anonymous": 0, "user_name": 1, "certificate": 2, "issued_token": 3}
POLICY_REJECTED = 0x80550000
TOO_MANY_SESSIONS = 0x80560000


class Application:
    """What asyncua's server side asks of an application, without sessions and address space."""

    max_connections = 64
    max_pending_messages_per_connection = 16
    max_pending_activation_seconds = 0
    subscription_service: Any = None

    def __init__(self, bench: Bench) -> None:
        self.asyncio_transports: list[Any] = []
        self._channels = 0
        self._settings = bench.settings
        self._url = f"opc.tcp://{bench.address}:{bench.port}"
        kind = bench.settings.get("certificate")
        uri = str(bench.settings.get("application_uri", "urn:device"))
        self._certificate = None if kind is None else bench.keys.application(uri, str(kind))

    def get_new_channel_id(self) -> int:
        self._channels += 1
        return self._channels

    async def get_endpoints(self, params: Any = None, sockname: Any = None) -> list[Any]:
        return [self._endpoint(each) for each in self._settings.get("endpoints", ())]

    def find_servers(self, params: Any, sockname: Any = None) -> list[Any]:
        return [self._description()]

    def create_session(self, name: Any, external: bool = False) -> NoReturn:
        _refuse(TOO_MANY_SESSIONS)

    def lookup_external_session(self, token: Any) -> None:
        return None

    def _description(self) -> Any:
        from asyncua import ua

        description = ua.ApplicationDescription()
        description.ApplicationUri = self._settings.get("application_uri")
        description.ProductUri = self._settings.get("product_uri")
        description.ApplicationName = ua.LocalizedText(
            str(self._settings.get("application_name", "")), "en"
        )
        description.ApplicationType = ua.ApplicationType(
            int(self._settings.get("application_type", 0))
        )
        description.DiscoveryUrls = [self._url]
        return description

    def _endpoint(self, given: Mapping[str, Any]) -> Any:
        from asyncua import ua

        endpoint = ua.EndpointDescription()
        endpoint.EndpointUrl = self._url
        endpoint.Server = self._description()
        endpoint.ServerCertificate = self._certificate
        endpoint.SecurityMode = ua.MessageSecurityMode(MODES[str(given["mode"])])
        endpoint.SecurityPolicyUri = POLICIES + str(given["policy"])
        endpoint.TransportProfileUri = BINARY
        endpoint.UserIdentityTokens = []
        for name in given.get("tokens", ()):
            token = ua.UserTokenPolicy()
            token.PolicyId = str(name)
            token.TokenType = ua.UserTokenType(TOKENS[str(name)])
            if name == "user_name" and "password_policy" in given:
                token.SecurityPolicyUri = POLICIES + str(given["password_policy"])
            endpoint.UserIdentityTokens.append(token)
        return endpoint


def _refuse(code: int) -> NoReturn:
    from asyncua.common.utils import ServiceError

    raise ServiceError(code)


async def serve(bench: Bench) -> Server:
    for endpoint in bench.settings.get("endpoints", ()):
        if endpoint.get("mode") not in MODES or set(endpoint.get("tokens", ())) - set(TOKENS):
            raise LabError(f"{bench.device}: an OPC UA endpoint with unknown words: {endpoint}")
    # It takes a second to load, which a plant without OPC UA need not wait for.
    from asyncua import ua
    from asyncua.common.connection import TransportLimits
    from asyncua.crypto.security_policies import SecurityPolicyFactory, SecurityPolicyNone
    from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
    from asyncua.ua.ua_binary import uatcp_to_binary

    class Refusing(OPCUAProtocol):
        """Says in words that a channel without security is not to be had."""

        async def _process_one_msg(self, header: Any, buf: Any) -> bool:
            if header.MessageType == ua.MessageType.SecureOpen and self.transport is not None:
                code = ua.StatusCode(ua.UInt32(POLICY_REJECTED))
                error = ua.ErrorMessage(code, ua.String(""))
                self.transport.write(uatcp_to_binary(ua.MessageType.Error, error))  # type: ignore[arg-type]  # annotated as bytes, and takes the enumeration
                self.transport.close()
                return False
            return await super()._process_one_msg(header, buf)

    application: Any = Application(bench)
    limits = TransportLimits()
    server = BinaryServer(application, LOOPBACK, 0, limits)
    none = SecurityPolicyFactory(SecurityPolicyNone, ua.MessageSecurityMode.None_)  # type: ignore[no-untyped-call]  # asyncua leaves it without
    server.set_policies([none])
    if bench.settings.get("refuses_none", False):
        make = Refusing
        server._make_protocol = lambda: make(  # type: ignore[method-assign]
            application, server._policies, server.clients, server.closing_tasks, limits
        )
    await server.start()

    async def stop() -> None:
        await server.stop()
        await asyncio.sleep(0)

    return Server(inner=(LOOPBACK, server.port), stop=stop)


SERVES = {"opcua": serve}
