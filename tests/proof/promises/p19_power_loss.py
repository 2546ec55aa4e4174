"""
Promise 19: after a power cut a run is a prefix of its commits; nothing leaves before its intent.

A real store is written, commit by commit. What lies on the disk then is damaged as a power cut may
leave it: the write-ahead log cut, flipped, zeroed or followed by rubbish at random bytes, or a
checkpoint that stopped half way. It is opened as any run is; what has to be there follows from the
log's format alone: each commit that lies whole before the damage, and no other.

Then a real scan of emulated devices runs under strace: each connect and each send comes after the
sync of the log that holds its intent. A disk that lies about fsync is beyond this.

Sources: sqlite.org, Database File Format, section 4 (the write-ahead log); strace(1).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from lab import control
from scanner.errors import StoreError
from scanner.model import Observation, Outcome, Target, Tier, Transport
from scanner.store import RunMeta, RunStore, question_key
from tests.proof.plants import harbour_site
from tests.proof.promise import Measured, Promise, Tally, Unable, Work

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
OCTET = 85
HEADER, FRAME_HEADER = 32, 24
WHOLE = "; integrity_check ok, chain whole, exactly the commits before the damage"
TABLES = ("run", "events", "exchanges", "questions", "observations")


def measure(work: Work) -> Measured:
    with tempfile.TemporaryDirectory(dir=_fast_folder()) as scratch:
        torn = [_young(Path(scratch)), _checkpointed(Path(scratch))]
        cuts = work.in_chunks(
            500, lambda first, n: _part(torn, Path(scratch), work.setting.seed, first, n)
        )
    order = _order(work)
    kinds = ", ".join(f"{kind} {int(cuts.sums.get(kind, 0)):,}" for kind in DAMAGES)
    faults = (*cuts.faults, *order.faults)
    return Measured(
        passed=not faults and cuts.cases >= work.least,
        value=(
            f"{cuts.bad} bad of {cuts.cases:,} damaged stores ({kinds})"
            f"{'' if cuts.bad else WHOLE}; {order.sends} sends and {order.connects} connects of a "
            f"real scan, {'NOT all' if order.faults else 'each'} after the sync of its intent"
        ),
        cases=cuts.cases,
        bad=cuts.bad,
        faults=faults,
        note="not a real power cut: says nothing about a disk that lies about fsync",
    )


def _fast_folder() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a folder of our own


# --- stores as a power cut finds them ----------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Torn:
    """
    `states[i]` is the digest of all rows after commit i of those that only the log holds; state 0
    is what the main file holds alone, and None one that nobody looked at. `ends[i]` is the byte of
    the log where commit i+1 is whole; `links` is the chain after the last commit.
    """

    main: bytes
    log: bytes
    shared: bytes
    links: tuple[str, ...]
    states: tuple[str | None, ...]
    ends: tuple[int, ...]


def _young(folder: Path) -> Torn:
    """A run that was never checkpointed since it was opened."""
    return asyncio.run(_written(folder / "young.db", exchanges=40, size=200))


def _checkpointed(folder: Path) -> Torn:
    """A run whose log was moved into the main file and begun anew: old frames lie behind."""
    return asyncio.run(_written(folder / "old.db", exchanges=75, size=15_000))


async def _written(path: Path, *, exchanges: int, size: int) -> Torn:
    meta = RunMeta(
        id="r", site="s", site_file_text="", plan_digest="", started_at=NOON, version="0",
        authorisation="", authorised_by="", tiers=("identify",),
    )  # fmt: skip
    RunStore.create(path, run=meta, now=NOON).close()
    chance = Random(size)
    store = RunStore.open(path)
    states: list[str | None] = [_digest_of(path)]

    def committed() -> None:
        states.append(_digest_of(path))

    for number in range(exchanges):
        target = Target(zone="z", address=f"10.0.0.{number}", port=502, transport=Transport.TCP)
        key = question_key(target, "modbus", Tier.IDENTIFY)
        await store.question_started(key, protocol="modbus", at=NOON)
        committed()
        asked = [
            store.intent(
                target=target, probe="modbus", tier=Tier.IDENTIFY, label=f"part {part}",
                request=chance.randbytes(size), question=key, sent_at=NOON,
            )
            for part in range(1 + number % 3)
        ]  # fmt: skip
        before = store.commits
        ids = await asyncio.gather(*asked)
        # Those that waited together shared a commit; what lay between two is not known.
        states += [None] * (store.commits - before - 1)
        committed()
        await store.ended(
            ids[0], outcome=Outcome.ANSWERED, reason="", reply=chance.randbytes(size // 2),
            finished_at=NOON, wire_out=1, wire_in=1,
        )  # fmt: skip
        committed()
        if number % 4:
            await store.question_finished(_observation(target, ids))
            committed()
    main, log, shared = (_read(path, end) for end in ("", "-wal", "-shm"))
    links = tuple(event.sha256 for event in store.events())
    store.close()
    ends = tuple(end for end, _, commits in _frames(log) if commits)
    return Torn(
        main=main,
        log=log,
        shared=shared,
        links=links,
        ends=ends,
        states=tuple(states[-len(ends) - 1 :]),
    )


def _read(path: Path, end: str) -> bytes:
    return path.with_name(path.name + end).read_bytes()


def _observation(target: Target, exchanges: Sequence[str]) -> Observation:
    return Observation(
        id="", zone=target.zone, address=target.address, port=target.port,
        transport=target.transport, protocol="modbus", probe="modbus", tier=Tier.IDENTIFY,
        outcome=Outcome.ANSWERED, reason="", started_at=NOON, finished_at=NOON, facts=(),
        exchanges=tuple(exchanges),
    )  # fmt: skip


def _digest_of(path: Path) -> str:
    """Of every row of every table, as a plain reader sees them."""
    connection = sqlite3.connect(path)
    try:
        rows = [connection.execute(f"SELECT * FROM {t} ORDER BY 1").fetchall() for t in TABLES]  # noqa: S608
    finally:
        connection.close()
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def _frames(log: bytes) -> Iterator[tuple[int, int, bool]]:
    """(end, page number, whether it commits) of every frame of the log's present turn."""
    size, salts = int.from_bytes(log[8:12], "big"), log[16:24]
    at = HEADER
    while at + FRAME_HEADER + size <= len(log) and log[at + 8 : at + 16] == salts:
        page, commit = (int.from_bytes(log[at + i : at + i + 4], "big") for i in (0, 4))
        at += FRAME_HEADER + size
        yield at, page, commit != 0


