"""The same queries on PostgreSQL: another database must not give other answers."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.epcis.conftest import document
from tests.epcis.network import Gateway, running_gateway
from tests.epcis.test_http_query import CASES, EVENTS, GTIN, QUERY_CONTEXT, WINDOW, at, names
from tests.gateway.postgres import Postgres, binaries

pytestmark = pytest.mark.skipif(binaries() is None, reason="no PostgreSQL binaries here")


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    running = Postgres()
    running.start()
    yield running
    running.close()


@pytest.fixture(scope="module")
def gateway_on_postgres(
    server: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    home = tmp_path_factory.mktemp("postgres") / "home"
    with running_gateway(home, server.url) as running:
        job = running.capture(document(*EVENTS.values(), context=QUERY_CONTEXT))
        assert job["success"], job["errors"]
        yield running


def test_every_query(gateway_on_postgres: Gateway) -> None:
    """A statement SQLite takes and PostgreSQL reads otherwise."""
    for parameters, expected in CASES:
        for per_page in (2, 100):
            found = gateway_on_postgres.events(**{**WINDOW, **parameters}, perPage=per_page)
            assert " ".join(names(found)) == expected, parameters


def test_resources_and_named_queries(gateway_on_postgres: Gateway) -> None:
    """Paging or uniqueness that rests on SQLite."""
    running = gateway_on_postgres
    assert GTIN + "/21/1" in running.get("/epcs", perPage=100).json()["member"]
    assert "packing" in running.get("/bizSteps", perPage=100).json()["member"]
    body = {"name": "q", "query": {"EQ_bizStep": ["packing"]}}
    assert running.post("/queries", body).status_code == 201
    assert running.post("/queries", body).status_code == 409
    assert names(running.events("/queries/q/events")) == ["packed"]
    assert [job["events"] for job in running.get("/capture").json()] == [6]


def test_wildcards_in_a_place_are_only_characters(gateway_on_postgres: Gateway) -> None:
    """Defect: `WD_readPoint=%` found events below any place."""
    running = gateway_on_postgres
    place = "https://example.com/warehouse_1"
    event = at(31, epcList=[GTIN + "/21/wild"], readPoint={"id": place + "/254/dock"})
    assert running.capture(document(event))["success"]
    window = {"MATCH_epc": GTIN + "/21/wild"}
    assert len(running.events(**window, WD_readPoint=place)) == 1
    for wrong in ("https://example.com/%", "https://example.com/warehouse%1"):
        assert running.events(**window, WD_readPoint=wrong) == []


def test_database_gone_for_a_while(gateway_on_postgres: Gateway, server: Postgres) -> None:
    """A capture lost, or answered 202, while the database cannot keep its job."""
    running = gateway_on_postgres
    folder = running.container.home / "gateway" / "captures"
    event = at(30, epcList=[GTIN + "/21/gone"])
    running.get("/events", **WINDOW)  # the caller is known from now on for a while
    server.stop()
    try:
        answer = running.post("/capture", document(event))
        assert answer.status_code == 503
        assert "Retry-After" in answer.headers
        assert running.get("/events", **WINDOW).status_code == 503
        assert list(folder.iterdir()) == []
    finally:
        server.start()
    deadline = time.monotonic() + 30
    while running.get("/events", **WINDOW).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert running.capture(document(event))["success"]
    assert running.events(MATCH_epc=GTIN + "/21/gone") == [event]
