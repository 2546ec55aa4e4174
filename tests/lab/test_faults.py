"""Each fault does to a plain client what its name says, and the ledger says that it did."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import struct
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import asyncssh
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import LabError
from lab.faults import FAULTS
from lab.faults import given as fault_given
from lab.faults.bombs import XML_LAUGHS, packed
from lab.faults.hostile_text import PAYLOADS
from lab.faults.rogue import spellings
from lab.faults.wrong_frames import with_length, with_reference
from lab.frames import Splitter, community_of, with_community
from lab.frames.enip import enip_busy
from lab.frames.modbus import modbus_exception
from lab.frames.s7 import s7_busy
from lab.frames.snmp import request_id, snmp_error
from tests.lab.conftest import OFFSET, address

READ_IDENTITY = bytes.fromhex("000100000005ff2b0e0100")
LIST_IDENTITY = bytes.fromhex("6300") + bytes(22)
COTP = bytes.fromhex("0300001611e00000000100c0010ac1020100c2020102")
SETUP = bytes.fromhex("0300001902f08032010000000100080000f0000001000101e0")
SZL = bytes.fromhex("0300002102f080320700000200000800080001120411440100ff09000400110001")
GET_DESCR = bytes.fromhex(
    "302902010104067075626c6963a01c020411223344020100020100300e300c06082b060102010101000500"
)
Dial = Callable[[int, int], socket.socket]

MODBUS: dict[str, Any] = {"protocol": "modbus", "objects": {0: "Example", 1: "E-1", 2: "v1"}}
WEB: dict[str, Any] = {
    "protocol": "http", "title": "Panel", "server": "nginx", "login": "basic", "realm": "R",
    "users": {"admin": "right"},
}  # fmt: skip
SSH: dict[str, Any] = {
    "protocol": "ssh", "emulator": "ssh_linux", "version": "OpenSSH_9.2p1", "hostname": "h",
    "methods": ["password"], "users": {"operator": "right"},
}  # fmt: skip
TELNET: dict[str, Any] = {"protocol": "telnet", "banner": "hello\n", "users": {"admin": "right"}}
SNMP: dict[str, Any] = {
    "protocol": "snmp", "versions": ["1", "2c"], "communities": ["public"],
    "engine_id": "80001f8880aabb", "system": {"descr": "A switch", "name": "SW"},
}  # fmt: skip
ENIP: dict[str, Any] = {
    "protocol": "enip", "vendor_id": 1, "device_type": 14, "product_code": 1,
    "revision": "1.1", "serial": "01020304", "product_name": "X",
}  # fmt: skip
S7: dict[str, Any] = {
    "protocol": "s7", "order_number": "6ES7 315-2EH14-0AB0", "firmware": "3.2.7",
    "components": {1: "A", 7: "CPU"},
}  # fmt: skip


def faulty(service: dict[str, Any], name: str, **parameters: Any) -> dict[str, Any]:
    return {"services": [service], "faults": [{"name": name, **parameters}]}


def ask(sock: socket.socket, request: bytes = READ_IDENTITY) -> bytes:
    sock.sendall(request)
    return sock.recv(65536)


def everything(sock: socket.socket) -> bytes:
    """All that comes until the device's FIN."""
    found = b""
    while data := sock.recv(65536):
        found += data
    return found


