"""
What may be said inside an SSH connection: judged in words before a library encrypts it.

Frames are ASCII without line ends:

    auth none                     ask which methods are offered (read tier)
    auth operator                 the operator's own login on a pinned host key (read tier)
    auth password                 one default credential (login tier)
    exec <platform> <command>     one command of the platform's list (read tier)

A platform is a netmiko device type or "linux". Commands are compared whole: there is no pattern
that could let an argument, a pipe or a second command slip through. Only session channels exist
in this language: no subsystem (sftp), no forwarding, no environment.
Source: RFC 4252 sections 5.2 and 8; RFC 4254 section 6.5.
"""

from __future__ import annotations

from scanner.errors import GuardRefused
from scanner.model import Tier
from scanner.spec import GuardSpec

_FRAME_MAX = 128

_LINUX = frozenset(
    {
        "uname -a",
        "cat /etc/os-release",
        "getent passwd",
        "getent group",
        "who",
        "cat /etc/ssh/sshd_config",
        "cat /etc/pam.d/sshd",
        "cat /etc/login.defs",
        "cat /etc/issue.net",
        "cat /etc/systemd/timesyncd.conf",
        "cat /etc/chrony/chrony.conf",
        "cat /etc/rsyslog.conf",
        "cat /etc/profile",
        "timedatectl show",
        "ss -ltnuH",
        "cat .ssh/authorized_keys",
    }
)
_IOS = frozenset(
    {
        "",  # Enter at the prompt, with which netmiko finds it; it runs nothing
        "terminal width 511",
        "terminal length 0",
        "show version",
        "show running-config",
        "show users",
        "show ntp status",
        "exit",
    }
)
COMMANDS = {"linux": _LINUX, "cisco_ios": _IOS, "cisco_xe": _IOS}

_AUTHENTICATION = {
    "auth none": Tier.READ,
    "auth operator": Tier.READ,
    "auth password": Tier.LOGIN,
}


class SshCommandGuard:
    def split(self, buffer: bytes) -> tuple[tuple[bytes, ...], bytes]:
        """The whole buffer is one frame. Raises GuardRefused when it is too long."""
        if len(buffer) > _FRAME_MAX:
            raise GuardRefused(f"an SSH command of {len(buffer)} bytes")
        return (buffer,), b""

    def judge(self, frame: bytes, tier: Tier) -> str | None:
        try:
            text = frame.decode("ascii")
        except UnicodeDecodeError:
            return "an SSH command with bytes beyond ASCII"
        if (needed := _AUTHENTICATION.get(text)) is not None:
            return None if tier.allows(needed) else f"{text!r} needs the {needed} tier"
        verb, _, rest = text.partition(" ")
        platform, space, command = rest.partition(" ")
        if verb != "exec" or not space:
            return "neither an authentication step nor a command of the list"
        if platform not in COMMANDS:
            return f"no list of commands for platform {platform[:32]!r}"
        if command not in COMMANDS[platform]:
            return f"not on the list of {platform}: {command[:64]!r}"
        return None if tier.allows(Tier.READ) else "commands need the read tier"


GUARD = GuardSpec(protocol="ssh-command", open=SshCommandGuard, reply_framer=None)
