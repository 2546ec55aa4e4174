"""
TFTP hands out files to whoever asks.

Why it matters: TFTP knows no user and no password. On a switch or a panel the files behind it are
the firmware and the configuration, passwords among them: whoever guesses a name has the file, and
where the server takes files too, whoever sends one first decides what the device loads next.
Source: RFC 1350 sections 1 and "Security Considerations"; IEC 62443-3-3 SR 1.1.

No file is asked for that may exist, so what the server would hand out is not known.
"""

from __future__ import annotations

from scanner.facts import ServiceAccess
from scanner.model import Effort, Exploitability, Severity, Verdict
from scanner.spec import Check, Judgement, SitePolicy, unknown


def judge(fact: ServiceAccess, site: SitePolicy) -> tuple[Judgement, ...]:
    if fact.protocol != "tftp":
        return ()
    if any(name == "file" for name, _ in fact.details):
        summary = "TFTP sent a file for a name that nobody has given to one"
        return (Judgement(verdict=Verdict.FAIL, summary=summary),)
    if fact.answers_without_login is None:
        error = dict(fact.details).get("error", "unknown")
        return (unknown(f"whether TFTP would hand out a file: it answered error {error}"),)
    return (Judgement(verdict=Verdict.FAIL, summary="TFTP looked for a file without a login"),)


CHECK = Check(
    id="tftp_no_login",
    title="TFTP hands out files without a login",
    requirements=("SR 1.1", "SR 2.1"),
    severity=Severity.MEDIUM,
    exploitability=Exploitability.KNOWN_TOOL,
    reads=ServiceAccess,
    judge=judge,
    remedy=(
        "Switch the TFTP server off when nothing is being loaded, and use SFTP or HTTPS where the "
        "device has them. Where devices boot from it, let only those reach UDP port 69, let it "
        "take no files, and keep configurations with passwords out of its folder."
    ),
    effort=Effort.QUICK,
    needs_outage=False,
    attack=("T0811", "T0867"),
    protocols=("tftp",),
)
