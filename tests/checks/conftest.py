"""Subjects for checks: a site, and assets of which a test names only what matters to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from scanner.facts import Fact
from scanner.model import Asset, DeviceClass, Identity, Outcome, Presence, Service, Transport
from scanner.spec import SitePolicy

MakeAsset = Callable[..., Asset]


@pytest.fixture
def site() -> SitePolicy:
    return SitePolicy(
        site="Test works",
        assessed_at=datetime(2026, 11, 20, 12, 0, tzinfo=UTC),
        zones=(),
        conduits=(),
        generic_accounts=("Pumpe",),
        backup_required=("plc", "switch"),
        backup_sources=1,
    )


@pytest.fixture
def make_asset() -> MakeAsset:
    def make(
        *facts: Fact,
        services: dict[str, Outcome] | None = None,
        address: str = "10.0.0.5",
        zone: str = "cell",
        **changes: Any,
    ) -> Asset:
        """`services` maps "protocol/port" to an outcome."""
        offered = tuple(
            Service(
                transport=Transport.UDP if name.startswith("snmp") else Transport.TCP,
                port=int(name.split("/")[1]),
                protocol=name.split("/")[0],
                outcome=outcome,
            )
            for name, outcome in (services or {}).items()
        )
        usual: dict[str, Any] = {
            "id": f"{zone}/{address}",
            "zone": zone,
            "address": address,
            "sub_address": None,
            "parent": None,
            "name": None,
            "device_class": DeviceClass.SWITCH,
            "identity": Identity(),
            "services": offered,
            "sources": {},
            "conflicts": (),
            "presence": Presence.DECLARED_AND_SEEN,
            "declared": Identity(),
            "criticality": None,
            "addresses": (address,),
            "facts": facts,
            "fact_sources": tuple(f"o{address}-{n}" for n, _ in enumerate(facts)),
            "observations": (f"o{address}",),
        }
        return Asset(**(usual | changes))

    return make
