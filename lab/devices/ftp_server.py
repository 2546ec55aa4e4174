"""
An FTP server: pyftpdlib's own, in a thread beside the event loop, on an empty folder.

Settings: `banner` (without its code), `anonymous` (false: refused), `users`, `features` (what FEAT
lists beside pyftpdlib's own, say "AUTH TLS"), and the account settings of lab.bench.Accounts. Files
that a client stores land in a folder that goes with the server.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import warnings
from threading import Thread
from typing import Any

from lab.bench import LOOPBACK, Accounts, Bench, Server

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # asyncore, which it brings along later
    # pyftpdlib has no types
    from pyftpdlib.authorizers import AuthenticationFailed, DummyAuthorizer  # type: ignore[import-untyped]
    from pyftpdlib.handlers import FTPHandler  # type: ignore[import-untyped]
    from pyftpdlib.ioloop import IOLoop  # type: ignore[import-untyped]
    from pyftpdlib.servers import FTPServer  # type: ignore[import-untyped]

ALL_PERMISSIONS = "elradfmwMT"
READ_ONLY = "elr"
POLL_S = 0.05
ASKS_S = 5.0


class _Doorkeeper(DummyAuthorizer):  # type: ignore[misc] # no types, as said
    """Asks the lab's accounts, in the loop that they belong to."""

    def __init__(self, bench: Bench, loop: asyncio.AbstractEventLoop, folder: str) -> None:
        super().__init__()
        self._accounts = Accounts.of(bench)
        self._ledger = bench.ledger
        self._loop = loop
        self._anonymous = bool(bench.settings.get("anonymous", False))
        self._folder = folder

    def validate_authentication(self, username: str, password: str, handler: Any) -> None:
        open_to_all = username == "anonymous" and self._anonymous

        async def admitted() -> bool:
            if open_to_all:
                self._ledger.login("ftp", username, accepted=True)
                return True
            return self._accounts.admits(username, password)

        if not asyncio.run_coroutine_threadsafe(admitted(), self._loop).result(ASKS_S):
            raise AuthenticationFailed("Login incorrect.")
        if not self.has_user(username):
            perm = READ_ONLY if open_to_all else ALL_PERMISSIONS
            self.user_table[username] = {
                "pwd": "", "home": self._folder, "perm": perm, "operms": {},
                "msg_login": "Login successful.", "msg_quit": "Goodbye.",
            }  # fmt: skip


async def serve(bench: Bench) -> Server:
    settings = bench.settings
    folder = tempfile.mkdtemp(prefix="walkdown-ftp-")

    class Handler(FTPHandler):  # type: ignore[misc] # no types, as said
        """Its settings are a class's, so that each server has a class of its own."""

        authorizer = _Doorkeeper(bench, asyncio.get_running_loop(), folder)
        auth_failed_timeout = 0
        banner = str(settings.get("banner", "FTP server ready."))

        def ftp_FEAT(self, line: str) -> None:  # noqa: N802 - pyftpdlib's name
            self._extra_feats = [str(each) for each in settings.get("features", ())]
            super().ftp_FEAT(line)

    server = FTPServer((LOOPBACK, 0), Handler, ioloop=IOLoop.factory())
    thread = Thread(target=server.serve_forever, args=(POLL_S,), kwargs={"handle_exit": False})
    thread.daemon = True
    thread.start()

    async def stop() -> None:
        server.ioloop.call_later(0, server.close_all)
        await asyncio.to_thread(thread.join, 2.0)
        shutil.rmtree(folder, ignore_errors=True)

    return Server(inner=(LOOPBACK, server.address[1]), stop=stop)


SERVES = {"ftp": serve}
