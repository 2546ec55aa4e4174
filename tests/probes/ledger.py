"""An attempt ledger for a probe under test: lets `room` attempts through and remembers all."""

from __future__ import annotations


class Ledger:
    """
    `begun` (service, account) without those taken back; `ends` (account, accepted, sign); `told`
    (what, account, how it ended), in order.
    """

    def __init__(self, room: int = 9) -> None:
        self.room = room
        self.begun: list[tuple[str, str]] = []
        self.ends: list[tuple[str, bool, str | None]] = []
        self.told: list[tuple[str, str, object]] = []

    async def begin(self, service: str, account: str) -> str | None:
        self.told.append(("begin", account, None))
        if self.room <= 0:
            return "ledger"
        self.room -= 1
        self.begun.append((service, account))
        return None

    async def leaves(self, service: str, account: str) -> None:
        self.told.append(("leaves", account, None))
        assert (service, account) in self.begun

    async def ended(
        self,
        service: str,
        account: str,
        *,
        accepted: bool,
        lockout_sign: str | None = None,
        took_s: float | None = None,
    ) -> None:
        assert (service, account) in self.begun
        assert took_s is None or took_s >= 0
        self.ends.append((account, accepted, lockout_sign))
        self.told.append(("ended", account, lockout_sign or accepted))

    async def not_made(self, service: str, account: str) -> None:
        self.begun.remove((service, account))
        self.told.append(("not made", account, None))
