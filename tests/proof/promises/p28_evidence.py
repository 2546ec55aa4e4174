"""Promise 28: whatever is changed in a run's record, both verifiers see it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lab import control
from scanner import signing, verifier
from scanner.errors import StoreError
from scanner.store import RunStore
from tests.proof import mutations
from tests.proof.mutations import Victims
from tests.proof.plants import harbour_site
from tests.proof.promise import Measured, Promise, Tally, Unable, Work

OCTET = 84
DEVICES = (11, 12)
THROUGH_A_FILE = 50
"""Every fiftieth change is also written into a database file, and read as a user would."""
BY_A_JOURNAL = "hot journal laid beside"
"""The first of each part: the database is untouched, and SQLite would make another one of it."""
KINDS = (*mutations.KINDS, BY_A_JOURNAL)


def measure(work: Work) -> Measured:
    folder = work.shared("evidence", lambda place: record(work, place))
    runs = {
        name: verifier.read_rows(folder / name / "walkdown.db")
        for name in ("run", "other", "resumed")
    }
    attacker = Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32)
    victims = Victims(
        signer=(folder / "site.signing-key.pub").read_text().strip(),
        attacker=signing.Signer(attacker, attacker.public_key().public_bytes_raw().hex()),
        **runs,
    )
    untouched = _refused_untouched(victims, folder)
    tally = work.in_chunks(
        1000, lambda first, n: _part(victims, folder, work.setting.seed, first, n)
    )
    faults = (*untouched, *tally.faults)
    sums = {name: int(count) for name, count in tally.sums.items()}
    found = tally.cases - tally.bad
    kinds = ", ".join(f"{kind} {sums.get(kind, 0):,}" for kind in KINDS if sums.get(kind))
    return Measured(
        passed=not faults and not tally.bad and tally.cases >= work.least,
        value=(
            f"{found:,} of {tally.cases:,} changes found by both verifiers"
            f" ({kinds}; {sums.get('through a file', 0):,} of them through a database file)"
        ),
        cases=tally.cases,
        bad=tally.bad,
        faults=faults,
        note=(
            f"the site's public key was known; {sums.get('unsigned', 0):,} cut tails were seen "
            f"only because no signed end record is there, {sums.get('by key', 0):,} forgeries only "
            f"because the key was known, {sums.get('by head', 0):,} sittings cut off whole only "
            "against the head written down elsewhere. Who holds the site's private key can make a "
            "whole record anew. No RFC 3161 token: a time is what the scanner's clock said."
        ),
    )


def _refused_untouched(victims: Victims, folder: Path) -> tuple[str, ...]:
    """Verifiers that refuse everything would find all changes: the record itself must pass."""
    faults = []
    for name in ("run", "other", "resumed"):
        rows = getattr(victims, name)
        known = (rows, victims.signer, mutations.head_of(rows))
        place = folder / name
        said = {
            mutations.outcome_of_product(*known),
            mutations.outcome_of_verifier(*known),
            _product_says(place / "walkdown.db", victims.signer, None),
            "signed" if _alone_finds_nothing(place, victims.signer, None) else "broken",
        }
        if said != {"signed"}:
            faults.append(f"the untouched record {name} is not taken for signed: {said}")
    return tuple(faults)


def _part(victims: Victims, folder: Path, seed: int, first: int, n: int) -> Tally:
    sums: Counter[str] = Counter()
    bad, faults = 0, []
    with tempfile.TemporaryDirectory() as scratch:
        sums[BY_A_JOURNAL] += 1
        if words := _by_a_journal(
            victims, folder, Path(scratch) / "hot", Random(f"{seed}/{first}")
        ):
            bad += 1
            faults.append(f"change {first} ({BY_A_JOURNAL}): {words}")
        for number in range(first + 1, first + n):
            made = mutations.mutate(victims, Random(f"{seed}/{number}"))
            head = made.head if made.needs_head else None
            known = (made.rows, victims.signer, head)
            said = [mutations.outcome_of_product(*known), mutations.outcome_of_verifier(*known)]
            if number % THROUGH_A_FILE == 0 and mutations.write(
                made.rows, folder / "run" / "walkdown.db", Path(scratch) / "walkdown.db"
            ):
                sums["through a file"] += 1
                said.append(_product_says(Path(scratch) / "walkdown.db", victims.signer, head))
                if _alone_finds_nothing(Path(scratch), victims.signer, head):
                    said.append("signed")
            sums[made.kind] += 1
            if "signed" in said or said[0] != said[1]:
                bad += 1
                faults.append(f"change {number} ({made.kind}): {said}")
            elif said[0] == "unsigned":
                sums["unsigned"] += 1
            elif made.needs_head:
                sums["by head"] += 1
            elif mutations.outcome_of_verifier(made.rows, None, None) == "signed":
                sums["by key"] += 1
    return Tally(cases=n, bad=bad, sums=sums, faults=tuple(faults))


def _by_a_journal(victims: Victims, folder: Path, place: Path, chance: Random) -> str:
    """What is wrong with the two verifiers' answers to a folder with a hot journal in it."""
    shutil.copytree(folder / "run", place)
    forged = place.with_suffix(".forged")
    while not mutations.write(
        mutations.mutate(victims, chance).rows, folder / "run" / "walkdown.db", forged
    ):
        pass
    mutations.lay_journal(place / "walkdown.db", forged)
    before = _contents(place)
    said = {
        "the verifier": "signed" if _alone_finds_nothing(place, victims.signer, None) else "broken",
        "the product": _product_says(place / "walkdown.db", victims.signer, None),
    }
    words = [f"{name} takes it for signed" for name, word in said.items() if word == "signed"]
    if _contents(place) != before:
        words.append("the folder was changed")
    return ", ".join(words)


def _contents(place: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(place)): path.read_bytes()
        for path in sorted(place.rglob("*"))
        if path.is_file()
    }


def _product_says(path: Path, key: str, head: str | None) -> str:
    try:
        with RunStore.open(path, read_only=True) as store:
            return store.verify(public_key=key, expected_head=head).outcome
    except StoreError:
        return "broken"


def _alone_finds_nothing(place: Path, key: str, head: str | None) -> bool:
    verdict = verifier.verify_place(place, public_key=key, head=head)
    return verdict.outcome == verifier.SIGNED


# --- the record --------------------------------------------------------------------------------


def record(work: Work, folder: Path) -> None:
    """Two scans of emulated PLCs with the command under test, and one of them resumed."""
    lab = folder / "lab"
    control.up("harbour", lab, now=datetime.now(UTC), second_octet=OCTET, base_port_offset=2000)
    try:
        site = harbour_site(
            folder / "site.yaml", OCTET, DEVICES,
            tier="identify", probes=["modbus", "s7", "http"],
        )  # fmt: skip
        for name in ("run", "other"):
            _walkdown(work, "scan", site, "--out", folder / name)
        shutil.copytree(folder / "run", folder / "resumed")
        _walkdown(work, "scan", site, "--out", folder / "resumed", "--resume")
    finally:
        control.down(lab)


def _walkdown(work: Work, *arguments: object) -> None:
    done = subprocess.run(
        [*work.setting.walkdown, *map(str, arguments)],
        capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    if done.returncode:
        raise Unable(f"a scan of the lab failed: {done.stderr.strip()[-300:]}")


PROMISE = Promise(
    number=28,
    title="Evidence that survives a dispute",
    target="100,000 changes of every kind, 100 % found; a cut tail by the signed end record",
    counts={"ci": 2000, "full": 100_000},
    measure=measure,
    aside=True,
)
