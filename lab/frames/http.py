"""HTTP in clear. Source: RFC 9110 section 15.6.4 (503); RFC 9112 section 2.1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.frames.form import Protocol
from lab.frames.looks import HTTP_METHODS


def lure_of_a_page(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """A page that asks for a password, in every way that a browser or a library knows."""
    return {
        "login": "basic",
        "realm": str(settings.get("realm", "Administration")),
        "challenges": ["NTLM", "Negotiate"],
    }


PROTOCOL = Protocol(
    name="http",
    port=80,
    begins=lambda data: any(method.startswith(data[: len(method)]) for method in HTTP_METHODS),
    header=b"\r\n\r\n",
    pages=True,
    accounts=True,
    lure=lure_of_a_page,
)
