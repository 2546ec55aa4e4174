"""
Asks PROFINET stations on layer 2: a helper process with CAP_NET_RAW and nothing else.

The scanning process has no right to send a frame. It names an address of the plan and hands over
the bytes behind the Ethernet header, which its guard has let pass; everything else is the helper's,
and is checked there once more by rules of its own (`whereto`):

- the bytes are one Identify of all options, with nothing free but the number of the transaction;
- the address is one of the plan's, and its MAC address is the one that the kernel learned by
  itself when it talked IP to that address: nobody else can name one, so that a frame to a
  multicast address, to a broadcast address or to a stranger cannot be said at all;
- no address outside the plan has the same MAC address (a router, or whoever answers for others);
- this MAC address was not asked before in this scan: one frame is one frame.

The Ethernet type is written here and nowhere else, and so is the padding to 60 bytes. At least
20 ms lie between two frames, whoever asks for them. A reply is handed back only when it comes from
the station that was asked, goes to us, and has the number of the question; the kernel filters.

No scan starts this helper yet: docs/decisions/0015-layer-2-helper.md says what is missing.

Sources: packet(7), proc(5) (/proc/net/arp), Documentation/networking/filter.rst of Linux, IEEE
802.3 clauses 3.2.3 and 3.2.8, IEC 61158-6-10 (DCP).
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from scanner import privileges
from scanner.errors import Withheld

T = TypeVar("T")

ARP_TABLE = Path("/proc/net/arp")
ETHERTYPE = 0x8892
SHORTEST = 60
"""An Ethernet frame without its check sum is no shorter."""
GAP_NS = 20_000_000
ANSWER_S = 5.0
"""How long the helper may take to say that it has sent; it needs milliseconds."""
LONGEST_WAIT_S = 5.0
"""For a reply, whatever is asked for."""

_HEAD, _TAIL = bytes.fromhex("fefe0500"), bytes.fromhex("00010004ffff0000")
_LENGTH = 16
_REPLY = 0xFEFF
_LONGEST = 1522
_HOST = 0
_SO_ATTACH_FILTER = 26
_LOAD, _LOAD_HALF, _EQUAL, _RETURN = 0x20, 0x28, 0x15, 0x06
"""Instructions of classic BPF, in the words of linux/bpf_common.h."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A row of the kernel's table; `mac` in six bytes."""

    address: str
    mac: bytes
    interface: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """
    The bytes behind the Ethernet header, padding included. `came_ns`: when the helper read it, by
    the clock that nobody can set.
    """

    frame: bytes
    came_ns: int

    @property
    def age_s(self) -> float:
        return max(_now() - self.came_ns, 0) / 1e9


# --- what may leave -----------------------------------------------------------------------------


def neighbours(table: str) -> Iterator[Neighbour]:
    """
    The rows of /proc/net/arp that are complete and of Ethernet: IP address, HW type, flags (0x2:
    complete), HW address, mask, device.
    """
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 6 or fields[1] != "0x1" or not _number(fields[2]) & 2:
            continue
        with suppress(ValueError):
            mac = bytes.fromhex(fields[3].replace(":", ""))
            if len(mac) == 6:
                yield Neighbour(address=fields[0], mac=mac, interface=fields[5])


def _number(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0


def whereto(
    address: str,
    frame: bytes,
    *,
    stations: Mapping[str, str | None],
    asked: Iterable[bytes],
    known: Iterable[Neighbour],
) -> Neighbour | str:
    """
    To whom this frame goes, or why it does not leave. `stations` are the addresses of the plan,
    with the MAC address that the site file declares of one ("02:00:…"; None: none); `asked` are
    the MAC addresses that had a frame already.
    """
    if len(frame) != _LENGTH or frame[:4] != _HEAD or frame[8:] != _TAIL:
        return "the frame is no Identify of all options"
    if address not in stations:
        return f"{address} is not in the plan"
    rows = tuple(known)
    found = next((row for row in rows if row.address == address), None)
    if found is None:
        return f"{address} is no neighbour on a link of this machine"
    if found.mac[0] & 1 or not any(found.mac):
        return f"{found.mac.hex(':')} is not the address of one station"
    declared = stations[address]
    if declared is not None and declared.lower() != found.mac.hex(":"):
        return f"{address} has the MAC address {found.mac.hex(':')}, declared is {declared}"
    for row in rows:
        if row.mac == found.mac and row.address not in stations:
            return f"{row.address} has the same MAC address, and is not in the plan"
    if found.mac in frozenset(asked):
        return f"{address} had its frame already"
    return found


# --- the kernel's part --------------------------------------------------------------------------


def filter_program(*, own: bytes, station: bytes, xid: bytes) -> bytes:
    """Classic BPF over a whole frame: answers to Identify from this station, to us, of this xid."""
    wanted = (
        (_LOAD, 0, own[:4]), (_LOAD_HALF, 4, own[4:]),
        (_LOAD, 6, station[:4]), (_LOAD_HALF, 10, station[4:]),
        (_LOAD_HALF, 14, _REPLY.to_bytes(2, "big")), (_LOAD, 18, xid),
    )  # fmt: skip
    program = []
    left = 2 * len(wanted)
    for load, offset, value in wanted:
        left -= 2
        program.append((load, 0, 0, offset))
        program.append((_EQUAL, 0, left + 1, int.from_bytes(value, "big")))
    program += [(_RETURN, 0, 0, _LONGEST), (_RETURN, 0, 0, 0)]
    return b"".join(struct.pack("=HBBI", *one) for one in program)


class _Asking:
    """One frame that was sent, and the socket on which its reply comes."""

    def __init__(self, number: int, to: Neighbour, frame: bytes, wait_s: float) -> None:
        """Send it. Raises OSError."""
        self.number = number
        # Protocol 0: nothing comes before the filter is there.
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            self.socket.bind((to.interface, 0))
            own = self.socket.getsockname()[4]
            program = filter_program(own=own, station=to.mac, xid=frame[4:8])
            code = ctypes.create_string_buffer(program, len(program))
            fprog = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
            self.socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, fprog)
            self.socket.bind((to.interface, ETHERTYPE))
            whole = to.mac + own + ETHERTYPE.to_bytes(2, "big") + frame
            self.socket.send(whole.ljust(SHORTEST, b"\0"))
        except OSError:
            self.socket.close()
            raise
        self.until = _now() + round(min(max(wait_s, 0.0), LONGEST_WAIT_S) * 1e9)

    def reply(self) -> bytes | None:
        """What came, without its Ethernet header; None where it was no frame for us."""
        data, sender = self.socket.recvfrom(_LONGEST)
        return data[14:] if sender[2] == _HOST and len(data) > 14 else None


