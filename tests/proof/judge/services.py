"""
Every PDU that the scanner sent, as both readers see it.

Our own parser names the PDUs and accounts for every byte; tshark names the services of the same
connection. What only one of them sees is unknown. What was sent inside TLS is known where the key
log of the proof opened every record; else it stays sealed.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tests.proof.judge.connections import Connection, connections_of
from tests.proof.judge.dissect import Frame, dissect
from tests.proof.judge.grammar import BY_NAME, Pdu, http_verdict, mqtt, parse, spoken
from tests.proof.judge.packets import Packet, packets_of

Ports = Mapping[tuple[str, int], str]

_IN_TLS = frozenset({"https", "mqtts"})
_INSIDE_TLS = frozenset({"tls 11", "tls 15", "tls 20"})
"""Handshake messages that pass encrypted (RFC 8446 section 4.4): seen by who has the keys."""

RESEND_S = 5.0
"""How long after a datagram the same bytes may still be a resend: the longest wait for a reply."""


@dataclass(frozen=True, slots=True)
class Asked:
    """
    One PDU to a device. `connection` None: a datagram; `again` when it is one that was lost and is
    sent once more, as a kernel does for TCP by itself.
    """

    at: float
    device: str
    port: int
    transport: str
    protocol: str
    pdu: Pdu
    connection: Connection | None
    again: bool = False

    @property
    def place(self) -> str:
        return f"{self.device} {self.transport} {self.port}"

    @property
    def words(self) -> str:
        return f"{self.pdu.service} to {self.place}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """All of some captures. `complaints` are tshark's about packets of the scanner."""

    packets: tuple[Packet, ...]
    connections: tuple[Connection, ...]
    asked: tuple[Asked, ...]
    complaints: tuple[str, ...]


def sent(
    captures: Iterable[Path], scanner: frozenset[str], ports: Ports, keylog: Path | None = None
) -> Sent:
    """Raises Unable, Unreadable."""
    packets: list[Packet] = []
    connections: list[Connection] = []
    asked: list[Asked] = []
    complaints: list[str] = []
    for capture in captures:
        mine = list(packets_of(capture.read_bytes()))
        made = connections_of(mine, scanner)
        places = {packet.number: packet for packet in mine}
        frames = [
            frame
            for frame in dissect(capture, scanner, ports, keylog)
            if places[frame.number].source in scanner
        ]
        packets += mine
        connections += made
        asked += _on_connections(mine, made, frames, ports)
        asked += _in_datagrams(mine, frames, scanner, ports)
        complaints += [
            f"{words}: to {places[f.number].target} port {places[f.number].target_port}"
            for f in frames
            for words in f.complaints
        ]
    packets.sort(key=lambda packet: packet.at)
    connections.sort(key=lambda one: one.asked_at)
    asked.sort(key=lambda one: one.at)
    return Sent(
        packets=tuple(packets), connections=tuple(connections), asked=tuple(asked),
        complaints=tuple(complaints),
    )  # fmt: skip


def _on_connections(
    packets: list[Packet], connections: list[Connection], frames: list[Frame], ports: Ports
) -> list[Asked]:
    told = _by_connection(packets, connections, frames)
    found = []
    for connection in connections:
        protocol = spoken(ports.get(("tcp", connection.port), ""), connection.sent)
        pdus = parse(protocol, connection.sent)
        if connection.gaps:
            pdus.append(Pdu(len(connection.sent), len(connection.sent), "lost bytes", "unknown"))
        pdus = compared(pdus, told[id(connection)], protocol, connection.resent)
        found += [
            Asked(
                connection.time_of(pdu.start), connection.device, connection.port, "tcp",
                protocol, pdu, connection,
            )
            for pdu in pdus
        ]  # fmt: skip
    return found


def _by_connection(
    packets: list[Packet], connections: list[Connection], frames: list[Frame]
) -> dict[int, list[Frame]]:
    """tshark numbers connections of the same addresses and ports in their order, as we do."""
    numbered = {packet.number: packet for packet in packets}
    in_order: dict[tuple[str, int, str, int], list[Connection]] = defaultdict(list)
    for one in connections:
        in_order[(one.client, one.client_port, one.device, one.port)].append(one)
    streams: dict[tuple[str, int, str, int], list[int]] = defaultdict(list)
    told: dict[int, list[Frame]] = defaultdict(list)
    for frame in frames:
        if frame.stream is None:
            continue
        packet = numbered[frame.number]
        key = (packet.source, packet.source_port, packet.target, packet.target_port)
        if frame.stream not in streams[key]:
            streams[key].append(frame.stream)
        place = streams[key].index(frame.stream)
        if place < len(in_order[key]):
            told[id(in_order[key][place])].append(frame)
    return told


