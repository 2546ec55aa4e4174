"""
One word for many assets: findings that say the same of each of them are kept once, with all places.

Pure. Only what settles nothing is folded, `not_checked` and `not_applicable`: of a thousand devices
most checks can say no more than that nobody told the fact, and each of those words would be written
a thousand times. A failure, a pass, an error and what a person has to look at stay one finding for
each asset.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from scanner.model import Finding, Place, Verdict

FOLDED = frozenset({Verdict.NOT_CHECKED, Verdict.NOT_APPLICABLE})

DIGEST = 8
"""Hex digits that tell apart the words of one check in one zone."""


def folded(findings: Iterable[Finding]) -> tuple[tuple[Finding, ...], Mapping[str, str]]:
    """
    (the findings sorted by id, the id that each folded one is now found under).

    The id of several is "check/assets/zone/digest[/port N][/about]" and stable over runs like any
    other; evidence is that of all, in the order of the assets' ids.
    """
    kept: list[Finding] = []
    alike: dict[tuple[object, ...], list[Finding]] = {}
    for finding in sorted(findings, key=lambda one: one.id):
        if finding.asset is None or finding.verdict not in FOLDED or len(finding.places) != 1:
            kept.append(finding)
            continue
        words = (
            finding.check, finding.zone, finding.verdict, finding.severity, finding.requirements,
            finding.summary, _rest(finding),
        )  # fmt: skip
        alike.setdefault(words, []).append(finding)
    renamed: dict[str, str] = {}
    for own in alike.values():
        if len(own) == 1:
            kept += own
            continue
        one = _together(own)
        kept.append(one)
        renamed |= dict.fromkeys((finding.id for finding in own), one.id)
    return tuple(sorted(kept, key=lambda one: one.id)), renamed


def spread(finding: Finding) -> Iterator[tuple[str, str]]:
    """(id, asset) of each finding that was folded into this one; the inverse of `folded`."""
    head = f"{finding.check}/assets/{finding.zone}/"
    rest = finding.id[len(head) + DIGEST :]
    for place in finding.places:
        if place.asset is not None:
            yield f"{finding.check}/asset/{place.asset}{rest}", place.asset


def renamed_in(names: Sequence[str], renamed: Mapping[str, str]) -> tuple[str, ...]:
    """The ids that `names` are found under after folding, each once."""
    return tuple(dict.fromkeys(renamed.get(name, name) for name in names))


def _rest(finding: Finding) -> str:
    """What follows the asset in the id: the service and what of it."""
    return finding.id.removeprefix(f"{finding.check}/asset/{finding.asset}")


def _together(own: Sequence[Finding]) -> Finding:
    first = own[0]
    words = "\n".join((first.verdict, first.severity, *first.requirements, first.summary))
    digest = hashlib.sha256(words.encode()).hexdigest()[:DIGEST]
    return replace(
        first,
        id=f"{first.check}/assets/{first.zone}/{digest}{_rest(first)}",
        asset=None,
        places=tuple(Place(zone=finding.zone, asset=finding.asset) for finding in own),
        evidence=tuple(dict.fromkeys(name for finding in own for name in finding.evidence)),
    )