def get(sock: socket.socket, *headers: str) -> bytes:
    """One page over a connection that the server is asked to close."""
    lines = ["GET / HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]
    sock.sendall("\r\n".join(lines).encode())
    return everything(sock)


def basic(user: str, password: str) -> str:
    import base64

    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def datagram(n: int, port: int, request: bytes, *, timeout: float = 2.0) -> list[bytes]:
    """The datagrams that come back until `timeout` seconds without one."""
    replies = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        sock.connect((address(n), port + OFFSET))
        sock.send(request)
        try:
            while True:
                replies.append(sock.recv(65536))
                sock.settimeout(0.3)
        except TimeoutError:
            return replies


async def off_loop(call: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(call)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


# --- the table ---------------------------------------------------------------------------------


def test_the_table_has_every_behaviour_that_the_contract_lists() -> None:
    listed = {
        "silent", "dropped", "slow_ramp", "reset_at_byte", "half_close", "drip", "endless",
        "length_zero", "length_max", "length_shorter", "length_longer", "wrong_transaction",
        "two_replies", "reply_after_close", "late", "busy", "gateway_0a", "gateway_0b",
        "seats_refuse", "seats_evict", "dies_after_packets", "dies_at", "resets_at", "slows_at",
        "lockout_told", "lockout_untold", "hostile_text", "bomb_gzip", "bomb_xml_laughs",
        "bomb_xml_external", "bomb_yaml", "rogue", "redirects",
    }  # fmt: skip
    assert listed <= set(FAULTS)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_behaviour_explains_itself_and_takes_its_variants(name: str) -> None:
    behaviour = FAULTS[name]

    assert behaviour.meaning.endswith(".")
    assert behaviour.make is not None or behaviour.alter is not None
    assert behaviour.variants[0] == {} or name == "hostile_text"
    for variant in behaviour.variants:
        fault_given("D", {"name": name, **variant})


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"name": "silnt"}, "no fault 'silnt'; did you mean 'silent'"),
        ({"name": "drip", "speed": 1}, "fault drip has no speed"),
    ],
)
def test_a_mistake_in_a_fault_is_told(entry: dict[str, Any], says: str) -> None:
    with pytest.raises(LabError, match=says):
        fault_given("D", entry)


# --- silence -----------------------------------------------------------------------------------


async def test_a_silent_device_reads_and_never_answers(begin, dial) -> None:
    plant = await begin(faulty(MODBUS, "silent"))

    def client() -> None:
        sock = dial(1, 502)
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            ask(sock)
        sock.close()

    await off_loop(client)

    ledger = plant.ledgers["D1"]
    assert ledger.functions == {"modbus 43/14": 1}
    assert ledger.faults == {"request left unanswered": 1}


async def test_a_silent_agent_gets_the_datagram_and_sends_none(begin) -> None:
    plant = await begin(faulty(SNMP, "silent"))

    assert await off_loop(lambda: datagram(1, 161, GET_DESCR, timeout=0.3)) == []
    assert plant.ledgers["D1"].datagrams == 1


async def test_after_so_many_good_connections_the_fault_wakes(begin, dial) -> None:
    await begin(faulty(MODBUS, "silent", after=2))

    def client() -> None:
        for _ in range(2):
            with dial(1, 502) as sock:
                assert b"Example" in ask(sock)
        with dial(1, 502) as sock:
            sock.settimeout(0.2)
            with pytest.raises(TimeoutError):
                ask(sock)

    await off_loop(client)


async def test_a_closed_port_refuses(begin, dial) -> None:
    await begin(faulty(MODBUS, "closed", after=1))

    def client() -> None:
        with dial(1, 502) as sock:
            assert b"Example" in ask(sock)
        with pytest.raises(ConnectionRefusedError):
            dial(1, 502)

    await off_loop(client)


async def test_a_closed_datagram_port_says_so_by_icmp(begin) -> None:
    await begin(faulty(SNMP, "closed"))

    with pytest.raises(ConnectionRefusedError):
        await off_loop(lambda: datagram(1, 161, GET_DESCR, timeout=1))


async def test_a_dropping_port_does_not_even_take_the_connection(begin) -> None:
    plant = await begin(faulty(MODBUS, "dropped"))

    def client() -> None:
        with socket.socket() as sock:
            sock.settimeout(0.3)
            with pytest.raises(TimeoutError):
                sock.connect((address(1), 502 + OFFSET))

    await off_loop(client)

    seen = plant.ledgers["D1"].as_dict()
    assert seen["connections"] == 0
    assert seen["packets_after_death"] >= 1


async def test_a_device_that_has_died_acknowledges_nothing(begin, dial) -> None:
    plant = await begin(faulty(MODBUS, "dies_after_packets", n=3))

    def client() -> int:
        sock = dial(1, 502)
        assert b"Example" in ask(sock)
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            ask(sock)  # the third packet kills it
        sock.sendall(READ_IDENTITY)
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        unacknowledged = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 64)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        return struct.unpack_from("I", unacknowledged, 24)[0]

    unacked = await off_loop(client)

    seen = plant.ledgers["D1"].as_dict()
    assert unacked >= 1
    assert seen["cause_of_death"] == "fault dies_after_packets"
    assert int(str(seen["packets_after_death"])) >= 1


