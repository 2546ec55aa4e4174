"""
What the owner of a simulated plant would have at hand: the site file, the secret of the read-only
account, backups with their manifest, attestations with their documents.

All of it is written afresh into one folder, with the plant's planted faults: a document that is
missing, one that was changed, an attestation that has expired, a backup that is too old, one that
differs from its manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from io import StringIO
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from lab.plant import STANDARD_PORTS, Device, Plant, is_opt_in, shifted

SECRET_NAME = "walkdown-reader"  # noqa: S105 - the name of a file
MANIFEST = "manifest.sha256"
WINDOW_BEFORE = timedelta(hours=1)
WINDOW_LENGTH_H = 12

_HEAD = """\
# {site}: site file of the simulated plant, written by `walkdown lab up`.
#
# Everything in it is on this machine: {where}, and every device an
# emulator. Read it as an example of what your own site file may say.
"""


def write_site(
    plant: Plant,
    directory: Path,
    *,
    now: datetime,
    base_port_offset: int,
    host_keys: Mapping[str, str],
) -> Path:
    """
    Write DIRECTORY/site.yaml and all that it names; the site's state starts empty.

    `now` is aware; authorisation and window cover it. Returns the path of the site file.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for stale in directory.glob("site.state.db*"):
        stale.unlink()
    _write_secrets(plant, directory)
    _write_site_key(plant, directory)
    _write_backups(plant, directory, now=now)
    _write_attestations(plant, directory, now=now)
    path = directory / "site.yaml"
    path.write_text(
        site_text(plant, now=now, base_port_offset=base_port_offset, host_keys=host_keys),
        encoding="utf-8",
    )
    return path


def site_text(
    plant: Plant, *, now: datetime, base_port_offset: int, host_keys: Mapping[str, str]
) -> str:
    """The site file's text."""
    start = (now - WINDOW_BEFORE).replace(microsecond=0)
    blocks: list[str] = [
        _HEAD.format(site=plant.site, where=_where(plant)),
        _block({"site": plant.site}),
        "# Nobody scans without somebody who answers for the plant.\n"
        + _block(
            {
                "authorisation": {
                    "reference": "LAB-0001",
                    "owner": "Shift lead",
                    "contact": "ext. 4711",
                    "valid_from": start.isoformat(),
                    "valid_until": (start + timedelta(days=1)).isoformat(),
                }
            }
        ),
        "# Nothing is sent outside the window.\n"
        + _block(
            {
                "windows": [
                    {
                        "id": "now",
                        "start": start.isoformat(),
                        "duration": f"{WINDOW_LENGTH_H}h",
                    }
                ]
            }
        ),
        "# Paced as a real plant would be. Devices in tier `login` have profile `lab` (loopback\n"
        "# only), under which attempts are a second apart instead of a minute. One connection\n"
        "# at a time per device holds in every profile.\n"
        "zones:\n"
        + "".join(
            _zone(plant, zone, base_port_offset=base_port_offset, host_keys=host_keys)
            for zone in plant.zones
        ),
        "# What is meant to pass between the zones.\n"
        + _block({"conduits": [_conduit(c, base_port_offset) for c in plant.conduits]}),
        "# Where configurations and projects are saved, and how old a backup may be.\n"
        + _block(
            {
                "backups": {
                    "sources": [{"id": "folder", "kind": "folder", "path": "backups"}],
                    **plant.backups,
                }
            }
        ),
        "# What the owner vouches for, with the documents behind it.\n"
        + _block({"attestations": "attestations.yaml"}),
        _block({"policy": dict(plant.policy)}),
    ]
    return "\n".join(blocks)


def _where(plant: Plant) -> str:
    if all(_on_loopback(device) for device in plant.devices):
        return "every address is a loopback address"
    return "its networks are this machine's own"


def _on_loopback(device: Device) -> bool:
    return device.address is None or ip_address(device.address).is_loopback


def _zone(
    plant: Plant, zone: Mapping[str, Any], *, base_port_offset: int, host_keys: Mapping[str, str]
) -> str:
    devices = [d for d in plant.devices if d.zone == zone["id"] and d.declared is not None]
    head = {**zone, "window": "now", "profile": zone.get("profile", "default")}
    ports = dict(zone.get("ports", {}))
    if base_port_offset:
        named = set(zone.get("probes", ()))
        ports = {
            name: port
            for name, port in STANDARD_PORTS.items()
            if name in named or not is_opt_in(name)
        } | ports
    if ports:
        head["ports"] = {name: shifted(port, base_port_offset) for name, port in ports.items()}
    text = _indent(_block([head]), 2) + "    assets:\n"
    for device in devices:
        asset = _asset(device, base_port_offset=base_port_offset, host_keys=host_keys)
        text += f"      # {device.note}\n" + _indent(_block([asset]), 6)
    return text


