"""
Promise 24: text from devices is inert wherever it is shown.

Every payload of tests/reports/payloads.py goes the real way (devices that say it → scan → store →
every file and every command) and by the shortest way (an assessment whose every text field holds
it, made from the types, so that a new field is there by construction). What comes out is opened by
its real consumers: a pseudo-terminal, headless Chromium, LibreOffice, openpyxl, a JSON reader. In
the same browser and the same spreadsheet stands a document that *is* active, and has to be seen.

A command or a kind of file that this proof does not know is a fault, so that a new one cannot be
forgotten.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from typer.main import get_command

from reports import html, tables, workbook
from reports.inert import visible
from scanner import assess, discovery, initsite
from scanner.cli import exporting, main
from scanner.cli.app import app
from scanner.errors import UsageError
from scanner.site import resolve
from scanner.yamlfile import parse
from tests.proof import consumers, driver, forms, registers, talkers
from tests.proof.plants import authorisation
from tests.proof.promise import Measured, Promise, Work
from tests.reports.payloads import PAYLOADS, RAW
from tests.reports.test_hostile import poisoned

OCTET = 46
PORTS = {
    "modbus": 20502, "http": 20080, "telnet": 20023, "ssh": 20022, "enip": 24818, "snmp": 20161,
}  # fmt: skip
PER_PAGE = 60
"""Payloads of one page: the matrix of a page has as many columns as rows."""
SHORT = 300
LONGEST = 5_000
"""Characters of a payload on a page, which cuts at 4,000; tables take them whole."""

NAMES = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""What a file of ours may be called; none is named after what a device says."""

BYTES = {".db", ".db-wal", ".db-shm", ".pcap", ".key", ".pub", ".signing-key", ".lock"}
"""Files that no consumer shows as text; what is in them is shown by the commands."""

PRODUCT = frozenset({"watched.py", "from scanner.cli import main; main()"})
"""How the proof starts the product itself (tests.proof.__main__); what it says is the same."""

ELSEWHERE = {
    "demo": "scans the bundled plant with the functions of `scan`, shows with those of `scan`",
    "lab up": "starts our own emulators; no device is asked",
    "lab down": "stops them; no device is asked",
    "evidence verifier": "prints a program that is part of the product",
}
"""Commands that show nothing of a device, or nothing that another does not show."""


@dataclass(slots=True)
class Count:
    """What was shown to whom, and what was active there."""

    shown: int = 0
    faults: list[str] = field(default_factory=list)

    def look(self, where: str, active: Sequence[str]) -> None:
        self.shown += 1
        self.faults += [f"{where}: {one}" for one in active]


# --- the shortest way --------------------------------------------------------------------------


def local(text: str, port: int) -> str:
    """Where a payload calls home, home is our own listener, so that a call is heard."""
    text = text.replace("http://evil.example", f"http://127.0.0.1:{port}")
    text = text.replace("https://evil.example", f"http://127.0.0.1:{port}")
    return text.replace("//evil.example", f"http://127.0.0.1:{port}").replace(
        "//127.0.0.1:1/", f"http://127.0.0.1:{port}/"
    )


def harmless(text: str) -> str:
    """The same form of text with nothing in it: what a page of it looks like is the yardstick."""
    return "".join(" " if character == " " else "a" for character in text)


def marked(text: str, number: int) -> str:
    """Distinct from every other, also where it is cut, and in its harmless twin."""
    return f"q{number:03} {text}" if len(text) > SHORT else f"{text} q{number:03}"


def twin_of(text: str) -> str:
    """The harmless form of a marked text, with the same mark."""
    if len(text) > SHORT + 5:
        return text[:5] + harmless(text[5:])
    return harmless(text[:-5]) + text[-5:]


