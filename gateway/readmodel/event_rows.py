"""The rows of one event: its own, its identifiers, parties, documents, findings, carbon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Table

from gateway.readmodel import tables
from gateway.readmodel.bulk import Row

EventKey = tuple[str, int]
"""Hash (64 hex), and 1 for an error declaration, else 0."""
Record = dict[str, Any]
MISSHAPEN = (KeyError, TypeError, ValueError, AttributeError, IndexError)
"""What reading a record of another shape than the documented one raises."""

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


class EventRows:
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
        except MISSHAPEN as error:
            for rows, size in zip(lists, sizes, strict=True):
                del rows[size:]
            kind = "error" if key[1] else "event"
            unread[(kind, key[0])] = (kind, key[0], reason(error), value)

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


def words_of(words: set[tuple[str, str]], projection: Record) -> None:
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


def reason(error: Exception) -> str:
    """Why a record could not be read, for `other_records.problem`."""
    return f"{type(error).__name__}: {error}"[:300]
