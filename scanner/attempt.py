"""
One attempt with a secret, counted in the ledger before anything is sent.

The spacing between attempts is waited for before the connection is made: a device closes one that
says nothing, and a seat held while we wait is somebody's seat.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

from scanner.errors import Closed, Reset, Silent
from scanner.facts import CredentialAttempt
from scanner.spec import Session


class CountedAttempt:
    """
    `withheld`: why it may not be made. `left`: when the secret left, or was about to; None: it has
    not. `accepted`: what the device said; None: nothing, or nothing that could be told. `took_s`:
    from the secret to the answer.
    """

    def __init__(self, session: Session, service: str, account: str, withheld: str | None) -> None:
        self._session = session
        self._service = service
        self._account = account
        self.withheld = withheld
        self.left: datetime | None = None
        self.accepted: bool | None = None
        self.lockout_sign: str | None = None
        self.took_s: float | None = None

    async def leaves(self) -> None:
        """To be said before the secret is sent: from here the ledger counts the time."""
        await self._session.attempts.leaves(self._service, self._account)
        self.left = self._session.now()

    def answered(self, *, accepted: bool | None, lockout_sign: str | None = None) -> None:
        self.accepted, self.lockout_sign = accepted, lockout_sign
        if self.left is not None:
            self.took_s = max((self._session.now() - self.left).total_seconds(), 0.0)

    def told_in(self, fact: CredentialAttempt) -> CredentialAttempt:
        """The fact of an attempt on a service that wanted a login, with how this one ended."""
        return replace(
            fact,
            open_without_login=False,
            accepted=self.accepted,
            lockout_sign=self.lockout_sign,
            withheld=self.withheld,
        )


@asynccontextmanager
async def counted(session: Session, service: str, account: str) -> AsyncIterator[CountedAttempt]:
    """
    Around a connection with one attempt on it (safety contract, promise 25). Where the block ends
    and `leaves` was never said, nothing secret was sent and the attempt is taken back. It counts as
    failed unless it was accepted; a connection that breaks before the answer is a lockout sign.
    """
    withheld = await session.attempts.begin(service, account)
    attempt = CountedAttempt(session, service, account, withheld)
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