def keeping_apart() -> Callable[[str], str]:
    """
    For a page of a scan: what our own words and plain names are made of stays, the rest becomes
    letters, as long as it is when it is made visible; different texts stay different.
    """
    taken: dict[str, str] = {}

    def kept(text: str) -> str:
        for turn in range(26):
            made = "".join(
                c
                if re.fullmatch(r"[A-Za-z0-9 .,:;_/#()-]", c)
                else chr(ord("a") + (ord(c) + turn) % 26) * len(visible(c))
                for c in text
            )
            if taken.setdefault(made, text) == text:
                return made
        raise ValueError(f"no harmless twin of its own for {text!r}")

    return kept


def in_a_browser(
    work: Work, count: Count, runs: Sequence[Path], scanned: Mapping[str, bytes]
) -> None:
    """Pages with hostile and with harmless text must have the same elements and attributes."""
    twins = {}
    for run in runs:
        assessment = assess.from_json((run / "assessment.json").read_bytes())
        twins[f"{run.name}-report"] = html.render(poisoned(assessment, keeping_apart()))
    with consumers.listening() as listener:
        texts = [
            marked(local(text[:LONGEST], listener.port), number)
            for number, text in enumerate(PAYLOADS)
        ]
        heads = [text for text in texts if len(text) < 80]
        pages: dict[str, bytes] = dict(scanned)
        pages |= {f"twin-{name}": document for name, document in twins.items()}
        groups = range(0, len(texts), PER_PAGE)
        for number, first in enumerate(groups):
            group = texts[first : first + PER_PAGE]
            head = " ".join(heads[number :: len(groups)])
            pages[f"hostile{number}"] = html.render(forms.assessment(group, head=head))
            pages[f"twin{number}"] = html.render(
                forms.assessment([twin_of(text) for text in group], head=harmless(head))
            )
        control = f"<p><img src='http://127.0.0.1:{listener.port}/control' onerror=''>"
        control += "<script>console.log('control spoke')</script></p></body>"
        first_twin = pages["twin0"].decode().replace("</body>", control)
        pages["control"] = re.sub(r"<meta http-equiv[^>]*>", "", first_twin).encode()
        seen = consumers.opened(pages, work.folder / "browser", listener)
    for name, document in pages.items():
        if name != "control":
            count.look(name, consumers.hidden(document.decode()))
    if missing := set(pages) - set(seen.pages):
        count.faults.append(f"pages that did not open: {', '.join(sorted(missing))}")
        return
    told = [line for line in seen.console if "control spoke" in line]
    asked = [line for line in seen.requests if line.startswith("GET /control ")]
    changed = seen.pages["control"].shape != seen.pages["twin0"].shape
    if not (told and asked and changed):
        count.faults.append("the browser did not show us the page that is active (control)")
    count.look("browser console", [line[:200] for line in seen.console if line not in told])
    count.look("browser network", [line[:200] for line in seen.requests if line not in asked])
    for number in range(len(groups)):
        hostile, twin = seen.pages[f"hostile{number}"], seen.pages[f"twin{number}"]
        count.look(f"page {number}", differences(hostile.shape, twin.shape))
    for name in scanned:
        if name not in twins:
            count.faults.append(f"{name}: this proof has no harmless twin of that page")
            continue
        found = differences(seen.pages[name].shape, seen.pages[f"twin-{name}"].shape)
        count.look(f"page {name}", found)


def differences(one: Mapping[str, int], other: Mapping[str, int]) -> list[str]:
    keys = sorted({*one, *other})
    return [f"{k}: {one.get(k, 0)} instead of {other.get(k, 0)}" for k in keys
            if one.get(k) != other.get(k) or k.startswith("ACTIVE ")][:5]  # fmt: skip


