"""
SSH before its keys. Sources: RFC 4253 section 4.2 and 6; sshd(8) for the words of a server that
is full.
"""

from __future__ import annotations

from lab.frames.form import Lie, Protocol, told


def ssh_length(data: bytes, lie: Lie) -> bytes:
    """
    The first binary packet in `data` with a false packet_length (RFC 4253 section 6).

    The identification line may stand before it. Data without a whole length is returned as it is.
    """
    at = data.find(b"\n") + 1 if data.startswith(b"SSH-") else 0
    if len(data) < at + 4:
        return data
    true = int.from_bytes(data[at : at + 4], "big")
    return data[:at] + told(lie, true, 4).to_bytes(4, "big") + data[at + 4 :]


PROTOCOL = Protocol(
    name="ssh",
    port=22,
    begins=lambda data: b"SSH-".startswith(data[:4]),
    header=b"\n",  # the identification line
    length_at=ssh_length,
    length_once=True,
    filler=b"\0" * 16384,
    speaks_first=True,
    busy_text=b"Exceeded MaxStartups\r\n",
    accounts=True,
    lure=lambda _: {
        "host_key": "rogue",
        "methods": ["password", "keyboard-interactive", "publickey"],
    },
    longest_text=3000,
)
