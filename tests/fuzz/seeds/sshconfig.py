"""Configurations read over SSH: the commands of every platform, as ios and linux print them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import probes.sshconfig
from scanner.clients.cli import Opened, Said
from scanner.clients.ssh import ServerKey
from scanner.spec import Login, Secret
from tests.fuzz.seeds import ssh
from tests.fuzz.seeds.form import HOST_KEY, script
from tests.fuzz.seeds.ios import ios_outputs
from tests.fuzz.seeds.linux import LINUX_OUTPUTS
from tests.fuzz.session import Dialogue

OURS = {"probes.sshconfig.fingerprinter": "takes the site's own key"}


class _CliLibrary:
    """scanner.clients.cli.CliConnection over damaged outputs."""

    def __init__(self, sock: Any, login: Login, *, judge: Any) -> None:
        self.said: list[Said] = []
        self.platform = login.platform
        self.judge = judge
        self.trusted = True

    def open(self) -> Opened:
        return Opened(key=ServerKey(algorithm="ssh-rsa", bits=2048, fingerprint_sha256=HOST_KEY))

    def run(self, command: str) -> str:
        self.judge(f"exec {self.platform} {command}".encode())
        text = ssh.printed().get(command, "")
        self.said.append(Said(typed=command, heard=text))
        return text

    def close(self) -> None:
        return None


def dialogues(captures: Path) -> Iterator[Dialogue]:
    for platform, outputs in (
        ("linux", LINUX_OUTPUTS), ("cisco_ios", ios_outputs()), ("cisco_xe", ios_outputs()),
        ("hirschmann_hios", {}),
    ):  # fmt: skip
        login = Login(platform=platform, user="audit", secret=Secret("pw-77"), host_key=HOST_KEY)
        yield Dialogue(
            name=platform,
            probe=probes.sshconfig.PROBE,
            answer=script(),
            login=login,
            values={"outputs": outputs},
        )


LIBRARIES = (
    (probes.sshconfig, "SshConnection", ssh.Library),
    (probes.sshconfig, "CliConnection", _CliLibrary),
)
