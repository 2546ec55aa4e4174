"""The breaker: what a device's silence, slowness and resets lead to, and how soon."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from scanner import governor as rules
from scanner import session as door
from scanner import wire as wires
from scanner.engine import CANARY_PAUSE_S
from scanner.errors import BreakerOpen, Closed, Halted, OutsideWindow, Reset, Silent
from scanner.governor import Clock, Device, Governor
from scanner.model import Tier, Transport
from scanner.profiles import DEFAULT, FRAGILE, LAB, Profile
from scanner.session import CanaryAnswered
from scanner.spec import Probe, Question
from scanner.windows import Permission

START = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
READ_IDENTITY = bytes.fromhex("0001 0000 0005 01 2b0e0100")
CALM = replace(LAB, name="calm")
"""No pacing, but the rules on time that profile `lab` is spared."""


class Time:
    """Passes when it is told to; `skew` is a wall clock set wrong."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.skew = timedelta(0)

    def clock(self) -> Clock:
        async def sleep(seconds: float) -> None:
            self.now += seconds

        return Clock(
            monotonic=lambda: self.now,
            wall=lambda: START + timedelta(seconds=self.now - 1000.0) + self.skew,
            sleep=sleep,
        )


def always(zone: str, now: datetime) -> Permission:
    return Permission(allowed=True, until=None, reason="")


def between(begin: datetime, end: datetime):
    def permission(zone: str, now: datetime) -> Permission:
        if not begin <= now < end:
            return Permission(allowed=False, until=None, reason="the window is closed")
        return Permission(allowed=True, until=end, reason="")

    return permission


def made(permission=always, time: Time | None = None) -> Governor:
    return Governor((time or Time()).clock(), permission, lambda zone, address: True)


def device(governor: Governor, key: str = "127.0.0.1", *, limits: Profile = DEFAULT) -> Device:
    return governor.device(
        zone="z", zone_cap=None, key=key, address=key, limits=limits, tier=Tier.READ, budget=1000
    )


def answered(governor: Governor, one: Device, port: int = 502, seconds: float = 0.01) -> None:
    governor.note_answer(one, port, "identity", seconds, exempt=False)


# --- what silence means --------------------------------------------------------------------------


def test_two_silent_ports_in_a_row_ask_for_a_canary() -> None:
    governor = made()
    one = device(governor)
    answered(governor, one)

    governor.note_silence(one, 80, "identity")
    assert one.health.needs_canary is None
    governor.note_silence(one, 22, "identity")

    assert one.health.needs_canary
    assert not one.health.signs


def test_the_same_port_silent_twice_is_one_silent_port() -> None:
    governor = made()
    one = device(governor)
    answered(governor, one)

    governor.note_silence(one, 161, "version 2c", datagram=True)
    governor.note_silence(one, 161, "version 1", datagram=True)

    assert one.health.needs_canary is None


def test_an_answer_between_two_silent_ports_clears_the_first() -> None:
    governor = made()
    one = device(governor)
    answered(governor, one)

    governor.note_silence(one, 80, "identity")
    answered(governor, one, port=443)
    governor.note_silence(one, 22, "identity")

    assert one.health.needs_canary is None


def test_a_new_question_left_unanswered_counts_once_a_new_port_is_silent_too() -> None:
    governor = made()
    one = device(governor)
    answered(governor, one, port=161)

    governor.note_silence(one, 161, "version 3", datagram=True)
    assert one.health.needs_canary is None
    governor.note_silence(one, 80, "identity")

    assert one.health.needs_canary


def test_a_port_that_was_identified_and_is_silent_when_read_asks_for_a_canary() -> None:
    governor = made()
    one = device(governor)
    answered(governor, one, port=161)

    governor.note_silence(one, 161, "by a library", datagram=True, deep=True)

    assert one.health.needs_canary


@pytest.mark.parametrize(("port", "suspected"), [(502, True), (80, False)])
def test_a_refused_connect_counts_only_where_one_was_taken_before(
    port: int, suspected: bool
) -> None:
    governor = made()
    one = device(governor)
    answered(governor, one, port=502)

    governor.note_refused(one, port)

    assert bool(one.health.needs_canary) is suspected


