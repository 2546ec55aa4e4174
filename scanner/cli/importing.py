"""
Turns files of other tools into a run, without a packet: captures, logs, scan results, lists.

The run has the form of a scan's: observations in walkdown.db, the evidence chain, a certificate
that nothing was sent, a signed end record. It is made in a folder of its own beside its place and
moved there when it is whole; after Ctrl-C or an error nothing is left.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from uuid import uuid4

from probes import bacnet as bacnet_probe
from probes import http as http_probe
from probes import profinet as profinet_probe
from probes import snmp as snmp_probe
from probes import ssh as ssh_probe
from scanner import __version__, discovery, installation, signing, site
from scanner.cli import certifying
from scanner.cli.scanning import SAFETY, signing_key_file, total_figures, utc_now, write_atomically
from scanner.clients import cip
from scanner.errors import UsageError
from scanner.evidence import canonical
from scanner.facts import DeviceIdentity, HttpFace
from scanner.importers.form import HEAD_BYTES, Importer, Reading, Recognise
from scanner.importers.gather import OUTSIDE, Gathering, SourceFile
from scanner.model import Observation, Safety
from scanner.store import RunMeta, RunStore

AUTO = "auto"
AT_ONCE = 256
COMPRESSED = {
    b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip", b"\x04\x22\x4d\x18": "lz4",
}  # fmt: skip

Watch = Callable[[str, int, int], None]
"""(what is being done, so much of it is done, so much is to do or 0)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedFile:
    """What became of one file. `notes` are sentences on what was left out of it."""

    name: str
    format: str
    title: str
    size: int
    sha256: str
    found: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """
    A finished import. `outside` are the addresses in no zone; `outdated` counts the observations
    that are older than the site's max_age and therefore count as not assessed.
    """

    folder: Path
    files: tuple[ImportedFile, ...]
    observations: int
    outside: tuple[str, ...]
    outdated: int


def import_files(
    paths: Sequence[Path],
    which: site.Site,
    folder: Path,
    *,
    format_: str = AUTO,
    environment: Mapping[str, str],
    watch: Watch = lambda *_: None,
    finish: Callable[[Path], None] = lambda _: None,
) -> Import:
    """
    Read every file, keep what they say in a new run in `folder`. `finish` is called with the folder
    before it gets its name, to write the reports. Raises UsageError and StoreError.
    """
    if folder.exists():
        raise UsageError(
            f"{folder} is there already, and an import is a run of its own\n"
            "  hint: choose another folder (--out); `walkdown assess` puts several runs together"
        )
    importers = [_importer_for(path, format_) for path in paths]
    signer = signing.load_or_create(signing_key_file(which))
    gathering = Gathering()
    files = [
        _gather(path, importer, gathering, environment, watch)
        for path, importer in zip(paths, importers, strict=True)
    ]
    now = utc_now()
    observations = tuple(gathering.observations(lambda a, z: zone_of(which, a, z), now))
    with _draft_of(folder) as draft:
        _write(draft, which, signer, files, observations, now, watch)
        watch("assessing, and writing the report", 0, 0)
        finish(draft)
        draft.rename(folder)
    outside = dict.fromkeys(one.address for one in observations if one.zone == OUTSIDE)
    oldest = now - which.demands.max_age
    return Import(
        folder=folder,
        files=tuple(files),
        observations=len(observations),
        outside=tuple(outside),
        outdated=sum(one.finished_at < oldest for one in observations),
    )


def formats() -> tuple[Importer, ...]:
    return discovery.importers()


def _importer_for(path: Path, format_: str) -> Importer:
    known = {one.name: one for one in formats()}
    if format_ != AUTO and format_ not in known:
        raise UsageError(f"--format {format_}: no such format\n  hint: auto, {', '.join(known)}")
    if not path.is_file():
        what = "it is a folder" if path.is_dir() else "there is no such file"
        raise UsageError(f"{path}: {what}\n  hint: name the files themselves, as in DIR/*.log")
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    for magic, name in COMPRESSED.items():
        if head.startswith(magic):
            raise UsageError(
                f"{path}: it is compressed ({name}), and nothing is unpacked here\n"
                "  hint: unpack it yourself, where its size is known, and import that"
            )
    if format_ != AUTO:
        return known[format_]
    fitting = [one for one in known.values() if one.recognises(head, path)]
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(f"{one.name} ({one.title})" for one in fitting or known.values())
    reason = "its format is not recognised" if not fitting else "it may be of several formats"
    raise UsageError(f"{path}: {reason}\n  hint: say which with --format: {names}")


