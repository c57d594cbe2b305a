"""The life of one product as its certificate and its page tell it, from the read model.

Everything that happened to the identifier, to what it was made from (up to the moment it was used),
and to the containers it travelled in (while it was inside). Walks level by level, a bounded number
of SQL queries per level; what exceeds the limits is cut and said to be cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Connection, select

from gateway.credentials.readings import made_by_event
from gateway.readmodel import tables

Record = Mapping[str, Any]
MAX_EVENTS = 4000
MAX_LEVELS = 64
_CHUNK = 400
_FOREVER = 1 << 62
_INPUT_ROLES = ("input", "input_qty")
_CHILD_ROLES = ("child", "child_qty")


@dataclass(slots=True)
class History:
    """Events of a product's life, oldest first, voided ones left out.

    made: the event that brought the subject into being. origins: first events of its materials
    (of the subject itself when it was made from nothing). ancestors: identifiers it was made from.
    cut: whether a limit was reached. last_block: the newest block among the events.
    """

    subject: str
    events: list[Record] = field(default_factory=list)
    made: Record | None = None
    origins: list[Record] = field(default_factory=list)
    ancestors: list[str] = field(default_factory=list)
    cut: bool = False
    last_block: int = 0


@dataclass(frozen=True, slots=True)
class _Span:
    """An identifier to follow, and the time window (ms) in which it concerns the product."""

    identifier: str
    start_ms: int
    end_ms: int
    ancestor: bool


def history(connection: Connection, subject: str) -> History:
    """The history of a canonical identifier; empty when nothing is known of it."""
    found = History(subject)
    loaded: dict[int, Record] = {}
    kept: dict[int, Record] = {}
    done: set[_Span] = set()
    level = [_Span(subject, 0, _FOREVER, True)]
    for _ in range(MAX_LEVELS):
        level = [span for span in dict.fromkeys(level) if span not in done]
        if not level or len(kept) > MAX_EVENTS:
            break
        done.update(level)
        roles = _roles(connection, {span.identifier for span in level})
        wanted = {seq for rows in roles.values() for seq, _ in rows} - loaded.keys()
        loaded.update(_load(connection, wanted, found))
        level = [
            further
            for span in level
            for further in _follow(span, roles.get(span.identifier, []), loaded, kept, found)
        ]
    else:
        found.cut = bool(level)
    found.cut = found.cut or len(kept) > MAX_EVENTS
    found.events = [record for _, record in sorted(kept.items(), key=_by_time)][:MAX_EVENTS]
    _name_makers(found)
    return found


def _follow(
    span: _Span,
    rows: Iterable[tuple[int, str]],
    loaded: Mapping[int, Record],
    kept: dict[int, Record],
    found: History,
) -> Iterator[_Span]:
    """Keep the events of one identifier inside its window; yield what to follow next."""
    packed: dict[str, int] = {}
    ordered = sorted(
        ((loaded[seq]["projection"], seq, role) for seq, role in rows if seq in loaded),
        key=lambda row: (row[0]["time_ms"], row[1]),
    )
    for projection, seq, role in ordered:
        at = projection["time_ms"]
        if not span.start_ms <= at <= span.end_ms or role == "loss":
            continue
        kept[seq] = loaded[seq]
        if span.ancestor and span.identifier in made_by_event(projection):
            for identifier in _inputs(projection):
                if identifier not in found.ancestors:
                    found.ancestors.append(identifier)
                yield _Span(identifier, 0, at, True)
        if role in _CHILD_ROLES and "parent" in projection:
            parent = projection["parent"]
            if projection.get("action") == "DELETE":
                yield _Span(parent, packed.pop(parent, span.start_ms), at, False)
            else:
                packed.setdefault(parent, at)
    for parent, since in packed.items():
        yield _Span(parent, since, span.end_ms, False)


def _inputs(projection: Record) -> list[str]:
    return [
        *projection.get("inputs", ()),
        *(entry["id"] for entry in projection.get("input_quantities", ())),
    ]


def _name_makers(found: History) -> None:
    sources = {found.subject, *found.ancestors}
    for record in found.events:
        projection = record["projection"]
        made = made_by_event(projection)
        if found.subject in made and found.made is None:
            found.made = record
        if not _inputs(projection) and sources.intersection(made):
            found.origins.append(record)


def _roles(connection: Connection, identifiers: set[str]) -> dict[str, list[tuple[int, str]]]:
    rows: dict[str, list[tuple[int, str]]] = {}
    ids = tables.event_ids.c
    for chunk in _chunks(sorted(identifiers)):
        query = select(ids.identifier, ids.event_seq, ids.role).where(ids.identifier.in_(chunk))
        for identifier, seq, role in connection.execute(query.limit(MAX_EVENTS * 2)):
            rows.setdefault(identifier, []).append((seq, role))
    return rows


def _load(connection: Connection, wanted: set[int], found: History) -> dict[int, Record]:
    records: dict[int, Record] = {}
    events = tables.events.c
    for chunk in _chunks(sorted(wanted)):
        query = select(events.seq, events.block, events.record).where(
            events.seq.in_(chunk), events.voided_by.is_(None), events.error_ms.is_(None)
        )
        for seq, block, raw in connection.execute(query):
            records[seq] = orjson.loads(raw)
            found.last_block = max(found.last_block, block)
    return records


def _chunks(values: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]


def _by_time(entry: tuple[int, Record]) -> tuple[int, int]:
    return entry[1]["projection"]["time_ms"], entry[0]
