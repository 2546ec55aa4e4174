"""The emulators of IT services answer as recorded servers did, and note what acts on them."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import OFFSET, address

pytestmark = pytest.mark.lab

Dial = Callable[[int, int], socket.socket]


def exchanges(captures: Path, name: str) -> list[tuple[bytes, bytes]]:
    record = json.loads((captures / f"{name}.json").read_text())
    return [
        (bytes.fromhex(each["request_hex"]), bytes.fromhex(each["response_hex"]))
        for each in record["exchanges"]
    ]


def heard(sock: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length and (data := sock.recv(4096)):
        found += data
    return found


# --- VNC ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recording", "settings"),
    [
        ("vnc__vnc_3.8_openwall", {"types": [2]}),
        ("vnc__vnc_scanner_target", {"types": [2, 16]}),
        ("vnc__vnc_failure_reason", {"reason": "A" * 16}),
    ],
)
async def test_a_vnc_server_says_what_a_recorded_one_said(
    begin: Any, dial: Dial, captures: Path, recording: str, settings: dict[str, Any]
) -> None:
    plant = await begin({"services": [{"protocol": "vnc", **settings}]})
    (_, greeting), (version, offer) = exchanges(captures, recording)

    def client() -> tuple[bytes, bytes]:
        with dial(1, 5900) as sock:
            first = heard(sock, 12)
            sock.sendall(version)
            return first, heard(sock, len(offer))

    assert await asyncio.to_thread(client) == (greeting, offer)
    assert plant.ledgers["D1"].functions == {"vnc version 003.008": 1}
    assert not plant.ledgers["D1"].writes


async def test_a_desktop_that_is_taken_is_noted_as_a_write(begin: Any, dial: Dial) -> None:
    plant = await begin({"services": [{"protocol": "vnc", "types": [1], "desktop": "Pump 1"}]})

    def client() -> bytes:
        with dial(1, 5900) as sock:
            heard(sock, 12)
            sock.sendall(b"RFB 003.008\n")
            heard(sock, 2)
            sock.sendall(b"\x01")
            heard(sock, 4)
            sock.sendall(b"\x01")
            shown = heard(sock, 24 + 6)
            sock.sendall(bytes.fromhex("040100000000ff0d"))
            sock.shutdown(socket.SHUT_WR)
            return shown + heard(sock, 1)

    assert (await asyncio.to_thread(client))[-6:] == b"Pump 1"
    writes = plant.ledgers["D1"].writes
    assert set(writes) == {
        "vnc security type 1", "vnc ClientInit", "vnc a message to the desktop",
    }  # fmt: skip


async def test_a_vnc_password_is_asked_for_and_refused(begin: Any, dial: Dial) -> None:
    plant = await begin({"services": [{"protocol": "vnc", "version": "003.003", "types": [2]}]})

    def client() -> bytes:
        with dial(1, 5900) as sock:
            heard(sock, 12)
            sock.sendall(b"RFB 003.003\n")
            heard(sock, 20)
            sock.sendall(bytes(16))
            return heard(sock, 4)

    assert await asyncio.to_thread(client) == b"\0\0\0\1"
    assert plant.ledgers["D1"].logins == {"vnc password rejected": 1}


# --- RDP ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recording", "settings"),
    [
        ("rdp__windows_nla_hybrid_ex", {"security": ["credssp", "credssp_early"]}),
        ("rdp__windows_neg_failure", {"security": ["rdp"]}),
        ("rdp__windows_standard_rdp_security", {"security": ["rdp"], "flags": 0}),
    ],
)
async def test_an_rdp_server_confirms_as_a_recorded_one_did(
    begin: Any, dial: Dial, captures: Path, recording: str, settings: dict[str, Any]
) -> None:
    plant = await begin({"services": [{"protocol": "rdp", **settings}]})
    ((request, confirm),) = exchanges(captures, recording)

    def client() -> bytes:
        with dial(1, 3389) as sock:
            sock.sendall(request)
            return heard(sock, len(confirm))

    assert await asyncio.to_thread(client) == confirm
    assert not plant.ledgers["D1"].writes


@pytest.mark.parametrize(
    ("security", "offered", "negotiation"),
    [
        (["credssp"], 1, "0300080005000000"),
        (["tls"], 0, "0300080001000000"),
        (["tls", "credssp"], 11, "021f080002000000"),
        (["tls", "credssp"], 1, "021f080001000000"),
    ],
)
async def test_an_rdp_server_says_why_not(
    begin: Any, dial: Dial, security: list[str], offered: int, negotiation: str
) -> None:
    await begin({"services": [{"protocol": "rdp", "security": security}]})

    request = bytes.fromhex("030000130ee0000000000001000800") + offered.to_bytes(4, "little")

    def client() -> bytes:
        with dial(1, 3389) as sock:
            sock.sendall(request)
            return heard(sock, 19)[11:]

    assert (await asyncio.to_thread(client)).hex() == negotiation


async def test_what_follows_an_rdp_negotiation_is_noted_as_a_write(begin: Any, dial: Dial) -> None:
    plant = await begin({"services": [{"protocol": "rdp"}]})

    def client() -> None:
        with dial(1, 3389) as sock:
            sock.sendall(bytes.fromhex("030000130ee000000000000100080001000000"))
            heard(sock, 19)
            sock.sendall(bytes.fromhex("1603010005") + b"hello")
            sock.shutdown(socket.SHUT_WR)
            heard(sock, 1)

    await asyncio.to_thread(client)
    assert plant.ledgers["D1"].writes == {"rdp TLS": 1}


# --- SMB ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recording", "settings"),
    [
        ("smb__windows_2000_substation_server", {"computer": "SAS1", "native_os": "Windows 5.0"}),
        ("smb__qnap_ts412_samba", {"computer": "TS412", "native_os": "QTS"}),
    ],
)
async def test_an_old_smb_server_answers_recorded_clients_with_names(
    begin: Any, dial: Dial, captures: Path, recording: str, settings: dict[str, Any]
) -> None:
    service = {"protocol": "smb", "dialect": None, "smb1": True, **settings}
    plant = await begin({"services": [service]})
    asked = [(a, b) for a, b in exchanges(captures, recording) if a[4:8] == b"\xffSMB"]

    def client() -> list[bytes]:
        found = []
        with dial(1, 445) as sock:
            for request, _ in asked:
                sock.sendall(request)
                head = heard(sock, 4)
                found.append(head + heard(sock, 4 + int.from_bytes(head[1:4], "big") - len(head)))
        return found

    for mine, (_, theirs) in zip(await asyncio.to_thread(client), asked, strict=True):
        assert mine[8:13] == theirs[8:13]  # command and status
        assert mine[28:32] == theirs[28:32] or mine[8] == 0x73  # tree, process; a user comes later
        assert mine[37:39] == theirs[37:39]  # the dialect; the next command
        for word in settings.values():
            assert (word.encode("utf-16-le") in mine) == (word.encode("utf-16-le") in theirs)
    assert not plant.ledgers["D1"].writes


async def test_a_second_leg_is_refused_and_noted(begin: Any, dial: Dial) -> None:
    plant = await begin({"services": [{"protocol": "smb"}]})
    head = b"\xfeSMB\x40\0" + bytes(6) + b"\x01\0\x01\0" + bytes(48)
    token = b"NTLMSSP\0\x03\0\0\0" + bytes(52)
    body = b"\x19\0\0\x01" + bytes(8) + b"\x58\0\x40\0" + bytes(8) + token
    message = head + body

    def client() -> bytes:
        with dial(1, 445) as sock:
            sock.sendall(b"\0" + len(message).to_bytes(3, "big") + message)
            return heard(sock, 77)

    assert (await asyncio.to_thread(client))[12:16] == bytes.fromhex("6d0000c0")
    assert plant.ledgers["D1"].writes == {"smb SMB2 0x01 NTLM 3": 1}
    assert plant.ledgers["D1"].logins == {"smb NTLM rejected": 1}


async def test_a_version_that_is_not_spoken_ends_the_connection(begin: Any, dial: Dial) -> None:
    plant = await begin({"services": [{"protocol": "smb"}]})

    negotiate = bytes.fromhex("0000002fff534d4272000000001801c8") + bytes(12)
    negotiate += bytes.fromhex("ffff010000000100000c00024e54204c4d20302e313200")

    def client() -> bytes:
        with dial(1, 445) as sock:
            sock.sendall(negotiate)
            return heard(sock, 1)

    assert await asyncio.to_thread(client) == b""
    assert plant.ledgers["D1"].half_closes == 0


# --- FTP ---------------------------------------------------------------------------------------


def spoken(sock: socket.socket, *lines: str) -> list[str]:
    """The last line of the greeting and of each reply."""
    file = sock.makefile("rb")

    def reply() -> str:
        while not (line := file.readline().decode()) or line[3:4] != " ":
            assert line, "the server went away"
        return line.rstrip("\r\n")

    found = [reply()]
    for line in lines:
        sock.sendall(line.encode() + b"\r\n")
        found.append(reply())
    return found


async def test_an_ftp_server_greets_and_lets_anybody_in(begin: Any, dial: Dial) -> None:
    plant = await begin(
        {"services": [{"protocol": "ftp", "banner": "FTP server ready.", "anonymous": True}]}
    )

    def client() -> list[str]:
        with dial(1, 21) as sock:
            return spoken(sock, "SYST", "USER anonymous", "PASS a@example.invalid", "QUIT")

    said = await asyncio.to_thread(client)

    assert said[0] == "220 FTP server ready."
    assert [line[:3] for line in said[1:]] == ["215", "331", "230", "221"]
    assert plant.ledgers["D1"].logins == {"ftp anonymous accepted": 1}
    assert not plant.ledgers["D1"].writes


async def test_an_ftp_server_with_users_refuses_others_and_notes_writes(
    begin: Any, dial: Dial
) -> None:
    service = {"protocol": "ftp", "users": {"apc": "Kaimauer-7"}, "features": ["AUTH TLS"]}
    plant = await begin({"services": [service]})

    def stranger() -> list[str]:
        with dial(1, 21) as sock:
            return spoken(sock, "FEAT", "USER anonymous", "PASS a@example.invalid")

    def owner() -> list[str]:
        with dial(1, 21) as sock:
            return spoken(sock, "USER apc", "PASS Kaimauer-7", "MKD pages", "QUIT")

    assert (await asyncio.to_thread(stranger))[-1].startswith("530")
    assert [line[:3] for line in await asyncio.to_thread(owner)][-3:] == ["230", "257", "221"]
    ledger = plant.ledgers["D1"]
    assert ledger.logins == {"ftp anonymous rejected": 1, "ftp apc accepted": 1}
    assert ledger.writes == {"ftp MKD": 1}


# --- NTP ---------------------------------------------------------------------------------------

NTPD = {
    "version": "ntpd 4.2.8p10@1.3728-o Fri May 26 14:07:29 UTC 2017 (1)",
    "processor": "x86_64",
    "system": "Linux/4.4.79-18.26-default",
}


def sent(n: int, port: int, request: bytes, wait_s: float = 3.0) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(wait_s)
        sock.connect((address(n), port + OFFSET))
        sock.send(request)
        try:
            return sock.recv(4096)
        except TimeoutError:
            return b""


async def test_an_ntp_server_tells_the_variables_as_the_recorded_one(
    begin: Any, captures: Path
) -> None:
    plant = await begin({"services": [{"protocol": "ntp", **NTPD}]})
    ((request, response),) = exchanges(captures, "ntp__ntp_mode6_readvar")

    mine = await asyncio.to_thread(sent, 1, 123, request)

    told = b", ".join(f'{name}="{value}"'.encode() for name, value in NTPD.items())
    assert (mine[:2], mine[2:4]) == (bytes([0x16, 0x82]), request[2:4])
    assert mine[12 : 12 + len(told)] == told
    assert all(f'{name}="{value}"'.encode() in response for name, value in NTPD.items())
    assert not plant.ledgers["D1"].writes


async def test_an_ntp_server_serves_time_and_notes_what_it_is_told(begin: Any) -> None:
    plant = await begin({"services": [{"protocol": "ntp", "stratum": 1, "reference": "GPS"}]})

    time = await asyncio.to_thread(sent, 1, 123, b"\x23" + bytes(39) + b"12345678")
    monlist = await asyncio.to_thread(sent, 1, 123, bytes.fromhex("1700032a00000000"), 0.3)

    assert (time[0], time[1], time[12:16], time[24:32]) == (0x24, 1, b"GPS\0", b"12345678")
    assert monlist == b""
    assert plant.ledgers["D1"].writes == {"ntp mode 7": 1}


# --- TFTP --------------------------------------------------------------------------------------


def fetched(n: int, request: bytes, *after: bytes) -> tuple[bytes, int]:
    """The first answer and the port that it comes from, to which `after` is then said."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(3)
        sock.sendto(request, (address(n), 69 + OFFSET))
        reply, sender = sock.recvfrom(4096)
        for packet in after:
            sock.sendto(packet, sender)
        assert sender[0] == address(n)
        return reply, int(sender[1])


