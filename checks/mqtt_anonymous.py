"""
An MQTT broker lets anybody connect.

Why it matters: brokers carry measurements up and set points down. Where nobody is asked who he is,
any computer in reach can listen to the process, and where topics are not protected either, speak in
the name of a sensor or of the control room.
Source: OASIS MQTT 3.1.1 section 5.4.1 (authentication of clients by the server).

What an anonymous client may publish or subscribe to is not tried.
"""

from __future__ import annotations

from scanner.facts import ServiceAccess
from scanner.model import Effort, Exploitability, Severity, Tier, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(fact: ServiceAccess, site: SitePolicy) -> tuple[Judgement, ...]:
    if fact.protocol != "mqtt":
        return ()
    if fact.answers_without_login is None:
        return (unknown("whether the MQTT broker lets clients without a name in"),)
    over = "in TLS" if fact.encrypted else "in clear text"
    if fact.answers_without_login:
        return (
            Judgement(
                verdict=Verdict.FAIL,
                summary=f"the MQTT broker let a client without a name in, {over}",
            ),
        )
    return (
        Judgement(
            verdict=Verdict.PASS, summary=f"the MQTT broker refused a client without a name, {over}"
        ),
    )


CHECK = Check(
    id="mqtt_anonymous",
    title="MQTT broker lets anybody connect",
    requirements=("SR 1.2", "SR 2.1"),
    severity=Severity.HIGH,
    exploitability=Exploitability.TRIVIAL,
    reads=ServiceAccess,
    judge=judge,
    remedy=(
        "Give every client a name and a password or a certificate, then switch anonymous access "
        "off. Let each client write only its own topics, and use TLS between cells."
    ),
    effort=Effort.PROJECT,
    needs_outage=True,
    attack=("T0855", "T0856"),
    protocols=("mqtt", "mqtts"),
    tier=Tier.LOGIN,
)
