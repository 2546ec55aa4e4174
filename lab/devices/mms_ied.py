"""
A device with an IEC 61850 server: the Rust server of the package iec61850, in a process of its own.

Settings: `identify` {vendor, model, revision}, what MMS identify says; `domains` (list of names of
logical devices, the first part of each being `ied`); `nameplate` {vendor, hwRev, swRev, serNum,
model, name} of LPHD1 in the first of them (left out: no nameplate). Variables can be written where
IEC 61850-8-1 allows it; this model has none that may be, so a write is refused by the server, as an
IED refuses it, and is in the ledger.

The process ends when its standard input does, so that none is left when the lab is killed.
Source: IEC 61850-6 (SCL) for the model, IEC 61850-7-3 section 7.8.2 for the nameplate.
"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from xml.sax.saxutils import quoteattr

from lab.bench import LOOPBACK, Bench, Server
from lab.errors import LabError

NAMEPLATE = ("vendor", "hwRev", "swRev", "serNum", "model", "name")
STARTS_S = 20.0
ENDS_S = 5.0


def scl(ied: str, domains: list[str], nameplate: Mapping[str, str]) -> str:
    """The device's description: logical devices with LLN0, a nameplate in the first."""
    values = "".join(
        f"<DAI name={quoteattr(item)}><Val>{_text(nameplate[item])}</Val></DAI>"
        for item in NAMEPLATE
        if item in nameplate
    )
    physical = (
        f'<LN lnClass="LPHD" inst="1" lnType="PHYSICAL"><DOI name="PhyNam">{values}</DOI></LN>'
    )
    devices = "".join(
        f"<LDevice inst={quoteattr(domain.removeprefix(ied))}>"
        '<LN0 lnClass="LLN0" inst="" lnType="ROOT"/>'
        + (physical if nameplate and not at else "")
        + "</LDevice>"
        for at, domain in enumerate(domains)
    )
    items = "".join(
        f'<DA name="{item}" bType="VisString255" fc="DC"/>'
        for item in NAMEPLATE
        if item in nameplate
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<SCL xmlns="http://www.iec.ch/61850/2003/SCL" version="2007" revision="B">'
        f'<Header id="lab"/><IED name={quoteattr(ied)}><AccessPoint name="P1"><Server>'
        f"<Authentication/>{devices}</Server></AccessPoint></IED><DataTypeTemplates>"
        '<LNodeType id="ROOT" lnClass="LLN0"><DO name="NamPlt" type="LPL"/></LNodeType>'
        + (
            '<LNodeType id="PHYSICAL" lnClass="LPHD"><DO name="PhyNam" type="DPL"/></LNodeType>'
            if nameplate
            else ""
        )
        + '<DOType id="LPL" cdc="LPL"><DA name="vendor" bType="VisString255" fc="DC"/></DOType>'
        + (f'<DOType id="DPL" cdc="DPL">{items}</DOType>' if nameplate else "")
        + "</DataTypeTemplates></SCL>"
    )


def _text(value: str) -> str:
    """Fit for XML, which cannot carry control characters at all."""
    kept = "".join(c if c.isprintable() else "?" for c in value)
    return kept.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


async def serve(bench: Bench) -> Server:
    told = {str(k): str(v) for k, v in dict(bench.settings.get("identify", {})).items()}
    plate = {str(k): str(v) for k, v in dict(bench.settings.get("nameplate", {})).items()}
    if unknown := plate.keys() - set(NAMEPLATE):
        raise LabError(f"{bench.device}: a nameplate has no {', '.join(sorted(unknown))}")
    ied = bench.text("ied")
    domains = [str(domain) for domain in bench.settings.get("domains", (f"{ied}LD0",))]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lab.mms_process", stdin=PIPE, stdout=PIPE
    )
    order = {"ied": ied, "scl": scl(ied, domains, plate), **told}
    assert process.stdin is not None  # noqa: S101 - asked for above
    assert process.stdout is not None  # noqa: S101 - asked for above
    process.stdin.write(json.dumps(order).encode() + b"\n")
    try:
        async with asyncio.timeout(STARTS_S):
            await process.stdin.drain()
            port = int(await process.stdout.readline())
    except (TimeoutError, ValueError, OSError) as error:
        await _end(process)
        raise LabError(f"{bench.device}: the MMS server did not start") from error

    async def stop() -> None:
        await _end(process)

    return Server(inner=(LOOPBACK, port), stop=stop)


async def _end(process: Process) -> None:
    """Its input ends, so it does; one that does not is ended."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(ENDS_S):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


SERVES = {"mms": serve}
SHAREABLE = {"mms": lambda settings: True}
