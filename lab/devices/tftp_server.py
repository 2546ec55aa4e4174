"""
A TFTP server: the first packet that one answers with, made from a few settings.

Settings: `files` (name to text), `gives` (text: what it has for every other name; none without),
`error` and `message` (what it says where it has nothing; 1 and the appendix's words without).
Of a file only the first block is sent, once; what then comes to the new port is noted by the front,
and so is whatever would store a file, which is refused.

Source: RFC 1350 section 5 and its appendix.
"""

from __future__ import annotations

from lab.bench import Bench, Server

BLOCK = 512
MESSAGES = (
    "", "File not found", "Access violation", "Disk full or allocation exceeded",
    "Illegal TFTP operation", "Unknown transfer ID", "File already exists", "No such user",
)  # fmt: skip
ACCESS_VIOLATION = 2


def _error(code: int, message: str) -> bytes:
    return b"\0\5" + code.to_bytes(2, "big") + message.encode("utf-8", "replace") + b"\0"


async def serve(bench: Bench) -> Server:
    settings = bench.settings
    files = {str(name): str(text) for name, text in dict(settings.get("files", {})).items()}
    code = int(settings.get("error", 1))
    message = str(settings.get("message", MESSAGES[code] if code < len(MESSAGES) else ""))

    async def answer(request: bytes) -> bytes | None:
        kind = int.from_bytes(request[:2], "big")
        if kind == 2:
            return _error(ACCESS_VIOLATION, MESSAGES[ACCESS_VIOLATION])
        if kind != 1:
            return None
        name = request[2:].split(b"\0")[0].decode("utf-8", "replace")
        text = files.get(name, settings.get("gives"))
        if text is None:
            return _error(code, message)
        return b"\0\3\0\1" + str(text).encode("utf-8", "replace")[:BLOCK]

    async def stop() -> None:
        return None

    return Server(answer=answer, stop=stop)


SERVES = {"tftp": serve}
