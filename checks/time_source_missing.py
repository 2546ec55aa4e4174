"""
The clock has no source, or has lost it.

Why it matters: after a trip the sequence of events is put together from many logs. A device whose
clock drifts puts its entries in the wrong minute, and the cause is looked for in the wrong place.
Source: IEC 62443-3-3 SR 2.11 and its RE 1 (time stamps, synchronised clocks); RFC 5905 (NTP).
"""

from __future__ import annotations

from scanner.facts import DeviceSettings
from scanner.model import Effort, Exploitability, Severity, Tier, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(fact: DeviceSettings, site: SitePolicy) -> tuple[Judgement, ...]:
    if fact.time_servers is not None and not fact.time_servers and not fact.time_synchronised:
        return (Judgement(verdict=Verdict.FAIL, summary="no time source is configured"),)
    if fact.time_synchronised is False:
        return (
            Judgement(
                verdict=Verdict.FAIL,
                summary="the clock is not synchronised"
                + (f" (configured: {', '.join(fact.time_servers)})" if fact.time_servers else ""),
            ),
        )
    if not fact.time_servers:
        return (unknown("the time source"),)
    if site.time_servers and not set(fact.time_servers) & set(site.time_servers):
        return (
            Judgement(
                verdict=Verdict.FAIL,
                summary=f"the clock follows {', '.join(fact.time_servers)}, "
                f"none of the site's own ({', '.join(site.time_servers)})",
            ),
        )
    if fact.time_synchronised is None:
        return (unknown(f"whether the clock follows {', '.join(fact.time_servers)}"),)
    return (
        Judgement(
            verdict=Verdict.PASS, summary=f"the clock follows {', '.join(fact.time_servers)}"
        ),
    )


CHECK = Check(
    id="time_source_missing",
    title="No time source, or clock not synchronised",
    requirements=("SR 2.11", "SR 2.11 RE 1"),
    severity=Severity.MEDIUM,
    exploitability=Exploitability.THEORETICAL,
    reads=DeviceSettings,
    judge=judge,
    remedy=(
        "Enter the plant's time server (NTP or SNTP) and the time zone, let the conduit pass UDP "
        "port 123 to it, and look a day later whether the device says that it is synchronised."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    protocols=("ssh", "telnet"),
    tier=Tier.READ,
)
