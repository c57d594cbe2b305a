"""SimpleEventQuery on the read model: what SQL can say in SQL, the rest on the payloads.

Results are the events as captured, unchanged. A reader gets those whose payload it may read; the
others are left out and counted (`Page.withheld`). One page holds events whose documents declare
the same meaning for every prefix, so that the page's ``@context`` is true for each of them; it may
therefore hold fewer events than asked for, as EPCIS 2.0 allows.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    or_,
    select,
    tuple_,
)

from gateway.epcis.conditions import conditions
from gateway.epcis.errors import QueryError
from gateway.epcis.filters import meets
from gateway.epcis.hash import hash_hex
from gateway.epcis.namespaces import Namespaces, declarations
from gateway.epcis.parameters import Query
from gateway.epcis.prepare import payload_parts
from gateway.readmodel.tables import events

CHUNK = 200
MAX_SCANNED = 200_000

ReadPayloads = Callable[[Sequence["Row[Any]"]], list[bytes | None]]
"""Payload bytes of event rows, None where the reader may not have one."""


@dataclass(slots=True)
class Page:
    """One page: events as captured, the contexts they need, where to go on, how many withheld."""

    events: list[dict[str, Any]] = field(default_factory=list)
    context: list[Any] = field(default_factory=list)
    next_token: str = ""
    withheld: int = 0


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page ended: the order key and seq of its last row, and how many were returned."""

    key: int
    seq: int
    returned: int


def run_query(
    connection: Connection,
    query: Query,
    read: ReadPayloads,
    *,
    per_page: int,
    token: str = "",
    asked: Namespaces | None = None,
    extra: Sequence[ColumnElement[bool]] = (),
) -> Page:
    """One page of `query`. Raises QueryError, QUERY_TOO_LARGE as QueryError code.

    asked: prefixes of the query. extra: further conditions (the resource the query hangs on).
    """
    fingerprint = query_fingerprint(query, extra)
    position = _read_token(token, fingerprint) if token else Position(0, 0, 0)
    page = Page()
    if query.nothing:
        return page
    if query.max_count is not None and not token:
        _refuse_too_many(connection, query, read, asked, extra)
    limit = per_page
    if query.count_limit is not None:
        limit = min(limit, query.count_limit - position.returned)
        if limit <= 0:
            return page
    contexts = _Contexts()
    last = position if token else None
    for row, payload in _candidates(connection, query, read, last, extra, limit + 1):
        if payload is None:
            page.withheld += 1
            continue
        context, event = payload_parts(payload)
        if not _accepts(query, context, event, asked):
            continue
        if len(page.events) >= limit or not contexts.add(context):
            page.next_token = _token(last, fingerprint, position.returned + len(page.events))
            break
        page.events.append(event)
        last = Position(_order_key(query, row), row.seq, 0)
    if query.count_limit is not None and position.returned + len(page.events) >= query.count_limit:
        page.next_token = ""
    page.context = contexts.merged()
    return page


def find_event(connection: Connection, text: str) -> list[Row[Any]]:
    """Rows of one eventID or event hash (``ni:`` URI or 64 hex), newest first."""
    digest = hash_hex(text) or (text if re.fullmatch(r"[0-9a-f]{64}", text) else "")
    condition = events.c.event_id == text
    if digest:
        condition = or_(condition, events.c.hash == digest)
    statement = select(events).where(condition).order_by(events.c.seq.desc()).limit(50)
    return list(connection.execute(statement))


# -- rows ---------------------------------------------------------------------------------------


def _order_column(query: Query) -> Any:
    return events.c.time_ms if query.order_by == "eventTime" else events.c.seq


def _order_key(query: Query, row: Row[Any]) -> int:
    return int(row.time_ms if query.order_by == "eventTime" else row.seq)


