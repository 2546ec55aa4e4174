"""
The product, with an eye on its event loop: what the proof starts as `walkdown`.

Each callback of the loop is timed: by the wall clock, and by the processor time that this process
(all its threads) used meanwhile. The second tells a stall of ours from a busy machine. What was
found is written beside the run: `--out DIR` gives DIR.watch.json.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import sys
import time
from pathlib import Path
from typing import Any

from scanner.engine import Engine

KEPT = 50
NOTED_S = 0.02


class Watch:
    def __init__(self) -> None:
        self.asking = False
        """Before the first question and after the last nobody is kept waiting."""
        self.since = (0.0, 0.0)
        self.callbacks = 0
        self.most_wall_s = 0.0
        self.most_cpu_s = 0.0
        self.long: list[dict[str, Any]] = []

    def install(self) -> None:
        original = asyncio.events.Handle._run  # type: ignore[attr-defined]
        watch = self

        def _run(handle: Any) -> None:
            began, used = time.monotonic(), time.process_time()
            try:
                original(handle)
            finally:
                # What the same callback did before the first question kept nobody waiting.
                began, used = max(began, watch.since[0]), max(used, watch.since[1])
                watch.note(handle, time.monotonic() - began, time.process_time() - used)

        asyncio.events.Handle._run = _run  # type: ignore[attr-defined]

        run = Engine.run

        async def asking(engine: Engine) -> None:
            watch.asking = True
            watch.since = (time.monotonic(), time.process_time())
            try:
                await run(engine)
            finally:
                watch.asking = False

        Engine.run = asking  # type: ignore[method-assign]

    def note(self, handle: Any, wall_s: float, cpu_s: float) -> None:
        if not self.asking:
            return
        self.callbacks += 1
        self.most_wall_s = max(self.most_wall_s, wall_s)
        self.most_cpu_s = max(self.most_cpu_s, cpu_s)
        if cpu_s >= NOTED_S:
            self.long.append({"cpu_s": cpu_s, "wall_s": wall_s, "what": repr(handle)[:300]})
            self.long.sort(key=lambda one: -one["cpu_s"])
            del self.long[KEPT:]

    def write(self, path: Path) -> None:
        content = {
            "callbacks": self.callbacks, "most_wall_s": self.most_wall_s,
            "most_cpu_s": self.most_cpu_s, "long": self.long,
        }  # fmt: skip
        path.write_text(json.dumps(content, indent=2), encoding="utf-8")


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