def test_a_fragile_device_is_left_at_its_first_silence_and_not_asked_again() -> None:
    governor = made()
    one = device(governor, limits=FRAGILE)
    answered(governor, one)

    governor.note_silence(one, 80, "identity")

    assert one.health.needs_canary is None
    with pytest.raises(BreakerOpen):
        governor.check(one, Tier.IDENTIFY, 1.0)
    assert not one.health.signs, "its zone goes on"


def test_a_datagram_without_answer_may_mean_that_nobody_listens_also_on_a_fragile_device() -> None:
    governor = made()
    one = device(governor, limits=FRAGILE)
    answered(governor, one)

    governor.note_silence(one, 161, "version 2c", datagram=True)

    assert one.health.needs_canary is None
    governor.check(one, Tier.IDENTIFY, 1.0)


@pytest.mark.parametrize(("waited_s", "asked"), [(4.0, True), (6.0, False)])
async def test_a_fragile_device_in_doubt_gets_no_connection_after_five_seconds(
    waited_s: float, asked: bool
) -> None:
    time = Time()
    governor = made(time=time)
    one = device(governor, limits=FRAGILE)
    answered(governor, one)
    governor.note_silence(one, 161, "version 2c", datagram=True, since=time.now)
    time.now += waited_s

    if asked:
        await governor.may_connect(one)
    else:
        with pytest.raises(BreakerOpen, match="soon enough"):
            await governor.may_connect(one)


def test_any_sign_stops_a_fragile_device() -> None:
    governor = made()
    one = device(governor, limits=FRAGILE)
    answered(governor, one)

    governor.note_reset(one, 502, "identity")

    with pytest.raises(BreakerOpen):
        governor.check(one, Tier.IDENTIFY, 1.0)


def test_a_device_that_acknowledges_nothing_any_more_is_stopped_at_once() -> None:
    governor = made()
    one, other, third = (device(governor, f"127.0.0.{n}") for n in (1, 2, 3))

    governor.note_dead(one, 502, "identity")

    with pytest.raises(BreakerOpen):
        governor.check(one, Tier.IDENTIFY, 1.0)
    governor.check(other, Tier.IDENTIFY, 1.0)
    governor.note_dead(other, 502, "identity")
    with pytest.raises(BreakerOpen, match="zone z stopped"):
        governor.check(third, Tier.IDENTIFY, 1.0)


def test_a_connection_neither_answered_nor_closed_counts_only_where_something_answered() -> None:
    governor = made()
    new, known = device(governor, "127.0.0.1"), device(governor, "127.0.0.2")
    answered(governor, known)

    governor.note_hung(new, 80, "identity")
    governor.note_hung(known, 80, "identity")

    governor.check(new, Tier.IDENTIFY, 1.0)
    with pytest.raises(BreakerOpen, match="neither answered nor closed"):
        governor.check(known, Tier.IDENTIFY, 1.0)


def test_a_reset_handshake_is_asked_about_and_is_no_sign() -> None:
    governor = made()
    one = device(governor)
    answered(governor, one, port=443)

    governor.note_refusing_reset(one, 443, "TLS handshake")

    assert one.health.needs_canary
    assert not one.health.signs


def test_a_connection_reset_as_soon_as_it_was_taken_is_a_sign_where_it_has_worked() -> None:
    governor = made()
    one, other = device(governor, "127.0.0.1"), device(governor, "127.0.0.2")
    answered(governor, one)
    answered(governor, other)

    governor.note_reset_at_once(one, 502)
    governor.note_reset_at_once(other, 80)

    assert len(one.health.signs) == 1
    assert not other.health.signs
    assert other.health.needs_canary


# --- slowness ------------------------------------------------------------------------------------


def test_a_new_question_that_the_same_port_answers_a_second_later_asks_for_a_canary() -> None:
    governor = made()
    one = device(governor)
    answered(governor, one)

    governor.note_answer(one, 502, "another", 1.2, exempt=False)

    assert one.health.needs_canary
    assert not one.health.signs


def test_a_fragile_device_that_becomes_a_second_slower_is_left_alone() -> None:
    governor = made()
    one = device(governor, limits=FRAGILE)
    answered(governor, one)

    governor.note_answer(one, 80, "page", 1.2, exempt=False)

    with pytest.raises(BreakerOpen):
        governor.check(one, Tier.IDENTIFY, 1.0)


