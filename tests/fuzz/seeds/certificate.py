"""Certificates, which TLS handshakes show: one of each kind of key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import scanner.clients.certificate
from tests.fuzz import mutate

DATA = Path(__file__).resolve().parents[1] / "data"

mend = mutate.ber


@cache
def certificates() -> tuple[bytes, ...]:
    """Self-signed, one of each kind of key (RSA, EC, Ed25519, DSA), with two names, made once."""
    return tuple(file.read_bytes() for file in sorted(DATA.glob("*.der")))


def samples(captures: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    for der in certificates():
        yield "certificate", lambda der=der: scanner.clients.certificate.describe(der)  # type: ignore[misc]
