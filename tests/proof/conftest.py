"""The proof's own tests: those that need root say so where they cannot run."""

from __future__ import annotations

import os

import pytest

from tests.proof.ground import able
from tests.proof.promise import Unable


@pytest.fixture(autouse=True)
def _ground_can_be_made(request: pytest.FixtureRequest) -> None:
    """Tests marked `root` skip without it, and fail where everything has to be there (CI)."""
    if request.node.get_closest_marker("root") is None:
        return
    try:
        able()
    except Unable as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing))
        pytest.skip(str(missing))
