"""
Sockets as the safety contract wants them; used by scanner.session and by nothing else.

Every socket gives up after 2 s without acknowledgement, once connected after 1.5 s, also when this
process is gone (`TCP_USER_TIMEOUT`), offers a small receive window, and ends with FIN: half-close,
bounded drain, close. Source: tcp(7), RFC 9293 sections 3.6 and 3.10.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

from scanner import tripwire
from scanner.errors import (
    Closed,
    Halted,
    Refused,
    Reset,
    Silent,
    ToolBug,
    Unreachable,
    WireError,
    Withheld,
)
from scanner.governor import CONNECT_S, Device, Governor, Reservation
from scanner.link import Helper, Reply
from scanner.model import Target, Transport
from scanner.spec import OwnEnd

T = TypeVar("T")

USER_TIMEOUT_MS = 2000
ESTABLISHED_USER_TIMEOUT_MS = 1500
"""
Once there is a connection, so that also the kernel's last retransmission of a process that was
killed leaves within 2 s: it may send one when the time is just about to end.
"""
RECEIVE_WINDOW = 8 * 1024
DRAIN_S = 1.5
KNOWN_DRAIN_S = 1.0
"""For a late datagram of a device that has answered others soon."""
HALTED_USER_TIMEOUT_MS = 700
HALTED_DRAIN_S = 0.7
HALTED_CONNECT_S = 0.4
"""After a halt: the last packet, retransmissions included, leaves within 2 s."""
GIVEN_UP_S = 0.5
"""How long the kernel may take to give a dead peer up before we do."""

WINDOW_CLOSES_S = 0.25
"""What is sent into a window that nobody empties has arrived by then."""
LAST_READS = 4
"""Of 64 KiB: a device that sends without end is not read for ever."""
ACKNOWLEDGED_S = 0.001
"""How long an acknowledgement that left by itself may need to be before our FIN."""
LINK_S = 5.0
"""How long the helper of layer 2 listens for a reply: as long as a request may take."""

SEGMENT_PACKETS = 4
"""One segment and the retransmissions that fit into a second (at 0.2, 0.4 and 0.8 s)."""
MIN_SEGMENT = 536
"""What a segment carries where the kernel does not tell (RFC 9293 section 3.7.1)."""

_TCP_USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", None)
_TCP_QUICKACK = getattr(socket, "TCP_QUICKACK", None)
_TCP_INFO = getattr(socket, "TCP_INFO", None)
_TCP_WINDOW_CLAMP = getattr(socket, "TCP_WINDOW_CLAMP", None)
_TIMESTAMP = 35 if sys.platform == "linux" and struct.calcsize("l") == 8 else None
"""SO_TIMESTAMPNS, which Python's socket module does not name."""
_UNREACHABLE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN})
_STRANGERS = 256
"""So many datagrams that are not the device's are passed over when a wait is over."""


