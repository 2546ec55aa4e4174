"""What import contracts cannot see: who opens connections, who prints, who reads a clock."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("scanner", "probes", "checks", "credentials", "reports", "lab")

OPENERS = {
    "open_connection", "create_connection", "create_datagram_endpoint", "sock_connect",
    "start_server", "create_server", "open_unix_connection", "create_unix_connection", "socket",
    "connect", "connect_ex", "socketpair",
}  # fmt: skip
MAY_OPEN = {"scanner/wire.py", "scanner/relay.py", "scanner/session.py"}
LISTENERS = {"scanner/capture.py"}  # the packet socket of the helper, which nothing is sent with
LINK = {"scanner/link.py"}  # that of the other helper, which checks each frame once more
CONNECT_OF_SOMETHING_ELSE = {
    # vendor clients dial the loopback relay, databases are services
    "scanner/database.py",
    "scanner/verifier.py",
}
PROCESS_STARTERS = {
    "Popen", "run", "check_output", "check_call", "create_subprocess_exec",
    "create_subprocess_shell", "system", "execv", "posix_spawn",
}  # fmt: skip


def modules() -> list[Path]:
    found = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert len(found) > 20
    return found


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def calls(path: Path) -> Iterator[tuple[str, str, int]]:
    """(what it is called on, the function's name, line) for every call in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute):
                yield ast.unparse(node.func.value), node.func.attr, node.lineno
            elif isinstance(node.func, ast.Name):
                yield "", node.func.id, node.lineno


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_only_the_door_and_the_lab_open_connections(path: Path) -> None:
    name = name_of(path)
    if name in MAY_OPEN | LISTENERS | LINK | CONNECT_OF_SOMETHING_ELSE or name.startswith(
        ("lab/", "scanner/clients/", "scanner/migrations/")
    ):
        return

    opened = [f"{on}.{call} line {line}" for on, call, line in calls(path) if call in OPENERS]

    assert not opened


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_only_the_composition_root_prints_exits_or_runs_a_loop(path: Path) -> None:
    name = name_of(path)
    if name.startswith(("scanner/cli/", "lab/")) or name == "scanner/clients/cip_worker.py":
        return

    found = [
        f"{on}.{call} line {line}"
        for on, call, line in calls(path)
        if (on, call) in {("", "print"), ("sys", "exit"), ("asyncio", "run"), ("", "input")}
    ]

    assert not found


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_only_the_composition_root_reads_clocks_and_the_environment(path: Path) -> None:
    name = name_of(path)
    if name.startswith(("scanner/cli/", "lab/", "scanner/migrations/")):
        return
    clocks = {
        ("datetime", "now"), ("datetime", "utcnow"), ("date", "today"), ("time", "time"),
        ("time", "monotonic"), ("os", "getenv"), ("time", "sleep"),
    }  # fmt: skip

    found = [f"{on}.{call} line {line}" for on, call, line in calls(path) if (on, call) in clocks]

    assert not found
    assert "os.environ" not in path.read_text()


def test_the_top_level_folders_are_the_owner_s() -> None:
    allowed = {*PACKAGES, "tests", "docs", ".ci", ".git"}
    tool_caches = {".venv", ".venv-test", ".venv-servers", "dist", "build", "walkdown-demo"}

    present = {path.name for path in ROOT.iterdir() if path.is_dir()}
    unknown = {
        name
        for name in present - allowed - tool_caches
        if not name.endswith(("_cache", "hypothesis"))
    }

    assert not unknown
