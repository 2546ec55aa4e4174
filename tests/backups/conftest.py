"""Assets whose backups are looked for; a test names only what matters to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from scanner.model import Asset, DeviceClass, Identity, Presence


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture
def make_asset() -> Callable[..., Asset]:
    def make(name: str | None = "sw-01", address: str | None = "10.0.0.5", **changes: Any) -> Asset:
        zone = changes.get("zone", "cell")
        usual: dict[str, Any] = {
            "id": f"{zone}/{address}",
            "zone": zone,
            "address": address,
            "sub_address": None,
            "parent": None,
            "name": name,
            "device_class": DeviceClass.SWITCH,
            "identity": Identity(),
            "services": (),
            "sources": {},
            "conflicts": (),
            "presence": Presence.DECLARED_AND_SEEN,
            "declared": Identity(),
            "criticality": None,
            "addresses": (address,) if address else (),
            "facts": (),
            "fact_sources": (),
            "observations": (),
        }
        return Asset(**(usual | changes))

    return make