def asks(opcode: int, name: str) -> bytes:
    return bytes([0, opcode]) + name.encode() + b"\0octet\0"


async def test_a_tftp_server_answers_from_a_new_port_each_time(begin: Any) -> None:
    plant = await begin(
        {"services": [{"protocol": "tftp", "files": {"panel.bin": "x" * 600}}]},
        {"services": [{"protocol": "tftp", "error": 2, "gives": "boot=net"}]},
        {"services": [{"protocol": "tftp", "error": 2}]},
    )

    missing, first = await asyncio.to_thread(fetched, 1, asks(1, "none"))
    block, second = await asyncio.to_thread(fetched, 1, asks(1, "panel.bin"))
    given, _ = await asyncio.to_thread(fetched, 2, asks(1, "none"))
    refused, _ = await asyncio.to_thread(fetched, 3, asks(1, "none"))

    assert missing == b"\0\5\0\1File not found\0"
    assert block == b"\0\3\0\1" + b"x" * 512
    assert given == b"\0\3\0\1boot=net"
    assert refused == b"\0\5\0\2Access violation\0"
    assert len({69 + OFFSET, first, second}) == 3
    assert plant.ledgers["D1"].functions == {"tftp RRQ": 2}
    assert not plant.ledgers["D1"].writes


async def test_a_tftp_server_notes_what_is_written_and_what_comes_to_the_new_port(
    begin: Any,
) -> None:
    plant = await begin({"services": [{"protocol": "tftp", "files": {"panel.bin": "x"}}]})

    refused, _ = await asyncio.to_thread(fetched, 1, asks(2, "panel.bin"), b"\0\3\0\1x")
    await asyncio.to_thread(fetched, 1, asks(1, "panel.bin"), b"\0\4\0\1", b"what")
    async with asyncio.timeout(2):
        while plant.ledgers["D1"].foreign != {"unknown on tftp": 1}:
            await asyncio.sleep(0.01)

    assert refused == b"\0\5\0\2Access violation\0"
    assert plant.ledgers["D1"].writes == {"tftp WRQ": 1, "tftp DATA": 1, "tftp ACK": 1}


