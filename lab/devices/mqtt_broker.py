"""
An MQTT broker as far as its CONNACK, plain or in TLS: the answers of the recorded broker.

Settings: `anonymous` (true: a client without a name is let in), `refusal` (the code otherwise, 5),
`users`, and in TLS `tls` and `certificate_name` as in web_panel. PUBLISH and SUBSCRIBE are
acknowledged and lead nowhere; the front notes them as writes (in TLS the broker does).

Source: OASIS MQTT 3.1.1 sections 3.1 to 3.14.
"""

from __future__ import annotations

import asyncio
import ssl
from asyncio import StreamReader, StreamWriter

from lab.bench import LOOPBACK, Accounts, Bench, Server
from lab.frames import Splitter
from lab.tls_stream import TlsStream

NOT_AUTHORISED = 5
NAME, PASSWORD, WILL = 0x80, 0x40, 0x04
IDLE_S = 20.0


def fields(body: bytes, at: int) -> list[str]:
    """The texts of a CONNECT's payload from `at`, each behind its length."""
    found = []
    while at + 2 <= len(body):
        size = int.from_bytes(body[at : at + 2], "big")
        found.append(body[at + 2 : at + 2 + size].decode("utf-8", "replace"))
        at += 2 + size
    return found


async def serve(bench: Bench) -> Server:
    settings = bench.settings
    anonymous = bool(settings.get("anonymous", False))
    refusal = int(settings.get("refusal", NOT_AUTHORISED))
    accounts = Accounts.of(bench)
    context: ssl.SSLContext | None = None
    if bench.protocol == "mqtts":
        name = str(settings.get("certificate_name", bench.device.lower()))
        context = bench.keys.tls(name, str(settings.get("tls", "good")))

    def admitted(packet: bytes) -> bool:
        place = 4 + packet[3]  # behind the protocol's name: level, flags, keep-alive
        flags, texts = packet[place + 1], fields(packet, place + 4)
        if flags & NAME:
            texts = texts[3:] if flags & WILL else texts[1:]
            user, password = (*texts, "", "")[:2]
            return accounts.admits(user, password if flags & PASSWORD else "")
        bench.ledger.login(bench.protocol, "anonymous", accepted=anonymous)
        return anonymous

    def answer(packet: bytes) -> bytes | None:
        """None ends the connection."""
        match packet[0] >> 4:
            case 1 if len(packet) >= 14:
                return b"\x20\x02\x00" + bytes([0 if admitted(packet) else refusal])
            case 3:
                return b"\x40\x02" + packet[-2:] if packet[0] & 0x06 else b""
            case 8:
                return b"\x90\x03" + packet[2:4] + b"\x00"
            case 12:
                return b"\xd0\x00"
        return None

    async def converse(reader: StreamReader, writer: StreamWriter) -> None:
        stream = TlsStream(reader, writer, context) if context else None
        cut = Splitter("mqtt")
        try:
            if stream is not None:
                await asyncio.wait_for(stream.handshake(), IDLE_S)
            while data := await (stream or reader).read(4096):
                for packet in cut.feed(data):
                    if context is not None:
                        kind = packet[0] >> 4
                        bench.ledger.request("mqtts", f"type {kind}", write=kind in (3, 8, 10))
                    reply = answer(packet)
                    if reply is None:
                        return
                    (stream or writer).write(reply)
                    await (stream or writer).drain()
                    if reply[:1] == b"\x20" and reply[3]:
                        return
        except (ConnectionError, TimeoutError, ssl.SSLError):
            pass
        finally:
            (stream or writer).close()

    server = await asyncio.start_server(converse, LOOPBACK, 0)

    async def stop() -> None:
        server.close()

    return Server(inner=server.sockets[0].getsockname()[:2], stop=stop)


SERVES = {"mqtt": serve, "mqtts": serve}
