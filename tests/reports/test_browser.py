"""The report in a real browser: nothing is blocked or complained about, and its script works."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from reports import html
from scanner.model import Assessment

pytestmark = pytest.mark.integration

QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-default-apps", "--disable-extensions", "--host-resolver-rules=MAP * ~NOTFOUND",
    "--enable-logging=stderr", "--virtual-time-budget=4000",
)  # fmt: skip

EXERCISE = """
"use strict";
addEventListener("load", () => {
  const said = {};
  const all = (selector) => Array.from(document.querySelectorAll(selector));
  const rows = (table) => all(`#${table} > tbody > tr:not(.more)`);
  const shown = (table) => rows(table).filter((row) => !row.hidden);
  const press = (table, name) => all(`#${table} thead th [role=button]`)
    .find((button) => button.textContent === name).click();
  const filter = (section, key, value) => {
    const field = document.querySelector(`#${section} [data-filter="${key}"]`);
    field.value = value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const column = (table, n) => shown(table).map((row) => row.cells[n].textContent.trim());

  said.tools = document.querySelectorAll(".tools:not([hidden])").length;
  said.zones = all('#gaps [data-filter="place"] option').map((option) => option.value);
  press("t-gaps", "No.");
  press("t-gaps", "No.");
  said.descending = column("t-gaps", 0).slice(0, 3);
  press("t-gaps", "Severity");
  said.severities = Array.from(new Set(column("t-gaps", 4)));
  filter("gaps", "severity", "high");
  said.high = [shown("t-gaps").length, document.querySelector("#gaps output").textContent];
  filter("gaps", "text", "no such text anywhere");
  said.none = shown("t-gaps").length;
  document.querySelector("#gaps [data-clear]").click();
  said.cleared = shown("t-gaps").length;

  press("t-inventory", "Asset");
  press("t-inventory", "Asset");
  const order = rows("t-inventory").map((row) => row.id);
  said.family = order.indexOf("asset-1") - order.indexOf("asset-0");
  const below = all("#t-inventory > tbody > tr");
  said.details = below.every((row, n) => !row.dataset.of || below[n - 1].id === row.dataset.of);
  filter("inventory", "presence", "seen and undeclared");
  said.undeclared = shown("t-inventory").map((row) => row.id).sort();
  said.more = document.querySelectorAll("#t-inventory tr.more:not([hidden])").length;

  const link = document.querySelector("#findings a[data-evidence]");
  link.closest("details").querySelector("summary").click();
  const copy = link.closest("details").querySelector(".inline");
  said.bytes = copy.querySelector(".hex") !== null && copy.querySelectorAll("[id]").length === 0;
  said.expanded = link.getAttribute("aria-expanded");
  link.click();
  said.folded = link.closest("details").querySelector(".inline") === null;

  dispatchEvent(new Event("beforeprint"));
  said.paper = document.querySelectorAll("details:not([open])").length;
  dispatchEvent(new Event("afterprint"));
  said.screen = document.querySelectorAll("details:not([open])").length > 0;

  location.hash = "finding-2";
  addEventListener("hashchange", () => {
    said.revealed = document.getElementById("finding-2").closest("details").open;
    const out = document.createElement("p");
    out.id = "said";
    out.textContent = JSON.stringify(said);
    document.body.append(out);
  });
});
"""


@pytest.fixture(scope="session")
def browser() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("CI is set and Chromium is not installed: the report was not opened")
        pytest.skip("Chromium is not installed")
    return found


def opened(browser: str, folder: Path, document: bytes) -> tuple[str, list[str]]:
    """The page's DOM after its scripts ran, and what it wrote to the console."""
    page = folder / "report.html"
    page.write_bytes(document)
    done = subprocess.run(
        [
            browser,
            *QUIET,
            f"--user-data-dir={folder / 'profile'}",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        timeout=100,
        check=True,
        env={**os.environ, "HOME": str(folder)},
    )
    console = [
        line
        for line in done.stderr.decode(errors="replace").splitlines()
        if "CONSOLE" in line and "source: chrome://" not in line  # its own pages, without a network
    ]
    return done.stdout.decode(), console


def with_script(document: bytes, script: str) -> bytes:
    """A copy with one more script, which its policy then allows."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = document.decode()
    assert text.count("script-src ") == 1
    text = text.replace("script-src ", f"script-src &#39;sha256-{digest}&#39; ")
    return text.replace("</body>", f"<script>{script}</script></body>").encode()


def test_the_browser_has_nothing_to_complain_about(
    browser: str, plant: Assessment, tmp_path: Path
) -> None:
    dom, console = opened(browser, tmp_path, html.render(plant))

    assert console == []
    assert '<span role="button" tabindex="0">Severity</span>' in dom


def test_the_policy_stops_what_the_report_did_not_bring(
    browser: str, plant: Assessment, tmp_path: Path
) -> None:
    """Negative control: an inline script without a hash is refused, and we would see it."""
    document = html.render(plant)
    foreign = document.replace(b"</main>", b"<script>document.title='taken'</script></main>")

    dom, console = opened(browser, tmp_path, foreign)

    assert any("Content Security Policy" in line for line in console)
    assert "<title>taken" not in dom


def test_sorting_filters_evidence_and_paper_work(
    browser: str, plant: Assessment, tmp_path: Path
) -> None:
    dom, console = opened(browser, tmp_path, with_script(html.render(plant), EXERCISE))

    assert console == []
    assert '<p id="said">' in dom
    raw = dom.split('<p id="said">', 1)[1].split("</p>", 1)[0]
    said = json.loads(raw.replace("&amp;", "&"))
    number = len(plant.gaps)
    high = sum(gap.severity == "high" for gap in plant.gaps)
    assert said == {
        "tools": 2,
        "zones": ["", *sorted({html.place_of(gap) for gap in plant.gaps})],
        "descending": [str(number), str(number - 1), str(number - 2)],
        "severities": list(
            dict.fromkeys(g.severity for g in sorted(plant.gaps, key=lambda g: g.severity.rank))
        ),
        "high": [high, f"{high} of {number}"],
        "none": 0,
        "cleared": number,
        "family": 1,
        "details": True,
        "undeclared": ["asset-0", "asset-1", "asset-5"],
        "more": 3,
        "bytes": True,
        "expanded": "true",
        "folded": True,
        "paper": 0,
        "screen": True,
        "revealed": True,
    }


MEASURE = """
"use strict";
addEventListener("load", () => {
  for (const node of document.querySelectorAll("details")) node.open = true;
  const wide = Array.from(document.querySelectorAll("body *")).filter((node) =>
    node.getBoundingClientRect().right > innerWidth + 1 && !node.closest(".scroll, .hex, .skip"));
  const small = Array.from(document.querySelectorAll("body *")).filter((node) =>
    node.textContent.trim() !== "" && parseFloat(getComputedStyle(node).fontSize) < 10);
  parent.postMessage(JSON.stringify({
    window: innerWidth,
    page: document.documentElement.scrollWidth,
    wide: wide.slice(0, 5).map((node) => `${node.nodeName} ${node.className}`),
    small: small.slice(0, 5).map((node) => `${node.nodeName} ${node.className}`),
  }), "*");
});
"""

# Headless windows are at least 500 pixels wide; a frame inside one can be a phone.
PHONE = b"""<!DOCTYPE html><title>phone</title><script>
addEventListener("message", (event) => {
  const out = document.createElement("p");
  out.id = "said";
  out.textContent = event.data;
  document.body.append(out);
});
</script><iframe src="inside.html" width="360" height="740" frameborder="0"></iframe>"""


def test_a_phone_needs_no_sideways_scrolling_of_the_page(
    browser: str, plant: Assessment, tmp_path: Path
) -> None:
    """With everything unfolded and with names that offer no place to break."""
    long = replace(
        plant,
        site="Harbour" * 20,
        run=replace(plant.run, reason="R" * 300),
        assets=tuple(replace(asset, name="N" * 120) for asset in plant.assets),
    )

    (tmp_path / "inside.html").write_bytes(with_script(html.render(long), MEASURE))
    dom, console = opened(browser, tmp_path, PHONE)

    assert console == []
    said = json.loads(dom.split('<p id="said">', 1)[1].split("</p>", 1)[0])
    assert said.pop("page") <= 360
    assert said == {"window": 360, "wide": [], "small": []}


def test_a_certificate_fits_one_sheet_of_paper(
    browser: str, plant: Assessment, tmp_path: Path
) -> None:
    """As long as its words ever are; each of several begins a sheet of its own."""
    for count in (1, 2):
        kept = plant.safety.certificates[:count]
        some = replace(plant, safety=replace(plant.safety, certificates=kept))
        text = html.render(some).decode()
        section = re.search('<section id="certificate".*?</section>', text, re.DOTALL)
        assert section is not None
        (tmp_path / "one.html").write_text(
            f"{text[: text.index('<body>')]}<body><main>{section[0]}</main></body></html>"
        )
        subprocess.run(
            [
                browser, *QUIET, f"--user-data-dir={tmp_path / 'profile'}",
                "--no-pdf-header-footer", f"--print-to-pdf={tmp_path / 'one.pdf'}",
                f"file://{tmp_path / 'one.html'}",
            ],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        pages = re.findall(rb"/Type\s*/Page\b", (tmp_path / "one.pdf").read_bytes())
        assert len(pages) == count
