"""
Promise 30: which build this is, and that it is the one that was made.

Lock files, two builds compared byte by byte, an installation without a network, and an installed
copy in which single files are changed: it must refuse to scan. What has to be signed by somebody
whom the user knows is missing: Walkdown has no release key yet, so this promise does not hold.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
from collections.abc import Sequence
from pathlib import Path
from random import Random

from scanner.verifier import read_rows
from tests.proof.promise import Measured, Promise, Tally, Unable, Work
from tests.proof.promises.p28_evidence import record

ROOT = Path(__file__).resolve().parents[3]
LOCKS = ("requirements.txt", "requirements-dev.txt")
PARTS = ("scanner", "probes", "checks", "credentials", "reports", "lab")
_INDEX = re.compile(r"--(extra-)?index-url|--find-links|--trusted-host|(^|\s)-[if]\s|://|\s@\s")


def measure(work: Work) -> Measured:
    locked, lock_faults = _locks()
    wheel, build_words, build_faults = _two_builds(work.folder)
    python = _installed(work.folder, wheel)
    tampered = work.in_chunks(
        100, lambda first, n: _tampered(python, work.setting.seed, first, n), name="tampered"
    )
    scan_faults = _scan_refuses(python, work.folder)
    offline, offline_faults = _offline(work, wheel)
    named, named_faults = _probe_set_named(work)
    missing = ["no release key exists: nothing is signed by somebody whom the user knows, and who "
               "rewrites a file and its line in RECORD is not noticed"]  # fmt: skip
    missing.append(_sbom(work.folder))
    faults = (
        *lock_faults, *build_faults, *tampered.faults, *scan_faults, *offline_faults,
        *named_faults,
        *filter(None, missing),
    )  # fmt: skip
    return Measured(
        passed=not faults,
        value=(
            f"{locked}; {build_words}; {tampered.cases - tampered.bad} of {tampered.cases} changed "
            f"installations refused; {offline}; {named}"
        ),
        cases=tampered.cases,
        bad=tampered.bad,
        faults=faults,
        note="a changed compiled copy (__pycache__) is not looked at",
    )


# --- lock files --------------------------------------------------------------------------------


def _locks() -> tuple[str, list[str]]:
    faults, words, sources = [], [], []
    for name in LOCKS:
        text = (ROOT / name).read_text(encoding="utf-8")
        entries = [e for e in text.replace("\\\n", " ").splitlines() if e.strip() and e[0] != "#"]
        pinned = [
            e
            for e in entries
            if re.match(r"^[\w.-]+(\[[\w,-]+\])?==\S+", e) and "--hash=sha256:" in e
        ]
        faults += [f"{name}: not pinned with a hash: {e[:60]}" for e in entries if e not in pinned]
        sources += [
            f"{name}: names an index or an address: {e[:60]}" for e in entries if _INDEX.search(e)
        ]
        known = {_normal(re.split(r"[=\[ ]", e)[0]) for e in pinned}
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        wanted = {
            _normal(re.split(r"[<>=\[; ]", one)[0]) for one in project["project"]["dependencies"]
        }
        faults += [f"{name}: {one} is not locked" for one in sorted(wanted - known)]
        words.append(f"{len(pinned)} of {len(entries)} in {name}")
    named = f"{len(sources)} lines name an index" if sources else "no index named"
    return f"locked with hashes {', '.join(words)}, {named}", faults + sources


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


# --- builds ------------------------------------------------------------------------------------


def _two_builds(folder: Path) -> tuple[Path, str, list[str]]:
    """Wheel and sdist twice, in other folders, with other times, time zone and umask."""
    made: list[dict[str, bytes]] = []
    wheel = folder / "missing"
    for number, (zone, umask) in enumerate((("UTC", 0o022), ("Pacific/Chatham", 0o077))):
        source, out = (
            folder / f"source{number}" / ("x" * number + "tree"),
            folder / f"built{number}",
        )
        for place in (source.parent, out):
            shutil.rmtree(place, ignore_errors=True)
        _copy_source(source)
        for path in source.rglob("*"):
            os.utime(path, (1_700_000_000 + 1000 * number,) * 2)
        _hatch(source, out, {"TZ": zone}, umask)
        made.append({path.name: path.read_bytes() for path in sorted(out.iterdir())})
        wheel = next(out.glob("*.whl"))
    unpacked = folder / "from-sdist"
    shutil.rmtree(unpacked, ignore_errors=True)
    with tarfile.open(next((folder / "built0").glob("*.tar.gz"))) as sdist:
        sdist.extractall(unpacked, filter="data")
    _hatch(next(unpacked.iterdir()), folder / "rebuilt", {}, 0o022, "wheel")
    rebuilt = (folder / "rebuilt" / wheel.name).read_bytes()
    faults = []
    if len(made[0]) != 2 or made[0] != made[1]:
        faults.append("two builds are not the same bytes")
    if rebuilt != made[0][wheel.name]:
        faults.append("a wheel from the sdist is not the wheel from the source tree")
    digest = hashlib.sha256(rebuilt).hexdigest()[:16]
    same = "the same bytes" if not faults else "NOT the same bytes"
    return (
        wheel,
        f"wheel and sdist of two builds, and the sdist's wheel: {same} ({digest}…)",
        faults,
    )


def _copy_source(target: Path) -> None:
    """What git keeps: others may be working in the tree, and caches lie in it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False
    ).stdout.decode()
    names = [name for name in listed.split("\0") if name]
    if not names:  # a source tree without git
        names = [
            path.relative_to(ROOT).as_posix()
            for part in (*PARTS, "tests", "docs")
            for path in (ROOT / part).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        ] + [path.name for path in ROOT.iterdir() if path.is_file()]
    for name in names:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)


