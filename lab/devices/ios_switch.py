"""
A managed switch with a Cisco-IOS-like command line over SSH, logged in at privilege 15.

Settings beside those of ssh_common: `hostname`, `show_version`, `running_config`, `users_output`,
`ntp_status` (texts). Only show commands and terminal settings are known; all else is answered as
IOS answers nonsense, and noted in the ledger; what would configure is counted as a write.
"""

from __future__ import annotations

import re

from lab.bench import Bench, Server
from lab.devices.ssh_common import Process, lines, serve_ssh

CHANGES = re.compile(r"(conf|wr|copy|reload|delete|erase|clear|debug|no |set )")
INVALID = "                ^\n% Invalid input detected at '^' marker.\n\n"


def changes(command: str) -> bool:
    """Whether a command would change the switch."""
    return CHANGES.match(command) is not None


def answers(bench: Bench) -> dict[str, str]:
    return {
        "show version": bench.text("show_version"),
        "show running-config": bench.text("running_config"),
        "show users": bench.text("users_output", ""),
        "show ntp status": bench.text("ntp_status", ""),
        "show inventory": bench.text("inventory", ""),
        "show clock": "*02:14:33.121 CET Sat Nov 21 2026\n",
        "show privilege": "Current privilege level is 15\n",
    }


async def serve(bench: Bench) -> Server:
    known = answers(bench)
    prompt = f"{bench.text('hostname')}#"

    def reply(command: str) -> str:
        if command in known:
            return known[command]
        if not command or re.fullmatch(r"terminal (width|length) \d+", command):
            return ""
        bench.ledger.unexpected(command)
        return INVALID

    async def run(process: Process, command: str) -> None:
        if command:
            process.stdout.write(reply(command.strip()))
            return
        async for line in lines(process, prompt, "\r\n"):
            typed = line.strip()
            if typed:
                bench.ledger.request("ssh", f"shell {typed}", write=changes(typed))
            if typed in ("exit", "logout", "quit"):
                return
            process.stdout.write(reply(typed).replace("\n", "\r\n"))

    return await serve_ssh(bench, run, changes=changes)


SERVES = {"ssh_ios": serve}
