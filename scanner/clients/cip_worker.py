"""
The process in which pycomm3 runs: `python -m scanner.clients.cip_worker HOST PORT`.

pycomm3 never returns when its peer closes in the middle of a frame, so it runs where it can be
killed. HOST and PORT are the relay's; the tripwire is armed before anything else and grants only
them. The answer is one line of JSON on standard output: `{"attributes": hex}`, or
`{"error": kind, "text": …}` with the kinds "refused" (the device said no), "closed" and "bug".
"""

from __future__ import annotations

import json
import logging
import sys
from ipaddress import ip_address

from scanner import tripwire

GET_ATTRIBUTES_ALL = 0x01
IDENTITY_CLASS = 0x01
SOCKET_TIMEOUT_S = 5.0


def read_identity_object(host: str, port: int) -> dict[str, str]:
    """
    Register a session, read the identity object with one unconnected request, unregister.

    `route_path=False` keeps pycomm3 from appending an empty route, `connected=False` from opening a
    connection.
    """
    from pycomm3 import CIPDriver
    from pycomm3.exceptions import PycommError

    driver = CIPDriver(f"{host}:{port}")
    driver.socket_timeout = SOCKET_TIMEOUT_S
    try:
        if not driver.open():  # type: ignore[no-untyped-call]  # pycomm3 has few annotations
            return {"error": "refused", "text": "RegisterSession was refused"}
        try:
            answer = driver.generic_message(
                service=GET_ATTRIBUTES_ALL,
                class_code=IDENTITY_CLASS,
                instance=1,
                connected=False,
                route_path=False,
            )
        finally:
            driver.close()  # type: ignore[no-untyped-call]  # pycomm3 has few annotations
    except PycommError as error:
        return {"error": "closed", "text": str(error)[:200]}
    if answer.error or not isinstance(answer.value, bytes):
        return {"error": "refused", "text": str(answer.error)[:200]}
    return {"attributes": answer.value[:512].hex()}


def main(arguments: list[str]) -> dict[str, str]:
    """Refuses any address but a loopback one: a worker reaches its relay and nobody else."""
    host, port = str(ip_address(arguments[0])), int(arguments[1])
    if not ip_address(host).is_loopback:
        return {"error": "bug", "text": "not a loopback address"}
    logging.disable(logging.CRITICAL)
    with tripwire.armed(), tripwire.grant(host, port):
        return read_identity_object(host, port)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(sys.argv[1:])) + "\n")
