"""
The forms that a probe, a guard and a check fill in, and the `Session` that a probe is handed.

A probe module exports one or more `Probe` constants (`PROBE`, and for higher tiers `READ_PROBE`,
`LOGIN_PROBE`); a check module exports `CHECK`; a guard module exports `GUARD`. All are found by
walking their package: nothing is registered.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from socket import socket
from typing import Protocol, TypeVar

from scanner.facts import Fact, LoginUnavailable
from scanner.model import (
    Asset,
    ConduitInfo,
    Effort,
    Exploitability,
    Outcome,
    Place,
    Severity,
    Target,
    Tier,
    Topology,
    Transport,
    Verdict,
    ZoneInfo,
)

T = TypeVar("T")

Span = tuple[int, int]
"""[start, end) of bytes in a request that carry a secret; they are stored as zeros."""

Framer = Callable[[bytes], int | None]
"""
Told all bytes received so far (for UDP: one datagram), it returns the length of the complete reply
at their beginning, or None when more is needed. It raises BadReply when they cannot become one.
"""


class Secret:
    """A password or key that cannot be printed, logged, compared by accident or pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Secret is not pickled")


# --- guards ------------------------------------------------------------------------------------


class Guard(Protocol):
    """
    The allow-list of one protocol on one connection. Pure, except that one for a protocol with
    phases (ssh) may remember how far its own connection has come.
    """

    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        """Cut outgoing bytes into whole frames and a rest. Raises GuardRefused on nonsense."""
        ...

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        """None when this frame may leave in this tier, else the reason why not."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardSpec:
    """
    `open` makes the guard of one connection. `reply_framer` tells the relay where a reply ends
    (None: every datagram is one reply, or the protocol has no relay). `is_answer(reply, request)`:
    whether a datagram answers this one of a library's questions. `is_computing` is given what the
    device has said so far: whether its next answer may take an old device seconds of arithmetic.
    """

    protocol: str
    open: Callable[[], Guard]
    reply_framer: Framer | None
    is_answer: Callable[[bytes, bytes], bool] = lambda reply, request: True
    is_computing: Callable[[bytes], bool] = lambda said: False


# --- what a probe is handed --------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsInfo:
    """What the handshake told. `certificate_der` is the leaf, unverified: it is evidence."""

    version: str
    cipher: str
    certificate_der: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnEnd:
    """
    Our end of a datagram conversation. `prefix` is the length of the network that this machine and
    the device have in common on a link, None where a router lies between or it cannot be told.
    """

    address: str
    port: int
    prefix: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """
    The operator's own read-only login on this device, bound to a pinned host key.

    `platform` is a netmiko device type ("cisco_ios", "hirschmann_hios", …) or "linux".
    `host_key` is "SHA256:…" as ssh-keygen prints it; without a match no secret is sent.
    """

    platform: str
    user: str
    secret: Secret
    host_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultCredential:
    """One published default, already matched to the product that this device was seen to be."""

    id: str
    vendor: str
    product: str
    protocol: str
    user: str
    secret: Secret
    options: Mapping[str, str] = field(default_factory=dict)
    """Protocol specifics as data: for http "scheme" (basic, form), "path", "user_field", …"""


class Attempts(Protocol):
    """The attempt ledger of safety promise 25; it outlives runs."""

    async def begin(self, service: str, account: str) -> str | None:
        """
        Store one attempt before it is made. None: go ahead. Else the reason why not ("ledger",
        "locked", …). Waits as long as the spacing between attempts demands.
        """
        ...

    async def leaves(self, service: str, account: str) -> None:
        """
        Where `begin` was said long before: the secret leaves now, and the spacing to the next
        attempt is counted from here.
        """
        ...

    async def ended(
        self,
        service: str,
        account: str,
        *,
        accepted: bool,
        lockout_sign: str | None = None,
        took_s: float | None = None,
    ) -> None:
        """
        Tell how it went. A lockout sign ends all attempts on this device. `took_s`: from the
        secret to the answer, where the attempt began earlier or ends later than that.
        """
        ...

    async def not_made(self, service: str, account: str) -> None:
        """Take back what `begin` stored: nothing secret was sent after all."""
        ...


class Session(Protocol):
    """
    The only way from a probe to a device: one endpoint, one connection at a time.

    The connection is made by the first `exchange` (the knock is the question) and ended in an
    orderly way when the probe returns. Every method raises Withheld (nothing was sent) or
    WireError (what the device did); a probe lets them pass unless it has a better idea.
    """

    @property
    def target(self) -> Target: ...

    @property
    def tier(self) -> Tier:
        """The tier of the probe that runs, not the highest one granted."""
        ...

    @property
    def connected(self) -> bool:
        """Whether a TCP connection came about: without one nothing has left."""
        ...

    @property
    def options(self) -> Mapping[str, object]:
        """Settings of this device: "unit_ids" (tuple of int), "snmp_public" (bool), …"""
        ...

    @property
    def known(self) -> tuple[Fact, ...]:
        """Facts that earlier questions told about this device."""
        ...

    @property
    def login(self) -> Login | None: ...

    @property
    def default_credentials(self) -> tuple[DefaultCredential, ...]: ...

    @property
    def attempts(self) -> Attempts: ...

    @property
    def fingerprint_key(self) -> bytes:
        """The per-site key for keyed hashes of secrets (32 bytes)."""
        ...

    def now(self) -> datetime: ...

    async def pause(self, seconds: float) -> None:
        """Wait, as the governor's clock counts. Never longer than the session's deadline."""
        ...

    async def own_end(self) -> OwnEnd:
        """
        Where datagrams of this session leave from, for protocols that carry it in what they say.
        Sends nothing. Raises Withheld where none of the probe's `own_ports` is free.
        """
        ...

    async def exchange(
        self,
        request: bytes | None,
        framer: Framer | None,
        *,
        label: str,
        secrets: Sequence[Span] = (),
        deadline_s: float = 5.0,
        max_reply: int = 256 * 1024,
        whatever_came: bool = False,
        may_reset: bool = False,
    ) -> bytes:
        """
        Send one frame and return one whole reply.

        `request` None: the server speaks first. `framer` None: a goodbye, no reply is awaited
        (returns b""). `whatever_came`: when the deadline, the peer's close or `max_reply` ends a
        reply that `framer` still finds incomplete, return the bytes so far instead of raising
        Silent, Closed or BadReply (banners; still raises when nothing came at all). `may_reset`:
        servers refuse this request with a reset, so that one before any reply is no sign of
        distress by itself; a canary finds out.
        Raises Refused, Silent, Reset, Closed, BadReply, Withheld.
        """
        ...

    async def start_tls(self, *, minimum: str | None = None, maximum: str | None = None) -> TlsInfo:
        """
        Connect and do a TLS handshake; from then on `exchange` carries plaintext, which is what
        the guard judges. `minimum`/`maximum`: "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3".
        Certificates are not verified. Raises BadReply when the handshake fails.
        """
        ...

    async def close(self) -> None:
        """End this connection in order; a later `exchange` opens the next, if the plan has one."""
        ...

    def relay(self) -> AbstractAsyncContextManager[tuple[str, int]]:
        """
        A loopback (host, port) for a library that insists on dialling itself. Whole frames pass
        the same guard, pacing and evidence. A refusal is raised again when the block ends.
        """
        ...

    def duplex(self) -> AbstractAsyncContextManager[socket]:
        """
        One end of a socket pair for a library that takes a connected socket (paramiko, netmiko).
        What is written passes the guard of this protocol before it reaches the wire.
        """
        ...

    async def blocking(self, call: Callable[[], T], *, deadline_s: float) -> T:
        """
        Run a blocking library call in the executor kept for that. The connection slot is held
        until the thread has really ended, also when the caller is cancelled.
        """
        ...

    def judge_plaintext(self, protocol: str, frame: bytes) -> None:
        """Judge what will be encrypted by a library (an SSH command). Raises GuardRefused."""
        ...

    async def record_plaintext(
        self, label: str, request: bytes, reply: bytes, secrets: Sequence[Span] = ()
    ) -> None:
        """Keep as evidence what a library said and heard inside its encryption, masked already."""
        ...


# --- probes ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """
    One request that a probe may send, for the plan.

    `packets` is what one such request costs us at most on the wire, our own segments or datagrams
    only. `at_most` is how often it can be sent. `trace` says what it leaves behind on the device
    or in its logs, in words an operator understands ("" when nothing). `goodbye`: it ends a session
    that the device would else keep, and is therefore said also by a canary and to a paused device.
    """

    label: str
    sample: bytes = b""
    at_most: int = 1
    packets: int = 1
    trace: str = ""
    goodbye: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """
    `name` is the module's name; `protocol` names the guard. `ports` are asked in this order, each
    as its own question. `run` returns facts. `connections` is how many connections one run may
    make, one after another. `needs` are names of things without which it is not planned: "login"
    (the operator's own), "default_credential", "answered" (this probe's identify question was
    answered on that port), "answered_here" (on that port over the same transport).
    `for_controllers`: stays in the plan when a device was recognised as a controller. `service`
    is what answers there, as the inventory and `ports:` in the site file call it ("" : `name`).

    `opt_in`: asked only where the site file names it (in `probes:` or `ports:` of zone or asset),
    because a question may cost somebody a seat; `ports` may then be empty. `follows` and `unless`
    are services: asked only where the one was answered on the same port, and not where the other
    was (with more than that nothing would be told). `spoken_by` is a regular expression: once a
    device has told its vendor by a field made for the purpose, the question is put to vendors that
    it finds ("": any vendor).
    """

    name: str
    protocol: str
    transport: Transport
    ports: tuple[int, ...]
    tier: Tier
    run: Callable[[Session], Awaitable[tuple[Fact, ...]]]
    questions: tuple[Question, ...]
    connections: int = 1
    needs: frozenset[str] = frozenset()
    for_controllers: bool = False
    deadline_s: float = 15.0
    service: str = ""
    opt_in: bool = False
    follows: str = ""
    unless: str = ""
    spoken_by: str = ""
    own_ports: tuple[int, ...] = ()
    """
    UDP: ports of ours from which it is asked, the first that is free; () leaves it to the kernel.
    For protocols whose answers go to fixed ports, wherever the question came from.
    """
    answers_from_any_port: bool = False
    """
    UDP: an answer counts wherever on the device it comes from, since the protocol answers from a
    port that it chooses anew (TFTP). The question still goes to the port that was planned, and
    nothing of ours goes to the other, but for the kernel's refusal of what is repeated there. Not
    together with `own_ports`.
    """
    prepare: Callable[[], object] = lambda: None
    """
    Called once before the first packet of a scan that has this probe in its plan: to load what is
    large, so that no other conversation waits for it.
    """

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if self.answers_from_any_port and (self.transport is not Transport.UDP or self.own_ports):
            raise ValueError(f"{self.name}: answers_from_any_port is for UDP without own_ports")


# --- checks ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePolicy:
    """What a check may know about the site besides its subject."""

    site: str
    assessed_at: datetime
    zones: tuple[ZoneInfo, ...]
    conduits: tuple[ConduitInfo, ...]
    session_timeout_max_s: int = 900
    generic_accounts: tuple[str, ...] = ()
    """Extra generic account names of this site, beside the check's own list."""
    backup_required: tuple[str, ...] = ()
    """Device classes for which the site file has a backup policy."""
    backup_sources: int = 0
    time_servers: tuple[str, ...] = ()
    log_targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """All assets of the site and how they hang together, for checks that compare devices."""

    assets: tuple[Asset, ...]
    topology: Topology = field(default_factory=Topology)


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """One zone with its assets, as a subject."""

    info: ZoneInfo
    assets: tuple[Asset, ...]
    unasked: int | None = None
    """Device addresses of its networks to which no question was put; None: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conduit:
    """One conduit with the assets at both ends, as a subject."""

    info: ConduitInfo
    from_assets: tuple[Asset, ...]
    to_assets: tuple[Asset, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """
    A check's word. For a check that reads a fact or an Asset the framework fills in the asset;
    one that reads Zone, Conduit or Inventory names the `places` it speaks of. `about` tells
    several judgements on the same subject apart ("port 443") and becomes part of the finding's id.
    """

    verdict: Verdict
    summary: str
    places: tuple[Place, ...] = ()
    severity: Severity | None = None
    """Only where one check's findings differ in weight; else the check's own."""
    about: str = ""
    evidence: tuple[str, ...] = ()
    """Ids beyond those of the fact itself."""
    requirements: tuple[str, ...] | None = None
    """Only where one check's findings touch different requirements: a part of the check's own."""


def unknown(what: str) -> Judgement:
    """The judgement on a fact whose field was not learned."""
    return Judgement(verdict=Verdict.NOT_CHECKED, summary=f"not learned: {what}")


def missing(asset: Asset, what: str, *, protocols: tuple[str, ...], tier: Tier) -> Judgement:
    """
    The judgement of a check that reads a whole asset and finds none of the facts it needs.

    `protocols` are the services that would have told them in `tier`, `what` names them in words.
    """
    if asset.parent is not None:
        return Judgement(
            verdict=Verdict.NOT_APPLICABLE, summary=f"services are judged at {asset.parent}"
        )
    for fact in asset.facts:
        if isinstance(fact, LoginUnavailable) and tier.rank >= Tier.READ.rank:
            return unknown(f"{what}; the login could not be used: {fact.reason}")
    asked = [service for service in asset.services if service.protocol in protocols]
    if not asked:
        return unknown(f"{what}; {' and '.join(protocols)} never asked")
    if all(service.outcome in (Outcome.REFUSED, Outcome.SILENT) for service in asked):
        ports = ", ".join(f"{service.port}/{service.transport}" for service in asked)
        return Judgement(
            verdict=Verdict.NOT_APPLICABLE, summary=f"no such service: {ports} refused or silent"
        )
    return unknown(f"{what} (tier {tier})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """
    `reads` is a fact type, Asset, Zone, Conduit or Inventory; `judge(subject, site)` is pure and
    returns a tuple of Judgements.

    A check that reads a fact names the `protocols` whose answered service should have yielded it.
    For each asset the framework then knows: service answered and fact there: judge. Answered (or
    asked and not settled) but no fact: not_checked, with the reason. Every such port refused or
    silent: not_applicable. Never asked: not_checked. `tier` is the tier in which the fact is
    learned, so that the reason can say what to grant. `only_for` limits it to device classes
    (empty: all).
    """

    id: str
    title: str
    requirements: tuple[str, ...]
    severity: Severity
    exploitability: Exploitability
    reads: type
    judge: Callable[..., tuple[Judgement, ...]]
    remedy: str
    effort: Effort
    needs_outage: bool
    attack: tuple[str, ...] = ()
    """ATT&CK for ICS technique ids."""
    protocols: tuple[str, ...] = ()
    tier: Tier = Tier.IDENTIFY
    only_for: frozenset[str] = frozenset()
