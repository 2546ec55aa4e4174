"""Hands a run to other programs: NetBox, spreadsheets, bills of materials, Wireshark."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from reports import bom, netbox, pcapng, register
from scanner.cli import assessing
from scanner.cli.scanning import write_atomically
from scanner.errors import Damaged, UsageError
from scanner.model import Assessment
from scanner.store import RunStore

STDOUT = "-"
DOCUMENTS: Mapping[str, Callable[[Assessment], bytes]] = {
    "csv": register.render,
    "cyclonedx": bom.render,
    "netbox": netbox.render_json,
}
KINDS = (*DOCUMENTS, "pcapng")


def check(kind: str) -> None:
    if kind not in KINDS:
        raise UsageError(f"--to {kind}: no such format\n  hint: one of {', '.join(KINDS)}")


def document(run: Path, kind: str) -> bytes:
    """One document of a run's assessment. Raises UsageError and StoreError."""
    return DOCUMENTS[kind](assessing.read_assessment(run))


def export(run: str, kind: str, out: Path) -> tuple[Path, ...]:
    """
    Write one format, each file whole or not at all, and give what was written. NetBox gets one JSON
    document where `out` ends in .json, else a folder with a CSV file for each model.
    """
    check(kind)
    if kind == "pcapng":
        return (_capture(run, out),)
    if kind == "netbox" and out.suffix.casefold() != ".json":
        return _folder(out, netbox.render_csv(assessing.read_assessment(Path(run))))
    if out.is_dir():
        raise UsageError(f"{out}: it is a folder\n  hint: name a file, as {out / f'assets.{kind}'}")
    write_atomically(out, document(Path(run), kind))
    return (out,)


def _folder(out: Path, files: Mapping[str, bytes]) -> tuple[Path, ...]:
    if out.exists():
        raise UsageError(
            f"{out} is there already\n  hint: another --out, or one that ends in .json for a file"
        )
    draft = out.with_name(f".{out.name}.{uuid4().hex[:8]}.part")
    try:
        draft.mkdir(parents=True)
        for name, content in files.items():
            (draft / name).write_bytes(content)
        draft.rename(out)
    finally:
        if draft.exists():
            shutil.rmtree(draft, ignore_errors=True)
    return tuple(out / name for name in files)


def _capture(run: str, out: Path) -> Path:
    """From the record itself, which must be whole."""
    with RunStore.open(assessing.place_of(run), read_only=True) as store:
        if problems := store.verify().problems:
            raise Damaged(
                f"{store.place}: its record is not intact, so nothing is made of it "
                f"({problems[0]}); `walkdown evidence verify` tells all"
            )
        meta = store.meta()
        if next(store.exchanges(), None) is None:
            raise UsageError(
                f"{run}: nothing was sent in this run, so there is nothing to show\n"
                "  hint: an imported run has no exchanges; open the capture it was made from"
            )
        _write(
            out, pcapng.render(store.exchanges, run=meta.id, site=meta.site, version=meta.version)
        )
    return out


def _write(out: Path, blocks: Iterable[bytes]) -> None:
    """As `write_atomically`, of what need not fit into memory."""
    draft = out.with_name(f".{out.name}.{uuid4().hex[:8]}.part")
    try:
        with draft.open("wb") as file:
            for block in blocks:
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(out)
    except OSError as error:
        error.filename = str(out)
        raise
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
