"""
Damage done to recorded replies: blind (bits, bytes, cuts, copies, splices) and with knowledge of
the framing (lengths rewritten, or mended around what was changed, so that the damage is read).
What knows one protocol's framing stands beside its seeds; here is what several are made of.

Every drawing comes from one `random.Random`, so that a case is known by its seed and number.
"""

from __future__ import annotations

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


def offset(rng: Random, data: bytes) -> int:
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
    return data[: offset(rng, data)]


def drop(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    at = offset(rng, data)
    return data[:at] + data[at + rng.randint(1, 16) :]


def insert(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    at = offset(rng, data)
    return data[:at] + rng.randbytes(rng.randint(1, 16)) + data[at:]


def say(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Text that is dangerous somewhere, put in between or over what was there."""
    at = offset(rng, data)
    text = TEXTS[int(rng.random() * len(TEXTS))]
    return data[:at] + text + data[at + (len(text) if rng.random() < 0.5 else 0) :]


def repeat(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    at = offset(rng, data)
    piece = data[at : at + rng.randint(1, 64)]
    times = rng.randint(1, 6) if rng.random() < 0.9 else rng.randint(20, 300)
    return data[:at] + piece * times + data[at:]


def splice(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    if not others:
        return flip(rng, data, others)
    other = others[int(rng.random() * len(others))]
    return data[: offset(rng, data)] + other[offset(rng, other) :]


def noise(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    return rng.randbytes(rng.randint(0, 64))


BLIND: tuple[Mutation, ...] = (
    flip, flip, flip, poke, poke, poke, wide, wide, cut, drop, insert, say, repeat, splice, splice,
    noise,
)  # fmt: skip


# --- framing -------------------------------------------------------------------------------------


def blind(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    for _ in range(rng.randint(1, 3)):
        data = BLIND[int(rng.random() * (len(BLIND) - 1))](rng, data, others)
    return data


def bodies(others: Sequence[bytes], start: int) -> list[bytes]:
    return [other[start:] for other in others if len(other) > start]


# --- BER and DER ---------------------------------------------------------------------------------

Node = tuple[int, "bytes | list[Node]"]


def ber(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """One or more elements of a BER tree changed, all lengths around them mended."""
    tree = parse_ber(data)
    if not tree:
        return blind(rng, data, others)
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
        changed[i] = (tag, blind(rng, raw, others)[:4096])
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
