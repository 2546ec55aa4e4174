"""
Takes secrets out of what is about to be stored (safety promise 27). Pure, but for the journal that
it stands before.

Two kinds: the operator's own secrets of this run, in every spelling in which a device may echo
them; and what carries a secret by its form, whoever it belongs to: cookies, passwords in URLs and
pages, tokens, private keys, password hashes. Bytes are zeroed in place, so that offsets and lengths
of the evidence stay those of the wire; text says `<secret>`.

Sources: RFC 6265 4.1 (Set-Cookie), RFC 9110 11.6 (Authorization), RFC 3986 3.2.1 (userinfo),
RFC 7468 (PEM), crypt(5).
"""

from __future__ import annotations

import asyncio
import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, quote_plus

from scanner.model import Observation, Outcome, Target, Tier
from scanner.spec import Secret

if TYPE_CHECKING:
    from scanner.engine import Journal

T = TypeVar("T")

SHORTEST = 4
"""A shorter secret would be found in every other word; taking it out would hide the evidence."""

WORD = "<secret>"

_NAMES = rb"(?:pass(?:word|wd|phrase|code)?|pwd|kennwort|passwort|psk|secret|credential)"
_TOKENS = (
    rb"(?:token|csrf|xsrf|nonce|session(?:[_-]?id)?|sess(?:id)?|sid|phpsessid|jsessionid|"
    rb"api[_-]?key|access[_-]?key|auth(?:[_-]?key)?|ticket|jwt)"
)
_VALUE = rb"""[^\s"'&<>;,\\]"""
_LINE = rb"[^\r\n]"


@dataclass(frozen=True, slots=True)
class _Form:
    """
    `sign` is what stands in a text (in small letters) that may hold such a secret, `whole` its
    form, `rest` how it goes on where a piece of the text ends inside it.
    """

    sign: bytes
    whole: re.Pattern[bytes]
    rest: re.Pattern[bytes]


def _form(sign: bytes, before: bytes, byte: bytes, least: int = 1, after: bytes = b"") -> _Form:
    """A secret of at least so many of these bytes, behind what is kept. It may be of any length."""
    many = b"%b{%d,}" % (byte, least)
    return _Form(
        sign=sign,
        whole=re.compile(b"(?P<keep>" + before + b")" + many + after, re.IGNORECASE),
        rest=re.compile(byte + b"*", re.IGNORECASE),
    )


_FORMS = (
    _form(b"set-cookie", rb"\bset-cookie2?[ \t]*:[ \t]*[^=;\r\n]{1,200}=", rb"[^;\r\n]"),
    _form(b"cookie", rb"(?:^|(?<=\n))cookie[ \t]*:[ \t]*", _LINE),
    _form(b"authorization", rb"\bauthorization[ \t]*:[ \t]*", _LINE),
    _form(
        b"\nx-",
        rb"(?<=\n)x-[\w-]{0,40}(?:token|key|session|auth)[\w-]{0,40}[ \t]*:[ \t]*",
        _LINE,
    ),
    _form(b"://", rb"://[^\s/@:\"'<>]{0,200}:", rb"[^\s/@\"'<>]", after=rb"(?=@)"),
    _form(b"", _NAMES + rb"[\w.-]{0,20}[\"']?\s{0,4}[=:]\s{0,4}[\"']?", _VALUE),
    _form(b"", _TOKENS + rb"[\w.-]{0,20}(?:[\"']\s{0,4}:\s{0,4}|\s?=\s?)[\"']?", _VALUE),
    _form(b"<", rb"<[\w:.-]{0,60}" + _NAMES + rb"[\w.-]{0,20}>", rb"[^<]"),
    _form(
        b"$",
        rb"\$(?:1|2[abxy]?|5|6|7|8|9|y|gy|sha1|md5|pbkdf2[\w-]{0,20}|argon2\w{0,2}"
        rb"|scrypt|apr1)\$",
        rb"[^\s:\"'<>]",
        least=4,
    ),
)

