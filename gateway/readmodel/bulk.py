"""Many rows in one statement: upserts per table, in each database's fastest form.

SQLite: one prepared ``INSERT .. ON CONFLICT`` run over all rows. PostgreSQL: one statement per
table that unnests one array per column, so a batch costs one round trip whatever its size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Boolean, Connection, LargeBinary, Table

Row = tuple[Any, ...]
_INT64 = 1 << 63


def upsert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert `rows` (values in column order), replacing those whose primary key exists."""
    _run(connection, table, rows, _conflict_update(table))


def insert_new(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert `rows`, leaving those whose primary key exists as they are."""
    _run(connection, table, rows, "ON CONFLICT DO NOTHING")


def delete(connection: Connection, table: Table, keys: Sequence[Row]) -> None:
    """Delete rows by primary key (values in key order)."""
    if not keys:
        return
    columns = [column.name for column in table.primary_key.columns]
    if connection.dialect.name == "sqlite":
        where = " AND ".join(f"{name} = ?" for name in columns)
        connection.exec_driver_sql(f"DELETE FROM {table.name} WHERE {where}", list(keys))  # noqa: S608
        return
    arrays = ", ".join(f"%b::{_pg_type(column)}[]" for column in table.primary_key.columns)
    names = ", ".join(columns)
    connection.exec_driver_sql(
        f"DELETE FROM {table.name} WHERE ({names}) IN (SELECT * FROM unnest({arrays}))",  # noqa: S608
        _columns(keys),
    )


def delete_where(connection: Connection, table: Table, column: str, values: Sequence[int]) -> None:
    """Delete every row whose `column` is one of `values`."""
    if values:
        connection.execute(table.delete().where(table.c[column].in_(values)))


def storable(rows: Iterable[Row]) -> list[Row]:
    """`rows` with what no database stores made storable.

    U+0000 and lone surrogates become U+FFFD; integers beyond 64 bits are clamped. The ``record``
    bytes keep the original.
    """
    return [tuple(_storable(value) for value in row) for row in rows]


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return (
            value.replace("\x00", "\ufffd")
            .encode("utf-16", "surrogatepass")
            .decode("utf-16", "replace")
        )
    if isinstance(value, int):
        return max(-_INT64, min(_INT64 - 1, value))
    if isinstance(value, dict | list | float):
        return str(value)
    return value


def _run(connection: Connection, table: Table, rows: Sequence[Row], conflict: str) -> None:
    if not rows:
        return
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(table.columns))
        connection.exec_driver_sql(
            f"INSERT INTO {table.name} ({names}) VALUES ({marks}) {conflict}",  # noqa: S608
            list(rows),
        )
        return
    arrays = ", ".join(f"%b::{_pg_type(column)}[]" for column in table.columns)
    connection.exec_driver_sql(
        f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({arrays}) {conflict}",  # noqa: S608
        _columns(rows),
    )


def _columns(rows: Sequence[Row]) -> tuple[list[Any], ...]:
    return tuple(list(column) for column in zip(*rows, strict=True))


def _conflict_update(table: Table) -> str:
    keys = [column.name for column in table.primary_key.columns]
    others = [column.name for column in table.columns if column.name not in keys]
    target = ", ".join(f'"{name}"' for name in keys)
    if not others:
        return f"ON CONFLICT ({target}) DO NOTHING"
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in others)
    return f"ON CONFLICT ({target}) DO UPDATE SET {changes}"


def _pg_type(column: Any) -> str:
    if isinstance(column.type, LargeBinary):
        return "bytea"
    if isinstance(column.type, Boolean):
        return "boolean"
    return "bigint" if column.type.python_type is int else "text"
