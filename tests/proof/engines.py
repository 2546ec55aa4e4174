"""
Many runs of the product's engine in one process, without a run's database: for promises that are
about the wire and not about what is kept.

`python -m tests.proof.engines` reads one JSON list per line, of {"site", "only", "paced"}; it plans
each site as the product does, and carries all these plans out side by side, each through a governor
of its own and through the product's door and probes: with the profiles of the site file where
`paced` is true, else with profile `lab` (given as an argument: as an option the product has it on
loopback alone). It answers with a list of {"outcomes"} or {"refused":
why}.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from scanner import tripwire, windows
from scanner.cli import scanning
from scanner.engine import Engine
from scanner.errors import WalkdownError
from scanner.facts import Fact
from scanner.governor import Clock, Governor
from scanner.model import Observation
from scanner.plan import DevicePlan, PlannedQuestion
from scanner.profiles import LAB
from scanner.session import Grant

ROOT = Path(__file__).resolve().parents[2]


class Journal:
    """Evidence that is counted and let go."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self.outcomes: Counter[str] = Counter()

    async def intent(self, **row: object) -> str:
        return str(next(self._numbers))

    async def leaves(self, service: str, account: str) -> None:
        raise AssertionError("an attempt was made that never began")

    async def ended(self, exchange_id: str, **row: object) -> None:
        pass

    async def question_started(self, key: str, **row: object) -> None:
        pass

    async def question_finished(self, observation: Observation) -> Observation:
        self.outcomes[str(observation.outcome)] += 1
        return observation


class NoAttempts:
    """No login is lent, so none may be tried."""

    async def begin(self, service: str, account: str) -> str | None:
        return "ledger"

    async def ended(self, service: str, account: str, **how: object) -> None:
        raise AssertionError("an attempt ended that never began")

    async def not_made(self, service: str, account: str) -> None:
        pass


def lend(device: DevicePlan, question: PlannedQuestion, known: tuple[Fact, ...]) -> Grant:
    policy = device.policy
    options = {
        "unit_ids": policy.unit_ids, "dnp3_addresses": policy.dnp3_addresses,
        "dnp3_master": policy.dnp3_master,
        "snmp_public": policy.snmp_public, "consent": (),
    }  # fmt: skip
    return Grant(options=options, known=known, attempts=NoAttempts(), fingerprint_key=bytes(32))


async def run(order: dict[str, Any], executor: ThreadPoolExecutor) -> dict[str, Any]:
    which = scanning.load_site(Path(order["site"]), now=datetime.now(UTC))
    plan = scanning.make_plan(which, only=tuple(order.get("only", ())))
    if not order.get("paced"):
        plan = replace(
            plan,
            devices=tuple(replace(one, profile=LAB, zone_cap=None) for one in plan.devices),
        )
    clock = Clock(monotonic=time.monotonic, wall=lambda: datetime.now(UTC), sleep=asyncio.sleep)
    governor = Governor(
        clock, lambda zone, now: windows.permission(which, zone, now), which.in_scope
    )
    journal = Journal()
    engine = Engine(plan=plan, governor=governor, journal=journal, lend=lend, executor=executor)
    await engine.run()
    return {"outcomes": dict(journal.outcomes)}


async def run_all(
    orders: list[dict[str, Any]], executor: ThreadPoolExecutor
) -> list[dict[str, Any]]:
    async def one(order: dict[str, Any]) -> dict[str, Any]:
        try:
            return await run(order, executor)
        except WalkdownError as refusal:
            return {"refused": str(refusal)[:300]}

    with tripwire.armed():
        return list(await asyncio.gather(*(one(order) for order in orders)))


def serve() -> None:
    with ThreadPoolExecutor(16) as executor:
        print(json.dumps({"ready": True}), flush=True)
        for line in sys.stdin:
            told = asyncio.run(run_all(json.loads(line), executor))
            print(json.dumps(told), flush=True)


class Engines:
    """The proof's end. One order at a time."""

    def __init__(self, inside: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [*inside, sys.executable, "-W", "ignore", "-m", "tests.proof.engines"],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the engines ended with {self._process.wait()}")
        return json.loads(line)

    def run(
        self, sites: Sequence[tuple[Path, Sequence[str]]], *, paced: bool = False
    ) -> list[dict[str, Any]]:
        """All of them at once: (site file, addresses for `--only`)."""
        assert self._process.stdin is not None
        orders = [{"site": str(site), "only": list(only), "paced": paced} for site, only in sites]
        self._process.stdin.write(json.dumps(orders) + "\n")
        self._process.stdin.flush()
        told: list[dict[str, Any]] = self._answer()
        return told

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


if __name__ == "__main__":
    serve()