# --- damage ------------------------------------------------------------------------------------


def _cut(torn: Torn, chance: Random) -> tuple[bytes, bytes, int]:
    at = chance.randrange(len(torn.log))
    return torn.main, torn.log[:at], at


def _flip(torn: Torn, chance: Random) -> tuple[bytes, bytes, int]:
    log, places = bytearray(torn.log), [chance.randrange(len(torn.log)) for _ in range(3)]
    places = places[: chance.choice([1, 1, 2, 3])]
    for at in places:
        log[at] ^= 1 << chance.randrange(8)
    changed = [at for at in places if log[at] != torn.log[at]]
    return torn.main, bytes(log), min(changed, default=len(log))


def _sectors(torn: Torn, chance: Random) -> tuple[bytes, bytes, int]:
    """Sectors of 512 bytes that never reached the disk: zeros, or what lay there before."""
    log, first = bytearray(torn.log), len(torn.log)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(0, len(log), 512)
        part = min(512, len(log) - at)
        log[at : at + part] = bytes(part) if chance.random() < 0.5 else chance.randbytes(part)
        changed = (i for i in range(at, at + part) if log[i] != torn.log[i])
        first = min(first, next(changed, len(log)))
    return torn.main, bytes(log), first


def _rubbish(torn: Torn, chance: Random) -> tuple[bytes, bytes, int]:
    """The log was made longer before its end was written."""
    at = chance.randrange(len(torn.log))
    log = torn.log[:at] + chance.randbytes(chance.randrange(1, 9000))
    return torn.main, log, _first_difference(log, torn.log)


def _checkpoint(torn: Torn, chance: Random) -> tuple[bytes, bytes, int]:
    """The log was being moved into the main file: some pages are there, one of them in part."""
    size = int.from_bytes(torn.log[8:12], "big")
    newest = {page: end for end, page, _ in _frames(torn.log)}
    main = bytearray(torn.main)
    for page in chance.sample(sorted(newest), chance.randrange(1, len(newest) + 1)):
        content = torn.log[newest[page] - size : newest[page]]
        at = (page - 1) * size
        main.extend(bytes(max(0, at + size - len(main))))
        part = size if chance.random() < 0.8 else chance.randrange(0, size, 512)
        main[at : at + part] = content[:part]
    return bytes(main), torn.log, len(torn.log)


