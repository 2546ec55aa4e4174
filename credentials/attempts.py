"""
The policy for trying a default credential: pure decisions over the rows of the attempt ledger.

A lockout hurts the operator more than an untried password hurts the report, so every doubt counts
against the attempt: an attempt without an end counts as failed, rows with a time in the future
count as recent, and an account counts over all services of its device.

Source: safety contract, promise 25 and its decisions: at most 2 failures per account and 4 per
device in 24 h, 60 s between attempts (1 s on the bundled lab), nothing after a lockout sign or a
dropped connection, never safety controllers, program passwords or domain accounts.

Beyond it: some devices never forget a failure until somebody logs in. So two refusals in a row
close an account for a year, not for a day. Where the device's own lockout threshold was read, at
least one failure is left to the operator. The operator's own account may be one account for the
whole site (RADIUS, TACACS+): refused twice anywhere, it is not tried on the next device, until
its secret was changed. A changed secret still has no more than the attempts of a day.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from scanner.profiles import Profile

MAX_FAILURES_PER_ACCOUNT = 2
MAX_FAILURES_PER_DEVICE = 4
WINDOW = timedelta(hours=24)
MEMORY = timedelta(days=365)
UNDER_WAY = timedelta(minutes=3)
"""An attempt on another device without an end may still be going on; later it counts as failed."""
ATTEMPT_S = 45.0
"""How long after its moment on record a secret may leave (a library that opens, trusts and signs in
in one step); an attempt without an end may have been made that late."""
TURN_S = 5.0
"""Between two looks at how the first attempt of a site-wide account ended."""
SUDDEN_TIMES = 5.0
SUDDEN_MORE_S = 2.0
SPACING_S = 60.0
SPACING_LAB_S = 1.0
SERVICES = frozenset({"http", "https", "ssh", "telnet", "snmp"})
"""Services that have an administrator's account; a controller's program password is not one."""

ANONYMOUS = "anonymous"
ANONYMOUS_ONLY = frozenset({"ftp", "mqtt", "mqtts"})
"""Services on which nobody is signed in but who needs no password."""

# Names under which safety controllers are sold. A match only ever forbids something, so a wide
# expression is the safe one; a device that is not recognised here is stopped by the site file.
_SAFETY = re.compile(
    r"safety|\bSIS\b|triconex|\btricon\b|trident\b|\bhima\b|himax|himatrix|guardlogix|guardpmax"
    r"|prosafe-?rs|\b800M HI\b|\bPM86[57]\b|pnoz|\bPSS ?\d{4}|\bCPU ?\d{3,4}-?\d?[A-Z]{0,3}F\b"
    r"|\b[34]\d\dF[H ]|\bF-CPU\b|deltav sis|smartplant safety|\bFSC\b|trusted tmr|\bAADvance\b"
    r"|\bM580S\b|\bBMEP58\d{4}S\b|\bXPSM?C|\bMSR\d{2,3}\b|\bGuardMaster\b|failsafe|fail-safe",
    re.IGNORECASE,
)


class Named(Protocol):
    """model.Identity and facts.DeviceIdentity."""

    @property
    def vendor(self) -> str | None: ...
    @property
    def model(self) -> str | None: ...
    @property
    def order_number(self) -> str | None: ...
    @property
    def name(self) -> str | None: ...


class Row(Protocol):
    """
    One row of the ledger, stored before its attempt was made (scanner.state.Attempt is one).

    `outcome` is "pending" until the end was stored; a crash leaves it so. "locked": a lockout
    sign was seen, a dropped connection among them. Else "accepted" or "rejected".
    """

    @property
    def address(self) -> str: ...

    @property
    def service(self) -> str: ...

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
    lockout_after: int | None = None,
    addresses: frozenset[str] | None = None,
) -> Decision:
    """
    May this account be tried on this device now?

    `rows` are all rows of the device, whatever run, service or order; with `addresses` (the
    device's), also those of the account on other devices. `service` begins with the protocol name
    ("http", "ssh/22"); a secret that can change is marked behind it ("ssh/22#3f02aa"). `profile`
    is the device's pacing profile, `lockout_after` the failures at which it locks an account,
    where that was read.
    """
    if words := forbidden(service, account, safety_controller=safety_controller):
        return Decision(reason="policy", words=words)
    most = MAX_FAILURES_PER_ACCOUNT
    if lockout_after is not None:
        most = max(0, min(most, lockout_after - 2))
    if not most:
        return Decision(reason="policy", words=f"it locks accounts after {lockout_after} failures")
    own = [row for row in rows if addresses is None or row.address in addresses]
    if len(own) < len(rows) and (
        elsewhere := _elsewhere(rows, own, service=service, account=account, now=now)
    ):
        return elsewhere
    recent = [row for row in own if now - row.at < WINDOW]
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
    same = _of_account(failures, account)
    if len(same) >= most:
        return Decision(
            reason="ledger",
            words=f"{len(same)} failed attempts on this account within 24 h",
        )
    refused = _in_a_row(_of_secret(_of_account(own, account), service), now)
    if len(refused) >= most:
        return Decision(
            reason="ledger",
            words=f"{len(refused)} failed attempts on this account in a row, and the device may "
            "not have forgotten them",
        )
    return Decision(wait_s=_wait(recent, now, profile))


def _of_account(rows: Sequence[Row], account: str) -> list[Row]:
    return [row for row in rows if row.account.casefold() == account.casefold()]


def _of_secret(rows: Sequence[Row], service: str) -> list[Row]:
    """Without those that were made with another secret than the one marked in `service`."""
    mark = service.partition("#")[2]
    return [
        row
        for row in rows
        if not mark or row.outcome == "accepted" or row.service.partition("#")[2] in ("", mark)
    ]


def _in_a_row(rows: Sequence[Row], now: datetime) -> list[Row]:
    """The failures since the last accepted attempt, of no more than MEMORY ago."""
    remembered = [row for row in rows if now - row.at < MEMORY]
    accepted = [row.at for row in remembered if row.outcome == "accepted"]
    last = max(accepted, default=None)
    return [
        row for row in remembered if row.outcome != "accepted" and (last is None or row.at >= last)
    ]


def _elsewhere(
    rows: Sequence[Row], own: Sequence[Row], *, service: str, account: str, now: datetime
) -> Decision | None:
    """What an account's attempts on other devices say; None: nothing against it."""
    same = _of_account(rows, account)
    today = [row for row in _in_a_row(same, now) if now - row.at < WINDOW]
    remembered = _in_a_row(_of_secret(same, service), now)
    tail = remembered + [row for row in today if row not in remembered]
    going_on = [
        row
        for row in tail
        if row not in own and row.outcome == "pending" and now - row.at < UNDER_WAY
    ]
    failed = len(tail) - len(going_on)
    if failed >= MAX_FAILURES_PER_ACCOUNT:
        return Decision(
            reason="ledger",
            words=f"this account was refused {failed} times in a row on this site",
        )
    if going_on and not any(row.outcome == "accepted" for row in same if now - row.at < WINDOW):
        return Decision(wait_s=TURN_S)  # the first one shows whether the password is right
    return None


def sudden_delay(usual_s: float, took_s: float, profile: Profile) -> bool:
    """
    Whether a refusal took so much longer than that service's first one that the device may hold
    back on purpose. What our own pacing can add is allowed for.
    """
    ours = profile.connection_interval_s
    return took_s > max(SUDDEN_TIMES * usual_s, usual_s + SUDDEN_MORE_S + ours)


def policy(
    *,
    profile: str,
    safety_controller: bool,
    lockout_after: int | None = None,
    addresses: frozenset[str] | None = None,
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
            lockout_after=lockout_after,
            addresses=addresses,
        )
        return decision.wait_s if decision.reason is None else decision.reason

    return ask


def _wait(recent: Sequence[Row], now: datetime, profile: str) -> float:
    """Seconds until the spacing since the last attempt's end is kept, over all accounts."""
    spacing = SPACING_LAB_S if profile == "lab" else SPACING_S
    if not recent:
        return 0.0
    return max(_left(row, now, spacing) for row in recent)


def _left(row: Row, now: datetime, spacing: float) -> float:
    if row.outcome == "pending":
        spacing += ATTEMPT_S
    return min(spacing, max(0.0, spacing - (now - row.at).total_seconds()))


def forbidden(service: str, account: str, *, safety_controller: bool) -> str | None:
    """Why no ledger could ever allow this attempt, or None."""
    protocol = re.split(r"[^a-z0-9]", service.lower(), maxsplit=1)[0]
    if safety_controller:
        return "safety controllers are never logged in to"
    if protocol in ANONYMOUS_ONLY and account == ANONYMOUS:
        return None
    if protocol not in SERVICES:
        return f"no logins are tried on {protocol or 'an unnamed service'}"
    if "\\" in account or "@" in account:
        return "domain accounts are never tried"
    return None


def is_safety_controller(*told: Named) -> bool:
    """
    True when any name that anybody told of the device, or of a module in it, is one under which
    safety controllers are sold.
    """
    return any(
        _SAFETY.search(name)
        for one in told
        for name in (one.vendor, one.model, one.order_number, one.name)
        if name
    )
