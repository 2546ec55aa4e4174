"""
What a scanning process may still do after it gave up its rights, and what its helper may.

Each case is a process of its own, because what was given up does not come back.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.root, pytest.mark.timeout(60)]

NOBODY = 65534


@pytest.fixture(scope="module", autouse=True)
def _able() -> None:
    if sys.platform == "linux" and os.geteuid() == 0:
        return
    why = "rights cannot be given up by who has none: run this as root on Linux"
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def told(program: str, *arguments: object, before: Sequence[str] = ()) -> Any:
    """What a program of ours prints as JSON."""
    done = subprocess.run(
        [*before, sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True, text=True, timeout=40, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def status(pid: int | str) -> dict[str, str]:
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return {k: v.strip() for k, _, v in (line.partition(":") for line in text.splitlines())}


# --- the scanning process -----------------------------------------------------------------------

DROPPED = """
import json, os, socket, subprocess, sys, threading
from pathlib import Path
from scanner import privileges
before = privileges.standing().words
after = privileges.drop()
statuses = []
def look():
    for task in Path("/proc/self/task").iterdir():
        statuses.append((task / "status").read_text())
thread = threading.Thread(target=look); thread.start(); thread.join()
statuses.append(subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True).stdout)
statuses.append(subprocess.run(
    [sys.executable, "-c", "print(open('/proc/self/status').read())"],
    capture_output=True, text=True).stdout)
def refused(call):
    try:
        call()
    except PermissionError as error:
        return True
    return False
def port_80():
    with socket.socket() as one: one.bind(("127.44.0.1", 80))
def raw():
    socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0).close()
wanted = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Uid")
print(json.dumps({
    "before": before, "after": after.words,
    "threads": [{k: v.split()[0] for k, v in (l.split(":", 1) for l in s.splitlines() if ":" in l)
                if k in wanted} for s in statuses],
    "port 80": refused(port_80), "raw": refused(raw),
    "other's file": refused(lambda: Path(sys.argv[1]).read_bytes()),
    "owner": refused(lambda: os.chown(sys.argv[2], 1, 1)),
}))
"""


def test_everything_is_given_up_in_every_thread_and_for_every_child(tmp_path: Path) -> None:
    foreign, own = tmp_path / "foreign", tmp_path / "own"
    foreign.write_text("theirs")
    foreign.chmod(0o600)
    os.chown(foreign, NOBODY, NOBODY)
    own.write_text("ours")

    found = told(DROPPED, foreign, own)

    assert len(found["threads"]) == 4
    for one in found["threads"]:
        sets = {one[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
        assert sets == {"0" * 16}, one
        assert one["NoNewPrivs"] == "1"
        assert one["Uid"] == "0", "the user is kept"
    assert found["after"] == "root, capabilities 0x0, no_new_privs set"
    for forbidden in ("port 80", "raw", "other's file", "owner"):
        assert found[forbidden], forbidden


LATE = """
import json, threading
from scanner import privileges
from scanner.errors import ToolBug
end = threading.Event()
threading.Thread(target=end.wait).start()
try:
    privileges.drop()
    said = "nothing"
except ToolBug as bug:
    said = str(bug)
end.set()
print(json.dumps(said))
"""


def test_a_thread_that_kept_its_rights_is_noticed() -> None:
    assert "a thread was started before privileges were given up" in told(LATE)


NOT_ROOT = """
import json, os
from scanner import capture, privileges
privileges.standing()  # Python's own files may be closed to others
os.setgid(65534); os.setuid(65534)
print(json.dumps([capture.launch() is None, privileges.drop().words]))
"""


def test_whoever_has_nothing_gives_up_nothing_and_captures_nothing() -> None:
    assert told(NOT_ROOT) == [True, "user 65534, capabilities 0x0, no_new_privs set"]


CHECK = """
import json, sys
from pathlib import Path
from scanner import privileges
from scanner.cli import rights
from scanner.errors import UsageError
try:
    rights.check_files(read=[Path(sys.argv[1])], write=[Path(sys.argv[2])])
    said = ""
except UsageError as error:
    said = str(error)