async def test_a_device_dies_on_all_its_ports_at_its_moment(begin, dial) -> None:
    plant = await begin(
        {"services": [MODBUS, WEB], "faults": [{"name": "dies_at", "after_s": 0.1}]}
    )

    def client() -> None:
        with dial(1, 502) as sock:
            assert b"Example" in ask(sock)

    await off_loop(client)
    await until(lambda: not plant.ledgers["D1"].alive)

    def nobody() -> None:
        with socket.socket() as sock:
            sock.settimeout(0.3)
            with pytest.raises(TimeoutError):
                sock.connect((address(1), 80 + OFFSET))

    await off_loop(nobody)


async def test_at_its_moment_a_device_resets_old_and_new_connections(begin, dial) -> None:
    plant = await begin(faulty(MODBUS, "resets_at", after_s=0.2))

    def client() -> None:
        with dial(1, 502) as old:
            assert b"Example" in ask(old)
            with pytest.raises(ConnectionResetError):
                old.recv(1)
        with pytest.raises(ConnectionResetError), dial(1, 502) as new:  # or while it connects
            ask(new)
            new.recv(1)

    await off_loop(client)

    assert plant.ledgers["D1"].faults["connection reset"] == 2
    assert plant.ledgers["D1"].resets == 0  # none of them the client's


# --- time --------------------------------------------------------------------------------------


async def test_replies_take_longer_and_longer(begin, dial) -> None:
    await begin(faulty(MODBUS, "slow_ramp", first_s=0.05, last_s=0.2))
    loop = asyncio.get_running_loop()

    def client() -> list[float]:
        took = []
        with dial(1, 502) as sock:
            for _ in range(4):
                begun = loop.time()
                ask(sock)
                took.append(loop.time() - begun)
        return took

    took = await off_loop(client)

    assert [each >= least for each, least in zip(took, (0.05, 0.1, 0.2, 0.2), strict=True)] == [
        True
    ] * 4


async def test_replies_drip(begin, dial) -> None:
    await begin(faulty(MODBUS, "drip", interval_s=0.02))

    def client() -> list[int]:
        with dial(1, 502) as sock:
            sock.sendall(READ_IDENTITY)
            return [len(sock.recv(1024)) for _ in range(4)]

    assert await off_loop(client) == [1, 1, 1, 1]


async def test_a_reply_comes_after_the_clients_close(begin, dial) -> None:
    plant = await begin(faulty(MODBUS, "reply_after_close"))

    def client() -> bytes:
        with dial(1, 502) as sock:
            sock.settimeout(0.1)
            with pytest.raises(TimeoutError):
                ask(sock)
            sock.settimeout(2)
            sock.shutdown(socket.SHUT_WR)
            return everything(sock)

    assert b"Example" in await off_loop(client)
    assert plant.ledgers["D1"].faults == {"reply after close": 1}


async def test_a_late_reply_is_late_for_datagrams_too(begin) -> None:
    plant = await begin(faulty(SNMP, "late", delay_s=0.4))

    assert await off_loop(lambda: datagram(1, 161, GET_DESCR, timeout=0.2)) == []
    await until(lambda: plant.ledgers["D1"].faults["late reply"] == 1)


async def test_from_its_moment_on_a_device_is_slow(begin, dial) -> None:
    plant = await begin(faulty(MODBUS, "slows_at", after_s=0.05, delay_s=0.3))
    with dial(1, 502) as sock:
        await off_loop(partial(ask, sock))
        await until(lambda: plant.ledgers["D1"].faults["became slow"])
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            await off_loop(partial(ask, sock))


# --- ends that come early ----------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 7, 12])
async def test_a_connection_is_reset_at_byte_n(begin, dial, n: int) -> None:
    plant = await begin(faulty(MODBUS, "reset_at_byte", n=n))

    def client() -> bytes:
        found = b""
        with dial(1, 502) as sock:
            sock.sendall(READ_IDENTITY)
            with pytest.raises(ConnectionResetError):
                while data := sock.recv(1024):
                    found += data
        return found

    assert len(await off_loop(client)) == n
    assert plant.ledgers["D1"].faults == {f"reset after byte {n}": 1}


