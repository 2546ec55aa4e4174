"""
Devices that lock accounts: `python -m tests.proof.lockers SPEC LOG`.

SPEC is a JSON file: {"devices": [{"address", "vendor", "model", "services", "users", "threshold",
"scope", "tells"}, …], "host_key"}. Each device tells its names by Modbus function 43 and has an
HTTP page (Basic or a form), Telnet or SSH, as `services` says. Failures count over all services of
the device, in a row, per account or (`scope` "device") over all accounts; `scope` "site" counts an
account over all devices. At `threshold` it locks. Nothing is ever forgotten but by a login that is
accepted. `tells` names the way in which a lock is told: "no", "status" (HTTP 403, 423 or 429 and
words elsewhere), "drop" (the connection ends) or "delay" (each further refusal takes 4 s).
`asks` is how SSH takes a password: "password", "again" (keyboard-interactive alone, which asks
again, AGAIN times, within one request) or "turns" (`password`, and once that was refused
keyboard-interactive alone); each answer that is wrong is a failure.

LOG gets one JSON line for each login: {"at", "address", "service", "account", "accepted", "locks"}.
Written from the protocols' specifications, without the lab or the scanner: Modbus Application
Protocol V1.1b3 section 6.21, RFC 9112, RFC 7617, RFC 854, RFC 4256; SSH is asyncssh's.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import parse_qs

import asyncssh

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Challenge = tuple[str, str, str, list[tuple[str, bool]]]
PROMPT: Challenge = ("", "", "", [("Password: ", False)])
AGAIN = 5


class Site:
    """What all devices share: the log, and accounts kept in one place."""

    def __init__(self, log: TextIO) -> None:
        self.log = log
        self.failures: Counter[str] = Counter()


class Device:
    def __init__(self, spec: Mapping[str, Any], site: Site) -> None:
        self.address: str = spec["address"]
        self.names: tuple[str, str] = (spec["vendor"], spec["model"])
        self.services: list[str] = spec["services"]
        self.tells: str = spec["tells"]
        self.asks: str = spec.get("asks", "password")
        self._users: Mapping[str, str] = spec["users"]
        self._threshold: int = spec["threshold"]
        self._scope: str = spec["scope"]
        self._site = site
        self._failures: Counter[str] = site.failures if self._scope == "site" else Counter()

    def _counter(self, account: str) -> str:
        return "" if self._scope == "device" else account

    def locked(self, account: str) -> bool:
        return self._failures[self._counter(account)] >= self._threshold

    async def admits(self, service: str, account: str, password: str) -> bool:
        """One login; counted, logged, and perhaps answered late."""
        counter = self._counter(account)
        locked = self.locked(account)
        accepted = not locked and self._users.get(account) == password
        if accepted:
            self._failures[counter] = 0
        else:
            self._failures[counter] += 1
        row = {
            "at": time.time(), "address": self.address, "service": service, "account": account,
            "accepted": accepted, "locks": self._failures[counter] == self._threshold,
        }  # fmt: skip
        self._site.log.write(json.dumps(row) + "\n")
        self._site.log.flush()
        if not accepted and self.locked(account) and self.tells == "delay":
            await asyncio.sleep(4)
        return accepted

    def drops(self, account: str) -> bool:
        return self.tells == "drop" and self.locked(account)

    # --- services -------------------------------------------------------------------------------

    async def modbus(self, reader: Reader, writer: Writer) -> None:
        objects = b"".join(
            bytes([n, len(text)]) + text for n, text in enumerate(x.encode() for x in self.names)
        )
        try:
            while True:
                head = await reader.readexactly(7)
                pdu = await reader.readexactly(int.from_bytes(head[4:6], "big") - 1)
                reply = bytes([pdu[0] | 0x80, 1])
                if pdu[:2] == b"\x2b\x0e":
                    reply = b"\x2b\x0e" + pdu[2:3] + b"\x01\x00\x00" + bytes([2]) + objects
                length = (len(reply) + 1).to_bytes(2, "big")
                writer.write(head[:4] + length + head[6:7] + reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    async def http(self, reader: Reader, writer: Writer) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            lines = head.split("\r\n")
            fields = {k.lower(): v.strip() for k, _, v in (x.partition(":") for x in lines[1:])}
            body = await reader.readexactly(int(fields.get("content-length", "0")))
            answer = await self._page(lines[0], fields, body.decode("latin-1"))
            if answer is not None:
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            pass
        writer.close()

    async def _page(self, line: str, fields: Mapping[str, str], body: str) -> bytes | None:
        form = "form" in self.services
        if form and line.startswith("POST"):
            given = parse_qs(body, keep_blank_values=True)
            user, password = given.get("username", [""])[0], given.get("password", [""])[0]
        elif not form and fields.get("authorization", "").startswith("Basic "):
            pair = base64.b64decode(fields["authorization"][6:]).decode()
            user, _, password = pair.partition(":")
        else:
            return _reply(200, FORM) if form else _reply(401, "<p>Log in</p>", basic=True)
        if await self.admits("form" if form else "http", user, password):
            return _reply(200, WELCOME if form else "<p>Welcome to the panel of this device</p>")
        if self.drops(user):
            return None
        if self.tells == "status" and self.locked(user):
            status = (403, 423, 429)[sum(self.address.encode()) % 3]
            return _reply(status, "<p>This account is locked</p>" + (FORM if form else ""))
        return _reply(200, FORM) if form else _reply(401, "<p>Log in</p>", basic=True)

    async def telnet(self, reader: Reader, writer: Writer) -> None:
        try:
            for _ in range(3):
                writer.write(b"\r\nUser Name : ")
                user = (await reader.readuntil(b"\r\n")).decode().strip()
                writer.write(b"\r\nPassword  : ")
                password = (await reader.readuntil(b"\r\n")).decode().strip()
                if await self.admits("telnet", user, password):
                    writer.write(b"\r\nWelcome\r\napc>")
                    await writer.drain()
                    await asyncio.sleep(3)
                    break
                if self.drops(user):
                    break
                told = b"Account locked" if self.tells == "status" and self.locked(user) else b""
                writer.write(b"\r\n" + (told or b"Login incorrect") + b"\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            pass
        writer.close()

    def ssh(self) -> asyncssh.SSHServer:
        return _SshServer(self)


class _SshServer(asyncssh.SSHServer):
    def __init__(self, device: Device) -> None:
        self._device = device
        self._refused = 0

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        asks = self._device.asks
        return asks == "password" or (asks == "turns" and not self._refused)

    def kbdint_auth_supported(self) -> bool:
        asks = self._device.asks
        return asks == "again" or (asks == "turns" and self._refused > 0)

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Challenge:
        return PROMPT

    async def validate_kbdint_response(
        self, username: str, responses: Sequence[str]
    ) -> bool | Challenge:
        accepted = await self.validate_password(username, "".join(responses))
        return accepted or (PROMPT if self._refused % AGAIN else False)

    async def validate_password(self, username: str, password: str) -> bool:
        accepted = await self._device.admits("ssh", username, password)
        self._refused += not accepted
        if not accepted and self._device.drops(username):
            raise asyncssh.DisconnectError(
                asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "Too many authentication failures"
            )
        return accepted


FORM = (
    "<form method='post' action='/cgi-bin/login.cgi'><input name='username'>"
    "<input type='password' name='password'></form>"
)
WELCOME = "<script>window.location.replace('/home')</script>"


def _reply(status: int, body: str, *, basic: bool = False) -> bytes:
    page = f"<html><head><title>Panel</title></head><body>{body}</body></html>"
    challenge = 'WWW-Authenticate: Basic realm="panel"\r\n' if basic else ""
    head = f"HTTP/1.1 {status} x\r\n{challenge}Content-Type: text/html\r\n"
    return f"{head}Content-Length: {len(page)}\r\nConnection: close\r\n\r\n{page}".encode()


async def serve(spec: Mapping[str, Any], log: TextIO, ready: Callable[[], None]) -> None:
    site = Site(log)
    logging.getLogger("asyncssh").setLevel(logging.CRITICAL)
    key = asyncssh.import_private_key(spec["host_key"])
    for one in spec["devices"]:
        device = Device(one, site)
        await asyncio.start_server(device.modbus, device.address, 502)
        if {"http", "form"} & set(device.services):
            await asyncio.start_server(device.http, device.address, 80)
        if "telnet" in device.services:
            await asyncio.start_server(device.telnet, device.address, 23)
        if "ssh" in device.services:
            await asyncssh.create_server(device.ssh, device.address, 22, server_host_keys=[key])
    ready()
    await asyncio.Event().wait()


def main() -> None:
    spec, log = Path(sys.argv[1]), Path(sys.argv[2])
    with log.open("a", encoding="utf-8") as file:
        asyncio.run(serve(json.loads(spec.read_text()), file, spec.with_suffix(".ready").touch))


if __name__ == "__main__":
    main()
