"""The life of one product as its certificate and its page tell it, from the read model.

:mod:`gateway.trace` walks; here its result is read as a life: which event made the product, from
what, and where those materials begin. Voided events and error declarations are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from gateway.credentials.readings import made_by_event
from gateway.trace import TracedEvent, trace

Record = Mapping[str, Any]
MOST_NODES = 4000


@dataclass(slots=True)
class History:
    """Event records of a product's life, oldest first.

    made: the event that brought the subject into being. origins: first events of its materials
    (of the subject itself when it was made from nothing). ancestors: identifiers it was made from
    or, of a container, that it held, nearest first. related: every identifier the walk met,
    containers included. cut: whether the walk reached its bound.
    """

    subject: str
    events: list[Record] = field(default_factory=list)
    made: Record | None = None
    origins: list[Record] = field(default_factory=list)
    ancestors: list[str] = field(default_factory=list)
    related: list[str] = field(default_factory=list)
    cut: bool = False


def history(connection: Connection, subject: str) -> History:
    """The history of a canonical identifier; empty when nothing is known of it."""
    walk = trace(connection, subject, "up", max_nodes=MOST_NODES)
    events = [event for event in walk.in_order() if event.follows]
    found = History(subject, [event.record for event in events], cut=walk.truncated)
    inputs = _inputs_by_transformation(events)
    sources = {subject: None}
    for event in reversed(events):
        if event.parent == subject:
            sources.update(event.children)
        made = made_by_event(event.projection)
        if not sources.keys() & set(made):
            continue
        went_in = inputs.get(event.projection.get("transformation_id", ""), event.inputs)
        sources.update(dict.fromkeys(went_in))
        if not went_in:
            found.origins.insert(0, event.record)
        if subject in made:
            found.made = event.record
    found.ancestors = list(sources)[1:]
    found.related = list(walk.depths)
    return found


def _inputs_by_transformation(events: list[TracedEvent]) -> dict[str, dict[str, None]]:
    """Transformation id -> all its inputs, over the events that share it (EPCIS 2.0 §7.4)."""
    inputs: dict[str, dict[str, None]] = {}
    for event in events:
        shared = event.projection.get("transformation_id")
        if shared:
            inputs.setdefault(shared, {}).update(event.inputs)
    return inputs
