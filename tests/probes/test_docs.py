"""docs/protocols.md is made from the probes. To write it anew: python tests/probes/test_docs.py"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

ROOT = Path(__file__).parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

import probes  # noqa: E402 - the page may be made from anywhere
from lab import devices  # noqa: E402
from scanner import facts  # noqa: E402
from scanner.plan import service_of  # noqa: E402
from scanner.spec import Probe  # noqa: E402

PAGE = ROOT / "docs" / "protocols.md"
HEAD = """# Protocols

What Walkdown can ask, in which tier, what it sends, and what it may learn. Every request is shown
with its cost by `walkdown plan`; every protocol has an allow-list of its own (`scanner/guards/`),
and nothing that is not on it leaves. This page is made from the code
(`python tests/probes/test_docs.py`).

*Opt-in*: asked only where the site file names it. *Tested against*: software of other people that
the lab or the tests start, and recordings of real devices (`WALKDOWN_CAPTURES`).
"""
OURS = {"lab", "scanner", "probes"}
SOFTWARE = {
    "snap7": "python-snap7", "h11": "h11", "ssl": "OpenSSL", "asyncssh": "AsyncSSH",
    "pysnmp": "pysnmp", "pymodbus": "pymodbus", "telnetlib3": "telnetlib3",
}  # fmt: skip
"""Import name → how its makers call it, where these differ or a module of Python stands for it."""


def page() -> str:
    lines = [HEAD, *_index()]
    for name, module in _modules():
        lines += _section(name, module)
    return "\n".join(lines)


def _modules() -> Iterator[tuple[str, object]]:
    for found in sorted(iter_modules(probes.__path__), key=lambda one: one.name):
        module = import_module(f"probes.{found.name}")
        if _probes(module):
            yield found.name, module


def _probes(module: object) -> list[Probe]:
    found = [value for value in vars(module).values() if isinstance(value, Probe)]
    return sorted(found, key=lambda p: (p.tier.rank, service_of(p), -ord(p.transport[0]), p.ports))


def _index() -> list[str]:
    rows = [
        "| Protocol | Ports | Tier | Requests | Tells | Tested against |",
        "|---|---|---|---|---|---|",
    ]
    for name, module in _modules():
        for number, probe in enumerate(_probes(module)):
            requests = ", ".join(_requests(probe))
            first = number == 0
            rows.append(
                f"| [{service_of(probe)}](#{name}) | {_ports(probe)} | {_tier(probe)} | {requests} "
                f"| {', '.join(_kinds(module)) if first else ''} "
                f"| {'; '.join(_tested(name)) if first else ''} |"
            )
    return [*rows, ""]


def _ports(probe: Probe) -> str:
    ports = ", ".join(map(str, probe.ports)) or "as the site file says"
    return f"{probe.transport} {ports}"


def _tier(probe: Probe) -> str:
    return f"{probe.tier}{', opt-in' if probe.opt_in else ''}"


def _requests(probe: Probe) -> Iterator[str]:
    for question in probe.questions:
        often = f" (at most {question.at_most})" if question.at_most > 1 else ""
        yield f"{question.label}{often}"


def _section(name: str, module: object) -> list[str]:
    doc = inspect.getdoc(module) or ""
    lines = [f"## {name}", "", doc.strip(), "", "**What it may tell.**", ""]
    lines += [f"- {kind}: {', '.join(fields)}" for kind, fields in _kinds(module).items()]
    traces = {
        f"- {question.label}: {question.trace}"
        for probe in _probes(module)
        for question in probe.questions
        if question.trace
    }
    if traces:
        lines += ["", "**What it leaves behind.**", "", *sorted(traces)]
    return [*lines, ""]


def _kinds(module: object) -> Mapping[str, list[str]]:
    """Fact → fields that the probe's source fills in."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(inspect.getsource(module))):  # type: ignore[arg-type]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            kind = getattr(facts, node.func.id, None)
            if inspect.isclass(kind) and hasattr(kind, "kind"):
                named = {word.arg for word in node.keywords if word.arg}
                found.setdefault(node.func.id, set()).update(named)
    return {kind: sorted(named) for kind, named in sorted(found.items())}


def _tested(name: str) -> list[str]:
    recordings = _recordings(name)
    services = {name, *(service_of(one) for one in _probes(import_module(f"probes.{name}")))}
    return [
        *(f"{server} (emulator)" for server in _behind_emulators(services)),
        *_real_servers(name),
        *([f"recordings {', '.join(recordings)}"] if recordings else []),
        *_published(name),
    ]


def _published(name: str) -> list[str]:
    """Where no recording is at hand: what the replies of a probe's tests are taken from."""
    path = Path(__file__).with_name(f"test_{name}.py")
    return [
        str(ast.literal_eval(node.value))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == "PUBLISHED"
    ]


def _behind_emulators(names: set[str]) -> list[str]:
    """Third-party software that the lab's emulators of these services stand on."""
    found: set[str] = set()
    trees = {
        module.name: ast.parse(inspect.getsource(import_module(f"lab.devices.{module.name}")))
        for module in iter_modules(devices.__path__)
    }
    for tree in trees.values():
        if not names & _served(tree):
            continue
        shared = [
            trees[node.module.rpartition(".")[2]]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lab.devices.")
        ]
        for top in (top for one in (tree, *shared) for top in _imported(one)):
            if top in SOFTWARE or top not in sys.stdlib_module_names | OURS:
                found.add(SOFTWARE.get(top, top))
    return sorted(found)


def _served(tree: ast.AST) -> set[str]:
    """The first words of the emulators' names: "ssh_linux" serves ssh."""
    found: set[str] = set()
    for node in ast.walk(tree):
        target = getattr(node, "target", None) or (getattr(node, "targets", None) or [None])[0]
        if isinstance(target, ast.Name) and target.id == "SERVES":
            keys = [n for n in ast.walk(node) if isinstance(n, ast.Constant)]
            found |= {str(key.value).partition("_")[0] for key in keys}
            found |= {str(key.value) for key in keys}
    return found


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


def _real_servers(name: str) -> list[str]:
    """What the integration tests say that they start: SERVERS = {probe: software}."""
    found: set[str] = set()
    for path in sorted((ROOT / "tests" / "integration").glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            target = getattr(node, "target", None) or (getattr(node, "targets", None) or [None])[0]
            if isinstance(target, ast.Name) and target.id == "SERVERS":
                found |= set(_strings(ast.literal_eval(node.value).get(name, ())))  # type: ignore[attr-defined]
    return sorted(found)


def _strings(value: str | Iterable[str]) -> Iterable[str]:
    return (value,) if isinstance(value, str) else value


def _recordings(name: str) -> list[str]:
    """Patterns of recordings that the probe's tests and the fuzzer's seeds name."""
    found: set[str] = set()
    for place in (f"tests/probes/test_{name}.py", f"tests/fuzz/seeds/{name}.py"):
        path = ROOT / place
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        found |= {
            one.partition("__")[0] + "__*" for one in re.findall(r'"([a-z0-9-]+__[^"]*)"', text)
        }
        found |= {"banners.json"} if "banners" in text else set()
    return sorted(found)


def test_the_page_is_as_the_probes_are() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python tests/probes/test_docs.py"


def test_every_probe_is_tested_against_something_of_other_people() -> None:
    untested = [name for name, _ in _modules() if not _tested(name)]

    assert not untested


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
