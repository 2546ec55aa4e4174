"""
Devices that say what no lab device would: a given payload in every field that a reply has.

`python -m tests.proof.talkers FILE` serves what FILE (JSON) lists, one entry per address, until
its standard input ends, and prints "ready". An entry has `address`, `ports` by service and `texts`
by service (the payload, hex). Written from the protocols' specifications, without the lab or the
product.
"""

from __future__ import annotations

import asyncio
import html
import json
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


# --- Modbus/TCP --------------------------------------------------------------------------------


def modbus(text: bytes) -> Handler:
    """Function 43/14 with the text in all seven standard objects, 17 with it as server id."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readexactly(7)
            pdu = await reader.readexactly(struct.unpack(">H", head[4:6])[0] - 1)
            if pdu[0] == 0x2B:
                first = pdu[3] if pdu[2] == 4 else 0
                numbers = [first] if pdu[2] == 4 else range(7)
                room = 32 if pdu[2] != 4 else 240
                objects = b"".join(bytes([n, len(text[:room])]) + text[:room] for n in numbers)
                count = len(numbers)
                answer = bytes([0x2B, 0x0E, pdu[2], 0x83, 0, 0, count]) + objects
            elif pdu[0] == 0x11:
                answer = bytes([0x11, len(text[:200]) + 2]) + text[:200] + b"\x01\xff"
            else:
                answer = bytes([pdu[0] | 0x80, 1])
            writer.write(head[:4] + struct.pack(">H", len(answer) + 1) + head[6:7] + answer)
            await writer.drain()

    return serve


# --- HTTP --------------------------------------------------------------------------------------


def http(text: bytes) -> Handler:
    """The text in the title (escaped as a real page would, and not), in headers and the body."""
    line = text.replace(b"\r", b" ").replace(b"\n", b" ")[:2000]
    spelled = html.escape(text.decode("utf-8", "surrogateescape")).encode(
        "utf-8", "surrogateescape"
    )

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            body = b"<html><head><title>" + spelled + b"</title></head><body>" + text + b"</body>"
            writer.write(
                b"HTTP/1.1 401 " + line + b"\r\nServer: " + line
                + b'\r\nWWW-Authenticate: Basic realm="' + line.replace(b'"', b'\\"') + b'"'
                + b"\r\nLocation: " + line + b"\r\nX-Powered-By: " + line
                + b"\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )  # fmt: skip
            await writer.drain()

    return serve


def raw(text: bytes) -> Handler:
    """The text is the whole reply to a whole request of HTTP, and then the connection ends."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text)
        await writer.drain()
        writer.write_eof()
        await reader.read()

    return serve


# --- Telnet and SSH ----------------------------------------------------------------------------


def telnet(text: bytes) -> Handler:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text.replace(b"\xff", b"\xff\xff")[:4000] + b"\r\nlogin: ")
        await writer.drain()
        await reader.read()

    return serve


def ssh(text: bytes) -> Handler:
    """The text as greeting lines, as software version, and as every name list of the KEXINIT."""
    line = text.replace(b"\r", b" ").replace(b"\n", b" ")[:200]
    names = struct.pack(">I", len(line)) + line
    payload = b"\x14" + bytes(16) + names * 10 + bytes(5)
    padding = 8 - (len(payload) + 5) % 8 + 8
    packet = struct.pack(">IB", len(payload) + padding + 1, padding) + payload + bytes(padding)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(line + b"\r\nSSH-2.0-" + line + b"\r\n" + packet)
        await writer.drain()
        await reader.read()

    return serve


# --- datagrams ---------------------------------------------------------------------------------


def enip(text: bytes) -> Callable[[bytes], bytes | None]:
    """ListIdentity with the text as product name (ODVA CIP volume 2, 2-4.2)."""
    name = text[:255]
    identity = struct.pack("<HHHBBHIB", 1, 14, 54, 20, 11, 0, 0xC0FFEE, len(name)) + name + b"\x03"
    item = struct.pack("<H", 1) + struct.pack(">hH4s8s", 2, 44818, bytes(4), bytes(8)) + identity
    body = struct.pack("<HHH", 1, 0x0C, len(item)) + item

    def answer(request: bytes) -> bytes | None:
        if request[:2] != b"\x63\0":
            return None
        return struct.pack("<HH", 0x63, len(body)) + request[4:24] + body

    return answer


