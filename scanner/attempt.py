"""
One attempt with a secret, counted in the ledger before anything is sent.

The spacing between attempts is waited for before the connection is made: a device closes one that
says nothing, and a seat held while we wait is somebody's seat.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from scanner.errors import Closed, Reset, Silent
from scanner.spec import Session


@dataclass(slots=True, kw_only=True)
class CountedAttempt:
    """
    `withheld`: why it may not be made. `left`: when the secret left; None: it has not.
    `accepted`: what the device said; None: nothing, or nothing that could be told. `took_s`: from
    the secret to the answer.
    """

    withheld: str | None
    left: datetime | None = None
    accepted: bool | None = None
    lockout_sign: str | None = None
    took_s: float | None = None

    def answered(
        self, at: datetime, *, accepted: bool | None, lockout_sign: str | None = None
    ) -> None:
        self.accepted, self.lockout_sign = accepted, lockout_sign
        if self.left is not None:
            self.took_s = max((at - self.left).total_seconds(), 0.0)


@asynccontextmanager
async def counted(session: Session, service: str, account: str) -> AsyncIterator[CountedAttempt]:
    """
    Around a connection with one attempt on it (safety contract, promise 25). Where the block ends
    and `left` was never set, nothing secret was sent and the attempt is taken back. It counts as
    failed unless it was accepted; a connection that breaks before the answer is a lockout sign.
    """
    attempt = CountedAttempt(withheld=await session.attempts.begin(service, account))
    if attempt.withheld:
        yield attempt
        return
    try:
        yield attempt
    except (Closed, Reset):
        if attempt.took_s is None:
            attempt.lockout_sign = "connection dropped"
        raise
    except Silent:
        if attempt.took_s is None:
            attempt.lockout_sign = "no answer"
        raise
    finally:
        if attempt.left is None:
            await session.attempts.not_made(service, account)
        else:
            await session.attempts.ended(
                service,
                account,
                accepted=bool(attempt.accepted),
                lockout_sign=attempt.lockout_sign,
                took_s=attempt.took_s,
            )
