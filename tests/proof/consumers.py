"""
Who opens what Walkdown writes: a terminal, a browser, a spreadsheet, a JSON reader. Each function
returns what was active, in words; nothing means that text stayed text. (Safety promise 24.)
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from openpyxl import load_workbook

from tests.proof.promise import Unable

# --- any text ----------------------------------------------------------------------------------


def hidden(text: str, *, most: int = 3) -> list[str]:
    """Characters that control, hide or turn text round; newline and space may stand in it."""
    found = []
    for character in set(text) - {" ", "\n"}:
        if unicodedata.category(character)[0] in "CZ":
            found.append(f"U+{ord(character):04X}")
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if marks > most:
            found.append("a pile of combining marks")
            break
    return sorted(found)[:5]


def decoded(data: bytes) -> str:
    """As UTF-8; what is none becomes characters that `hidden` reports."""
    return data.decode("utf-8", "surrogateescape")


# --- terminal ----------------------------------------------------------------------------------

OWN = re.compile(rb"\x1b\[(?:[0-9;]*m|\?25[lh]|2K|1A)|\r(?=\x1b|$)")
"""What the product itself writes to a terminal: colours, and a progress line drawn again."""


def on_a_terminal(
    command: Sequence[str] | Callable[[], None],
    *,
    folder: Path,
    colours: bool = False,
    timeout_s: float = 300,
) -> tuple[bytes, int]:
    """
    All bytes that the command sends to its terminal, raw, and its exit code. What is given as a
    function is run in a fork of this process, which spares Python's start.
    """
    ours, theirs = pty.openpty()
    modes = termios.tcgetattr(theirs)
    modes[1] &= ~termios.OPOST  # the bytes as they were written, no line ends put in
    modes[3] &= ~termios.ECHO
    termios.tcsetattr(theirs, termios.TCSANOW, modes)
    termios.tcsetwinsize(theirs, (50, 200))
    environment = {
        **{k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS")},
        "HOME": str(folder), "LANG": "C.UTF-8", "WALKDOWN_TRACEBACK": "1",
        **({"TERM": "xterm-256color"} if colours else {"TERM": "dumb", "NO_COLOR": "1"}),
    }  # fmt: skip
    if callable(command):
        child = os.fork()
        if child == 0:
            become(command, theirs, folder, environment)
    else:
        child = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment,
            start_new_session=True,
        ).pid  # fmt: skip
    os.close(theirs)
    seen = b""
    end = time.monotonic() + timeout_s
    with suppress(OSError):  # the last of its programs has gone
        while True:
            if not select.select([ours], [], [], max(0.0, end - time.monotonic()))[0]:
                os.kill(child, signal.SIGKILL)
                break
            data = os.read(ours, 65536)
            if not data:
                break
            seen += data
    os.close(ours)
    return seen, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def become(
    command: Callable[[], None], terminal: int, folder: Path, environment: Mapping[str, str]
) -> None:
    """In a fork: be that command on that terminal. Does not return."""
    code = 70
    try:
        os.setsid()
        for number in range(3):
            os.dup2(terminal, number)
        os.closerange(3, 256)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        command()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def active_on_a_terminal(seen: bytes, *, colours: bool = False) -> list[str]:
    return hidden(decoded(OWN.sub(b"", seen) if colours else seen))


# --- JSON and CSV ------------------------------------------------------------------------------


def active_json(document: bytes) -> list[str]:
    """Pure ASCII without a control character, and one whole JSON value."""
    found = [f"byte {byte:#x}" for byte in sorted(set(document)) if not 32 <= byte < 127]
    found = [one for one in found if one != "byte 0xa"]
    try:
        json.loads(document)
    except ValueError as error:
        found.append(f"not JSON: {error}")
    return found[:5]


STARTS = "=+-@\t\r\n\0＝＋－＠"


def active_csv(document: bytes) -> list[str]:
    """By the format alone; the spreadsheet itself is asked by `calculated`."""
    text = document.decode("utf-8-sig")
    found = hidden(text.replace("\r\n", "\n"))
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    for row in rows:
        if len(row) != len(rows[0]):
            found.append("a row of another length")
        for cell in row:
            if not is_number(cell) and cell.lstrip(" ").startswith(tuple(STARTS)):
                found.append(f"a cell begins a formula: {cell[:40]!r}")
    return found[:5]


def is_number(cell: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", cell) is not None


def active_xlsx(document: bytes) -> list[str]:
    """Read back by another library: formulas, links, parts that run or load."""
    found = []
    book = load_workbook(io.BytesIO(document))
    for sheet in book:
        for row in sheet.iter_rows():
            for cell in row:
                if cell.data_type not in ("s", "n", "inlineStr"):
                    found.append(f"{sheet.title} {cell.coordinate} is of type {cell.data_type}")
                if cell.hyperlink is not None:
                    found.append(f"{sheet.title} {cell.coordinate} is a link")
                if isinstance(cell.value, str):
                    found += hidden(cell.value)
    with zipfile.ZipFile(io.BytesIO(document)) as archive:
        found += [
            f"the workbook has {name}"
            for name in archive.namelist()
            if re.search(r"external|vba|embed|drawing|connection|query", name, re.IGNORECASE)
        ]
    return found[:5]


# --- spreadsheet -------------------------------------------------------------------------------

CSV_FILTER = "CSV:{separators},34,76,1,,0,false,true,false,false,false,0,true"
"""Text delimiter 34, UTF-8, numbers recognised, the last token: formulas are evaluated."""


def office() -> str:
    found = shutil.which("soffice") or shutil.which("libreoffice")
    if found is None:
        raise Unable("LibreOffice is not installed (libreoffice-calc): nobody opened the sheets")
    return found


def calculated(
    files: Sequence[Path], folder: Path, *, separators: str | None = None
) -> dict[Path, list[str]]:
    """
    What LibreOffice makes of files in one start: formulas and links per file. `separators` as
    numbers ("44", "59/44"); without them the files are workbooks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    numbered = folder / "in"
    numbered.mkdir(exist_ok=True)
    copies = {}
    for number, file in enumerate(files):
        copy = numbered / f"{number}{file.suffix}"
        shutil.copy(file, copy)
        copies[file] = copy
    command = [
        office(), "--headless", "--norestore", f"-env:UserInstallation=file://{folder}/profile",
        "--convert-to", "fods", "--outdir", str(folder / "out"),
    ]  # fmt: skip
    if separators is not None:
        command.append(f"--infilter={CSV_FILTER.format(separators=separators)}")
    done = subprocess.run(
        [*command, *map(str, copies.values())],
        capture_output=True, timeout=280, check=False, env={**os.environ, "HOME": str(folder)},
    )  # fmt: skip
    found = {}
    for file, copy in copies.items():
        opened = folder / "out" / f"{copy.stem}.fods"
        if not opened.exists():
            raise Unable(f"LibreOffice did not open {file.name}: {done.stderr.decode()[-300:]}")
        found[file] = active_sheet(opened.read_text(encoding="utf-8"))
        opened.unlink()
    return found


