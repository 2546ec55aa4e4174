"""
The policy for trying a default credential: pure decisions over the rows of the attempt ledger.

A lockout hurts the operator more than an untried password hurts the report, so every doubt counts
against the attempt: an attempt without an end counts as failed, rows with a time in the future
count as recent, and an account counts over all services of its device.

Source: safety contract, promise 25 and its decisions: at most 2 failures per account and 4 per
device in 24 h, 60 s between attempts (1 s on the bundled lab), nothing after a lockout sign or a
dropped connection, never safety controllers, program passwords or domain accounts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from scanner.model import Identity

MAX_FAILURES_PER_ACCOUNT = 2
MAX_FAILURES_PER_DEVICE = 4
WINDOW = timedelta(hours=24)
SPACING_S = 60.0
SPACING_LAB_S = 1.0
SERVICES = frozenset({"http", "https", "ssh", "telnet", "snmp"})
"""Services that have an administrator's account; a controller's program password is not one."""

# Names under which safety controllers are sold. A match only ever forbids something, so a wide
# expression is the safe one; a device that is not recognised here is stopped by the site file.
_SAFETY = re.compile(
    r"safety|\bSIS\b|triconex|\btricon\b|trident\b|\bhima\b|himax|himatrix|guardlogix|guardpmax"
    r"|prosafe-?rs|\b800M HI\b|\bPM86[57]\b|pnoz|\bPSS ?\d{4}|\bCPU ?\d{3,4}-?\d?[A-Z]{0,3}F\b"
    r"|\b[34]\d\dF[H ]|\bF-CPU\b|deltav sis|smartplant safety|\bFSC\b|trusted tmr|\bAADvance\b"
    r"|\bM580S\b|\bBMEP58\d{4}S\b|\bXPSM?C|\bMSR\d{2,3}\b|\bGuardMaster\b|failsafe|fail-safe",
    re.IGNORECASE,
)


class Row(Protocol):
    """
    One row of the ledger, stored before its attempt was made (scanner.state.Attempt is one).

    `outcome` is "pending" until the end was stored; a crash leaves it so. "locked": a lockout
    sign was seen, a dropped connection among them. Else "accepted" or "rejected".
    """

    @property
    def at(self) -> datetime: ...

    @property
    def account(self) -> str: ...

    @property
    def outcome(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """
    `reason` None: allowed after `wait_s` seconds. Else one of "ledger", "locked", "policy", with
    `words` for the report.
    """

    reason: str | None = None
    words: str = ""
    wait_s: float = 0.0

    @property
    def allowed(self) -> bool:
        return self.reason is None


def decide(
    rows: Sequence[Row],
    *,
    service: str,
    account: str,
    now: datetime,
    profile: str,
    safety_controller: bool,
) -> Decision:
    """
    May this account be tried on this device now?

    `rows` are all rows of the device, whatever run, service or order. `service` begins with the
    protocol name ("http", "ssh/22"). `profile` is the device's pacing profile.
    """
    if words := forbidden(service, account, safety_controller=safety_controller):
        return Decision(reason="policy", words=words)
    recent = [row for row in rows if now - row.at < WINDOW]
    if any(row.outcome == "locked" for row in recent):
        return Decision(
            reason="locked",
            words="a lockout sign or a dropped connection was seen within 24 h",
        )
    failures = [row for row in recent if row.outcome != "accepted"]
    if len(failures) >= MAX_FAILURES_PER_DEVICE:
        return Decision(
            reason="ledger",
            words=f"{len(failures)} failed attempts on this device within 24 h",
        )
    same = [row for row in failures if row.account.casefold() == account.casefold()]
    if len(same) >= MAX_FAILURES_PER_ACCOUNT:
        return Decision(
            reason="ledger",
            words=f"{len(same)} failed attempts on this account within 24 h",
        )
    return Decision(wait_s=_wait(recent, now, profile))


def policy(
    *, profile: str, safety_controller: bool
) -> Callable[[Sequence[Row], datetime, str, str], float | str]:
    """
    `decide` for one device in the form that scanner.state.AttemptLedger asks it:
    `(rows, now, service, account)` gives 0 (go ahead), seconds to wait, or the reason why not.
    """

    def ask(rows: Sequence[Row], now: datetime, service: str, account: str) -> float | str:
        decision = decide(
            rows,
            service=service,
            account=account,
            now=now,
            profile=profile,
            safety_controller=safety_controller,
        )
        return decision.wait_s if decision.reason is None else decision.reason

    return ask


def _wait(recent: Sequence[Row], now: datetime, profile: str) -> float:
    """Seconds until the spacing since the last attempt is kept, counted over all accounts."""
    spacing = SPACING_LAB_S if profile == "lab" else SPACING_S
    if not recent:
        return 0.0
    since = (now - max(row.at for row in recent)).total_seconds()
    return min(spacing, max(0.0, spacing - since))


def forbidden(service: str, account: str, *, safety_controller: bool) -> str | None:
    """Why no ledger could ever allow this attempt, or None."""
    protocol = re.split(r"[^a-z0-9]", service.lower(), maxsplit=1)[0]
    if safety_controller:
        return "safety controllers are never logged in to"
    if protocol not in SERVICES:
        return f"no logins are tried on {protocol or 'an unnamed service'}"
    if "\\" in account or "@" in account:
        return "domain accounts are never tried"
    return None


def is_safety_controller(identity: Identity) -> bool:
    """True when any name of the device is one under which safety controllers are sold."""
    names = (identity.vendor, identity.model, identity.order_number, identity.name)
    return any(_SAFETY.search(name) for name in names if name)