def in_tables(work: Work, count: Count, scanned: Sequence[Path]) -> None:
    """The payloads exactly as they are, and ours saved by the commands, in a spreadsheet."""
    folder = work.folder / "tables"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    short = forms.assessment([text[:SHORT] for text in PAYLOADS], head=PAYLOADS[0])
    long = forms.assessment([text for text in PAYLOADS if len(text) > SHORT], head=PAYLOADS[1])
    own = {**tables.render(short), workbook.NAME: workbook.render(short)}
    own |= {f"long-{workbook.NAME}": workbook.render(long)}
    own |= {f"long-{name}": content for name, content in tables.render(long).items()}
    made = []
    for name, content in own.items():
        path = folder / name
        path.write_bytes(content)
        made.append(path)
    sheets = [*made, *scanned]
    control = folder / "control.csv"
    control.write_text('a,"b"\r\n=1+1,"c;=2+2;d"\r\n', encoding="utf-8")
    for path in sheets:
        content = path.read_bytes()
        reader = READERS[path.suffix]
        count.look(path.name, reader(content))
    books = [path for path in sheets if path.suffix == ".xlsx"]
    # Over-long cells take LibreOffice minutes to lay out: those it gets as a workbook only.
    brief = [path for path in made if not path.name.startswith("long-")]
    for separators in ("44", "59/44/9", "59"):
        files = [*brief, *scanned] if separators == "44" else brief
        flat = [path for path in files if path.suffix == ".csv"]
        opened = consumers.calculated([*flat, control], folder / "office", separators=separators)
        if not opened.pop(control):
            count.faults.append(f"the formula of the control was not seen ({separators})")
        for path, active in opened.items():
            count.look(f"{path.name} in LibreOffice, separators {separators}", active)
    for path, active in consumers.calculated(books, folder / "office").items():
        count.look(f"{path.name} in LibreOffice", active)


def text_file(document: bytes) -> list[str]:
    return consumers.hidden(consumers.decoded(document))


def in_wireshark(document: bytes) -> list[str]:
    """What a capture says beside its packets: names and comments, as tshark shows them."""
    shown = subprocess.run(
        ["tshark", "-r", "-", "-T", "json", "-e", "frame.comment", "-e", "frame.interface_name",
         "-e", "frame.interface_description"],
        input=document, capture_output=True, check=False,
    )  # fmt: skip
    if shown.returncode or not json.loads(shown.stdout):
        return [f"tshark cannot read it: {shown.stderr[-200:]!r}"]
    return consumers.active_json(shown.stdout)


READERS: Mapping[str, Callable[[bytes], list[str]]] = {
    ".json": consumers.active_json,
    ".csv": consumers.active_csv,
    ".xlsx": consumers.active_xlsx,
    ".html": text_file,
    ".svg": text_file,
    ".txt": text_file,
    ".pcapng": in_wireshark,
}


# --- the real way ------------------------------------------------------------------------------


def devices(work: Work) -> list[dict[str, Any]]:
    """
    One device per six payloads, each in another of its services; in the full size every payload
    in every service.
    """
    texts = [text.encode("utf-8", "surrogatepass") for text in PAYLOADS] + list(RAW)
    services = list(PORTS)
    turns = range(len(services)) if work.size == "full" else range(1)
    entries = []
    for turn in turns:
        for first in range(0, len(texts), len(services)):
            own = [texts[(first + n) % len(texts)] for n in range(len(services))]
            number = len(entries)
            entries.append(
                {
                    "address": f"127.{OCTET}.{number // 250}.{number % 250 + 1}",
                    "ports": PORTS,
                    "texts": {
                        service: own[(n + turn) % len(own)].hex()
                        for n, service in enumerate(services)
                    },
                }
            )
    return entries


