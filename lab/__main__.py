"""
The background process of a lab: `python -m lab serve PLANT DIRECTORY`.

Started by lab.control.up. It runs until SIGTERM or SIGINT, and then writes the last ledgers.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from datetime import datetime
from ipaddress import IPv4Network
from pathlib import Path

from lab.control import serve
from lab.errors import LabError
from lab.plant import HOME_OCTET


async def _until_told(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, told.set)
    await serve(
        options.plant,
        options.directory,
        now=options.now,
        base_port_offset=options.offset,
        second_octet=options.octet,
        until=told,
        networks=options.network,
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="lab")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("serve", help="run a plant until SIGTERM")
    command.add_argument("plant")
    command.add_argument("directory", type=Path)
    command.add_argument("--now", type=datetime.fromisoformat, required=True)
    command.add_argument("--offset", type=int, default=0)
    command.add_argument("--octet", type=int, default=HOME_OCTET)
    command.add_argument(
        "--network",
        type=IPv4Network,
        action="append",
        default=[],
        help="devices may stand here too, beside 127.0.0.0/8 (may be given several times)",
    )
    options = parser.parse_args()
    try:
        asyncio.run(_until_told(options))
    except LabError as error:
        sys.stderr.write(f"lab: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
