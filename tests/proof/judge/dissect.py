"""
What tshark says was sent: per frame, the services that its dissectors found and its complaints.

The fields are those of the safety contract, section 2.3, with a few more of the same dissectors;
their names and values were checked with tshark 4.0. Where a TLS key log is given, what is inside
TLS is dissected as well.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tests.proof.judge.grammar import BY_NAME, codes_of, grammars
from tests.proof.judge.packets import shortened
from tests.proof.promise import Unable

ERROR: Final = 0x800000
"""PI_ERROR of Wireshark's expert information."""

ANSWER_KEPT: Final = 32 * 1024
"""Of each answer so much is dissected: a TLS handshake, and the head of whatever else came."""

_CODES: Final[Mapping[str, str]] = codes_of(grammars())
_OTHERS: Final = (
    "frame.number", "tcp.stream", "http.request.method", "http.request.uri",
    "http.content_type", "http.request.line", "tls.record.content_type", "tls.record.opaque_type",
    "tls.app_data_proto", "_ws.malformed", "_ws.expert.severity", "_ws.expert.message",
    "frame.protocols",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """
    One frame from the scanner. `stream` None: not TCP. `opened` counts its TLS records of outer
    type application data that the key log opened, `data_opened` those of them that are data.
    `headers` are the names, in small, of all its HTTP requests; "" where they could not be told.
    """

    number: int
    stream: int | None
    codes: tuple[str, ...]
    methods: tuple[str, ...]
    targets: tuple[str, ...]
    forms: int
    headers: frozenset[str]
    opened: int
    data_opened: int
    complaints: tuple[str, ...]

    @property
    def announces_body(self) -> bool:
        return "content-length" in self.headers


def dissect(
    capture: Path,
    scanner: frozenset[str],
    ports: Mapping[tuple[str, int], str],
    keylog: Path | None = None,
) -> list[Frame]:
    """
    Frames of the scanner, and PROFINET's of anybody. `ports` name the protocol of every (transport,
    port). Raises Unable.
    """
    tshark = shutil.which("tshark")
    if tshark is None:
        raise Unable("not installed: tshark (Debian package tshark)")
    words = [tshark, "-n", "-r", "-", "-T", "fields", "-E", "separator=/t"]
    words += ["-E", "occurrence=a", "-E", "aggregator=/s"]
    for (transport, port), protocol in sorted(ports.items()):
        words += decoded_as(transport, port, protocol)
    if keylog is not None and keylog.exists():
        words += ["-o", f"tls.keylog_file:{keylog}"]
    ours = ", ".join(sorted(scanner))
    # ICMP quotes what it answers, which would be read as requests of ours; verdict judges its type
    # Of PROFINET's frames the sender is a MAC address: whose it is says the reader of packets.
    words += ["-Y", f"(ip.src in {{{ours}}} and (tcp or udp) and not icmp) or eth.type == 0x8892"]
    names = [*_CODES, *_OTHERS]
    for name in names:
        words += ["-e", name]
    content, numbers = shortened(capture.read_bytes(), scanner, ANSWER_KEPT)
    done = subprocess.run(words, input=content, capture_output=True, check=False)
    if done.returncode != 0:
        complaint = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise Unable(f"tshark could not read {capture.name}: {complaint}")
    lines = done.stdout.decode("utf-8", "replace").split("\n")
    frames = [_frame(dict(zip(names, line.split("\t"), strict=False))) for line in lines if line]
    frames = without_sealed(frames)
    return [replace(frame, number=numbers[frame.number - 1]) for frame in frames]


def decoded_as(transport: str, port: int, protocol: str) -> list[str]:
    """tshark's options that say what a port carries."""
    grammar = BY_NAME.get(protocol)
    words = []
    if grammar is not None and grammar.dissector:
        table = "ethertype" if transport == "link" else f"{transport}.port"
        words += ["-d", f"{table}=={port},{grammar.dissector}"]
    if grammar is not None and grammar.inside_tls and transport == "tcp":
        words += ["-d", f"tls.port=={port},{grammar.inside_tls}"]
    return words


def code(form: str, value: str) -> str:
    """What a `Pdu` says for a value that tshark prints: most are numbers, some are words."""
    try:
        number = int(value, 0)
    except ValueError:
        return form.format(value)
    return form.format(number)


def without_sealed(frames: Iterable[Frame]) -> list[Frame]:
    """
    From our NEWKEYS on an SSH connection is cipher text, of which tshark reads the first bytes as a
    length: once in thousands of packets it stumbles over that. What was said before is judged, and
    how much cipher text there is (grammar).
    """
    sealed: set[int] = set()
    judged = []
    for frame in frames:
        if frame.stream is not None and "ssh 21" in frame.codes:
            sealed.add(frame.stream)
        judged.append(replace(frame, complaints=()) if frame.stream in sealed else frame)
    return judged


_NAME: Final = re.compile(r"(?:^|\\r\\n )([^:\\]*)")
"""tshark writes each header line with its end in words, and parts them by a space."""


def _names(lines: str) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in _NAME.findall(lines))


def _frame(told: Mapping[str, str]) -> Frame:
    codes: list[str] = []
    for name, form in _CODES.items():
        codes += [code(form, value) for value in told[name].split()]
    methods = tuple(told["http.request.method"].split())
    inner = told["tls.record.content_type"].split()
    opaque = told["tls.record.opaque_type"].split()
    opened_data = [p for p in told["tls.app_data_proto"].split(" ") if p]
    # TLS 1.3: every encrypted record looks like application data outside ("opaque"), and has
    # its own type inside, which tshark tells only of records that it has opened.
    data = inner.count("23") if opened_data else 0
    # A change of cipher spec passes in clear among them.
    told_inside = sum(kind != "20" for kind in inner)
    opened = min(opaque.count("23"), told_inside) if opaque else data
    complaints = []
    if told["_ws.malformed"]:
        complaints.append(f"malformed ({told['frame.protocols']})")
    if any(int(value) >= ERROR for value in told["_ws.expert.severity"].split()):
        complaints.append(f"expert error: {told['_ws.expert.message']}")
    return Frame(
        number=int(told["frame.number"]),
        stream=int(told["tcp.stream"]) if told["tcp.stream"] else None,
        codes=tuple(codes),
        methods=methods,
        targets=tuple(told["http.request.uri"].split(" ")) if methods else (),
        forms=told["http.content_type"].count("application/x-www-form-urlencoded"),
        headers=_names(told["http.request.line"]) if methods else frozenset(),
        opened=opened,
        data_opened=data,
        complaints=tuple(complaints),
    )