def test_what_a_healthy_canary_found_to_be_its_way_is_not_asked_about_again() -> None:
    governor = made()
    one = device(governor)
    answered(governor, one)
    governor.note_answer(one, 80, "page", 1.2, exempt=False)
    governor.note_canary(one, True, "it is well")

    governor.note_answer(one, 443, "page", 1.5, exempt=False)

    assert one.health.needs_canary is None


def test_a_slow_connect_by_the_kernels_clock_is_a_sign() -> None:
    governor = made()
    one = device(governor)
    governor.note_connected(one, 502, 0.001)

    governor.note_connected(one, 80, 0.15)
    assert not one.health.signs
    governor.note_connected(one, 80, 0.30)

    assert len(one.health.signs) == 1


def test_emulators_are_not_judged_by_their_speed() -> None:
    governor = made()
    one = device(governor, limits=LAB)
    answered(governor, one)

    governor.note_answer(one, 502, "identity", 3.0, exempt=False)
    governor.note_connected(one, 502, 0.001)
    governor.note_connected(one, 502, 3.0)

    assert not one.health.signs
    assert governor.patience_s(one, 5.0, datagram=False, canary=False, exempt=False) == 5.0


def test_patience_is_short_only_with_a_device_that_has_answered() -> None:
    governor = made()
    one = device(governor)

    def patience(**more: bool) -> float:
        given = {"datagram": False, "canary": False, "exempt": False} | more
        return governor.patience_s(one, 5.0, **given)

    assert (patience(), governor.connect_s(one)) == (5.0, rules.CONNECT_S)
    answered(governor, one)
    assert patience() == rules.PATIENCE_S
    assert patience(datagram=True) == rules.DATAGRAM_PATIENCE_S
    assert patience(canary=True) == rules.CANARY_PATIENCE_S
    assert patience(exempt=True) == 5.0
    assert governor.connect_s(one) < 1.0, "the kernel sends a second SYN after a second"


def test_from_the_last_sign_of_life_to_the_last_packet_it_is_less_than_five_seconds() -> None:
    """The slowest ways to find out, with a second of pacing before each connection."""
    a_second_after_the_last = 1.0
    connects = a_second_after_the_last + rules.KNOWN_CONNECT_S
    canary = CANARY_PAUSE_S + rules.CANARY_PATIENCE_S / 2  # its SYN, or its datagram's repetition

    two_ports = connects + max(1.0, rules.KNOWN_CONNECT_S) + canary
    questions = 2 * rules.DATAGRAM_PATIENCE_S  # SNMP's: one of a second, two of half
    with_datagrams = questions + wires.KNOWN_DRAIN_S + rules.KNOWN_CONNECT_S + canary
    hung = a_second_after_the_last + rules.PATIENCE_S

    assert max(two_ports, with_datagrams, hung) < 5.0


# --- clocks --------------------------------------------------------------------------------------


def test_a_clock_put_back_before_a_zone_is_asked_first_does_not_lengthen_its_window() -> None:
    time = Time()
    governor = made(between(START, START + timedelta(seconds=60)), time)
    one = device(governor)

    time.now += 10
    time.skew = timedelta(hours=-1)

    with pytest.raises(OutsideWindow):  # by the clock on the wall it has not begun
        governor.check(one, Tier.IDENTIFY, 1.0)
    wide = made(between(START - timedelta(hours=2), START + timedelta(seconds=60)), Time())
    other = device(wide)
    wide.clock = replace(
        wide.clock, wall=lambda: START - timedelta(hours=1), monotonic=lambda: 1059.0
    )
    with pytest.raises(OutsideWindow):  # by the other clock it is over in a second
        wide.check(other, Tier.IDENTIFY, 1.0)


def test_a_clock_put_forward_does_not_open_a_window_early() -> None:
    time = Time()
    opens = START + timedelta(minutes=30)
    governor = made(between(opens, opens + timedelta(hours=2)), time)
    one = device(governor)

    time.skew = timedelta(hours=1)

    with pytest.raises(OutsideWindow):
        governor.check(one, Tier.IDENTIFY, 1.0)


def test_a_clock_that_is_corrected_a_little_changes_nothing() -> None:
    time = Time()
    governor = made(between(START, START + timedelta(seconds=60)), time)

    time.skew = timedelta(seconds=-0.5)
    time.now += 1

    governor.check(device(governor), Tier.IDENTIFY, 1.0)