_INPUT = re.compile(rb"<input\b[^<>]*", re.IGNORECASE)
_IN_TAG = re.compile(rb"[^<>]*")
_ASKS = re.compile(
    rb"\btype\s{0,4}=\s{0,4}[\"']?password\b|\bname\s{0,4}=\s{0,4}[\"']?[\w.-]{0,40}" + _TOKENS,
    re.IGNORECASE,
)
_GIVEN = re.compile(rb"(?P<keep>\bvalue\s{0,4}=\s{0,4}[\"']?)[^\"'>]+", re.IGNORECASE)
"""A field of a page that is for a password or a token, and what stands in it already."""

_KEY = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----")

SLICE, OVERLAP = 16 * 1024, 4 * 1024
"""Looked through in pieces, so that no reply keeps the event loop from its clock."""

Spans = list[tuple[int, int]]


def _end(rest: re.Pattern[bytes], data: bytes, end: int, stop: int) -> int:
    """Where a secret ends that was found up to the end of a piece: it may go on behind it."""
    if end < stop:
        return end
    further = rest.match(data, end)
    return further.end() if further else end


def spellings(secret: str) -> frozenset[bytes]:
    """How a secret may be written: as it is, escaped, encoded, in either byte order, backwards."""
    plain = secret.encode("utf-8", "surrogatepass")
    texts = {
        secret, secret[::-1], quote(secret, safe="", errors="replace"), html.escape(secret),
        quote_plus(secret, errors="replace"), quote(secret, errors="replace"),
        json.dumps(secret)[1:-1], plain.hex(), plain.hex().upper(), plain.hex(" "), plain.hex(":"),
    }  # fmt: skip
    texts |= {"".join(f"%{byte:{digits}}" for byte in plain) for digits in ("02x", "02X")}
    found = {text.encode("utf-8", "surrogatepass") for text in texts}
    found |= {secret.encode(coding, "surrogatepass") for coding in ("utf-16-le", "utf-16-be")}
    for before in range(3):  # in base64 it depends on what stands before it
        coded = base64.b64encode(bytes(before) + plain)
        inner = coded[(0, 2, 3)[before] : (before + len(plain)) * 8 // 6]
        found |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return frozenset(one for one in found if len(one) >= SHORTEST)


class Redactor:
    """Knows the operator's secrets of a run, and never tells them."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        values = {secret.reveal() for secret in secrets}
        known = {s for value in values if len(value) >= SHORTEST for s in spellings(value)}
        ordered = sorted(known, key=len, reverse=True)
        self._own = re.compile(b"|".join(map(re.escape, ordered))) if ordered else None

    def __repr__(self) -> str:
        return "Redactor(…)"

    def blank(self, data: bytes) -> bytes:
        """The same bytes with every secret zeroed; as long as before."""
        found = [span for piece in self._pieces(data) for span in piece]
        return _zeroed(data, found + _keys(data))

    async def blank_in_turns(self, data: bytes) -> bytes:
        """As `blank`, and whoever else has something to do gets a turn between the pieces."""
        found = _keys(data)
        for piece in self._pieces(data):
            found += piece
            await asyncio.sleep(0)
        return _zeroed(data, found)

    def words(self, text: str) -> str:
        """The same text with `<secret>` for every secret."""
        data = text.encode("utf-8", "surrogatepass")
        spans = [span for piece in self._pieces(data) for span in piece] + _keys(data)
        if not spans:
            return text
        zeroed = _zeroed(data, spans)
        kept, at = bytearray(), 0
        for start, end in _merged(spans):
            kept += zeroed[at:start] + WORD.encode()
            at = end
        return (kept + zeroed[at:]).decode("utf-8", "replace")

    def _pieces(self, data: bytes) -> Iterator[Spans]:
        """The places of secrets in one piece of the data after another, which overlap."""
        for first in range(0, len(data), SLICE):
            start, stop = max(0, first - OVERLAP), min(len(data), first + SLICE + OVERLAP)
            yield self._spans(data, start, stop)

    def _spans(self, data: bytes, start: int, stop: int) -> Spans:
        found = []
        if self._own is not None:
            found = [match.span() for match in self._own.finditer(data, start, stop)]
        small = data[start:stop].lower()
        for form in _FORMS:
            if form.sign in small:
                for match in form.whole.finditer(data, start, stop):
                    found.append((match.end("keep"), _end(form.rest, data, match.end(), stop)))
        if b"<input" in small:
            for begun in _INPUT.finditer(data, start, stop):
                tag = begun.start(), _end(_IN_TAG, data, begun.end(), stop)
                if _ASKS.search(data, *tag):
                    for match in _GIVEN.finditer(data, *tag):
                        found.append((match.end("keep"), match.end()))
        return found

    def facts(self, value: T) -> T:
        """The same value with every text in it made fit to be kept."""
        return self._walk(value)  # type: ignore[return-value]

    def _walk(self, value: object) -> object:
        if isinstance(value, str) and not isinstance(value, Enum):
            return self.words(value)
        if isinstance(value, tuple):
            return tuple(self._walk(one) for one in value)
        if is_dataclass(value) and not isinstance(value, type):
            changed = {}
            for field in fields(value):
                old = getattr(value, field.name)
                new = old if field.name == "kind" else self._walk(old)
                if new != old:
                    changed[field.name] = new
            return replace(value, **changed) if changed else value
        return value


def _keys(data: bytes) -> Spans:
    """Private keys in PEM; one that has no end goes to the end."""
    found = []
    at = 0
    while (match := _KEY.search(data, at)) is not None:
        end = data.find(b"-----END ", match.end())
        at = len(data) if end < 0 else end
        found.append((match.end(), at))
    return found


def _merged(spans: Spans) -> Spans:
    whole: Spans = []
    for start, end in sorted(spans):
        if whole and start <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(end, whole[-1][1]))
        else:
            whole.append((start, end))
    return whole


def _zeroed(data: bytes, spans: Spans) -> bytes:
    if not spans:
        return data
    zeroed = bytearray(data)
    for start, end in spans:
        zeroed[start:end] = bytes(end - start)
    return bytes(zeroed)


class DiscreetJournal:
    """A journal that is told everything with the secrets taken out. Implements engine.Journal."""

    def __init__(self, journal: Journal, redactor: Redactor) -> None:
        self._journal = journal
        self._redactor = redactor

    async def intent(
        self,
        *,
        target: Target,
        probe: str,
        tier: Tier,
        label: str,
        request: bytes,
        question: str,
        sent_at: datetime,
    ) -> str:
        return await self._journal.intent(
            target=target,
            probe=probe,
            tier=tier,
            label=label,
            request=await self._redactor.blank_in_turns(request),
            question=question,
            sent_at=sent_at,
        )

    async def ended(
        self,
        exchange_id: str,
        *,
        outcome: Outcome,
        reason: str,
        reply: bytes,
        finished_at: datetime,
        wire_out: int,
        wire_in: int,
    ) -> None:
        await self._journal.ended(
            exchange_id,
            outcome=outcome,
            reason=self._redactor.words(reason),
            reply=await self._redactor.blank_in_turns(reply),
            finished_at=finished_at,
            wire_out=wire_out,
            wire_in=wire_in,
        )

    async def question_started(self, key: str, *, protocol: str, at: datetime) -> None:
        await self._journal.question_started(key, protocol=protocol, at=at)

    async def question_finished(self, observation: Observation) -> Observation:
        kept = replace(
            observation,
            reason=self._redactor.words(observation.reason),
            facts=self._redactor.facts(observation.facts),
        )
        return await self._journal.question_finished(kept)