def _hatch(source: Path, out: Path, more: dict[str, str], umask: int, *targets: str) -> None:
    if out.exists():
        shutil.rmtree(out)
    words = [part for target in targets for part in ("-t", target)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | more
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(out), *words],
        cwd=source, env=environment, capture_output=True, text=True, check=False, umask=umask,
    )  # fmt: skip
    if done.returncode:
        raise Unable(f"hatchling cannot build: {done.stderr.strip()[-300:]}")


# --- an installed copy -------------------------------------------------------------------------


def _installed(folder: Path, wheel: Path) -> Path:
    """The wheel in an environment of its own; what it needs is lent from ours."""
    home = folder / "installed"
    shutil.rmtree(home, ignore_errors=True)
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    packages = _packages(python)
    _run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps",
         "--no-compile", "--disable-pip-version-check", "--target", str(packages), str(wheel)],
        "pip cannot install the wheel",
    )  # fmt: skip
    (packages / "lent.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    _run([str(python), "-c", CHECK], "an untouched installation is refused")
    return python


def _packages(python: Path) -> Path:
    return next((python.parent.parent / "lib").glob("python3.*")) / "site-packages"


def _run(command: Sequence[str], trouble: str) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd="/", env=_bare(), timeout=300
    )
    if done.returncode:
        raise Unable(f"{trouble}: {(done.stderr or done.stdout).strip()[-300:]}")


def _bare() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | {
        "PYTHONDONTWRITEBYTECODE": "1"
    }


CHECK = """
from scanner import installation
assert installation.changed_files() is not None, "not seen as an installed copy"
installation.refuse_changed_files()
"""
MANY = """
import json, sys
from pathlib import Path
from scanner import installation
for line in sys.stdin:
    order = json.loads(line)
    path = Path(order["path"])
    kept = path.read_bytes() if path.exists() else None
    path.unlink() if order["content"] is None else path.write_bytes(bytes.fromhex(order["content"]))
    found = installation.changed_files()
    path.write_bytes(kept) if kept is not None else path.unlink()
    print(json.dumps([found, installation.changed_files()]), flush=True)
"""


