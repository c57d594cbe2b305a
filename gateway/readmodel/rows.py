"""What a block's writes are as rows: pure, one function per record type.

The record shapes are the contract's (``docs/design/contract.md``). A record that does not read as
documented goes to ``other_records`` with the reason, so that no block ever stops the projection.
Within one batch the last version of a record wins; only events are numbered, in block order, then
by transaction, then by their place in the capture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import Table

from gateway.readmodel import tables
from gateway.readmodel.bulk import Row
from gateway.readmodel.decode import DecodedBlock, DecodedTransaction, Write

EventKey = tuple[str, int]
Record = dict[str, Any]
_SEPARATOR = "\x1f"
_STATES = {"item": tables.items, "lot": tables.lots, "balance": tables.balances}
_MISSHAPEN = (KeyError, TypeError, ValueError, AttributeError, IndexError)
_DUPLICATE_TXID = 9
_LISTS = (
    ("epcs", "epc"),
    ("children", "child"),
    ("inputs", "input"),
    ("outputs", "output"),
)
_QUANTITY_LISTS = (
    ("quantities", "qty"),
    ("child_quantities", "child_qty"),
    ("input_quantities", "input_qty"),
    ("output_quantities", "output_qty"),
    ("losses", "loss"),
)


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
        detail = _Detail()
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
                _delete(rows, write)
            elif kind in _STATES:
                table = _STATES[kind]
                if len(write.parts) != len(table.primary_key.columns):
                    raise ValueError("the key has not the documented parts")
                rows.put(table, write.parts, (*write.parts, write.value))
            elif kind in ("event", "error"):
                _event(rows, block, transaction, write, write.value, anchored)
            else:
                record = orjson.loads(write.value)
                _RECORDS.get(write.kind, _other)(rows, write, record, write.value)
        except _MISSHAPEN as error:
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
    _words(rows.words, record["projection"])
    if record["tx_id"] == transaction.tx_id:
        anchored.append((record["index"], key, record, value))
    elif key in rows.events:
        rows.events[key] = (record, value, rows.events[key][2])
    else:
        rows.rewritten[key] = (record, value, block.number)


def _words(words: set[tuple[str, str]], projection: Record) -> None:
    words.add(("eventType", projection.get("extra_type") or projection["type"]))
    for name, kind in (
        ("step", "bizStep"),
        ("disposition", "disposition"),
        ("read_point", "readPoint"),
        ("location", "bizLocation"),
    ):
        value = projection.get(name)
        if value is not None:
            words.add((kind, value))


class _Detail:
    """Rows of events and of what hangs on them."""

    __slots__ = ("carbon", "documents", "events", "findings", "ids", "parties")

    def __init__(self) -> None:
        self.events: list[Row] = []
        self.ids: list[Row] = []
        self.parties: dict[Row, None] = {}
        self.documents: dict[Row, None] = {}
        self.findings: list[Row] = []
        self.carbon: list[Row] = []

    def tables(self) -> list[tuple[Table, list[Row]]]:
        return [
            (tables.events, self.events),
            (tables.event_ids, self.ids),
            (tables.event_parties, list(self.parties)),
            (tables.event_documents, list(self.documents)),
            (tables.findings, self.findings),
            (tables.carbon, self.carbon),
        ]

    def try_add(
        self,
        seq: int,
        key: EventKey,
        record: Record,
        value: bytes,
        block: int,
        unread: dict[tuple[str, ...], Row | None],
    ) -> None:
        """`add`, or a row of `unread` where the record is not of the documented shape."""
        lists = (self.events, self.ids, self.findings, self.carbon)
        sizes = [len(rows) for rows in lists]
        try:
            self.add(seq, key, record, value, block)
        except _MISSHAPEN as error:
            for rows, size in zip(lists, sizes, strict=True):
                del rows[size:]
            kind = "error" if key[1] else "event"
            unread[(kind, key[0])] = (kind, key[0], _reason(error), value)

    def add(self, seq: int, key: EventKey, record: Record, value: bytes, block: int) -> None:
        projection: Record = record["projection"]
        get = projection.get
        error = get("error") or {}
        findings: Sequence[Record] = record.get("findings") or ()
        self.events.append(
            (
                seq,
                key[0],
                key[1],
                get("event_id"),
                get("extra_type") or projection["type"],
                get("action"),
                projection["time_ms"],
                record["time_ms"],
                get("step"),
                get("disposition"),
                get("read_point"),
                get("location"),
                get("country"),
                get("transformation_id"),
                record["party"],
                record.get("submitted_by"),
                record["msp"],
                record["tx_id"],
                block,
                record["commitment"],
                get("disclosure"),
                error.get("time_ms"),
                error.get("reason"),
                record.get("voided_by"),
                len(findings),
                value,
            )
        )
        self._identifiers(seq, projection)
        for direction in ("from", "to"):
            for party in get(direction) or ():
                self.parties[(party["id"], seq, direction, party.get("type") or "")] = None
        for document in get("transactions") or ():
            self.documents[(document["id"], seq, document.get("type") or "")] = None
        for position, finding in enumerate(findings):
            self.findings.append(
                (seq, position, finding["code"], finding["message"], finding.get("where") or "")
            )
        for position, carbon in enumerate(record.get("carbon") or ()):
            self.carbon.append(
                (
                    seq,
                    position,
                    carbon["stage"],
                    carbon["co2e_mg"],
                    carbon.get("stated_by"),
                    carbon.get("verified_by"),
                    orjson.dumps(carbon),
                )
            )

    def _identifiers(self, seq: int, projection: Record) -> None:
        get = projection.get
        ids = self.ids
        for name, role in _LISTS:
            values = get(name)
            if values:
                ids.extend((value, seq, role, n, None, None) for n, value in enumerate(values))
        for name, role in _QUANTITY_LISTS:
            values = get(name)
            if values:
                ids.extend(
                    (value["id"], seq, role, n, value.get("qty"), value.get("unit"))
                    for n, value in enumerate(values)
                )
        parent = get("parent")
        if parent is not None:
            ids.append((parent, seq, "parent", 0, None, None))


# -- records with a table of their own ------------------------------------------------------------


def _transformation(rows: Rows, write: Write, record: Record, value: bytes) -> None:
    key = write.parts[0]
    rows.put(tables.transformations, (key,), (key, record.get("party"), value))


def _party(rows: Rows, write: Write, record: Record, value: bytes) -> None:
    key = write.parts[0]
    rows.put(
        tables.participants,
        (key,),
        (
            key,
            record["msp"],
            record["name"],
            record.get("country"),
            record["status"],
            " ".join(sorted(record["roles"])),
            value,
        ),
    )


def _msp(rows: Rows, write: Write, record: Record, value: bytes) -> None:
    rows.put(tables.msps, (write.parts[0],), (write.parts[0], record["default"]))


def _location(rows: Rows, write: Write, record: Record, value: bytes) -> None:
    rows.put(tables.party_locations, (write.parts[0],), (write.parts[0], record["party"]))


def _product(rows: Rows, write: Write, record: Record, value: bytes) -> None:
    key = write.parts[0]
    rows.put(tables.products, (key,), (key, record["name"], record["owner"], value))


def _certificate(rows: Rows, write: Write, record: Record, value: bytes) -> None:
    key = write.parts[0]
    names = ("subject", "type", "issuer", "status", "digest", "valid_from_ms", "valid_until_ms")
    rows.put(tables.certificates, (key,), (key, *(record[name] for name in names), value))


def _delegation(rows: Rows, write: Write, record: Record, value: bytes) -> None:
    principal, delegate = write.parts
    row = (principal, delegate, record["status"], value)
    rows.put(tables.delegations, (principal, delegate), row)


def _grant(rows: Rows, write: Write, record: Record, value: bytes) -> None:
    scope, granter, grantee = write.parts
    row = (scope, granter, grantee, record["status"], record.get("expires_ms"), value)
    rows.put(tables.grants, (scope, granter, grantee), row)


def _access(rows: Rows, write: Write, record: Record, value: bytes) -> None:
    event, tx_id = write.parts
    row = (event, tx_id, record["party"], record["time_ms"], value)
    rows.put(tables.accesses, (event, tx_id), row)


def _other(rows: Rows, write: Write, record: Record, value: bytes) -> None:
    key = _SEPARATOR.join(write.parts)
    rows.put(tables.other_records, (write.kind, key), (write.kind, key, None, value))


_RECORDS: dict[str, Callable[[Rows, Write, Record, bytes], None]] = {
    "transformation": _transformation,
    "party": _party,
    "msp": _msp,
    "location": _location,
    "product": _product,
    "certificate": _certificate,
    "delegation": _delegation,
    "grant": _grant,
    "access": _access,
}
_TABLES = {
    **_STATES,
    "transformation": tables.transformations,
    "party": tables.participants,
    "msp": tables.msps,
    "location": tables.party_locations,
    "product": tables.products,
    "certificate": tables.certificates,
    "delegation": tables.delegations,
    "grant": tables.grants,
    "access": tables.accesses,
}


def _delete(rows: Rows, write: Write) -> None:
    table = _TABLES.get(write.kind)
    if table is None:
        key = (write.kind, _SEPARATOR.join(write.parts))
        rows.put(tables.other_records, key, None)
    else:
        rows.put(table, write.parts, None)


def _unreadable(rows: Rows, write: Write, error: Exception) -> None:
    key = _SEPARATOR.join(write.parts)
    row = (write.kind, key, _reason(error), write.value or b"")
    rows.put(tables.other_records, (write.kind, key), row)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]
