"""
What belongs to no protocol: ports that have none here, and a printer's.
"""

from __future__ import annotations

from tests.proof.judge.injected.form import Foreign

FOREIGN: Foreign = {
    "a page to a printer": ("tcp", 9100, b"hello\r\n"),
    "bytes to a port of no protocol": ("tcp", 5000, b"\x01\x02"),
}