def pieces(data: bytes, segment: int, cap: int | None) -> Iterator[tuple[bytes, int]]:
    """
    `data` cut so that each piece, with its retransmissions, fits under a cap of packets in a
    second: (piece, segments it takes). A request of one segment is never cut.
    """
    most = len(data) if cap is None else max(1, cap - (SEGMENT_PACKETS - 1)) * segment
    for start in range(0, len(data), max(most, 1)):
        piece = data[start : start + most]
        yield piece, -(-len(piece) // segment)


def _translate(error: OSError, what: str) -> WireError:
    if isinstance(error, ConnectionRefusedError):
        return Refused(f"{what}: refused")
    if isinstance(error, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
        return Reset(f"{what}: reset by the device")
    if error.errno in _UNREACHABLE:
        return Unreachable(f"{what}: {error.strerror}")
    if error.errno == errno.ETIMEDOUT:
        return Silent(f"{what}: no acknowledgement in time")
    return Closed(f"{what}: {error.strerror or type(error).__name__}")


_ESTABLISHED = 1
"""Linux, include/net/tcp_states.h."""


class Wire:
    """
    One connected socket of ours (TCP or UDP) and its count of packets.

    `may_go(begun)` is asked when a packet's turn has come, immediately before it leaves: waiting
    for that turn may have taken the rest of a window. It raises what forbids the packet. `begun` is
    True for the first frame of a connection, which a halt does not keep back.

    `any_port`: datagrams of the device count wherever on it they come from. They are taken by a
    second socket on the same port of ours, which is not connected and never sends: so whatever
    leaves goes through the connected one as ever, and an ICMP error is told by it as ever. The
    kernel hands a datagram to the connected socket where it fits, and to the other else.
    """

    def __init__(
        self,
        target: Target,
        device: Device,
        governor: Governor,
        may_go: Callable[[bool], None],
        own_ports: tuple[int, ...] = (),
        *,
        any_port: bool = False,
    ) -> None:
        self._own_ports = own_ports
        self._any_port = any_port
        self._target = target
        self._device = device
        self._governor = governor
        self._may_go = may_go
        self._loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ip_address(target.address).version == 6 else socket.AF_INET
        self._stream = target.transport is Transport.TCP
        kind = socket.SOCK_STREAM if self._stream else socket.SOCK_DGRAM
        self._socket = socket.socket(family, kind)
        self._socket.setblocking(False)
        self._beside: socket.socket | None = None
        """Takes what the device sends from other ports; it never sends."""
        if not self._stream and _TIMESTAMP is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, _TIMESTAMP, 1)
        self._datagram_age_s = 0.0
        self.connected = False
        self.peer_dead = False
        """Judged dead: nothing of ours was acknowledged. Nothing more is sent to it."""
        self.peer_closed = False
        """Whether the peer ended its side; known when `close` has returned."""
        self.round_trip_s: float | None = None
        """From SYN to its answer, as the kernel measured it; None when it had to send two."""
        self.bytes_out = 0
        self.bytes_in = 0
        self._unanswered = 0
        self._pending: tuple[Reservation, int] | None = None
        self._accounted: tuple[int, int] | None = None
        """What the kernel's counters said when packets were last settled."""

    # --- counting -------------------------------------------------------------------------------

    def _tcp_info(self) -> tuple[int, int] | None:
        """(total_retrans, data_segs_out) of struct tcp_info, or None where it cannot be asked."""
        if _TCP_INFO is None or not self._stream:
            return None
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 192)
        except OSError:
            return None
        if len(info) < 160:
            return None
        retransmitted = struct.unpack_from("=I", info, 100)[0]
        data_segments = struct.unpack_from("=I", info, 156)[0]
        return int(retransmitted), int(data_segments)

    def _is_unacknowledged(self, *, repeated: bool = False) -> bool:
        """
        Whether a segment of ours is under way and not acknowledged (tcpi_unacked); `repeated`: and
        was retransmitted in vain already (tcpi_retransmits).
        """
        if _TCP_INFO is None:
            return False
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 192)
        except OSError:
            return False
        if len(info) < 28 or (repeated and not info[2]):
            return False
        return bool(struct.unpack_from("=I", info, 24)[0])

    # --- connect --------------------------------------------------------------------------------

    async def connect(self, timeout_s: float = CONNECT_S) -> None:
        """
        Raises Refused, Silent, Unreachable, Halted, BudgetSpent. A halt after the SYN has left
        still lets a live peer's answer come, so that the request can go with it.
        """
        if self._stream:
            self._set_options()
            await self._governor.may_connect(self._device)
            syns = 1 + int(timeout_s)  # the kernel sends them a second apart
            reservation = await self._reserve(syns, then=SEGMENT_PACKETS)
            self._governor.note_connect(self._device)
            started = self._governor.clock.monotonic()
            used = 1
            try:
                await self._connect(timeout_s, reservation)
                self._accounted = self._tcp_info()
                used += self._accounted[0] if self._accounted else 0
                self.round_trip_s = self._round_trip() if used == 1 else None
                self._governor.note_connect(self._device)  # however late the SYN had left
            except (Silent, Halted):
                used = min(syns, 1 + int(self._governor.clock.monotonic() - started))
                raise
            except WireError:
                self._governor.note_connect(self._device)
                raise
            finally:
                reservation.settle(used, self._governor.clock.monotonic())
        else:
            if self._own_ports:
                self._bind_own()
            await self._connect(timeout_s)  # sends nothing
            if self._any_port:
                self._listen_beside()
        self.connected = True

    def _bind_own(self) -> None:
        """
        Take the first of our own ports that is free. Several sockets of ours may share one: each
        is connected, and the kernel gives a datagram to the socket that is connected to its sender.
        Raises Withheld when another program has them all, Unreachable without a route.
        """
        own = source_towards(self._target.address)
        if own is None:
            raise Unreachable(f"no route to {self._target.address}")
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for port in self._own_ports:
            try:
                self._socket.bind((own, port))
            except OSError:
                continue
            return
        ports = ", ".join(map(str, self._own_ports))
        raise Withheld(f"another program on this machine has UDP ports {ports}: nothing was sent")

    def _listen_beside(self) -> None:
        """
        A socket on the port that the connected one has, which is shared from here on only: a port
        that the kernel gives away is nobody else's. Raises Withheld where it cannot be had.
        """
        beside = socket.socket(self._socket.family, socket.SOCK_DGRAM)
        self._beside = beside
        beside.setblocking(False)
        if _TIMESTAMP is not None:
            beside.setsockopt(socket.SOL_SOCKET, _TIMESTAMP, 1)
        try:
            for one in (self._socket, beside):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            beside.bind(self._socket.getsockname())
        except OSError as error:
            raise Withheld(f"no socket for answers from other ports: {error.strerror}") from error

    def own_end(self) -> OwnEnd:
        """Of a connected datagram socket."""
        address, port = self._socket.getsockname()[:2]
        own = str(address).partition("%")[0]
        return OwnEnd(address=own, port=int(port), prefix=shared_prefix(self._target.address))

    async def _reserve(
        self, packets: int, *, closing: bool = False, begun: bool = False, then: int = 0
    ) -> Reservation:
        """Wait for the turn of these packets, and ask once more whether they may leave."""
        reservation = await self._governor.reserve(
            self._device, packets, closing=closing or begun, then=then, zone=self._target.zone
        )
        if not closing:
            try:
                self._may_go(begun)
            except BaseException:
                reservation.settle(0, self._governor.clock.monotonic())
                raise
        return reservation

    def _round_trip(self) -> float | None:
        """tcpi_rtt of struct tcp_info (microseconds), None where it cannot be asked."""
        if _TCP_INFO is None:
            return None
        info = self._socket.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 192)
        return struct.unpack_from("=I", info, 68)[0] / 1e6 if len(info) >= 72 else None

    def _set_options(self) -> None:
        tcp = socket.IPPROTO_TCP
        self._socket.setsockopt(tcp, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_WINDOW)
        if _TCP_WINDOW_CLAMP is not None:
            self._socket.setsockopt(tcp, _TCP_WINDOW_CLAMP, RECEIVE_WINDOW)
        if _TCP_USER_TIMEOUT is not None:
            self._socket.setsockopt(tcp, _TCP_USER_TIMEOUT, USER_TIMEOUT_MS)

    async def _connect(self, timeout_s: float, reservation: Reservation | None = None) -> None:
        endpoint = (self._target.address, self._target.port)
        what = f"{self._target.transport} {endpoint[0]} port {endpoint[1]}"
        with tripwire.grant(*endpoint):
            self._translated(self._socket.connect_ex(endpoint), what)
        if reservation is not None:
            reservation.left(self._governor.clock.monotonic())
        # The SYN has left: only now does its time run.
        attempt: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_writer(self._socket, _settle, attempt)
        try:
            silence = f"{what}: no answer to the connect"
            await self._wait(attempt, timeout_s, silence, after_halt_s=HALTED_CONNECT_S)
        except (Silent, Halted):
            # Where this machine was busy the answer may be there and its event not yet seen.
            if not self._is_established():
                raise
        finally:
            self._loop.remove_writer(self._socket)
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self._translated(error, what)
        if self._stream and _TCP_USER_TIMEOUT is not None:
            self._socket.setsockopt(
                socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, ESTABLISHED_USER_TIMEOUT_MS
            )

    def _translated(self, error: int, what: str) -> None:
        if error not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
            problem = OSError(error, os.strerror(error))
            raise _translate(problem, what) from problem

    def _is_established(self) -> bool:
        """Whether the kernel has the connection already (tcpi_state)."""
        if _TCP_INFO is None or not self._stream:
            return False
        try:
            return self._socket.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, 1)[0] == _ESTABLISHED
        except OSError:
            return False

    async def _wait(
        self,
        work: asyncio.Future[T],
        timeout_s: float,
        silence: str,
        *,
        after_halt_s: float = 0.0,
    ) -> T:
        return await _before(self._governor, work, timeout_s, silence, after_halt_s=after_halt_s)

    # --- talk -----------------------------------------------------------------------------------

    async def send(self, data: bytes, *, closing: bool = False) -> None:
        """Send one frame. The kernel's own count of segments is charged, also retransmissions."""
        begun = self._stream and self.bytes_out == 0
        if not self._stream:
            self.settle()  # the last datagram may have had no answer that settled it
            await self._send_piece(data, 1, closing, begun)
            return
        cap = self._device.limits.packets_per_s
        for piece, count in pieces(data, self._segment_size(), cap):
            self.settle()
            await self._send_piece(piece, count - 1 + SEGMENT_PACKETS, closing, begun)

    async def _send_piece(self, data: bytes, reserved: int, closing: bool, begun: bool) -> None:
        reservation = await self._reserve(reserved, closing=closing, begun=begun)
        what = f"{self._target.transport} {self._target.address} port {self._target.port}"
        try:
            await self._loop.sock_sendall(self._socket, data)
        except OSError as error:
            raise _translate(error, what) from error
        finally:
            reservation.left(self._governor.clock.monotonic())
            self._pending = (reservation, reserved)
        self.bytes_out += len(data)
        self._unanswered += 1

    def _segment_size(self) -> int:
        """What the kernel puts into one segment of this connection."""
        maximum = getattr(socket, "TCP_MAXSEG", None)
        if maximum is None:
            return MIN_SEGMENT
        try:
            told = self._socket.getsockopt(socket.IPPROTO_TCP, maximum)
        except OSError:
            return MIN_SEGMENT
        return max(told, 1)

    def settle(self, *, dead: bool = False) -> None:
        """Give back what the last send did not use."""
        if self._pending is None:
            return
        reservation, reserved = self._pending
        self._pending = None
        before, after = self._accounted, self._tcp_info()
        self._accounted = after or before
        sent = after[1] - before[1] if before and after else None
        if dead or not self._stream:
            used = max(reserved, sent or 0)
        elif sent is not None:
            used = max(1, sent)
        else:
            used = reserved - SEGMENT_PACKETS + 1
        reservation.settle(used, self._governor.clock.monotonic())

    def heard_ago_s(self) -> float:
        """
        How long the newest bytes that were read had been waiting for us in the kernel: time that
        this program was busy, and not the device. 0 where it cannot be asked.
        """
        if not self._stream:
            return self._datagram_age_s
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, _TCP_INFO or 0, 192)
        except OSError:
            return 0.0
        return struct.unpack_from("=I", info, 52)[0] / 1000 if len(info) >= 56 else 0.0

    async def _read(self, size: int) -> bytes:
        if self._stream or (_TIMESTAMP is None and self._beside is None):
            return await self._loop.sock_recv(self._socket, size)
        sockets = [one for one in (self._socket, self._beside) if one is not None]
        while True:
            for one in sockets:
                with suppress(BlockingIOError):
                    if (data := self._take(one, size)) is not None:
                        return data
            # Also after a stranger's datagram: who never stops must not keep the loop.
            ready: asyncio.Future[None] = self._loop.create_future()
            for one in sockets:
                self._loop.add_reader(one, _settle, ready)
            try:
                await ready
            finally:
                for one in sockets:
                    self._loop.remove_reader(one)

    def _take(self, one: socket.socket, size: int) -> bytes | None:
        """
        The datagram that waits at one of our sockets, or None when it is not the device's. Raises
        BlockingIOError when none waits, OSError.
        """
        told: list[tuple[int, int, bytes]] = []
        if _TIMESTAMP is None:
            data, sender = one.recvfrom(size)
        else:
            data, told, _, sender = one.recvmsg(size, 64)
        if one is self._beside and not self._is_device(sender):
            return None
        self._datagram_age_s = self._age_of(told)
        return data

    def _is_device(self, sender: tuple[object, ...]) -> bool:
        told = ip_address(str(sender[0]).partition("%")[0])
        return told == ip_address(self._target.address.partition("%")[0])

    def _age_of(self, told: list[tuple[int, int, bytes]]) -> float:
        """Of a datagram by its SO_TIMESTAMPNS; a clock that was set meanwhile is not believed."""
        for level, kind, stamp in told:
            if level == socket.SOL_SOCKET and kind == _TIMESTAMP and len(stamp) >= 16:
                seconds, parts = struct.unpack_from("=qq", stamp)
                age = self._governor.clock.wall().timestamp() - seconds - parts / 1e9
                return age if 0 <= age < 10 else 0.0
        return 0.0

    async def receive(
        self, timeout_s: float, size: int = 65536, *, after_halt_s: float = 0.0
    ) -> bytes:
        """
        What came (b"" at the peer's end). Raises Silent, Reset, Refused, Halted; the last only
        `after_halt_s` after the halt.
        """
        what = f"{self._target.transport} {self._target.address} port {self._target.port}"
        silence = f"{what}: no answer within the deadline"
        if timeout_s <= 0:  # also when more is there: a device that never stops is not listened to
            raise Silent(silence)
        try:
            data = await self._wait(
                asyncio.ensure_future(self._read(size)),
                timeout_s,
                silence,
                after_halt_s=after_halt_s,
            )
        except Silent:
            # Where this machine was busy the answer may be there and not yet read.
            came = self._at_hand(size)
            if came is None:
                self.peer_dead = self.peer_dead or self._is_unacknowledged(repeated=True)
                raise
            data = came
        except OSError as error:
            self.peer_dead = self.peer_dead or error.errno == errno.ETIMEDOUT
            raise _translate(error, what) from error
        self.bytes_in += len(data)
        self._unanswered -= 1
        return data

    def _at_hand(self, size: int) -> bytes | None:
        """What the kernel holds for us already; None when nothing is there."""
        try:
            return self._socket.recv(size)
        except OSError:
            pass
        if self._beside is not None:
            with suppress(OSError):
                for _ in range(_STRANGERS):
                    if (data := self._take(self._beside, size)) is not None:
                        return data
        return None

    # --- end ------------------------------------------------------------------------------------

    async def close(self, *, at_leisure: bool = False) -> None:
        """
        FIN, bounded drain, close. Never raises, never sends a reset to a live peer. `at_leisure`:
        a canary that waits for nothing afterwards, and whose answer may be later than any other.
        """
        if not self._stream:
            await self._close_datagrams(at_leisure)
        elif not self.connected:
            self.settle()
            self._socket.close()
        else:
            await self._close_stream()

    async def _close_datagrams(self, at_leisure: bool) -> None:
        """A reply that comes late, or twice, must find a socket: else our kernel sends an ICMP."""
        self.settle()
        try:
            if self._unanswered > 0 and not self._governor.halted:
                known = self._governor.has_answered(self._device)
                await self._drain(KNOWN_DRAIN_S if known and not at_leisure else DRAIN_S)
        except OSError:
            pass
        finally:
            self._socket.close()
            if self._beside is not None:
                self._beside.close()

    async def _close_stream(self) -> None:
        over = self._is_over()
        if self.peer_dead:
            await self._abandon()
            return
        self._acknowledge()
        # What is not acknowledged is being retransmitted, beside whatever the close adds.
        dead = over and self._is_unacknowledged()
        self.settle(dead=dead)
        # After a stop all connections of a zone close at the same moment: one packet each.
        packets = 1 if over and not dead else SEGMENT_PACKETS
        reservation = await self._reserve(packets, closing=True)
        still_sending = False
        try:
            over = self._is_over()  # it may have come while we waited for our turn
            if _TCP_QUICKACK is not None:
                self._acknowledge()
                # One that left by itself just now, on another processor, shall be there first.
                await asyncio.sleep(ACKNOWLEDGED_S)
            self._socket.shutdown(socket.SHUT_WR)
            reservation.left(self._governor.clock.monotonic())
            still_sending = await self._drain(HALTED_DRAIN_S if over else DRAIN_S)
            if still_sending:
                # What is under way when we are gone is answered with a reset each: unread, it
                # closes the window first, and one reset ends it.
                await asyncio.sleep(WINDOW_CLOSES_S)
            if not over:
                await self._until_acknowledged()
        except OSError:
            self.peer_closed = True
        finally:
            before, after = self._accounted, self._tcp_info()
            used = 1
            if before and after:
                used += after[0] - before[0]
            if still_sending or self._unread():
                # The kernel's answer to bytes that nobody will read any more.
                self._device.figures.resets_sent += 1
                used += 1
            if self._is_unacknowledged():
                self.peer_dead = self._is_unacknowledged(repeated=True)
                used += 1  # the kernel tries once more after we are gone
            reservation.settle(used, self._governor.clock.monotonic())
            self._socket.close()
            self.connected = False

    def _acknowledge(self) -> None:
        """
        Acknowledge at once what has come. A delayed acknowledgement that is due when our FIN leaves
        could follow it; where the device closed first, it answers that one, and our kernel answers
        with a reset. The device's FIN is acknowledged only when what is before it has been read.
        """
        if _TCP_QUICKACK is None:
            return
        with suppress(OSError):  # until nothing waits
            for _ in range(LAST_READS):
                if not self._socket.recv(65536):
                    break
        with suppress(OSError):
            self._socket.setsockopt(socket.IPPROTO_TCP, _TCP_QUICKACK, 1)

    def _is_over(self) -> bool:
        """Whether everything is stopped here; then the kernel soon gives up as well."""
        over = self._governor.is_over(self._target.zone)
        if over and _TCP_USER_TIMEOUT is not None:
            self._socket.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, HALTED_USER_TIMEOUT_MS)
        return over

    async def _until_acknowledged(self) -> None:
        """Until our FIN is, or was sent again in vain: whoever had closed first may be dead now."""
        for _ in range(round(GIVEN_UP_S / 0.02)):
            if not self._is_unacknowledged() or self._is_unacknowledged(repeated=True):
                return
            await asyncio.sleep(0.02)

    async def _abandon(self) -> None:
        """
        No FIN for a peer judged dead: behind what it does not acknowledge it would only be one more
        packet. The kernel gives up by itself; where it does not, a reset ends the retransmissions.
        """
        if self._is_unacknowledged():
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(self._loop.sock_recv(self._socket, 1), GIVEN_UP_S)
        self.settle(dead=True)
        if self._is_unacknowledged():
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._device.figures.resets_sent += 1
            reservation = await self._reserve(1, closing=True)
            reservation.settle(1, self._governor.clock.monotonic())
        self._socket.close()
        self.connected = False

    def _unread(self) -> bool:
        """Whether bytes of the peer wait in the socket: closing it now sends a reset."""
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    async def _drain(self, seconds: float) -> bool:
        """
        Read and forget until the peer's end (or the outstanding datagrams), for some time only.
        True when the peer was still sending when the time was over.
        """
        end = self._loop.time() + seconds
        last = 0.0
        while (left := end - self._loop.time()) > 0:
            try:
                data = await asyncio.wait_for(self._read(65536), left)
            except TimeoutError:
                break
            if self._stream and not data:
                self.peer_closed = True
                return False
            self._unanswered -= 1
            if not self._stream and self._unanswered <= 0:
                return False
            last = self._loop.time()
        return last > end - seconds / 2


