"""
The product, with an eye on its event loop: what the proof starts as `walkdown`.

Each callback of the loop is timed by the wall clock, less the time in which its thread was ready to
run and had no processor (schedstat): that tells a stall of ours, computing or waiting for a disk or
a lock, from a busy machine. Between callbacks a pulse makes the loop wait for PULSE_S at most: what
it waits longer, another thread held it. From the visit to the first device to the end of the last
these count; what came before, when no device was waiting, is told apart. What was found is written
beside the run: `--out DIR` gives DIR.watch.json.

Source: Linux, Documentation/scheduler/sched-stats.rst (/proc/<pid>/schedstat, second field in ns).
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import selectors
import sys
import threading
import time
from pathlib import Path
from typing import Any

from scanner.engine import Engine

KEPT = 50
NOTED_S = 0.02
PULSE_S = 0.02


class Watch:
    def __init__(self) -> None:
        self._schedstat = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        self.asking = False
        """Before the first device is visited and after the last nobody is kept waiting."""
        self.asked = False
        self.since = (0.0, 0.0)
        self.callbacks = 0
        self.most_held_s = 0.0
        self.most_between_s = 0.0
        """What the loop waited longer than it had asked for."""
        self.most_before_s = 0.0
        """The longest callback before the first device."""
        self.long: list[dict[str, Any]] = []

    def install(self) -> None:
        original = asyncio.events.Handle._run  # type: ignore[attr-defined]
        watch = self

        def _run(handle: Any) -> None:
            began = watch.now()
            try:
                original(handle)
            finally:
                # What the same callback did before the first question kept nobody waiting.
                first = max(began, watch.since)
                ended = watch.now()
                watch.note(handle, ended[0] - first[0], ended[1] - first[1])

        asyncio.events.Handle._run = _run  # type: ignore[attr-defined]

        wait = selectors.DefaultSelector.select

        def select(selector: Any, timeout: float | None = None) -> Any:
            began = watch.now()
            try:
                return wait(selector, timeout)
            finally:
                if timeout is not None and threading.current_thread() is threading.main_thread():
                    ended = watch.now()
                    watch.waited(ended[0] - began[0] - max(timeout, 0), ended[1] - began[1])

        selectors.DefaultSelector.select = select  # type: ignore[method-assign]

        run, device = Engine.run, Engine._device

        async def running(engine: Engine) -> None:
            try:
                await run(engine)
            finally:
                watch.asking = False

        async def visited(engine: Engine, plan: Any) -> None:
            if not watch.asking:
                watch.asking = watch.asked = True
                watch.since = watch.now()
                watch.pulse()
            await device(engine, plan)

        Engine.run = running  # type: ignore[method-assign]
        Engine._device = visited  # type: ignore[method-assign]

    def now(self) -> tuple[float, float]:
        """(time, how long this thread was kept from a processor so far), in s."""
        kept = int(os.pread(self._schedstat, 100, 0).split()[1]) / 1e9
        return time.monotonic(), kept

    def note(self, handle: Any, wall_s: float, kept_s: float) -> None:
        held_s = wall_s - kept_s
        if not self.asking:
            if not self.asked:
                self.most_before_s = max(self.most_before_s, held_s)
            return
        self.callbacks += 1
        self.most_held_s = max(self.most_held_s, held_s)
        if held_s >= NOTED_S:
            self.long.append({"held_s": held_s, "wall_s": wall_s, "what": _named(handle)})
            self.long.sort(key=lambda one: -one["held_s"])
            del self.long[KEPT:]

    def pulse(self) -> None:
        if self.asking:
            asyncio.get_running_loop().call_later(PULSE_S, self.pulse)

    def waited(self, longer_s: float, kept_s: float) -> None:
        if self.asking:
            self.most_between_s = max(self.most_between_s, longer_s - kept_s)

    def write(self, path: Path) -> None:
        content = {
            "callbacks": self.callbacks, "most_held_s": self.most_held_s, "long": self.long,
            "most_between_s": self.most_between_s, "most_before_s": self.most_before_s,
        }  # fmt: skip
        path.write_text(json.dumps(content, indent=2), encoding="utf-8")


def _named(handle: Any) -> str:
    """What ran, and for a task where it waits now: the step that held the loop ended there."""
    task = getattr(getattr(handle, "_callback", None), "__self__", None)
    if not isinstance(task, asyncio.Task):
        return repr(handle)[:300]
    places = [f"{Path(f.f_code.co_filename).name}:{f.f_lineno}" for f in _frames(task)]
    return f"{task.get_coro()!r}"[:120] + " at " + " < ".join(reversed(places[-6:]))


def _frames(task: asyncio.Task[Any]) -> list[Any]:
    found, awaited = [], task.get_coro()
    while (frame := getattr(awaited, "cr_frame", None)) is not None:
        found.append(frame)
        awaited = getattr(awaited, "cr_await", None)
    return found


def main() -> None:
    if "scan" in sys.argv and "--out" in sys.argv[:-1]:
        out = Path(sys.argv[sys.argv.index("--out") + 1])
        watch = Watch()
        watch.install()
        atexit.register(watch.write, out.with_name(out.name + ".watch.json"))
    sys.argv[0] = "walkdown"
    from scanner.cli import main as product

    product()


if __name__ == "__main__":
    main()
