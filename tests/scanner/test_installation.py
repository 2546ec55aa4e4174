"""An installed copy knows its own files; a source tree has no list to compare them with."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from importlib import metadata
from pathlib import Path

import pytest

from scanner import installation
from scanner.errors import UsageError

FILES = {
    "scanner/__init__.py": b"",
    "scanner/guards/modbus.py": b"GUARD = 1\n",
    "probes/__init__.py": b"",
    "probes/modbus.py": b"PROBE = 1\n",
    "checks/__init__.py": b"",
    "checks/data/ports.yaml": b"a: 1\n",
    "credentials/__init__.py": b"",
    "credentials/sets/siemens.yaml": b"[]\n",
}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as pip leaves it behind."""
    lines = []
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content)}\n")
    about = tmp_path / "walkdown-0.1.0.dist-info"
    about.mkdir()
    (about / "RECORD").write_text("".join(lines) + "walkdown-0.1.0.dist-info/RECORD,,\n")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: walkdown\nVersion: 0.1.0\n")
    monkeypatch.setattr(installation, "folder_of", lambda package: tmp_path / package)
    monkeypatch.setattr(metadata, "distribution", lambda name: metadata.Distribution.at(about))
    return tmp_path


def test_an_untouched_copy_is_whole_and_compiled_files_are_not_looked_at(installed: Path) -> None:
    compiled = installed / "probes" / "__pycache__" / "modbus.cpython-311.pyc"
    compiled.parent.mkdir()
    compiled.write_bytes(b"x")

    assert installation.changed_files() == ()
    installation.refuse_changed_files()


def test_a_changed_a_missing_and_an_added_file_are_named_and_refused(installed: Path) -> None:
    (installed / "probes" / "modbus.py").write_bytes(b"PROBE = 2\n")
    (installed / "checks" / "data" / "ports.yaml").unlink()
    (installed / "probes" / "more.py").write_bytes(b"")

    assert installation.changed_files() == (
        "checks/data/ports.yaml: is missing",
        "probes/more.py: was added",
        "probes/modbus.py: was changed",
    )
    with pytest.raises(UsageError, match="nothing was sent"):
        installation.refuse_changed_files()


def test_a_line_without_a_digest_is_not_trusted(installed: Path) -> None:
    record = installed / "walkdown-0.1.0.dist-info" / "RECORD"
    lines = record.read_text().splitlines()
    lines = [f"{line.split(',')[0]},," if "modbus" in line else line for line in lines]
    record.write_text("\n".join(lines) + "\n")

    assert installation.changed_files() == (
        "probes/modbus.py: was changed",
        "scanner/guards/modbus.py: was changed",
    )


def test_an_editable_installation_and_another_copy_have_no_list(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = installed / "walkdown-0.1.0.dist-info" / "direct_url.json"
    origin.write_text(json.dumps({"url": "file:///x", "dir_info": {"editable": True}}))
    assert installation.changed_files() is None

    origin.unlink()
    copy = tmp_path / "copy"
    for part in ("scanner", "probes", "checks", "credentials"):
        shutil.copytree(installed / part, copy / part)
    monkeypatch.setattr(installation, "folder_of", lambda package: copy / package)
    assert installation.changed_files() is None


def test_the_probe_set_s_digest_follows_each_of_its_files_and_no_other(installed: Path) -> None:
    before = installation.probe_set_digest()
    lines = sorted(
        f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        for name, content in FILES.items()
        if not name.startswith(("scanner/__init__", "credentials/__init__"))
    )
    assert before == hashlib.sha256("".join(lines).encode()).hexdigest()

    (installed / "scanner" / "store.py").write_bytes(b"x")
    assert installation.probe_set_digest() == before
    for name in ("probes/modbus.py", "scanner/guards/modbus.py", "credentials/sets/siemens.yaml"):
        (installed / name).write_bytes(b"changed")
        assert installation.probe_set_digest() != before
        (installed / name).write_bytes(FILES[name])


@pytest.mark.integration
def test_a_wheel_in_an_environment_of_its_own_refuses_to_scan_with_a_changed_probe(
    tmp_path: Path,
) -> None:
    from tests.proof.promises import p30_known_build as proof

    wheel, _, faults = proof._two_builds(tmp_path)
    python = proof._installed(tmp_path, wheel)

    assert faults == []
    assert proof._scan_refuses(python, tmp_path) == []
    assert proof._tampered(python, 1, 0, 12).bad == 0