def _now() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


# --- the helper ---------------------------------------------------------------------------------


class _Sitting:
    """One scan: whom it may ask, and whom it has asked."""

    def __init__(self, table: Path) -> None:
        self._table = table
        self._stations: dict[str, str | None] = {}
        self._asked: set[bytes] = set()
        self._last = 0
        self.asking: dict[int, _Asking] = {}

    def begin(self, stations: Mapping[str, str | None]) -> None:
        self.forget()
        self._stations, self._asked = dict(stations), set()

    def ask(self, number: int, address: str, frame: bytes, wait_s: float) -> str:
        """Why nothing was sent, or ""."""
        try:
            text = self._table.read_text(encoding="ascii", errors="replace")
        except OSError as error:
            return f"the neighbour table cannot be read: {error.strerror}"
        to = whereto(
            address, frame, stations=self._stations, asked=self._asked, known=neighbours(text)
        )
        if isinstance(to, str):
            return to
        if (early := self._last + GAP_NS - _now()) > 0:
            select.select([], [], [], early / 1e9)
        self._asked.add(to.mac)
        try:
            self.asking[number] = _Asking(number, to, frame, wait_s)
        except OSError as error:
            return f"{to.interface}: {error.strerror}"
        finally:
            self._last = _now()
        return ""

    def told(self, readable: Iterable[Any]) -> Iterator[dict[str, object]]:
        """Replies that have come, and silence where the time is over."""
        for number, one in list(self.asking.items()):
            reply, over = None, _now() >= one.until
            try:
                reply = one.reply() if one.socket in readable else None
            except OSError:
                over = True  # the interface went down
            if reply is not None:
                yield {"id": number, "reply": reply.hex(), "came_ns": _now()}
            elif over:
                yield {"id": number, "reply": None}
            else:
                continue
            self.asking.pop(number).socket.close()

    def left_s(self) -> float | None:
        """Until the next wait is over."""
        if not self.asking:
            return None
        return max(min(one.until for one in self.asking.values()) - _now(), 0) / 1e9

    def forget(self) -> None:
        for one in self.asking.values():
            one.socket.close()
        self.asking.clear()


def serve(orders: int, answers: int, *, table: Path = ARP_TABLE) -> None:
    """
    Be the helper: lines of JSON come in on `orders`, lines go back on `answers`: one at once for
    each order, and one for each frame when its reply came or its time is over. Ends when `orders`
    does, which it also does when the parent dies; then nothing more is sent.
    """
    sitting = _Sitting(table)
    waiting = b""
    while True:
        watched: list[Any] = [orders, *(one.socket for one in sitting.asking.values())]
        readable = select.select(watched, [], [], sitting.left_s())[0]
        for told in sitting.told(readable):
            _say(answers, told)
        if orders not in readable:
            continue
        data = os.read(orders, 65536)
        if not data:
            sitting.forget()
            return
        *lines, waiting = (waiting + data).split(b"\n")
        for line in lines:
            _say(answers, _obey(json.loads(line), sitting))


def _say(answers: int, told: Mapping[str, object]) -> None:
    os.write(answers, json.dumps(told).encode() + b"\n")


def _obey(order: Mapping[str, Any], sitting: _Sitting) -> dict[str, object]:
    if order["do"] == "begin":
        sitting.begin(order["stations"])
        return {"begun": True}
    problem = sitting.ask(
        order["id"], order["address"], bytes.fromhex(order["frame"]), order["wait_s"]
    )
    return {"id": order["id"], "sent": not problem, "why": problem}


