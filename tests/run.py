"""
Sets up an environment of its own and runs everything that must hold: `python3 tests/run.py`.

`--fast` leaves out what starts servers or whole scans, and the proof of the safety contract (by
itself: `python3 tests/prove.py`); other arguments go to pytest. The proof needs root: it makes
network namespaces.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".venv-test"
BIN = FOLDER / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")


def run(*command: str | Path) -> None:
    print("$", *command, flush=True)
    started = time.monotonic()
    done = subprocess.run([str(part) for part in command], cwd=ROOT, check=False)
    print(f"  {time.monotonic() - started:.0f} s", flush=True)
    if done.returncode:
        raise SystemExit(done.returncode)


def set_up() -> None:
    """Install the locked dependencies when they are not there yet, and the project itself."""
    lock = (ROOT / "requirements-dev.txt").read_bytes()
    mark = FOLDER / "locked.txt"
    if not mark.exists() or mark.read_bytes() != lock:
        venv.create(FOLDER, with_pip=True, clear=True)
        pip = (PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        run(*pip, "--require-hashes", "-r", "requirements-dev.txt")
        run(*pip, "--no-deps", "--no-build-isolation", "-e", ".")
        mark.write_bytes(lock)


def main(arguments: list[str]) -> None:
    if sys.version_info < (3, 11):
        raise SystemExit("Walkdown needs Python 3.11 or newer")
    set_up()
    fast = "--fast" in arguments
    rest = [argument for argument in arguments if argument != "--fast"]
    if not rest:
        run(PYTHON, "-m", "ruff", "check", ".")
        run(PYTHON, "-m", "ruff", "format", "--check", ".")
        run(PYTHON, "-m", "mypy")
        run(BIN / "lint-imports", "--no-cache")
    only_fast = ("-m", "not integration and not lab and not root") if fast else ()
    spread = ("-n", "auto", "--dist", "loadfile")
    run(PYTHON, "-m", "pytest", "-q", *spread, *only_fast, *rest)
    if fast or rest:
        return
    if os.environ.get("CI") or os.geteuid() == 0:
        run(PYTHON, "-m", "tests.proof")
    else:
        print("NOT RUN: the proof of the safety contract; it needs root: python3 tests/prove.py")


if __name__ == "__main__":
    main(sys.argv[1:])
