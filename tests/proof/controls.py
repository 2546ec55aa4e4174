"""
Negative controls on the wire: every injected write and foreign byte, sent with plain sockets from
the scanner's namespace to a listener that answers, has to be flagged by the judge. Frames of layer
2 go to the MAC address that ARP has just told, and nobody answers them.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.proof.ground import OWN, SCANNER_ON_LINK, ground
from tests.proof.judge.injected import FOREIGN, HARMLESS, WRITES
from tests.proof.judge.services import sent
from tests.proof.judge.verdict import PORTS
from tests.proof.promise import Unable

_LISTENER: Final = """
import selectors, socket, sys
chosen = selectors.DefaultSelector()
for place in sys.argv[1:]:
    transport, address, port = place.split("/")
    kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
    one = socket.socket(socket.AF_INET, kind)
    one.bind((address, int(port)))
    if transport == "tcp":
        one.listen()
    chosen.register(one, selectors.EVENT_READ, transport)
print("ready", flush=True)
while True:
    for key, _ in chosen.select():
        if key.data == "udp":
            key.fileobj.sendto(b"?", key.fileobj.recvfrom(2000)[1])
            continue
        talk = key.fileobj.accept()[0]
        while data := talk.recv(2000):
            talk.sendall(b"?")
        talk.close()
"""
_SENDER: Final = """
import socket, sys

def send_frames(address, kind, requests):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806)) as link:
        link.bind(("s1", 0x0806))
        link.settimeout(5)
        ours, theirs = link.getsockname()[4], socket.inet_aton(address)
        head = b"\\xff" * 6 + ours + bytes.fromhex("08060001080006040001")
        own = socket.inet_aton(sys.argv[1])
        link.send((head + ours + own + bytes(6) + theirs).ljust(60, b"\\0"))
        while (told := link.recv(2000))[20:22] != b"\\0\\2" or told[28:32] != theirs:
            pass
        for request in requests:
            head = told[22:28] + ours + kind.to_bytes(2, "big")
            link.send((head + bytes.fromhex(request)).ljust(60, b"\\0"))

for line in sys.stdin:
    transport, address, port, *requests = line.split()
    if transport == "link":
        send_frames(address, int(port), requests)
        continue
    kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as talk:
        talk.settimeout(5)
        talk.connect((address, int(port)))
        for request in requests:
            talk.sendall(bytes.fromhex(request))
            talk.recv(100)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """`missed` are those that the judge did not flag, `wrongly` what it flagged without cause."""

    writes: int
    foreign: int
    missed: tuple[str, ...]
    wrongly: tuple[str, ...]


def controls(folder: Path) -> Controls:
    """Raises Unable."""
    everything = {
        **WRITES,
        **{name: (transport, port, (data,)) for name, (transport, port, data) in FOREIGN.items()},
        **HARMLESS,
    }
    places = {
        name: f"10.78.0.{1 + number}"
        for number, name in enumerate(n for n, (kind, *_) in everything.items() if kind == "link")
    }
    listening = []
    for number, (name, (kind, port, _)) in enumerate(everything.items()):
        if kind != "link":
            places[name] = f"10.77.{1 + number // 200}.{1 + number % 200}"
            listening.append(f"{kind}/{places[name]}/{port}")
    orders = "".join(
        f"{kind} {places[n]} {port} {' '.join(data.hex() for data in requests)}\n"
        for n, (kind, port, requests) in everything.items()
    )
    with ground() as place:
        listener = place.start(
            "device", sys.executable, "-c", _LISTENER, *listening, stdout=subprocess.PIPE
        )
        assert listener.stdout is not None
        try:
            if listener.stdout.readline() != b"ready\n":
                raise Unable("the listener for the negative controls did not start")
            with place.captured(folder) as capture:
                place.run("scanner", sys.executable, "-c", _SENDER, SCANNER_ON_LINK, given=orders)
        finally:
            listener.kill()
            listener.wait()
            listener.stdout.close()
    asked = sent(capture.at_devices, frozenset(OWN), PORTS).asked
    verdicts = {
        name: {one.pdu.verdict for one in asked if one.device == address}
        for name, address in places.items()
    }
    missed = [name for name in WRITES if not verdicts[name] & {"control", "login"}]
    missed += [name for name in FOREIGN if "unknown" not in verdicts[name]]
    wrongly = [name for name in HARMLESS if not verdicts[name] <= {"read", "session"}]
    return Controls(
        writes=len(WRITES), foreign=len(FOREIGN), missed=tuple(missed), wrongly=tuple(wrongly)
    )
