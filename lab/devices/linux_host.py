"""
A Linux host over SSH: a fixed set of read-only commands, on exec and in a shell.

Settings beside those of ssh_common: `hostname`, `kernel`, `os_release` {key: value}, `passwd` and
`group` (lines), `sessions` (lines of who), `files` {path: text}, `listening` (lines of ss with
"{port}" for the SSH port), `synchronised` (bool). A file that is not there gives the error that
cat gives. Any other command is answered "command not found" and noted in the ledger.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lab.bench import Bench, Server
from lab.devices.ssh_common import Process, lines, serve_ssh

HARMLESS = re.compile(r"(|exit|logout|terminal .*|stty .*|export [A-Z]+=\S*|PS1=.*|unset \w+)")
"""What libraries type of their own to set up a terminal; none of it reads or changes a thing."""


class Host:
    """Answers by command; pure."""

    def __init__(self, settings: Mapping[str, Any], port: int) -> None:
        self._port = str(port)
        self._settings = settings
        self._files = {str(k): str(v) for k, v in dict(settings.get("files", {})).items()}
        release = dict(settings.get("os_release", {}))
        self._files["/etc/os-release"] = "".join(f'{k}="{v}"\n' for k, v in release.items())

    def answer(self, command: str) -> tuple[str, int] | None:
        """Output and exit status; None when this host does not know the command."""
        hostname = str(self._settings.get("hostname", "localhost"))
        match command.split():
            case ["uname", "-a"]:
                kernel = self._settings.get("kernel", "6.1.0-18-amd64 #1 SMP x86_64 GNU/Linux")
                return f"Linux {hostname} {kernel}\n", 0
            case ["hostname"]:
                return hostname + "\n", 0
            case ["cat", path]:
                return self._cat(path)
            case ["getent", ("passwd" | "group") as database]:
                return "".join(f"{line}\n" for line in self._settings.get(database, ())), 0
            case ["who"]:
                return "".join(f"{line}\n" for line in self._settings.get("sessions", ())), 0
            case ["timedatectl", "show"]:
                answer = "yes" if self._settings.get("synchronised", False) else "no"
                return (
                    f"Timezone=Europe/Berlin\nLocalRTC=no\nCanNTP=yes\nNTP={answer}\n"
                    f"NTPSynchronized={answer}\n"
                ), 0
            case ["ss", "-ltnuH"]:
                lines = self._settings.get("listening", ())
                return "".join(f"{line}\n".replace("{port}", self._port) for line in lines), 0
        return None

    def _cat(self, path: str) -> tuple[str, int]:
        name = path.removeprefix("~/").removeprefix("$HOME/")
        if name in self._files:
            return self._files[name], 0
        return f"cat: {path}: No such file or directory\n", 1


async def serve(bench: Bench) -> Server:
    host = Host(bench.settings, bench.port)
    hostname = str(bench.settings.get("hostname", "localhost"))

    def reply(command: str) -> tuple[str, int]:
        known = host.answer(command)
        if known is not None:
            return known
        if HARMLESS.fullmatch(command):
            return "", 0
        bench.ledger.unexpected(command)
        return f"-bash: {command.split()[0]}: command not found\n", 127

    async def run(process: Process, command: str) -> None:
        if command:
            output, status = reply(command.strip())
            process.stdout.write(output)
            process.exit(status)
            return
        user = process.get_extra_info("username")
        prompt = f"{user}@{hostname}:~$ "
        async for line in lines(process, prompt, "\r\n"):
            typed = line.strip()
            if typed:
                bench.ledger.request("ssh", f"shell {typed}")
            if typed in ("exit", "logout"):
                return
            output, _ = reply(typed)
            process.stdout.write(output.replace("\n", "\r\n"))

    return await serve_ssh(bench, run)


SERVES = {"ssh_linux": serve}
