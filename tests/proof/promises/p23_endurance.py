"""
Promise 23: a million requests in compressed time, and what the scanner's process grows by.

Scans of one process after another, as the scheduler's service makes them: the product's engine,
governor, door, run store and vendor clients talk over the loopback of a network namespace of their
own to one process that plays Modbus, S7, EtherNet/IP, SNMP, web, TLS, SSH and Telnet devices, some
of which send garbage, close or reset. Waiting is shortened fiftyfold, pacing is that of profile
`lab`. After each scan memory, descriptors, tasks and threads are counted.

An hour means 41,667 requests here: a million in the 24 hours of the promise. The real 24 hours are
not run by this proof, and its line says how long the run was.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import math
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import linear_regression
from threading import active_count
from typing import Any

from tests.proof.promise import Measured, Promise, Tally, Unable, Work

ROOT = Path(__file__).resolve().parents[3]
PER_HOUR = 1_000_000 / 24
SLOPE_MIB = 1.0
FASTER = 50.0
WARM = 3
"""Scans, or a tenth if that is more, before anything is compared: caches and pools fill."""
NOISE_MIB = 8.0
"""What the allocator's pools may add where less than an hour's worth was run, too short a slope."""
HEALTHY = (
    "tier: read, probes: [modbus, s7, http]", "probes: [modbus]", "probes: [s7]",
    "probes: [http]", "probes: [snmp, ssh, telnet]", "probes: [enip, snmp]",
)  # fmt: skip
"""What is asked in each zone of devices that answer; named, so that no controller ends it."""
ZONES = len(HEALTHY)
HOSTILE = ("garbage", "closing", "resetting")
NETWORK = "127.47"


# --- the devices ---------------------------------------------------------------------------------


def address(zone: int, host: int) -> str:
    return f"{NETWORK}.{zone}.{host}"


def hosts(zone: int) -> range:
    return range(1, 3) if zone == 0 else range(1, 31) if zone < ZONES else range(1, 7)


class Peer:
    """All devices. Answers are worked out once for each question."""

    def __init__(self, captures: Path) -> None:
        from tests.fuzz.seeds import enip, http, modbus, snmp
        from tests.probes import test_s7

        self._test_s7 = test_s7
        self.modbus = next(
            d.answer() for d in modbus.dialogues(captures) if d.name == "three rounds"
        )
        self.enip = next(iter(enip.dialogues(captures))).answer
        agents = [d for d in snmp.dialogues(captures) if d.name.startswith("snmp_")]
        # Not those that speak version 1 alone: each would cost two seconds of silence.
        self.snmp = [d.answer() for i, d in enumerate(agents) if i % 3]
        order = b"\x00\x01" + b"6ES7 315-2EH14-0AB0 " + b"\x00\xc0\x00\x05\x00\x01"
        protection = b"\x00\x04\x00\x01\x00\x01\x00\x02\x00\x03" + bytes(30)
        self.lists = {
            0x11: test_s7.szl_list(0x11, 28, order),
            0x1C: test_s7.szl_list(0x1C, 34, b"\x00\x01Line 1", b"\x00\x07CPU 315-2"),
            0x0232: test_s7.szl_list(0x0232, 40, protection),
            0x0424: test_s7.szl_list(0x0424, 20, b"\x51\x44\xff\x08"),
        }
        self.page = http.served(http.OPEN_PAGE)
        server = captures / "ssh__cisco_ssh_1.25.json"
        exchange = json.loads(server.read_text())["exchanges"][0]
        line, end, packet = bytes.fromhex(exchange["response_hex"]).partition(b"\n")
        self.ssh = (line + end, packet)

    async def tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        here, port = writer.get_extra_info("sockname")[:2]
        zone = int(here.split(".")[2])
        try:
            if zone >= ZONES:
                await self._hostile(HOSTILE[zone - ZONES], port, reader, writer)
            else:
                await self._talk(port, reader, writer)
        except (OSError, EOFError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _hostile(
        self, kind: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if kind == "closing":
            return
        if port not in (22, 23):  # there the server speaks first
            await reader.read(100)
        if kind == "resetting":
            writer.transport.abort()
            return
        writer.write(b"\x00\x01\xff\xff" * 64)
        await asyncio.sleep(0.1)

    async def _talk(
        self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if port == 502:
            while True:
                head = await reader.readexactly(6)
                body = await reader.readexactly(int.from_bytes(head[4:6], "big"))
                writer.write(self._modbus(head + body))
        elif port == 102:
            answer = self._test_s7.cpu(self.lists)
            while True:
                head = await reader.readexactly(4)
                whole = head + await reader.readexactly(int.from_bytes(head[2:4], "big") - 4)
                if whole[5] == 0x80:
                    return
                writer.write(answer(whole))
        elif port in (80, 443):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self.page)
            await reader.read()
        elif port == 22:
            writer.write(self.ssh[0])
            await reader.readline()
            writer.write(self.ssh[1])
            await reader.read()
        else:
            writer.write(b"\xff\xfd\x18\xff\xfb\x01Switch\r\n")
            await reader.read(100)
            writer.write(b"Username: ")
            await reader.read()

    def _modbus(self, request: bytes) -> bytes:
        """Basic objects in three replies; to every other question an exception."""
        from scanner.errors import Silent

        try:
            return self.modbus(request)
        except Silent:
            refusal = bytes((request[7] | 0x80, 2))
            return request[:4] + b"\x00\x03" + request[6:7] + refusal

    def datagram(self, port: int, zone: int, host: int) -> type[asyncio.DatagramProtocol]:
        peer = self

        class Answering(asyncio.DatagramProtocol):
            def connection_made(self, transport: Any) -> None:
                self.transport = transport

            def datagram_received(self, data: bytes, addr: Any) -> None:
                with suppress(Exception):
                    if zone >= ZONES:
                        reply = b"\x00\x01\xff\xff" * 8
                    elif port == 161:
                        reply = peer.snmp[host % len(peer.snmp)](data)
                    else:
                        reply = peer.enip()(data)
                    self.transport.sendto(reply, addr)

        return Answering

    async def serve(self, ready: Callable[[], None], certificate: tuple[Path, Path]) -> None:
        loop = asyncio.get_running_loop()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        for port in (502, 102, 80, 22, 23):
            await asyncio.start_server(self.tcp, "0.0.0.0", port, backlog=1024)
        await asyncio.start_server(self.tcp, "0.0.0.0", 443, ssl=context, backlog=1024)
        for zone in range(ZONES + len(HOSTILE)):
            for host in hosts(zone):
                for port in (161, 44818):
                    await loop.create_datagram_endpoint(
                        self.datagram(port, zone, host), (address(zone, host), port)
                    )
        ready()
        await asyncio.Event().wait()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed one, by openssl."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(key), "-out",
         str(cert), "-days", "30", "-subj", "/CN=panel"),
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


# --- the scans -----------------------------------------------------------------------------------


def site_text(*, tables: bool) -> str:
    """`tables`: SNMP tables are read as well, which costs more than the rest of a scan."""
    zones = []
    for zone, asked in enumerate(HEALTHY):
        if tables and zone == 0:
            asked = asked.replace("http", "http, snmp")
        network = f"{address(zone, 0)}/{30 if zone == 0 else 27}"
        zones.append(f"  - {{id: z{zone}, networks: [{network}], sl_t: 1, {asked}, profile: lab}}")
    for zone in range(ZONES, ZONES + len(HOSTILE)):
        network = f"{address(zone, 0)}/29"
        zones.append(f"  - {{id: z{zone}, networks: [{network}], sl_t: 1, profile: lab}}")
    return "site: Endurance\nzones:\n" + "\n".join(zones) + "\n"


class NoRoom:
    """A ledger of attempts that grants none: there is no login tier here."""

    async def begin(self, service: str, account: str) -> str | None:
        return "ledger"

    async def ended(self, *_: object, **__: object) -> None:
        return None


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208 - the folder's own is left out


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def forget(database: Path) -> None:
    for file in database.parent.glob(f"{database.name}*"):
        file.unlink()


async def scans(
    wanted: int, longest_s: float, folder: Path, say: Callable[[dict[str, Any]], None]
) -> None:
    """
    Scans until `wanted` requests were made, or so many seconds are over; `say` is given one sample
    after each.
    """
    from scanner import discovery, site, tripwire
    from scanner.engine import Engine
    from scanner.governor import Clock, Governor
    from scanner.plan import build
    from scanner.session import Grant
    from scanner.store import RunMeta, RunStore
    from scanner.windows import Permission

    path = folder / "site.yaml"
    path.write_text(site_text(tables=False), encoding="utf-8")
    which = site.load(path)
    path.write_text(site_text(tables=True), encoding="utf-8")
    plans = build(which, discovery.probes()), build(site.load(path), discovery.probes())
    clock = Clock(
        monotonic=time.monotonic,
        wall=lambda: datetime.now(UTC),
        sleep=lambda seconds: asyncio.sleep(seconds / FASTER),
    )
    requests = number = 0
    began = time.monotonic()
    while requests < wanted and time.monotonic() - began < longest_s:
        number += 1
        plan = plans[number % 10 == 1]
        governor = Governor(
            clock,
            lambda zone, now: Permission(allowed=True, until=None, reason=""),
            which.in_scope,
        )
        now = datetime.now(UTC)
        database = folder / f"run{number}.db"
        meta = RunMeta(
            id=f"r{number}", site="Endurance", site_file_text="", plan_digest=plan.digest,
            started_at=now, version="", authorisation="", authorised_by="", tiers=("identify",),
        )  # fmt: skip
        store = RunStore.create(database, run=meta, now=now)
        with ThreadPoolExecutor(16) as executor:
            engine = Engine(
                plan=plan,
                governor=governor,
                journal=store,
                lend=lambda device, question, known: Grant(
                    known=known, attempts=NoRoom(), fingerprint_key=bytes(32)
                ),
                executor=executor,
            )
            with tripwire.armed():
                await engine.run()
        figures = [device.figures for device in governor.devices()]
        requests += sum(figure.exchanges for figure in figures)
        answered = sum(1 for o in store.observations() if o.outcome == "answered")
        bugs = [o.reason for o in store.observations() if o.outcome == "bug"]
        store.close()
        forget(database)
        del governor, store, engine, figures, executor
        gc.collect()
        say(
            {
                "scan": number, "requests": requests, "seconds": time.monotonic() - began,
                "rss": resident_mib(), "descriptors": open_descriptors(),
                "tasks": len(asyncio.all_tasks()), "threads": active_count(),
                "blocks": sys.getallocatedblocks(), "answered": answered, "bugs": bugs[:3],
            }
        )  # fmt: skip


def worker(wanted: int, longest_s: float, captures: Path, out: Path) -> None:
    """Inside the namespace: a child plays the devices, this process scans them."""
    subprocess.run(("ip", "link", "set", "lo", "up"), check=True)
    shm = Path("/dev/shm")  # noqa: S108 - only where it is; a folder of our own inside it
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() else None) as scratch:
        folder = Path(scratch)
        cert = certificate(folder)
        told, tell = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(told)
            try:
                peer = Peer(captures)
                asyncio.run(peer.serve(lambda: os.write(tell, b"r") and None, cert))
            finally:
                os._exit(1)
        os.close(tell)
        try:
            if os.read(told, 1) != b"r":
                raise SystemExit("the devices did not start")
            os.close(told)
            with out.open("w", encoding="utf-8") as file:

                def say(sample: dict[str, Any]) -> None:
                    file.write(json.dumps(sample) + "\n")
                    file.flush()

                asyncio.run(scans(wanted, longest_s, folder, say))
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)


# --- the judgement -------------------------------------------------------------------------------


def endure(work: Work, wanted: int) -> Tally:
    out = work.folder / "samples.jsonl"
    command = (
        "unshare", "--net", sys.executable, "-m", "tests.proof.promises.p23_endurance",
        "--requests", str(wanted), "--seconds", str(work.setting.longest_s),
        "--captures", str(work.setting.captures), "--out", str(out),
    )  # fmt: skip
    with (work.folder / "worker.log").open("wb") as log:
        process = subprocess.run(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    if process.returncode:
        said = (work.folder / "worker.log").read_text("utf-8", "replace")[-600:]
        raise Unable(f"the scans of the endurance run did not end well: {said}")
    samples = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    return judge(samples)


def judge(samples: list[dict[str, Any]]) -> Tally:
    """What counts, from the samples after the first few scans."""
    steady = samples[max(WARM, len(samples) // 10) :]
    if len(steady) < 3:
        raise Unable(f"{len(samples)} scans are too few to see a slope")
    hours = [sample["requests"] / PER_HOUR for sample in steady]
    slope = linear_regression(hours, [sample["rss"] for sample in steady]).slope
    grown = max(s["rss"] for s in steady[-3:]) - max(s["rss"] for s in steady[:3])
    faults = []
    if hours[-1] - hours[0] >= 1 and slope > SLOPE_MIB:
        faults.append(f"memory grows by {slope:.2f} MiB an hour")
    if hours[-1] - hours[0] < 1 and grown > NOISE_MIB:
        faults.append(f"memory grew by {grown:.1f} MiB in {hours[-1] - hours[0]:.2f} hours' worth")
    spread = {}
    for name in ("descriptors", "tasks", "threads"):
        seen = {sample[name] for sample in steady}
        spread[name] = max(seen) - min(seen)
        if spread[name]:
            faults.append(f"{name} between {min(seen)} and {max(seen)}")
    bugs = [bug for sample in samples for bug in sample["bugs"]]
    faults += [f"a probe broke: {bug}" for bug in bugs[:3]]
    if samples[-1]["answered"] == 0:
        faults.append("no device answered: nothing was measured")
    last = samples[-1]
    return Tally(
        cases=last["requests"],
        bad=len(faults),
        figures={
            "slope": slope, "grown": grown, "rss": last["rss"], "scans": len(samples),
            "seconds": last["seconds"], "hours": last["requests"] / PER_HOUR,
            "descriptors": last["descriptors"], "tasks": last["tasks"],
            "blocks": (last["blocks"] - steady[0]["blocks"]),
        },
        faults=tuple(faults),
    )  # fmt: skip


def measure(work: Work) -> Measured:
    if os.geteuid() != 0:
        raise Unable("root is needed for a network namespace")
    for tool in ("unshare", "ip", "openssl"):
        if shutil.which(tool) is None:
            raise Unable(f"{tool} is missing (Debian: util-linux, iproute2, openssl)")
    whole = work.in_chunks(work.count, lambda first, n: endure(work, n), name="runs")
    f = whole.figures
    lasted = timedelta(seconds=round(f["seconds"]))
    value = (
        f"{whole.cases:,} requests in {int(f['scans'])} scans of one process in {lasted}: "
        f"{f['slope']:+.2f} MiB an hour ({f['grown']:+.1f} MiB in {f['hours']:.1f} hours' worth, "
        f"{f['rss']:.0f} MiB at the end), {int(f['descriptors'])} descriptors and "
        f"{int(f['tasks'])} task(s) after every scan"
    )
    work.reached(whole.cases)
    return Measured(
        passed=not whole.bad,
        value=value,
        cases=whole.cases,
        bad=whole.bad,
        faults=whole.faults,
        note=f"the 24 hours in real time were not run: the longest run was {lasted}",
    )


PROMISE = Promise(
    number=23,
    title="Endurance",
    target=(
        "1,000,000 requests in compressed time and one real 24 h run: memory grows by at most "
        "1 MiB an hour, descriptors and tasks constant"
    ),
    counts={"ci": 6_000, "full": 1_000_000},
    measure=measure,
    aside=True,
)


def main() -> None:
    parser = argparse.ArgumentParser(description="the part inside the namespace")
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=math.inf, help="at most so long")
    parser.add_argument("--captures", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    worker(given.requests, given.seconds, given.captures, given.out)


if __name__ == "__main__":
    main()
