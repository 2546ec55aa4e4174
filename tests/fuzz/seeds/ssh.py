"""SSH: recorded servers, greetings in one piece and apart, and the library's answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import probes.ssh
import scanner.clients.ssh
import scanner.guards.ssh
from scanner.clients.ssh import AuthAnswer, CommandResult, ServerKey
from scanner.spec import Secret
from tests.fuzz import mutate
from tests.fuzz.seeds.form import (
    HOST_KEY,
    banners,
    captured,
    credential,
    recorded_replies,
    script,
)
from tests.fuzz.session import Dialogue, FuzzSession

TEXTS = {("ssh_auth_methods", "login_banner"): 2048, ("ssh_face", "banner"): 255}


def dialogues(captures: Path) -> Iterator[Dialogue]:
    from tests.probes.test_ssh import SAMPLE

    replies = [
        bytes.fromhex(e["response_hex"])
        for record in captured(captures, "ssh__*.json")
        for e in record["exchanges"]
        if e["response_hex"]
    ]
    software = banners(captures, "ssh_banners")
    replies += [b"SSH-2.0-" + words.encode() + b"\r\n" + SAMPLE for words in software]
    replies += [b"Keep out!\r\nSSH-2.0-dropbear_2019.78\r\n" + SAMPLE]
    for i, reply in enumerate(replies):
        yield Dialogue(name=f"server {i}", probe=probes.ssh.PROBE, answer=script(reply))
        line, end, packet = reply.partition(b"\n")
        apart = script(line + end + packet[: i % 2 * 3], packet[i % 2 * 3 :])
        yield Dialogue(name=f"apart {i}", probe=probes.ssh.PROBE, answer=apart)
    library = {"methods": ("password", "publickey"), "banner": "Keep out!\n", "key": b"\0" * 64}
    yield Dialogue(name="read", probe=probes.ssh.READ_PROBE, answer=script(), values=library)
    yield Dialogue(
        name="login",
        probe=probes.ssh.LOGIN_PROBE,
        answer=script(),
        default_credentials=credential("ssh"),
        values=library,
    )


def recordings(captures: Path) -> Iterator[Dialogue]:
    for record in captured(captures, "ssh__*.json"):
        said = [bytes.fromhex(e["response_hex"]) for e in record["exchanges"] if e["response_hex"]]
        yield Dialogue(name=record["id"], probe=probes.ssh.PROBE, answer=script(*said))


BANNERS = {"ssh_banners": probes.ssh.identify_software}


class Library:
    """scanner.clients.ssh.SshConnection: what it hands to probes, over damaged texts."""

    def __init__(self, sock: Any, *, judge: Any, timeout_s: float = 5.0) -> None:
        self.judge = judge

    def handshake(self) -> ServerKey:
        session = FuzzSession.current
        if "key" not in session.dialogue.values:
            return ServerKey(algorithm="ssh-ed25519", bits=256, fingerprint_sha256=HOST_KEY)
        blob = session.told("key")
        return ServerKey(
            algorithm="ssh-rsa",
            bits=2048,
            fingerprint_sha256=scanner.clients.ssh.fingerprint_sha256(blob),
        )

    def _answered(self) -> AuthAnswer:
        session = FuzzSession.current
        most = scanner.clients.ssh.TEXT_MAX
        banner = scanner.clients.ssh.printable(session.told("banner"))[:most]
        return AuthAnswer(
            accepted=len(banner) % 5 == 0,
            methods=scanner.clients.ssh.names(session.told("methods")),
            banner=banner or None,
        )

    def auth_none(self, user: str) -> AuthAnswer:
        self.judge(b"auth none")
        return self._answered()

    def auth_password(self, user: str, secret: Secret, *, operator: bool, **_: Any) -> AuthAnswer:
        self.judge(b"auth operator" if operator else b"auth password")
        return AuthAnswer(accepted=True) if operator else self._answered()

    def run(self, platform: str, command: str) -> CommandResult:
        self.judge(f"exec {platform} {command}".encode())
        outputs: Mapping[str, str] = FuzzSession.current.dialogue.values["outputs"]
        text = printed().get(command) if command in outputs else None
        if text is None:
            absent = f"cat: {command}: No such file or directory"
            return CommandResult(
                command=command, stdout="", stderr=absent, exit_status=1, whole=True
            )
        return CommandResult(command=command, stdout=text, stderr="", exit_status=0, whole=True)

    def close(self) -> None:
        return None


def printed() -> dict[str, str]:
    """What the commands of the current session print, damaged once."""
    session = FuzzSession.current
    if session.outputs is None:
        session.outputs = session.told("outputs")
    return session.outputs


def samples(captures: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    for dialogue in dialogues(captures):
        for reply in recorded_replies(dialogue):
            yield "ssh", lambda r=reply: scanner.guards.ssh.in_key_exchange(r)  # type: ignore[misc]


def mend(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """The line kept or damaged; the packet behind it damaged, its length mended."""
    line, end, packet = data.partition(b"\n")
    if rng.random() < 0.4:
        line = mutate.blind(rng, line, ()) if rng.random() < 0.5 else b"SSH-2.0-" + line[8:]
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
            found[i] = mutate.blind(rng, found[i], found)[:4096]
    if found and rng.random() < 0.1:
        found[rng.randrange(len(found))] = b"," * 400 + b"a," * 400
    wrong = rng.random() < 0.15
    return b"".join(
        (rng.choice(mutate.WIDE) if wrong and rng.random() < 0.2 else len(name)).to_bytes(4, "big")
        + name
        for name in found
    ) + bytes(5)


LIBRARIES = ((probes.ssh, "SshConnection", Library),)
