"""Blocks into rows, in one SQL transaction that also moves the height.

Steps of one `apply`, labelled beside the code:
  1. take blocks apart and turn their writes into rows (pure, outside the transaction)
  2. begin, lock the projection's one row and compare heights: another gateway on the same
     database may have been faster, then the rest of its blocks is skipped
  3. check that the first block follows the last one projected
  4. number new events, write all rows in bulk
  5. move the height and commit: a crash before this leaves the tables as they were
"""

from __future__ import annotations

from collections.abc import Sequence

from fabric_protos.common import common_pb2
from sqlalchemy import Connection, select, update
from sqlalchemy.exc import DataError, IntegrityError, StatementError

from gateway.database import writing
from gateway.readmodel import bulk, tables
from gateway.readmodel.decode import DecodedBlock, decode_block
from gateway.readmodel.rows import Rows, rows_of
from gateway.readmodel.store import ReadModel

_KNOWN_WORDS = 100_000


class ForeignLedger(Exception):
    """The blocks do not continue those already projected: the database is of another ledger."""


class Projector:
    """Applies runs of consecutive blocks; used by one thread at a time."""

    def __init__(self, readmodel: ReadModel, namespace: str) -> None:
        self._readmodel = readmodel
        self._namespace = namespace
        self._words: set[tuple[str, str]] = set()

    def forget(self) -> None:
        """Drop what was remembered of the database, after an error or a rebuild."""
        self._words.clear()

    def apply(self, blocks: Sequence[common_pb2.Block]) -> int:
        """Project `blocks` (consecutive, oldest first); returns the height afterwards.

        :raises ForeignLedger: they do not follow what is projected.
        :raises DatabaseUnavailable: the database does not answer; nothing was changed.
        """
        decoded = [decode_block(block, self._namespace) for block in blocks]  # 1
        rows = rows_of(decoded)
        try:
            return self._write(decoded, rows, careful=False)
        except (StatementError, UnicodeError, OverflowError, ValueError) as error:
            if isinstance(error, StatementError) and not _is_about_values(error):
                raise
            return self._write(decoded, rows_of(decoded), careful=True)

    def _write(self, decoded: list[DecodedBlock], rows: Rows, *, careful: bool) -> int:
        """`careful`: look up every hash and make every value storable, whatever it costs."""
        with writing(self._readmodel.engine) as connection:
            state = connection.execute(select(tables.projection).with_for_update()).one()  # 2
            height = int(state.height)
            if height > decoded[-1].number:
                return height
            if height > decoded[0].number:
                decoded = decoded[height - decoded[0].number :]
                rows = rows_of(decoded)
            self._check_follows(decoded[0], height, str(state.last_hash))  # 3
            words = rows.words - self._words
            next_seq = self._insert(connection, rows, int(state.next_seq), words, careful)  # 4
            connection.execute(  # 5
                update(tables.projection).values(
                    height=decoded[-1].number + 1, last_hash=decoded[-1].hash, next_seq=next_seq
                )
            )
        self._words = words if len(self._words) > _KNOWN_WORDS else self._words | words
        return decoded[-1].number + 1

    @staticmethod
    def _check_follows(first: DecodedBlock, height: int, last_hash: str) -> None:
        if first.number != height:
            raise ForeignLedger(f"block {height} is next, block {first.number} came")
        if height and first.previous_hash != last_hash:
            raise ForeignLedger(
                f"block {height} does not follow the block {height - 1} that was projected: the "
                "database belongs to another ledger; rebuild it"
            )

    @staticmethod
    def _insert(
        connection: Connection,
        rows: Rows,
        next_seq: int,
        words: set[tuple[str, str]],
        careful: bool,
    ) -> int:
        for table, deleted in rows.deletes():
            bulk.delete(connection, table, bulk.storable(deleted) if careful else deleted)
        hashes = [key[0] for key in rows.events] if careful else []
        known = _known(connection, hashes + rows.uncertain_hashes())
        following, changes = rows.with_numbers(next_seq, known)
        for table, replaced in changes.cleared:
            bulk.delete_where(connection, table, "event_seq", replaced)
        for table, new in changes.tables:
            bulk.upsert(connection, table, bulk.storable(new) if careful else new)
        vocabulary = sorted(words)
        bulk.insert_new(
            connection, tables.vocabulary, bulk.storable(vocabulary) if careful else vocabulary
        )
        return following


def _known(connection: Connection, hashes: Sequence[str]) -> dict[tuple[str, int], tuple[int, int]]:
    """Number and block of the events among `hashes` that are in the tables."""
    events = tables.events
    out: dict[tuple[str, int], tuple[int, int]] = {}
    for start in range(0, len(hashes), 500):
        part = hashes[start : start + 500]
        for row in connection.execute(
            select(events.c.hash, events.c.declaration, events.c.seq, events.c.block).where(
                events.c.hash.in_(part)
            )
        ):
            out[(row.hash, row.declaration)] = (row.seq, row.block)
    return out


def _is_about_values(error: StatementError) -> bool:
    return isinstance(error, DataError | IntegrityError) or isinstance(
        error.orig, UnicodeError | OverflowError | ValueError
    )
