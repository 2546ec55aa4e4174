"""
SMB: which dialects a file server speaks, whether it signs, and in the read tier its names.

Identify tier (`PROBE`), two connections to TCP 445 at most, one request on each:

1. SMB2 NEGOTIATE with all dialects from 2.0.2 to 3.1.1. The server answers with the one it takes
   and whether it requires signing. One that speaks SMB 1 alone closes.
2. SMB1 NEGOTIATE with the dialect "NT LM 0.12" alone, so that it cannot be answered in SMB2. A
   server with SMB 1 switched off closes, and Windows does it with a reset; that is its answer, and
   no sign of distress.

Read tier (`READ_PROBE`), one connection: the negotiation in the newest version that answered, then
the first leg of an NTLM sign-in, which carries no name and no password. The server's challenge
names the computer, its domain and the build of its Windows. The connection is closed there: the
second leg, in which a password would be used, is never sent.

Why this is the gentlest question: a negotiation is how every client begins; no session, no share
and no file comes into being, and a sign-in that ends with the challenge is not yet an attempt.

Sample result: SmbFace(dialects=("3.1.1", "NT LM 0.12"), smb1=True, signing_required=False, …);
DeviceIdentity(name="IAS01", firmware="Windows Server (R) 2008 Standard 6002 Service Pack 2").

Samba tells version 6.1 with build 0, whatever it runs on: a build of 0 is no Windows.

Never: NTLM AUTHENTICATE (type 3), guest and null sessions, tree connects, and what follows them.

Source: [MS-SMB2] sections 2.2.1.2 (header), 2.2.3 and 2.2.4 (NEGOTIATE), 2.2.5 and 2.2.6
(SESSION_SETUP); [MS-CIFS] sections 2.2.3.1 and 2.2.4.52; [MS-SMB] sections 2.2.4.5 and 2.2.4.6
(extended security); [MS-NLMP] sections 2.2.1.1, 2.2.1.2 and 2.2.2.1; RFC 4178 section 4.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from scanner.errors import BadReply, Closed, Refused, Reset, Silent, WireError
from scanner.facts import DeviceIdentity, Fact, ServiceAccess, SmbFace
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

DIALECTS: Final = {
    0x0202: "2.0.2", 0x0210: "2.1", 0x0300: "3.0", 0x0302: "3.0.2", 0x0311: "3.1.1",
}  # fmt: skip
NT_LM: Final = "NT LM 0.12"

SMB1, SMB2 = b"\xffSMB", b"\xfeSMB"
NEGOTIATE, SESSION_SETUP = 0, 1
COM_NEGOTIATE, COM_SESSION_SETUP_ANDX = 0x72, 0x73
MORE_PROCESSING_REQUIRED: Final = 0xC0000016
NO_DIALECT: Final = 0xFFFF
FLAGS2: Final = 0xC801
"""Long names, extended security, NT status, Unicode."""
EXTENDED_SECURITY: Final = 0x80000000

QTS: Final = "QTS"
"""What QNAP's storage devices tell as their system (captures: smb__qnap_ts412_samba)."""

MAX_REPLY: Final = 16 * 1024
MAX_TEXT: Final = 128
MAX_PAIRS: Final = 16

CLIENT_GUID: Final = b"walkdown-readonl"
SALT: Final = b"walkdown asks and never signs in"

NTLM: Final = b"NTLMSSP\x00"
NTLM_FLAGS: Final = 0x02088205
"""Version, extended session security, always sign, NTLM, request target, Unicode."""
NTLM_VERSION: Final = 0x02000000


