"""
Accounts that belong to nobody in particular.

Why it matters: when "operator" or "admin" changed the set point, nobody knows which of twelve
people it was, and when one of them leaves, the password stays.
Source: IEC 62443-3-3 SR 1.1 RE 1 and SR 1.4 (identifiers point to one known owner); names and why
they are on the list: checks/data/generic_accounts.yaml.

Only enabled accounts count. `root` and other accounts that an operating system needs are not on the
list: that they exist says nothing about who uses them.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from ruamel.yaml import YAML

from scanner.facts import Account
from scanner.model import Asset, Effort, Exploitability, Severity, Tier, Verdict
from scanner.spec import Check, Judgement, SitePolicy, missing, unknown


@cache
def names() -> dict[str, str]:
    """Generic account names in small letters, each with the reason it is on the list."""
    text = (files("checks") / "data" / "generic_accounts.yaml").read_text(encoding="utf-8")
    groups = YAML(typ="safe").load(text)["groups"]
    return {name: group["reason"] for group in groups for name in group["names"]}


def is_generic(account: str, extra: tuple[str, ...] = ()) -> bool:
    """
    True for a listed name, also with a number behind it ("operator2", "hmi_01").

    `extra` are the site's own; for those only the name itself counts.
    """
    plain = account.strip().casefold()
    if plain in {name.strip().casefold() for name in extra}:
        return True
    return re.sub(r"[ _.-]*\d{1,3}$", "", plain) in names()


def judge(asset: Asset, site: SitePolicy) -> tuple[Judgement, ...]:
    accounts = [
        (fact, source)
        for fact, source in zip(asset.facts, asset.fact_sources, strict=True)
        if isinstance(fact, Account)
    ]
    if not accounts:
        return (missing(asset, "accounts", protocols=("ssh", "telnet"), tier=Tier.READ),)
    evidence = tuple(dict.fromkeys(source for _, source in accounts))
    suspects = [
        fact
        for fact, _ in accounts
        if fact.enabled is not False and is_generic(fact.name, site.generic_accounts)
    ]
    enabled = sorted({fact.name for fact in suspects if fact.enabled})
    if enabled:
        return (
            Judgement(
                verdict=Verdict.FAIL,
                summary=f"generic accounts are enabled: {', '.join(map(repr, enabled))}",
                evidence=evidence,
            ),
        )
    if suspects:
        undecided = ", ".join(sorted({repr(fact.name) for fact in suspects}))
        return (unknown(f"whether these generic accounts are enabled: {undecided}"),)
    if all(fact.enabled is None for fact, _ in accounts):
        return (unknown("which of the accounts are enabled; none has a generic name"),)
    return (
        Judgement(
            verdict=Verdict.PASS,
            summary=f"none of the {len(accounts)} accounts read has a generic name and is enabled",
            evidence=evidence,
        ),
    )


CHECK = Check(
    id="generic_accounts",
    title="Generic accounts are enabled",
    requirements=("SR 1.1 RE 1", "SR 1.4"),
    severity=Severity.MEDIUM,
    exploitability=Exploitability.SKILLED,
    reads=Asset,
    judge=judge,
    remedy=(
        "Give each person an own account (best from a central directory or RADIUS) and disable the "
        "generic one. Keep one emergency account per device, its password sealed in the control "
        "room and changed after each use. Operator stations that must stay logged in are the "
        "exception: write down who is on shift."
    ),
    effort=Effort.PROJECT,
    needs_outage=False,
    attack=("T0859",),
    protocols=("ssh", "telnet"),
    tier=Tier.READ,
)
