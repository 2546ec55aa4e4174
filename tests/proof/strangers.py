"""
Strangers that would like a secret: `python -m tests.proof.strangers SPEC LOG`.

SPEC is a JSON file: {"devices": [{"address", "vendor", "model", "ssh", "http"}, …], "host_key",
"pinned", "pinned_private"}. Every device tells its names by Modbus function 43, asks for a login
over Telnet, HTTP, HTTPS and SSH and lets everybody in, answers every SNMP community, takes every
FTP and MQTT client, answers an SMB client up to NTLM's challenge, an RDP client with NLA and an
LDAP client with an empty entry, and listens where nothing of the product has any business (SMTP,
NetBIOS, LDAP in TLS, WinRM, a proxy).

`ssh` is how it plays its part: "other" (a key of its own), "forged" (the pinned public key with a
signature of its own), "interactive" (asks by keyboard-interactive only), "old" (SSH 1.5), "right"
(no stranger: the pinned key itself, so that it is seen what a secret looks like here). `http`
is how a page asks: "basic", "digest", "ntlm", "redirect" (to the proxy port), "form".

LOG gets one JSON line for whatever came in: {"address", "service", "got"}, `got` in hex; for what
is encrypted on the wire, as it was decrypted here. RFC 9112, RFC 854, RFC 1157, RFC 959, RFC 4511,
[MS-SMB2] sections 2.2.4 and 2.2.6, [MS-NLMP] section 2.2.1.2, [MS-RDPBCGR] section 2.2.1.2, MQTT
3.1.1 section 3.2 and the Modbus Application Protocol V1.1b3; SSH is asyncssh's. Nothing here is the
scanner's or the lab's.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import struct
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import asyncssh

from tests.proof.lockers import Device as Named
from tests.proof.lockers import Site

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Heard = Callable[[str, bytes], None]

ELSEWHERE = (25, 139, 636, 3128, 5985)
CHALLENGES = {
    "basic": 'Basic realm="panel"',
    "digest": 'Digest realm="panel", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c0", qop="auth"',
    "ntlm": "NTLM\r\nWWW-Authenticate: Negotiate",
}


class Stranger:
    def __init__(self, spec: Mapping[str, Any], heard: Heard) -> None:
        self.address: str = spec["address"]
        self.heard = heard
        self._http: str = spec["http"]
        self.greeting = f"{spec['vendor']} {spec['model']}"

    def page(self, service: str) -> Callable[[Reader, Writer], Any]:
        async def serve(reader: Reader, writer: Writer) -> None:
            head = b""
            try:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heard(service, head)
                writer.write(self._answer(head))
                await writer.drain()
                self.heard(service, await asyncio.wait_for(reader.read(65536), 2))
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, TimeoutError):
                pass
            writer.close()

        return serve

    def _answer(self, head: bytes) -> bytes:
        if self._http == "redirect":
            return (
                f"HTTP/1.1 302 Found\r\nLocation: http://{self.address}:3128/\r\n"
                "Content-Length: 0\r\nConnection: close\r\n\r\n"
            ).encode()
        form = "<form method='post'><input name='u'><input type='password' name='p'></form>"
        body = f"<html><head><title>{self.greeting}</title></head><body>{form}</body></html>"
        status, more = "200 OK", ""
        if self._http != "form" and b"authorization" not in head.lower():
            status = "401 Unauthorized"
            more = f"WWW-Authenticate: {CHALLENGES[self._http]}\r\n"
        return (
            f"HTTP/1.1 {status}\r\n{more}Content-Type: text/html\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
        ).encode()

    async def telnet(self, reader: Reader, writer: Writer) -> None:
        try:
            for prompt in ("login: ", "Password: "):
                writer.write(f"\r\n{self.greeting}\r\n{prompt}".encode())
                await writer.drain()
                data = await asyncio.wait_for(reader.read(4096), 20)
                if not data:
                    break
                self.heard("telnet", data)
            else:
                writer.write(b"\r\nhost# ")
                self.heard("telnet", await asyncio.wait_for(reader.read(4096), 5))
        except (OSError, TimeoutError):
            pass
        writer.close()

    async def old_ssh(self, reader: Reader, writer: Writer) -> None:
        writer.write(b"SSH-1.5-1.2.27\r\n")
        try:
            while data := await asyncio.wait_for(reader.read(4096), 5):
                self.heard("ssh", data)
        except (OSError, TimeoutError):
            pass
        writer.close()

    def listen(
        self, port: int, greeting: bytes = b"", answer: Callable[[bytes], bytes] = lambda _: b""
    ) -> Callable[[Reader, Writer], Any]:
        async def serve(reader: Reader, writer: Writer) -> None:
            self.heard(f"port {port}", b"connected")
            writer.write(greeting)
            try:
                while data := await asyncio.wait_for(reader.read(4096), 5):
                    self.heard(f"port {port}", data)
                    writer.write(answer(data))
            except (OSError, TimeoutError, IndexError, struct.error):
                pass
            writer.close()

        return serve


class Host(asyncssh.SSHServer):
    """Takes whatever is offered, and keeps it."""

    def __init__(self, stranger: Stranger, how: str) -> None:
        self._stranger = stranger
        self._interactive = how == "interactive"

    def _take(self, kind: str, text: str) -> bool:
        self._stranger.heard(f"ssh {kind}", text.encode())
        return True

    def begin_auth(self, username: str) -> bool:
        self._take("user", username)
        return True

    def password_auth_supported(self) -> bool:
        return not self._interactive

    def validate_password(self, username: str, password: str) -> bool:
        return self._take("password", password)

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return not self._take("key", key.get_fingerprint())

    def kbdint_auth_supported(self) -> bool:
        return True

    def get_kbdint_challenge(
        self, username: str, lang: str, submethods: str
    ) -> tuple[str, str, str, list[tuple[str, bool]]]:
        return "", "", "", [("Password: ", False)]

    def validate_kbdint_response(self, username: str, responses: Any) -> bool:
        return self._take("answer", "\n".join(responses))


# --- what is asked, and could be lured ---------------------------------------------------------


def ftp(data: bytes) -> bytes:
    """Every name and every password is right."""
    said = {b"USER": b"331 Password required.\r\n", b"PASS": b"230 You are in.\r\n"}
    return said.get(data[:4].upper(), b"502 Not implemented.\r\n")


def ldap(data: bytes) -> bytes:
    """An entry without a name and without attributes, and success; to anything."""
    number = data[2 : 4 + data[3]]
    entry, done = b"\x64\x04\x04\x00\x30\x00", b"\x65\x07\x0a\x01\x00\x04\x00\x04\x00"
    return b"".join(b"\x30" + bytes([len(number + one)]) + number + one for one in (entry, done))


def rdp(data: bytes) -> bytes:
    """CredSSP is what it wants."""
    return bytes.fromhex("030000130ed000001234000200080002000000")


def mqtt(data: bytes) -> bytes:
    return b"\x20\x02\x00\x00" if data[:1] == b"\x10" else b""


MORE_IS_NEEDED = 0xC0000016


def smb(data: bytes) -> bytes:
    """The newest dialect that was offered below 3.1.1, then NTLM's challenge."""
    message = data[4:]
    if message[:4] != b"\xfeSMB":
        return b""
    command, number = struct.unpack_from("<H10xQ", message, 12)
    status, content = 0, b""
    if command == 0:
        count = struct.unpack_from("<H", message, 66)[0]
        offered = struct.unpack_from(f"<{count}H", message, 100)
        dialect = max((one for one in offered if one < 0x311), default=0x210)
        content = struct.pack(
            "<HHHH16sIIIIQQHHI", 65, 1, dialect, 0, bytes(range(16)), 0, 65536, 65536, 65536,
            0x01DA00000000_0000, 0, 128, 0, 0,
        ) + b"\0"  # fmt: skip
    elif command == 1:
        status = MORE_IS_NEEDED
        challenge = struct.pack("<8sIHHI", b"NTLMSSP\0", 2, 0, 0, 56)
        challenge += struct.pack(
            "<I8s8xHHI8s", 0xA2898215, b"lure-you", 0, 0, 56, b"\x0a" + bytes(7)
        )
        content = struct.pack("<HHHH", 9, 0, 72, len(challenge)) + challenge
    head = struct.pack(
        "<4sHHIHHIIQIIQ16s", b"\xfeSMB", 64, 0, status, command, 1, 1, 0, number, 0, 0, 7, bytes(16)
    )
    return struct.pack(">I", len(head + content)) + head + content


