"""The emulators of the server room answer as documented, and what acts shows in the ledger."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from tests.lab.conftest import OFFSET, address

Dial = Callable[[int, int], socket.socket]


async def said(dial: Dial, port: int, *requests: bytes) -> list[bytes]:
    """One connection; each request is sent, and what comes first after it is taken."""

    def client() -> list[bytes]:
        with dial(1, port) as sock:
            heard = []
            for request in requests:
                sock.sendall(request)
                heard.append(sock.recv(65536))
            return heard

    return await asyncio.to_thread(client)


async def datagram(port: int, request: bytes) -> bytes:
    def client() -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(3)
            sock.connect((address(1), port + OFFSET))
            sock.send(request)
            return sock.recv(4096)

    return await asyncio.to_thread(client)


# --- PostgreSQL --------------------------------------------------------------------------------

SSL_REQUEST = bytes.fromhex("0000000804d2162f")
START = b"\0\0\0\x17\0\x03\0\0user\0postgres\0\0"


async def test_a_postgresql_server_has_tls_or_has_it_not(begin, dial: Dial) -> None:
    running = await begin({"services": [{"protocol": "postgres", "tls": True}]})

    assert await said(dial, 5432, SSL_REQUEST) == [b"S"]
    assert running.ledgers["D1"].writes == {}
    assert running.ledgers["D1"].functions == {"postgres SSLRequest": 1}


async def test_a_start_up_at_postgresql_is_noted(begin, dial: Dial) -> None:
    running = await begin({"services": [{"protocol": "postgres"}]})

    no, refused = await said(dial, 5432, SSL_REQUEST, START)

    assert no == b"N"
    assert refused.startswith(b"E")
    assert b"C28000" in refused
    assert running.ledgers["D1"].writes == {"postgres StartupMessage": 1}


# --- Redis -------------------------------------------------------------------------------------

PING = b"*1\r\n$4\r\nPING\r\n"
FLUSH = b"*1\r\n$8\r\nFLUSHALL\r\n"


async def test_a_redis_server_without_a_password_answers_anybody(begin, dial: Dial) -> None:
    running = await begin({"services": [{"protocol": "redis", "version": "7.0.15"}]})
    info = b"*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n"

    pong, told = await said(dial, 6379, PING, info)

    assert pong == b"+PONG\r\n"
    assert b"\r\nredis_version:7.0.15\r\n" in told
    assert running.ledgers["D1"].writes == {}


async def test_a_redis_server_with_a_password_refuses_even_ping(begin, dial: Dial) -> None:
    await begin({"services": [{"protocol": "redis", "login": True}]})

    assert await said(dial, 6379, PING) == [b"-NOAUTH Authentication required.\r\n"]


async def test_a_flush_of_redis_is_carried_out_and_flagged(begin, dial: Dial) -> None:
    running = await begin({"services": [{"protocol": "redis"}]})

    assert await said(dial, 6379, FLUSH) == [b"+OK\r\n"]
    assert running.ledgers["D1"].writes == {"redis FLUSHALL": 1}


# --- SQL Server --------------------------------------------------------------------------------

PRELOGIN = bytes.fromhex("1201001a0000000000000b00060100110001ff00000000000002")


async def test_a_sql_server_lays_its_answer_out_as_specified(begin, dial: Dial) -> None:
    """MS-TDS section 2.2.6.5: options with offset and length, then their values."""
    running = await begin(
        {"services": [{"protocol": "mssql", "version": "9.0.0", "encryption": "on"}]}
    )

    (told,) = await said(dial, 1433, PRELOGIN)

    assert told.hex() == (
        "0401002b00000100" "00001a0006" "0100200001" "0200210001" "0300220000" "0400220001" "ff"
        "090000000000" "01" "00" "00"
    )  # fmt: skip
    assert running.ledgers["D1"].functions == {"mssql PRELOGIN": 1}
    assert running.ledgers["D1"].writes == {}


async def test_a_login_at_a_sql_server_is_refused_and_flagged(begin, dial: Dial) -> None:
    running = await begin({"services": [{"protocol": "mssql"}]})
    login = bytes.fromhex("1001000c00000100") + bytes(4)

    _, refused = await said(dial, 1433, PRELOGIN, login)

    assert "Login failed".encode("utf-16-le") in refused
    assert running.ledgers["D1"].writes == {"mssql LOGIN7": 1}


# --- LDAP --------------------------------------------------------------------------------------

ROOT = bytes.fromhex("3025020101632004000a01000a0100020100020100010100870b") + (
    b"objectClass\x30\0"
)


async def test_a_directory_tells_its_root_dse(begin, dial: Dial) -> None:
    running = await begin(
        {"services": [{"protocol": "ldap", "naming_context": "DC=plant", "vendor": "Directory"}]}
    )

    (told,) = await said(dial, 389, ROOT)

    assert told[:7].hex() == "30650201016460"
    assert b"\x04\x0avendorName1\x0b\x04\x09Directory" in told
    assert b"\x04\x14defaultNamingContext1\x0a\x04\x08DC=plant" in told
    assert told.endswith(bytes.fromhex("300c02010165070a010004000400"))
    assert running.ledgers["D1"].functions == {"ldap root DSE": 1}


async def test_a_bind_is_refused_and_a_deletion_flagged(begin, dial: Dial) -> None:
    running = await begin({"services": [{"protocol": "ldap"}]})
    bind = bytes.fromhex("300c020101600702010304008000")
    delete = bytes.fromhex("30090201024a04") + b"cn=x"

    refused, deleted = await said(dial, 389, bind, delete)

    assert refused.hex() == "300c02010161070a013104000400"
    assert deleted.hex() == "300c0201026b070a010004000400"
    assert running.ledgers["D1"].writes == {"ldap bind": 1, "ldap delete": 1}


# --- IPMI --------------------------------------------------------------------------------------

CAPABILITIES = bytes.fromhex("0600ff07000000000000000000092018c88108388e04ad")
CHALLENGE = bytes.fromhex("0600ff07000000000000000000092018c88108390000") + b"\x3e"


async def test_a_controller_tells_its_capabilities(begin) -> None:
    running = await begin(
        {"services": [{"protocol": "ipmi", "authentication": ["MD5", "password"], "kg": True}]}
    )

    told = await datagram(623, CAPABILITIES)

    assert told.hex() == (
        "0600ff07" "00" "00000000" "00000000" "10" "811c63" "20083800" "0194240300000000" "e4"
    )  # fmt: skip
    assert running.ledgers["D1"].functions == {"ipmi 0x6 0x38": 1}
    assert running.ledgers["D1"].writes == {}


async def test_a_session_challenge_is_flagged(begin) -> None:
    running = await begin({"services": [{"protocol": "ipmi"}]})

    refused = await datagram(623, CHALLENGE)

    assert refused[20] == 0xD4
    assert running.ledgers["D1"].writes == {"ipmi 0x6 0x39": 1}


# --- Network UPS Tools -------------------------------------------------------------------------

RACK = {"supply": "rack1", "vendor": 'EA"TON', "model": "5PX", "serial": "G1"}


async def test_upsd_lists_its_supplies(begin, dial: Dial) -> None:
    running = await begin({"services": [{"protocol": "nut", "supplies": [RACK]}]})

    version, listed, told, bye = await said(
        dial, 3493, b"VER\n", b"LIST UPS\n", b"LIST VAR rack1\n", b"LOGOUT\n"
    )

    assert version == b"Network UPS Tools upsd 2.8.0 - http://www.networkupstools.org/\n"
    assert listed == b'BEGIN LIST UPS\nUPS rack1 "Description unavailable"\nEND LIST UPS\n'
    assert b'\nVAR rack1 device.mfr "EA\\"TON"\n' in told
    assert told.endswith(b"\nEND LIST VAR rack1\n")
    assert bye == b"OK Goodbye\n"
    assert running.ledgers["D1"].writes == {}


async def test_a_forced_shutdown_is_refused_and_flagged(begin, dial: Dial) -> None:
    running = await begin({"services": [{"protocol": "nut", "supplies": [RACK]}]})

    assert await said(dial, 3493, b"FSD rack1\n") == [b"ERR ACCESS-DENIED\n"]
    assert running.ledgers["D1"].writes == {"nut FSD": 1}