def tlv(tag: int, body: bytes) -> bytes:
    if len(body) < 128:
        return bytes([tag, len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, content) of the BER values that lie one behind another."""
    at = 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            octets = length & 0x7F
            length = int.from_bytes(data[at : at + octets], "big")
            at += octets
        yield tag, data[at : at + length]
        at += length


def snmp(text: bytes) -> Callable[[bytes], bytes | None]:
    """GetRequests of version 1 and 2c: the text for every octet string that is asked for."""
    text = text[:900]
    values = {
        bytes.fromhex("2b060102010102 00".replace(" ", "")): tlv(
            6, bytes.fromhex("2b06010401a15d")
        ),
        bytes.fromhex("2b06010201010300"): tlv(0x43, b"\x01\x00"),
    }

    def answer(request: bytes) -> bytes | None:
        (_, message), *_ = parts(request)
        (_, version), (_, community), (kind, pdu), *_ = parts(message)
        if version == b"\x03" or kind != 0xA0 or community != b"public":
            return None
        (_, number), _, _, (_, bindings) = parts(pdu)
        bound = b""
        for _, binding in parts(bindings):
            (_, name), *_ = parts(binding)
            bound += tlv(0x30, tlv(6, name) + values.get(name, tlv(4, text)))
        reply = tlv(2, number) + tlv(2, b"\0") + tlv(2, b"\0") + tlv(0x30, bound)
        return tlv(0x30, tlv(2, version) + tlv(4, community) + tlv(0xA2, reply))

    return answer


STREAMS: Mapping[str, Callable[[bytes], Handler]] = {
    "modbus": modbus, "http": http, "raw": raw, "telnet": telnet, "ssh": ssh,
}  # fmt: skip
DATAGRAMS: Mapping[str, Callable[[bytes], Callable[[bytes], bytes | None]]] = {
    "enip": enip, "snmp": snmp,
}  # fmt: skip


# --- serving -----------------------------------------------------------------------------------


class Answering(asyncio.DatagramProtocol):
    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self._answer = answer

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        try:
            reply = self._answer(data)
        except (ValueError, IndexError):
            return
        if reply is not None:
            self._transport.sendto(reply, addr)


def patient(handler: Handler) -> Handler:
    """Ends with the client, whatever it does."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            pass
        finally:
            writer.close()

    return serve


async def run(entries: Sequence[Mapping[str, Any]]) -> None:
    loop = asyncio.get_running_loop()
    for entry in entries:
        for service, port in entry["ports"].items():
            text = bytes.fromhex(entry["texts"][service])
            if service in STREAMS:
                handler = patient(STREAMS[service](text))
                await asyncio.start_server(handler, entry["address"], port, limit=1 << 20)
            else:
                answer = DATAGRAMS[service](text)
                await loop.create_datagram_endpoint(
                    lambda answer=answer: Answering(answer),
                    local_addr=(entry["address"], port),
                )
    ended = asyncio.Event()

    def wait_for_end() -> None:
        sys.stdin.buffer.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=wait_for_end, daemon=True).start()
    print("ready", flush=True)
    await ended.wait()


@contextmanager
def talking(entries: Sequence[Mapping[str, Any]], folder: Path) -> Iterator[None]:
    """The devices, up for as long as the block lasts. RuntimeError when they do not come up."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = folder / "talkers.json"
    plan.write_text(json.dumps(list(entries)), encoding="ascii")
    command = [sys.executable, "-m", "tests.proof.talkers", str(plan)]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            process.kill()
            raise RuntimeError("the hostile devices did not come up; is a port taken?")
        try:
            yield
        finally:
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


if __name__ == "__main__":
    asyncio.run(run(json.loads(Path(sys.argv[1]).read_text(encoding="ascii"))))