ASKED: Mapping[int, tuple[bytes, Callable[[bytes], bytes]]] = {
    21: (b"220 Welcome.\r\n", ftp),
    389: (b"", ldap),
    445: (b"", smb),
    1883: (b"", mqtt),
    3389: (b"", rdp),
}
"""Ports at which a stranger answers: its greeting, and what it says to whatever comes."""


class Agent(asyncio.DatagramProtocol):
    """An SNMP agent that has heard it, and answers every community that is no SNMPv3."""

    def __init__(self, stranger: Stranger) -> None:
        self._stranger = stranger

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, peer: Any) -> None:
        self._stranger.heard("snmp", data)
        answered = bytearray(data)
        for place in range(len(answered) - 1):
            if answered[place] in (0xA0, 0xA1, 0xA5) and place > 6:
                answered[place] = 0xA2  # the same, as a response: every value is null
                self._transport.sendto(bytes(answered), peer)
                return


def _tls(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.pem")
    return context


async def serve(
    spec: Mapping[str, Any], log: Any, tls: ssl.SSLContext, ready: Callable[[], None]
) -> None:
    logging.getLogger("asyncssh").setLevel(logging.CRITICAL)
    own = asyncssh.load_keypairs([asyncssh.import_private_key(spec["host_key"])])
    forged = asyncssh.load_keypairs([asyncssh.import_private_key(spec["host_key"])])
    forged[0].public_data = asyncssh.import_public_key(spec["pinned"]).public_data
    right = asyncssh.load_keypairs([asyncssh.import_private_key(spec["pinned_private"])])
    keys = {"forged": forged, "right": right}
    loop = asyncio.get_running_loop()
    for one in spec["devices"]:
        address = one["address"]

        def heard(service: str, data: bytes, address: str = address) -> None:
            if data:
                row = {"address": address, "service": service, "got": data.hex()}
                log.write(json.dumps(row) + "\n")
                log.flush()

        stranger = Stranger(one, heard)
        named = Named(
            {**one, "services": [], "tells": "no", "users": {}, "threshold": 3, "scope": "device"},
            Site(log),
        )
        await asyncio.start_server(named.modbus, address, 502)
        await asyncio.start_server(stranger.page("http"), address, 80)
        await asyncio.start_server(stranger.page("https"), address, 443, ssl=tls)
        await asyncio.start_server(stranger.telnet, address, 23)
        if one["ssh"] == "old":
            await asyncio.start_server(stranger.old_ssh, address, 22)
        else:
            await asyncssh.create_server(
                lambda stranger=stranger, how=one["ssh"]: Host(stranger, how), address, 22,
                server_host_keys=keys.get(one["ssh"], own),
            )  # fmt: skip
        for port in ELSEWHERE:
            await asyncio.start_server(stranger.listen(port), address, port)
        for port, (greeting, answer) in ASKED.items():
            await asyncio.start_server(stranger.listen(port, greeting, answer), address, port)
        await loop.create_datagram_endpoint(
            lambda stranger=stranger: Agent(stranger), local_addr=(address, 161)
        )
    ready()
    await asyncio.Event().wait()


def main() -> None:
    spec, log = Path(sys.argv[1]), Path(sys.argv[2])
    with log.open("a", encoding="utf-8") as file:
        asyncio.run(
            serve(
                json.loads(spec.read_text()), file, _tls(spec.parent),
                spec.with_suffix(".ready").touch,
            )
        )  # fmt: skip


if __name__ == "__main__":
    main()