def _asset(
    device: Device, *, base_port_offset: int, host_keys: Mapping[str, str]
) -> dict[str, Any]:
    asset: dict[str, Any] = {"name": device.name}
    if device.address is not None:
        asset["address"] = device.address
    for key, value in (device.declared or {}).items():
        if key == "login":
            asset["login"] = {
                **value,
                "secret": f"file:secrets/{SECRET_NAME}",
                "host_key": host_keys[device.name],
            }
        elif key == "ports":
            asset[key] = {name: shifted(port, base_port_offset) for name, port in value.items()}
        elif key == "expected_services":
            asset[key] = [
                {**flow, "port": shifted(flow["port"], base_port_offset)} for flow in value
            ]
        elif key == "ports":
            asset[key] = {name: shifted(port, base_port_offset) for name, port in value.items()}
        else:
            asset[key] = value
    if asset.get("tier") == "login" and _on_loopback(device):
        asset.setdefault("profile", "lab")  # attempts a second apart, not a minute
    return asset


def _conduit(conduit: Mapping[str, Any], offset: int) -> dict[str, Any]:
    flows = [{**flow, "port": shifted(flow["port"], offset)} for flow in conduit.get("allow", ())]
    return {**conduit, "allow": flows}


def _write_secrets(plant: Plant, directory: Path) -> None:
    """The password of the read-only account, which the plant's devices have in common."""
    passwords = {
        str(service.settings["users"][login["user"]])
        for device in plant.devices
        if (login := (device.declared or {}).get("login"))
        for service in device.services
        if service.protocol == "ssh"
    }
    folder = directory / "secrets"
    folder.mkdir(mode=0o700, exist_ok=True)
    for password in passwords:  # one in this plant; the loop writes none where there is none
        path = folder / SECRET_NAME
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text(password + "\n", encoding="utf-8")


def _write_site_key(plant: Plant, directory: Path) -> None:
    """
    The key under which reused secrets are recognised. A real site's is random; this one follows
    from the plant's name, so that two starts of a plant give findings of the same id.
    """
    path = directory / "site.key"
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_bytes(sha256(f"site key of the simulated plant {plant.name}".encode()).digest())


def running_configuration(device: Device) -> str | None:
    """What the device's `show running-config` prints, None where it has none."""
    for service in device.services:
        if "running_config" in service.settings:
            return str(service.settings["running_config"])
    return None


def _write_backups(plant: Plant, directory: Path, *, now: datetime) -> None:
    root = directory / "backups"
    root.mkdir(exist_ok=True)
    for device in plant.devices:
        if device.backup is None:
            continue
        content = str(device.backup.get("content", ""))
        if content == "running":
            content = running_configuration(device) or ""
        if not content:
            content = f"{device.name}\nproject archive of the simulated plant\n"
        taken = now - timedelta(days=int(device.backup["age_days"]))
        path = root / device.name / f"{taken.strftime('%Y-%m-%dT%H%M%SZ')}.cfg"
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in path.parent.glob("*.cfg"):
            old.unlink()
        digest = sha256(content.encode("utf-8")).hexdigest()
        if device.backup.get("manifest") == "broken":
            content += "changed after it was saved\n"
        path.write_bytes(content.encode("utf-8"))
        (path.parent / MANIFEST).write_text(f"{digest}  {path.name}\n", encoding="utf-8")


def _write_attestations(plant: Plant, directory: Path, *, now: datetime) -> None:
    folder = directory / "documents"
    folder.mkdir(exist_ok=True)
    missing = {str(a["document"]) for a in plant.attestations if a.get("missing")}
    entries = []
    for attestation in plant.attestations:
        name = str(attestation["document"])
        text = plant.documents.get(name, f"# {name}\n")
        digest = sha256(text.encode("utf-8")).hexdigest()
        if attestation.get("changed"):
            text += "\nEdited after the attestation was signed.\n"
        path = folder / name
        if name in missing:
            path.unlink(missing_ok=True)
        else:
            path.write_text(text, encoding="utf-8")
        signed = (now - timedelta(days=int(attestation["age_days"]))).date()
        entries.append(
            {
                "zone": attestation["zone"],
                "requirement": attestation["requirement"],
                "verdict": attestation["verdict"],
                "document": f"documents/{name}",
                "sha256": digest,
                "owner": attestation["owner"],
                "date": signed.isoformat(),
                "expires": (signed + timedelta(days=int(attestation["valid_days"]))).isoformat(),
            }
        )
    head = (
        "# What the owner of the simulated plant vouches for. An entry counts until it expires,\n"
        "# and while its document has this SHA-256.\n"
    )
    (directory / "attestations.yaml").write_text(head + _block(entries), encoding="utf-8")


def _block(value: Any) -> str:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 100
    stream = StringIO()
    yaml.dump(value, stream)
    return stream.getvalue()


def _indent(text: str, spaces: int) -> str:
    return "".join(f"{' ' * spaces}{line}\n" for line in text.splitlines())
