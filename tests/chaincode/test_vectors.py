"""Every event of GS1's EPCIS 2.0 examples and the FSMA-204 documents is anchored under report.

Would catch: a projection that raises on a shape real documents have, a rule that refuses foreign
data nobody set a policy for, a record that cannot be written.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from world import World, entry_of

ROOT = Path(__file__).parents[2]
VECTORS = Path(os.environ.get("TRACEMARK_VECTORS") or ROOT.parent / "shared" / "vectors")
DOCUMENTS = [
    *sorted((VECTORS / "gs1-epcis-2.0" / "examples").rglob("*.jsonld")),
    *sorted((VECTORS / "fsma204").glob("*.jsonld")),
    *sorted((ROOT / "tests" / "epcis" / "vectors" / "event-hash").glob("*.jsonld")),
]


def events_of(path: Path) -> list[dict[str, Any]]:
    body = json.loads(path.read_text())["epcisBody"]
    if "queryResults" in body:
        return list(body["queryResults"]["resultsBody"]["eventList"])
    return list(body.get("eventList") or [body["event"]])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_document_is_anchored_alone(world: World, path: Path) -> None:
    entries = [entry_of(event) for event in events_of(path)]
    result = world.capture("maker", *entries)
    assert [item["hash"] for item in result["anchored"]] == [item["hash"] for item in entries]


def test_all_documents_are_anchored_one_after_another(world: World) -> None:
    for path in DOCUMENTS:
        entries = [entry_of(event) for event in events_of(path)]
        result = world.capture("maker", *entries)
        assert not result["refused"]
        for item in entries:
            found = world.call("auditor", "event:get", {"hash": item["hash"]}, commit=False)
            assert found["hash"] == item["hash"]