DAMAGES = {
    "log cut": _cut,
    "bits flipped": _flip,
    "sectors lost": _sectors,
    "rubbish at the end": _rubbish,
    "checkpoint broken off": _checkpoint,
}


def _first_difference(one: bytes, other: bytes) -> int:
    pairs = zip(one, other, strict=False)
    shorter = min(len(one), len(other))
    return next((at for at, (a, b) in enumerate(pairs) if a != b), shorter)


def _part(torn: Sequence[Torn], folder: Path, seed: int, first: int, n: int) -> Tally:
    sums: Counter[str] = Counter()
    bad, faults = 0, []
    for number in range(first, first + n):
        chance = Random(f"{seed}/{number}")
        before = chance.choice(torn)
        kind = chance.choice(list(DAMAGES))
        main, log, at = DAMAGES[kind](before, chance)
        survive = sum(end <= at for end in before.ends)
        path = folder / "cut" / "walkdown.db"
        shutil.rmtree(path.parent, ignore_errors=True)
        path.parent.mkdir()
        path.write_bytes(main)
        path.with_name("walkdown.db-wal").write_bytes(log)
        if chance.random() < 0.5:  # the index of the log is shared memory; a file of it may be left
            path.with_name("walkdown.db-shm").write_bytes(before.shared)
        sums[kind] += 1
        if problem := _opened(path, before, survive, number % 10 == 0):
            bad += 1
            faults.append(f"case {number} ({kind} at byte {at}): {problem}")
    return Tally(cases=n, bad=bad, sums=sums, faults=tuple(faults))


def _opened(path: Path, torn: Torn, survive: int, go_on: bool) -> str:
    """Open as `--resume` does; what is wrong, or ""."""
    try:
        with RunStore.open(path) as store:
            wanted = torn.states[survive]
            if wanted is not None and _digest_of(path) != wanted:
                return "not the commits before the damage"
            links = tuple(event.sha256 for event in store.events())
            if links != torn.links[: len(links)]:
                return "its events are no prefix of those that were written"
            result = store.verify()  # integrity_check is part of it
            if not result.whole:
                return f"not whole: {result.problems[:3]}"
            if go_on:
                store.mark_interrupted(NOON)
                store.set_state("running", "resumed", NOON)
                if not store.verify().whole:
                    return "not whole after it was gone on with"
    except StoreError as error:
        return f"cannot be opened: {error}"
    return ""


# --- the order of system calls -----------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Order:
    sends: int
    connects: int
    faults: tuple[str, ...]


def _order(work: Work) -> Order:
    if shutil.which("strace") is None:
        raise Unable("strace is not installed (Debian's package strace)")
    folder = work.folder / "order"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    run, trace = folder / "run", folder / "trace"
    lab = folder / "lab"
    control.up("harbour", lab, now=datetime.now(UTC), second_octet=OCTET, base_port_offset=2000)
    try:
        calls = "trace=connect,sendto,sendmsg,sendmmsg,write,writev,pwrite64,fsync,fdatasync"
        command = ["strace", "-f", "-qq", "-yy", "-xx", "-s", "70000", "-e", calls]
        site = harbour_site(
            folder / "site.yaml", OCTET, (11, 12, 18),
            tier="read", probes=["modbus", "s7", "http", "snmp"],
        )  # fmt: skip
        scan = [*work.setting.walkdown, "scan", site, "--out", run]
        done = subprocess.run(
            [*command, "-o", trace, *scan], capture_output=True, text=True, check=False,
            timeout=180, env={**os.environ, "NO_COLOR": "1"},
        )  # fmt: skip
    finally:
        control.down(lab)
    if done.returncode:
        raise Unable(f"the scan under strace failed: {done.stderr.strip()[-300:]}")
    intents = _intents(run / "walkdown.db")
    lines = trace.read_text(encoding="ascii", errors="replace").splitlines()
    found = judge_order(lines, intents)
    blind = judge_order([line for line in lines if "sync(" not in line], intents)
    faults = list(found.faults)
    if not found.sends or not found.connects:
        faults.append("no send or no connect was seen in the trace")
    if len(blind.faults) < blind.sends + blind.connects:
        faults.append("the judge finds nothing when the syncs are taken out of the trace")
    trace.unlink()
    return Order(sends=found.sends, connects=found.connects, faults=tuple(faults[:20]))


