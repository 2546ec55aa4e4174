"""
An S7-1200 or S7-1500: the replies of real CPUs to the first request of S7comm-plus, and behind them
the S7 server of lab.devices.s7_controller on the same port.

A connection to a TSAP that is a word ("SIMATIC-ROOT-HMI") is of S7comm-plus, every other goes to
python-snap7. The description of the CPU is put into a recorded reply; everything around it is as it
was recorded. What would need a logged-in session is refused.

Settings: those of the S7 server, and `like`: s7-1200 (6ES7 211, V3.0), s7-1500 (6ES7 511, V1.0) or
s7-1500-v3 (6ES7 515, V3.1, with a public key); `seats`: false refuses the seat of a panel.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from lab.bench import LOOPBACK, Bench, Server
from lab.devices import s7_controller
from lab.errors import LabError
from lab.frames import Splitter

CREATE_OBJECT = 0x04CA

RECORDED = {
    "s7-1200": (
        "1102873e8723a100000120821f0000a38169001500a3823200170000013a823b00048200823c00048140"
        "823d00048480c040823e00048480c040",
        "8240001505323b323838",
    ),
    "s7-1500": (
        "000287068707a100000120821f0100a38169001500a3822b00048280808000a3822d0015104f4d53502e52"
        "454c2e353034312e3233a3822f100214f29dc3815e899b1691651c02ffad7c23d6d2a549a3823200170000"
        "013a823b00048240823c00048240823d000484818040823e000484818040",
        "",
    ),
    "s7-1500-v3": (
        "b088d0808084da8011028780809c508780809c51a100000120821f0100a3816900151330303a3138314237"
        "42303834374431313639 34a3822b00048280808001a3822d0015215365727665723a204f4d53505f31342e"
        "30302e30305f36362e30372e30302e3031a3822f10021443d26063d1f0bfdb90baa13bd5974a91cbbf7bde"
        "a3823200170000013a823b00048701823c00048701823d000484818540823e000484818540",
        "824000150a323b3137373230313436",
    ),
}
"""
What stands in the reply before and behind attribute 319, the description of the CPU; "" behind it:
the same once more, as attribute 320. The third was published with a text three bytes too short,
whose length is set right here.
"""
TAIL = "82410003000300a200000000"
ACCESS_DENIED = b"\x92\x81\x80\x80\x01"
"""A return value that is none of those of a good reply."""


class Cpu:
    """What one CPU says in S7comm-plus."""

    def __init__(self, bench: Bench) -> None:
        settings = bench.settings
        like = str(settings.get("like", "s7-1500"))
        if like not in RECORDED:
            raise LabError(f"{bench.device}: no recorded CPU {like!r}; {', '.join(RECORDED)}")
        before, behind = RECORDED[like]
        major, minor, *_ = bench.text("firmware").split(".")
        order = bench.text("order_number").encode("latin-1", "replace")[:100]
        said = b"1;" + order + f";V{major}.{minor}".encode()
        text = b"\x00\x15" + bytes([len(said)]) + said
        self._object = bytes.fromhex(before) + b"\x82\x3f" + text
        self._object += bytes.fromhex(behind) or b"\x82\x40" + text
        self._object += bytes.fromhex(TAIL)
        self._seats = bool(settings.get("seats", True))

    def answer(self, frame: bytes) -> bytes | None:
        """A TPKT in, one out; None ends the connection."""
        kind = frame[5] & 0xF0
        if kind == 0xE0 and not self._seats:
            return _tpkt(b"\x06\x80" + frame[8:10] + b"\0\x01\x03")
        if kind == 0xE0:
            body = b"\xd0" + frame[8:10] + b"\0\x09\0\xc0\x01\x0a" + frame[11:-3]
            return _tpkt(bytes([len(body)]) + body)
        pdu = frame[7:]
        if kind != 0xF0 or pdu[:1] != b"\x72" or len(pdu) < 13:
            return None
        function, sequence = pdu[7:9], pdu[11:13]
        good = int.from_bytes(function, "big") == CREATE_OBJECT
        body = b"\x32\0\0" + function + b"\0\0" + sequence + b"\x36"
        body += self._object if good else ACCESS_DENIED
        head = pdu[:2]
        return _tpkt(b"\x02\xf0\x80" + head + len(body).to_bytes(2, "big") + body + head + b"\0\0")


def _tpkt(tpdu: bytes) -> bytes:
    return b"\x03\0" + (4 + len(tpdu)).to_bytes(2, "big") + tpdu


def _is_plus(frame: bytes) -> bool:
    """Whether the first frame of a connection calls a TSAP by a word."""
    return len(frame) > 20 and frame[5] & 0xF0 == 0xE0 and b"SIMATIC-ROOT-" in frame


async def serve(bench: Bench) -> Server:
    cpu = Cpu(bench)
    behind = await s7_controller.serve(bench)
    address = behind.inner
    assert address is not None  # noqa: S101 - an S7 server has a TCP side

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(4096):
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()

    async def classic(
        first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(*address)
        inner_writer.write(first)
        try:
            await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))
        finally:
            inner_writer.close()

    async def plus(
        frames: list[bytes],
        cut: Splitter,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        while True:
            for frame in frames:
                reply = cpu.answer(frame)
                if reply is None:
                    return
                writer.write(reply)
            data = await reader.read(4096)
            if not data:
                return
            frames = cut.feed(data)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        cut, first = Splitter("s7plus"), b""
        frames: list[bytes] = []
        try:
            while not frames:
                data = await reader.read(4096)
                if not data:
                    return
                first += data
                frames = cut.feed(data)
            if _is_plus(frames[0]):
                await plus(frames, cut, reader, writer)
            else:
                await classic(first, reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(converse, LOOPBACK, 0)
    inner = server.sockets[0].getsockname()

    async def stop() -> None:
        server.close()
        await behind.stop()

    return Server(inner=(str(inner[0]), int(inner[1])), stop=stop)


SERVES = {"s7plus": serve}
