"""FTP: recorded greetings, features, and sign-ins with every ending."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import probes.ftp
from tests.fuzz import mutate
from tests.fuzz.seeds.form import banners, captured, script
from tests.fuzz.session import Dialogue

HELLO = b"220 FTP server ready.\r\n"
FEATURES = b"211-Features supported:\r\n AUTH TLS\r\n UTF8\r\n211 End.\r\n"


def dialogues(captures: Path) -> Iterator[Dialogue]:
    for record in captured(captures, "ftp__*.json"):
        said = [bytes.fromhex(exchange["response_hex"]) for exchange in record["exchanges"]]
        yield Dialogue(name=record["id"], probe=probes.ftp.PROBE, answer=script(*said))
    for i, text in enumerate(banners(captures, "ftp_banners")):
        said = [f"220 {text}\r\n".encode()]
        yield Dialogue(name=f"banner {i}", probe=probes.ftp.PROBE, answer=script(*said))
    several = b"220-one\r\n220-two\r\n220 three\r\n"
    yield Dialogue(name="lines", probe=probes.ftp.PROBE, answer=script(several))
    for features, system in (
        (FEATURES, b"215 UNIX Type: L8\r\n"),
        (b"502 no\r\n", b"530 Please login with USER and PASS.\r\n"),
    ):
        said = [HELLO, features, system]
        yield Dialogue(name="read", probe=probes.ftp.READ_PROBE, answer=script(*said))
    for answers in (
        (b"230 Welcome\r\n",),
        (b"331 Send your address\r\n", b"230 Welcome\r\n"),
        (b"331 Password?\r\n", b"530 Login incorrect.\r\n"),
        (b"530 no\r\n",),
        (b"421 Too many users\r\n",),
        (b"331 Password?\r\n", b"450 later\r\n"),
    ):
        yield Dialogue(name="login", probe=probes.ftp.LOGIN_PROBE, answer=script(HELLO, *answers))


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Lines damaged one by one, with and without their codes."""
    lines = data.split(b"\r\n")
    pieces = []
    for _ in range(rng.randint(1, 8)):
        draw, line = rng.random(), rng.choice(lines)
        if draw < 0.3:
            pieces.append(line[:4] + rng.choice(mutate.TEXTS))
        elif draw < 0.5:
            pieces.append(line[:3] + rng.choice((b" ", b"-", b"")) + line[4:])
        elif draw < 0.7:
            pieces.append(rng.choice((b"220", b"221", b"230", b"331", b"421", b"530")) + line[3:])
        else:
            pieces.append(line)
    return rng.choice((b"\r\n", b"\n")).join(pieces) + rng.choice((b"\r\n", b"\n", b""))
