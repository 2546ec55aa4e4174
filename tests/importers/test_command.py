"""`walkdown import` and `walkdown export` as a user calls them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.importers.conftest import make_site

WALKDOWN = Path(sys.executable).with_name("walkdown")
LIST = "address,name,vendor\n10.1.0.7,=PLC,ACME\n172.16.0.1,elsewhere,ACME\n"


def walkdown(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [WALKDOWN, *words], cwd=folder, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_site(tmp_path)
    (tmp_path / "register.csv").write_text(LIST)
    return tmp_path


def test_a_list_goes_in_and_comes_out_again(folder: Path) -> None:
    told = walkdown(folder, "import", "register.csv", "--site", "site.yaml", "--out", "run").stdout

    assert "no packet sent" in told
    assert "Devices outside every zone: 1: 172.16.0.1" in told
    assert "intact" in walkdown(folder, "evidence", "verify", "run").stdout
    assert (folder / "run" / "report.html").exists()
    assert "claimed" in walkdown(folder, "inventory", "run").stdout
    exported = walkdown(folder, "export", "run", "--to", "csv", "--out", "-").stdout
    assert "\\x3dPLC" in exported
    walkdown(folder, "assess", "run", "run", "--site", "site.yaml", "--out", "both")
    (folder / "again.csv").write_text(exported)
    walkdown(folder, "import", "again.csv", "--site", "site.yaml", "--out", "run2")
    assert "=PLC" in walkdown(folder, "inventory", "run2").stdout


def test_json_for_other_programs(folder: Path) -> None:
    words = ("import", "register.csv", "--site", "site.yaml", "--out", "run", "--json")

    told = json.loads(walkdown(folder, *words).stdout)

    assert told["files"][0]["format"] == "csv"
    assert told["outside"] == ["172.16.0.1"]
    assert told["observations"] == 2


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("import", "nothing.csv", "--site", "site.yaml", "--out", "run"), "no such file"),
        (("import", "site.yaml", "--site", "site.yaml", "--out", "run"), "--format"),
        (("import", "register.csv", "--site", "no.yaml", "--out", "run"), "no.yaml"),
        (("export", "nowhere", "--to", "csv", "--out", "x"), "hint"),
        (("export", "nowhere", "--to", "word", "--out", "x"), "one of"),
    ],
)
def test_what_cannot_be_done_is_told_with_a_way_out(
    folder: Path, words: tuple[str, ...], hint: str
) -> None:
    assert hint in walkdown(folder, *words, code=1).stderr

    assert not (folder / "run").exists()


def test_ctrl_c_leaves_nothing_half_done(folder: Path) -> None:
    row = "1.79e9\tC\t10.2.0.5\t4000\t10.1.0.7\t502\ttcp\tSF\n"
    names = "ts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tconn_state\n"
    head = f"#separator \\x09\n#path\tconn\n#fields\t{names}"
    (folder / "conn.log").write_text(head + row * 2_000_000)
    words = (WALKDOWN, "import", "conn.log", "--site", "site.yaml", "--out", "run")
    with subprocess.Popen(
        words,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # as in a terminal
    ) as process:
        assert process.stderr is not None
        assert "reading conn.log" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)

    assert process.returncode == 130
    left = {path.name for path in folder.iterdir()}
    assert left == {
        "site.yaml", "register.csv", "conn.log", "site.signing-key", "site.signing-key.pub",
    }  # fmt: skip
