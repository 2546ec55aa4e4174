"""
What the lab knows of one protocol, as data: how it is framed, and what its faults need to know.

Each protocol has a module in this package with a constant `PROTOCOL`; the package finds it by
walking, and everything else follows from the fields: the standard port and the transports of a
plant's service, what the fronts count, and which behaviours of lab.faults apply. A field that is
left out says that the protocol has no such thing, so that a behaviour which needs it does not
apply; every other behaviour does, without an entry anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lab.errors import LabError

Lie = Literal["zero", "max", "shorter", "longer"]
Length = Callable[[bytes], int | str | None]
"""
Length of the first frame, None when more is needed, or what is wrong with it: "foreign" where the
bytes are no frame of the protocol, other words where a frame is malformed.
"""
Misstated = Callable[[bytes, Lie], bytes]
"""A reply in, the same with a false length out; what has no whole length comes back as it is."""
Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """
    One thing found in a stream.

    kind "request": a whole frame; `function` in the protocol's terms, `write` when it would
    change something or is not known to be a read, `answered` when a reply is owed for it.
    kind "foreign" or "malformed": `function` says what it looks like; nothing after it is parsed.
    """

    kind: Literal["request", "foreign", "malformed"]
    function: str
    write: bool = False
    answered: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """
    One protocol by the name that it has in a plant file.

    A framed protocol has `length` and `classify`: its requests are told apart by the fronts. A
    protocol without them is judged by its first bytes (`begins`; None: not at all) and its
    emulator reports what is asked. Over UDP `datagram` classifies; without it a datagram is one
    whole frame.
    """

    name: str
    port: int
    """The standard port, before the offset of a lab that may not bind low ports."""
    transports: tuple[Literal["tcp", "udp"], ...] = ("tcp",)
    probe: str = ""
    """What asks it, as `probes` of a site file calls it; "": by its own name."""
    opt_in: bool = False
    """Its port is some other station's place: a site file names it only for devices that are meant
    (`ports` in what the plant file declares of a device, or `probes` of a zone)."""

    # --- what the fronts count
    length: Length | None = None
    classify: Callable[[bytes], Seen] | None = None
    """Is handed whole frames only, as `length` cut them."""
    begins: Callable[[bytes], bool] | None = None
    datagram: Callable[[bytes], Seen] | None = None

    # --- what is cut and falsified in replies
    header: int | bytes = 4
    """How many bytes a reply's header has, or the bytes that end it."""
    length_at: tuple[int, int, Literal["big", "little"]] | Misstated | None = None
    """Where a reply's length stands: offset, size, order; or a function of one's own."""
    length_once: bool = False
    """Only the first length of a connection stands in clear."""
    reference: Callable[[bytes], Span | None] | None = None
    """Start and end of what ties a reply to its question; None of a reply that has none."""
    reference_signed: bool = False
    """The reference is a two's complement number that has to stay positive."""
    filler: bytes = b"A" * 16384
    """About 16 KiB that a reader of the protocol does not refuse at once."""
    speaks_first: bool = False
    answers_from_new_port: bool = False
    """Each datagram is answered from a port of its own (the transfer identifier of TFTP)."""

    # --- how a device says that it cannot answer now
    busy: Callable[[bytes], bytes] | None = None
    """The reply to a request; b"" where a request gets none."""
    busy_reply: Callable[[bytes, Mapping[str, Any]], bytes] | None = None
    """A good reply and the fault's parameters in, a reply that says so out."""
    busy_text: bytes | None = None
    """In place of the greeting; then the connection ends."""
    gateway: Callable[[bytes, int], bytes] | None = None
    """The reply of a gateway to a request, with an exception code; b"" where there is none."""

    # --- what its emulators take as settings
    pages: bool = False
    """Serves documents, by the settings that lab.devices.web_panel knows."""
    certificate: bool = False
    """Shows a certificate; `certificate_name` is the name in it."""
    accounts: bool = False
    """Has accounts that can lock: `users` and the `lockout_` settings (lab.bench.Accounts)."""
    lure: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    """
    Carries secrets that can be lured: from a service's settings those that a rogue puts over
    them, beside `canaries`, `accept_any` and `users`.
    """
    latin_1: bool = False
    """Its emulators write text as Latin-1: there UTF-8 is given byte by byte."""
    longest_text: int = 6000
    """Characters that fit into a reply."""
    syntax: frozenset[str] = frozenset()
    """Settings that are no text to be shown, beside those that no protocol shows."""

    def __post_init__(self) -> None:
        if (self.length is None) != (self.classify is None):
            raise LabError(f"protocol {self.name}: `length` and `classify` go together")
        if "udp" in self.transports and self.datagram is None and self.length is None:
            raise LabError(f"protocol {self.name}: say how a datagram is classified")


def told(lie: Lie, true: int, size: int) -> int:
    """What a length field of `size` bytes says in place of `true`."""
    most = (1 << 8 * size) - 1
    return {"zero": 0, "max": most, "shorter": max(0, true - 1), "longer": min(most, true + 7)}[lie]
