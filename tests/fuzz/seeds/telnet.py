"""Telnet: recorded and made greetings, prompts of every kind, and logins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import probes.telnet
from tests.fuzz import mutate
from tests.fuzz.seeds.form import banners, captured, credential, script
from tests.fuzz.session import Dialogue

OUR_PARAMETERS = ("offers",)
TEXTS = {("telnet_face", "banner"): 2048}


def dialogues(captures: Path) -> Iterator[Dialogue]:
    recorded = [
        bytes.fromhex(e["response_hex"])
        for record in captured(captures, "telnet__*.json")
        for e in record["exchanges"]
    ]
    offer = b"\xff\xfd\x18\xff\xfd\x20\xff\xfb\x01"
    yield Dialogue(name="recorded", probe=probes.telnet.PROBE, answer=script(*recorded))
    for i, text in enumerate(banners(captures, "telnet_banners")):
        said = script(offer, text.encode() + b"\r\n", b"login: ")
        yield Dialogue(name=f"banner {i}", probe=probes.telnet.PROBE, answer=said)
    for prompt in (b"login: ", b"Password: ", b"switch#", b"Press any key"):
        said = script(offer + b"User Access Verification\r\n\r\n" + prompt, prompt)
        yield Dialogue(name="prompt", probe=probes.telnet.PROBE, answer=said)
    sessions = (
        (offer + b"login: ", b"login: ", b"Password: ", b"\r\nswitch# ", b"login: ", b"Password: ",
         b"Login incorrect\r\nlogin: "),
        (b"Username: ", b"Password: ", b"% Account locked, too many attempts\r\n"),
        (b"Password: ", b"> "),
        (b"switch> ",),
    )  # fmt: skip
    for answers in sessions:
        yield Dialogue(
            name="login",
            probe=probes.telnet.LOGIN_PROBE,
            answer=script(*answers),
            default_credentials=credential("telnet"),
        )


def recordings(captures: Path) -> Iterator[Dialogue]:
    for record in captured(captures, "telnet__*.json"):
        said = [bytes.fromhex(exchange["response_hex"]) for exchange in record["exchanges"]]
        yield Dialogue(name=record["id"], probe=probes.telnet.PROBE, answer=script(*said))


BANNERS = {
    "telnet_banners": lambda text: probes.telnet.identify_greeting(
        probes.telnet.shown(text.encode())
    )
}


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Commands and subnegotiations, whole and cut, between pieces of the screen."""
    pieces = []
    for _ in range(rng.randint(1, 8)):
        draw = rng.random()
        if draw < 0.4:
            at = mutate.offset(rng, data)
            pieces.append(data[at : at + rng.randint(1, 200)])
        elif draw < 0.7:
            pieces.append(b"\xff" + bytes((rng.choice((251, 252, 253, 254)), rng.getrandbits(8))))
        elif draw < 0.8:
            pieces.append(b"\xff\xfa" + rng.randbytes(rng.randint(0, 9)) + b"\xff\xf0")
        else:
            pieces.append(rng.choice(mutate.TEXTS + PROMPTS))
    return b"".join(pieces)


PROMPTS = (
    b"login: ", b"Username:", b"Password: ", b"# ", b"switch# ", b"[admin@x ~]$ ", b"<x>", b"> ",
    b"Login incorrect\r\n", b"Account locked\r\n", b"\xff\xff", b"\xff", b"\xff\xfa",
)  # fmt: skip
