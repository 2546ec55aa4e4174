"""
SSH: what a server says of itself before anybody logs in, and what it offers to whom.

Identify tier, one connection (`PROBE`):

1. Connect and listen. An SSH server speaks first: lines of greeting are allowed, then its
   identification `SSH-2.0-software comments` (RFC 4253 section 4.2).
2. Send our identification, `SSH-2.0-Walkdown`. The server answers with KEXINIT, the lists of
   what it would accept (RFC 4253 section 7.1).
3. Do not answer it. Close.

This is the gentlest question there is: no key is computed, no user is named, no login seat is
taken; the device keeps the half-made connection for as long as our close takes.
Sample: banner "SSH-2.0-Cisco-1.25", kex diffie-hellman-group14-sha1 and group1-sha1, host key
ssh-rsa, encryption aes128-ctr … 3des-cbc, vendor Cisco.

Read tier, one connection (`READ_PROBE`): a whole key exchange, which proves the host key
(RFC 4253 section 8), then user authentication `none` for the user "walkdown", to which the server
replies with the methods it offers (RFC 4252 section 5.2). No password, no key, no agent.

Login tier (`LOGIN_PROBE`): the baseline is `none` again; a server that lets anybody in needs no
password to prove it. Then one default credential that belongs to the product seen here, and only
if that is accepted a second connection with a user that cannot exist: let in too, it means that
there is no authentication. Login only; no command is run, no shell is opened.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.resources import files

from scanner.attempt import CountedAttempt, counted
from scanner.clients.ssh import AuthAnswer, ServerKey, SshConnection
from scanner.errors import BadReply, Closed, Reset, Silent, WireError
from scanner.facts import (
    CredentialAttempt,
    DeviceIdentity,
    Fact,
    SshAuthMethods,
    SshFace,
    SshHostKey,
)
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Secret, Session

IDENTIFICATION = b"SSH-2.0-Walkdown\r\n"
MSG_KEXINIT = 20
PACKET_MAX = 35_000
"""RFC 4253 section 6.1: every implementation must cope with packets of this length."""
GREETING_MAX = 16 * 1024
LINE_MAX = 255
NAMES_MAX = 200
NAME_MAX = 64

METHODS_USER = "walkdown"
CONTROL_USER = "walkdown-no-such-user"
CONTROL_SECRET = "walkdown-control"  # noqa: S105 - not a secret: the control must be wrong
LOCKOUT_WORDS = ("locked", "too many", "try again later", "temporarily", "blocked")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identification:
    """`line` without its line end; `comments` follow the first space."""

    line: str
    protocol_version: str
    software: str
    comments: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KexInit:
    """The name lists of a KEXINIT in its order; both directions of a kind side by side."""

    kex: tuple[str, ...]
    host_key: tuple[str, ...]
    encryption_out: tuple[str, ...]
    encryption_in: tuple[str, ...]
    mac_out: tuple[str, ...]
    mac_in: tuple[str, ...]
    compression_out: tuple[str, ...]
    compression_in: tuple[str, ...]


# --- bytes -------------------------------------------------------------------------------------


def find_identification(data: bytes) -> tuple[bytes, int] | None:
    """
    The identification line (without line end) and the offset behind it; None when more is needed.

    Lines before it must not begin with "SSH-". Raises BadReply when it can no longer come.
    Source: RFC 4253 section 4.2.
    """
    start = 0
    while True:
        end = data.find(b"\n", start)
        if data.startswith(b"SSH-", start):
            if end < 0 and len(data) - start <= LINE_MAX:
                return None
            if end < 0 or end - start > LINE_MAX:
                raise BadReply("an identification string longer than 255 bytes")
            return data[start:end].rstrip(b"\r"), end + 1
        if start > GREETING_MAX or (end < 0 and len(data) - start > GREETING_MAX):
            raise BadReply("no SSH identification string in 16 KiB")
        if end < 0:
            return None
        start = end + 1


def decode_identification(line: bytes) -> Identification:
    """Raises BadReply unless the line is "SSH-version-software[ comments]"."""
    text = "".join(c if c.isprintable() else "�" for c in line.decode("utf-8", "replace"))
    if not text.startswith("SSH-"):
        raise BadReply(f"not an SSH identification string: {line[:16].hex(' ')}")
    version, dash, rest = text[4:].partition("-")
    if not dash or not version:
        raise BadReply(f"an SSH identification string without a version: {line[:32].hex(' ')}")
    software, space, comments = rest.partition(" ")
    return Identification(
        line=text,
        protocol_version=version[:16],
        software=software,
        comments=comments if space else None,
    )


def packet_length(data: bytes) -> int | None:
    """
    Length of the binary packet at the beginning, its length field included; None: more is needed.

    Layout: uint32 packet_length (big-endian, counts what follows it), byte padding_length,
    payload, padding. Before NEWKEYS there is no MAC. Source: RFC 4253 section 6.
    """
    if len(data) < 4:
        return None
    length = int.from_bytes(data[:4], "big")
    if not 12 <= length <= PACKET_MAX:
        raise BadReply(f"an SSH packet length of {length}")
    return 4 + length if len(data) >= 4 + length else None


def decode_kexinit(packet: bytes) -> KexInit:
    """
    Read one whole binary packet that carries KEXINIT. Raises BadReply.

    Payload: byte 20, 16 bytes cookie, ten name-lists (uint32 length, comma-separated ASCII),
    boolean, uint32. Languages are not kept. Source: RFC 4253 section 7.1.
    """
    if packet_length(packet) != len(packet):
        raise BadReply("not one whole SSH packet")
    padding = packet[4]
    payload = packet[5 : len(packet) - padding]
    if not payload or payload[0] != MSG_KEXINIT:
        raise BadReply(f"KEXINIT expected, message {payload[:1].hex() or 'nothing'} came")
    lists: list[tuple[str, ...]] = []
    offset = 17
    for _ in range(10):
        names, offset = _name_list(payload, offset)
        lists.append(names)
    return KexInit(
        kex=lists[0],
        host_key=lists[1],
        encryption_out=lists[2],
        encryption_in=lists[3],
        mac_out=lists[4],
        mac_in=lists[5],
        compression_out=lists[6],
        compression_in=lists[7],
    )


def _name_list(payload: bytes, offset: int) -> tuple[tuple[str, ...], int]:
    if len(payload) < offset + 4:
        raise BadReply("a KEXINIT that ends inside its lists")
    length = int.from_bytes(payload[offset : offset + 4], "big")
    offset += 4
    if length > len(payload) - offset:
        raise BadReply(f"a name-list of {length} bytes in {len(payload) - offset}")
    text = payload[offset : offset + length].decode("ascii", "replace")
    names = tuple(_printable(name)[:NAME_MAX] for name in text.split(",") if name)
    return names[:NAMES_MAX], offset + length


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "�" for c in text)


def _identification_framer(data: bytes) -> int | None:
    """Ends with the identification line; what came behind it is handed on too."""
    return None if find_identification(data) is None else len(data)


def _kexinit_framer(before: bytes) -> Callable[[bytes], int | None]:
    """`before` is the beginning of the packet that came together with the identification."""

    def framer(data: bytes) -> int | None:
        return None if packet_length(before + data) is None else len(data)

    return framer


# --- meaning -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    software: re.Pattern[str]
    vendor: str
    model: str | None
    device_class: str | None
    source: str


@cache
def products() -> tuple[Product, ...]:
    """The table probes/data/ssh_products.toml."""
    table = tomllib.loads((files("probes") / "data" / "ssh_products.toml").read_text("utf-8"))
    return tuple(
        Product(
            software=re.compile(row["software"]),
            vendor=row["vendor"],
            model=row.get("model"),
            device_class=row.get("device_class"),
            source=row["source"],
        )
        for row in table["product"]
    )


def identify_software(software: str) -> DeviceIdentity | None:
    """Who makes the device, where its SSH software is one maker's own; None when it is not."""
    for product in products():
        if product.software.fullmatch(software):
            return DeviceIdentity(
                vendor=product.vendor,
                model=product.model,
                device_class=product.device_class,
                basis="text",
            )
    return None


