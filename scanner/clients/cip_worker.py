"""
The process in which pycomm3 runs: `python -m scanner.clients.cip_worker HOST PORT`.

pycomm3 never returns when its peer closes in the middle of a frame, so it runs where it can be
killed. HOST and PORT are the relay's; the tripwire is armed before anything else and grants only
them. The answer is one line of JSON on standard output: `{"session": number, "attributes": hex}`,
with "refused" instead of "attributes" when the device said no, or `{"error": kind, "text": words}`
with the kinds "closed", "garbled" and "bug", and with "session" where one had been registered.
"""

from __future__ import annotations

import json
import logging
import sys
from ipaddress import ip_address

from scanner import tripwire
from scanner.errors import ToolBug

GET_ATTRIBUTES_ALL = 0x01
IDENTITY_CLASS = 0x01
SOCKET_TIMEOUT_S = 20.0
"""Longer than a request may wait for its turn behind the relay."""


def read_identity_object(host: str, port: int) -> dict[str, str | int]:
    """
    Register a session and read the identity object with one unconnected request.

    `route_path=False` keeps pycomm3 from appending an empty route, `connected=False` from opening a
    connection. The session is left registered: the caller gives it back on the same connection,
    where that frame cannot be lost.
    """
    from pycomm3 import CIPDriver
    from pycomm3.exceptions import PycommError

    driver = CIPDriver(f"{host}:{port}")
    driver.socket_timeout = SOCKET_TIMEOUT_S
    registered: dict[str, str | int] = {}
    try:
        if not driver.open():  # type: ignore[no-untyped-call]  # pycomm3 has few annotations
            return {"error": "closed", "text": "RegisterSession was refused"}
        registered = {"session": driver._session}
        answer = driver.generic_message(
            service=GET_ATTRIBUTES_ALL,
            class_code=IDENTITY_CLASS,
            instance=1,
            connected=False,
            route_path=False,
        )
    except PycommError as error:
        return {**registered, "error": "closed", "text": str(error)[:200]}
    except ToolBug as error:
        return {"error": "bug", "text": str(error)[:200]}
    except Exception as error:  # what the decoders of pycomm3 raise on nonsense is not documented
        return {**registered, "error": "garbled", "text": f"{type(error).__name__}: {error}"[:200]}
    finally:
        driver._session = 0  # without one, close() sends nothing
        driver.close()  # type: ignore[no-untyped-call]  # pycomm3 has few annotations
    if answer.error or not isinstance(answer.value, bytes):
        return {**registered, "refused": str(answer.error)[:200]}
    return {**registered, "attributes": answer.value[:512].hex()}


def main(arguments: list[str]) -> dict[str, str | int]:
    """Refuses any address but a loopback one: a worker reaches its relay and nobody else."""
    host, port = str(ip_address(arguments[0])), int(arguments[1])
    if not ip_address(host).is_loopback:
        return {"error": "bug", "text": "not a loopback address"}
    logging.disable(logging.CRITICAL)
    with tripwire.armed(), tripwire.grant(host, port):
        return read_identity_object(host, port)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1:])) + "\n")
