"""
Niagara Fox: what may never be sent, and what may. Sources: as in its grammar.
"""

from __future__ import annotations

from typing import Final

from tests.proof.judge.injected.form import Foreign, Requests
from tests.proof.judge.injected.http import GET
from tests.proof.judge.injected.s7 import CONNECT_S7

HELLO: Final = b"fox a 1 -1 fox hello\n{\nfox.version=s:1.0\nid=i:1\n};;\n"

WRITES: Requests = {
    "fox login": ("tcp", 1911, (
        HELLO, b"fox a 2 1 fox login\n{\nusername=s:admin\nresponse=s:00\n};;\n")),
    "fox authentication message": ("tcp", 1911, (
        HELLO, b"fox a 2 1 fox authMessage1\n{\nclientFirst=s:n,,n=admin\n};;\n")),
    "fox channel": ("tcp", 1911, (
        HELLO, b"fox a 3 -1 fox openChannel\n{\nname=s:station\n};;\n")),
    "fox invocation": ("tcp", 1911, (
        b"fox a 4 -1 station invoke\n{\nord=s:station:|slot:/Services\naction=s:restart\n};;\n",)),
    "fox hello of somebody": ("tcp", 1911, (
        b"fox a 1 -1 fox hello\n{\nfox.version=s:1.0\nid=i:1\nusername=s:admin\n};;\n",)),
}  # fmt: skip

HARMLESS: Requests = {
    "fox hello": ("tcp", 1911, (HELLO,)),
}

FOREIGN: Foreign = {
    "HTTP to Fox": ("tcp", 1911, GET),
    "S7 to Fox": ("tcp", 1911, CONNECT_S7),
    "a stray byte behind a Fox hello": ("tcp", 1911, HELLO + b"\x00"),
}
