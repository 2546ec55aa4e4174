"""The server room: scanned from its own site file, everything found and nothing false."""

from __future__ import annotations

import pytest

from lab import score
from tests.lab.whole_plant import Scanned, assert_no_harm, scan

pytestmark = [pytest.mark.lab, pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    return scan("server", tmp_path_factory.mktemp("server"))


def test_every_device_and_every_field_is_found_and_nothing_false(scanned: Scanned) -> None:
    result = score.score(scanned.assessment, scanned.plant)

    assert result.perfect, score.render(result)


def test_the_devices_own_ledgers_show_no_harm(scanned: Scanned) -> None:
    assert_no_harm(scanned)


def test_a_power_supply_behind_upsd_is_an_asset_of_its_own_and_a_lost_one_none(
    scanned: Scanned,
) -> None:
    (server,) = [a for a in scanned.assessment["assets"] if a["name"] == "UPS-SRV"]
    behind = [a for a in scanned.assessment["assets"] if a["parent"] == server["id"]]

    (supply,) = behind
    said = ("vendor", "model", "serial", "firmware", "name")
    assert supply["sub_address"] == "ups rack1"
    assert supply["device_class"] == "ups"
    assert [supply["identity"][field] for field in said] == [
        "EATON", "5PX 1500", "G118K09012", "02.08.0010", "rack1",
    ]  # fmt: skip
