"""What the seeds of several protocols share: peers that answer, recordings, one credential."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from scanner.errors import Silent, WalkdownError
from scanner.facts import Fact
from scanner.spec import DefaultCredential, Secret
from tests.fuzz.session import Answer, Dialogue, FuzzSession, drive

ROOT = Path(__file__).resolve().parents[3]
HOST_KEY = "SHA256:" + "A" * 43


def script(*replies: bytes) -> Callable[[], Answer]:
    """A peer that says these things in their order, whatever it is asked, then nothing."""

    def make() -> Answer:
        left = iter(replies)

        def answer(request: bytes | None) -> bytes:
            try:
                return next(left)
            except StopIteration:
                raise Silent("nothing more") from None

        return answer

    return make


def remembered(answer: Answer) -> Callable[[], Answer]:
    """The same answer to the same question, worked out once; silence is remembered too."""
    known: dict[bytes | None, bytes | None] = {}

    def again(request: bytes | None) -> bytes:
        if request not in known:
            try:
                known[request] = answer(request)
            except Silent:
                known[request] = None
        reply = known[request]
        if reply is None:
            raise Silent("not answered")
        return reply

    return lambda: again


def captured(captures: Path, pattern: str) -> list[dict[str, Any]]:
    found = [json.loads(file.read_text()) for file in sorted(captures.glob(pattern))]
    if not found:
        raise SystemExit(f"no recording {pattern} in {captures}: set WALKDOWN_CAPTURES")
    return found


@cache
def banners(captures: Path, kind: str) -> tuple[str, ...]:
    items = json.loads((captures / "banners.json").read_text())["items"]
    return tuple(item["banner"] for item in items if item["kind"] == kind)


def credential(protocol: str, **options: str) -> tuple[DefaultCredential, ...]:
    return (
        DefaultCredential(
            id="x", vendor="V", product="P", protocol=protocol, user="admin",
            secret=Secret("private"), options=options,
        ),
    )  # fmt: skip


def hide(secret: str) -> str:
    return "0" * 32


def told_by(dialogue: Dialogue) -> tuple[Fact, ...]:
    """What the probe of a dialogue makes of it when nothing is damaged."""
    with suppress(WalkdownError):
        return drive(dialogue.probe.run(FuzzSession(dialogue, None)))  # type: ignore[arg-type]
    return ()


def recorded_replies(dialogue: Dialogue) -> list[bytes]:
    """What the peer of a dialogue says when nothing is damaged."""
    session = FuzzSession(dialogue, None)
    with suppress(WalkdownError):  # some recorded devices answer nothing that identifies them
        drive(dialogue.probe.run(session))  # type: ignore[arg-type]
    return session.replies
