"""What a trace is made of: events with their links at hand, and the trace they make up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Direction = Literal["up", "down", "both"]
Record = dict[str, Any]

_CONTAINING = frozenset({"AggregationEvent", "AssociationEvent"})


@dataclass(slots=True)
class TracedEvent:
    """One event of the walk: its row's evidence and its record on the chain."""

    seq: int
    hash: str
    declaration: bool
    block: int
    voided_by: str | None
    record: Record
    projection: Record = field(init=False)
    time_ms: int = field(init=False)  # event time, UTC
    follows: bool = field(init=False)  # no error declaration, and none voids it
    parent: str | None = field(init=False)  # the container, of an aggregation or association
    removes: bool = field(init=False)  # whether it takes children out of the parent
    inputs: dict[str, None] = field(init=False)
    outputs: dict[str, None] = field(init=False)
    children: dict[str, None] = field(init=False)  # only where parent is set

    def __post_init__(self) -> None:
        self.projection = self.record["projection"]
        self.time_ms = int(self.projection["time_ms"])
        self.follows = not self.declaration and self.voided_by is None
        self.inputs = _ids(self.projection, "inputs", "input_quantities")
        self.outputs = _ids(self.projection, "outputs", "output_quantities")
        self.removes = self.projection.get("action") == "DELETE"
        if self.projection["type"] in _CONTAINING:
            self.parent = self.projection.get("parent")
            self.children = _ids(self.projection, "children", "child_quantities")
        else:
            self.parent, self.children = None, {}

    def boards(self, identifier: str) -> str | None:
        """The container the event puts `identifier` into, or sees it in."""
        return None if self.removes or identifier not in self.children else self.parent

    def lets_out(self, container: str, cargo: str) -> bool:
        """Whether it takes the cargo (or everything) out of the container."""
        if not self.removes or self.parent != container:
            return False
        return not self.children or cargo in self.children


@dataclass(slots=True)
class Trace:
    """What a walk found. depths: links between the root and each identifier, negative upwards."""

    root: str
    direction: Direction
    events: dict[int, TracedEvent] = field(default_factory=dict)
    depths: dict[str, int] = field(default_factory=dict)
    truncated: bool = False
    levels: int = 0

    def in_order(self) -> list[TracedEvent]:
        """Events by event time, then by their place on the ledger."""
        return sorted(self.events.values(), key=lambda event: (event.time_ms, event.seq))


def _ids(projection: Record, plain: str, counted: str) -> dict[str, None]:
    """Identifiers of a plain list and of a list with quantities, in order, each once."""
    if plain not in projection and counted not in projection:
        return {}
    out = dict.fromkeys(projection.get(plain) or ())
    for entry in projection.get(counted) or ():
        out[entry["id"]] = None
    return out
