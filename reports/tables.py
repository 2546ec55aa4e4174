"""
The assessment's tables as CSV (for spreadsheets) and JSON (for programs).

`render(assessment)` returns file name → bytes. Every cell passes `inert.csv_cell`; rows are in the
order of the assessment, so equal input gives equal bytes. reports.workbook has the same as XLSX.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reports.inert import ascii_json, csv_cell
from scanner.model import Assessment, Asset, Finding, Outcome

Row = Mapping[str, Any]


def render(assessment: Assessment) -> dict[str, bytes]:
    """inventory, findings, control_matrix, levels, gaps, score, roadmap and safety, both ways."""
    found: dict[str, bytes] = {}
    for name, rows in tables(assessment).items():
        found[f"{name}.csv"] = _csv(rows).encode("utf-8-sig")  # spreadsheets look for the mark
        found[f"{name}.json"] = ascii_json(json.dumps(rows, indent=2).encode()) + b"\n"
    return found


def inventory_csv(assets: Iterable[Asset]) -> str:
    """The asset list as CSV text."""
    return _csv(inventory_rows(assets))


def inventory_rows(assets: Iterable[Asset]) -> list[dict[str, Any]]:
    """The asset list as rows with plain values."""
    return [_asset(asset) for asset in assets]


def tables(assessment: Assessment) -> dict[str, list[dict[str, Any]]]:
    """Table name → rows with plain values."""
    return {
        "inventory": inventory_rows(assessment.assets),
        "findings": [_finding(finding) for finding in assessment.findings],
        "control_matrix": [
            {
                "zone": r.zone,
                "conduit": r.conduit,
                "requirement": r.id,
                "title": r.title,
                "fr": r.fr,
                "sl": r.sl,
                "required_by_sl_t": r.required_by_sl_t,
                "verdict": str(r.verdict),
                "evidence": str(r.evidence_class),
                "findings": " ".join(r.findings),
                "note": r.note,
            }
            for r in assessment.requirements
        ],
        "levels": [
            {
                "zone": level.zone,
                "conduit": level.conduit,
                "fr": level.fr,
                "sl_t": level.sl_t,
                "sl_a_low": level.sl_a_low,
                "sl_a_high": level.sl_a_high,
                "items_met": level.items_met,
                "items_total": level.items_total,
                "blocking": ", ".join(level.blocking),
            }
            for level in assessment.levels
        ],
        "gaps": [
            {
                "priority": gap.priority,
                "zone": gap.zone,
                "conduit": gap.conduit,
                "requirement": gap.requirement,
                "title": gap.title,
                "verdict": str(gap.verdict),
                "severity": str(gap.severity),
                "exploitability": str(gap.exploitability),
                "phase": gap.phase,
                "needs_outage": gap.needs_outage,
                "remedy": gap.remedy,
                "reason": gap.reason,
                "findings": " ".join(gap.findings),
            }
            for gap in assessment.gaps
        ],
        "score": [
            {
                "zone": score.zone,
                "compliant": score.compliant,
                "applicable": score.applicable,
                "score": score.score,
                "items_met": score.items_met,
                "items_total": score.items_total,
                "items_share": score.items_share,
                "items_assessed": score.items_assessed,
                "assessed_share": score.assessed_share,
            }
            for score in assessment.score
        ],
        "roadmap": [
            {
                "phase": item.phase,
                "title": item.title,
                "zones": ", ".join(item.zones),
                "requirements": ", ".join(item.requirements),
                "effort": str(item.effort),
                "needs_outage": item.needs_outage,
                "why": item.why,
                "gaps": " ".join(item.gaps),
            }
            for item in assessment.roadmap
        ],
        "safety": [
            {
                "zone": figures.zone,
                "address": figures.address or "all",
                "profile": figures.profile,
                "connections": figures.connections,
                "peak_concurrent": figures.peak_concurrent,
                "exchanges": figures.exchanges,
                "bytes_out": figures.bytes_out,
                "bytes_in": figures.bytes_in,
                "packets": figures.packets_counted,
                "packet_budget": figures.packets_budget,
                "peak_packets_1s": figures.peak_packets_1s,
                "smallest_gap_s": figures.smallest_gap_s,
                "refusals": " ".join(f"{k}={v}" for k, v in sorted(figures.refusals.items())),
                "canaries_healthy": sum(c.healthy for c in figures.canary),
                "canaries": len(figures.canary),
            }
            for figures in (assessment.safety.total, *assessment.safety.devices)
        ],
    }


def _asset(asset: Asset) -> dict[str, Any]:
    identity = asset.identity
    answered = [s for s in asset.services if s.outcome is Outcome.ANSWERED]
    return {
        "id": asset.id,
        "zone": asset.zone,
        "address": asset.address,
        "sub_address": asset.sub_address,
        "parent": asset.parent,
        "name": asset.name,
        "class": str(asset.device_class),
        "vendor": identity.vendor,
        "model": identity.model,
        "order_number": identity.order_number,
        "hardware": identity.hardware,
        "firmware": identity.firmware,
        "serial": identity.serial,
        "own_name": identity.name,
        "services": ", ".join(f"{s.protocol} {s.transport}/{s.port}" for s in answered),
        "presence": str(asset.presence),
        "criticality": asset.criticality,
        "known_from": ", ".join(asset.origins),
        "conflicts": "; ".join(
            f"{c.field}: " + " / ".join(value for value, _ in c.values) for c in asset.conflicts
        ),
        "confidence": ", ".join(f"{name} {basis}" for name, basis in asset.confidence.items()),
        "interface_makers": "; ".join(
            f"{mac} {maker}" for mac, maker in asset.interface_makers.items()
        ),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "check": finding.check,
        "title": finding.title,
        "scope": finding.scope,
        "zone": finding.zone,
        "asset": finding.asset,
        "conduit": finding.conduit,
        "places": ", ".join(p.asset or p.zone or "" for p in finding.places),
        "verdict": str(finding.verdict),
        "severity": str(finding.severity),
        "exploitability": str(finding.exploitability),
        "requirements": ", ".join(finding.requirements),
        "summary": finding.summary,
        "remedy": finding.remedy,
        "needs_outage": finding.needs_outage,
        "evidence": " ".join(finding.evidence),
    }


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\r\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: _plain(value) for key, value in row.items()})
    return text.getvalue()


def _plain(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return str(value)
    return csv_cell(str(value))
