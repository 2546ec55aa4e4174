"""
What each PDU that was sent is: a small parser of our own for each protocol, and its table of what
reads and what does not. One module is one protocol; they are found by walking this package.

`parse(protocol, sent)` takes all bytes that were sent on one connection (or in one datagram) and
accounts for every one of them. Verdicts:

    read     asks for something and changes nothing
    session  opens, keeps or closes a conversation, as reading needs it
    login    user names and passwords; only right where the login tier was granted
    sealed   encrypted: what is inside must be shown by other means
    control  writes, commands, starts, stops, takes somebody's seat
    unknown  not in the table, not whole, or not that protocol at all

Several protocols may share a port. It keeps the name of one of them, and the others ride on that
one: `spoken` names the one that claims a connection, and the port's own when none does or more
than one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Final

from tests.proof.judge.grammar.form import HARMLESS, Grammar, Pdu, Verdict
from tests.proof.judge.grammar.http import LOGIN_FORMS, LOGIN_PAGES, http_verdict

__all__ = [
    "BY_NAME", "HARMLESS", "LOGIN_FORMS", "LOGIN_PAGES", "PORTS", "READERS", "Grammar", "Pdu",
    "Verdict", "by_name", "codes_of", "grammars", "http_verdict", "parse", "ports_of", "spoken",
]  # fmt: skip


def by_name(those: Iterable[Grammar]) -> dict[str, Grammar]:
    """Raises ValueError for grammars that cannot stand side by side."""
    found: dict[str, Grammar] = {}
    for one in those:
        if one.protocol in found:
            raise ValueError(f"{one.protocol} has two grammars")
        found[one.protocol] = one
    for one in found.values():
        if one.rides_on:
            carrier = found.get(one.rides_on)
            if carrier is None or carrier.rides_on:
                raise ValueError(f"{one.protocol} rides on {one.rides_on}, which has no port")
        if bool(one.rides_on) != (one.claims is not None) or bool(one.rides_on) == bool(one.ports):
            raise ValueError(f"{one.protocol}: either ports, or rides_on and claims")
        if one.rides_on and (one.dissector or one.inside_tls):
            raise ValueError(f"{one.protocol}: {one.rides_on} says how its port is dissected")
        if one.codes and not (one.dissector or one.rides_on):
            raise ValueError(f"{one.protocol}: codes, and no dissector")
    ports_of(found.values())
    codes_of(found.values())
    return found


def ports_of(those: Iterable[Grammar]) -> dict[tuple[str, int], str]:
    """Each port's own protocol. Raises ValueError where two want one."""
    found: dict[tuple[str, int], str] = {}
    for one in those:
        for place in one.ports:
            if place in found:
                raise ValueError(f"{place} is of {found[place]} and of {one.protocol}")
            found[place] = one.protocol
    return found


def codes_of(those: Iterable[Grammar]) -> dict[str, str]:
    """tshark's fields and our words for them. Raises ValueError where two have other words."""
    found: dict[str, str] = {}
    for one in those:
        for name, form in one.codes.items():
            if found.setdefault(name, form) != form:
                raise ValueError(f"{name} is {found[name]!r}, and {form!r} of {one.protocol}")
    return found


def _walked() -> Iterator[Grammar]:
    for module in sorted(iter_modules(__path__), key=lambda each: each.name):
        if module.name != "form":
            one: Grammar = import_module(f"{__name__}.{module.name}").GRAMMAR
            if one.protocol.replace("-", "_") != module.name:
                raise ValueError(f"{module.name}.py is about {one.protocol}")
            yield one


BY_NAME: Final[Mapping[str, Grammar]] = by_name(_walked())
PORTS: Final[Mapping[tuple[str, int], str]] = ports_of(BY_NAME.values())
READERS: Final[Mapping[str, Callable[[bytes], Iterator[Pdu]]]] = {
    name: one.read for name, one in BY_NAME.items()
}


def grammars() -> tuple[Grammar, ...]:
    """All of them, by name."""
    return tuple(BY_NAME.values())


def spoken(protocol: str, sent: bytes, among: Mapping[str, Grammar] = BY_NAME) -> str:
    """The one protocol that rides on this one and claims all that was sent, else this one."""
    claiming = [
        one.protocol for one in among.values() if one.rides_on == protocol and _claims(one, sent)
    ]
    return claiming[0] if protocol and len(claiming) == 1 else protocol


def _claims(one: Grammar, sent: bytes) -> bool:
    try:
        return one.claims is not None and one.claims(sent)
    except (IndexError, ValueError):
        return False


def parse(protocol: str, sent: bytes, among: Mapping[str, Grammar] = BY_NAME) -> list[Pdu]:
    """Every byte once; what cannot be read is one PDU of verdict unknown up to the end."""
    protocol = spoken(protocol, sent, among)
    grammar = among.get(protocol)
    found: list[Pdu] = []
    end = 0
    try:
        for pdu in grammar.read(sent) if grammar else ():
            found.append(pdu)
            end = pdu.end
    except (IndexError, ValueError):
        pass
    if end < len(sent):
        shown = sent[end : end + 12].hex(" ")
        what = f"not {protocol}: {shown}" if grammar else f"port of no protocol here: {shown}"
        found.append(Pdu(end, len(sent), what, "unknown"))
    return found
