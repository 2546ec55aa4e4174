"""
What a module of this package says of its protocol, and what it says of each PDU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Verdict = Literal["read", "session", "login", "sealed", "control", "unknown"]
HARMLESS: Final = frozenset({"read", "session"})


@dataclass(frozen=True, slots=True)
class Pdu:
    """
    `sent[start:end]`. `service` in words for a table; `code` is what tshark has to say of it too
    (several where it lies in layers; empty: tshark has no field for it). `unit` is what one PDU
    addresses behind the address: a Modbus unit id. `names` is a called TSAP or an HTTP target.
    """

    start: int
    end: int
    service: str
    verdict: Verdict
    code: tuple[str, ...] = ()
    unit: int | None = None
    names: str = ""
    asks: bool = True
    """False for what is no question of its own: hand-shakes, negotiation, goodbyes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """
    One protocol. `protocol` is the module's name (with "-" where that has "_").

    `read` takes all that was sent on one connection, or one datagram, and yields what it can name,
    in order and without a hole; it stops, or raises IndexError or ValueError, at what it cannot.

    A protocol that shares the port of another one has no ports: it `rides_on` that one, which
    stays the port's own, and `claims` says of all that was sent on one connection whether it is
    this protocol; raising IndexError or ValueError is no. `read` then reads the whole connection,
    the frames of the port's own protocol in it too, with the codes that tshark has for those.
    """

    protocol: str
    read: Callable[[bytes], Iterator[Pdu]]
    ics: bool
    client_speaks_first: bool
    """Who connects there has something to ask: to connect and leave breaks a promise."""
    ports: tuple[tuple[str, int], ...] = ()
    """(transport, port) of this protocol alone (IANA)."""
    rides_on: str = ""
    claims: Callable[[bytes], bool] | None = None
    dissector: str = ""
    """tshark's name for "decode as" on all `ports`; "" when it has none, and then no `codes`."""
    inside_tls: str = ""
    """The same for what is inside TLS on the TCP ones of `ports`."""
    codes: Mapping[str, str] = field(default_factory=dict)
    """tshark's field → the code that a `Pdu` has for its value, which is a number or a word."""
    questions: int | None = None
    """The most that identifying a sound device asks (promise 13); None: not bounded."""
    connections: Mapping[str, int] = field(default_factory=dict)
    """By tier, where it is not one (the contract's section 6, promise 8)."""
    asks: Callable[[bytes], Iterator[bytes]] | None = None
    """
    The questions of one connection or datagram without what changes from time to time, so that two
    sittings can be compared. None: connections are not compared, datagrams whole.
    """
    answers_elsewhere: bool = False
    """A datagram is answered from a port that the device chooses anew, and not from its own."""
    writes_nothing: str = ""
    """Why there is no write to inject, where there is none."""