async def test_the_byte_of_the_reset_moves_with_each_connection(begin, dial) -> None:
    plant = await begin(faulty(MODBUS, "reset_at_byte", n=0, cycle=3))

    def client() -> None:
        for _ in range(4):
            with dial(1, 502) as sock, pytest.raises(ConnectionResetError):
                while ask(sock):
                    pass

    await off_loop(client)

    assert plant.ledgers["D1"].faults == {
        "reset after byte 0": 2,
        "reset after byte 1": 1,
        "reset after byte 2": 1,
    }


async def test_half_closed_after_the_header_the_device_still_reads(begin, dial) -> None:
    plant = await begin(faulty(MODBUS, "half_close"))

    def client() -> bytes:
        with dial(1, 502) as sock:
            sock.sendall(READ_IDENTITY)
            found = everything(sock)
            sock.sendall(READ_IDENTITY)  # no RST comes back
            sock.shutdown(socket.SHUT_WR)
            return found

    assert len(await off_loop(client)) == 7
    await until(lambda: plant.ledgers["D1"].requests == 2)


async def test_a_datagram_is_cut(begin) -> None:
    await begin(faulty(SNMP, "cut_datagram"))

    assert [len(each) for each in await off_loop(lambda: datagram(1, 161, GET_DESCR))] == [2]


async def test_goes_silent_after_its_first_reply(begin, dial) -> None:
    await begin(faulty(MODBUS, "goes_silent"))

    def client() -> None:
        with dial(1, 502) as sock:
            assert b"Example" in ask(sock)
            sock.settimeout(0.2)
            with pytest.raises(TimeoutError):
                ask(sock)

    await off_loop(client)


# --- false frames ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "told"),
    [("length_zero", 0), ("length_max", 0xFFFF), ("length_shorter", -1), ("length_longer", 7)],
)
async def test_a_modbus_length_lies(begin, dial, name: str, told: int) -> None:
    await begin(faulty(MODBUS, name))

    def client() -> bytes:
        with dial(1, 502) as sock:
            return ask(sock)

    reply = await off_loop(client)

    right = len(reply) - 6
    assert int.from_bytes(reply[4:6], "big") == (right + told if told in (-1, 7) else told)


async def test_content_length_lies_and_the_rest_of_the_page_is_right(begin, dial) -> None:
    await begin(faulty({**WEB, "login": "none"}, "length_longer"))

    def client() -> bytes:
        with dial(1, 80) as sock:
            return get(sock)

    head, _, body = (await off_loop(client)).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body) + 7}".encode() in head
    assert b"Panel" in body


async def test_an_ssh_packet_says_a_false_length(begin, dial) -> None:
    await begin(faulty(SSH, "length_max"))

    def client() -> bytes:
        with dial(1, 22) as sock:
            sock.sendall(b"SSH-2.0-test\r\n")
            found = b""
            while len(found.partition(b"\n")[2]) < 4:
                found += sock.recv(4096)
            return found

    assert (await off_loop(client)).partition(b"\n")[2][:4] == b"\xff\xff\xff\xff"


async def test_a_reply_refers_to_another_question(begin, dial) -> None:
    plant = await begin(faulty(MODBUS, "wrong_transaction"))

    def client() -> bytes:
        with dial(1, 502) as sock:
            return ask(sock)

    assert (await off_loop(client))[:2] != READ_IDENTITY[:2]
    assert plant.ledgers["D1"].faults == {"wrong reference": 1}


async def test_replies_come_twice_over_tcp_and_udp(begin, dial) -> None:
    await begin(faulty(ENIP, "two_replies"))

    def client() -> list[bytes]:
        with dial(1, 44818) as sock:
            sock.sendall(LIST_IDENTITY)
            found = b""
            while len(Splitter("enip").feed(found)) < 2:
                found += sock.recv(4096)
            return Splitter("enip").feed(found)

    first, second = await off_loop(client)
    assert first == second
    assert len(await off_loop(lambda: datagram(1, 44818, LIST_IDENTITY))) == 2


