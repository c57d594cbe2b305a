"""Fixtures: one gateway with registered parties for the module tests, one PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.postgres import Postgres, binaries
from tests.gateway.running import Gateway, make_home, running


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    home: Path = make_home(tmp_path_factory.mktemp("gateway"))
    with running(home) as served:
        served.register_parties()
        yield served


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    if binaries() is None:
        pytest.skip("NO POSTGRESQL on this machine: the PostgreSQL tests did not run")
    server = Postgres()
    server.start()
    yield server
    server.close()