def _gather(
    path: Path,
    importer: Importer,
    gathering: Gathering,
    environment: Mapping[str, str],
    watch: Watch,
) -> ImportedFile:
    before = path.stat()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    source = SourceFile(importer=importer, name=path.name, sha256=digest, size=before.st_size)
    reading = Reading(
        modified=datetime.fromtimestamp(before.st_mtime, UTC),
        environment=environment,
        recognise=RECOGNISE,
        progress=lambda done: watch(f"reading {path.name}", done, before.st_size),
    )
    found = 0
    statements = importer.read(path, reading)
    try:
        for one in statements:
            gathering.add(source, one)
            found += 1
    finally:
        if isinstance(statements, Generator):
            statements.close()  # ends the dissector at once, also after Ctrl-C
    after = path.stat()
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise UsageError(
            f"{path}: it was changed while it was read\n  hint: import a copy that nobody writes to"
        )
    return ImportedFile(
        name=path.name,
        format=importer.name,
        title=importer.title,
        size=before.st_size,
        sha256=digest,
        found=found,
        notes=reading.told(),
    )


def _ssh(software: str) -> DeviceIdentity | None:
    return ssh_probe.identify_software(software)


def _http(server: str | None, title: str | None) -> DeviceIdentity | None:
    return http_probe.identify(HttpFace(scheme="http", status=200, server=server, title=title))


RECOGNISE = Recognise(
    snmp=snmp_probe.identify,
    ssh=_ssh,
    http=_http,
    cip_vendor=cip.vendor_name,
    bacnet_vendor=bacnet_probe.vendor_name,
    profinet_vendor=profinet_probe.vendor_name,
)


def zone_of(which: site.Site, address: str, named: str | None) -> str:
    """
    The zone of an address: the one that the file names, where it is one of the site and has the
    address; else that of the declared asset; else the one whose smallest network holds it, be it
    excluded from scans; else OUTSIDE. What has no address goes to the zone that the file names.
    """
    zones = {zone.id: zone for zone in which.zones}
    try:
        ip = ip_address(address)
    except ValueError:
        return named if named in zones else OUTSIDE
    if named in zones and any(ip in network for network in zones[named].networks):
        return named
    if (asset := which.asset(address)) is not None:
        return asset.zone
    holding = [
        (network.prefixlen, zone.id)
        for zone in which.zones
        for network in zone.networks
        if ip in network
    ]
    return max(holding, key=lambda pair: pair[0])[1] if holding else OUTSIDE


# --- the run -----------------------------------------------------------------------------------


@contextmanager
def _draft_of(folder: Path) -> Iterator[Path]:
    """A folder beside the wanted one, gone afterwards unless it was renamed."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}.part")
        draft.mkdir(mode=0o755)
    except OSError as error:
        raise UsageError(
            f"{folder}: no folder for a run can be made there ({error.strerror})\n"
            "  hint: choose another --out"
        ) from error
    try:
        yield draft
    finally:
        if draft.exists():
            shutil.rmtree(draft, ignore_errors=True)


def _write(
    draft: Path,
    which: site.Site,
    signer: signing.Signer,
    files: Iterable[ImportedFile],
    observations: Sequence[Observation],
    now: datetime,
    watch: Watch,
) -> None:
    meta = _meta(which, signer, tuple(files), now)
    with RunStore.create(draft / "walkdown.db", run=meta, now=now) as store:
        asyncio.run(_keep(store, observations, watch))
        store.save_safety(SAFETY.dump_json(_nothing_sent()).decode())
        store.set_state("finished", "", utc_now())
        made = certifying.make(store, draft)
        write_atomically(draft / certifying.FILE, certifying.text_of(made))
        store.seal(signer=signer, extra_digests=certifying.digests(draft), now=utc_now())


async def _keep(store: RunStore, observations: Sequence[Observation], watch: Watch) -> None:
    for at in range(0, len(observations), AT_ONCE):
        watch("keeping observations", at, len(observations))
        part = observations[at : at + AT_ONCE]
        await asyncio.gather(*(store.question_finished(one) for one in part))


def _nothing_sent() -> Safety:
    return Safety(total=total_figures(()), devices=(), loosenings=(), halted=None, withheld={})


def _meta(
    which: site.Site, signer: signing.Signer, files: Sequence[ImportedFile], now: datetime
) -> RunMeta:
    digests = [{"name": one.name, "sha256": one.sha256, "format": one.format} for one in files]
    limits = {
        f"file {number}": f"{one.name}: {one.title}, {one.size:,} bytes, SHA-256 {one.sha256}"
        for number, one in enumerate(files, 1)
    }
    limits |= {
        f"file {number}, left out": "; ".join(one.notes)
        for number, one in enumerate(files, 1)
        if one.notes
    }
    return RunMeta(
        id=f"{now:%Y%m%dT%H%M%SZ}-{uuid4().hex[:6]}",
        site=which.name,
        site_file_text=which.path.read_text(encoding="utf-8"),
        plan_digest=hashlib.sha256(canonical({"files": digests}).encode()).hexdigest(),
        started_at=now,
        version=__version__,
        authorisation="",
        authorised_by="",
        tiers=("passive",),
        limits=limits | {"site file": str(which.path)},
        signing_key=signer.public_key,
        probe_set=installation.probe_set_digest(),
    )