@dataclass(frozen=True, slots=True, kw_only=True)
class Negotiated:
    """
    `dialect` None: the server speaks this version of the protocol, and none of the dialects.
    `names`: domain and computer, where the reply carries them (SMB 1 without extended security).
    """

    dialect: str | None
    signing_enabled: bool | None = None
    signing_required: bool | None = None
    names: tuple[str | None, str | None] = (None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What the first answer to a sign-in tells. `build` is "6.1.7601", None where it has none."""

    target: str | None = None
    computer: str | None = None
    domain: str | None = None
    dns_computer: str | None = None
    dns_domain: str | None = None
    build: str | None = None
    native_os: str | None = None
    native_lan_manager: str | None = None


# --- requests ----------------------------------------------------------------------------------


def _framed(message: bytes) -> bytes:
    return b"\x00" + len(message).to_bytes(3, "big") + message


def _smb2(command: int, message_id: int, body: bytes) -> bytes:
    """
    Little-endian: `FE 'SMB' 64(2) charge(2) status(4) command(2) credits(2) flags(4) next(4)
    message(8) process(4) tree(4) session(8) signature(16)`, then the body.
    """
    head = SMB2 + b"\x40\x00" + bytes(6) + command.to_bytes(2, "little") + b"\x01\x00" + bytes(8)
    return _framed(head + message_id.to_bytes(8, "little") + bytes(32) + body)


def encode_negotiate() -> bytes:
    """SMB2 NEGOTIATE: five dialects, signing enabled, SHA-512 for the pre-authentication hash."""
    dialects = b"".join(number.to_bytes(2, "little") for number in DIALECTS)
    context = b"\x01\x00\x26\x00" + bytes(4) + b"\x01\x00\x20\x00\x01\x00" + SALT
    body = b"\x24\x00" + len(DIALECTS).to_bytes(2, "little") + b"\x01\x00" + bytes(6) + CLIENT_GUID
    body += (112).to_bytes(4, "little") + b"\x01\x00" + bytes(2) + dialects + bytes(2)
    return _smb2(NEGOTIATE, 0, body + context)


def encode_session_setup() -> bytes:
    """SMB2 SESSION_SETUP with the first leg of NTLM."""
    token = encode_first_leg()
    body = b"\x19\x00\x00\x01" + bytes(8) + b"\x58\x00" + len(token).to_bytes(2, "little")
    return _smb2(SESSION_SETUP, 1, body + bytes(8) + token)


def _smb1(command: int, message_id: int, words: bytes, data: bytes) -> bytes:
    """
    Little-endian: `FF 'SMB' command status(4) flags flags2(2) pid-high(2) security(8) 0(2) tree(2)
    pid(2) user(2) message(2)`, `words/2 words`, `length(2) data`.
    """
    head = SMB1 + bytes([command]) + bytes(4) + b"\x18" + FLAGS2.to_bytes(2, "little") + bytes(12)
    head += b"\xff\xff\x01\x00\x00\x00" + message_id.to_bytes(2, "little")
    body = bytes([len(words) // 2]) + words + len(data).to_bytes(2, "little") + data
    return _framed(head + body)


def encode_old_negotiate() -> bytes:
    """SMB_COM_NEGOTIATE with one dialect."""
    return _smb1(COM_NEGOTIATE, 1, b"", b"\x02NT LM 0.12\x00")


def encode_old_session_setup() -> bytes:
    """SMB_COM_SESSION_SETUP_ANDX with the first leg of NTLM; buffer 4356, one request at a time."""
    token = encode_first_leg()
    words = b"\xff\x00\x00\x00\x04\x11\x01\x00" + bytes(6) + len(token).to_bytes(2, "little")
    words += bytes(4) + (EXTENDED_SECURITY | 0x44).to_bytes(4, "little")
    return _smb1(COM_SESSION_SETUP_ANDX, 2, words, token + bytes(5))  # padding, two empty names


def encode_first_leg() -> bytes:
    """NTLM NEGOTIATE without names, in the NegTokenInit of SPNEGO."""
    message = NTLM + b"\x01\x00\x00\x00" + NTLM_FLAGS.to_bytes(4, "little") + bytes(16)
    message += bytes(7) + b"\x0f"
    mechanism = bytes.fromhex("a00e300c060a2b06010401823702020a")
    inner = mechanism + bytes([0xA2, len(message) + 2, 0x04, len(message)]) + message
    sequence = bytes([0xA0, len(inner) + 2, 0x30, len(inner)]) + inner
    whole = bytes.fromhex("06062b0601050502") + sequence
    return bytes([0x60, len(whole)]) + whole


# --- replies -----------------------------------------------------------------------------------


def reply_length(buffer: bytes) -> int | None:
    """Length by the transport's header: 0, length(3, big-endian). Raises BadReply."""
    if buffer[:1] not in (b"", b"\x00"):
        raise BadReply(f"expected an SMB message, got {buffer[:8].hex()}")
    if len(buffer) < 8:
        return None
    length = int.from_bytes(buffer[1:4], "big")
    if length > MAX_REPLY or buffer[4:8] not in (SMB1, SMB2):
        raise BadReply(f"expected an SMB message, got {buffer[:8].hex()}")
    return 4 + length if len(buffer) >= 4 + length else None


def _message(reply: bytes, least: int) -> bytes:
    length = reply_length(reply)
    if length is None or length < 4 + least:
        raise BadReply(f"an SMB message that is cut off: {reply[:40].hex()}")
    return reply[4:length]


def _answered2(reply: bytes, command: int, message_id: int) -> tuple[int, bytes]:
    """Status and body of an SMB2 reply to that request. Raises BadReply."""
    message = _message(reply, 64 + 9)
    if (
        message[:4] != SMB2
        or int.from_bytes(message[12:14], "little") != command
        or not message[16] & 0x01
        or int.from_bytes(message[24:32], "little") != message_id
    ):
        raise BadReply(f"expected a reply to SMB2 command {command}, got {message[:32].hex()}")
    return int.from_bytes(message[8:12], "little"), message


def decode_negotiate(reply: bytes) -> Negotiated:
    """`65(2) mode(2) dialect(2) …`, little-endian; mode 1 signing enabled, 2 required."""
    status, message = _answered2(reply, NEGOTIATE, 0)
    if status != 0:
        return Negotiated(dialect=None)
    if len(message) < 64 + 64 or message[64:66] != b"\x41\x00":
        raise BadReply(f"expected a negotiation, got {message[64:80].hex()}")
    mode = int.from_bytes(message[66:68], "little")
    dialect = DIALECTS.get(int.from_bytes(message[68:70], "little"))
    if dialect is None:
        raise BadReply(f"dialect {message[68:70].hex()} was not offered")
    return Negotiated(
        dialect=dialect, signing_enabled=bool(mode & 1), signing_required=bool(mode & 2)
    )


def _answered1(reply: bytes, command: int) -> tuple[int, bytes, bytes, int]:
    """Status, words, data and the data's place of an SMB 1 reply. Raises BadReply."""
    message = _message(reply, 35)
    if message[:4] != SMB1 or message[4] != command or not message[9] & 0x80:
        raise BadReply(f"expected a reply to SMB command {command:#x}, got {message[:32].hex()}")
    end = 33 + 2 * message[32]
    if len(message) < end + 2:
        raise BadReply(f"an SMB message that is cut off: {message[:40].hex()}")
    count = int.from_bytes(message[end : end + 2], "little")
    data = message[end + 2 : end + 2 + count]
    return int.from_bytes(message[5:9], "little"), message[33:end], data, end + 2


def decode_old_negotiate(reply: bytes, *, offered_at: int = 0) -> Negotiated:
    """
    `offered_at` is the place of "NT LM 0.12" in the list that was offered.

    Words: `dialect(2) mode multiplex(2) circuits(2) buffer(4) raw(4) key(4) capabilities(4) time(8)
    zone(2) challenge-length`, little-endian; mode 4 signing enabled, 8 required. Without extended
    security the data are challenge, domain and computer.
    """
    status, words, data, _ = _answered1(reply, COM_NEGOTIATE)
    chosen = int.from_bytes(words[:2], "little")
    if status != 0 or (len(words) >= 2 and chosen == NO_DIALECT):
        return Negotiated(dialect=None)
    if len(words) < 34 or chosen != offered_at:
        raise BadReply(f"expected the one dialect that was offered, got {words[:4].hex()}")
    extended = int.from_bytes(words[19:23], "little") & EXTENDED_SECURITY
    names: tuple[str | None, str | None] = (None, None)
    if not extended:
        domain, at = _wide(data, words[33])
        names = domain, _wide(data, at)[0]
    return Negotiated(
        dialect=NT_LM,
        signing_enabled=bool(words[2] & 0x04),
        signing_required=bool(words[2] & 0x08),
        names=names,
    )


def decode_session_setup(reply: bytes) -> Challenge:
    """`9(2) flags(2) offset(2) length(2) …`: the token lies at `offset` from the header."""
    status, message = _answered2(reply, SESSION_SETUP, 1)
    if status != MORE_PROCESSING_REQUIRED:
        raise BadReply(f"the first leg was answered with status {status:08x}")
    at, length = (int.from_bytes(message[place : place + 2], "little") for place in (68, 70))
    return decode_challenge(message[at : at + length])


def decode_old_session_setup(reply: bytes) -> Challenge:
    """Words: `andx(4) action(2) token-length(2)`; data: token, padding, system, LAN manager."""
    status, words, data, place = _answered1(reply, COM_SESSION_SETUP_ANDX)
    if status != MORE_PROCESSING_REQUIRED or len(words) < 8:
        raise BadReply(f"the first leg was answered with status {status:08x}")
    length = int.from_bytes(words[6:8], "little")
    told = decode_challenge(data[:length])
    at = length + (place + length) % 2  # text is aligned, counted from the header
    system, at = _wide(data, at)
    manager, _ = _wide(data, at)
    return Challenge(
        target=told.target,
        computer=told.computer,
        domain=told.domain,
        dns_computer=told.dns_computer,
        dns_domain=told.dns_domain,
        build=told.build,
        native_os=system,
        native_lan_manager=manager,
    )


def decode_challenge(token: bytes) -> Challenge:
    """
    NTLM CHALLENGE, alone or inside SPNEGO: signature, 2(4), target, flags(4), challenge(8), 0(8),
    pairs, version `major minor build(2) 0(3) revision`; fields are `length(2) most(2) offset(4)`,
    all little-endian. Raises BadReply.
    """
    start = token.find(NTLM + b"\x02\x00\x00\x00")
    if start < 0 or len(token) - start < 32:
        raise BadReply(f"expected an NTLM challenge, got {token[:16].hex()}")
    message = token[start:]
    flags = int.from_bytes(message[20:24], "little")
    pairs = dict(_pairs(_field(message, 40))) if len(message) >= 48 else {}
    return Challenge(
        target=_text(_field(message, 12)),
        computer=pairs.get(1),
        domain=pairs.get(2),
        dns_computer=pairs.get(3),
        dns_domain=pairs.get(4),
        build=_build(message) if flags & NTLM_VERSION and len(message) >= 56 else None,
    )


def _build(message: bytes) -> str | None:
    build = int.from_bytes(message[50:52], "little")
    return f"{message[48]}.{message[49]}.{build}" if build else None


def _field(message: bytes, at: int) -> bytes:
    length = int.from_bytes(message[at : at + 2], "little")
    offset = int.from_bytes(message[at + 4 : at + 8], "little")
    return message[offset : offset + length]


def _pairs(info: bytes) -> Iterator[tuple[int, str | None]]:
    at = 0
    for _ in range(MAX_PAIRS):
        kind, length = (int.from_bytes(info[n : n + 2], "little") for n in (at, at + 2))
        value = info[at + 4 : at + 4 + length]
        if kind == 0 or len(value) != length:
            return
        if kind <= 4:  # what comes later are numbers
            yield kind, _text(value)
        at += 4 + length


def _wide(data: bytes, at: int) -> tuple[str | None, int]:
    """A text in UTF-16 up to its two zeros, and what comes behind them."""
    for end in range(at, len(data) - 1, 2):
        if data[end : end + 2] == b"\x00\x00":
            return _text(data[at:end]), end + 2
    return _text(data[at : at + (len(data) - at) // 2 * 2]), len(data)


def _text(raw: bytes) -> str | None:
    plain = raw[: 4 * MAX_TEXT].decode("utf-16-le", "replace").strip("\x00 ")
    return "".join(c if c.isprintable() else "�" for c in plain)[:MAX_TEXT] or None


# --- what it means -----------------------------------------------------------------------------


def face_of(new: Negotiated | None, old: Negotiated | bool | None) -> SmbFace:
    """
    `new` None: SMB2 was not answered. `old` False: SMB 1 was refused; None: it stayed open. What is
    said of signing is the newer version's.
    """
    spoken = old if isinstance(old, Negotiated) else None
    told = new if new is not None and new.dialect else spoken
    taken = [one.dialect for one in (new, spoken) if one is not None and one.dialect]
    return SmbFace(
        dialects=tuple(taken),
        smb1=None if old is None else bool(spoken and spoken.dialect),
        signing_required=None if told is None else told.signing_required,
        signing_enabled=None if told is None else told.signing_enabled,
    )


def facts_of(told: Challenge, dialect: str) -> tuple[Fact, ...]:
    """Names and system as the challenge tells them; both without a credential."""
    details = {
        "target": told.target,
        "NetBIOS domain": told.domain,
        "DNS computer": told.dns_computer,
        "DNS domain": told.dns_domain,
        "Windows build": told.build,
        "native OS": told.native_os,
        "native LAN manager": told.native_lan_manager,
    }
    access = ServiceAccess(
        protocol="smb",
        answers_without_login=True,
        encrypted=False,
        version=dialect,
        authentication=("NTLM",),
        details=tuple((name, value) for name, value in details.items() if value),
    )
    found = DeviceIdentity(name=told.computer, firmware=_system(told))
    identities = [found] if found != DeviceIdentity() else []
    if told.native_os == QTS:
        identities.append(DeviceIdentity(vendor="QNAP", basis="text"))
    return (access, *identities)


def _system(told: Challenge) -> str | None:
    """Windows by its own words, else by its build; what Samba says there is made up."""
    if (told.native_lan_manager or "").startswith("Samba"):
        return None
    if (told.native_os or "").startswith("Windows"):
        return told.native_os
    return f"Windows {told.build}" if told.build is not None else None


async def run(session: Session) -> tuple[Fact, ...]:
    """Both negotiations, each on a connection of its own. Raises Withheld, WireError."""
    new: Negotiated | None = None
    refusal: WireError | None = None
    try:
        new = decode_negotiate(
            await session.exchange(
                encode_negotiate(), reply_length, label=_NEW, max_reply=MAX_REPLY, may_reset=True
            )
        )
    except (Closed, Reset, Silent) as no_answer:  # a canary is asked what was answered before
        refusal = no_answer
    await session.close()
    old: Negotiated | bool | None
    try:
        reply = await session.exchange(
            encode_old_negotiate(), reply_length, label=_OLD, max_reply=MAX_REPLY, may_reset=True
        )
        old = False if reply[4:8] == SMB2 else decode_old_negotiate(reply)
    except (Closed, Reset):
        old = False
    except (Silent, Refused, BadReply):
        old = None
    if refusal is not None and not isinstance(old, Negotiated):
        raise refusal
    face = face_of(new, old)
    domain, computer = old.names if isinstance(old, Negotiated) else (None, None)
    if computer is None:
        return (face,)
    access = ServiceAccess(
        protocol="smb",
        answers_without_login=True,
        encrypted=False,
        version=NT_LM,
        details=(("NetBIOS domain", domain),) if domain else (),
    )
    return face, access, DeviceIdentity(name=computer)


async def run_read(session: Session) -> tuple[Fact, ...]:
    """Negotiation and the first leg of a sign-in. Raises Withheld, WireError."""
    faces = [fact for fact in session.known if isinstance(fact, SmbFace)]
    newest = next((face.dialects[0] for face in reversed(faces) if face.dialects), None)
    if newest == NT_LM:
        await session.exchange(
            encode_old_negotiate(), reply_length, label=_OLD, max_reply=MAX_REPLY
        )
        reply = await session.exchange(
            encode_old_session_setup(), reply_length, label=_FIRST_LEG, max_reply=MAX_REPLY
        )
        return facts_of(decode_old_session_setup(reply), NT_LM)
    negotiated = decode_negotiate(
        await session.exchange(encode_negotiate(), reply_length, label=_NEW, max_reply=MAX_REPLY)
    )
    if negotiated.dialect is None:
        raise BadReply("the server took no dialect of SMB2")
    reply = await session.exchange(
        encode_session_setup(), reply_length, label=_FIRST_LEG, max_reply=MAX_REPLY
    )
    return facts_of(decode_session_setup(reply), negotiated.dialect)


# --- what the engine finds ---------------------------------------------------------------------

_NEW: Final = "SMB2 NEGOTIATE"
_OLD: Final = "SMB1 NEGOTIATE"
_FIRST_LEG: Final = "SESSION_SETUP, first leg of NTLM"

PROBE = Probe(
    name="smb",
    protocol="smb",
    transport=Transport.TCP,
    ports=(445,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(label=_NEW, sample=encode_negotiate()),
        Question(
            label=_OLD,
            sample=encode_old_negotiate(),
            trace="one refused SMB 1 connection, where the server logs the use of SMB 1",
        ),
    ),
    connections=2,
)

READ_PROBE = Probe(
    name="smb",
    protocol="smb",
    transport=Transport.TCP,
    ports=(445,),
    tier=Tier.READ,
    run=run_read,
    questions=(
        Question(label="NEGOTIATE in the newest version that answered", sample=encode_negotiate()),
        Question(
            label=_FIRST_LEG,
            sample=encode_session_setup(),
            trace="none in the security log, which a sign-in enters with its second leg",
        ),
    ),
    needs=frozenset({"answered"}),
    deadline_s=30.0,
)
