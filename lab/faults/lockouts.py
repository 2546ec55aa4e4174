"""Accounts that lock after some failures, with and without saying so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.faults.base import Behaviour, Settings

_WHY = "the other protocols have no accounts: an SNMP community or a Modbus unit cannot lock"
UNGUESSABLE = "not-a-published-default-3f9c"


def _lock(
    protocol: str, settings: Settings, parameters: Mapping[str, Any], *, tells: bool
) -> Settings:
    """`changed`: every account's password is another than the plant file's, so that it fails."""
    users = dict(settings.get("users", {}))
    if parameters["changed"]:
        users = {name: f"{UNGUESSABLE}-{name}" for name in users}
    altered: Settings = {
        **settings,
        "users": users,
        "lockout_after": int(parameters["failures"]),
        "lockout_tells": tells,
    }
    if tells:
        altered["lockout_status"] = int(parameters["status"])
    return altered


FAULTS = (
    Behaviour(
        name="lockout_told",
        meaning="Locks an account after some failures and says so: HTTP 423 (or 429, 403), SSH "
        "'too many authentication failures', Telnet 'account locked'.",
        alter=lambda protocol, settings, p: _lock(protocol, settings, p, tells=True),
        parameters={"failures": 3, "changed": True, "status": 423},
        variants=(
            {},
            {"failures": 5},
            {"status": 429},
            {"status": 403},
            {"failures": 1},
        ),
        needs=lambda known: known.accounts,
        because=_WHY,
    ),
    Behaviour(
        name="lockout_untold",
        meaning="Locks an account after some failures and then refuses the right password, too, "
        "in the words that it has for a wrong one.",
        alter=lambda protocol, settings, p: _lock(protocol, settings, p, tells=False),
        parameters={"failures": 3, "changed": True},
        variants=({}, {"failures": 5}, {"failures": 1}),
        needs=lambda known: known.accounts,
        because=_WHY,
    ),
)
