"""Networks for the engine's tests: real nodes, real keys, in a temporary home."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nodes.embedded import EmbeddedNetwork
from nodes.network import init_network
from tests.nodes.client import Client, description, open_home


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network's home that was never opened."""
    home = tmp_path_factory.mktemp("pristine") / "home"
    init_network(description(), home)
    return home


@pytest.fixture
def home(pristine: Path, tmp_path: Path) -> Path:
    """A fresh copy of it for one test."""
    return Path(shutil.copytree(pristine, tmp_path / "home"))


@pytest.fixture
def network(home: Path) -> Iterator[EmbeddedNetwork]:
    """An open network of farm, mill and shop; two must endorse."""
    opened = open_home(home)
    yield opened
    opened.close()


@pytest.fixture
def alice(network: EmbeddedNetwork) -> Client:
    """A client of farm."""
    return Client.of(network)


@pytest.fixture
def bob(network: EmbeddedNetwork) -> Client:
    """A client of mill."""
    return Client.of(network, "mill", "bob")
