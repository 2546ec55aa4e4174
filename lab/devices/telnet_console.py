"""
A Telnet console: telnetlib3's server with a device's greeting and log-in.

Settings: `banner`, `login` (false: a command prompt at once), `user_prompt`, `password_prompt`,
`prompt`, `users`, `accept_any`, `lockout_after`, `lockout_tells`, `canaries`, `failure` (text).
After log-in only `exit` and `help` are known.
"""

from __future__ import annotations

import asyncio
from typing import Any

from telnetlib3 import TelnetServer

from lab.bench import LOOPBACK, Accounts, Bench, Server

NEGOTIATION_S = 0.15
"""How long the server waits for a client's answers to its option offers before it greets."""
IDLE_S = 60
TRIES = 3


async def _read_line(reader: Any, writer: Any, *, echo: bool) -> str | None:
    """One line as typed, without its end; None when the client has gone."""
    line = ""
    while True:
        char = await reader.read(1)
        if not char:
            return None
        if char in "\r\n\0":
            if char == "\0" or (char == "\n" and not line and not echo):
                continue
            if char == "\n" and getattr(reader, "_lab_cr", False):
                reader._lab_cr = False
                continue
            reader._lab_cr = char == "\r"
            writer.write("\r\n")
            return line
        reader._lab_cr = False
        line += char
        if echo:
            writer.write(char)


async def serve(bench: Bench) -> Server:
    settings = bench.settings
    accounts = Accounts.of(bench)
    prompt = str(settings.get("prompt", "> "))

    async def log_in(reader: Any, writer: Any) -> bool:
        for _ in range(TRIES):
            writer.write(str(settings.get("user_prompt", "login: ")))
            user = await _read_line(reader, writer, echo=True)
            if user is None:
                return False
            writer.write(str(settings.get("password_prompt", "Password: ")))
            password = await _read_line(reader, writer, echo=False)
            if password is None:
                return False
            bench.ledger.request("telnet", "login")
            if accounts.admits(user, password):
                return True
            writer.write(str(settings.get("failure", "Login incorrect")) + "\r\n")
            if accounts.locked(user) and accounts.tells is not False:
                writer.write("Account locked.\r\n")
                return False
        return False

    async def shell(reader: Any, writer: Any) -> None:
        try:
            writer.write(str(settings.get("banner", "")).replace("\n", "\r\n"))
            if not settings.get("login", True) or await log_in(reader, writer):
                while True:
                    writer.write(prompt)
                    line = await _read_line(reader, writer, echo=True)
                    if line is None or line.strip() in ("exit", "quit", "logout"):
                        break
                    if line.strip():
                        bench.ledger.request("telnet", f"command {line.split()[0]}")
                        bench.ledger.unexpected(f"telnet {line.strip()}")
                        writer.write("Unknown command.\r\n")
            await writer.drain()
        except (ConnectionError, RuntimeError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def protocol() -> TelnetServer:
        return TelnetServer(
            shell=shell, connect_maxwait=NEGOTIATION_S, timeout=IDLE_S, encoding="latin-1"
        )

    server = await asyncio.get_running_loop().create_server(protocol, LOOPBACK, 0)

    async def stop() -> None:
        server.close()

    return Server(inner=(LOOPBACK, server.sockets[0].getsockname()[1]), stop=stop)


SERVES = {"telnet": serve}