def main() -> None:
    privileges.drop(keep=privileges.NET_RAW)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with its parent
    with suppress(BrokenPipeError):
        _say(1, {"begun": False})
        serve(0, 1)


# --- the parent's side --------------------------------------------------------------------------


class Helper:
    """
    A helper that waits for questions. It ends with `close` or with its parent. One that died or
    does not answer sends nothing, and every question says so.
    """

    def __init__(self) -> None:
        """Start the process. Raises OSError."""
        root = str(Path(__file__).resolve().parent.parent)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-s", "-m", "scanner.link"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": root}, start_new_session=True,
        )  # fmt: skip
        self._waiting = b""
        self._numbers = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sent: dict[int, asyncio.Future[str]] = {}
        self._replies: dict[int, asyncio.Future[Reply | None]] = {}
        self.problem = ""
        """Why nothing can be sent any more, in words."""
        self._answer()

    @property
    def pid(self) -> int:
        return self._process.pid

    def begin(self, stations: Mapping[str, str | None]) -> bool:
        """
        From now on these addresses may be asked, each once; with the MAC address that one has to
        have, or None. False, with `problem`, where the helper is gone. Not while one is asked.
        """
        self._order({"do": "begin", "stations": dict(stations)})
        return not self.problem and bool(self._answer().get("begun"))

    async def send(self, address: str, frame: bytes, wait_s: float) -> asyncio.Future[Reply | None]:
        """
        Send one frame to the station with this IP address. On return it has left; the result is
        what will come back, None after `wait_s`. Raises Withheld when it was not sent.
        """
        loop = asyncio.get_running_loop()
        self._numbers += 1
        number = self._numbers
        self._sent[number], self._replies[number] = loop.create_future(), loop.create_future()
        self._listen(loop)
        self._order(
            {"do": "ask", "id": number, "address": address, "frame": frame.hex(), "wait_s": wait_s}
        )
        reply = self._replies[number]
        reply.add_done_callback(lambda _: self._done(number))
        try:
            async with asyncio.timeout(ANSWER_S):
                why = self.problem or await self._sent[number]
        except TimeoutError:
            why = self.problem = "the layer-2 helper does not answer"
        except asyncio.CancelledError:
            reply.cancel()
            raise
        if why:
            reply.cancel()
            raise Withheld(f"layer 2: {why}")
        return reply

    def close(self) -> None:
        """End the helper. May be called twice."""
        process = self._process
        for reply in list(self._replies.values()):
            reply.cancel()
        self._listen(None)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        try:
            process.wait(ANSWER_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> Helper:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def _output(self) -> int:
        assert self._process.stdout is not None  # noqa: S101 - PIPE above
        return self._process.stdout.fileno()

    def _order(self, order: Mapping[str, object]) -> None:
        try:
            assert self._process.stdin is not None  # noqa: S101 - PIPE above
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError):
            self.problem = "the layer-2 helper is gone"

    def _answer(self) -> dict[str, Any]:
        """The next line of the helper, within ANSWER_S; only while nobody is asked."""
        while b"\n" not in self._waiting:
            readable = select.select([self._output], [], [], ANSWER_S)[0]
            data = os.read(self._output, 65536) if readable else b""
            if not data:
                self.problem = "the layer-2 helper does not answer"
                return {}
            self._waiting += data
        line, _, self._waiting = self._waiting.partition(b"\n")
        told: dict[str, Any] = json.loads(line)
        return told

    def _hear(self) -> None:
        data = os.read(self._output, 65536)
        if not data:
            self.problem = "the layer-2 helper is gone"
            for number in list(self._sent):
                _settle(self._sent[number], self.problem)
                _settle(self._replies[number], None)
            self._listen(None)
            return
        *lines, self._waiting = (self._waiting + data).split(b"\n")
        for told in map(json.loads, lines):
            number = told["id"]
            if number not in self._sent:
                continue
            if "sent" in told:
                _settle(self._sent[number], told["why"])
            else:
                _settle(self._replies[number], _reply(told))

    def _done(self, number: int) -> None:
        """Nobody waits for this one any more."""
        del self._sent[number], self._replies[number]
        if not self._sent:
            self._listen(None)

    def _listen(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Hear the helper in this loop; None: not any more."""
        if self._loop is not None and self._loop is not loop:
            with suppress(RuntimeError):  # a loop that is over has no readers
                self._loop.remove_reader(self._output)
        if loop is not None and loop is not self._loop:
            loop.add_reader(self._output, self._hear)
        self._loop = loop


def _reply(told: Mapping[str, Any]) -> Reply | None:
    if told["reply"] is None:
        return None
    return Reply(frame=bytes.fromhex(told["reply"]), came_ns=told["came_ns"])


def _settle(future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)


def launch() -> Helper | None:
    """A helper, where this process may send frames. Call it before rights are given up."""
    if not privileges.may_capture():
        return None
    try:
        helper = Helper()
    except OSError:
        return None
    if not helper.problem:
        return helper
    helper.close()
    return None


if __name__ == "__main__":
    main()
