"""
What a capture says was asked: our requests in clear text, without what changes from time to time.

The proof's own reading of frames, to compare two sittings of one scan. Transaction numbers, session
handles and request ids are left out, so that the same question gives the same value. What only
sets a session up is no question. Each protocol says how in its grammar (`asks`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from tests.proof.judge.grammar import BY_NAME, PORTS

Sent = tuple[float, str, int, int, int, bytes]
"""(time, target, target port, source port, sequence number or -1 for a datagram, payload)."""
Question = tuple[str, int, bytes]
"""(target, port, what)."""


def questions(packets: Iterable[Sent]) -> Counter[Question]:
    """
    How often each question was put. A segment that the kernel sent again counts once, and so does
    a datagram that was repeated byte by byte.
    """
    streams: dict[tuple[str, int, int], dict[int, bytes]] = defaultdict(dict)
    datagrams: set[tuple[str, int, bytes]] = set()
    for _, target, port, source_port, sequence, payload in packets:
        if not payload:
            continue
        if sequence < 0:
            datagrams.add((target, port, payload))
        else:
            streams[(target, port, source_port)].setdefault(sequence, payload)
    found: Counter[Question] = Counter()
    for (target, port, _), segments in streams.items():
        for what in of_stream(port, joined(segments)):
            found[(target, port, what)] += 1
    for target, port, payload in datagrams:
        if what := of_datagram(port, payload):
            found[(target, port, what)] += 1
    return found


def joined(segments: Mapping[int, bytes]) -> bytes:
    """The bytes of one connection in order; sequence numbers may wrap once."""
    if not segments:
        return b""
    first = min(segments)
    if max(segments) - first > 1 << 31:
        first = min(number for number in segments if number > 1 << 31)
    whole = b""
    for number in sorted(segments, key=lambda n: (n - first) % (1 << 32)):
        place = (number - first) % (1 << 32)
        if place <= len(whole):
            whole = whole[:place] + segments[number] + whole[place + len(segments[number]) :]
    return whole


def of_stream(port: int, data: bytes) -> Iterator[bytes]:
    asks = _asks("tcp", port)
    if asks is not None:
        yield from asks(data)


def of_datagram(port: int, data: bytes) -> bytes | None:
    asks = _asks("udp", port)
    return data if asks is None else next(asks(data), None)


def _asks(transport: str, port: int) -> Callable[[bytes], Iterator[bytes]] | None:
    grammar = BY_NAME.get(PORTS.get((transport, port), ""))
    return grammar.asks if grammar is not None else None
