"""A gateway over the demonstration stories: built once, copied for tests that change it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates.world import World, build, opened


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("stories") / "home"
    build(home)
    return home


@pytest.fixture(scope="module")
def world(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Shared by a module's tests: they may add certificates, not change products."""
    home = Path(shutil.copytree(template, tmp_path_factory.mktemp("shared") / "home"))
    with opened(home, rate_per_address=0) as world:
        yield world


@pytest.fixture
def own_world(template: Path, tmp_path: Path) -> Iterator[World]:
    """A test's own: it may do anything."""
    home = Path(shutil.copytree(template, tmp_path / "home"))
    with opened(home, rate_per_address=0) as world:
        yield world
