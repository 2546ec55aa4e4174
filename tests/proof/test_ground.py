"""The proving ground itself: what is captured, what a dead device says, what is left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.proof.ground import Ground, ground, run, sweep

pytestmark = [pytest.mark.integration, pytest.mark.root]

ROOT = Path(__file__).resolve().parents[2]
SERVER = """
import selectors, socket, sys
chosen = selectors.DefaultSelector()
for address in sys.argv[1:]:
    one = socket.create_server((address, 502))
    chosen.register(one, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in chosen.select():
        talk = key.fileobj.accept()[0]
        talk.sendall(talk.recv(100))
        talk.close()
"""
ASK = """
import socket, sys
for address in sys.argv[1:]:
    try:
        with socket.create_connection((address, 502), timeout=0.4) as talk:
            talk.sendall(b"hello")
            print(address, talk.recv(100).decode())
    except OSError as error:
        print(address, type(error).__name__)
"""


def ask(place: Ground, *addresses: str) -> list[str]:
    return place.run("scanner", sys.executable, "-c", ASK, *addresses).splitlines()


def test_devices_answer_on_both_networks_and_fall_silent_when_dead(tmp_path: Path) -> None:
    with ground() as place:
        words = [sys.executable, "-c", SERVER, "10.77.3.4", "10.78.0.7"]
        server = place.start("device", *words, stdout=subprocess.PIPE)
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        with place.captured(tmp_path, leaving=True) as capture:
            both = ask(place, "10.77.3.4", "10.78.0.7", "10.77.3.5")
            place.drop("10.77.3.4", "10.78.0.7")
            dead = ask(place, "10.77.3.4", "10.78.0.7")
            place.heal("10.77.3.4", "10.78.0.7")
            place.nobody_but(["10.77.3.4"])
            alone = ask(place, "10.77.3.4", "10.78.0.7", "10.77.3.5", "8.8.8.8")
        server.stdout.close()
    server.wait(5)

    assert both == ["10.77.3.4 hello", "10.78.0.7 hello", "10.77.3.5 ConnectionRefusedError"]
    assert dead == ["10.77.3.4 TimeoutError", "10.78.0.7 TimeoutError"]
    assert alone == ["10.77.3.4 hello"] + [
        f"{address} TimeoutError" for address in ("10.78.0.7", "10.77.3.5", "8.8.8.8")
    ]
    assert all(path.stat().st_size > 500 for path in capture.at_devices)
    assert capture.leaving is not None
    assert bytes([8, 8, 8, 8]) in capture.leaving.read_bytes()
    assert bytes([8, 8, 8, 8]) not in capture.device.read_bytes()


def test_the_ground_of_a_killed_proof_is_removed_by_the_next() -> None:
    killed = """
        import subprocess, sys, time
        from tests.proof.ground import ground
        with ground() as place:
            inside = place.start(
                "device", "sh", "-c", "echo in; exec sleep 1000", stdout=subprocess.PIPE
            )
            inside.stdout.readline()
            print(*place.names.values(), flush=True)
            time.sleep(1000)
    """
    words = [sys.executable, "-c", textwrap.dedent(killed)]
    proof = subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT)
    assert proof.stdout is not None
    names = set(proof.stdout.readline().decode().split())
    assert len(names) == 3
    proof.send_signal(signal.SIGKILL)
    proof.communicate()

    assert names <= set(run("ip", "netns", "list").split())
    assert names <= set(sweep())
    assert not names & set(run("ip", "netns", "list").split())


def test_a_proof_that_is_told_to_end_takes_its_ground_down() -> None:
    told = """
        import signal
        from tests.proof.__main__ import end_in_order
        from tests.proof.ground import ground
        signal.signal(signal.SIGTERM, end_in_order)
        with ground() as place:
            print(*place.names.values(), flush=True)
            signal.pause()
    """
    words = [sys.executable, "-c", textwrap.dedent(told)]
    proof = subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT)
    assert proof.stdout is not None
    names = set(proof.stdout.readline().decode().split())
    assert names <= set(run("ip", "netns", "list").split())
    proof.terminate()
    proof.communicate()

    assert proof.returncode == 128 + signal.SIGTERM
    assert not names & set(run("ip", "netns", "list").split())