def site_of(folder: Path, entries: Sequence[Mapping[str, Any]]) -> Path:
    """A site file with these devices, and a backup folder with hostile file names."""
    now = datetime.now(UTC)
    shutil.rmtree(folder, ignore_errors=True)
    backups = folder / "backups"
    names = [text.encode("utf-8", "surrogatepass") for text in PAYLOADS] + list(RAW)
    assets = []
    for number, entry in enumerate(entries):
        name = f"D{number:03}"
        assets.append({"name": name, "address": entry["address"], "probes": list(PORTS)})
        own = backups / name
        own.mkdir(parents=True)
        raw = names[number % len(names)].replace(b"/", b"").replace(b"\0", b"")[:180]
        file = raw if raw not in (b"", b".", b"..") else b"x"
        with open(os.path.join(os.fsencode(own), file + b".cfg"), "wb") as out:  # noqa: PTH118, PTH123
            out.write(b"hostname x\n")
    zones = []
    for third in sorted({entry["address"].split(".")[2] for entry in entries}, key=int):
        network = f"127.{OCTET}.{third}."
        known = {e["address"] for e in entries if e["address"].startswith(network)}
        zones.append(
            {
                "id": f"z{third}", "networks": [f"{network}0/24"], "sl_t": 1, "tier": "identify",
                "profile": "lab", "ports": PORTS, "probes": list(PORTS),
                "exclude": [f"{network}{d}" for d in range(256) if f"{network}{d}" not in known],
                "assets": [asset for asset in assets if asset["address"] in known],
            }
        )  # fmt: skip
    content = {
        "site": "Hostile devices",
        "authorisation": authorisation(now),
        "zones": zones,
        "backups": {
            "sources": [{"id": "b", "kind": "folder", "path": "backups"}],
            "policy": {"plc": {"max_age": "30d"}},
        },
    }  # fmt: skip
    site = folder / "site.yaml"
    site.write_text(json.dumps(content), encoding="ascii")
    return site


def scan(work: Work, count: Count, folder: Path) -> Path:
    """Scan the devices on a terminal with colours and a progress line. Returns the run."""
    entries = devices(work)
    site = site_of(folder, entries)
    run = folder / "run"
    with talkers.talking(entries, folder):
        seen, code = consumers.on_a_terminal(
            [*work.setting.walkdown, "scan", str(site), "--out", str(run)],
            folder=folder, colours=True, timeout_s=1800,
        )  # fmt: skip
    count.look("scan on a terminal", consumers.active_on_a_terminal(seen, colours=True))
    if code != 0:
        count.faults.append(f"scan ended with {code}: {seen[-300:]!r}")
    assessment = assess.from_json((run / "assessment.json").read_bytes())
    answered = sum(asset.presence != "declared_and_silent" for asset in assessment.assets)
    if answered != len(entries):
        count.faults.append(f"only {answered} of {len(entries)} hostile devices were seen")
    return run


def files_of(place: Path) -> Iterator[Path]:
    """Those in a folder, or the file itself."""
    if place.is_file():
        yield place
    yield from (path for path in sorted(place.rglob("*")) if path.is_file())


def look_at_files(count: Count, folder: Path) -> tuple[dict[str, bytes], list[Path]]:
    """Every file of a folder, by kind. Returns pages for the browser and sheets for LibreOffice."""
    pages, sheets = {}, []
    for path in files_of(folder):
        if not NAMES.fullmatch(path.name):
            count.faults.append(f"a file is called {path.name!r}")
        if path.suffix in (".csv", ".xlsx"):
            sheets.append(path)
        elif path.suffix in READERS:
            count.look(path.name, READERS[path.suffix](path.read_bytes()))
            if path.suffix == ".html":
                pages[f"{folder.name}-{path.stem}"] = path.read_bytes()
        elif path.suffix not in BYTES and not path.name.endswith((".db-wal", ".db-shm")):
            count.faults.append(f"{path.name}: this proof does not know who opens {path.suffix!r}")
    return pages, sheets


# --- every command -----------------------------------------------------------------------------


def commands() -> frozenset[str]:
    """All commands of the product, walked."""

    def walk(command: Any, path: tuple[str, ...]) -> Iterator[str]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield " ".join(path)
        else:
            for name, one in inner.items():
                yield from walk(one, (*path, name))

    return frozenset(walk(get_command(app), ()))