# --- MQTT --------------------------------------------------------------------------------------

MQTT_CONNECT = bytes.fromhex("101b00044d5154540402000a000f") + b"walkdown0000000"


async def test_a_broker_answers_the_recorded_client_as_the_recorded_broker(
    begin: Any, dial: Dial, captures: Path
) -> None:
    plant = await begin(
        {"services": [{"protocol": "mqtt", "users": {"02D5050223D3": "02D5050223D3"}}]}
    )
    ((request, response),) = exchanges(captures, "mqtt__mqtt_broker_connack")

    def client() -> bytes:
        with dial(1, 1883) as sock:
            sock.sendall(request[: 2 + request[1]])  # the recording has a SUBSCRIBE behind it
            said = heard(sock, 4)
            sock.sendall(request[2 + request[1] :])
            return said + heard(sock, 5)

    ledger = plant.ledgers["D1"]
    assert await asyncio.to_thread(client) == response
    assert ledger.writes == {"mqtt SUBSCRIBE": 1}


@pytest.mark.parametrize(("anonymous", "code"), [(True, 0), (False, 5)])
async def test_a_broker_lets_nameless_clients_in_or_not(
    begin: Any, dial: Dial, anonymous: bool, code: int
) -> None:
    plant = await begin({"services": [{"protocol": "mqtt", "anonymous": anonymous}]})

    def client() -> bytes:
        with dial(1, 1883) as sock:
            sock.sendall(MQTT_CONNECT)
            said = heard(sock, 4)
            sock.sendall(b"\xe0\x00")
            sock.shutdown(socket.SHUT_WR)
            return said + heard(sock, 1)

    assert await asyncio.to_thread(client) == bytes([0x20, 2, 0, code])
    ledger = plant.ledgers["D1"]
    assert list(ledger.logins) == [f"mqtt anonymous {'accepted' if anonymous else 'rejected'}"]
    assert not ledger.writes
    assert ledger.half_closes == 0


async def test_a_broker_in_tls_notes_what_a_front_cannot_see(begin: Any) -> None:
    plant = await begin({"services": [{"protocol": "mqtts", "anonymous": True}]})
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def client() -> bytes:
        with socket.create_connection((address(1), 8883 + OFFSET), timeout=3) as raw:
            with context.wrap_socket(raw) as sock:
                sock.sendall(MQTT_CONNECT)
                said = heard(sock, 4)
                sock.sendall(b"\x32\x08\x00\x04pump\x00\x01")
                return said + heard(sock, 4)

    assert await asyncio.to_thread(client) == bytes.fromhex("2002000040020001")
    assert plant.ledgers["D1"].writes == {"mqtts type 3": 1}