def test_the_request_of_a_connection_just_made_may_leave_after_a_halt_but_not_after_the_end() -> (
    None
):
    time = Time()
    governor = made(between(START, START + timedelta(seconds=60)), time)
    one = device(governor)
    governor.halt("Ctrl-C", rule="stop")

    with pytest.raises(Halted):
        governor.check(one, Tier.IDENTIFY, 5.0)
    governor.check(one, Tier.IDENTIFY, 5.0, begun=True)
    time.now += 60

    with pytest.raises(OutsideWindow):
        governor.check(one, Tier.IDENTIFY, 5.0, begun=True)


# --- on the wire ---------------------------------------------------------------------------------


async def nothing(session: object) -> tuple[()]:
    return ()


def probe(**changes: object) -> Probe:
    given: dict[str, object] = {
        "name": "modbus", "protocol": "modbus", "transport": Transport.TCP, "ports": (502,),
        "tier": Tier.IDENTIFY, "run": nothing, "questions": (), "deadline_s": 6.0,
    }  # fmt: skip
    return Probe(**given | changes)


@contextmanager
def peer(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """A listener on loopback whose connections are handed to `behave` one after another."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    behave(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def echo(connection: socket.socket) -> None:
    while data := connection.recv(1024):
        connection.sendall(data)


def mute(connection: socket.socket) -> None:
    """Reads until the other end has closed, and then closes too: alive, but says nothing."""
    while connection.recv(1024):
        pass


async def test_an_open_port_that_says_nothing_is_given_up_after_a_short_while(
    governed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "PATIENCE_S", 0.1)
    with peer(mute) as port:
        async with governed(probe(), port, profile=CALM) as session:
            answered(session.governor, session.device, port=1)
            began = asyncio.get_running_loop().time()
            with pytest.raises(Silent):
                await session.exchange(READ_IDENTITY, len, label="identity")
            assert asyncio.get_running_loop().time() - began < 2

    assert session.device.health.silent_ports == {port}
    assert session.device.health.stopped is None, "it closed its end: it is alive"


async def test_an_open_port_that_neither_answers_nor_closes_ends_the_device(
    governed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "PATIENCE_S", 0.1)
    monkeypatch.setattr(wires, "DRAIN_S", 0.1)
    over = threading.Event()
    with peer(lambda connection: over.wait(5) and None) as port:
        async with governed(probe(), port, profile=CALM) as session:
            answered(session.governor, session.device, port=1)
            with pytest.raises(Silent):
                await session.exchange(READ_IDENTITY, len, label="identity")
        over.set()

    assert session.device.health.stopped


async def test_a_silent_connect_counts_as_a_silence(
    governed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(wire: object, timeout_s: float, reservation: object = None) -> None:
        raise Silent("no answer to the connect")

    monkeypatch.setattr(wires.Wire, "_connect", never)
    async with governed(probe(), 502, profile=CALM) as session:
        answered(session.governor, session.device, port=1)
        with pytest.raises(Silent):
            await session.exchange(READ_IDENTITY, len, label="identity")
        with pytest.raises(Silent):  # a probe that goes on to another unit: no second SYN
            await session.exchange(READ_IDENTITY, len, label="identity")

    assert session.device.health.silent_ports == {502}
    assert len(session.evidence_kept.intents) == 1
    assert session.device.figures.packets == 1


async def test_the_next_question_to_a_silent_port_is_one_datagram_and_half_the_time(
    governed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "DATAGRAM_PATIENCE_S", 0.2)
    monkeypatch.setattr(wires, "KNOWN_DRAIN_S", 0.1)
    get = bytes.fromhex(
        "302602010104067075626c6963a019020101020100020100300e300c06082b060102010101000500"
    )
    snmp = probe(name="snmp", protocol="snmp", transport=Transport.UDP)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        async with governed(snmp, listener.getsockname()[1], profile=CALM) as session:
            answered(session.governor, session.device, port=1)
            for label in ("version 2c", "version 1", "version 3"):
                with pytest.raises(Silent):
                    await session.exchange(get, len, label=label)

    assert session.device.figures.packets == 2 + 1 + 1


async def test_a_reset_right_after_the_connect_is_noticed(governed) -> None:
    def reset(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with peer(reset) as port:
        async with governed(probe(), port, profile=CALM) as session:
            answered(session.governor, session.device, port=port)
            with pytest.raises(Reset):
                await session.exchange(READ_IDENTITY, len, label="identity")

    assert len(session.device.health.signs) == 1


async def test_a_halt_between_connect_and_request_still_sends_the_request(governed) -> None:
    """Without it the device saw a connection that nobody used (promise 8)."""
    heard: list[bytes] = []

    def listen(connection: socket.socket) -> None:
        while data := connection.recv(1024):
            heard.append(data)

    with peer(listen) as port:
        async with governed(probe(), port) as session:
            governor = session.governor
            noted = governor.note_connected

            def halt_then(*arguments: object) -> None:
                governor.halt("Ctrl-C", rule="stop")
                noted(*arguments)

            governor.note_connected = halt_then
            began = asyncio.get_running_loop().time()
            with pytest.raises(Halted):
                await session.exchange(READ_IDENTITY, len, label="identity")
        took = asyncio.get_running_loop().time() - began

    assert heard == [READ_IDENTITY]
    assert took < 2.0


async def test_a_reply_that_comes_soon_after_the_halt_is_kept(governed) -> None:
    with peer(echo) as port:
        async with governed(probe(), port) as session:
            noted = session.governor.note_connected

            def halt_then(*arguments: object) -> None:
                session.governor.halt("Ctrl-C", rule="stop")
                noted(*arguments)

            session.governor.note_connected = halt_then
            reply = await session.exchange(READ_IDENTITY, len, label="identity")

    assert reply == READ_IDENTITY


async def test_a_stop_of_the_zone_between_connect_and_request_still_sends_the_request(
    governed,
) -> None:
    with peer(echo) as port:
        async with governed(probe(), port) as session:
            noted = session.governor.note_connected

            def stop_then(*arguments: object) -> None:
                session.governor._zones["z"].stopped = "two devices showed signs of distress"
                noted(*arguments)

            session.governor.note_connected = stop_then
            reply = await session.exchange(READ_IDENTITY, len, label="identity")
            with pytest.raises(BreakerOpen):
                await session.exchange(READ_IDENTITY, len, label="identity")

    assert reply == READ_IDENTITY


async def test_no_connection_is_begun_that_leaves_no_time_for_its_request(governed) -> None:
    end = datetime.now(UTC) + timedelta(seconds=8)
    governor = Governor(
        Clock(
            monotonic=asyncio.get_running_loop().time,
            wall=lambda: datetime.now(UTC),
            sleep=asyncio.sleep,
        ),
        lambda zone, now: Permission(allowed=now < end, until=end, reason="closed"),
        lambda zone, address: True,
    )
    with peer(echo) as port:
        async with governed(probe(), port, governor=governor) as session:
            with pytest.raises(OutsideWindow):  # 2 s to connect, 5 s to answer, 2 s to close
                await session.exchange(READ_IDENTITY, len, label="identity")

    assert session.device.figures.packets == 0


async def test_a_paused_device_gets_no_further_request(governed) -> None:
    with peer(echo) as port:
        async with governed(probe(), port, profile=CALM) as session:
            await session.exchange(READ_IDENTITY, len, label="identity")
            session.governor.note_silence(session.device, port, "identity")
            with pytest.raises(BreakerOpen, match="paused"):
                await session.exchange(READ_IDENTITY, len, label="identity")


async def test_a_paused_device_that_answered_late_is_still_told_goodbye(governed) -> None:
    heard: list[bytes] = []

    def count(connection: socket.socket) -> None:
        while data := connection.recv(1024):
            heard.append(data)
            connection.sendall(data)

    leave = Question(label="leave", sample=READ_IDENTITY, goodbye=True)
    with peer(count) as port:
        async with governed(probe(questions=(leave,)), port, profile=CALM) as session:
            await session.exchange(READ_IDENTITY, len, label="identity")
            health = session.device.health
            health.needs_canary, health.paused = "a slow reply", True
            with pytest.raises(BreakerOpen, match="paused"):
                await session.exchange(READ_IDENTITY, len, label="identity")
            await session.exchange(READ_IDENTITY, None, label="goodbye")
            await session.exchange(READ_IDENTITY, len, label="leave")  # one with a reply
            await session.close()
            for framer, label in ((None, "goodbye"), (len, "leave")):
                with pytest.raises(BreakerOpen, match="paused"):  # none is opened to say it
                    await session.exchange(READ_IDENTITY, framer, label=label)

    assert b"".join(heard) == 3 * READ_IDENTITY


async def test_a_device_that_fell_silent_is_told_no_goodbye(governed) -> None:
    def mute(connection: socket.socket) -> None:
        while connection.recv(1024):
            pass

    with peer(mute) as port:
        async with governed(probe(), port, profile=CALM) as session:
            answered(session.governor, session.device, port=port)
            with pytest.raises(Silent):
                await session.exchange(READ_IDENTITY, len, label="identity", deadline_s=0.3)
            assert session.device.health.needs_canary
            with pytest.raises(BreakerOpen):
                await session.exchange(READ_IDENTITY, None, label="goodbye")


async def test_a_device_that_ended_it_itself_is_told_no_goodbye_and_that_is_no_second_sign(
    governed,
) -> None:
    def reset(connection: socket.socket) -> None:
        connection.recv(1024)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    leave = Question(label="leave", sample=READ_IDENTITY, goodbye=True)
    with peer(reset) as port:
        async with governed(probe(questions=(leave,)), port, profile=CALM) as session:
            answered(session.governor, session.device, port=port)
            with pytest.raises(Reset):
                await session.exchange(READ_IDENTITY, len, label="identity")
            signs = list(session.device.health.signs)
            for framer, label in ((None, "goodbye"), (len, "leave")):
                with pytest.raises(Closed):
                    await session.exchange(READ_IDENTITY, framer, label=label)

            assert session.device.health.signs == signs
            assert len(session.exchange_ids) == 1


async def test_a_goodbye_in_a_datagram_is_not_repeated(governed) -> None:
    heard: list[bytes] = []
    leave = Question(label="leave", sample=READ_IDENTITY, goodbye=True)
    asks = probe(transport=Transport.UDP, questions=(leave,))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        device.bind(("127.0.0.1", 0))
        device.setblocking(False)
        async with governed(asks, device.getsockname()[1], profile=CALM) as session:
            for label, times in (("leave", 1), ("identity", 2)):
                with pytest.raises(Silent):
                    await session.exchange(READ_IDENTITY, len, label=label, deadline_s=0.3)
                heard = []
                with suppress(BlockingIOError):
                    while data := device.recv(1024):
                        heard.append(data)
                assert len(heard) == times


async def test_between_two_connections_of_one_question_the_canary_is_asked_first(governed) -> None:
    asked: list[str] = []
    with peer(echo) as port:
        async with governed(probe(connections=2), port, profile=CALM) as session:

            async def canary() -> None:
                assert not session.device.slot.locked(), "it needs the device's one seat"
                asked.append(session.device.health.needs_canary or "")
                session.governor.note_canary(session.device, True, "well")

            session._ask_canary = canary
            await session.exchange(READ_IDENTITY, len, label="identity")
            await session.close()
            session.governor.note_silence(session.device, port, "identity")
            reply = await session.exchange(READ_IDENTITY, len, label="identity")

    assert reply == READ_IDENTITY
    assert len(asked) == 1


async def test_a_canary_is_over_with_its_first_answer(governed) -> None:
    heard: list[bytes] = []

    def count(connection: socket.socket) -> None:
        while data := connection.recv(1024):
            heard.append(data)
            connection.sendall(data)

    with peer(count) as port:
        async with governed(probe(), port, profile=CALM) as session:
            session._canary = True
            answered(session.governor, session.device, port=port)
            session.device.health.identified_by.add((port, "identity"))
            with pytest.raises(Silent):  # this one it never answered: it is not put
                await session.exchange(READ_IDENTITY, len, label="another")
            await session.exchange(READ_IDENTITY, len, label="identity")
            with pytest.raises(CanaryAnswered):
                await session.exchange(READ_IDENTITY, len, label="identity")

    assert heard == [READ_IDENTITY]


async def test_a_canary_gives_back_the_session_that_it_was_answered_with(governed) -> None:
    heard: list[bytes] = []

    def count(connection: socket.socket) -> None:
        while data := connection.recv(1024):
            heard.append(data)
            connection.sendall(data)

    leave = Question(label="leave", sample=READ_IDENTITY, goodbye=True)
    with peer(count) as port:
        async with governed(probe(questions=(leave,)), port, profile=CALM) as session:
            session._canary = True
            answered(session.governor, session.device, port=port)
            session.device.health.identified_by.add((port, "identity"))
            with pytest.raises(Silent):  # nothing was opened yet
                await session.exchange(READ_IDENTITY, len, label="leave")
            await session.exchange(READ_IDENTITY, len, label="identity")
            with pytest.raises(CanaryAnswered):
                await session.exchange(READ_IDENTITY, len, label="identity")
            await session.exchange(READ_IDENTITY, len, label="leave")
            await session.close()
            with pytest.raises(CanaryAnswered):  # no connection is made to say it
                await session.exchange(READ_IDENTITY, len, label="leave")

    assert heard == 2 * [READ_IDENTITY]


async def test_a_canary_of_a_resumed_scan_asks_what_its_probe_asks(governed) -> None:
    """Only the read tier has answered in this sitting; that failed a canary of a healthy device."""
    with peer(echo) as port:
        async with governed(probe(), port, profile=CALM) as session:
            session._canary = True
            session.governor.note_answer(session.device, port, "by a library", 0.01, exempt=False)
            await session.exchange(READ_IDENTITY, len, label="identity")
            with pytest.raises(CanaryAnswered):
                await session.exchange(READ_IDENTITY, len, label="identity")


async def test_a_canary_is_over_with_its_first_silence(
    governed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "CANARY_PATIENCE_S", 0.1)
    heard: list[bytes] = []

    def listen(connection: socket.socket) -> None:
        while data := connection.recv(1024):
            heard.append(data)

    with peer(listen) as port:
        async with governed(probe(), port, profile=CALM) as session:
            session._canary = True
            answered(session.governor, session.device, port=port)
            session.device.health.identified_by.add((port, "identity"))
            for _ in range(2):
                with pytest.raises(Silent):
                    await session.exchange(READ_IDENTITY, len, label="identity")

    assert heard == [READ_IDENTITY]


@pytest.mark.parametrize("resumed", [False, True], ids=["same sitting", "resumed"])
async def test_a_canary_whose_connection_was_ended_makes_no_second(governed, resumed: bool) -> None:
    heard: list[bytes] = []

    def hang_up(connection: socket.socket) -> None:
        heard.append(connection.recv(1024))

    with peer(hang_up) as port:
        async with governed(probe(connections=2), port, profile=CALM) as session:
            session._canary = True
            answered(session.governor, session.device, port=port)
            if not resumed:
                session.device.health.identified_by.add((port, "identity"))
            for _ in range(2):
                with pytest.raises(Closed):
                    await session.exchange(READ_IDENTITY, len, label="identity")
                await session.close()

    assert heard == [READ_IDENTITY]
    assert session.device.figures.connections == 1


# --- bounded time --------------------------------------------------------------------------------


async def test_a_request_never_has_more_than_five_seconds_and_a_session_not_more_than_its_tier(
    governed,
) -> None:
    async with governed(probe(deadline_s=600.0), 502) as identify:
        assert identify._left() <= 15
        assert identify._bounded(60.0) <= 5
    async with governed(probe(deadline_s=600.0, tier=Tier.READ), 502) as read:
        assert 15 < read._left() <= 120


async def test_a_probe_that_waits_for_something_else_than_its_session_is_ended(
    governed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "OVERTIME_S", 0.05)
    ended: list[str] = []

    async def forgets() -> tuple[()]:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return ()

    async with governed(probe(deadline_s=0.05), 502) as session:
        with pytest.raises(Silent, match="whole conversation"):
            await session.in_time(forgets())

    assert ended == ["cancelled"]


async def test_a_library_that_gets_no_answer_within_a_request_is_cut_off(
    governed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "REQUEST_S", 0.2)
    ssh = probe(name="ssh", protocol="ssh", tier=Tier.READ, deadline_s=60.0)
    with peer(mute) as port:
        async with governed(ssh, port) as session:
            began = asyncio.get_running_loop().time()
            with pytest.raises(Silent):
                async with session.duplex() as stream:
                    stream.sendall(b"SSH-2.0-Walkdown\r\n")
                    await asyncio.to_thread(stream.recv, 100)
            assert asyncio.get_running_loop().time() - began < 3