ENDS: Mapping[str, int] = {"lab score": 2}  # what a hostile device says is no plant of ours
"""Exit codes of commands that have hostile text and sound arguments, where they are not 0."""

VALUES: Mapping[str, Callable[[], frozenset[str]]] = {
    "export": lambda: frozenset(exporting.KINDS),
    "import": lambda: frozenset(one.name for one in discovery.importers()),
}
"""Words that make a command write or read another format."""


def options(name: str) -> frozenset[str]:
    """The options of a command that make it speak in another form, and their values."""
    command: Any = get_command(app)
    for part in name.split():
        command = command.commands[part]
    flags = {flag for one in command.params for flag in one.opts}
    return (
        frozenset(flags & {"--json", "--csv", "--xlsx", "--full", "--html", "--markdown", "--dot"})
        | VALUES.get(name, frozenset)()
    )


def argument(text: str) -> str:
    """A payload as an operating system hands it over."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()[:4000]


def command_of(work: Work, line: Sequence[str]) -> Sequence[str] | Callable[[], None]:
    """The product itself is forked, which spares Python's start; another scanner is started."""
    if Path(work.setting.walkdown[-1]).name not in PRODUCT:
        return [*work.setting.walkdown, *line]

    def be() -> None:
        sys.argv = ["walkdown", *line]
        main()

    return be


