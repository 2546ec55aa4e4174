"""
Damage done to recorded replies: blind (bits, bytes, cuts, copies, splices) and with knowledge of
the framing (lengths rewritten, or mended around what was changed, so that the damage is read).

Every drawing comes from one `random.Random`, so that a case is known by its seed and number.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Sequence
from random import Random

MAX = 64 * 1024
"""Bytes of a mutated reply; larger ones are the business of the caps' own tests."""
NUMBERS = (
    0, 1, 2, 3, 4, 7, 8, 0x0A, 0x0D, 0x10, 0x1B, 0x1F, 0x20, 0x22, 0x27, 0x30, 0x3C, 0x3E, 0x40,
    0x7E, 0x7F, 0x80, 0x81, 0x82, 0x84, 0xA2, 0xF0, 0xFC, 0xFD, 0xFE, 0xFF,
)  # fmt: skip
WIDE = (
    0, 1, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF,
    0x80000000, 0xFFFFFFFE, 0xFFFFFFFF,
)  # fmt: skip
TEXTS = (
    b"\x1b[2J", b"\x1b]52;c;aGk=\x07", b"=1+1", b"<script>alert(1)</script>", b"\xe2\x80\xae",
    b"%n%n%n%s", b"../../etc/passwd", b"\r\nSet-Cookie: a=b\r\n", b"A" * 300, b"\x00",
    b"\xff\xfd\x18",
    b"&#xD800;&#0;&amp;", b"\xed\xa0\x80", b"\xf0\x9f\x92\xa3" * 40, b"login: ",
    b"Password: ", b"\n> ", b"SSH-2.0-", b"HTTP/1.1 200 OK\r\n\r\n", b"<title>",
    b"<form method=post>", b"<!--", b'="', b"'",
    b"0x", b"-1", b"99999999999999999999999999", b"\xd9\xa3\xc2\xb2", b"1.3.6.1.4.1.",
    b"\\", b"((((",
    b"<a " * 50, b" " * 200, b"1." * 60, b"," * 100,
)  # fmt: skip

Mutation = Callable[[Random, bytes, Sequence[bytes]], bytes]


def mutate(rng: Random, data: bytes, others: Sequence[bytes], mend: Mutation | None) -> bytes:
    """`data` with one to four kinds of damage; `others` lend pieces, `mend` knows the framing."""
    if mend is not None and rng.random() < 0.4:
        return mend(rng, data, others)[:MAX]
    for _ in range(1 if rng.random() < 0.6 else rng.randint(2, 4)):
        data = BLIND[int(rng.random() * len(BLIND))](rng, data, others)
    return data[:MAX]


def _at(rng: Random, data: bytes) -> int:
    return int(rng.random() * (len(data) + 1))