def _tampered(python: Path, seed: int, first: int, n: int) -> Tally:
    """One file changed by one bit, emptied, removed or added; then put back."""
    packages = _packages(python)
    files = sorted(
        path for part in PARTS for path in (packages / part).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )  # fmt: skip
    orders = []
    for number in range(first, first + n):
        chance = Random(f"{seed}/{number}")
        path = files[number % len(files)]
        content: bytes | None = path.read_bytes()
        change = chance.choice(["flip", "flip", "flip", "remove", "add", "empty"])
        if change == "flip" and content:
            at = chance.randrange(len(content))
            content = (
                content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]
            )
        elif change == "remove":
            content = None
        elif change == "add" or not content:
            path, content = path.with_name(f"added_{number}.py"), b"PROBE = None\n"
        else:
            content = b""
        orders.append({"path": str(path), "content": None if content is None else content.hex()})
    told = subprocess.run(
        [str(python), "-c", MANY], input="\n".join(map(json.dumps, orders)), env=_bare(), cwd="/",
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    faults = []
    for order, line in zip(orders, told, strict=True):
        changed, untouched = json.loads(line)
        name = Path(str(order["path"])).relative_to(packages).as_posix()
        if untouched != [] or not changed or not changed[0].startswith(f"{name}: "):
            faults.append(f"{name}: told as {changed}, untouched {untouched}")
    return Tally(cases=n, bad=len(faults), faults=tuple(faults))


def _scan_refuses(python: Path, folder: Path) -> list[str]:
    """The command itself: a scan with one probe changed sends nothing and says which."""
    probe = _packages(python) / "probes" / "modbus.py"
    kept, run = probe.read_bytes(), folder / "refused"
    shutil.rmtree(run, ignore_errors=True)
    site = folder / "site.yaml"
    site.write_text("site: x\nzones:\n  - {id: z, networks: [127.99.0.1/32], sl_t: 1}\n")
    try:
        probe.write_bytes(kept + b"\n# one line more\n")
        command = [str(python), "-c", "from scanner.cli import main; main()"]
        done = subprocess.run(
            [*command, "scan", str(site), "--out", str(run)],
            capture_output=True, text=True, check=False, env=_bare(), cwd="/",
        )  # fmt: skip
    finally:
        probe.write_bytes(kept)
    said = " ".join(done.stderr.split())
    if done.returncode != 1 or "probes/modbus.py: was changed" not in said or run.exists():
        return [f"a scan with a changed probe: exit {done.returncode}, {said[-200:]}"]
    return []


# --- the probe set -----------------------------------------------------------------------------


def _probe_set_named(work: Work) -> tuple[str, list[str]]:
    """What `sha256sum` says of the files stands in runs, in their signed ends and in reports."""
    names = [
        path.relative_to(ROOT)
        for part in ("probes", "scanner/guards", "checks", "credentials/sets")
        for path in (ROOT / part).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    lines = subprocess.run(
        ["sha256sum", *map(str, names)], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines(keepends=True)
    wanted = hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
    folder, faults = work.shared("evidence", lambda place: record(work, place)), []
    runs = ("run", "other", "resumed")
    for name in runs:
        rows = read_rows(folder / name / "walkdown.db")
        begun = json.loads(rows["run"][0][1])["probe_set"]
        ended = json.loads(rows["events"][-1][2])["statement"]["probe_set"]
        report = (folder / name / "report.html").read_text(encoding="utf-8")
        if {begun, ended} != {wanted} or wanted not in report:
            faults.append(f"{name}: does not name the probe set {wanted[:16]}… everywhere")
    return f"{len(runs) - len(faults)} of {len(runs)} runs and reports name their probe set", faults


# --- without a network -------------------------------------------------------------------------


def _offline(work: Work, wheel: Path) -> tuple[str, list[str]]:
    """As README's "Without a network": the second half runs where there is none."""
    if work.size == "ci":
        return "installation without a network: measured in full size only", []
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return "installation without a network: not measured (needs root and unshare)", [
            "installation without a network was not measured"
        ]
    bundle = work.folder / "bundle"
    bundle.mkdir(exist_ok=True)
    lock = str(ROOT / "requirements.txt")
    pip = ["-m", "pip", "--disable-pip-version-check", "-q"]
    _run(
        [sys.executable, *pip, "download", "--require-hashes", "-r", lock, "-d", str(bundle)],
        "the bundle cannot be fetched",
    )
    shutil.copy(wheel, bundle)
    home = work.folder / "laptop"
    shutil.rmtree(home, ignore_errors=True)
    venv.create(home, with_pip=True)
    python = str(home / "bin" / "python")
    alone = ["unshare", "-n", python]
    folder = ["--no-index", "--find-links", str(bundle)]
    try:
        _run([*alone, *pip, "install", *folder, "--require-hashes", "-r", lock], "no dependencies")
        _run([*alone, *pip, "install", *folder, "--no-deps", "walkdown"], "no Walkdown")
        _run([*alone, "-c", CHECK], "the installed copy is refused")
        _run([*alone, "-m", "pip", "check"], "dependencies do not fit")
    except Unable as trouble:
        return "installation without a network: failed", [str(trouble)]
    return f"installed from {len(list(bundle.iterdir()))} files in a namespace without network", []


def _sbom(folder: Path) -> str:
    """A list of components as CycloneDX, if a tool for it is here."""
    tool = shutil.which("cyclonedx-py") or shutil.which(
        "cyclonedx-py", path=str(Path(sys.executable).parent)
    )
    if tool is None:
        return "SBOM: not measured (no cyclonedx-py here)"
    out = folder / "sbom.json"
    _run(
        [tool, "requirements", str(ROOT / "requirements.txt"), "--of", "JSON", "-o", str(out)],
        "cyclonedx-py failed",
    )
    components = json.loads(out.read_bytes()).get("components", [])
    return "" if components else "SBOM: it lists nothing"


PROMISE = Promise(
    number=30,
    title="Known build",
    target="100 % locked; 0 network; same bytes from two builds; SBOM; tampered probe refused; "
    "probe set signed and versioned in each report",
    counts={"ci": 40, "full": 600},
    measure=measure,
    aside=True,
)
