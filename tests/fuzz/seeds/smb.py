"""SMB: recorded servers of SMB 1, and made ones of SMB2, in both tiers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random

import probes.smb
from scanner.facts import SmbFace
from tests.fuzz import mutate
from tests.fuzz.seeds.form import captured, script
from tests.fuzz.session import Dialogue

OUR_PARAMETERS = ("offered_at", "dialect")

_CHALLENGE = bytes.fromhex(
    "a1819e30819ba0030a0101a10c060a2b06010401823702020aa281850481824e544c4d5353500002000000"
    "0a000a003800000005028202af6baaf61e1b512b0000000000000000400040004200000006017217000000"
    "0f5400530034003100320002000a005400530034003100320001000a00540053003400310032000400020000"
    "0003000a00740073003400310032000700080042de9f84cbbad30100000000"
)


def negotiated(dialect: int, mode: int) -> bytes:
    body = b"\x41\x00" + bytes([mode, 0]) + dialect.to_bytes(2, "little") + bytes(58)
    return answered(0, 0, 0, body)


def set_up() -> bytes:
    size = len(_CHALLENGE).to_bytes(2, "little")
    return answered(1, 1, 0xC0000016, b"\x09\x00\x00\x00\x48\x00" + size + _CHALLENGE)


def answered(command: int, message: int, status: int, body: bytes) -> bytes:
    head = b"\xfeSMB\x40\x00\x01\x00" + status.to_bytes(4, "little") + bytes([command, 0, 1, 0])
    head += b"\x01" + bytes(7) + message.to_bytes(8, "little") + bytes(32)
    return b"\x00" + (len(head) + len(body)).to_bytes(3, "big") + head + body


def old(captures: Path) -> Iterator[tuple[bytes, ...]]:
    """The SMB 1 replies of each recording, the dialect being the one of our own list."""
    for record in captured(captures, "smb__*.json"):
        replies = [bytes.fromhex(exchange["response_hex"]) for exchange in record["exchanges"]]
        mine = [reply for reply in replies if reply[4:8] == b"\xffSMB"]
        yield tuple(
            reply[:37] + bytes(2) + reply[39:] if reply[8] == 0x72 else reply for reply in mine
        )


def dialogues(captures: Path) -> Iterator[Dialogue]:
    new, refused = negotiated(0x311, 1), answered(0, 0, 0xC00000BB, bytes(9))
    for negotiation, *set_ups in old(captures):
        yield Dialogue(name="old", probe=probes.smb.PROBE, answer=script(new, negotiation))
        if set_ups:
            yield Dialogue(
                name="old set-up",
                probe=probes.smb.READ_PROBE,
                answer=script(negotiation, *set_ups),
                known=(SmbFace(dialects=("NT LM 0.12",), smb1=True),),
            )
    yield Dialogue(name="no old", probe=probes.smb.PROBE, answer=script(new, refused))
    yield Dialogue(name="new", probe=probes.smb.READ_PROBE, answer=script(new, set_up()))


def recordings(captures: Path) -> Iterator[Dialogue]:
    """Servers of SMB 1, which close on SMB2: the negotiation alone, then with the sign-in."""
    closes = answered(0, 0, 0xC00000BB, bytes(9))
    known = (SmbFace(dialects=("NT LM 0.12",), smb1=True),)
    for record, said in zip(captured(captures, "smb__*.json"), old(captures), strict=True):
        negotiation, *set_ups = said
        first = script(closes, negotiation)
        yield Dialogue(name=record["id"], probe=probes.smb.PROBE, answer=first)
        if set_ups:
            yield Dialogue(
                name=record["id"],
                probe=probes.smb.READ_PROBE,
                answer=script(negotiation, *set_ups),
                known=known,
            )


def samples(captures: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "smb", lambda: probes.smb.decode_challenge(_CHALLENGE)


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """What lies behind the header damaged, the length of the transport mended or not."""
    body = mutate.blind(rng, data[40:], mutate.bodies(others, 40))[:4000]
    message = data[4:40] + body
    size = len(message) if rng.random() < 0.9 else rng.choice(mutate.WIDE) & 0xFFFFFF
    return b"\x00" + size.to_bytes(3, "big") + message
