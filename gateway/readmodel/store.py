"""The read model as its readers and its projector see it: an engine, a height, and a way to wait.

``height`` is the number of blocks projected: blocks 0 .. height-1 are in the tables, and the same
SQL transaction that wrote a block's rows wrote the height. Nothing here is original data, so a
database that is lost, damaged, or of an older projection is made again from block 0.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, select

from gateway.database import reading, upgrade, writing
from gateway.errors import DatabaseUnavailable
from gateway.readmodel import bulk, tables

PROJECTION_VERSION = 1
"""Raised whenever the same blocks would give other rows; older databases are rebuilt."""

_FRESH = (1, 0, "", 1, PROJECTION_VERSION)

log = logging.getLogger(__name__)


class ReadModel:
    """The SQL database of one channel's blocks; safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._seen = threading.Condition()
        self._height = 0
        self._file = _file_identity(engine)

    def prepare(self, *, announce: bool = True) -> int:
        """Create or upgrade the schema; returns the height, and tells waiters unless told not to.

        :raises DatabaseUnavailable: the database does not answer.
        """
        self._drop_lost_file()
        try:
            upgrade(self.engine, "ledger_tables")
            height = self._open_projection()
        except DatabaseUnavailable as error:
            if not self._set_aside(error):
                raise
            upgrade(self.engine, "ledger_tables")
            height = self._open_projection()
        self._file = _file_identity(self.engine)
        if announce:
            self.advance(height, lower=True)
        return height

    def _open_projection(self) -> int:
        with writing(self.engine) as connection:
            bulk.insert_new(connection, tables.projection, [_FRESH])
            row = connection.execute(select(tables.projection).with_for_update()).one()
            if row.version != PROJECTION_VERSION:
                log.warning("read model rebuild", extra={"from_version": row.version})
                _clear(connection)
                return 0
            return int(row.height)

    def reset(self) -> None:
        """Empty every table: the projector starts again at block 0.

        :raises DatabaseUnavailable: the database does not answer.
        """
        with writing(self.engine) as connection:
            _clear(connection)
        self.advance(0, lower=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One snapshot for a request's reads. :raises DatabaseUnavailable:"""
        with reading(self.engine) as connection:
            yield connection

    def height(self) -> int:
        """Blocks in the tables now. :raises DatabaseUnavailable:"""
        with self.read() as connection:
            row = connection.execute(select(tables.projection.c.height)).first()
        return int(row.height) if row else 0

    @property
    def known_height(self) -> int:
        """The height this process last saw, without asking the database."""
        return self._height

    def advance(self, height: int, *, lower: bool = False) -> None:
        """Tell waiters that `height` blocks are projected, by this process or another."""
        with self._seen:
            self._height = height if lower else max(height, self._height)
            self._seen.notify_all()

    def wait_for(self, target: int | str, timeout_s: float = 10.0) -> bool:
        """Wait until a height is reached, or a transaction (by its id) is projected.

        Returns False at the timeout. To read what block `n` wrote, wait for height ``n + 1``.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            height = self._height
            if self._reached(target):  # may ask the database, so not under the lock
                return True
            with self._seen:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                if self._height == height:
                    self._seen.wait(left)

    def _reached(self, target: int | str) -> bool:
        if isinstance(target, int):
            return self._height >= target
        transactions = tables.transactions
        try:
            with self.read() as connection:
                found = connection.execute(
                    select(transactions.c.block).where(transactions.c.tx_id == target)
                ).first()
        except DatabaseUnavailable:
            return False
        return found is not None

    @property
    def is_private(self) -> bool:
        """Whether the database is this home's own file, which may be rebuilt without asking."""
        return _path(self.engine) is not None

    def file_lost(self) -> bool:
        """Whether the SQLite file was removed or replaced under the open connections."""
        return self._file is not None and _file_identity(self.engine) != self._file

    def _drop_lost_file(self) -> None:
        if self.file_lost():
            log.warning("read model file lost")
            self.engine.dispose()

    def _set_aside(self, error: DatabaseUnavailable) -> bool:
        path = _path(self.engine)
        text = str(error)
        if path is None or not ("malformed" in text or "not a database" in text):
            return False
        aside = path.with_name(f"{path.name}.damaged-{int(time.time())}")
        log.error("read model damaged", extra={"set_aside": aside.name, "reason": text})
        self.engine.dispose()
        path.rename(aside)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return True


def _clear(connection: Connection) -> None:
    for table in tables.metadata.sorted_tables:
        connection.execute(table.delete())
    bulk.upsert(connection, tables.projection, [_FRESH])


def _path(engine: Engine) -> Path | None:
    if engine.dialect.name != "sqlite" or not engine.url.database:
        return None
    return Path(engine.url.database)


def _file_identity(engine: Engine) -> tuple[int, int] | None:
    path = _path(engine)
    if path is None:
        return None
    try:
        status = os.stat(path)
    except OSError:
        return (0, 0)
    return (status.st_dev, status.st_ino)
