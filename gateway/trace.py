"""Where a thing came from and where it went: a bounded walk over the read model's events.

The walk goes level by level, with two or three SQL queries a level whatever its width. A visit is
an identifier, a way to look at it, and the time window in which it concerns the traced thing:

  up     what it is made of: from an output to the inputs, from a container to what it held
  down   what became of it: from an input to the outputs, from a container to what it holds
  ride   a container while the traced thing was inside: its journey, not its other contents

Links of one transformation may lie in several events that share a transformation id (EPCIS 2.0
§7.4); they are followed as one. Voided events are shown and not followed. Windows only grow and
only so often, so cycles in foreign data end; the number of identifiers and events is bounded and
`truncated` says when the bound cut something off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from sqlalchemy import Connection

from chaincode.errors import IdentifierError
from chaincode.identifiers import parse
from gateway.database import select_in
from gateway.traced import Direction, Trace, TracedEvent

__all__ = ["Direction", "Trace", "TracedEvent", "Visit", "trace"]

Mode = Literal["up", "down", "ride"]

FOREVER = 1 << 62
MOST_WIDENINGS = 4
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Visit:
    """An identifier to look at, how, from when to when (event time, ms UTC, both inclusive)."""

    identifier: str
    mode: Mode
    start_ms: int
    end_ms: int
    depth: int
    cargo: str = ""  # for a ride: what is inside


def trace(
    connection: Connection,
    identifier: str,
    direction: Direction = "both",
    *,
    max_depth: int = 50,
    max_nodes: int = 5000,
) -> Trace:
    """Walk from a canonical `identifier`.

    max_depth: most links followed in each direction (riding along in a container costs none).
    max_nodes: most identifiers plus events.
    """
    return _Walk(connection, Trace(identifier, direction), max_depth, max_nodes).run()


class _Walk:
    """One walk; used once."""

    def __init__(
        self, connection: Connection, found: Trace, max_depth: int, max_nodes: int
    ) -> None:
        self._connection = connection
        self._found = found
        self._max_depth = max_depth
        self._max_nodes = max_nodes
        self._loaded: dict[int, TracedEvent] = {}
        self._of: dict[str, list[int]] = {}
        self._families: dict[str, list[int]] = {}
        self._windows: dict[tuple[str, Mode, str], tuple[int, int, int]] = {}

    def run(self) -> Trace:
        found = self._found
        modes: tuple[Mode, ...] = (
            ("up", "down") if found.direction == "both" else (found.direction,)
        )
        level = [Visit(found.root, mode, -FOREVER, FOREVER, 0) for mode in modes]
        found.depths[found.root] = 0
        while level := self._new(level):
            found.levels += 1
            if not self._load(level):
                break
            level = list(self._further(level))
        return found

    # -- what to visit ------------------------------------------------------------------------

    def _new(self, level: Iterable[Visit]) -> list[Visit]:
        """Drop what was seen; widen what was seen in part. Bounded per identifier and mode."""
        out: dict[tuple[str, Mode, str], Visit] = {}
        for visit in level:
            key = (visit.identifier, visit.mode, visit.cargo)
            start, end, count = self._windows.get(key, (FOREVER, -FOREVER, 0))
            if start <= visit.start_ms and end >= visit.end_ms:
                continue
            if count >= MOST_WIDENINGS:
                continue
            widened = (min(start, visit.start_ms), max(end, visit.end_ms), count + 1)
            if count + 1 == MOST_WIDENINGS:
                widened = (-FOREVER, FOREVER, count + 1)
            if count >= 1 and key in out:
                widened = (widened[0], widened[1], count)
            self._windows[key] = widened
            out[key] = Visit(
                visit.identifier, visit.mode, widened[0], widened[1], visit.depth, visit.cargo
            )
        return list(out.values())

    def _further(self, level: Iterable[Visit]) -> Iterator[Visit]:
        for visit in level:
            if visit.mode == "ride":
                yield from self._ride(visit)
            else:
                yield from self._follow(visit)

    def _follow(self, visit: Visit) -> Iterator[Visit]:
        """Links of one identifier's events in its window."""
        deeper = visit.depth < self._max_depth
        for event in self._events_of(visit):
            self._keep(event)
            if not event.follows:
                continue
            for identifier in self._links(visit, event):
                if not deeper:
                    self._found.truncated = True
                    break
                self._place(identifier, visit)
                yield (
                    Visit(identifier, "up", -FOREVER, event.time_ms, visit.depth + 1)
                    if visit.mode == "up"
                    else Visit(identifier, "down", event.time_ms, FOREVER, visit.depth + 1)
                )
            yield from self._board(visit, event)

    def _links(self, visit: Visit, event: TracedEvent) -> list[str]:
        """What went into the identifier by this event (up), or what it went into (down)."""
        up = visit.mode == "up"
        if visit.identifier in (event.outputs if up else event.inputs):
            return [
                identifier
                for member in self._family(event)
                for identifier in (member.inputs if up else member.outputs)
            ]
        return list(event.children) if event.parent == visit.identifier else []

    def _ride(self, visit: Visit) -> Iterator[Visit]:
        """A container's journey while `cargo` is inside, and its own containers'."""
        events = self._events_of(visit)
        end = self._way_out(visit, events)
        for event in events:
            if event.time_ms > end:
                break
            if event.parent == visit.identifier and not event.lets_out(
                visit.identifier, visit.cargo
            ):
                continue  # other things going in and out are not this journey
            self._keep(event)
            if event.follows:
                yield from self._board(
                    Visit(visit.identifier, "ride", visit.start_ms, end, visit.depth), event
                )

    @staticmethod
    def _way_out(visit: Visit, events: Sequence[TracedEvent]) -> int:
        """When the cargo left: a thing at its first unpacking, of a lot the last part."""
        out = [
            event.time_ms
            for event in events
            if event.follows and event.lets_out(visit.identifier, visit.cargo)
        ]
        if not out:
            return visit.end_ms
        return out[-1] if _is_class(visit.cargo) else out[0]

    def _board(self, visit: Visit, event: TracedEvent) -> Iterator[Visit]:
        """Go on with the container that the event puts the identifier into."""
        container = event.boards(visit.identifier)
        if container is None or container == visit.identifier:
            return
        self._place(container, visit)
        yield Visit(container, "ride", event.time_ms, visit.end_ms, visit.depth, visit.identifier)

    def _family(self, event: TracedEvent) -> list[TracedEvent]:
        """The events of the same transformation, this one included; they join the trace."""
        shared = event.projection.get("transformation_id")
        if shared is None or not event.follows:
            return [event]
        members = [self._loaded[seq] for seq in self._families.get(shared, [event.seq])]
        members = [member for member in members if member.follows]
        for member in members:
            self._keep(member)
        return members

    def _events_of(self, visit: Visit) -> list[TracedEvent]:
        events = [self._loaded[seq] for seq in self._of.get(visit.identifier, ())]
        return [event for event in events if visit.start_ms <= event.time_ms <= visit.end_ms]

    def _keep(self, event: TracedEvent) -> None:
        self._found.events[event.seq] = event

    def _place(self, identifier: str, visit: Visit) -> None:
        if identifier not in self._found.depths:
            step = 0 if visit.mode == "ride" else 1
            depth = visit.depth + step
            self._found.depths[identifier] = -depth if visit.mode == "up" else depth

    # -- what is read ---------------------------------------------------------------------------

    def _load(self, level: Sequence[Visit]) -> bool:
        """Read the events of identifiers not read before; False when the bound is reached."""
        left = self._max_nodes - len(self._found.depths) - len(self._found.events)
        if left <= 0:
            self._found.truncated = True
            return False
        wanted = list(dict.fromkeys(v.identifier for v in level if v.identifier not in self._of))
        if len(wanted) > left:
            self._found.truncated = True
            wanted = wanted[:left]
        for start in range(0, len(wanted), _CHUNK):
            self._load_identifiers(wanted[start : start + _CHUNK], left)
        return True

    def _load_identifiers(self, identifiers: list[str], most: int) -> None:
        for identifier in identifiers:
            self._of[identifier] = []
        rows = select_in(self._connection, _SEQS, identifiers, most + 1)
        if len(rows) > most:
            self._found.truncated = True
            rows = rows[:most]
        self._load_events({row[1] for row in rows} - self._loaded.keys())
        for identifier, seq in rows:
            if seq in self._loaded:
                self._of[identifier].append(seq)
        for identifier in identifiers:
            self._of[identifier].sort(key=self._when)

    def _when(self, seq: int) -> tuple[int, int]:
        return self._loaded[seq].time_ms, seq

    def _load_events(self, seqs: set[int]) -> None:
        shared: set[str] = set()
        ordered = sorted(seqs)
        for start in range(0, len(ordered), _CHUNK):
            rows = select_in(self._connection, _EVENTS, ordered[start : start + _CHUNK])
            for row in rows:
                event = self._add(row)
                transformation = event.projection.get("transformation_id")
                if transformation is not None and transformation not in self._families:
                    shared.add(transformation)
        self._load_families(sorted(shared))

    def _load_families(self, transformations: list[str]) -> None:
        for start in range(0, len(transformations), _CHUNK):
            part = transformations[start : start + _CHUNK]
            for name in part:
                self._families[name] = []
            for row in select_in(self._connection, _FAMILIES, part):
                event = self._loaded.get(row[0]) or self._add(row)
                self._families[event.projection["transformation_id"]].append(event.seq)

    def _add(self, row: Any) -> TracedEvent:
        seq, digest, declaration, block, voided_by, raw = row
        event = TracedEvent(seq, digest, bool(declaration), block, voided_by, orjson.loads(raw))
        self._loaded[seq] = event
        return event


_SEQS = (
    "SELECT DISTINCT identifier, event_seq FROM event_ids "
    "WHERE identifier {list} AND role <> 'loss' LIMIT {}"
)
_COLUMNS = "SELECT seq, hash, declaration, block, voided_by, record FROM events "
_EVENTS = _COLUMNS + "WHERE seq {list}"
_FAMILIES = _COLUMNS + "WHERE transformation_id {list}"


def _is_class(identifier: str) -> bool:
    try:
        return parse(identifier).is_class
    except IdentifierError:  # captured in report mode, as it was written
        return False
