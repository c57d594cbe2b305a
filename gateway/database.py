"""SQL engines and schema upgrades, alike for SQLite and PostgreSQL.

SQLite runs in WAL mode with explicit transactions: a reader's ``BEGIN`` gives it one snapshot for
all its statements; a writer asks for ``BEGIN IMMEDIATE`` (execution option ``immediate``), so that
two processes queue up instead of failing half way. PostgreSQL is reached through psycopg 3.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gateway.errors import DatabaseUnavailable, Problem, translates

MIGRATIONS = Path(__file__).parent / "readmodel" / "migrations"
HEADS = {"ledger_tables": "0001", "state_tables": "0001"}
_UNDEFINED_TABLE = "42P01"  # the schema is not made yet, or being made again
_UPGRADE_LOCK = 0x7472_6163_656D  # advisory lock number ("tracem")


def open_engine(url: str, *, pool: int = 16, durable: bool = False) -> Engine:
    """An engine for `url` (SQLAlchemy form; ``postgresql://`` means psycopg 3).

    durable: SQLite syncs every commit (for what cannot be rebuilt). Nothing is connected yet.
    """
    parsed = make_url(url)
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed, pool, durable)
    return create_engine(
        parsed,
        pool_size=pool,
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=True,
        pool_use_lifo=True,
        connect_args={
            "connect_timeout": 3,
            "options": "-c statement_timeout=30000 -c lock_timeout=10000",
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
        },
    )


def _sqlite(url: Any, pool: int, durable: bool) -> Engine:
    path = Path(url.database)
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, pool_size=pool, max_overflow=0, pool_timeout=5, pool_use_lifo=True)

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        for pragma in (
            "busy_timeout = 10000",
            "journal_mode = WAL",
            f"synchronous = {'FULL' if durable else 'NORMAL'}",
            "cache_size = -65536",
            "mmap_size = 268435456",
            "temp_store = MEMORY",
            "foreign_keys = OFF",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get("immediate")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for one snapshot of reads.

    :raises DatabaseUnavailable: the database does not answer.
    """
    with unavailable_as_fault(), engine.connect() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A connection in one write transaction, committed at the end of the block.

    :raises DatabaseUnavailable: the database does not answer.
    """
    with (
        unavailable_as_fault(),
        engine.connect().execution_options(immediate=True) as connection,
        connection.begin(),
    ):
        yield connection


def select_in(
    connection: Connection, sql: str, values: Sequence[str] | Sequence[int], *more: object
) -> Sequence[tuple[Any, ...]]:
    """Rows of `sql` as tuples; its ``{list}`` stands for "is one of `values`".

    The values go as one parameter (a JSON array, or a PostgreSQL array), so the statement is the
    same whatever their number and is neither compiled nor planned anew. Further parameters are
    written ``{}`` in `sql`, after the list.
    """
    if connection.dialect.name == "sqlite":
        text = sql.format(*("?",) * len(more), list="IN (SELECT value FROM json_each(?))")
        listed: Any = orjson.dumps(values).decode()
    else:
        kind = "bigint" if values and isinstance(values[0], int) else "text"
        text = sql.format(*("%s",) * len(more), list=f"= ANY(%s::{kind}[])")
        listed = list(values)
    # The driver's own cursor, in the connection's transaction: a walk runs dozens of these, and
    # building SQLAlchemy's result costs several times the query.
    cursor = connection.connection.cursor()
    try:
        cursor.execute(text, (listed, *more))
        return cursor.fetchall()
    finally:
        cursor.close()


@contextmanager
def unavailable_as_fault() -> Iterator[None]:
    """Turn "the database does not answer" into DatabaseUnavailable; let other errors pass."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.OperationalError, psycopg.OperationalError) as error:
        if is_unavailable(error):
            raise DatabaseUnavailable(_first_line(error)) from error
        raise


def is_unavailable(error: BaseException) -> bool:
    """Whether `error` speaks of the database's absence, not of the statement."""
    if isinstance(error, _AWAY):
        return True
    if not isinstance(error, DBAPIError) or isinstance(error.orig, sqlite3.InterfaceError):
        return False
    return (
        error.connection_invalidated
        or getattr(error.orig, "sqlstate", None) == _UNDEFINED_TABLE
        or isinstance(error, InterfaceError)
        or type(error.orig) is sqlite3.DatabaseError  # damaged, or no database at all
    )


_AWAY = (
    DatabaseUnavailable,
    OperationalError,
    PoolTimeout,
    sqlite3.OperationalError,
    psycopg.OperationalError,
)


def _unavailable_problem(error: SQLAlchemyError) -> Problem:
    return Problem("DATABASE_UNAVAILABLE" if is_unavailable(error) else "INTERNAL")


translates(SQLAlchemyError, _unavailable_problem)


def _first_line(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return str(cause).strip().split("\n")[0]


def upgrade(engine: Engine, branch: str) -> None:
    """Bring one branch of the schema (a folder below ``migrations``) to its newest version.

    One process at a time does it; whoever comes second finds it done.
    """
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _UPGRADE_LOCK})
        if _version(connection, branch) == HEADS[branch]:
            return
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.set_main_option("path_separator", "newline")
        config.set_main_option("version_locations", str(MIGRATIONS / branch))
        config.attributes["connection"] = connection
        config.attributes["branch"] = branch
        command.upgrade(config, "head")


def version_table(branch: str) -> str:
    """Name of the table that holds the branch's schema version."""
    return f"alembic_{branch}"


def _version(connection: Connection, branch: str) -> str | None:
    if not connection.dialect.has_table(connection, version_table(branch)):
        return None
    row = connection.exec_driver_sql(f"SELECT version_num FROM {version_table(branch)}").first()  # noqa: S608
    return None if row is None else str(row[0])