def active_sheet(document: str) -> list[str]:
    """In flat OpenDocument: formulas, links, scripts, objects, errors of a calculation."""
    found = []
    for what, pattern in (
        ("formula", r'table:formula="([^"]{0,60})'),
        ("link", r"<text:a [^>]{0,80}"),
        ("address", r'xlink:href="(?!#)([^"]{0,60})'),
        ("object", r"<draw:(?:object|plugin|applet|frame)[^>]{0,60}"),
        ("macro", r"<(?:script:|office:event)[^>]{0,60}"),
    ):
        found += [f"{what}: {match[0]}" for match in re.finditer(pattern, document)]
    return found[:5]


# --- browser -----------------------------------------------------------------------------------

QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-default-apps", "--disable-extensions", "--disable-dev-shm-usage",
    "--enable-logging=stderr", "--virtual-time-budget=60000",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip

LOOK = """
"use strict";
addEventListener("load", () => {
  const shape = {};
  const all = (selector) => Array.from(document.querySelectorAll(selector));
  const note = (root) => { for (const node of root.querySelectorAll("*")) {
    const names = Array.from(node.attributes, (one) => one.name)
      .filter((name) => name !== "hidden").sort().join(" ");  // what a filter hides is no matter
    const key = `${node.parentNode.nodeName}>${node.nodeName}[${names}]`;
    shape[key] = (shape[key] || 0) + 1;
    for (const one of node.attributes) {
      const reaches = ["href", "src", "xlink:href", "action", "data", "srcset", "formaction"]
        .includes(one.name);
      if ((reaches && !/^(#|data:,$)/.test(one.value)) || /^on|^style$|^srcdoc$/.test(one.name)) {
        shape[`ACTIVE ${node.nodeName} ${one.name}=${one.value.slice(0, 60)}`] = 1;
      }
    }
  } };
  note(document);
  all("th [role=button]").slice(0, 40).forEach((one) => one.click());
  all("input[data-filter]").forEach((one) => {
    one.value = "q"; one.dispatchEvent(new Event("input", { bubbles: true })); });
  all("details").forEach((one) => { one.open = true; });
  all("a[data-evidence]").slice(0, 200).forEach((one) => one.click());
  note(document);
  parent.postMessage(JSON.stringify({
    page: location.pathname.split("/").pop(), title: document.title, shape,
  }), "*");
});
"""

