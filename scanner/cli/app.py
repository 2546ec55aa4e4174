"""The commands. Exit codes: 0 done; 1 usage or site file; 2 gaps at or above --fail-on; 3 halted
by a safety rule or the window, or a promise was broken; 4 internal error; 130 after Ctrl-C."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import shlex
import sys
import traceback
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from reports.inert import ascii_json, visible
from scanner import __version__
from scanner.cli.terminal import Terminal
from scanner.errors import ToolBug, UsageError, WalkdownError

USAGE, GAPS, HALTED, INTERNAL, INTERRUPTED = 1, 2, 3, 4, 130

OF_THE_MACHINE = {
    errno.ENOSPC: "free some space, or write elsewhere",
    errno.EDQUOT: "free some space, or write elsewhere",
    errno.EROFS: "the place is read-only; write elsewhere",
    errno.EACCES: "you may not read or write there; mend the permissions, or name another place",
    errno.EPERM: "you may not read or write there; mend the permissions, or name another place",
    errno.ENOENT: "make the folder first, or name another place",
    errno.ENOTDIR: "part of the path is a file; name another place",
    errno.EISDIR: "it is a folder; name a file",
}
"""Errors of files that are nobody's bug, and what to do about them."""

app = typer.Typer(
    name="walkdown",
    help="Safe, read-only walkdown of industrial networks, judged against IEC 62443-3-3.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
evidence_app = typer.Typer(help="What was sent when, and whether the record is intact.")
schedule_app = typer.Typer(help="Periodic re-scans of a site.")
lab_app = typer.Typer(help="The simulated plant that ships with Walkdown.")
app.add_typer(evidence_app, name="evidence", no_args_is_help=True)
app.add_typer(schedule_app, name="schedule", no_args_is_help=True)
app.add_typer(lab_app, name="lab", no_args_is_help=True)

SiteFile = Annotated[Path, typer.Argument(help="The site file.", show_default=False)]
Run = Annotated[str, typer.Argument(help="A run's folder, its database, or a URL.")]
WatchPackets = Annotated[
    bool,
    typer.Option(
        "--capture/--no-capture",
        help="Keep the headers of our own packets beside the run, where the system allows it.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
Only = Annotated[
    list[str] | None, typer.Option("--only", help="Ask this address only; may be repeated.")
]


class Ended(Exception):
    """Ends the program with an exit code of ours."""

    def __init__(self, code: int) -> None:
        self.code = code


def run() -> None:
    """Parse, carry out, and turn every outcome into its exit code."""
    _leave_no_core()
    try:
        app()
    except Ended as ended:
        code = ended.code
    except SystemExit as ended:
        # The parser's own code for usage is 2, which is ours for gaps.
        code = USAGE if ended.code == 2 else int(ended.code or 0)
    except KeyboardInterrupt:
        err().print("stopped")
        code = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except ToolBug as bug:
        _internal(bug)
        code = INTERNAL
    except WalkdownError as error:
        _say(error)
        code = USAGE
    except OSError as error:
        if error.errno in OF_THE_MACHINE:
            where = error.filename or "the output"
            _say(UsageError(f"{where}: {error.strerror}\n  hint: {OF_THE_MACHINE[error.errno]}"))
            code = USAGE
        else:
            _internal(error)
            code = INTERNAL
    except Exception as bug:
        _internal(bug)
        code = INTERNAL
    raise SystemExit(code)


def _leave_no_core() -> None:
    """A crash must not write our memory, with the operator's secrets in it, to a disk (core(5))."""
    try:
        import resource
    except ImportError:  # Windows keeps no such file unless it is told to
        return
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))


def _say(error: WalkdownError) -> None:
    from scanner.cli import rights

    words = f"walkdown: {error}{rights.reminder(str(error))}"
    err().print(words, markup=False, highlight=False, soft_wrap=True)


def _internal(bug: Exception) -> None:
    place = traceback.extract_tb(bug.__traceback__)[-1]
    err().print(
        f"walkdown: internal error: {type(bug).__name__} in {Path(place.filename).name}, line "
        f"{place.lineno}. Nothing more was sent. Please report it with this line; "
        "WALKDOWN_TRACEBACK=1 shows where it comes from.",
        markup=False,
        highlight=False,
    )
    if os.environ.get("WALKDOWN_TRACEBACK"):
        lines = "".join(traceback.format_exception(bug))
        err().print(lines, markup=False, highlight=False, soft_wrap=True)


def out() -> Console:
    return Terminal()


def err() -> Console:
    return Terminal(stderr=True)


def _print_json(value: object) -> None:
    _write(json.dumps(value, indent=2, default=_plain).encode())


def _write(document: bytes) -> None:
    """JSON in pure ASCII, so that text from devices stays inert in a terminal too."""
    sys.stdout.write(ascii_json(document).decode("ascii") + "\n")


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


@app.callback(invoke_without_command=True)
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        sys.stdout.write(f"walkdown {__version__}\n")
        raise Ended(0)


# --- the way of a new user ---------------------------------------------------------------------


@app.command(
    epilog="Example: walkdown init --cidr 10.1.0.0/24 --zone control --cidr 10.2.0.0/24 --zone hmi"
)
def init(
    cidr: Annotated[
        list[str] | None, typer.Option("--cidr", help="A network, as 10.1.0.0/24.")
    ] = None,
    zone: Annotated[
        list[str] | None, typer.Option("--zone", help="The zone it is, in the same order.")
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--from", help="A run whose proposed zones are written, instead of --cidr."),
    ] = None,
    site: Annotated[str | None, typer.Option("--site", help="The site's name.")] = None,
    output: Annotated[Path, typer.Option("--out", help="File to write, or - .")] = Path(
        "site.yaml"
    ),
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a commented site file: for your own networks, or with the zones a run proposes."""
    from scanner import initsite

    if run is not None and (cidr or zone):
        raise UsageError("--from and --cidr: one of the two\n  hint: --from names the networks")
    if run is None:
        text = initsite.render(cidr or (), zone or (), site=site or "My plant", file=str(output))
    else:
        from scanner.cli import assessing

        known = assessing.read_assessment(run)
        text = initsite.render_proposed(
            known.zones, known.topology, site=site or known.site, file=str(output)
        )
    if str(output) == "-":
        sys.stdout.write(text)
        return
    if output.exists() and not force:
        raise UsageError(f"{output} exists already\n  hint: another --out, or --force")
    output.write_text(text, encoding="utf-8")
    out().print(
        f"{output} written. Fill in `authorisation`, then: walkdown plan {output}", markup=False
    )


@app.command(epilog="Example: walkdown plan site.yaml --only 10.1.0.12")
def plan(
    site_file: SiteFile,
    only: Only = None,
    full: Annotated[bool, typer.Option("--full", help="List empty addresses too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List every request per device and the packet budget. Sends nothing."""
    from scanner.cli import display, scanning

    which = scanning.load_site(site_file, now=_now())
    made = scanning.make_plan(which, only=tuple(only or ()))
    if as_json:
        _print_json(_plan_json(made))
    else:
        display.show_plan(out(), made, full=full)


def _plan_json(made: object) -> dict[str, object]:
    from scanner.plan import Plan

    assert isinstance(made, Plan)  # noqa: S101 - typed for the lazy import
    likely, longest = made.duration()
    return {
        "site": made.site.name,
        "digest": made.digest,
        "packets": made.budget,
        "questions": made.questions,
        "likely_s": likely.total_seconds(),
        "longest_s": longest.total_seconds(),
        "skipped": made.skipped,
        "loosenings": made.site.loosenings(),
        "traces": [
            dict(zip(("service", "question", "trace"), t, strict=True)) for t in made.traces()
        ],
        "devices": [
            {
                "zone": device.zone,
                "addresses": device.addresses,
                "name": device.name,
                "declared": device.declared,
                "profile": device.profile.name,
                "fragile": [
                    {
                        "id": one.id,
                        "rule": one.rule.words(),
                        "why": one.why,
                        "source": one.source.address,
                    }
                    for one in device.fragile
                ],
                "tier": device.policy.tier,
                "packets": device.budget,
                "canaries": device.canaries,
                "seats": sorted(device.seats),
                "questions": [
                    {
                        "address": q.target.address,
                        "transport": q.target.transport,
                        "port": q.target.port,
                        "service": q.service,
                        "probe": q.probe.name,
                        "tier": q.probe.tier,
                        "packets_usual": q.usual,
                        "packets_worst": q.worst,
                        "only_if": q.only_if,
                        "requests": [
                            {
                                "label": asked.label,
                                "at_most": asked.at_most,
                                "sample": asked.sample.hex(),
                                "trace": asked.trace,
                            }
                            for asked in q.probe.questions
                        ],
                    }
                    for q in device.questions
                ],
            }
            for device in made.devices
        ],
    }


@app.command(
    epilog="Example: walkdown scan site.yaml --only 10.1.0.12 --out pilot; "
    "then walkdown scan site.yaml --out run1"
)
def scan(
    site_file: SiteFile,
    output: Annotated[Path | None, typer.Option("--out", help="Folder for the run.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    repeat_interrupted: Annotated[
        bool,
        typer.Option(
            "--repeat-interrupted",
            help="As --resume, and ask again what was in flight at the stop.",
        ),
    ] = False,
    only: Only = None,
    store: Annotated[
        str | None, typer.Option("--store", help="postgresql URL for the run, instead of a file.")
    ] = None,
    fail_on: Annotated[
        str | None,
        typer.Option("--fail-on", help="Exit 2 with gaps of this severity or worse (critical, …)."),
    ] = None,
    watch_packets: WatchPackets = True,
    as_json: AsJson = False,
) -> None:
    """Scan a site inside its authorised window, then assess and report."""
    from scanner.cli import assessing, display, rights, scanning

    bar = _severity(fail_on)
    folder = output or Path(f"run-{_now():%Y%m%d-%H%M%S}")
    if resume and output is None:
        raise UsageError("--resume needs --out: which run is to go on?")
    order = scanning.ScanOrder(
        site_file=site_file,
        out=folder,
        resume=resume or repeat_interrupted,
        repeat_interrupted=repeat_interrupted,
        only=tuple(only or ()),
        store=store,
        capture=watch_packets,
    )
    rights.check_files(read=(site_file,), write=(site_file.parent, folder))
    helper = rights.give_up(watch_packets=watch_packets)
    assessing.check_inputs(scanning.load_site(site_file), now=_now(), environment=os.environ)
    end = asyncio.run(
        scanning.scan(order, environment=os.environ, watch=display.Progress(err()), helper=helper)
    )
    which = scanning.load_site(site_file)
    assessment = assessing.assess_runs(
        [end.store], which, now=_now(), environment=os.environ, beside=folder
    )
    written = assessing.write_reports(assessment, folder)
    if as_json:
        _print_json({"state": end.state, "reason": end.reason, "files": [str(p) for p in written]})
    else:
        display.show_summary(out(), assessment)
        out().print(f"\nReport: {folder / 'report.html'}", markup=False)
    again = ["walkdown", "scan", str(site_file), "--out", str(folder), "--resume"]
    again += [part for address in only or () for part in ("--only", address)]
    if store is not None:
        again += ["--store", "URL"]  # as it was given; it may hold a password
    _end_of_scan(end, shlex.join(again))
    _kept_its_promises(assessment)
    _fail_on(assessment, bar)


def _end_of_scan(end: object, resume: str) -> None:
    from scanner.cli.scanning import ScanEnd

    assert isinstance(end, ScanEnd)  # noqa: S101 - typed for the lazy import
    if end.state == "finished":
        return
    err().print(
        f"{end.state}: {end.reason}\nAll connections are closed and what was learned is kept. "
        f"To go on: {resume}",
        markup=False,
        highlight=False,
    )
    raise Ended(INTERRUPTED if end.rule == "stop" else HALTED)


def _kept_its_promises(assessment: object) -> None:
    from scanner.model import Assessment

    assert isinstance(assessment, Assessment)  # noqa: S101 - typed for the lazy import
    if any(one.with_verdict("fail") for one in assessment.safety.certificates):
        raise Ended(HALTED)


def _severity(text: str | None) -> int | None:
    from scanner.model import Severity

    if text is None:
        return None
    try:
        return Severity(text.lower()).rank
    except ValueError:
        names = ", ".join(Severity)
        raise UsageError(f"--fail-on {text}: not a severity\n  hint: one of {names}") from None


def _fail_on(assessment: object, bar: int | None) -> None:
    from scanner.model import Assessment

    assert isinstance(assessment, Assessment)  # noqa: S101 - typed for the lazy import
    if bar is not None and any(gap.severity.rank <= bar for gap in assessment.gaps):
        raise Ended(GAPS)


@app.command(
    "import",
    epilog="Examples: walkdown import plant.pcap --site site.yaml --out monday; "
    "walkdown import zeek/*.log nmap.xml --site site.yaml --out logs; "
    "walkdown import register.csv --site site.yaml --out list; "
    "then walkdown assess night1 monday --out both. docs/import.md lists formats and fields.",
)
def import_(
    files: Annotated[list[Path], typer.Argument(help="Files to read.", show_default=False)],
    site_file: Annotated[Path, typer.Option("--site", help="The site file.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--out", help="Folder for the run; a new one.", show_default=False)
    ],
    format_: Annotated[
        str,
        typer.Option("--format", help="auto, pcap, zeek, nmap, zgrab2, netbox or csv."),
    ] = "auto",
    as_json: AsJson = False,
) -> None:
    """Make a run from captures, logs, scan results and lists. Sends nothing."""
    from dataclasses import asdict

    from scanner.cli import assessing, display, importing, rights, scanning

    rights.check_files(read=(site_file, *files), write=(site_file.parent, output.parent))
    rights.give_up(watch_packets=False)
    which = scanning.load_site(site_file)
    made = []

    def finish(folder: Path) -> None:
        assessment = assessing.assess_runs(
            [folder / "walkdown.db"], which, now=_now(), environment=os.environ
        )
        assessing.write_reports(assessment, folder)
        made.append(assessment)

    with display.reading_files(err()) as watch:
        done = importing.import_files(
            files, which, output, format_=format_, environment=os.environ,
            watch=watch, finish=finish,
        )  # fmt: skip
    if as_json:
        _print_json(asdict(done))
        return
    display.show_import(out(), done)
    display.show_summary(out(), made[0])
    out().print(f"\nReport: {output / 'report.html'}", markup=False)


@app.command(epilog="Example: walkdown assess night1 night2 --out both")
def assess(
    runs: Annotated[list[str], typer.Argument(help="One or more runs of one site.")],
    output: Annotated[Path | None, typer.Option("--out", help="Folder for the report.")] = None,
    site_file: Annotated[Path | None, typer.Option("--site", help="The site file.")] = None,
    fail_on: Annotated[str | None, typer.Option("--fail-on", help="As for scan.")] = None,
) -> None:
    """Judge runs again, merged, with today's checks and attestations. Sends nothing."""
    from scanner.cli import assessing, display

    bar = _severity(fail_on)
    places = [assessing.place_of(one) for one in runs]
    which = assessing.site_of(places[0], site_file)
    assessment = assessing.assess_runs(
        places, which, now=_now(), environment=os.environ, beside=output
    )
    folder = output or (Path(runs[0]) if Path(runs[0]).is_dir() and len(runs) == 1 else None)
    if folder is None:
        raise UsageError("say where the report goes: --out FOLDER")
    assessing.write_reports(assessment, folder)
    display.show_summary(out(), assessment)
    out().print(f"\nReport: {folder / 'report.html'}", markup=False)
    _fail_on(assessment, bar)


@app.command(epilog="Example: walkdown report run1")
def report(
    run: Annotated[Path, typer.Argument(help="A run's folder or an assessment.json.")],
    output: Annotated[Path | None, typer.Option("--out", help="Folder for the files.")] = None,
) -> None:
    """Render report and tables again from a saved assessment. Judges nothing, sends nothing."""
    from scanner.cli import assessing

    assessment = assessing.read_assessment(run)
    folder = output or (run if run.is_dir() else run.parent)
    for path in assessing.write_reports(assessment, folder):
        out().print(str(path), markup=False, highlight=False)


@app.command(epilog="Example: walkdown diff run1 run2")
def diff(
    before: Annotated[Path, typer.Argument(help="The earlier run or assessment.json.")],
    after: Annotated[Path, typer.Argument(help="The later one.")],
    as_json: AsJson = False,
) -> None:
    """New, gone and changed assets; new, fixed and regressed findings."""
    from dataclasses import asdict

    from scanner import diff as differ
    from scanner.cli import assessing, display

    found = differ.diff(assessing.read_assessment(before), assessing.read_assessment(after))
    if as_json:
        _print_json(asdict(found))
    else:
        display.show_diff(out(), found)


@app.command(epilog="Example: walkdown inventory run1 --csv > assets.csv")
def inventory(
    run: Annotated[Path, typer.Argument(help="A run's folder or an assessment.json.")],
    zone: Annotated[str | None, typer.Option("--zone", help="Of this zone only.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    xlsx: Annotated[Path | None, typer.Option("--xlsx", help="Write XLSX to this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the asset list: as a table, or in one other form."""
    from pydantic import TypeAdapter

    from reports import tables, workbook
    from scanner.cli import assessing, display, scanning
    from scanner.model import Asset

    forms = {"--csv": as_csv, "--xlsx": xlsx is not None, "--json": as_json}
    asked = [name for name, wanted in forms.items() if wanted]
    if len(asked) > 1:
        raise UsageError(f"{' and '.join(asked)}: one form at a time\n  hint: one call for each")
    assessment = assessing.read_assessment(run)
    known = [one.id for one in assessment.zones]
    if zone is not None and zone not in known:
        raise UsageError(f"--zone {zone}: no such zone\n  hint: known are: {', '.join(known)}")
    assets = tuple(a for a in assessment.assets if zone is None or a.zone == zone)
    if as_json:
        adapter = TypeAdapter(tuple[Asset, ...])
        _write(adapter.dump_json(assets, indent=2, ensure_ascii=True))
    elif as_csv:
        sys.stdout.write(tables.inventory_csv(assets))
    elif xlsx is not None:
        scanning.write_atomically(xlsx, workbook.inventory(assets, assessment.run.started_at))
        out().print(f"{xlsx} written", markup=False)
    else:
        display.show_inventory(out(), assets)


@app.command(epilog="Example: walkdown topology run1 --dot | dot -Tsvg > network.svg")
def topology(
    run: Annotated[Path, typer.Argument(help="A run's folder or an assessment.json.")],
    as_dot: Annotated[bool, typer.Option("--dot", help="Print a graph for Graphviz.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print where each device hangs, which cable leads where, and who is outside every zone."""
    from pydantic import TypeAdapter

    from reports import dot
    from scanner.cli import assessing, display
    from scanner.model import Topology

    if as_dot and as_json:
        raise UsageError("--dot and --json: one form at a time\n  hint: one call for each")
    found = assessing.read_assessment(run).topology
    if as_json:
        _write(TypeAdapter(Topology).dump_json(found, indent=2, ensure_ascii=True))
    elif as_dot:
        sys.stdout.write(dot.render(found))
    else:
        display.show_topology(out(), found)


@app.command(
    epilog="Examples: walkdown export run1 --to netbox --out devices.json; "
    "walkdown export run1 --to csv --out - | less; "
    "walkdown export run1 --to cyclonedx --out bom.json; "
    "walkdown export run1 --to pcapng --out run1.pcapng (then open it in Wireshark)"
)
def export(
    run: Annotated[
        str,
        typer.Argument(
            help="A run's folder; csv, netbox and cyclonedx take an assessment.json too."
        ),
    ],
    to: Annotated[str, typer.Option("--to", help="netbox, csv, cyclonedx or pcapng.")],
    output: Annotated[
        Path,
        typer.Option("--out", help="File to write, or - ; netbox: a file.json, or a folder (CSV)."),
    ],
    as_json: AsJson = False,
) -> None:
    """Hand the asset list, or the scan's own conversations, to other programs."""
    from scanner.cli import exporting

    exporting.check(to)
    if str(output) == exporting.STDOUT:
        if to not in exporting.DOCUMENTS:
            raise UsageError(f"--out -: {to} is no text\n  hint: name a file")
        sys.stdout.write(exporting.document(Path(run), to).decode("utf-8-sig"))
        return
    written = exporting.export(run, to, output)
    if as_json:
        _print_json({"to": to, "files": [str(path) for path in written]})
    else:
        for path in written:
            out().print(str(path), markup=False, highlight=False)


@app.command()
def schema() -> None:
    """Print the JSON schema of assessment.json."""
    from scanner import assess as judged

    _print_json(judged.json_schema())


# --- evidence ----------------------------------------------------------------------------------


@evidence_app.command(
    "show",
    epilog="Example: walkdown evidence show run1 --asset 10.1.0.12 --from 2026-11-20T22:00+01:00",
)
def evidence_show(
    run: Run,
    asset: Annotated[str | None, typer.Option("--asset", help="Address, or zone/address.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="From this time (ISO).")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Before this time (ISO).")] = None,
    as_json: AsJson = False,
) -> None:
    """What was sent to a device when, and what came back."""
    from pydantic import TypeAdapter

    from scanner.cli import assessing, display
    from scanner.model import Exchange
    from scanner.store import RunStore

    zone, address = _asset(asset)
    with RunStore.open(assessing.place_of(run), read_only=True) as store:
        found = tuple(
            store.exchanges(zone=zone, address=address, since=_moment(since), until=_moment(until))
        )
        if not found and address is not None and not store.knows(zone=zone, address=address):
            raise UsageError(
                f"--asset {asset}: this run has no such asset\n"
                "  hint: walkdown inventory lists them"
            )
    if as_json:
        adapter = TypeAdapter(tuple[Exchange, ...])
        _write(adapter.dump_json(found, indent=2, ensure_ascii=True))
    else:
        display.show_exchanges(out(), found)


@evidence_app.command(
    "verify",
    epilog="Exit codes: 0 intact (signed or not: the words say which); 1 there is no run, or "
    "it cannot be opened; 2 broken, or with --public-key not signed by that key to its end. "
    "Example: walkdown evidence verify run1 --public-key site.signing-key.pub",
)
def evidence_verify(
    run: Run,
    public_key: Annotated[
        str | None,
        typer.Option("--public-key", help="Key that must have signed: a file or 64 hex digits."),
    ] = None,
    head: Annotated[
        str | None, typer.Option("--head", help="Head that was written down elsewhere.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check chain, contents and signature of a run. Works offline."""
    from scanner.cli import display, verifying

    found = verifying.verify(run, public_key=public_key, head=head)
    if as_json:
        _print_json(verifying.as_json(found))
    elif found.result.problems:
        for problem in found.result.problems:
            err().print(display.inert(problem, 1000), highlight=False, soft_wrap=True)
    else:
        for line in verifying.words(found):
            out().print(display.inert(line, 1000), highlight=False, soft_wrap=True)
    if not found.passed:
        raise Ended(GAPS)


@evidence_app.command(
    "certificate",
    epilog="Exit codes: 0 no promise broken; 2 one is broken, or record, capture or certificate "
    "is not what was signed. "
    "Example: walkdown evidence certificate run1",
)
def evidence_certificate(run: Run, as_json: AsJson = False) -> None:
    """Audit a run again from its record and capture, and print its certificate. Works offline."""
    from scanner.cli import certifying, display, verifying

    found = verifying.certificate(run)
    if found.made is not None and as_json:
        sys.stdout.write(certifying.text_of(found.made).decode("ascii"))
    elif found.made is not None:
        display.show_certificate(out(), found.made)
    for problem in found.problems:
        err().print(display.inert(problem, 1000), highlight=False, soft_wrap=True)
    if not (as_json and found.sound):
        where = out() if found.sound else err()
        where.print(display.inert(found.words, 1000), highlight=False, soft_wrap=True)
    if found.made is None or not found.sound or found.made.with_verdict("fail"):
        raise Ended(GAPS)


@evidence_app.command("verifier", epilog="Example: walkdown evidence verifier > verify_evidence.py")
def evidence_verifier() -> None:
    """Print a verifier that needs Python and `cryptography`, and no Walkdown."""
    from scanner.cli import verifying

    sys.stdout.write(verifying.verifier_source())


def _asset(text: str | None) -> tuple[str | None, str | None]:
    if text is None:
        return None, None
    zone, separator, rest = text.rpartition("/")
    try:
        return zone if separator else None, str(ip_address(rest.partition("#")[0]))
    except ValueError:
        raise UsageError(
            f"--asset {text}: no IP address in it\n"
            "  hint: as in 10.1.0.12 or control/10.1.0.12; walkdown inventory lists them"
        ) from None


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text}: not a time\n  hint: as in 2026-11-20T22:00+01:00") from None
    return moment if moment.tzinfo else moment.astimezone()


def _now() -> datetime:
    from scanner.cli.scanning import utc_now

    return utc_now()


# --- schedules ---------------------------------------------------------------------------------


@schedule_app.command(
    "add",
    epilog="Example: walkdown schedule add site.yaml --name weekly --rule 'FREQ=WEEKLY;BYDAY=SA' "
    "--start 2026-11-21T22:00 --timezone Europe/Berlin -- /usr/local/bin/tell-soc",
)
def schedule_add(
    site_file: SiteFile,
    name: Annotated[str, typer.Option("--name", help="Name of the schedule.")],
    rule: Annotated[str, typer.Option("--rule", help="RFC 5545 recurrence rule.")],
    start: Annotated[str, typer.Option("--start", help="First time, wall clock, without offset.")],
    timezone: Annotated[str, typer.Option("--timezone", help="As Europe/Berlin.")] = "UTC",
    zone: Annotated[str, typer.Option("--zone", help="One zone only (default: all).")] = "*",
    notify: Annotated[
        list[str] | None,
        typer.Argument(help="Command that is told the outcome as JSON on its standard input."),
    ] = None,
) -> None:
    """Keep a periodic re-scan. It runs when `walkdown schedule run` finds it due."""
    from scanner.cli import scheduling

    scheduling.add(
        site_file, name=name, rule=rule, start=start, timezone=timezone, zone=zone,
        notify=tuple(notify or ()), now=_now(),
    )  # fmt: skip
    out().print(f"kept; `walkdown schedule run {site_file}` carries it out", markup=False)


@schedule_app.command("list", epilog="Example: walkdown schedule list site.yaml")
def schedule_list(site_file: SiteFile, as_json: AsJson = False) -> None:
    """Schedules with their next time, and jobs that wait or run."""
    from dataclasses import asdict

    from scanner.cli import display, scheduling

    rows, jobs = scheduling.listing(site_file, _now())
    if as_json:
        _print_json(
            {
                "schedules": [asdict(one) | {"next": following} for one, following in rows],
                "jobs": [asdict(job) for job in jobs],
            }
        )
    else:
        display.show_schedules(out(), rows, jobs)


@schedule_app.command("remove", epilog="Example: walkdown schedule remove site.yaml weekly")
def schedule_remove(
    site_file: SiteFile,
    name: Annotated[str, typer.Argument(help="Name of the schedule.")],
) -> None:
    """Forget a schedule. A scan that runs goes on."""
    from scanner.cli import scheduling

    scheduling.remove(site_file, name)


@schedule_app.command(
    "run", epilog="Example: walkdown schedule run site.yaml --out runs --watch (or from cron)"
)
def schedule_run(
    site_file: SiteFile,
    output: Annotated[Path, typer.Option("--out", help="Folder for the runs.")] = Path("runs"),
    watch: Annotated[bool, typer.Option("--watch", help="Stay and look every 30 s.")] = False,
    watch_packets: WatchPackets = True,
) -> None:
    """Carry out what is due, inside its window and authorisation only."""
    from scanner.cli import rights, scheduling

    rights.check_files(read=(site_file,), write=(site_file.parent, output))
    helper = rights.give_up(watch_packets=watch_packets)
    reports = asyncio.run(
        scheduling.run(
            site_file, output, environment=os.environ, watch=watch, tell=_tell_job,
            helper=helper, watch_packets=watch_packets,
        )
    )  # fmt: skip
    if any(report.outcome.halted for report in reports):
        raise Ended(HALTED)
    if any(report.state == "failed" for report in reports):
        raise Ended(USAGE)


def _tell_job(words: str) -> None:
    out().print(words, markup=False, highlight=False)


# --- the lab -----------------------------------------------------------------------------------

LabFolder = Annotated[Path, typer.Argument(help="The lab's folder.")]


@lab_app.command("up", epilog="Example: walkdown lab up harbour --dir lab")
def lab_up(
    plant: Annotated[str, typer.Argument(help="Name of the plant.")] = "harbour",
    folder: Annotated[Path, typer.Option("--dir", help="Where its files go.")] = Path("lab"),
) -> None:
    """Start a plant on loopback and write its site file, with a fresh site state."""
    from scanner.cli import demo

    record = demo.lab_up(plant, folder, _now())
    out().print(
        f"{len(record['devices'])} devices are up. Next: walkdown scan {folder / 'site.yaml'} "
        f"--out run1; then: walkdown lab score run1 --dir {folder}; walkdown lab down {folder}",
        markup=False,
    )


@lab_app.command("down", epilog="Example: walkdown lab down lab")
def lab_down(folder: LabFolder = Path("lab")) -> None:
    """Stop the plant that was started from this folder."""
    from scanner.cli import demo

    demo.lab_down(folder)


@lab_app.command("score", epilog="Example: walkdown lab score walkdown-demo")
def lab_score(
    run: Annotated[Path, typer.Argument(help="The run to compare with the plant's truth.")],
    plant: Annotated[str, typer.Option("--plant", help="Name of the plant.")] = "harbour",
    folder: Annotated[
        Path | None, typer.Option("--dir", help="The lab's folder, for its ledgers.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Recall and precision of identities and findings against the plant's truth."""
    from scanner.cli import demo

    text, perfect = demo.lab_score(run, plant, folder, as_json=as_json)
    sys.stdout.write("\n".join(map(visible, text.split("\n"))) + "\n")
    if not perfect:
        raise Ended(GAPS)


@app.command(epilog="Example: walkdown demo; then open walkdown-demo/report.html")
def demo(
    output: Annotated[Path, typer.Option("--out", help="Folder to write.")] = Path("walkdown-demo"),
    watch_packets: WatchPackets = True,
) -> None:
    """Start the bundled plant on loopback, walk it down, assess it, stop it."""
    from scanner.cli import demo as demonstration
    from scanner.cli import display

    assessment, end, ledgers = asyncio.run(
        demonstration.run(
            output, now=_now(), console=err(), environment=os.environ, watch_packets=watch_packets
        )
    )
    display.show_summary(out(), assessment)
    out().print("[bold]What the lab's own ledgers say:[/bold]")
    out().print(ledgers.rstrip(), markup=False, highlight=False)
    out().print(
        f"\nReport: {output / 'report.html'}\nHow good was it? walkdown lab score {output}",
        markup=False,
    )
    _end_of_scan(end, "walkdown demo (it starts afresh)")