def face_of(identification: Identification, kexinit: KexInit | None) -> SshFace:
    """Both directions of a kind are merged, the server's own order first."""
    if kexinit is None:
        return SshFace(
            banner=identification.line,
            protocol_version=identification.protocol_version,
            software=identification.software,
        )
    return SshFace(
        banner=identification.line,
        protocol_version=identification.protocol_version,
        software=identification.software,
        kex=kexinit.kex,
        host_key=kexinit.host_key,
        encryption=_merged(kexinit.encryption_in, kexinit.encryption_out),
        mac=_merged(kexinit.mac_in, kexinit.mac_out),
        compression=_merged(kexinit.compression_in, kexinit.compression_out),
    )


def _merged(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(first + second))


# --- identify ----------------------------------------------------------------------------------


async def run(session: Session) -> tuple[Fact, ...]:
    """Banner and KEXINIT. A server whose KEXINIT does not come or is garbled keeps its banner."""
    greeting = await session.exchange(
        None, _identification_framer, label="identification", max_reply=2 * GREETING_MAX
    )
    found = find_identification(greeting)
    if found is None:
        raise BadReply("no SSH identification string")
    identification = decode_identification(found[0])
    kexinit = await _kexinit(session, greeting[found[1] :])
    facts: list[Fact] = [face_of(identification, kexinit)]
    if (identity := identify_software(identification.software)) is not None:
        facts.append(identity)
    return tuple(facts)


