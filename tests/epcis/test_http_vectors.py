"""Published documents through the capture interface, and back unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.epcis.document import read_document
from gateway.epcis.hash import event_hash
from tests.epcis.conftest import EXAMPLES
from tests.epcis.network import Gateway

FIRST: dict[tuple[str, bool], Any] = {}
"""The first spelling of each event captured here, by hash and whether it declares an error."""


@pytest.mark.parametrize("path", EXAMPLES)
def test_captured_and_queried_back(gateway: Gateway, path: Path) -> None:
    """Anything lost, refused or changed between capture and query (policy: report)."""
    body = path.read_bytes()
    job = gateway.capture(body)
    assert job["success"], job["errors"]
    document = read_document(body)
    assert job["anchored"] == len(document.events)
    for event in document.events:
        digest = event_hash(event, document.context)
        found = gateway.get("/events/" + digest.replace("?", "%3F"))
        assert found.status_code == 200, found.text
        answer = found.json()
        first = FIRST.setdefault((digest, "errorDeclaration" in event), event)
        assert _events(answer)[0] in (first, FIRST.get((digest, True)))
        if first is not event:
            continue  # said before in other words: the same event by CBV 2.0
        declared: dict[str, Any] = {}
        for item in answer["@context"]:
            declared.update(item if isinstance(item, dict) else {})
        given = document.context if isinstance(document.context, list) else []
        for item in given:
            if isinstance(item, dict):
                assert item.items() <= declared.items()


def test_everything_at_once(gateway: Gateway) -> None:
    """A page whose context gives a prefix another meaning than an event's document did."""
    paths = [p.values[0] for p in EXAMPLES if p.values[0] != Path()]
    if not paths:
        pytest.skip("no vectors")
    wanted = []
    for path in paths:
        document = read_document(path.read_bytes())
        gateway.capture(path.read_bytes())
        for event in document.events:
            wanted.append((event, document.context))
            key = (event_hash(event, document.context), "errorDeclaration" in event)
            FIRST.setdefault(key, event)
    found = gateway.events(perPage=500)
    spoken = {event_hash(event, context) for event, context in wanted}
    assert len(found) >= len(spoken)
    for event, context in wanted:
        key = (event_hash(event, context), "errorDeclaration" in event)
        assert FIRST[key] in found, event.get("eventID")


def _events(answer: dict[str, Any]) -> list[Any]:
    return list(answer["epcisBody"]["queryResults"]["resultsBody"]["eventList"])