def on_terminals(work: Work, count: Count, run: Path, site: Path) -> list[Path]:
    """Every command with hostile input on a terminal. Returns the sheets that they wrote."""
    folder = work.folder / "commands"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    # What a terminal could take for more than text; the rest is shown by the reports.
    clean = [
        text.encode("utf-8", "replace").decode()[:SHORT]
        for text in PAYLOADS
        if not (text.isascii() and text.isprintable()) or set(text) & set("[\\")
    ]
    clean = list(dict.fromkeys(clean))
    hostile = folder / "hostile"
    hostile.mkdir()
    document = forms.assessment(clean, head=" ".join(t for t in clean if len(t) < 60)[:3000])
    (hostile / "assessment.json").write_bytes(assess.to_json(document))
    half = folder / "half.json"
    fewer = forms.assessment(clean[::2], head=clean[0])
    half.write_bytes(assess.to_json(fewer))
    spoilt = (t for t in PAYLOADS if ("\x1b" in t or "\u202e" in t) and len(t) < 100)
    bad = argument("".join(spoilt))
    names = folder / "names.yaml"
    content = json.loads(site.read_text())
    wanted = [t for t in clean if t.isprintable() and t.strip() == t and len(t) < 60]
    content["zones"] = [
        {"id": "n", "networks": [f"127.{OCTET}.200.0/28"], "sl_t": 1, "profile": "default",
         "assets": [{"name": name, "tier": "passive"} for name in wanted]},
        {"id": "m", "networks": [f"127.{OCTET}.201.0/25"], "sl_t": 1, "tier": "passive"},
    ]  # fmt: skip
    content["backups"]["sources"][0]["path"] = str(site.parent / "backups")
    names.write_text(json.dumps(content), encoding="ascii")
    broken = folder / "broken.yaml"
    content["zones"][0]["assets"] = [{"name": name, name: name} for name in clean[:60]]
    broken.write_text(json.dumps(content), encoding="ascii")
    book = folder / "inventory.xlsx"
    others = folder / "others"
    others.mkdir()
    hosts = [f"127.{OCTET}.201.{n + 1}" for n in range(120)]
    for called, make in registers.FILES.values():
        make(others / called, clean, hosts)
    exported = folder / "exported"
    exported.mkdir()
    mine = str(names)
    imports = [
        ["import", *map(str, files_of(others / called)), "--site", mine, "--format", name, "--json",
         "--out", str(folder / f"imported-{name}")]
        for name, (called, _) in registers.FILES.items()
    ]  # fmt: skip
    imports.append(["import", str(run / "capture.pcap"), "--site", str(site), "--format", "pcap",
                    "--out", str(folder / "imported-pcap")])  # fmt: skip
    outside = folder / "imported-outside"  # of every zone, so that zones are proposed
    imports.append(["import", str(run / "capture.pcap"), "--site", mine, "--out", str(outside)])
    imports.append(["import", str(others / "register.csv"), str(others / "scan.xml"),
                    "--site", mine, "--out", str(folder / "imported-both")])  # fmt: skip
    # A zone may not be called so; that it is called so here is what the page shows.
    refused = ["init", "--from", str(hostile), "--site", "x<b>", "--out", "-"]
    lines: list[list[str]] = [
        ["init", "--cidr", "10.0.0.0/24", "--zone", "z", "--site", "x<b>", "--out", "-"],
        ["init", "--cidr", bad, "--zone", bad, "--site", bad, "--out", "-"],
        ["plan", mine], ["plan", mine, "--full"], ["plan", mine, "--json"],
        ["plan", str(broken)], ["plan", bad],
        ["scan", bad], ["scan", str(site), "--fail-on", bad], ["scan", str(site), "--only", bad],
        ["scan", mine, "--json", "--out", str(folder / "none")],
        ["assess", str(run), "--site", str(site)], ["assess", bad],
        ["report", str(hostile)], ["report", bad],
        ["diff", str(hostile), str(half)], ["diff", str(half), str(hostile)],
        ["diff", str(run), str(run), "--json"], ["diff", str(half), str(hostile), "--json"],
        ["inventory", str(run)], ["inventory", str(run), "--json"], ["inventory", str(hostile)],
        ["inventory", str(hostile), "--csv"], ["inventory", str(hostile), "--json"],
        ["inventory", str(hostile), "--xlsx", str(book)], ["inventory", str(run), "--zone", bad],
        ["topology", str(run)], ["topology", str(hostile)], ["topology", str(hostile), "--json"],
        ["topology", str(hostile), "--dot"],
        refused,
        *imports, ["init", "--from", str(outside), "--site", "x<b>", "--out", "-"],
        ["import", bad, "--site", bad, "--out", bad, "--format", bad],
        ["export", str(hostile), "--to", "csv", "--out", "-"],
        ["export", str(hostile), "--to", "csv", "--out", str(exported / "exported.csv"), "--json"],
        ["export", str(hostile), "--to", "netbox", "--out", str(exported / "devices.json")],
        ["export", str(hostile), "--to", "netbox", "--out", str(exported / "models")],
        ["export", str(hostile), "--to", "cyclonedx", "--out", "-"],
        ["export", str(hostile), "--to", "cyclonedx", "--out", str(exported / "bom.json")],
        ["export", str(run), "--to", "pcapng", "--out", str(exported / "run.pcapng")],
        ["export", bad, "--to", bad, "--out", bad],
        ["schema"],
        ["evidence", "show", str(run)], ["evidence", "show", str(run), "--json"],
        ["evidence", "show", str(run), "--asset", bad],
        ["evidence", "verify", str(run)], ["evidence", "verify", str(run), "--json"],
        ["evidence", "verify", bad], ["evidence", "certificate", str(run)],
        ["evidence", "certificate", str(run), "--json"], ["evidence", "certificate", bad],
        ["schedule", "add", str(site), "--name", "s", "--rule", "FREQ=WEEKLY",
         "--start", "2027-01-01T00:00", "--", bad],
        ["schedule", "add", str(site), "--name", bad, "--rule", bad, "--start", bad],
        ["schedule", "list", str(site)], ["schedule", "list", str(site), "--json"],
        ["schedule", "run", str(site), "--out", str(folder / "runs")],
        ["schedule", "remove", str(site), bad], ["schedule", "remove", str(site), "s"],
        ["lab", "score", str(hostile)], ["lab", "score", str(hostile), "--json"],
        [bad], ["report", "--" + bad],
    ]  # fmt: skip
    driver.preload()
    tried: dict[str, set[str]] = {}
    every = commands()
    for line in lines:
        seen, code = consumers.on_a_terminal(command_of(work, line), folder=folder)
        shown = " ".join(ascii(part)[:40] for part in line[:3])
        if "--csv" in line or "csv" in line:
            seen = seen.replace(b"\r\n", b"\n")  # the line ends of the format
        count.look(f"walkdown {shown}", consumers.active_on_a_terminal(seen))
        if code in (4, 70) or code < 0 or (code and not seen):
            count.faults.append(f"walkdown {shown} ended with {code}: {seen[-300:]!r}")
        name = next((n for n in (" ".join(line[:2]), line[0]) if n in every), None)
        sound = not any(bad in part or str(broken) in part for part in line)
        if sound and code != (1 if line is refused else ENDS.get(name or "", 0)):
            count.faults.append(f"walkdown {shown} ended with {code}: {seen[-300:]!r}")
        if name is not None:
            tried.setdefault(name, set()).update(line)
    for name in sorted(every - set(ELSEWHERE)):
        if name not in tried:
            count.faults.append(f"`walkdown {name}` is not part of this proof")
        elif forgotten := options(name) - tried[name]:
            count.faults.append(f"`walkdown {name} {' '.join(forgotten)}` is not part of it")
    piped = folder / "inventory.csv"
    done = subprocess.run(
        [*work.setting.walkdown, "inventory", str(hostile), "--csv"],
        capture_output=True, cwd=folder, check=False,
    )  # fmt: skip
    piped.write_bytes(done.stdout)
    return [book, piped]


