"""
python-snap7, read verbs only: system status lists by id and index.

Its client offers dozens of calls that change a controller, some that invent an answer
(`get_cpu_state` always says RUN) and some that read past a header (`get_protection`). None of them
leaves this module: what comes out are the bytes of the lists that were asked for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from snap7.async_client import AsyncClient, AsyncISOTCPConnection
from snap7.error import S7ConnectionError, S7Error, S7ProtocolError, S7TimeoutError

from scanner.errors import BadReply, Closed, Silent, WireError

S7_BASIC: Final = 3
OUR_TSAP: Final = 0x0100
REQUEST_S: Final = 20.0
"""Longer than a request may wait for its turn behind the relay."""
MAX_CONTINUATIONS: Final = 4
"""Lists asked for here fit in one PDU; this is for the plan, the guard of the budget holds it."""

Which = tuple[int, int]
"""SZL id and index."""


async def read_lists(
    host: str,
    port: int,
    *,
    rack: int,
    slot: int,
    wanted: Sequence[Sequence[Which]],
    deadline_s: float = 50.0,
) -> dict[Which, bytes]:
    """
    For each of `wanted`, the first of its alternatives that the CPU does not refuse.

    A list is what follows id and index in the reply: `record length(2) count(2) records`. One that
    was refused in all its alternatives is missing from the result.
    Raises Silent, Closed, BadReply.
    """
    for name in ("snap7.async_client", "snap7.client_base", "snap7.connection", "snap7.s7protocol"):
        logging.getLogger(name).disabled = True  # they would quote what devices say
    client = AsyncClient()
    found: dict[Which, bytes] = {}
    try:
        async with asyncio.timeout(deadline_s):
            await _connect(client, host, port, tsap=S7_BASIC << 8 | rack << 5 | slot)
            for alternatives in wanted:
                for which in alternatives:
                    answer = await _read(client, which)
                    if answer is not None:
                        found[which] = answer
                        break
    except TimeoutError:
        raise Silent(f"python-snap7 had no answer in {deadline_s:g} s") from None
    except S7Error as error:
        raise _translated(error) from error
    finally:
        await _close(client)
    return found


async def _connect(client: AsyncClient, host: str, port: int, *, tsap: int) -> None:
    """
    What `client.connect` does, with a time limit of ours: its own is fixed at 5 s, and behind the
    relay a connection may wait longer for its turn.
    """
    client.connection = AsyncISOTCPConnection(host, port, local_tsap=OUR_TSAP, remote_tsap=tsap)
    await client.connection.connect(timeout=REQUEST_S)
    await client._setup_communication()
    client.connected = True


async def _read(client: AsyncClient, which: Which) -> bytes | None:
    """None when the CPU refused this list."""
    try:
        answer = await client.read_szl(*which)
    except (S7ConnectionError, S7TimeoutError):
        raise
    except (S7ProtocolError, RuntimeError):
        return None
    return bytes(byte & 0xFF for byte in answer.Data[: answer.Header.LengthDR])


async def _close(client: AsyncClient) -> None:
    """
    Close without the library's own goodbye: its disconnect request is one byte too long, and
    S7-300 and S7-400 have stopped on malformed frames. The end of the connection says the same.
    """
    if client.connection is not None:
        client.connection.connected = False
    await client.disconnect()


def _translated(error: S7Error) -> WireError:
    if isinstance(error, S7TimeoutError):
        return Silent(f"python-snap7: {error}")
    if isinstance(error, S7ConnectionError):
        return Closed(f"python-snap7: {error}")
    return BadReply(f"python-snap7: {error}")
