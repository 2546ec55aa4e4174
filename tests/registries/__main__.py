"""
Refresh a table of registered numbers: `python -m tests.registries TABLE FILE… --as-of DATE`.

The files are those that a registry publishes, downloaded beforehand: nothing is fetched here. DATE
is the day of the files. The same files give the same table, byte for byte.

  mac          mam.csv, oui36.csv, iab.csv of the IEEE
  enterprises  enterprise-numbers.txt of IANA
  bacnet       ASHRAE's page of assigned vendor ids, as saved by a browser (HTML)
  profinet     device descriptions of makers (GSDML, XML), any number of them

Of the last three only numbers are kept that the table has already; a new row is written by hand,
and the command fills in what the registry says of it. What has changed is printed: look whether our
own name of the maker still fits. The vendors of CIP come with pycomm3, blocks of 24 bits with
netutils: they are refreshed with those packages.
"""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

from tests.registries import form

READERS = {
    "enterprises": form.read_iana,
    "bacnet": form.read_bacnet,
    "profinet": form.read_gsdml,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.registries",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("table", choices=("mac", *READERS))
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--as-of", type=date.fromisoformat, required=True, help="YYYY-MM-DD")
    parser.add_argument("--into", type=Path, help="the table to refresh, if not ours")
    given = parser.parse_args()
    texts = [path.read_text(encoding="utf-8-sig", errors="replace") for path in given.files]

    if given.table == "mac":
        blocks = form.merged([form.read_ieee(text) for text in texts])
        target = given.into or form.MAC_BLOCKS
        target.write_text(form.render_blocks(blocks, given.as_of), encoding="utf-8", newline="\n")
        print(f"{target}: {len(blocks)} blocks")
        return

    which = form.FORMS[given.table]
    registry: dict[int, str] = {}
    for text in texts:
        registry |= READERS[given.table](text)
    if not registry:
        raise SystemExit("nothing of the expected form is in these files")
    target = given.into or which.path
    text, told = form.refreshed(
        which,
        target.read_text(encoding="utf-8"),
        registry,
        given.as_of,
        whole=given.table != "profinet",
    )
    target.write_text(text, encoding="utf-8", newline="\n")
    for words in told:
        print(words)
    print(f"{target}: {len(told)} to look at")


if __name__ == "__main__":
    main()
