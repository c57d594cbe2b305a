"""What a block's writes are as rows: pure, one function per record type.

The record shapes are the contract's (``docs/design/contract.md``). A record that does not read as
documented goes to ``other_records`` with the reason, so that no block ever stops the projection.
Within one batch the last version of a record wins; only events are numbered, in block order, then
by transaction, then by their place in the capture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import orjson
from sqlalchemy import Table

from gateway.readmodel import tables
from gateway.readmodel.bulk import Row
from gateway.readmodel.decode import DecodedBlock, DecodedTransaction, Write
from gateway.readmodel.event_rows import MISSHAPEN, EventKey, EventRows, Record, reason, words_of
from gateway.readmodel.record_rows import (
    STATES,
    other_key,
    put_deletion,
    put_record,
    put_state,
)

_DUPLICATE_TXID = 9


@dataclass(slots=True)
class Changes:
    """Rows ready to write: upserts per table, and event numbers whose detail rows go first."""

    tables: list[tuple[Table, list[Row]]]
    cleared: list[tuple[Table, list[int]]]


@dataclass(slots=True)
class Rows:
    """What one batch of blocks changes."""

    blocks: list[Row] = field(default_factory=list)
    transactions: list[Row] = field(default_factory=list)
    events: dict[EventKey, tuple[Record, bytes, int]] = field(default_factory=dict)
    rewritten: dict[EventKey, tuple[Record, bytes, int]] = field(default_factory=dict)
    records: dict[str, dict[tuple[str, ...], Row | None]] = field(default_factory=dict)
    words: set[tuple[str, str]] = field(default_factory=set)

    def uncertain_hashes(self) -> list[str]:
        """Hashes of events that earlier batches may hold: rewritten ones and declarations."""
        return [
            key[0] for key in (*self.rewritten, *self.events) if key in self.rewritten or key[1]
        ]

    def put(self, table: Table, key: tuple[str, ...], row: Row | None) -> None:
        """Note the last version of a record (None: deleted)."""
        self.records.setdefault(table.name, {})[key] = row

    def deletes(self) -> Iterator[tuple[Table, list[Row]]]:
        """Primary keys to delete, per table."""
        for name, records in self.records.items():
            gone: list[Row] = [key for key, row in records.items() if row is None]
            if gone:
                yield tables.metadata.tables[name], gone

    def with_numbers(
        self, next_seq: int, known: Mapping[EventKey, tuple[int, int]]
    ) -> tuple[int, Changes]:
        """Number the new events from `next_seq`.

        known: number and block of events that earlier batches hold; they keep both.
        """
        detail = EventRows()
        unread: dict[tuple[str, ...], Row | None] = {}
        redone: list[int] = []
        for key, (record, value, block) in (*self.rewritten.items(), *self.events.items()):
            if key in known:
                seq, block = known[key]
                redone.append(seq)
            elif key in self.events:
                seq, next_seq = next_seq, next_seq + 1
            else:
                continue  # a new version of an event that could not be read
            detail.try_add(seq, key, record, value, block, unread)
        if unread:
            self.records.setdefault(tables.other_records.name, {}).update(unread)
        upserts = [
            (tables.blocks, self.blocks),
            (tables.transactions, self.transactions),
            *detail.tables(),
            *(
                (tables.metadata.tables[name], [row for row in records.values() if row is not None])
                for name, records in self.records.items()
            ),
        ]
        cleared = [(table, redone) for table in (tables.findings, tables.carbon)] if redone else []
        return next_seq, Changes(upserts, cleared)


def rows_of(blocks: Iterable[DecodedBlock]) -> Rows:
    """Everything `blocks` (consecutive, oldest first) change."""
    rows = Rows()
    for block in blocks:
        valid = 0
        time_ms: int | None = None
        for transaction in block.transactions:
            time_ms = transaction.time_ms
            valid += transaction.code == 0
            _transaction(rows, block, transaction)
        rows.blocks.append(
            (
                block.number,
                block.hash,
                block.previous_hash,
                block.data_hash,
                block.tx_count,
                valid,
                time_ms,
            )
        )
    return rows


def _transaction(rows: Rows, block: DecodedBlock, transaction: DecodedTransaction) -> None:
    anchored: list[tuple[int, EventKey, Record, bytes]] = []
    for write in transaction.writes:
        kind = write.kind
        try:
            if write.value is None:
                put_deletion(rows.put, write)
            elif kind in STATES:
                put_state(rows.put, write, write.value)
            elif kind in ("event", "error"):
                _event(rows, block, transaction, write, write.value, anchored)
            else:
                put_record(rows.put, write, orjson.loads(write.value), write.value)
        except MISSHAPEN as error:
            _unreadable(rows, write, error)
    anchored.sort(key=_by_index)
    for _index, key, record, value in anchored:
        before = rows.events.get(key)
        rows.events[key] = (record, value, before[2] if before else block.number)
    if transaction.code != _DUPLICATE_TXID:  # its id names the first transaction, not this one
        rows.transactions.append(
            (
                transaction.tx_id,
                block.number,
                transaction.position,
                transaction.code,
                transaction.msp,
                transaction.time_ms,
                len(anchored),
            )
        )


def _by_index(entry: tuple[int, EventKey, Record, bytes]) -> tuple[int, EventKey]:
    return entry[0], entry[1]


def _event(
    rows: Rows,
    block: DecodedBlock,
    transaction: DecodedTransaction,
    write: Write,
    value: bytes,
    anchored: list[tuple[int, EventKey, Record, bytes]],
) -> None:
    record = orjson.loads(value)
    key = (write.parts[0], 1 if write.kind == "error" else 0)
    record["index"].bit_length()  # an integer, or this record is unreadable
    words_of(rows.words, record["projection"])
    if record["tx_id"] == transaction.tx_id:
        anchored.append((record["index"], key, record, value))
    elif key in rows.events:
        rows.events[key] = (record, value, rows.events[key][2])
    else:
        rows.rewritten[key] = (record, value, block.number)


def _unreadable(rows: Rows, write: Write, error: Exception) -> None:
    key = other_key(write)
    rows.put(tables.other_records, key, (*key, reason(error), write.value or b""))
