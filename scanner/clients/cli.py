"""
netmiko, tamed: one interactive session on a network device, over a socket that is connected.

netmiko is told the device type (it is never asked to guess: its guessing types fifteen vendors'
commands into an unknown device), takes no agent, no keys and no files of the user's home, and
every line that it types, also those it types by itself (terminal width, paging, Enter to find the
prompt, exit), is judged in words before it is encrypted. The server's key is compared with the
pinned one before the login; on a difference nothing secret is sent. All of it blocks and belongs
in `Session.blocking`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from socket import socket

import paramiko
from netmiko import ConnectHandler
from netmiko.base_connection import BaseConnection
from netmiko.channel import SSHChannel
from netmiko.exceptions import (
    NetmikoAuthenticationException,
    NetmikoBaseException,
    ReadException,
    ReadTimeout,
)

from scanner.clients.ssh import Judge, ServerKey, raise_if_unanswered, server_key, translated
from scanner.errors import BadReply, Closed, Silent, ToolBug
from scanner.spec import Login

OUTPUT_MAX = 1024 * 1024
"""Characters that a whole session may bring."""


@dataclass(slots=True)
class Said:
    """One line that was typed, without its line end, and everything that came until the next."""

    typed: str
    heard: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """`refused` None: logged in. `key` None: the key exchange did not come to an end."""

    key: ServerKey | None
    refused: str | None = None


class CliConnection:
    """Steps in order: open, run, close. `said` is the transcript. Not shared by threads."""

    def __init__(
        self, sock: socket, login: Login, *, judge: Judge, timeout_s: float = 10.0
    ) -> None:
        """Raises ToolBug when netmiko does not know the platform."""
        self.said: list[Said] = []
        self._judge = judge
        self._platform = login.platform
        self._timeout_s = timeout_s
        self._pin = _PinnedKey(login.host_key)
        for name in ("netmiko", "paramiko.transport"):
            logging.getLogger(name).disabled = True  # they would quote configurations and texts
        try:
            self._driver: BaseConnection = ConnectHandler(
                device_type=login.platform,
                host="device",  # never looked up: the socket is connected
                sock=sock,
                username=login.user,
                password=login.secret.reveal(),
                auto_connect=False,
                allow_agent=False,
                use_keys=False,
                ssh_config_file=None,
                system_host_keys=False,
                alt_host_keys=False,
                ssh_strict=True,
                conn_timeout=timeout_s,
                auth_timeout=timeout_s,
                banner_timeout=timeout_s,
                blocking_timeout=timeout_s,
                read_timeout_override=3 * timeout_s,
                keepalive=0,
                session_log=None,
            )
        except ValueError:
            raise ToolBug(f"netmiko does not know platform {login.platform[:32]!r}") from None
        self._driver.key_policy = self._pin

    @property
    def trusted(self) -> bool:
        """The server has shown the pinned key: from then on the secret may have left."""
        return self._pin.seen is not None and not self._pin.differs

    def open(self) -> Opened:
        """
        Key exchange, comparison of the host key, login, terminal settings. Raises WireError, or
        GuardRefused for a line off the list.
        """
        self._judge(b"auth operator")
        try:
            with _translated():
                self._driver.establish_connection()
        except _LoginRefused:
            return Opened(key=self._pin.seen, refused="the device refused the login")
        except (BadReply, Closed):
            if self._pin.differs:
                return Opened(key=self._pin.seen, refused="the host key is not the pinned one")
            raise
        inner = self._driver.channel
        if not isinstance(inner, SSHChannel):
            raise ToolBug("netmiko opened a channel that is not SSH")
        self._driver.channel = _JudgedChannel(inner, self._platform, self._judge, self.said)
        with _translated():
            self._driver.session_preparation()
        return Opened(key=self._pin.seen)

    def run(self, command: str) -> str:
        """Type one command and return its output without echo and prompt. Raises WireError."""
        prompt = rf"{re.escape(self._driver.base_prompt)}[>#]\s*$"
        with _translated():
            output = self._driver.send_command(command, expect_string=prompt)
        return output if isinstance(output, str) else ""

    def close(self) -> None:
        """Say exit if there is a session, and end the connection."""
        self._driver.disconnect()


class _LoginRefused(Exception):
    """Between two functions of this module."""


class _PinnedKey(paramiko.MissingHostKeyPolicy):
    """Asked by paramiko after the key exchange and before any authentication."""

    def __init__(self, pinned: str) -> None:
        self._pinned = pinned
        self.seen: ServerKey | None = None
        self.differs = False

    def missing_host_key(
        self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey
    ) -> None:
        self.seen = server_key(key)
        if self.seen.fingerprint_sha256 != self._pinned:
            self.differs = True
            raise paramiko.SSHException("not the pinned host key")


class _JudgedChannel(SSHChannel):
    """netmiko's channel, the lowest place through which all it types goes."""

    def __init__(self, inner: SSHChannel, platform: str, judge: Judge, said: list[Said]) -> None:
        super().__init__(inner.remote_conn, inner.encoding)
        self._platform = platform
        self._judge = judge
        self._said = said
        self._heard = 0

    def write_channel(self, out_data: str) -> None:
        line = out_data.removesuffix("\n")
        if not out_data.endswith("\n"):
            line += "\\"  # half a line: on no list
        self._judge(f"exec {self._platform} {line}".encode())
        self._said.append(Said(line))
        super().write_channel(out_data)

    def read_buffer(self) -> str:
        output = super().read_buffer()
        self._heard += len(output)
        if self._heard > OUTPUT_MAX:
            raise BadReply(f"the session brought more than {OUTPUT_MAX} characters")
        if self._said:
            self._said[-1].heard += output
        return output


@contextmanager
def _translated() -> Iterator[None]:
    """netmiko's exceptions as ours; theirs are not chained, they may quote what was said."""
    with translated():
        try:
            yield
        except NetmikoAuthenticationException as error:
            raise_if_unanswered(error)
            raise _LoginRefused from None
        except ReadTimeout:
            raise Silent("no prompt came back") from None
        except ReadException:
            raise Closed("the device closed the session") from None
        except NetmikoBaseException as error:
            raise BadReply(f"netmiko could not go on ({type(error).__name__})") from None
