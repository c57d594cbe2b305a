"""The trace tree: every event is drawn, nothing twice over, no cycle without end."""

from __future__ import annotations

import io
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cli.client import path_segment
from cli.stories import default_folder
from cli.trace import Drawing
from tests.stories.loaded import Loaded


def drawn(found: Any) -> str:
    out = io.StringIO()
    Console(file=out, width=400).print(Drawing(found).tree())
    return out.getvalue()


def test_every_event_and_identifier_of_a_trace_is_drawn(network: Loaded) -> None:
    """A pallet or an input that the tree leaves out."""
    assert default_folder().exists()
    for story in network.stories.values():
        found = network.auditor.get(f"/v1/trace/{path_segment(story.scan)}")
        text = drawn(found)
        for node in found["nodes"]:
            if node["node"] == "identifier":
                assert node["id"].removeprefix("https://id.gs1.org") in text
            else:
                assert node["when"]["time"][:16].replace("T", " ") in text


ROLES = st.sampled_from(["input", "output", "epc", "quantity", "parent", "child"])


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7), ROLES, st.booleans()), max_size=40))
def test_any_graph_is_drawn_in_the_end(links: list[tuple[int, int, str, bool]]) -> None:
    """A cycle in foreign data that the terminal draws for ever."""
    things = [f"urn:thing:{number}" for number in range(6)]
    events = [f"ni:///sha-256;{number:064x}" for number in range(8)]
    found = {
        "id": things[0],
        "parties": {},
        "nodes": [
            *({"node": "identifier", "id": thing, "depth": 0} for thing in things),
            *(
                {
                    "node": "event", "id": event, "type": "ObjectEvent",
                    "when": {"time": "2026-01-01T00:00:00.000Z", "time_ms": number},
                    "what": {}, "who": {"party": "urn:tracemark:party:abc"}, "where": {},
                    "items": [],
                    "evidence": {"state": "anchored", "payload": "available", "findings": []},
                }
                for number, event in enumerate(events)
            ),
        ],
        "edges": [
            {
                "from": events[event] if outward else things[thing],
                "to": things[thing] if outward else events[event],
                "role": role,
            }
            for thing, event, role, outward in links
        ],
    }  # fmt: skip
    assert drawn(found).startswith("urn:thing:0")