def site_files(count: Count) -> None:
    """The comments and keys of `init`: text ends up in its own value or is refused."""
    for text in PAYLOADS:
        for words in ({"site": text}, {"file": text or "x"}):
            given = {"site": "x", "file": "x", **words}
            try:
                made = initsite.render(["10.0.0.0/24"], ["z"], **given)
            except UsageError:
                continue
            active = consumers.hidden(made)
            read = resolve(parse(made, Path("site.yaml")))
            if read.name != given["site"].strip() or len(read.zones) != 1:
                active.append("the file says something else than was asked for")
            count.look(f"init with {ascii(text)[:40]}", active)


def measure(work: Work) -> Measured:
    count = Count()
    fields = set(forms.text_fields())
    pairs = set(forms.texts_in(forms.assessment(PAYLOADS, head="x")))
    filled = {name for name, _ in pairs}
    count.faults += [f"{name} is never filled" for name in sorted(fields - filled)]
    site_files(count)
    work.say("site files made")
    folder = work.folder / "scan"
    run = scan(work, count, folder)
    work.say("hostile devices scanned")
    written = on_terminals(work, count, run, folder / "site.yaml")
    work.say("every command shown on a terminal")
    imported = sorted((work.folder / "commands").glob("imported-*"))
    pages: dict[str, bytes] = {}
    for place in (run, *imported, work.folder / "commands" / "exported"):
        found, sheets = look_at_files(count, place)
        pages |= found
        written += sheets
    in_a_browser(work, count, [run, *imported], pages)
    work.say("pages opened in a browser")
    in_tables(work, count, written)
    work.say("tables opened in a spreadsheet")
    texts = len(PAYLOADS) + len(RAW)
    return Measured(
        passed=not count.faults and len(PAYLOADS) >= 200,
        value=(
            f"{len(count.faults)} active; {texts} payloads in {len(fields)} text fields, "
            f"{count.shown} documents and screens opened"
        ),
        cases=len(pairs),
        bad=len(count.faults),
        faults=tuple(count.faults[:20]),
    )


PROMISE = Promise(
    number=24,
    title="Device text is inert everywhere",
    target="0 active of at least 200 payloads in every sink, opened by real consumers",
    counts={"ci": len(PAYLOADS), "full": len(PAYLOADS)},
    measure=measure,
    aside=True,
)