print(json.dumps([said, privileges.standing().capabilities != 0]))
"""


def test_files_that_only_root_s_power_opens_are_told_before_it_is_given_up(tmp_path: Path) -> None:
    site, folder = tmp_path / "site.yaml", tmp_path / "runs"
    site.write_text("site: x")

    assert told(CHECK, site, folder / "run1") == ["", True]

    site.chmod(0o600)
    os.chown(site, NOBODY, NOBODY)
    said, kept = told(CHECK, site, folder / "run1")
    assert said.startswith(f"{site}: only with root's power over other people's files")
    assert kept, "asking gave something up"

    os.chown(site, 0, 0)
    folder.mkdir(mode=0o700)
    os.chown(folder, NOBODY, NOBODY)
    said, _ = told(CHECK, site, folder / "run1")
    assert said.startswith(f"{folder}: only with root's power")


# --- the helper ---------------------------------------------------------------------------------

SCANNING = """
import json, os, socket, sys, time
from pathlib import Path
from scanner import capture, privileges
helper = capture.launch()
privileges.drop()
begun = helper.begin(["127.44.0.0/24"], ["127.0.0.1"], Path(sys.argv[1]))
print(json.dumps([os.getpid(), helper.pid, begun]), flush=True)
listener = socket.create_server(("127.44.0.1", 5020))
socket.create_server(("127.44.1.1", 5020))
ours = socket.create_connection(("127.44.0.1", 5020))
theirs, _ = listener.accept()
ours.sendall(b"secret request")
theirs.recv(100)
if sys.argv[2] == "wait":
    print("said", flush=True)
    time.sleep(60)
for one in (ours, theirs):
    one.close()
captured = helper.end()
print(json.dumps([captured.packets, captured.whole]), flush=True)
again = helper.begin(["127.44.0.0/24"], ["127.0.0.1"], Path(sys.argv[1] + ".2"))
print(json.dumps([again, helper.end().packets]), flush=True)
helper.close()
"""


def started(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCANNING, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


def line(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    text = process.stdout.readline()
    return json.loads(text) if text.startswith("[") else text.strip()


def packets(path: Path) -> list[tuple[int, int]]:
    """(flags, length of payload) of the TCP packets in a capture of raw IPv4."""
    data, place, found = path.read_bytes(), 24, []
    while place < len(data):
        _, _, kept, length = struct.unpack_from("<IIII", data, place)
        packet = data[place + 16 : place + 16 + kept]
        assert kept == 20 + (packet[32] >> 4) * 4, "more than headers"
        found.append((packet[33], length - kept))
        place += 16 + kept
    return found


def test_the_helper_has_one_capability_and_serves_several_scans(tmp_path: Path) -> None:
    with started(tmp_path / "capture.pcap", "go") as process:
        ours, helper, begun = line(process)
        of_helper, of_us = status(helper), status(ours)
        assert begun
        count, whole = line(process)
        assert line(process) == [True, 0]
        assert process.wait(20) == 0

    for name in ("CapPrm", "CapEff", "CapBnd"):
        assert int(of_helper[name], 16) == 1 << 13, name
    assert of_helper["NoNewPrivs"] == "1"
    assert int(of_us["CapEff"], 16) == 0
    assert whole
    found = packets(tmp_path / "capture.pcap")
    assert len(found) == count
    assert sum(length for _, length in found) == len(b"secret request")
    assert b"secret" not in (tmp_path / "capture.pcap").read_bytes()
    assert not Path(f"/proc/{helper}").exists(), "the helper outlived its work"


def test_the_helper_sees_the_last_packets_of_a_killed_scan_and_ends(tmp_path: Path) -> None:
    with started(tmp_path / "capture.pcap", "wait") as process:
        _, helper, _ = line(process)
        assert line(process) == "said"
        process.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        while Path(f"/proc/{helper}").exists() and status(helper)["State"][0] != "Z":
            assert time.monotonic() - killed < 5, "the helper outlived its parent"
            time.sleep(0.02)

    flags = [flag for flag, _ in packets(tmp_path / "capture.pcap")]
    assert any(flag & 5 for flag in flags), "the kernel's own FIN or RST is not there"


def test_a_helper_that_died_is_told_and_disturbs_nothing(tmp_path: Path) -> None:
    said = told(
        """
import json, os, signal, sys
from pathlib import Path
from scanner import capture
helper = capture.launch()
helper.begin(["127.44.0.0/24"], ["127.0.0.1"], Path(sys.argv[1]))
os.kill(helper.pid, signal.SIGKILL)
print(json.dumps([helper.end() is None, helper.problem, helper.begin([], [], Path("x"))]))
""",
        tmp_path / "capture.pcap",
    )

    assert said[0]
    assert "helper" in said[1]
    assert said[2] is False


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    said = told(
        """
import json, sys
from pathlib import Path
from scanner import capture
helper = capture.launch()
begun = helper.begin(["127.44.0.0/24"], ["127.0.0.1"], Path(sys.argv[1]))
print(json.dumps([begun, helper.problem]))
""",
        tmp_path / "missing" / "capture.pcap",
    )

    assert said[0] is False
    assert "No such file" in said[1]


def test_the_right_to_watch_packets_is_all_that_is_needed(tmp_path: Path) -> None:
    only = "-all,+net_raw"
    before = ["setpriv", f"--bounding-set={only}", f"--inh-caps={only}", f"--ambient-caps={only}"]

    said = told(
        """