def _candidates(
    connection: Connection,
    query: Query,
    read: ReadPayloads,
    after: Position | None,
    extra: Sequence[ColumnElement[bool]],
    wanted: int = CHUNK,
) -> Iterator[tuple[Row[Any], bytes | None]]:
    """Rows that meet the SQL conditions, with their payloads, in the query's order.

    wanted: how many the caller will probably take; no more payloads than that are opened at once.
    """
    size = CHUNK if query.needs_payload else min(wanted, CHUNK)
    column = _order_column(query)
    down = bool(query.order_by) and query.descending
    base = select(events).where(*conditions(query), *extra)
    order = (column.desc(), events.c.seq.desc()) if down else (column.asc(), events.c.seq.asc())
    scanned = 0
    while scanned < MAX_SCANNED:
        statement = base.order_by(*order).limit(size)
        if after is not None:
            key, seq = after.key, after.seq
            here, there = tuple_(column, events.c.seq), tuple_(key, seq)
            statement = statement.where(here < there if down else here > there)
        rows = list(connection.execute(statement))
        yield from zip(rows, read(rows), strict=True)
        if len(rows) < size:
            return
        scanned += len(rows)
        size = min(size * 2, CHUNK)
        after = Position(_order_key(query, rows[-1]), rows[-1].seq, 0)
    raise QueryError(
        "QUERY_TOO_LARGE",
        f"more than {MAX_SCANNED} events had to be read; add a time range or an identifier",
    )


def _accepts(
    query: Query, context: Any, event: Mapping[str, Any], asked: Namespaces | None
) -> bool:
    if not query.payload:
        return True
    namespaces = Namespaces.of(context)
    local = event.get("@context")
    if local is not None:
        namespaces = namespaces.extended(local)
    return all(meets(event, namespaces, condition, asked) for condition in query.payload)


def _refuse_too_many(
    connection: Connection,
    query: Query,
    read: ReadPayloads,
    asked: Namespaces | None,
    extra: Sequence[ColumnElement[bool]],
) -> None:
    assert query.max_count is not None
    count = 0
    for _, payload in _candidates(connection, query, read, None, extra):
        if payload is None:
            continue
        if query.payload and not _accepts(query, *payload_parts(payload), asked):
            continue
        count += 1
        if count > query.max_count:
            raise QueryError(
                "QUERY_TOO_LARGE",
                f"more than maxEventCount ({query.max_count}) events match",
                "maxEventCount",
            )


# -- contexts of one page -------------------------------------------------------------------------


class _Contexts:
    """The ``@context`` values of a page, as long as they agree on every prefix."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._remote: list[str] = []
        self._prefixes: dict[str, str] = {}
        self._inline: dict[str, Any] = {}

    def add(self, context: Any) -> bool:
        """False where `context` gives a prefix another meaning than one before."""
        form = orjson.dumps(context)
        if form in self._seen:
            return True
        declared = declarations(context)
        if any(self._prefixes.get(name, value) != value for name, value in declared.items()):
            return False
        self._seen.add(form)
        self._prefixes.update(declared)
        for item in context if isinstance(context, list) else [context]:
            if isinstance(item, str) and item not in self._remote:
                self._remote.append(item)
            elif isinstance(item, Mapping):
                self._inline.update(item)
        return True

    def merged(self) -> list[Any]:
        return [*self._remote, *([self._inline] if self._inline else [])]


# -- tokens ---------------------------------------------------------------------------------------


def query_fingerprint(query: Query, extra: Sequence[ColumnElement[bool]] = ()) -> str:
    """Tells a token of one query from those of others."""
    shape = repr(
        (query, [str(part.compile(compile_kwargs={"literal_binds": True})) for part in extra])
    )
    return sha256(shape.encode()).hexdigest()[:16]


def _token(last: Position | None, fingerprint: str, returned: int) -> str:
    place = last or Position(0, 0, 0)
    return (
        urlsafe_b64encode(orjson.dumps([place.key, place.seq, returned, fingerprint]))
        .decode()
        .rstrip("=")
    )


def _read_token(token: str, fingerprint: str) -> Position:
    try:
        key, seq, returned, mark = orjson.loads(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, TypeError):
        key = seq = returned = mark = None
    if not all(_in_a_column(part) for part in (key, seq, returned)):
        mark = None
    if mark != fingerprint:
        raise QueryError(
            "QUERY_PARAMETER",
            "nextPageToken was made for another query; repeat the query without it",
            "nextPageToken",
        )
    return Position(key, seq, returned)


def _in_a_column(part: Any) -> bool:
    """Whether this part of a token, which its bearer may have rewritten, is a number SQL holds."""
    return type(part) is int and 0 <= part < 1 << 63