async def _kexinit(session: Session, before: bytes) -> KexInit | None:
    try:
        if packet_length(before) is not None:
            packet = before
            await session.exchange(IDENTIFICATION, None, label="our identification")
        else:
            packet = before + await session.exchange(
                IDENTIFICATION, _kexinit_framer(before), label="our identification", max_reply=65536
            )
        return decode_kexinit(packet[: packet_length(packet)])
    except (BadReply, Closed, Reset, Silent):
        return None  # SSH 1.x and half-broken servers: the banner stands, the lists are unknown


# --- read --------------------------------------------------------------------------------------


async def run_read(session: Session) -> tuple[Fact, ...]:
    """Host key, then the methods offered. What was proven stays when the rest fails."""
    facts: list[Fact] = []
    try:
        async with _connected(session) as connection:
            key = await session.blocking(connection.handshake, deadline_s=20.0)
            facts.append(host_key_fact(key))
            facts.append(await _methods(session, connection))
    except WireError:
        if not facts:
            raise
    return tuple(facts)


async def _methods(session: Session, connection: SshConnection) -> SshAuthMethods:
    """
    Ask with a name that is nobody's: where empty passwords are permitted, a server may count
    `none` as a failed password of the account it names.
    """
    answer = await session.blocking(partial(connection.auth_none, METHODS_USER), deadline_s=10.0)
    await session.record_plaintext(
        "authentication none", f"auth none {METHODS_USER}".encode(), _in_words(answer)
    )
    return SshAuthMethods(
        methods=answer.methods, accepts_none=answer.accepted, login_banner=answer.banner
    )


def _in_words(answer: AuthAnswer) -> bytes:
    """The server's answer as evidence: what paramiko decrypted, in short."""
    verdict = "accepted" if answer.accepted else "partly accepted" if answer.partial else "refused"
    return f"{verdict}; methods {','.join(answer.methods) or '-'}".encode()


def host_key_fact(key: ServerKey) -> SshHostKey:
    return SshHostKey(
        algorithm=key.algorithm, bits=key.bits, fingerprint_sha256=key.fingerprint_sha256
    )


# --- login -------------------------------------------------------------------------------------


async def run_login(session: Session) -> tuple[Fact, ...]:
    """Baseline, one product-matched default credential, and its control if it was accepted."""
    credential = next((c for c in session.default_credentials if c.protocol == "ssh"), None)
    if credential is None:
        return ()
    service = f"ssh/{session.target.port}"
    fact = CredentialAttempt(
        service=service,
        credential=credential.id,
        account=credential.user,
        product=credential.product,
    )
    baseline: SshAuthMethods | None = None
    attempt: CountedAttempt | None = None
    try:
        async with (
            counted(session, service, credential.user) as attempt,
            _connected(session) as connection,
        ):
            await session.blocking(connection.handshake, deadline_s=20.0)
            baseline = await _methods(session, connection)
            if baseline.accepts_none:
                return (replace(fact, open_without_login=True, withheld="open_without_login"),)
            if not {"password", "keyboard-interactive"} & set(baseline.methods):
                return ()
            if not attempt.withheld:
                user, secret = credential.user, credential.secret
                await _try(session, connection, attempt, user, secret, baseline.methods)
    except WireError:
        if attempt is None or attempt.left is None:
            raise  # nothing was tried
    assert baseline is not None  # noqa: S101 - asked before any attempt
    fact = attempt.told_in(fact)
    if attempt.accepted:
        fact = replace(fact, control_accepted=await _control(session, service, baseline.methods))
    return (fact,)


