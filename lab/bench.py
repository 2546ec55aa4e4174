"""
What every emulator is handed, and what it gives back: the seam between fronts and servers.

An emulator module has one function `serve(bench) -> Server` and names it in `SERVES`, by the kinds
of emulator that a plant file may name. It starts a third-party server on an
ephemeral loopback port (or answers datagrams itself) and knows nothing of fronts or plants.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from secrets import token_bytes
from typing import Any

from cryptography.utils import CryptographyDeprecationWarning

from lab.errors import LabError
from lab.front import Answer, Inner
from lab.keys import Keys
from lab.ledger import Ledger

LOOPBACK = "127.0.0.1"
QUIET = (
    "pymodbus", "pymodbus.logging", "snap7", "asyncssh", "telnetlib3", "asyncio.sslproto",
    "bacpypes3", "asyncua", "pyftpdlib",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """`settings` is the service's own part of the plant file."""

    device: str
    address: str
    protocol: str
    port: int
    settings: Mapping[str, Any]
    ledger: Ledger
    keys: Keys
    clock: Callable[[], float]

    def text(self, key: str, default: str | None = None) -> str:
        value = self.settings.get(key, default)
        if value is None:
            raise LabError(
                f"{self.device}: service {self.protocol} lacks {key!r} in the plant file"
            )
        return str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running emulator: where its TCP port is, how it answers a datagram, how it ends."""

    stop: Callable[[], Awaitable[None]]
    inner: Inner | None = None
    answer: Answer | None = None


Serve = Callable[[Bench], Awaitable[Server]]


class Accounts:
    """
    Who may log in, and when the device has had enough.

    `users` maps a name to its password; with `accept_any` every pair is let in. After
    `lockout_after` failures in a row on an account it stays locked until the lab is started anew;
    `tells` None leaves it to the emulator whether a locked account is told from a wrong password.
    With `canaries`, every secret that is given is counted, and those that are one of them; none
    is kept.
    """

    def __init__(
        self,
        users: Mapping[str, str],
        *,
        ledger: Ledger,
        service: str,
        accept_any: bool = False,
        lockout_after: int | None = None,
        tells: bool | None = None,
        canaries: Sequence[str] | None = None,
    ) -> None:
        self._users = dict(users)
        self._ledger = ledger
        self._service = service
        self._accept_any = accept_any
        self._lockout_after = lockout_after
        self.tells = tells
        self._key = token_bytes(32)
        self._canaries = (
            None if canaries is None else frozenset(self._keyed(canary) for canary in canaries)
        )
        self._failures: dict[str, int] = {}

    @classmethod
    def of(cls, bench: Bench) -> Accounts:
        settings = bench.settings
        return cls(
            {str(k): str(v) for k, v in dict(settings.get("users", {})).items()},
            ledger=bench.ledger,
            service=bench.protocol,
            accept_any=bool(settings.get("accept_any", False)),
            lockout_after=settings.get("lockout_after"),
            tells=settings.get("lockout_tells"),
            canaries=settings.get("canaries"),
        )

    def locked(self, user: str) -> bool:
        return (
            self._lockout_after is not None and self._failures.get(user, 0) >= self._lockout_after
        )

    def _keyed(self, secret: str) -> bytes:
        return blake2b(secret.encode("utf-8", "surrogatepass"), key=self._key).digest()

    def admits(self, user: str, password: str) -> bool:
        if self._canaries is not None:
            self._ledger.misbehaved("secret received")
        if self._canaries and self._keyed(password) in self._canaries:
            self._ledger.misbehaved("canary received")
        good = not self.locked(user) and (
            self._accept_any or (user in self._users and self._users[user] == password)
        )
        self._ledger.login(self._service, user, accepted=good)
        if good:
            self._failures.pop(user, None)
        else:
            self._failures[user] = self._failures.get(user, 0) + 1
            if self._lockout_after is not None and self._failures[user] == self._lockout_after:
                self._ledger.locked_out()
        return good


def hush() -> None:
    """Keep the third-party servers quiet: what a client did is in the ledger."""
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # old switches agree on keys by group 1 and group 14: that these are old is the point
    warnings.filterwarnings(
        "ignore", "Diffie-Hellman over finite fields", category=CryptographyDeprecationWarning
    )
