"""The bottling line: scanned from its own site file, everything found and nothing false."""

from __future__ import annotations

import pytest

from lab import score
from tests.lab.whole_plant import Scanned, assert_no_harm, scan

pytestmark = [pytest.mark.lab, pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    return scan("line", tmp_path_factory.mktemp("line"))


def test_every_device_and_every_field_is_found_and_nothing_false(scanned: Scanned) -> None:
    result = score.score(scanned.assessment, scanned.plant)

    assert result.perfect, score.render(result)


def test_the_devices_own_ledgers_show_no_harm(scanned: Scanned) -> None:
    assert_no_harm(scanned)
