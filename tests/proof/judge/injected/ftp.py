"""
FTP: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.https import CLIENT_HELLO

WRITES: Requests = {
    "ftp store": ("tcp", 21, (b"STOR main.stu\r\n",)),
    "ftp delete": ("tcp", 21, (b"DELE main.stu\r\n",)),
    "ftp site": ("tcp", 21, (b"SITE EXEC reboot\r\n",)),
    "ftp port of somebody else": ("tcp", 21, (b"PORT 10,77,1,9,1,246\r\n",)),
    "ftp rename": ("tcp", 21, (b"QUIT\r\n", b"RNFR a\r\n")),
    "ftp name of an administrator": ("tcp", 21, (b"USER admin\r\n",)),
}

SIGNING_IN: Requests = {
    "ftp anonymous": ("tcp", 21, (b"USER anonymous\r\n",)),
}

GRANTED: Requests = {
    "ftp anonymous with an address": (
        "tcp", 21, (b"USER anonymous\r\n", b"PASS walkdown@example.invalid\r\n", b"QUIT\r\n"),
    ),
}  # fmt: skip

BEHIND_A_LOGIN: Requests = {
    "ftp store behind a login": ("tcp", 21, (b"USER anonymous\r\nPASS a@b\r\nSTOR x\r\n",)),
}

HARMLESS: Requests = {
    "ftp goodbye": ("tcp", 21, (b"QUIT\r\n",)),
    "ftp features": ("tcp", 21, (b"FEAT\r\n", b"SYST\r\n", b"QUIT\r\n")),
}

FOREIGN: Foreign = {
    "TLS to FTP": ("tcp", 21, CLIENT_HELLO),
}