@asynccontextmanager
async def _connected(session: Session) -> AsyncIterator[SshConnection]:
    judge = partial(session.judge_plaintext, "ssh-command")
    async with session.duplex() as sock:
        connection = SshConnection(sock, judge=judge)
        try:
            yield connection
        finally:
            await session.blocking(connection.close, deadline_s=5.0)


async def _try(
    session: Session,
    connection: SshConnection,
    attempt: CountedAttempt,
    user: str,
    secret: Secret,
    methods: tuple[str, ...],
) -> None:
    login = partial(connection.auth_password, user, secret, operator=False, methods=methods)
    await attempt.leaves()
    answer = await session.blocking(login, deadline_s=15.0)
    attempt.answered(accepted=answer.accepted, lockout_sign=lockout_sign(answer))
    await session.record_plaintext(
        "default credential", f"auth password {user}".encode(), _in_words(answer)
    )


async def _control(session: Session, service: str, methods: tuple[str, ...]) -> bool | None:
    """The same with a user that cannot exist; None when it could not be asked or answered."""
    await session.close()
    attempt: CountedAttempt | None = None
    try:
        async with counted(session, service, CONTROL_USER) as attempt:
            if attempt.withheld:
                return None
            async with _connected(session) as connection:
                await session.blocking(connection.handshake, deadline_s=20.0)
                secret = Secret(CONTROL_SECRET)
                await _try(session, connection, attempt, CONTROL_USER, secret, methods)
    except WireError:
        if attempt is None:
            return None
    return attempt.accepted


def lockout_sign(answer: AuthAnswer) -> str | None:
    """What in a refusal smells of a lock; None when nothing does."""
    if answer.accepted:
        return None
    text = (answer.banner or "").lower()
    for words in LOCKOUT_WORDS:
        if words in text:
            return words
    return "connection dropped" if answer.dropped else None


# --- what the engine finds ---------------------------------------------------------------------

PROBE = Probe(
    name="ssh",
    protocol="ssh",
    transport=Transport.TCP,
    ports=(22,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(
            label="our identification, KEXINIT not answered",
            sample=IDENTIFICATION,
            packets=1,
            trace="one line in the device's log: connection closed before authentication",
        ),
    ),
)

READ_PROBE = Probe(
    name="ssh",
    protocol="ssh",
    transport=Transport.TCP,
    ports=(22,),
    tier=Tier.READ,
    run=run_read,
    questions=(
        Question(label="identification", sample=IDENTIFICATION, packets=1),
        Question(label="key exchange (host key)", packets=5),
        Question(
            label=f"authentication none for user {METHODS_USER!r}",
            sample=b"auth none",
            packets=3,
            trace=f"one failed authentication (none) of user {METHODS_USER} in the device's log",
        ),
    ),
    needs=frozenset({"answered"}),
    deadline_s=60.0,
)

LOGIN_PROBE = Probe(
    name="ssh",
    protocol="ssh",
    transport=Transport.TCP,
    ports=(22,),
    tier=Tier.LOGIN,
    run=run_login,
    questions=(
        Question(label="identification", sample=IDENTIFICATION, at_most=2, packets=1),
        Question(label="key exchange", at_most=2, packets=5),
        Question(
            label="baseline: authentication none",
            sample=b"auth none",
            packets=3,
            trace=f"one failed authentication (none) of user {METHODS_USER} in the device's log",
        ),
        Question(
            label="one default credential of this product",
            sample=b"auth password",
            packets=4,
            trace="one failed login, or a login and a logout, of the default account in the log",
        ),
        Question(
            label="control: a user that cannot exist (only after a login was accepted)",
            sample=b"auth password",
            packets=4,
            trace=f"one failed login of user {CONTROL_USER} in the device's log",
        ),
    ),
    connections=2,
    needs=frozenset({"answered", "default_credential"}),
    deadline_s=120.0,
)