def _intents(path: Path) -> dict[tuple[str, int], list[tuple[bytes, str]]]:
    """(address, port) to its intents in order: the request and the link of its event."""
    found: dict[tuple[str, int], list[tuple[bytes, str]]] = defaultdict(list)
    with sqlite3.connect(path) as connection:
        rows = connection.execute(
            "SELECT x.address, x.port, x.request, e.sha256 FROM exchanges x"
            " JOIN events e ON e.seq = x.seq ORDER BY x.seq"
        )
        for address, port, request, link in rows:
            found[address, port].append((request, link))
    connection.close()
    return found


_CALL = re.compile(r"^(?P<thread>\d+) +(?P<name>\w+)\((?P<rest>.*)$")
_RESUMED = re.compile(r"^(?P<thread>\d+) +<\.\.\. (?P<name>\w+) resumed>")
_PEER = re.compile(r"->(?P<address>[0-9.]+):(?P<port>\d+)\]>")
_CONNECT = re.compile(
    r"sin_port=htons\((?P<port>\d+)\), sin_addr=inet_addr\(\"(?P<address>[^\"]+)\"\)"
)
_BYTES = re.compile(r"\"((?:\\x[0-9a-f]{2})*)\"")


def judge_order(
    lines: Sequence[str], intents: dict[tuple[str, int], list[tuple[bytes, str]]]
) -> Order:
    """Each connect and send towards a device must follow the finished sync of its intent's link."""
    written, synced = bytearray(), bytearray()
    waiting: dict[str, bytes] = {}
    connects: Counter[tuple[str, int]] = Counter()
    used: dict[tuple[str, int], set[int]] = defaultdict(set)
    sends, faults = 0, []

    def is_synced(link: str) -> bool:
        return link.encode() in synced

    for line in lines:
        if resumed := _RESUMED.match(line):
            if resumed["name"] in ("fsync", "fdatasync"):
                synced += waiting.pop(resumed["thread"], b"")
            continue
        call = _CALL.match(line)
        if call is None:
            continue
        name, rest = call["name"], call["rest"]
        if "walkdown.db" in _path_of(rest):
            if name == "pwrite64":
                written += _payload(rest)
            elif name in ("fsync", "fdatasync"):
                if "<unfinished" in rest:
                    waiting[call["thread"]] = bytes(written)
                else:
                    synced += written
                written = bytearray()
            continue
        if name == "connect":
            place = _place(_CONNECT.search(_text(rest)))
            if place not in intents:
                continue
            connects[place] += 1
            known = sum(is_synced(link) for _, link in intents[place])
            if known < connects[place]:
                faults.append(f"connect {connects[place]} to {place} before the sync of its intent")
        elif name in ("sendto", "sendmsg", "sendmmsg", "write", "writev"):
            place = _place(_PEER.search(rest))
            if place not in intents:
                continue
            sends += 1
            sent = _payload(rest)
            match = next(
                (
                    number
                    for number, (request, _) in enumerate(intents[place])
                    if request == sent and number not in used[place]
                ),
                None,
            )
            if match is None:
                faults.append(f"{len(sent)} bytes to {place} that no intent tells of")
                continue
            used[place].add(match)
            if not is_synced(intents[place][match][1]):
                faults.append(f"a request to {place} left before the sync of its intent")
    return Order(sends=sends, connects=connects.total(), faults=tuple(faults))


def _path_of(rest: str) -> str:
    """The path that strace prints behind a descriptor (hexadecimal with -xx)."""
    return _text(rest.partition(">")[0])


def _text(rest: str) -> str:
    """strace -xx writes every text in hexadecimal, names and addresses too."""
    return re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), rest)


def _payload(rest: str) -> bytes:
    return b"".join(
        bytes.fromhex(text.replace("\\x", "")) for text in _BYTES.findall(rest.partition(">")[2])
    )


def _place(found: re.Match[str] | None) -> tuple[str, int]:
    return (found["address"], int(found["port"])) if found else ("", 0)


PROMISE = Promise(
    number=19,
    title="Power loss",
    target="10,000 damaged stores, 0 bad; every request after the sync of its intent",
    counts={"ci": 200, "full": 10_000},
    measure=measure,
    aside=True,
)
