"""The same on PostgreSQL: issuing, verifying and scanning speak portable SQL."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.credentials.service import clock_ms
from gateway.credentials.store import CredentialStore
from gateway.database import open_engine
from gateway.digital_link import parse
from tests.certificates.world import COFFEE, INSULIN, WATCH, opened
from tests.gateway.postgres import Postgres, binaries

pytestmark = pytest.mark.skipif(
    binaries() is None, reason="NO POSTGRESQL: certificates were NOT tested on it"
)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    server.start()
    yield server
    server.close()


def test_a_certificate_lives_on_postgresql(
    template: Path, tmp_path: Path, postgres: Postgres
) -> None:
    home = Path(shutil.copytree(template, tmp_path / "home"))
    with opened(home, database_url=postgres.database("life")) as world:
        height = int(world.container.ledger.chain_info(world.container.signer).height)
        assert world.container.readmodel.wait_for(height, 60)
        for story, path in (("coffee", COFFEE), ("insulin", INSULIN), ("watch", WATCH)):
            issued = world.issue(story)
            assert world.service.verify(issued.credential).overall == "valid"
            with world.container.readmodel.read() as connection:
                view = world.service.scanner.scan(connection, parse(path), clock_ms())
            assert view.headline.code == "GENUINE"


def test_gateways_that_start_at_once_share_one_table(postgres: Postgres) -> None:
    """Two CREATE TABLEs race; both gateways must come up."""
    url = postgres.database("race")
    failed: list[BaseException] = []

    def start() -> None:
        engine = open_engine(url)
        try:
            store = CredentialStore(engine)
            assert store.get("urn:uuid:none") is None
        except BaseException as error:
            failed.append(error)
        finally:
            engine.dispose()

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
