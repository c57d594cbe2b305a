"""The shared gateway with the three stories in it."""

from __future__ import annotations

import pytest

from tests.stories.loaded import Loaded, loaded


@pytest.fixture(scope="session")
def network(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """The demonstration network, loaded; made once for the whole run."""
    return loaded(request.config, tmp_path_factory.mktemp("demonstration"))
