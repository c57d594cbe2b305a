"""The same gateway, served on a free port, and a client of it."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from gateway.access_keys import NewKey, create_key
from gateway.serve import server_of
from tests.certificates.conftest import template
from tests.certificates.world import World, msp, opened

__all__ = ["template"]


@dataclass
class Site:
    """A served gateway."""

    world: World
    url: str

    def client(self, party: str | None = None) -> httpx.Client:
        """A client that shows redirects, with the key of a party where one is named."""
        headers = {"Accept": "*/*"}
        if party is not None:
            organisation, user = self.world.users[party]
            key = NewKey(label=user, msp_id=msp(organisation), user=user, created_by="tests")
            headers["Authorization"] = f"Bearer {create_key(self.world.container, key)[1]}"
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=30)


@contextmanager
def serving(home: Path) -> Iterator[Site]:
    """The home's gateway on a free loopback port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with opened(home, port=port, rate_per_address=0) as world:
        server = server_of(world.container.settings, world.container)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        until = time.monotonic() + 20
        while not server.started and time.monotonic() < until:
            time.sleep(0.01)
        try:
            yield Site(world, f"http://127.0.0.1:{port}")
        finally:
            server.should_exit = True
            thread.join(20)


@pytest.fixture(scope="session")
def site(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Every story with its certificate; tests may add certificates, not change products."""
    home = Path(shutil.copytree(template, tmp_path_factory.mktemp("site") / "home"))
    with serving(home) as site:
        for story in site.world.stories:
            site.world.issue(story)
        yield site


@pytest.fixture
def own_site(template: Path, tmp_path: Path) -> Iterator[Site]:
    """A test's own: it may do anything."""
    home = Path(shutil.copytree(template, tmp_path / "home"))
    with serving(home) as site:
        yield site


@pytest.fixture
def client(site: Site) -> Iterator[httpx.Client]:
    """A client without a key."""
    with site.client() as client:
        yield client
