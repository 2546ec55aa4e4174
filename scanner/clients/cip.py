"""
pycomm3, read verbs only: the identity object of one device, and ODVA's vendor names.

The driver of pycomm3 blocks, and hangs for ever when its peer closes in mid-frame; it therefore
runs in a worker process that is killed at the deadline. Its own `discover` broadcasts and its Logix
driver opens connections and uploads tag lists: neither is used.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Final

from scanner import tripwire
from scanner.errors import BadReply, Closed, Silent, ToolBug, WireError

MAX_OUTPUT: Final = 4096


@cache
def _vendors() -> dict[int, str]:
    # Imported late: it costs a sixth of a second, and many runs meet no CIP device.
    from pycomm3.cip.status_info import VENDORS

    return {number: name for number, name in VENDORS.items() if isinstance(number, int)}


def prepare() -> None:
    """Load the table of vendors."""
    _vendors()


def vendor_name(vendor_id: int) -> str | None:
    """The vendor with this id in the table that pycomm3 carries; None when it lists none."""
    name = _vendors().get(vendor_id)
    return None if not name or name.casefold().startswith("reserved") else str(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityAnswer:
    """
    The reply data of Get_Attributes_All on instance 1 of class 1, or in words why it was refused.

    `session` is the registered session; it is the caller's to give back, also where the
    conversation ended with it: then `broken` is what the caller has to raise.
    """

    session: int
    attributes: bytes = b""
    refused: str | None = None
    broken: WireError | None = None


async def read_identity_object(host: str, port: int, *, deadline_s: float = 50.0) -> IdentityAnswer:
    """
    Raises Silent when the deadline came first (the worker is dead when this returns), Closed when
    the conversation broke off, BadReply when what came was no reply; the last two only where no
    session was registered.
    """
    command = (sys.executable, "-I", "-m", "scanner.clients.cip_worker", host, str(port))
    with tripwire.grant_process():
        worker = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
        )
    try:
        async with asyncio.timeout(deadline_s):
            assert worker.stdout is not None  # noqa: S101 - asked for above
            output = await worker.stdout.read(MAX_OUTPUT)
    except TimeoutError:
        raise Silent(f"pycomm3 had no answer in {deadline_s:g} s and was killed") from None
    finally:
        await _end(worker)
    return _decode(output)


async def _end(worker: asyncio.subprocess.Process) -> None:
    """Kill the worker if it still runs, and wait until it is gone, also when cancelled."""
    if worker.returncode is None:
        with suppress(ProcessLookupError):
            worker.kill()
    ended = asyncio.ensure_future(worker.wait())
    try:
        await asyncio.shield(ended)
    except asyncio.CancelledError:
        await asyncio.wait([ended])
        raise


def _decode(output: bytes) -> IdentityAnswer:
    try:
        answer = json.loads(output)
        if "error" not in answer:
            return IdentityAnswer(
                session=int(answer["session"]),
                attributes=bytes.fromhex(answer.get("attributes", "")),
                refused=answer.get("refused"),
            )
        kind, text = str(answer["error"]), str(answer["text"])
        session = int(answer.get("session", 0))
    except (ValueError, KeyError, TypeError) as error:
        raise ToolBug(f"the worker said {output[:80]!r}") from error
    if kind not in ("closed", "garbled"):
        raise ToolBug(f"the worker failed: {text}")
    broken = Closed(f"pycomm3: {text}") if kind == "closed" else BadReply(f"pycomm3: {text}")
    if session:
        return IdentityAnswer(session=session, broken=broken)
    raise broken