import json, sys
from pathlib import Path
from scanner import capture, privileges
first = privileges.standing().capabilities
helper = capture.launch()
privileges.drop()
begun = helper.begin(["127.44.0.0/24"], ["127.0.0.1"], Path(sys.argv[1]))
of_helper = privileges.of_thread(str(helper.pid)).capabilities
print(json.dumps([first, begun, privileges.standing().capabilities, of_helper]))
""",
        tmp_path / "capture.pcap",
        before=before,
    )

    assert said == [1 << 13, True, 0, 1 << 13]


# --- the commands -------------------------------------------------------------------------------


def test_a_scan_says_why_it_has_no_capture(walkdown: Callable[..., Any], tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    zone = {"id": "z", "networks": ["127.44.7.7/32"], "sl_t": 1, "probes": ["modbus"]}
    site.write_text(json.dumps({"site": "Nobody", "zones": [zone]}), encoding="utf-8")

    with_it = walkdown("scan", site, "--out", tmp_path / "one")
    without = walkdown("scan", site, "--out", tmp_path / "two", "--no-capture")

    assert (with_it.code, without.code) == (0, 0), with_it.err + without.err
    one = json.loads((tmp_path / "one" / "certificate.json").read_bytes())
    two = json.loads((tmp_path / "two" / "certificate.json").read_bytes())
    assert (tmp_path / "one" / "capture.pcap").exists()
    assert one["capture_sha256"]
    assert not (tmp_path / "two" / "capture.pcap").exists()
    assert two["capture"] == "no capture: turned off"
    assert "capabilities 0x0, no_new_privs set" in one["privileges"]


class _Mute(threading.Thread):
    """Takes connections, says nothing, and counts them."""

    def __init__(self, address: str, port: int) -> None:
        super().__init__(daemon=True)
        self.taken: list[socket.socket] = []
        self.listener = socket.create_server((address, port))

    def run(self) -> None:
        while True:
            try:
                self.taken.append(self.listener.accept()[0])
            except OSError:
                return

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for one in self.taken:
            one.close()


def test_a_killed_scan_that_goes_on_has_one_capture_with_each_packet_once(
    walkdown: Callable[..., Any], tmp_path: Path
) -> None:
    site = tmp_path / "site.yaml"
    zone = {"id": "z", "networks": ["127.44.8.8/32"], "sl_t": 1, "probes": ["modbus"]}
    site.write_text(json.dumps({"site": "Mute", "zones": [zone]}), encoding="utf-8")
    mute = _Mute("127.44.8.8", 502)
    mute.start()
    try:
        start = "from scanner.cli import main; main()"
        words = [sys.executable, "-c", start, "scan", str(site), "--out", str(tmp_path / "run")]
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as scan:
            deadline = time.monotonic() + 20
            while not mute.taken:
                assert time.monotonic() < deadline, "the scan never connected"
                time.sleep(0.01)
            # Killed before its question, a connection is one without a request: promise 8 says so.
            mute.taken[0].settimeout(20)
            assert mute.taken[0].recv(1, socket.MSG_PEEK), "the scan never asked"
            scan.kill()
        again = walkdown(
            "scan", site, "--out", tmp_path / "run", "--resume", "--repeat-interrupted"
        )
    finally:
        mute.close()

    assert again.code == 0, again.err
    flags = [flag for flag, _ in packets(tmp_path / "run" / "capture.pcap")]
    assert len(mute.taken) >= 2
    assert flags.count(0x02) == len(mute.taken), "each SYN once, of both sittings"
    assert flags.count(0x12) == len(mute.taken)
    made = json.loads((tmp_path / "run" / "certificate.json").read_bytes())
    assert "a sitting was killed" in made["capture"]


def test_a_file_that_is_refused_later_is_explained(
    walkdown: Callable[..., Any], tmp_path: Path
) -> None:
    site, papers = tmp_path / "site.yaml", tmp_path / "attestations.yaml"
    zone = {"id": "z", "networks": ["127.44.7.7/32"], "sl_t": 1, "probes": ["modbus"]}
    content = {"site": "Papers", "attestations": papers.name, "zones": [zone]}
    site.write_text(json.dumps(content), encoding="utf-8")
    papers.write_text("[]", encoding="utf-8")
    papers.chmod(0o600)
    os.chown(papers, NOBODY, NOBODY)

    said = walkdown("scan", site, "--out", tmp_path / "run")

    assert said.code == 1, said.err
    assert "Permission denied" in said.err
    assert "gives up root's power over other people's files" in said.err
