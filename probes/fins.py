"""
FINS: what an Omron controller tells of itself to anyone who asks.

1. One UDP datagram to port 9600: Controller Data Read (command 0501, parameter 00). No connection
   is made and none of the few FINS/TCP connections is taken.
2. The reply carries the controller's model (20 bytes) and version (20 bytes: that of the CPU unit,
   and an internal one behind it).

The destination node is 0, which is the unit that the datagram reaches. The last octet of the
address is not used: in the recording of a CP1L at 10.1.1.164 the node is 200, and a unit drops
what is for another node. Our own node number is 126. A unit that generates addresses dynamically
notes our address for that node until the node itself speaks, so it is one that few stations have:
the highest that every Ethernet unit knows.

`TCP_PROBE` asks the same over TCP, only where the datagram stayed unanswered (`needs`
"udp_silent"): the frame that asks for node addresses, in whose answer the device tells its own
node and the one that it lends us for this connection, then Controller Data Read to that node. The
connection, and with it the node, is given back by closing: the protocol has no goodbye.

In the read tier Controller Status Read (command 0601) tells status, mode and fatal errors, over
the transport that answered before.

Why this is the gentlest question: it reads constants of the CPU unit, changes no memory area, no
mode, no access right, and no error log. Never sent: memory, parameter and program writes (0102,
0103, 0105, 0202, 0203, 0221, 0304, 0305, 0307, 0308), RUN, STOP and reset (0401 to 0403), clock
write (0702), cycle time with its initialisation (0620), messages (0920), access rights (0C01 to
0C03), error clear (2101, 2103), file commands (22xx), forced set and reset (2301, 2302), name
(2601, 2602).

Sample result: vendor "Omron", model "CP1L-EL20DR-D", firmware "01.00", class plc.

Source: Omron W342, CS/CJ/CP Series Communications Commands, sections 5-1 (frame), 5-3-16
(Controller Data Read), 5-3-18 (Controller Status Read) and 5-1-3 (end codes); W421, CS/CJ Series
Ethernet Units, sections 5-2 (address tables) and 7-4 (FINS/TCP frames). All numbers big-endian.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from scanner.errors import BadReply
from scanner.facts import ControllerState, DeviceIdentity, Fact, ServiceAccess
from scanner.model import Tier, Transport
from scanner.spec import Probe, Question, Session

CONTROLLER_DATA_READ: Final = 0x0501
CONTROLLER_STATUS_READ: Final = 0x0601

MAGIC: Final = b"FINS"
NODE_ADDRESS_SEND: Final = 0
NODE_ADDRESS_REPLY: Final = 1
FRAME_SEND: Final = 2
OUR_NODE: Final = 126
SERVICE_ID: Final = 0xEF
"""Comes back in the reply. One request is in flight at a time, so it need not change."""

TCP_HEADER: Final = 16
"""`FINS`, length of what follows (4), command (4), error code (4)."""
HEADER: Final = 10
"""ICF, RSV, GCT, destination network, node, unit, source network, node, unit, service id."""
BODY: Final = HEADER + 4
"""Behind the header: command (2) and end code (2)."""
RESPONSE_BIT: Final = 0x40
ERROR_FLAGS: Final = 0x00C0
"""Of an end code: the PLC has a non-fatal or a fatal error; the command itself was carried out."""
MAX_REPLY: Final = 2048

MODES: Final = {0: "program", 1: "debug", 2: "monitor", 4: "run"}
STATUSES: Final = {0x00: "stop", 0x01: "run", 0x80: "standby"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """The answer to the request for node addresses: ours for this connection, and the device's."""

    client: int
    server: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One FINS response: from which node, its end code without the error flags, its data."""

    node: int
    end_code: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerData:
    """`version` is that of the CPU unit. None: the field is empty."""

    model: str | None
    version: str | None
    internal_version: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerStatus:
    """`fatal_errors` is a bit field, all of it 0 in a sound controller."""

    status: int
    mode: int
    fatal_errors: int


def encode_command(command: int, *, client: int = OUR_NODE, server: int = 0) -> bytes:
    """
    One FINS command: `80 00 02`, destination, source, service id, then the command code.

    Gateway count 2; the networks are 0, the own one, and the units are 0, the CPU unit.
    """
    header = bytes([0x80, 0, 2, 0, server, 0, 0, client, 0, SERVICE_ID])
    parameter = b"\0" if command == CONTROLLER_DATA_READ else b""
    return header + command.to_bytes(2, "big") + parameter


def encode_node_request() -> bytes:
    """`FINS`, length 12, command 0, error code 0, client node 0: please lend one."""
    return MAGIC + (12).to_bytes(4, "big") + bytes(12)


def encode_frame(command: bytes) -> bytes:
    """A FINS command in its FINS/TCP frame."""
    length = (8 + len(command)).to_bytes(4, "big")
    return MAGIC + length + FRAME_SEND.to_bytes(4, "big") + bytes(4) + command


def datagram_length(datagram: bytes) -> int | None:
    """One datagram is one reply; an empty one is none."""
    return len(datagram) or None


def reply_length(buffer: bytes) -> int | None:
    """Length of the FINS/TCP frame. Raises BadReply on other bytes and on impossible lengths."""
    if not MAGIC.startswith(buffer[:4]):
        raise BadReply(f"expected a FINS/TCP frame, got {buffer[:8].hex()}")
    if len(buffer) < 8:
        return None
    length = int.from_bytes(buffer[4:8], "big")
    if not 8 <= length <= MAX_REPLY - 8:
        raise BadReply(f"a FINS/TCP frame cannot have length {length}")
    return 8 + length if len(buffer) >= 8 + length else None


def decode_nodes(reply: bytes) -> Nodes:
    """
    `FINS length(4) 00000001 error(4) client node(4) server node(4)`.

    Raises BadReply, also when the device refuses (error 20: all connections are in use).
    """
    command, body = _tcp_body(reply)
    if command != NODE_ADDRESS_REPLY or len(body) < 8:
        raise BadReply(f"expected node addresses, got {reply[:24].hex()}")
    client, server = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:8], "big")
    if not (1 <= client <= 254 and 1 <= server <= 254):
        raise BadReply(f"nodes {client} and {server} are no node addresses")
    return Nodes(client=client, server=server)


def decode_frame(reply: bytes) -> bytes:
    """The FINS response in a FINS/TCP frame. Raises BadReply."""
    command, body = _tcp_body(reply)
    if command != FRAME_SEND:
        raise BadReply(f"expected a FINS frame, got FINS/TCP command {command:08x}")
    return body


def _tcp_body(reply: bytes) -> tuple[int, bytes]:
    if len(reply) < TCP_HEADER or reply[:4] != MAGIC:
        raise BadReply(f"expected a FINS/TCP frame, got {reply[:16].hex()}")
    if error := int.from_bytes(reply[12:16], "big"):
        raise BadReply(f"the device answers with FINS/TCP error {error:#x}")
    return int.from_bytes(reply[8:12], "big"), reply[TCP_HEADER:]


def decode_answer(reply: bytes, *, command: int) -> Answer:
    """
    Header, command code, end code, data.

    Raises BadReply on what is no response (bit 6 of the ICF), or one to another request.
    """
    if len(reply) < BODY:
        raise BadReply(f"{len(reply)} bytes are too short for a FINS response")
    if reply[0] & 0xC0 != 0xC0 or reply[1] or reply[9] != SERVICE_ID:
        raise BadReply(f"no FINS response to our request: {reply[:BODY].hex()}")
    if int.from_bytes(reply[HEADER : HEADER + 2], "big") != command:
        raise BadReply(f"a FINS response to another command: {reply[:BODY].hex()}")
    end_code = int.from_bytes(reply[HEADER + 2 : BODY], "big") & ~ERROR_FLAGS
    return Answer(node=reply[7], end_code=end_code, data=reply[BODY:])


def decode_controller_data(data: bytes) -> ControllerData:
    """
    `model(20) version(10) internal version(10) …`; each text ends at NUL or is filled by spaces.

    Memory sizes and units behind them are not read. Raises BadReply below 40 bytes.
    """
    if len(data) < 40:
        raise BadReply(f"controller data of {len(data)} bytes is too short")
    return ControllerData(
        model=_text(data[:20]), version=_text(data[20:30]), internal_version=_text(data[30:40])
    )


def decode_controller_status(data: bytes) -> ControllerStatus:
    """`status(1) mode(1) fatal errors(2) non-fatal errors(2) …`. Raises BadReply below 6 bytes."""
    if len(data) < 6:
        raise BadReply(f"a controller status of {len(data)} bytes is too short")
    return ControllerStatus(
        status=data[0], mode=data[1], fatal_errors=int.from_bytes(data[2:4], "big")
    )


def _text(value: bytes) -> str | None:
    text = value.split(b"\0", 1)[0].decode("latin-1")
    return "".join(c for c in text if c.isprintable()).strip() or None


def identify(answer: Answer, *, client: int | None = None) -> tuple[Fact, ...]:
    """`client` is the node that a connection lent us; None: asked by datagram."""
    details = [("node", str(answer.node))]
    if client is not None:
        details.append(("client node", str(client)))
    if answer.end_code:
        details.append(("end code", f"{answer.end_code:04X}"))
        return (ServiceAccess(protocol="fins", details=tuple(details)),)
    data = decode_controller_data(answer.data)
    if data.internal_version:
        details.append(("internal version", data.internal_version))
    access = ServiceAccess(
        protocol="fins",
        answers_without_login=True,
        encrypted=False,
        details=tuple(details),
    )
    if data.model is None:
        return (access,)
    said = DeviceIdentity(model=data.model, firmware=data.version)
    # FINS is Omron's own, and its CPU units alone carry out this command.
    looked_up = DeviceIdentity(vendor="Omron", device_class="plc", basis="table")
    return (access, said, looked_up)


def state(answer: Answer) -> tuple[Fact, ...]:
    """What Controller Status Read told; nothing where it was refused."""
    if answer.end_code:
        return ()
    told = decode_controller_status(answer.data)
    mode, status = MODES.get(told.mode), STATUSES.get(told.status)
    # A controller in MONITOR or RUN mode whose program stands still has stopped.
    runs = status == "run" or (status == "stop" and mode == "program")
    access = ServiceAccess(
        protocol="fins",
        answers_without_login=True,
        encrypted=False,
        details=(
            ("status", status or f"{told.status:02X}"),
            ("mode", mode or f"{told.mode:02X}"),
            ("fatal error data", f"{told.fatal_errors:04X}"),
        ),
    )
    return (access, ControllerState(operating_state=mode if runs else status))


async def run(session: Session) -> tuple[Fact, ...]:
    """One datagram, one reply. Raises Withheld, WireError."""
    return identify(await _by_datagram(session, CONTROLLER_DATA_READ, _LABEL_DATA))


async def run_tcp(session: Session) -> tuple[Fact, ...]:
    """Node addresses, then the same question, on one connection. Raises Withheld, WireError."""
    nodes, answer = await _by_connection(session, CONTROLLER_DATA_READ, _LABEL_DATA)
    return identify(answer, client=nodes.client)


async def run_read(session: Session) -> tuple[Fact, ...]:
    """One datagram, one reply. Raises Withheld, WireError."""
    return state(await _by_datagram(session, CONTROLLER_STATUS_READ, _LABEL_STATUS))


async def run_read_tcp(session: Session) -> tuple[Fact, ...]:
    """Node addresses, then the same question, on one connection. Raises Withheld, WireError."""
    _, answer = await _by_connection(session, CONTROLLER_STATUS_READ, _LABEL_STATUS)
    return state(answer)


async def _by_datagram(session: Session, command: int, label: str) -> Answer:
    reply = await session.exchange(encode_command(command), datagram_length, label=label)
    return decode_answer(reply, command=command)


async def _by_connection(session: Session, command: int, label: str) -> tuple[Nodes, Answer]:
    reply = await session.exchange(
        encode_node_request(), reply_length, label=_LABEL_NODES, max_reply=MAX_REPLY
    )
    nodes = decode_nodes(reply)
    asked = encode_command(command, client=nodes.client, server=nodes.server)
    reply = await session.exchange(
        encode_frame(asked), reply_length, label=label, max_reply=MAX_REPLY
    )
    return nodes, decode_answer(decode_frame(reply), command=command)


_LABEL_NODES: Final = "node address data send"
_LABEL_DATA: Final = "controller data read"
_LABEL_STATUS: Final = "controller status read"
_TRACE: Final = (
    "a unit that generates addresses dynamically notes our address for node 126 until that node "
    "speaks; no error log entry"
)
_TRACE_TCP: Final = "one FINS/TCP connection and one client node while it lasts; no error log entry"


def _over_tcp(command: int, label: str) -> tuple[Question, ...]:
    sample = encode_frame(encode_command(command, client=251, server=200))
    return (
        Question(label=_LABEL_NODES, sample=encode_node_request(), trace=_TRACE_TCP),
        Question(label=label, sample=sample),
    )


PROBE = Probe(
    name="fins",
    protocol="fins",
    transport=Transport.UDP,
    ports=(9600,),
    tier=Tier.IDENTIFY,
    run=run,
    questions=(
        Question(label=_LABEL_DATA, sample=encode_command(CONTROLLER_DATA_READ), trace=_TRACE),
    ),
    for_controllers=True,
    spoken_by="omron",
)

TCP_PROBE = Probe(
    name="fins",
    protocol="fins",
    transport=Transport.TCP,
    ports=(9600,),
    tier=Tier.IDENTIFY,
    run=run_tcp,
    questions=_over_tcp(CONTROLLER_DATA_READ, _LABEL_DATA),
    needs=frozenset({"udp_silent"}),
    for_controllers=True,
    spoken_by="omron",
)

READ_PROBE = Probe(
    name="fins",
    protocol="fins",
    transport=Transport.UDP,
    ports=(9600,),
    tier=Tier.READ,
    run=run_read,
    questions=(
        Question(label=_LABEL_STATUS, sample=encode_command(CONTROLLER_STATUS_READ), trace=_TRACE),
    ),
    needs=frozenset({"answered_here"}),
    for_controllers=True,
    spoken_by="omron",
)

TCP_READ_PROBE = Probe(
    name="fins",
    protocol="fins",
    transport=Transport.TCP,
    ports=(9600,),
    tier=Tier.READ,
    run=run_read_tcp,
    questions=_over_tcp(CONTROLLER_STATUS_READ, _LABEL_STATUS),
    needs=frozenset({"answered_here"}),
    for_controllers=True,
    spoken_by="omron",
)
