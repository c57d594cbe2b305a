"""A home with captured events, made once; every test harms a copy of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.faults.home import established


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return established(tmp_path_factory.mktemp("template") / "home")


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "home"))
