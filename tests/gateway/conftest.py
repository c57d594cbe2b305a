"""Fixtures: one gateway with registered parties for the module tests, one PostgreSQL server."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.database import open_engine
from gateway.readmodel.store import ReadModel
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


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/readmodel.sqlite"
    server: Postgres = request.getfixturevalue("postgres")
    return server.database(f"empty{next(_NUMBERS)}")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database with the read model's tables, once of each kind."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "readmodel.sqlite")
        return f"sqlite:///{tmp_path}/readmodel.sqlite"
    server: Postgres = request.getfixturevalue("postgres")
    template: str = request.getfixturevalue("postgres_template")
    return server.database(f"tests{next(_NUMBERS)}", template)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the tables and no rows."""
    path = tmp_path_factory.mktemp("template") / "readmodel.sqlite"
    _prepare(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres: Postgres) -> str:
    """Name of a database with the tables and no rows."""
    _prepare(postgres.database("template_tables"))
    return "template_tables"


def _prepare(url: str) -> None:
    engine = open_engine(url)
    ReadModel(engine).prepare()
    engine.dispose()


_NUMBERS = itertools.count()
