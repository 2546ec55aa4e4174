"""
A PostgreSQL server up to the login, by the bytes that its documentation names.

Settings: `tls` (whether it answers `S`). A start-up message is answered as pg_hba.conf without a
fitting line has it, and noted as a login; the TLS that it offers is not there: who begins it is
left alone. A real server stands in tests/integration/test_databases.py.

Source: PostgreSQL documentation, "SSL Session Encryption", "Error and Notice Message Fields".
"""

from __future__ import annotations

import asyncio

from lab.bench import LOOPBACK, Bench, Server

SSL_REQUEST, GSS_REQUEST, CANCEL = 80877103, 80877104, 80877102


def refusal(text: str) -> bytes:
    """ErrorResponse: E, length, fields of a letter and a text, a zero."""
    fields = b"SFATAL\0C28000\0M" + text.encode() + b"\0\0"
    return b"E" + (4 + len(fields)).to_bytes(4, "big") + fields


async def serve(bench: Bench) -> Server:
    tls = bool(bench.settings.get("tls", False))

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readexactly(8)
                size, code = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:], "big")
                if code in (SSL_REQUEST, GSS_REQUEST):
                    willing = tls and code == SSL_REQUEST
                    writer.write(b"S" if willing else b"N")
                    await writer.drain()
                    if willing:
                        await reader.read()
                        break
                    continue
                rest = await reader.readexactly(max(0, min(size, 10_000) - 8))
                if code != CANCEL:
                    words = rest.split(b"\0")
                    user = words[1].decode("utf-8", "replace") if len(words) > 1 else ""
                    bench.ledger.login("postgres", user, accepted=False)
                    writer.write(refusal(f'no pg_hba.conf entry for user "{user}"'))
                    await writer.drain()
                break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(converse, LOOPBACK, 0)

    async def stop() -> None:
        server.close()

    return Server(inner=(LOOPBACK, server.sockets[0].getsockname()[1]), stop=stop)


SERVES = {"postgres": serve}
