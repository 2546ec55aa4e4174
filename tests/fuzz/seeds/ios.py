"""Configurations of Cisco IOS: what a switch of the plant that ships prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

import scanner.importers.ios
from tests.fuzz.seeds.form import ROOT, hide


@cache
def plant() -> dict[str, Any]:
    text = (ROOT / "lab" / "plants" / "harbour.yaml").read_text("utf-8")
    return YAML(typ="safe", pure=True).load(text)  # type: ignore[no-any-return]


def ios_outputs() -> dict[str, str]:
    from tests.importers.test_ios import CONFIG

    switch = next(d for d in plant()["devices"] if "running_config" in str(d))
    settings = _settings_with(switch, "running_config")
    return {
        "show version": settings["show_version"],
        "show running-config": CONFIG + settings["running_config"],
        "show users": settings.get("users_output") or "*  1 vty 0 audit idle 00:00:00 192.0.2.7\n",
        "show ntp status": settings.get("ntp_status") or "%NTP is not enabled.\n",
    }


def _settings_with(where: Any, key: str) -> dict[str, Any]:
    """The mapping inside `where` that has `key`."""
    if isinstance(where, dict):
        if key in where:
            return where
        where = list(where.values())
    for one in where if isinstance(where, list) else ():
        if isinstance(one, dict | list) and (found := _settings_with(one, key)):
            return found
    return {}


def samples(captures: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    ios = scanner.importers.ios
    for text in ios_outputs().values():
        for call in (
            lambda t: ios.mask(t, hide), ios.normalise, ios.read_users, ios.read_version,
            ios.read_ntp_status, lambda t: ios.read_configuration(t, hide, platform="cisco_ios"),
        ):  # fmt: skip
            yield "ios", lambda c=call, t=text: c(t)  # type: ignore[misc]
    yield "ios", lambda: ios.decode_type7("02050D480809")
