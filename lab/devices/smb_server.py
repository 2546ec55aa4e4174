"""
An SMB server up to its challenge, with the answers that recorded servers gave.

Settings: `dialect` ("2.0.2" to "3.1.1", or null for one that speaks SMB 1 alone), `smb1`,
`signing` ("required" or "enabled"), `computer`, `domain`, `dns_domain`, `build` ("6.1.7601"), and
for SMB 1 `native_os` and `native_lan_manager`. A version that it does not speak ends the
connection. Every second leg of a sign-in is refused and noted as a login.

Source: [MS-SMB2] sections 2.2.4 and 2.2.6; [MS-SMB] sections 2.2.4.5.2 and 2.2.4.6.2; [MS-NLMP]
section 2.2.1.2.
"""

from __future__ import annotations

import asyncio
import struct
from asyncio import StreamReader, StreamWriter
from contextlib import suppress

from lab.bench import LOOPBACK, Bench, Server

DIALECTS = {"2.0.2": 0x202, "2.1": 0x210, "3.0": 0x300, "3.0.2": 0x302, "3.1.1": 0x311}
SPNEGO = bytes.fromhex(
    "602806062b0601050502a01e301ca01a3018060a2b06010401823702021e060a2b06010401823702020a"
)
"""What Windows offers in a negotiation: NEGOEX and NTLM."""
MORE, LOGON_FAILURE, NOT_SUPPORTED = 0xC0000016, 0xC000006D, 0xC00000BB
TIME = 0x01D201F0B544D39C
GUID = bytes.fromhex("2e009e1523d5afe49e4a9b7b314e366f")
CHALLENGE = bytes.fromhex("c086cd651c1d9cf6")


def wide(text: str) -> bytes:
    return text.encode("utf-16-le", "replace")


def challenge(bench: Bench) -> bytes:
    """NTLM's second message, in a NegTokenResp."""
    computer = bench.text("computer", bench.device)
    domain = bench.text("domain", computer)
    pairs = [(2, domain), (1, computer)]
    if "dns_domain" in bench.settings:
        suffix = bench.text("dns_domain")
        pairs += [(4, suffix), (3, f"{computer.lower()}.{suffix}")]
    info = b"".join(struct.pack("<HH", n, len(wide(text))) + wide(text) for n, text in pairs)
    info += struct.pack("<HHQ", 7, 8, TIME) + bytes(4)
    major, minor, build = (int(part) for part in bench.text("build", "6.1.0").split("."))
    target = wide(domain)
    message = b"NTLMSSP\0" + struct.pack("<IHHI", 2, len(target), len(target), 56)
    message += struct.pack("<I", 0xE28A8215) + CHALLENGE + bytes(8)
    message += struct.pack("<HHI", len(info), len(info), 56 + len(target))
    message += struct.pack("<BBH", major, minor, build) + b"\0\0\0\x0f" + target + info
    return _der(0xA1, _der(0x30, bytes.fromhex("a0030a0101a10c060a2b06010401823702020a")
                           + _der(0xA2, _der(0x04, message))))  # fmt: skip


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


class Answers:
    """Replies by request; pure. None ends the connection."""

    def __init__(self, bench: Bench) -> None:
        settings = bench.settings
        self._dialect = settings.get("dialect", "3.1.1")
        self._smb1 = bool(settings.get("smb1", False))
        self._required = settings.get("signing") == "required"
        self._challenge = challenge(bench)
        self._texts = [str(settings.get(key, "")) for key in ("native_os", "native_lan_manager")]
        self._ledger = bench.ledger

    def to(self, message: bytes) -> bytes | None:
        if message[:4] == b"\xfeSMB":
            return self._new(message) if self._dialect is not None else None
        return self._old(message) if self._smb1 else None

    def _new(self, request: bytes) -> bytes:
        command = int.from_bytes(request[12:14], "little")
        status, body = NOT_SUPPORTED, b"\x09\0\0\0\0\0\0\0\0"
        if command == 0:
            offered = request[100:]
            number = DIALECTS[str(self._dialect)]
            if number.to_bytes(2, "little") in (offered[n : n + 2] for n in range(0, 16, 2)):
                status, body = 0, self._negotiated(number)
        elif command == 1:
            status = self._leg(request)
            if status == MORE:
                body = struct.pack("<HHHH", 9, 0, 72, len(self._challenge)) + self._challenge
        head = b"\xfeSMB" + struct.pack("<HHIHHI", 64, 1, status, command, 1, 1) + bytes(4)
        return head + request[24:32] + bytes(8) + b"\x41".ljust(8, b"\0") + bytes(16) + body

    def _negotiated(self, number: int) -> bytes:
        mode = 3 if self._required else 1
        contexts = int(number == 0x311)
        offset = (64 + 64 + len(SPNEGO) + 7) // 8 * 8
        body = struct.pack("<HHHH", 65, mode, number, contexts) + GUID
        body += struct.pack("<IIIIQQ", 0x2F, 1 << 23, 1 << 23, 1 << 23, TIME, 0)
        body += struct.pack("<HHI", 128, len(SPNEGO), offset * contexts) + SPNEGO
        if contexts:
            body = body.ljust(offset - 64, b"\0")
            body += struct.pack("<HHIHHH", 1, 38, 0, 1, 32, 1) + GUID * 2
        return body

    def _leg(self, request: bytes) -> int:
        if b"NTLMSSP\0\x01" in request:
            return MORE
        self._ledger.login("smb", "NTLM", accepted=False)
        return LOGON_FAILURE

    def _old(self, request: bytes) -> bytes:
        command, status, words, data = request[4], NOT_SUPPORTED, b"", b""
        if command == 0x72:
            listed = [each.strip(b"\x02") for each in request[35:].split(b"\0") if each]
            index = listed.index(b"NT LM 0.12") if b"NT LM 0.12" in listed else 0xFFFF
            mode = 0x0F if self._required else 0x03
            status, words = 0, struct.pack("<HBHHIIIIQHB", index, mode, 50, 1, 4356, 65536, 0,
                                           0x8001E3FD, TIME, 0, 0)  # fmt: skip
            data = GUID + SPNEGO
        elif command == 0x73:
            status = self._leg(request)
            if status == MORE:
                words = struct.pack("<BBHHH", 0xFF, 0, 0, 0, len(self._challenge))
                pad = b"\0" * ((32 + 1 + len(words) + 2 + len(self._challenge)) % 2)
                texts = b"".join(wide(text) + b"\0\0" for text in self._texts)
                data = self._challenge + pad + texts
        head = b"\xffSMB" + bytes([command]) + struct.pack("<I", status) + b"\x98\x01\xc8"
        head += bytes(12) + request[24:32]
        return head + bytes([len(words) // 2]) + words + len(data).to_bytes(2, "little") + data


async def serve(bench: Bench) -> Server:
    answers = Answers(bench)

    async def converse(reader: StreamReader, writer: StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(4)
                message = await reader.readexactly(int.from_bytes(head[1:], "big"))
                reply = answers.to(message)
                if reply is None:
                    break
                writer.write(b"\0" + len(reply).to_bytes(3, "big") + reply)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(converse, LOOPBACK, 0)

    async def stop() -> None:
        server.close()

    return Server(inner=server.sockets[0].getsockname()[:2], stop=stop)


SERVES = {"smb": serve}