def flip(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    if not data:
        return b"\x00"
    changed = bytearray(data)
    for _ in range(1 if rng.random() < 0.7 else rng.randint(2, 8)):
        at = int(rng.random() * len(changed))
        changed[at] ^= 1 << int(rng.random() * 8)
    return bytes(changed)


def poke(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    if not data:
        return b"\xff"
    at = int(rng.random() * len(data))
    value = NUMBERS[int(rng.random() * len(NUMBERS))] if rng.random() < 0.7 else rng.getrandbits(8)
    return data[:at] + bytes((value,)) + data[at + 1 :]


def wide(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Two or four bytes overwritten with a number at which things break."""
    size = 2 if rng.random() < 0.6 else 4
    value = WIDE[int(rng.random() * len(WIDE))]
    if rng.random() < 0.3:
        value = len(data) + rng.randint(-8, 8)
    number = (value % (1 << 8 * size)).to_bytes(size, "big" if rng.random() < 0.5 else "little")
    at = int(rng.random() * max(len(data) - size, 1))
    return data[:at] + number + data[at + size :]


def cut(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    return data[: _at(rng, data)]


def drop(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    at = _at(rng, data)
    return data[:at] + data[at + rng.randint(1, 16) :]


def insert(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    at = _at(rng, data)
    return data[:at] + rng.randbytes(rng.randint(1, 16)) + data[at:]


def say(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Text that is dangerous somewhere, put in between or over what was there."""
    at = _at(rng, data)
    text = TEXTS[int(rng.random() * len(TEXTS))]
    return data[:at] + text + data[at + (len(text) if rng.random() < 0.5 else 0) :]


def repeat(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    at = _at(rng, data)
    piece = data[at : at + rng.randint(1, 64)]
    times = rng.randint(1, 6) if rng.random() < 0.9 else rng.randint(20, 300)
    return data[:at] + piece * times + data[at:]


def splice(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    if not others:
        return flip(rng, data, others)
    other = others[int(rng.random() * len(others))]
    return data[: _at(rng, data)] + other[_at(rng, other) :]


def noise(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    return rng.randbytes(rng.randint(0, 64))


BLIND: tuple[Mutation, ...] = (
    flip, flip, flip, poke, poke, poke, wide, wide, cut, drop, insert, say, repeat, splice, splice,
    noise,
)  # fmt: skip


# --- framing -------------------------------------------------------------------------------------


def _blind(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    for _ in range(rng.randint(1, 3)):
        data = BLIND[int(rng.random() * (len(BLIND) - 1))](rng, data, others)
    return data


def _body(others: Sequence[bytes], start: int) -> list[bytes]:
    return [other[start:] for other in others if len(other) > start]


def modbus(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """The PDU damaged behind a good MBAP header; in identifications an object's length too."""
    pdu = _blind(rng, data[8:], _body(others, 8))[:252]
    function = data[7:8] or b"\x2b"
    if rng.random() < 0.2:
        function = bytes((rng.choice((0x2B, 0x11, 0xAB, 0x91, 0x03, 0x80)),))
    return data[:4] + (len(pdu) + 2).to_bytes(2, "big") + (data[6:7] or b"\xff") + function + pdu


def s7(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """S7 parameters and data damaged, lengths of S7, COTP and TPKT mended; or several TPKTs."""
    if len(data) < 17 or data[5:6] != b"\xf0":
        tail = _blind(rng, data[5:], _body(others, 5))
        return _tpkt(bytes((len(tail) & 0xFF,)) + tail)
    pdu = data[7:]
    start = 12 if pdu[1] in (2, 3) else 10
    middle = start + int.from_bytes(pdu[6:8], "big")
    parameters, body = pdu[start:middle], pdu[middle:]
    if rng.random() < 0.3:
        parameters = _blind(rng, parameters, ())[:512]
    if rng.random() < 0.8:
        if rng.random() < 0.5 and len(body) > 4:
            payload = _blind(rng, body[4:], _body(others, 33))[:60000]
            body = body[:2] + len(payload).to_bytes(2, "big") + payload
        else:
            body = _blind(rng, body, _body(others, 29))[:60000]
    head = pdu[:6] + len(parameters).to_bytes(2, "big") + len(body).to_bytes(2, "big")
    whole = head + pdu[10:start] + parameters + body
    if rng.random() < 0.2:
        at = rng.randint(0, len(whole))
        return _tpkt(b"\x02\xf0\x00" + whole[:at]) + _tpkt(b"\x02\xf0\x80" + whole[at:])
    return _tpkt(b"\x02\xf0\x80" + whole[:65000])


def _tpkt(tpdu: bytes) -> bytes:
    return b"\x03\x00" + (len(tpdu[:65000]) + 4).to_bytes(2, "big") + tpdu[:65000]


def enip(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """The identity item damaged, lengths of item and header mended or not."""
    item = _blind(rng, data[30:], _body(others, 30))[:1000]
    right = rng.random() < 0.8
    length = len(item) if right else rng.choice(WIDE) & 0xFFFF
    behind = data[24:28] + length.to_bytes(2, "little") + item
    return data[:2] + len(behind).to_bytes(2, "little") + data[4:24] + behind


def ssh(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """The line kept or damaged; the packet behind it damaged, its length mended."""
    line, end, packet = data.partition(b"\n")
    if rng.random() < 0.4:
        line = _blind(rng, line, ()) if rng.random() < 0.5 else b"SSH-2.0-" + line[8:]
    if len(packet) > 27:
        lists = _names(rng, packet[22:])
        padding = rng.choice((4, 4, 8, 255, 0))
        payload = packet[5:22] + lists + bytes(padding)
        packet = (len(payload) + 1).to_bytes(4, "big") + bytes((padding,)) + payload
    return line + end + packet


def _names(rng: Random, lists: bytes) -> bytes:
    """The name-lists of a KEXINIT, one or more of them damaged and counted anew."""
    found, at = [], 0
    while at + 4 <= len(lists) and len(found) < 10:
        size = int.from_bytes(lists[at : at + 4], "big")
        found.append(lists[at + 4 : at + 4 + size])
        at += 4 + size
    for i in range(len(found)):
        if rng.random() < 0.3:
            found[i] = _blind(rng, found[i], found)[:4096]
    if found and rng.random() < 0.1:
        found[rng.randrange(len(found))] = b"," * 400 + b"a," * 400
    wrong = rng.random() < 0.15
    return b"".join(
        (rng.choice(WIDE) if wrong and rng.random() < 0.2 else len(name)).to_bytes(4, "big") + name
        for name in found
    ) + bytes(5)


def http(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Headers, chunks, codings and markup damaged where each is read."""
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    pages = [body for other in others if (body := other.partition(b"\r\n\r\n")[2])]
    if rng.random() < 0.6:
        body = _blind(rng, body, pages)
    if rng.random() < 0.5:
        i = rng.randrange(len(lines))
        lines[i] = _blind(rng, lines[i], lines).replace(b"\r", b"").replace(b"\n", b"")
    if rng.random() < 0.3:
        lines.insert(rng.randint(1, len(lines)), rng.choice(HEADERS))
    kept = [one for one in lines if not one.lower().startswith((b"content-length", b"transfer-"))]
    draw = rng.random()
    if draw < 0.25:
        lines = [*kept, b"Content-Encoding: " + rng.choice((b"gzip", b"deflate", b"br", b"x-gzip"))]
        packed = gzip.compress(body, 1) if rng.random() < 0.6 else zlib.compress(body, 1)
        body = packed if rng.random() < 0.5 else _blind(rng, packed, ())
        lines.append(b"Content-Length: %d" % len(body))
    elif draw < 0.45:
        lines = [*kept, b"Transfer-Encoding: chunked"]
        size = rng.choice((b"%x" % len(body), b"FFFFFFFFFFFFFFFF", b"-1", b"0", b"1;x=y", b""))
        body = size + b"\r\n" + body + b"\r\n0\r\n\r\n"
    elif draw < 0.75:
        lines = [*kept, b"Content-Length: %d" % max(len(body) + rng.choice((0, 0, 0, 1, -1)), 0)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


HEADERS = (
    b"Transfer-Encoding: chunked", b"Content-Length: 0", b"Content-Length: 99999999999999999999",
    b"Content-Length: -1", b"Content-Encoding: gzip", b"Content-Encoding: deflate, gzip",
    b"Connection: upgrade", b"Upgrade: websocket", 
    b'WWW-Authenticate: Basic realm="' + b"A" * 5000,
    b"WWW-Authenticate: , , ,Digest realm=x, Basic", b"Location: https://", b"Location: //x/\x7f",
    b"Server: " + b"S" * 4000, b"X: " + b"y" * 70000, b" folded", b"A:\x00b",
    b"HTTP/1.1 100 Continue",
)  # fmt: skip


def telnet(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Commands and subnegotiations, whole and cut, between pieces of the screen."""
    pieces = []
    for _ in range(rng.randint(1, 8)):
        draw = rng.random()
        if draw < 0.4:
            at = _at(rng, data)
            pieces.append(data[at : at + rng.randint(1, 200)])
        elif draw < 0.7:
            pieces.append(b"\xff" + bytes((rng.choice((251, 252, 253, 254)), rng.getrandbits(8))))
        elif draw < 0.8:
            pieces.append(b"\xff\xfa" + rng.randbytes(rng.randint(0, 9)) + b"\xff\xf0")
        else:
            pieces.append(rng.choice(TEXTS + PROMPTS))
    return b"".join(pieces)


PROMPTS = (
    b"login: ", b"Username:", b"Password: ", b"# ", b"switch# ", b"[admin@x ~]$ ", b"<x>", b"> ",
    b"Login incorrect\r\n", b"Account locked\r\n", b"\xff\xff", b"\xff", b"\xff\xfa",
)  # fmt: skip


# --- BER and DER ---------------------------------------------------------------------------------

Node = tuple[int, "bytes | list[Node]"]


def ber(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """One or more elements of a BER tree changed, all lengths around them mended."""
    tree = parse_ber(data)
    if not tree:
        return _blind(rng, data, others)
    for _ in range(rng.randint(1, 3)):
        tree = _change(rng, tree, others, 0)
    return encode_ber(tree, rng if rng.random() < 0.15 else None)


def parse_ber(data: bytes, depth: int = 0) -> list[Node] | None:
    """All elements of `data`; None where it is not BER to its end."""
    found: list[Node] = []
    at = 0
    while at < len(data):
        if at + 2 > len(data) or depth > 12:
            return None
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            count = length & 0x7F
            if not 1 <= count <= 4:
                return None
            length = int.from_bytes(data[at : at + count], "big")
            at += count
        if at + length > len(data):
            return None
        body = data[at : at + length]
        inside = parse_ber(body, depth + 1) if tag & 0x20 else None
        found.append((tag, body if inside is None else inside))
        at += length
    return found


def encode_ber(tree: Sequence[Node], wrong: Random | None = None) -> bytes:
    out = []
    for tag, body in tree:
        content = body if isinstance(body, bytes) else encode_ber(body, wrong)
        size = len(content)
        if wrong is not None and wrong.random() < 0.1:
            size = wrong.choice(WIDE) & 0xFFFFFF
        if size < 0x80:
            length = bytes((size,))
        else:
            count = (size.bit_length() + 7) // 8
            length = bytes((0x80 | count,)) + size.to_bytes(count, "big")
        out.append(bytes((tag,)) + length + content)
    return b"".join(out)


TAGS = (
    0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0C, 0x13, 0x17, 0x18, 0x30, 0x31, 0x40, 0x41, 0x43, 0x46,
    0x47, 0x80, 0x81, 0x82, 0xA0, 0xA2, 0xA3, 0xA8, 0x1F, 0xBF, 0x00,
)  # fmt: skip


def _change(rng: Random, tree: Sequence[Node], others: Sequence[bytes], depth: int) -> list[Node]:
    changed = list(tree)
    if not changed:
        return [(rng.choice(TAGS), rng.randbytes(rng.randint(0, 9)))]
    i = rng.randrange(len(changed))
    tag, body = changed[i]
    if isinstance(body, list) and rng.random() < 0.85 and depth < 12:
        changed[i] = (tag, _change(rng, body, others, depth + 1))
        return changed
    draw = rng.random()
    if draw < 0.15:
        changed[i] = (rng.choice(TAGS), body)
    elif draw < 0.6:
        raw = body if isinstance(body, bytes) else encode_ber(body)
        changed[i] = (tag, _blind(rng, raw, others)[:4096])
    elif draw < 0.7:
        del changed[i]
    elif draw < 0.85:
        many = isinstance(body, bytes) and rng.random() < 0.1  # a tree would grow without end
        changed[i:i] = [changed[i]] * (300 if many else rng.randint(1, 4))
    elif draw < 0.93:
        other = parse_ber(others[rng.randrange(len(others))]) if others else None
        changed[i] = rng.choice(other) if other else (tag, b"")
    else:
        for _ in range(rng.randint(1, 40)):
            changed[i] = (0x30, [changed[i]])
    return changed


FRAMINGS: dict[str, Mutation] = {
    "modbus": modbus, "s7": s7, "enip": enip, "ssh": ssh, "http": http, "telnet": telnet,
    "snmp": ber, "certificate": ber,
}  # fmt: skip
"""By family; one without an entry gets blind damage alone."""