def _in_datagrams(
    packets: list[Packet], frames: list[Frame], scanner: frozenset[str], ports: Ports
) -> list[Asked]:
    told = {frame.number: frame for frame in frames if frame.stream is None}
    found = []
    resends = _Resends()
    for packet in packets:
        if packet.protocol not in ("udp", "link"):
            continue
        if packet.source not in scanner:
            resends.heard(packet)
            continue
        transport = packet.protocol
        protocol = spoken(ports.get((transport, packet.target_port), ""), packet.payload)
        pdus = parse(protocol, packet.payload) or [Pdu(0, 0, "an empty datagram", "unknown")]
        frame = told.get(packet.number)
        grammar = BY_NAME.get(protocol)
        again = resends.sent(packet, anywhere=grammar is not None and grammar.answers_elsewhere)
        for pdu in compared(pdus, [frame] if frame else [], protocol, 0):
            found.append(
                Asked(
                    packet.at, packet.target, packet.target_port, transport, protocol, pdu, None,
                    again,
                )
            )  # fmt: skip
    return found


class _Resends:
    """
    Which datagrams are a lost one sent once more: the same bytes from the same port within
    RESEND_S, the first time, and nothing was heard from there in between (from `anywhere` on the
    device, where its protocol answers from another port). Any other repetition is a question of its
    own.
    """

    def __init__(self) -> None:
        self._sent: dict[tuple[str, int, int, bytes], float] = {}
        """Those that may be sent once more, with the moment they left."""
        self._heard: dict[tuple[str, int | None, int], float] = {}
        """By device, its port (None: any) and ours."""

    def heard(self, packet: Packet) -> None:
        for port in (packet.source_port, None):
            self._heard[packet.source, port, packet.target_port] = packet.at

    def sent(self, packet: Packet, *, anywhere: bool) -> bool:
        place = (packet.target, packet.target_port, packet.source_port)
        port = None if anywhere else packet.target_port
        heard_at = self._heard.get((packet.target, port, packet.source_port), -math.inf)
        before = self._sent.pop((*place, packet.payload), None)
        if before is not None and packet.at - before <= RESEND_S and heard_at < before:
            return True
        self._sent[*place, packet.payload] = packet.at
        return False


def compared(pdus: list[Pdu], frames: list[Frame], protocol: str, resent: int) -> list[Pdu]:
    """The PDUs, with those unknown of which the two readers do not say the same."""
    ours = Counter(code for pdu in pdus for code in pdu.code)
    theirs = Counter(code for frame in frames for code in frame.codes)
    if protocol == "http":
        theirs.update(f"http {method}" for frame in frames for method in frame.methods)
    if protocol in _IN_TLS:
        for code in _INSIDE_TLS:
            theirs.pop(code, None)
    opened = _mqtt_inside(theirs, pdus) if protocol == "mqtts" else []
    missed = {code for code, n in ours.items() if theirs[code] < n}
    result = [
        replace(pdu, verdict="unknown", service=f"{pdu.service} (tshark sees no {_first(here)})")
        if (here := missed.intersection(pdu.code)) and pdu.verdict != "control"
        else pdu
        for pdu in pdus
    ]
    end = pdus[-1].end if pdus else 0
    for code, n in sorted(theirs.items()):
        if n > ours[code] + resent:
            words = f"{code}, which tshark sees {n} times and we {ours[code]}"
            result.append(Pdu(end, end, words, "unknown"))
    if protocol == "https":
        result = _opened(result, frames)
    return result + opened


def _mqtt_inside(theirs: Counter[str], pdus: list[Pdu]) -> list[Pdu]:
    """What tshark saw of MQTT where the key log opened its TLS; it is taken out of `theirs`."""
    end = pdus[-1].end if pdus else 0
    found = []
    for code in sorted(code for code in theirs if code.startswith("mqtt ")):
        verdict = mqtt.VERDICTS.get(int(code.removeprefix("mqtt ")), "control")
        found += [Pdu(end, end, f"{code} in TLS", verdict)] * theirs.pop(code)
    return found


def _first(codes: set[str]) -> str:
    return min(codes)


def _opened(pdus: list[Pdu], frames: list[Frame]) -> list[Pdu]:
    """What was inside TLS, where every record was opened; else the records stay sealed."""
    sealed = [pdu for pdu in pdus if pdu.verdict == "sealed"]
    if not sealed:
        return pdus
    if sum(frame.opened for frame in frames) < len(sealed):
        return pdus
    inner = [
        _http_inside(method, target, frame, sealed[-1].end)
        for frame in frames
        for method, target in zip(frame.methods, frame.targets, strict=False)
    ]
    unread = any(frame.data_opened and not frame.methods for frame in frames)
    if unread:
        return pdus
    kept = [
        replace(pdu, verdict="session", service="TLS record, opened", asks=False)
        if pdu.verdict == "sealed"
        else pdu
        for pdu in pdus
    ]
    return kept + inner


def _http_inside(method: str, target: str, frame: Frame, end: int) -> Pdu:
    verdict = http_verdict(
        method, target, frame.headers, form=frame.forms > 0, body=frame.announces_body
    )
    return Pdu(end, end, f"HTTP {method} {target} in TLS", verdict, names=target)
