"""
The composition root: the only room that sees every other, and the only one with a clock, argv,
print and `asyncio.run`. `app` holds the commands, `scanning` puts a scan together, `assessing`
turns runs into an assessment and its files, `display` is what a terminal shows.
"""

from __future__ import annotations


def main() -> None:
    """Entry point of the `walkdown` command."""
    from scanner.cli.app import run

    run()