OUTER = """<!DOCTYPE html><title>outer</title><p id="said"></p><script>
addEventListener("message", (event) => {
  document.getElementById("said").append(btoa(unescape(encodeURIComponent(event.data))) + "\\n");
});
</script>"""


@dataclass(frozen=True, slots=True)
class Page:
    title: str
    shape: Mapping[str, int]
    """Parent, element and names of its attributes → how often, before and after all was used."""


@dataclass(frozen=True, slots=True)
class Seen:
    pages: Mapping[str, Page]
    console: tuple[str, ...]
    requests: tuple[str, ...]


@dataclass(slots=True)
class Listener:
    """A web server on loopback that hears whatever a page asks for."""

    port: int
    heard: list[str] = field(default_factory=list)


@contextmanager
def listening() -> Iterator[Listener]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        listener = Listener(server.getsockname()[1])

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    client.settimeout(2)
                    with suppress(OSError):
                        line = client.recv(2000).split(b"\r\n", 1)[0]
                        listener.heard.append(line.decode("latin-1"))
                        client.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def browser() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        raise Unable("Chromium is not installed: nobody opened the reports")
    return found


def with_look(document: bytes) -> bytes:
    """The page with our own script in it, which its policy is told to allow."""
    digest = base64.b64encode(hashlib.sha256(LOOK.encode()).digest()).decode()
    text = document.decode()
    if "script-src " in text:
        text = text.replace("script-src ", f"script-src &#39;sha256-{digest}&#39; ", 1)
    place = text.rindex("</body>")
    return f"{text[:place]}<script>{LOOK}</script>{text[place:]}".encode()


def opened(pages: Mapping[str, bytes], folder: Path, listener: Listener) -> Seen:
    """All pages in one browser, each looked at, used, and looked at again."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = ""
    for name, document in pages.items():
        (folder / f"{name}.html").write_bytes(with_look(document))
        frames += f'<iframe src="{name}.html" width="900" height="600"></iframe>'
    outer = folder / "outer.html"
    outer.write_text(OUTER + frames, encoding="ascii")
    listener.heard.clear()
    done = subprocess.run(
        [browser(), *QUIET, f"--user-data-dir={folder / 'profile'}", "--dump-dom", outer.as_uri()],
        capture_output=True, timeout=280, check=True, env={**os.environ, "HOME": str(folder)},
    )  # fmt: skip
    raw = done.stdout.decode().split('<p id="said">', 1)[-1].split("</p>", 1)[0]
    found = {}
    for line in raw.split():
        said = json.loads(base64.b64decode(line))
        found[said["page"].removesuffix(".html")] = Page(said["title"], said["shape"])
    console = tuple(
        line
        for line in done.stderr.decode(errors="replace").splitlines()
        if "CONSOLE" in line and "source: chrome://" not in line
    )
    return Seen(found, console, tuple(listener.heard))
