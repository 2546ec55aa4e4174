"""What a terminal shows: progress, summaries, tables. Colour and motion only on terminals."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from reports import network
from reports.inert import visible
from scanner.diff import Diff
from scanner.engine import Engine
from scanner.governor import Governor
from scanner.model import (
    FR_IDS,
    FR_KEYS,
    Assessment,
    Asset,
    Certificate,
    Exchange,
    Outcome,
    Placement,
    Presence,
    Severity,
    SwitchPort,
    Topology,
    Verdict,
)
from scanner.plan import DevicePlan, Plan
from scanner.schedule import Job, Schedule

if TYPE_CHECKING:  # it draws in every importer and probe
    from scanner.cli.importing import Import, Watch

SEEN = frozenset(
    {Presence.DECLARED_AND_SEEN, Presence.SEEN_AND_UNDECLARED, Presence.IDENTITY_DIFFERS}
)
NOT_REACHED = frozenset(Outcome) - {Outcome.ANSWERED, Outcome.GARBLED}
PLAIN_LINE_S = 5.0


def inert(text: str, most: int = 200) -> str:
    """Foreign text made harmless for a terminal: nothing but visible characters, no markup."""
    shown = visible(text[:most]) + ("…" if len(text) > most else "")
    # A backslash at the very end would take the meaning from our own markup behind it.
    return escape(f"{shown} " if shown.endswith("\\") else shown)


# --- progress ----------------------------------------------------------------------------------


class Progress:
    """Live progress of a scan: devices found, phase, rate, time left."""

    def __init__(self, console: Console) -> None:
        self._console = console

    async def __call__(self, governor: Governor, engine: Engine, plan: Plan) -> None:
        started = governor.clock.monotonic()
        if self._console.is_terminal:
            with Live(console=self._console, refresh_per_second=4, transient=True) as live:
                while True:
                    live.update(Text(self._line(governor, engine, started)))
                    await asyncio.sleep(0.25)
        while True:
            await asyncio.sleep(PLAIN_LINE_S)
            self._console.print(self._line(governor, engine, started), markup=False)

    def _line(self, governor: Governor, engine: Engine, started: float) -> str:
        p = engine.progress
        elapsed = max(governor.clock.monotonic() - started, 0.001)
        packets = sum(device.figures.packets for device in governor.devices())
        words = [
            f"{len(p.found)} devices found",
            f"{p.phase}: {p.devices_done} of {p.devices_total} addresses",
            f"{p.questions_done} of {p.questions_total} questions",
            f"{packets / elapsed:.1f} packets/s",
            f"{_left(p.questions_done, p.questions_total, elapsed)} left",
        ]
        return " · ".join(words)


def _left(done: int, total: int, elapsed: float) -> str:
    if done < 5:
        return "some time"
    return duration(timedelta(seconds=elapsed * (total - done) / done))


def duration(span: timedelta) -> str:
    seconds = round(span.total_seconds())
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


# --- import ------------------------------------------------------------------------------------

OUTSIDE_SHOWN = 12


@contextmanager
def reading_files(console: Console) -> Iterator[Watch]:
    """Shows how far an import is, on a terminal; elsewhere names each step once."""
    if not console.is_terminal:
        begun: set[str] = set()

        def tell(words: str, done: int, size: int) -> None:
            if words not in begun:
                begun.add(words)
                console.print(inert(words), highlight=False)

        yield tell
        return
    with Live(console=console, refresh_per_second=4, transient=True) as live:

        def show(words: str, done: int, size: int) -> None:
            share = f": {min(done / size, 1):.0%} of {size:,}" if size else ""
            live.update(Text(f"{visible(words[:100])}{share}"))

        yield show


def show_import(console: Console, done: Import) -> None:
    """What was read from each file, what was left out, and who lies in no zone."""
    for one in done.files:
        console.print(
            f"[bold]{inert(one.name)}[/bold]: {inert(one.title)}, {one.found:,} statements",
            highlight=False,
        )
        for note in one.notes:
            console.print(f"  left out: {inert(note, 400)}", highlight=False)
    console.print(f"{done.observations:,} observations, no packet sent", highlight=False)
    if done.outdated:
        console.print(
            f"{done.outdated:,} of them are older than this site's max_age: they count as not "
            "assessed (policy: max_age in the site file)",
            highlight=False,
        )
    if done.outside:
        more = len(done.outside) - OUTSIDE_SHOWN
        listed = ", ".join(inert(one, 64) for one in done.outside[:OUTSIDE_SHOWN])
        console.print(
            f"[bold]Devices outside every zone:[/bold] {len(done.outside):,}: {listed}"
            + (f" and {more:,} more; walkdown inventory lists them" if more > 0 else ""),
            highlight=False,
        )


# --- plan --------------------------------------------------------------------------------------


def show_plan(console: Console, plan: Plan, *, full: bool) -> None:
    """Every request per device, the packet budget, the traces, the time it takes."""
    alike: dict[object, list[DevicePlan]] = {}
    for device in plan.devices:
        if device.declared or full:
            name = f" {inert(device.name)}" if device.name else ""
            console.print(f"[bold]{', '.join(device.addresses)}[/bold]{name}{_limits(device)}")
            _show_questions(console, device)
        else:
            asked = tuple(
                (q.target.transport, q.target.port, q.probe.name, q.probe.tier)
                for q in device.questions
            )
            alike.setdefault((device.zone, device.profile, asked), []).append(device)
    for devices in alike.values():
        console.print(
            f"[bold]others: {_addresses(len(devices))}[/bold]{_limits(devices[0])} each; "
            "--full lists them"
        )
        _show_questions(console, devices[0])
    for words in plan.skipped:
        console.print(f"not asked: {inert(words, 600)}")
    _show_traces(console, plan)
    likely, longest = plan.duration()
    empty = plan.empty_address_cost()
    console.print(
        f"\n[bold]{_addresses(len(plan.devices))}, {plan.questions} questions, "
        f"at most {plan.budget} packets.[/bold] "
        f"Likely {duration(likely)}, at the very longest {duration(longest)}"
        + (f"; an empty address costs {duration(empty)}." if empty else ".")
    )
    for words in plan.site.loosenings():
        console.print(f"[yellow]loosened:[/yellow] {inert(words)}")
    if plan.site.loopback_only:
        console.print(
            "[yellow]note:[/yellow] all addresses are loopback; a port forwarded there is still "
            "a real device, so pacing stays as the profile says"
        )


def _addresses(count: int) -> str:
    return f"{count} address{'' if count == 1 else 'es'}"


def _limits(device: DevicePlan) -> str:
    return (
        f" · zone {inert(device.zone)} · profile {device.profile.name} · "
        f"tier {device.policy.tier} · at most {device.budget} packets"
    )


def _show_questions(console: Console, device: DevicePlan) -> None:
    for entry in device.fragile:
        console.print(
            f"  [yellow]known as fragile:[/yellow] {inert(entry.words, 600)} "
            f"{inert(entry.source.address)}",
            highlight=False,
            soft_wrap=True,
        )
    for question in device.questions:
        target = question.target
        only = f" [dim](only if {question.only_if})[/dim]" if question.only_if else ""
        console.print(
            f"  {target.transport}/{target.port} {question.service} "
            f"({question.probe.tier}), {question.usual} to {question.worst} packets{only}"
        )
        for asked in question.probe.questions:
            times = f" up to {asked.at_most} times" if asked.at_most > 1 else ""
            sample = f"  {_sample(asked.sample)}" if asked.sample else ""
            console.print(
                f"    {inert(asked.label)}{times}[dim]{sample}[/dim]",
                highlight=False,
                soft_wrap=True,
            )
    times = "once" if device.canaries == 1 else f"up to {device.canaries} times"
    console.print(
        f"  after signs of distress{', and at the end' if device.canaries > 1 else ''}: "
        f"the first question that was answered, {times} more (canary)"
    )


def _sample(sample: bytes) -> str:
    """The frame; words stand for what a library encrypts, so their bytes would mislead."""
    words = all(32 <= byte < 127 for byte in sample)
    return f"'{escape(sample.decode())}', encrypted" if words else sample.hex(" ")


def _show_traces(console: Console, plan: Plan) -> None:
    traces = plan.traces()
    if not traces:
        return
    table = Table(title="Traces left on devices (warn operators and the SOC)", title_justify="left")
    for column in ("service", "question", "what it leaves"):
        table.add_column(column, overflow="fold")
    for service, label, trace in traces:
        table.add_row(inert(service), inert(label), inert(trace))
    console.print(table)


# --- assessment --------------------------------------------------------------------------------


def show_summary(console: Console, assessment: Assessment) -> None:
    """One screen: assets per zone, findings by severity, SL-A against SL-T, safety figures."""
    console.print(f"\n[bold]{inert(assessment.site)}[/bold] · run {inert(assessment.run.id)}")
    _show_levels(console, assessment)
    _show_findings(console, assessment)
    _show_safety(console, assessment)


def _show_levels(console: Console, assessment: Assessment) -> None:
    table = Table(
        title="SL-A, proven to possible, / SL-T per zone and FR",
        title_justify="left",
        box=None,
        header_style="bold",
        padding=(0, 1, 0, 0),
    )
    table.add_column("zone", overflow="ellipsis", no_wrap=True, max_width=16)
    table.add_column("seen", justify="right", no_wrap=True)
    for key in FR_KEYS:
        table.add_column(key.upper(), justify="center", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("known", justify="right", no_wrap=True)
    for zone in assessment.zones:
        own = [asset for asset in assessment.assets if asset.zone == zone.id]
        score = next((s for s in assessment.score if s.zone == zone.id), None)
        table.add_row(
            inert(zone.id),
            str(sum(1 for asset in own if asset.presence in SEEN)),
            *(_level_cell(assessment, zone.id, fr) for fr in FR_IDS),
            share(score.score if score else None),
            share(score.assessed_share if score else None),
        )
    console.print(table)


def _level_cell(assessment: Assessment, zone: str, fr: str) -> str:
    level = next((one for one in assessment.levels if one.zone == zone and one.fr == fr), None)
    if level is None:
        return "–"
    low, high = level.sl_a_low, level.sl_a_high
    colour = "green" if low >= level.sl_t else "red" if high < level.sl_t else "yellow"
    span = f"{low}" if low == high else f"{low}–{high}"
    return f"[{colour}]{span}/{level.sl_t}[/{colour}]"


def share(value: float | None) -> str:
    """Rounded down, as in the report: never more than is known."""
    return "–" if value is None else f"{int(value * 100 + 1e-9)}%"


def _show_findings(console: Console, assessment: Assessment) -> None:
    failed = [f for f in assessment.findings if f.verdict is Verdict.FAIL]
    by_severity = Counter(finding.severity for finding in failed)
    not_checked = sum(f.number for f in assessment.findings if f.verdict is Verdict.NOT_CHECKED)
    counts = ", ".join(f"{by_severity[s]} {s}" for s in Severity if by_severity[s]) or "none"
    console.print(
        f"[bold]Findings:[/bold] {counts}; {not_checked} checks could not tell (never a pass)"
    )


def _show_safety(console: Console, assessment: Assessment) -> None:
    total = assessment.safety.total
    canaries = [c for d in assessment.safety.devices for c in d.canary]
    console.print(
        f"[bold]Safety:[/bold] {total.connections} connections, at most {total.peak_concurrent} at "
        f"once per device; {total.packets_counted} packets sent of at most {total.packets_budget}; "
        f"{total.exchanges} exchanges, {total.bytes_out} bytes out, {total.bytes_in} in; "
        f"{total.resets_sent} resets; {sum(assessment.safety.withheld.values())} frames withheld; "
        f"{sum(c.healthy for c in canaries)} of {len(canaries)} canaries healthy"
    )
    show_verdicts(console, assessment.safety.certificates)
    if assessment.safety.halted:
        console.print(f"[red]Halted:[/red] {inert(assessment.safety.halted)}")
    if cut_off := assessment.run.observations.get(Outcome.INTERRUPTED, 0):
        console.print(
            f"[yellow]Interrupted:[/yellow] {cut_off} questions were in flight when a scan was "
            "stopped; they are asked again only with --repeat-interrupted"
        )


def show_verdicts(console: Console, certificates: Sequence[Certificate]) -> None:
    """One line for each run, and one more for each promise that was broken."""
    for one in certificates:
        of = f" of run {inert(one.run)}" if len(certificates) > 1 else ""
        passed, broken, unknown = (
            len(one.with_verdict(verdict)) for verdict in ("pass", "fail", "not measured")
        )
        console.print(
            f"[bold]Certificate{of}:[/bold] {passed} promises kept, {broken} broken, "
            f"{unknown} not measured"
        )
        for row in one.with_verdict("fail"):
            console.print(
                f"  [bold red]BROKEN: promise {row.promise}, {inert(row.title)}:[/bold red] "
                f"{inert(row.measured, 400)}",
                highlight=False,
            )


VERDICT_COLOURS = {"pass": "green", "fail": "bold red", "not measured": "yellow"}


def show_certificate(console: Console, certificate: Certificate) -> None:
    """One row for each promise, then what it rests on."""
    table = Table(
        title=f"Certificate of run {inert(certificate.run)}",
        title_justify="left",
        box=None,
        header_style="bold",
        padding=(0, 1, 0, 0),
    )
    table.add_column("", justify="right")
    table.add_column("promise", overflow="fold")
    table.add_column("measured", overflow="fold", ratio=1)
    table.add_column("counted in", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    for row in certificate.promises:
        colour = VERDICT_COLOURS[row.verdict]
        table.add_row(
            str(row.promise),
            f"{inert(row.title)}: {inert(row.target)}",
            inert(row.measured, 400),
            inert(row.basis),
            f"[{colour}]{row.verdict}[/{colour}]",
        )
    console.print(table)
    for name, text in (
        ("site", certificate.site),
        ("run", f"{certificate.state}, by Walkdown {certificate.version}"),
        ("privileges", certificate.privileges or "not recorded"),
        ("packets", certificate.capture),
        ("audited", f"{certificate.events} events, the last is {certificate.chain_head}"),
        ("capture", certificate.capture_sha256 or "none"),
    ):
        console.print(f"{name}: {inert(text, 400)}", highlight=False, soft_wrap=True)


def show_inventory(console: Console, assets: Sequence[Asset]) -> None:
    """Zone by zone; the address stands alone, so that it is whole on a narrow terminal too."""
    for zone in dict.fromkeys(asset.zone for asset in assets):
        console.print(f"[bold]{inert(zone)}[/bold]", highlight=False)
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for asset in assets:
            if asset.zone == zone:
                table.add_row(f"  {_where(asset)}", _described(asset))
        console.print(table)
    if any(asset.conflicts for asset in assets):
        console.print("* sources disagree about this device; the report shows both values")


def _where(asset: Asset) -> str:
    mark = " [yellow]*[/yellow]" if asset.conflicts else ""
    behind = f" #{inert(asset.sub_address)}" if asset.sub_address else ""
    return f"{inert(asset.address or '–')}{behind}{mark}"


def _described(asset: Asset) -> str:
    """Who it is on one line, what it offers and how it was found on the next."""
    identity = asset.identity
    product = " ".join(filter(None, (identity.vendor, identity.model or identity.order_number)))
    who = (
        asset.name or identity.name,
        asset.device_class,
        product,
        identity.firmware and f"firmware {identity.firmware}",
        identity.serial and f"serial {identity.serial}",
    )
    services = [f"{s.protocol}/{s.port}" for s in asset.services if s.outcome is Outcome.ANSWERED]
    found = (", ".join(dict.fromkeys(services)), asset.presence.replace("_", " "))
    known = tuple(f"from {one}" for one in asset.origins if one != "asked")[:4]
    lines = (who, found, known)
    return "\n".join(" · ".join(inert(o) for o in line if o) for line in lines if any(line))


# --- network -----------------------------------------------------------------------------------


def show_topology(console: Console, found: Topology) -> None:
    """Where each device hangs, then cables, hosts in several zones, and who is outside them."""
    names = {node.id: network.name_of(node) for node in found.nodes}

    def name(node: str) -> str:
        return inert(names.get(node, node), 60)

    if not found.nodes:
        console.print("No device told a table from which the network could be drawn.")
        return
    known = [one for one in found.placements if one.certainty != "unknown"]
    unknown: dict[str, list[str]] = {}
    for one in found.placements:
        if one.certainty == "unknown":
            unknown.setdefault(one.reason, []).append(name(one.node))
    _section(
        console,
        "Where each device hangs",
        [_placed(one, name) for one in known]
        + [
            (f"{len(nodes)} unknown", f"{inert(reason)}: {', '.join(nodes)}")
            for reason, nodes in unknown.items()
        ],
    )
    _section(
        console,
        "Cables",
        [
            (
                f"{name(one.a)} {inert(one.a_port or '?', 30)}",
                f"{name(one.b)} {inert(one.b_port or '?', 30)} · {', '.join(one.known_by)}"
                + ("" if one.both_sides else " · told by one end")
                + (f" · {inert(one.note)}" if one.note else ""),
            )
            for one in found.links
        ],
    )
    _section(
        console,
        "Hosts in more than one zone",
        [
            (
                name(one.asset) + ("" if one.sure else " (perhaps)"),
                ", ".join(
                    f"{inert(leg.address)} {inert(leg.zone or 'no zone')}" for leg in one.legs
                )
                + (f" · {inert(one.note)}" if one.note else ""),
            )
            for one in found.dual_homed
        ],
    )
    _section(
        console,
        "Outside every zone",
        [
            (
                inert(one.address),
                f"{inert(one.mac or 'MAC address unknown')} · in the tables of "
                f"{', '.join(name(viewer) for viewer in one.seen_by)}",
            )
            for one in found.outside
        ],
    )
    _section(
        console,
        "Proposed zones (walkdown init --from writes them)",
        [
            (
                inert(one.name, 60),
                f"{inert(', '.join(one.networks))} · {inert('; '.join(one.reasons))}",
            )
            for one in found.proposals
        ],
    )
    _section(console, "Not clear", [("·", inert(note)) for note in found.notes])


def _section(console: Console, title: str, rows: Sequence[tuple[str, str]]) -> None:
    if not rows:
        return
    console.print(f"[bold]{title}[/bold]", highlight=False)
    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for left, right in rows:
        table.add_row(f"  {left}", right)
    console.print(table)


def _placed(one: Placement, name: Callable[[str], str]) -> tuple[str, str]:
    def port(at: SwitchPort) -> str:
        vlan = f" VLAN {at.vlan}" if at.vlan else ""
        return f"{name(at.switch)} {inert(at.port, 40)}{vlan}"

    words = [one.certainty if one.at is None else f"{one.certainty} {port(one.at)}"]
    if one.others:
        words.append(f"or {', '.join(port(other) for other in one.others)}")
    words.append(inert(one.reason))
    return name(one.node), " · ".join(words)


# --- differences and evidence ------------------------------------------------------------------


def show_diff(console: Console, found: Diff) -> None:
    """What changed between two runs, in the order that matters to an operator."""
    lists = (
        ("new assets", found.new_assets),
        ("seen for the first time (not asked before)", found.first_visited),
        ("gone assets", found.gone_assets),
        ("not visited this time", found.not_visited),
        ("regressed findings", found.regressed_findings),
        ("new findings", found.new_findings),
        ("fixed findings", found.fixed_findings),
        ("no longer verified", found.unverified_findings),
    )
    console.print(f"{inert(found.before)} → {inert(found.after)}")
    for title, ids in lists:
        if ids:
            console.print(f"[bold]{title}[/bold] ({len(ids)})")
            for one in ids:
                console.print(f"  {inert(one)}", highlight=False, soft_wrap=True)
    if found.changes:
        console.print(f"[bold]changed assets[/bold] ({len(found.changes)})")
        for change in found.changes:
            console.print(
                f"  {inert(change.asset)} {inert(change.field)}: "
                f"{inert(change.before)} → {inert(change.after)}",
                highlight=False,
                soft_wrap=True,
            )
    for level in found.levels:
        where = inert(level.zone or level.conduit or "")
        console.print(
            f"[bold]SL-A[/bold] {where} {inert(level.fr)}: "
            f"{level.low_before}–{level.high_before} → {level.low_after}–{level.high_after}",
            highlight=False,
        )
    if found.empty:
        console.print("nothing changed")
    console.print(f"{len(found.open_findings)} findings stay open")


def show_exchanges(console: Console, exchanges: Sequence[Exchange]) -> None:
    for exchange in exchanges:
        target = exchange.target
        console.print(
            f"[bold]{exchange.sent_at.isoformat(timespec='milliseconds')}[/bold] "
            f"{inert(exchange.id)} {inert(target.zone)}/{inert(target.address)} "
            f"{target.transport}/{target.port} "
            f"{inert(exchange.probe)} ({exchange.tier}): {inert(exchange.label)} → "
            f"{exchange.outcome}" + (f" ({inert(exchange.reason)})" if exchange.reason else ""),
            highlight=False,
            soft_wrap=True,
        )
        # An intent is written before the connection is there: a refused one carried nothing.
        unsent = (
            exchange.outcome in NOT_REACHED
            and exchange.finished_at is not None
            and not exchange.wire_bytes_out
        )
        out = "not sent:" if unsent else "→"
        for arrow, data in ((out, exchange.request), ("←", exchange.reply)):
            if data:
                console.print(
                    f"  {arrow} {len(data):>5} B  {_hex(data)}", highlight=False, soft_wrap=True
                )
    console.print(f"{len(exchanges)} exchanges")


def _hex(data: bytes, most: int = 64) -> str:
    text = "".join(chr(b) if 32 <= b < 127 else "." for b in data[:most])
    return f"{data[:most].hex(' ')}{' …' if len(data) > most else ''}  |{escape(text)}|"


def show_schedules(
    console: Console, rows: Sequence[tuple[Schedule, datetime | None]], jobs: Sequence[Job]
) -> None:
    table = Table(title="Schedules", title_justify="left")
    for column in ("name", "rule", "zone", "next", "tells"):
        table.add_column(column, overflow="fold")
    for schedule, following in rows:
        table.add_row(
            inert(schedule.id),
            inert(schedule.rule),
            inert(schedule.zone),
            following.isoformat(timespec="minutes") if following else "never again",
            inert(" ".join(schedule.notify)),
        )
    console.print(table)
    for job in jobs:
        due = job.due_at.isoformat(timespec="minutes")
        console.print(f"{inert(job.schedule)} due {due}: {job.state} {inert(job.note)}")
