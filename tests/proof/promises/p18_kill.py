"""
Kill -9 loses nothing and repeats nothing.

Scans are killed at random moments and gone on with. What was asked is read from the capture on
the device side, both sittings together, and compared with whole scans of the same devices that
nobody disturbed: nothing may have been asked more often. What is on disk is compared with itself
before and after, and with the capture: every question that left is on record.

A device's canary is its first question once more, after each sitting that went deep (safety.md
section 6); the plan counts it. So a question that a whole scan puts twice may come once more in the
second sitting, and no other.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.proof import stops
from tests.proof.driver import Driver
from tests.proof.ground import OWN, Ground, ground
from tests.proof.judge.packets import Packet, read
from tests.proof.promise import Measured, Promise, Tally, Unable, Work
from tests.proof.questions import Question, Sent, questions

RESUME_S = 5.0
CHUNK = 60
ZONE = {"probes": ["modbus", "s7", "enip", "snmp", "http"]}
"""Protocols whose questions a capture shows."""
WHOLE_SCANS = 3
Asked = Counter[Question]


def measure(work: Work) -> Measured:
    with ground() as made:
        path = stops.plant(work.folder / "stops.yaml")
        with stops.emulated(made, path, work.folder):
            driver = Driver(made.inside("scanner"))
            levers = stops.Levers(driver=driver, drop=made.drop, heal=made.heal)
            try:
                undisturbed = whole_scans(work, made, levers)

                def part(first: int, n: int) -> Tally:
                    folder = work.folder / f"from{first}"
                    shutil.rmtree(folder, ignore_errors=True)
                    tally = killed(work.setting.seed, first, n, folder, made, levers, undisturbed)
                    if not tally.bad:
                        shutil.rmtree(folder)
                    return tally

                whole = work.in_chunks(CHUNK, part)
            finally:
                driver.close()
    hit = int(whole.sums.get("killed while asking", 0))
    resume = whole.figures.get("resume_s", 0.0)
    enough = hit * 2 >= whole.cases and whole.sums.get("in flight", 0) > 0
    return Measured(
        passed=not whole.bad and enough,
        value=f"{int(whole.sums.get('lost', 0))} results lost, "
        f"{int(whole.sums.get('repeated', 0))} requests repeated, resumed within {resume:.1f} s; "
        f"{whole.cases:,} kills, {hit:,} while asking, "
        f"{int(whole.sums.get('in flight', 0)):,} questions in flight",
        cases=hit,  # the others say nothing
        bad=whole.bad,
        faults=whole.faults,
        note="" if enough else "too few kills hit a scan that was asking",
    )


def whole_scans(work: Work, made: Ground, levers: stops.Levers) -> Asked:
    """How often each question is put at most by scans that nobody disturbs, as of block 0."""
    folder = work.folder / "whole"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    most: Asked = Counter()
    with made.captured(folder) as capture:
        for number in range(WHOLE_SCANS):
            site = stops.site(folder / f"{number}.yaml", number, **ZONE)
            argv = ("scan", str(site), "--out", str(folder / f"run{number}"))
            levers.driver.start(f"whole {number}", argv, folder / f"said{number}")
        for number in range(WHOLE_SCANS):
            if (code := levers.driver.join(f"whole {number}", 120)) != 0:
                raise Unable(f"an undisturbed scan ended with {code}: {folder}")
    packets = read([capture.device])
    for number in range(WHOLE_SCANS):
        most |= as_of_block_0(questions(sent(packets, number, 0.0, float("inf"))))
    if len(most) < len(stops.DEVICES):
        raise Unable("an undisturbed scan asked hardly anything")
    return most


def sent(packets: Sequence[Packet], block: int, start: float, end: float) -> list[Sent]:
    net = f"{stops.NETWORK}.{block}."
    return [
        (p.at, p.target, p.target_port, p.source_port, p.sequence, p.payload)
        for p in packets
        if p.source in OWN and p.target.startswith(net) and start <= p.at <= end and p.payload
    ]


def as_of_block_0(asked: Asked) -> Asked:
    """Blocks are alike but for their addresses, which also stand in HTTP and such."""
    return Counter(
        {(target.rpartition(".")[2], port, what): n for (target, port, what), n in asked.items()}
    )


def killed(
    seed: int, first: int, n: int, folder: Path, made: Ground, levers: stops.Levers, most: Asked
) -> Tally:
    todo = [case for case in stops.cases(seed, first, n, ("kill -9",))]
    for case in todo:
        case.dying = {}
    known: dict[int, dict[str, str]] = {}

    def stopped(case: stops.Case) -> None:
        known[case.number] = observations(case.folder / "run" / "walkdown.db")

    with made.captured(folder) as capture:
        stops.carry_out(levers, todo, folder, zone=ZONE, stopped=stopped, resume=True)
    packets = read([capture.device])
    whole = Tally()
    for case in todo:
        whole += judged(case, packets, known[case.number], most)
    return whole


def judged(
    case: stops.Case, packets: Sequence[Packet], before: dict[str, str], most: Asked
) -> Tally:
    database = case.folder / "run" / "walkdown.db"
    mine = sent(packets, case.block, case.started, case.finished)
    first = questions([one for one in mine if one[0] <= case.resumed])
    second = questions([one for one in mine if one[0] > case.resumed])
    faults: list[str] = []
    canaries: Asked = Counter({question: 1 for question, times in most.items() if times > 1})
    repeated = as_of_block_0(first + second) - most - canaries
    faults += [
        f"asked more often: {to} port {port} {what[:24].hex()}" for to, port, what in repeated
    ]
    after = observations(database)
    lost = [key for key, text in before.items() if after.get(key) != text]
    faults += [f"lost or changed: {key}" for key in lost]
    faults += [f"not on record: {what}" for what in not_on_record(database, first + second)]
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as db:
        if (told := db.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            faults.append(f"integrity: {told}")
    # 3 where the certificate names what the kill itself broke: a connection without its request.
    if case.resume_code not in (0, 3) or not is_finished(case.folder / "run"):
        faults.append(f"the resumed scan ended with {case.resume_code}")
    begun = min((one[0] for one in mine if one[0] > case.resumed), default=None)
    resume_s = begun - case.resumed if begun is not None else case.finished - case.resumed
    if resume_s > RESUME_S:
        faults.append(f"resumed after {resume_s:.1f} s")
    asked = bool(first) and not case.over
    return Tally(
        cases=1,
        bad=int(bool(faults)),
        figures={"resume_s": resume_s},
        sums={
            "lost": len(lost),
            "repeated": sum(repeated.values()),
            "killed while asking": int(asked),
            "in flight": sum(
                json.loads(text)["outcome"] == "interrupted" for text in after.values()
            ),
        },
        faults=tuple(f"case {case.number} (kill at {case.moment:.2f} s): {f}" for f in faults),
    )


def observations(database: Path) -> dict[str, str]:
    """Id → content of every observation on disk, as another reader of the file sees them."""
    if not database.exists():
        return {}
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as db:
        rows = db.execute("SELECT id, body FROM observations").fetchall()
    return {str(key): str(text) for key, text in rows}


def is_finished(run: Path) -> bool:
    told = json.loads((run / "certificate.json").read_text(encoding="utf-8"))
    return bool(told["state"] == "finished")


def not_on_record(database: Path, asked: Asked) -> list[str]:
    """Questions of the capture whose bytes are in no exchange of the run."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as db:
        rows = db.execute("SELECT address, port, transport, request FROM exchanges").fetchall()
    kept: Asked = Counter()
    for number, (address, port, transport, request) in enumerate(rows):
        sequence = 0 if transport == "tcp" else -1
        kept |= questions([(0.0, address, port, number, sequence, bytes(request))])
    return [f"{to} port {port} {what[:24].hex()}" for to, port, what in asked if
            (to, port, what) not in kept]  # fmt: skip


PROMISE = Promise(
    number=18,
    title="Kill -9 loses nothing and repeats nothing",
    target="0 lost results, 0 repeated requests without consent, resume at most 5 s",
    counts={"ci": 10, "full": 1000},
    measure=measure,
)
