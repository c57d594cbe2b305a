"""Records of the chain out of the read model: one, or a page of many."""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import Select

from gateway.errors import Problem
from gateway.readmodel.store import ReadModel

Record = dict[str, Any]


def one_record(readmodel: ReadModel, query: Select[Any], absent: str) -> Record:
    """The `record` of the query's first row. :raises Problem: NOT_FOUND, saying `absent`."""
    with readmodel.read() as connection:
        row = connection.execute(query).first()
    if row is None:
        raise Problem("NOT_FOUND", absent)
    record: Record = orjson.loads(row.record)
    return record


def page_of_records(readmodel: ReadModel, query: Select[Any], limit: int) -> Record:
    """Up to `limit` rows of an ordered query for (id, record); `bookmark` is the last one's id."""
    with readmodel.read() as connection:
        rows = connection.execute(query.limit(limit + 1)).all()
    page: Record = {"records": [orjson.loads(row.record) for row in rows[:limit]]}
    if len(rows) > limit:
        page["bookmark"] = rows[limit - 1].id
    return page