async def _before(
    governor: Governor,
    work: asyncio.Future[T],
    timeout_s: float,
    silence: str,
    *,
    after_halt_s: float = 0.0,
) -> T:
    """
    The result of `work`, Silent after the time, or Halted when everything is stopped and
    `after_halt_s` have passed since.
    """
    halted = asyncio.ensure_future(governor.until_halted())
    try:
        both: set[asyncio.Future[object]] = {work, halted}  # type: ignore[arg-type]
        await asyncio.wait(both, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if not work.done() and halted.done() and after_halt_s > 0:
            await asyncio.wait({work}, timeout=min(after_halt_s, timeout_s))
        if work.done():
            return work.result()
        if halted.done():
            raise Halted(governor.halt_reason or "halted")
        raise Silent(silence)
    finally:
        for task in (work, halted):
            task.cancel()
        await asyncio.gather(work, halted, return_exceptions=True)


class LinkWire:
    """
    One question on layer 2, with what a session uses of `Wire`. The frame is the helper's to send:
    here it is counted, as one packet, and never repeated. There is no connection to end, and no
    kernel of ours answers what comes late.
    """

    peer_dead = False
    peer_closed = False
    round_trip_s: float | None = None

    def __init__(
        self,
        target: Target,
        device: Device,
        governor: Governor,
        may_go: Callable[[bool], None],
        helper: Helper | None,
    ) -> None:
        """`helper` None: this process may not send frames, and nothing is asked."""
        self._target = target
        self._device = device
        self._governor = governor
        self._may_go = may_go
        self._helper = helper
        self._coming: asyncio.Future[Reply | None] | None = None
        self._heard: Reply | None = None
        self.connected = False
        self.bytes_out = 0
        self.bytes_in = 0

    async def connect(self, timeout_s: float = CONNECT_S) -> None:
        """Sends nothing. Raises Withheld without a helper."""
        if self._helper is None:
            raise Withheld("layer 2: this process may not send frames (CAP_NET_RAW)")
        self.connected = True

    def own_end(self) -> OwnEnd:
        raise ToolBug("a frame has no address and no port of ours")

    async def send(self, data: bytes, *, closing: bool = False) -> None:
        """One frame. Raises Withheld where the helper refuses it, and whatever `may_go` raises."""
        if self._helper is None or self.bytes_out:
            raise ToolBug("on layer 2 a session sends one frame")
        now = self._governor.clock.monotonic
        reservation = await self._governor.reserve(self._device, 1, zone=self._target.zone)
        used = 0
        try:
            self._may_go(False)
            used = 1  # what happens from here on may have happened after it left
            self._coming = await self._helper.send(self._target.address, data, LINK_S)
            self.bytes_out = len(data)
            reservation.left(now())
        except Withheld:
            used = 0
            raise
        finally:
            reservation.settle(used, now())

    def settle(self, *, dead: bool = False) -> None:
        """Nothing was set aside for a second frame."""

    def heard_ago_s(self) -> float:
        return self._heard.age_s if self._heard is not None else 0.0

    async def receive(
        self, timeout_s: float, size: int = 65536, *, after_halt_s: float = 0.0
    ) -> bytes:
        """The one reply that may come. Raises Silent, Halted."""
        silence = f"{self._target.address}, layer 2: no answer within the deadline"
        coming, self._coming = self._coming, None
        if coming is None or timeout_s <= 0:
            raise Silent(silence)
        self._heard = await _before(
            self._governor, coming, timeout_s, silence, after_halt_s=after_halt_s
        )
        if self._heard is None:
            raise Silent(silence)
        self.bytes_in += len(self._heard.frame)
        return self._heard.frame[:size]

    async def close(self, *, at_leisure: bool = False) -> None:
        if self._coming is not None:
            self._coming.cancel()
        self.connected = False


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def has_route(address: str) -> bool:
    """Whether this machine has a route to an address. Sends nothing."""
    return source_towards(address) is not None


def shared_prefix(address: str, routes: Path = Path("/proc/net/route")) -> int | None:
    """
    Length of the IPv4 network in which this machine reaches an address without a router; None
    where there is none, or the kernel's routing table (Linux, proc(5)) cannot be read.

    Each line of it has destination, gateway and mask as numbers in hex, in this machine's byte
    order; flag 1 is up, 2 is through a gateway. The longest mask wins.
    """
    wanted = ip_address(address)
    if wanted.version != 4:
        return None
    if wanted.is_loopback:
        return 8
    try:
        lines = routes.read_text(encoding="ascii").splitlines()[1:]
    except (OSError, UnicodeDecodeError):
        return None
    best: tuple[int, bool] | None = None
    for line in lines:
        fields = line.split()
        if len(fields) < 8:
            continue
        destination, mask = (
            int.from_bytes(int(fields[at], 16).to_bytes(4, sys.byteorder), "big") for at in (1, 7)
        )
        flags, length = int(fields[3], 16), mask.bit_count()
        if not flags & 1 or int(wanted) & mask != destination:
            continue
        if best is None or length > best[0]:
            best = (length, bool(flags & 2))
    return None if best is None or best[1] else best[0]


def source_towards(address: str) -> str | None:
    """
    Our own address on the way to another, or None without a route. Connecting a UDP socket sends
    nothing.
    """
    family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe, tripwire.grant(address, 9):
        try:
            probe.connect((address, 9))
        except OSError:
            return None
        return str(probe.getsockname()[0]).partition("%")[0]