@pytest.mark.parametrize(
    ("service", "port", "start"),
    [(MODBUS, 502, b"\0\x01"), ({**WEB, "login": "none"}, 80, b"HTTP")],
)
async def test_an_endless_reply_begins_well(
    begin, dial, service: dict[str, Any], port: int, start: bytes
) -> None:
    await begin(faulty(service, "endless"))

    def client() -> bytes:
        found = b""
        with dial(1, port) as sock:
            sock.sendall(READ_IDENTITY if port == 502 else b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            while len(found) < 2_000_000:
                found += sock.recv(65536)
        return found

    found = await off_loop(client)
    assert found.startswith(start)
    assert found.endswith(b"AAAA")


async def test_an_endless_banner_never_comes_to_the_point(begin, dial) -> None:
    await begin(faulty(SSH, "endless_banner", interval_s=0.001))

    def client() -> bytes:
        with dial(1, 22) as sock:
            return b"".join(sock.recv(4096) for _ in range(20))

    found = await off_loop(client)
    assert b"SSH-" not in found
    assert found.count(b"\r\n") >= 20


# --- busy --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "code"), [("busy", 6), ("gateway_0a", 10), ("gateway_0b", 11)])
async def test_modbus_exceptions(begin, dial, name: str, code: int) -> None:
    await begin(faulty(MODBUS, name))

    def client() -> bytes:
        with dial(1, 502) as sock:
            return ask(sock)

    assert await off_loop(client) == bytes.fromhex("000100000003ffab") + bytes([code])


async def test_a_busy_agent_says_gen_err(begin) -> None:
    await begin(faulty(SNMP, "busy"))

    (reply,) = await off_loop(lambda: datagram(1, 161, GET_DESCR))

    span = request_id(reply)
    assert span is not None
    assert reply[span[1] : span[1] + 6] == b"\x02\x01\x05\x02\x01\x01"


async def test_a_busy_controller_disconnects_at_the_transport(begin, dial) -> None:
    await begin(faulty(S7, "busy"))

    def client() -> bytes:
        with dial(1, 102) as sock:
            return ask(sock, COTP)

    reply = await off_loop(client)
    assert (reply[5], len(reply)) == (0x80, 11)
    assert reply[6:8] == COTP[8:10]


async def test_a_busy_page_says_when_to_come_back(begin, dial) -> None:
    await begin(faulty(WEB, "busy"))

    def client() -> bytes:
        with dial(1, 80) as sock:
            return get(sock)

    reply = await off_loop(client)
    assert reply.startswith(b"HTTP/1.1 503")
    assert b"Retry-After: 120" in reply


@pytest.mark.parametrize(("service", "port"), [(SSH, 22), (TELNET, 23)])
async def test_a_busy_terminal_says_so_and_ends(
    begin, dial, service: dict[str, Any], port: int
) -> None:
    await begin(faulty(service, "busy"))

    def client() -> bytes:
        with dial(1, port) as sock:
            sock.sendall(b"SSH-2.0-test\r\n" if port == 22 else b"\r\n")
            return everything(sock)

    said = await off_loop(client)
    assert b"MaxStartups" in said or b"Too many users" in said
    assert b"SSH-2.0" not in said


# --- seats -------------------------------------------------------------------------------------


async def test_with_three_of_four_seats_taken_one_more_connection_is_served(begin, dial) -> None:
    plant = await begin(faulty(MODBUS, "seats_evict", taken=3))

    def client() -> None:
        with dial(1, 502) as sock:
            assert b"Example" in ask(sock)

    await off_loop(client)

    assert plant.ledgers["D1"].faults == {}


async def test_a_fifth_client_throws_the_oldest_out(begin, dial) -> None:
    plant = await begin(faulty(MODBUS, "seats_evict", seats=2, taken=0))

    def client() -> None:
        with dial(1, 502) as oldest, dial(1, 502) as second:
            ask(oldest)
            ask(second)
            with dial(1, 502) as third:
                assert b"Example" in ask(third)
                assert oldest.recv(1) == b""
                assert b"Example" in ask(second)

    await off_loop(client)

    assert plant.ledgers["D1"].faults == {"own connection evicted": 1}


async def test_another_clients_eviction_is_told_apart(begin, dial) -> None:
    plant = await begin(faulty(MODBUS, "seats_evict", seats=1, taken=0))

    def client() -> None:
        with socket.socket() as foreign:
            foreign.bind((address(99), 0))
            foreign.settimeout(3)
            foreign.connect((address(1), 502 + OFFSET))
            ask(foreign)
            with dial(1, 502) as ours:
                ask(ours)
            assert foreign.recv(1) == b""

    await off_loop(client)

    assert plant.ledgers["D1"].faults == {"foreign client evicted": 1}


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_full_pool_refuses(begin, dial, how: str) -> None:
    plant = await begin(faulty(MODBUS, "seats_refuse", how=how))

    def client() -> bool:
        try:
            with dial(1, 502) as sock:
                return ask(sock) == b""
        except ConnectionResetError:
            return how == "reset"

    assert await off_loop(client)
    assert plant.ledgers["D1"].faults == {"seat refused": 1}


# --- logins ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [423, 429, 403])
async def test_a_locked_web_account_is_told(begin, dial, status: int) -> None:
    plant = await begin(faulty(WEB, "lockout_told", status=status, changed=False))

    def client() -> list[bytes]:
        found = []
        for password in ("a", "b", "c", "right"):
            with dial(1, 80) as sock:
                found.append(get(sock, basic("admin", password))[9:12])
        return found

    told = str(status).encode()
    assert await off_loop(client) == [b"401", b"401", told, told]
    assert plant.ledgers["D1"].lockouts == 1


async def test_a_lock_that_is_not_told_looks_like_a_wrong_password(begin, dial) -> None:
    plant = await begin(faulty(WEB, "lockout_untold", changed=False))

    def client() -> list[bytes]:
        found = []
        for password in ("a", "b", "c", "right"):
            with dial(1, 80) as sock:
                found.append(get(sock, basic("admin", password))[9:12])
        return found

    assert await off_loop(client) == [b"401"] * 4
    assert plant.ledgers["D1"].lockouts == 1


async def ssh(password: str) -> asyncssh.SSHClientConnection:
    return await asyncssh.connect(
        address(1), 22 + OFFSET, username="operator", password=password, known_hosts=None,
        client_keys=None, config=None, agent_path=None, login_timeout=5,
    )  # fmt: skip


async def test_a_locked_ssh_account_ends_the_connection_and_says_why(begin) -> None:
    plant = await begin(faulty(SSH, "lockout_told", failures=1, changed=False))

    with pytest.raises(asyncssh.DisconnectError, match="Too many authentication failures"):
        await ssh("wrong")
    assert plant.ledgers["D1"].lockouts == 1


async def test_a_rogue_ssh_server_has_another_key_and_takes_what_it_is_given(begin) -> None:
    plant = await begin(
        faulty(SSH, "rogue", canaries=["site-secret"]), {"services": [{**SSH, "host_key": "D1"}]}
    )
    presented = await asyncssh.get_server_host_key(address(1), 22 + OFFSET, config=None)
    assert presented is not None
    assert presented.get_fingerprint("sha256") != plant.host_keys["D1"]

    (await ssh("site-secret")).close()

    assert plant.ledgers["D1"].faults == {"secret received": 1, "canary received": 1}
    assert "site-secret" not in repr(plant.ledgers["D1"].as_dict())


async def test_a_rogue_page_lures_and_counts_canaries(begin, dial) -> None:
    plant = await begin(faulty(WEB, "rogue", how="asks_again", canaries=["site-secret"]))

    def client() -> bytes:
        with dial(1, 80) as sock:
            return get(sock, basic("u", "site-secret"))

    reply = await off_loop(client)
    assert reply.startswith(b"HTTP/1.1 401")
    assert b"NTLM" in reply
    faults = plant.ledgers["D1"].faults
    assert faults["secret received"] == 1
    assert faults["canary received"] >= 1


async def test_a_rogue_agent_takes_any_community(begin) -> None:
    plant = await begin(faulty(SNMP, "rogue", canaries=["my-community"]))

    (reply,) = await off_loop(lambda: datagram(1, 161, with_community(GET_DESCR, b"my-community")))

    assert b"A switch" in reply
    assert community_of(reply) == b"my-community"
    assert plant.ledgers["D1"].faults == {"secret received": 1, "canary received": 1}


async def test_a_rogue_telnet_console_lets_anybody_in(begin, dial) -> None:
    plant = await begin(faulty(TELNET, "rogue", canaries=["site-secret"]))

    def client() -> None:
        with dial(1, 23) as sock:
            seen = b""
            for prompt, answer in ((b"login: ", b"me\r\n"), (b"Password: ", b"site-secret\r\n")):
                while prompt not in seen:
                    seen += sock.recv(1024)
                sock.sendall(answer)
            while b"> " not in seen:
                seen += sock.recv(1024)

    await off_loop(client)

    assert plant.ledgers["D1"].faults["secret received"] == 1
    assert plant.ledgers["D1"].logins == {"telnet me accepted": 1}


async def test_a_page_sends_elsewhere(begin, dial) -> None:
    await begin(faulty(WEB, "redirects", to="http://192.0.2.9/x"))

    def client() -> bytes:
        with dial(1, 80) as sock:
            return get(sock)

    assert b"Location: http://192.0.2.9/x" in await off_loop(client)


LETTERS = st.characters(codec="ascii", categories=["L", "N"])


@given(st.text(min_size=6, max_size=20, alphabet=LETTERS), st.text(max_size=9), st.text(max_size=9))
def test_a_canary_is_found_wherever_it_stands_in_base64(
    canary: str, before: str, after: str
) -> None:
    import base64

    stream = base64.b64encode(before.encode() + canary.encode() + after.encode())

    assert any(each in stream for each in spellings(canary))


# --- text and bombs ----------------------------------------------------------------------------


async def test_every_string_of_a_controller_is_hostile(begin, dial) -> None:
    await begin(faulty(MODBUS, "hostile_text", payloads=["\x1b[2J", "=1+1"]))

    def client() -> bytes:
        with dial(1, 502) as sock:
            return ask(sock)

    reply = await off_loop(client)
    assert b"Example \x1b[2J" in reply
    assert b"E-1 =1+1" in reply


@pytest.mark.parametrize("seed", range(0, len(PAYLOADS), 7))
async def test_hostile_strings_leave_every_emulator_able_to_answer(begin, dial, seed: int) -> None:
    services = [
        MODBUS, S7, ENIP, SNMP, WEB | {"login": "none"}, SSH | {"banner": "b"}, TELNET,
        {"protocol": "https", "title": "T", "tls": "good"},
    ]  # fmt: skip
    plant = await begin(
        {"services": services, "faults": [{"name": "hostile_text", "seed": seed, "whole": True}]}
    )

    def client() -> None:
        with dial(1, 502) as sock:
            assert ask(sock)[7] == 0x2B
        with dial(1, 44818) as sock:
            assert ask(sock, LIST_IDENTITY)[:2] == b"\x63\0"
        with dial(1, 80) as sock:
            assert get(sock).startswith(b"HTTP/1.1 200")
        with dial(1, 22) as sock:
            assert ask(sock, b"SSH-2.0-test\r\n").startswith(b"SSH-2.0-")
        with dial(1, 102) as sock:
            assert ask(sock, COTP)[5] == 0xD0
            ask(sock, SETUP)
            assert ask(sock, SZL)[:2] == b"\x03\0"
        assert len(datagram(1, 161, GET_DESCR)) == 1
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with dial(1, 443) as sock, context.wrap_socket(sock) as secured:
            assert secured.getpeercert(binary_form=True)

    await off_loop(client)
    assert plant.ledgers["D1"].alive


async def test_a_gzip_bomb_is_small_on_the_wire(begin, dial) -> None:
    await begin(faulty(WEB, "bomb_gzip", mebibytes=8))

    def client() -> bytes:
        with dial(1, 80) as sock:
            return get(sock)

    head, _, body = (await off_loop(client)).partition(b"\r\n\r\n")
    assert b"Content-Encoding: gzip" in head
    assert len(body) < 100_000
    assert len(gzip.decompress(body)) == 8 << 20


def test_a_deflate_bomb_unpacks_to_its_size() -> None:
    assert len(zlib.decompress(packed("deflate", 3))) == 3 << 20


def test_the_entities_of_the_xml_bomb_grow() -> None:
    assert XML_LAUGHS.count("<!ENTITY") == 10
    assert XML_LAUGHS.count("&lol0;") == 10


@pytest.mark.parametrize(
    "name",
    ["bomb_xml_laughs", "bomb_xml_external", "bomb_yaml", "bomb_deep_html", "bomb_deep_json",
     "bomb_gzip_twice", "bomb_deflate"],
)  # fmt: skip
async def test_every_whole_bomb_is_a_page(begin, dial, name: str) -> None:
    await begin(faulty(WEB, name, mebibytes=2))

    def client() -> bytes:
        with dial(1, 80) as sock:
            return get(sock)

    assert (await off_loop(client)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("name", "seen"), [("bomb_chunks", b"\r\n1000\r\n"), ("bomb_headers", b"\r\nX-Filler: ")]
)
async def test_some_pages_never_end(begin, dial, name: str, seen: bytes) -> None:
    await begin(faulty(WEB, name))

    def client() -> bytes:
        found = b""
        with dial(1, 80) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            while len(found) < 500_000:
                found += sock.recv(65536)
        return found

    assert (await off_loop(client)).count(seen) > 10


# --- frames, whatever comes --------------------------------------------------------------------

PROTOCOLS = st.sampled_from(["modbus", "s7", "enip", "https", "snmp", "ssh"])
LIES = st.sampled_from(["zero", "max", "shorter", "longer"])


@given(PROTOCOLS, st.binary(max_size=80), LIES)
def test_a_false_length_changes_the_length_and_nothing_else(protocol, frame, lie) -> None:
    spoiled = with_length(protocol, frame, lie)

    if protocol == "snmp" and lie == "max":
        return  # takes the long form
    assert len(spoiled) == len(frame)
    if protocol != "snmp":  # whose length may say of itself that it is longer than four bytes
        assert sum(a != b for a, b in zip(spoiled, frame, strict=True)) <= 4


@given(st.sampled_from(["modbus", "s7", "enip", "snmp"]), st.binary(max_size=80))
def test_a_wrong_reference_keeps_the_size(protocol: str, frame: bytes) -> None:
    assert len(with_reference(protocol, frame)) == len(frame)


@given(st.integers(0, 0x7FFFFFFF))
def test_an_snmp_reply_always_gets_another_request_id(number: int) -> None:
    size = max(1, (number.bit_length() + 8) // 8)
    pdu = b"\x02" + bytes([size]) + number.to_bytes(size, "big") + bytes.fromhex("0201000201003000")
    body = bytes.fromhex("02010104067075626c6963a2") + bytes([len(pdu)]) + pdu
    message = b"\x30" + bytes([len(body)]) + body

    spoiled = with_reference("snmp", message)

    span = request_id(spoiled)
    assert span is not None
    assert int.from_bytes(spoiled[span[0] : span[1]], "big", signed=True) != number


@given(st.binary(max_size=100))
def test_what_is_made_of_any_request_is_a_frame_or_nothing(request: bytes) -> None:
    for protocol, reply in (
        ("modbus", modbus_exception(request, 6)),
        ("enip", enip_busy(request)),
        ("s7", s7_busy(request)),
    ):
        if reply and protocol == "s7":
            assert int.from_bytes(reply[2:4], "big") == len(reply)
        elif reply and protocol == "enip":
            assert int.from_bytes(reply[2:4], "little") == len(reply) - 24
    assert len(snmp_error(request, 5)) == len(request)


@settings(max_examples=50)
@given(
    st.binary(min_size=1, max_size=300),
    st.integers(1, 50),
    st.sampled_from(["modbus", "s7", "enip", "http"]),
)
def test_cutting_a_stream_into_frames_loses_no_byte(data: bytes, step: int, protocol: str) -> None:
    splitter = Splitter(protocol)
    pieces = [
        piece for at in range(0, len(data), step) for piece in splitter.feed(data[at : at + step])
    ]

    assert b"".join(pieces) + splitter.rest() == data
