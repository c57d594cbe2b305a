"""Evidence for the verifier: from the ledger by way of the read model, or none at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import orjson
from sqlalchemy import Connection, func, select

from chaincode.identifiers import parse
from gateway.credentials import readings
from gateway.credentials.document import Fact
from gateway.credentials.history import History, Record, history
from gateway.credentials.port import Anchor, EvidenceUnavailable, FactState, Issuer, ProductState
from gateway.credentials.records import anchor_of, footprint_value, state_of
from gateway.database import select_in
from gateway.readmodel import tables

Footprint = Callable[[str], Record | None]
"""Identifier -> the contract's ``carbon:footprint`` answer, or None where it has none."""


_WITHOUT_LICENCE = frozenset({None, "authority", "own goods"})


class NoEvidence:
    """No ledger within reach: everything the document itself does not show stays unknown."""

    as_of: tuple[int | None, int | None] = (None, None)

    def anchor(self, certificate_id: str) -> Anchor | None:
        raise EvidenceUnavailable

    def issuer(self, party: str, licence: str | None, at_ms: int) -> Issuer | None:
        raise EvidenceUnavailable

    def fact(self, fact: Fact, subject: str) -> FactState:
        raise EvidenceUnavailable

    def product(self, subject: str, now_ms: int) -> ProductState | None:
        raise EvidenceUnavailable


class LedgerEvidence:
    """What the ledger says, read in one snapshot of the read model."""

    def __init__(self, connection: Connection, footprint: Footprint | None = None) -> None:
        self._connection = connection
        self._footprint = footprint
        self._lives: dict[str, History] = {}
        self._records: dict[tuple[str, str], Record | None] = {}

    @property
    def as_of(self) -> tuple[int | None, int | None]:
        """Height of the read model, and the time of its last block."""
        height = self._connection.scalar(select(tables.projection.c.height)) or 0
        time_ms = self._connection.scalar(select(func.max(tables.blocks.c.time_ms)))
        return height, time_ms

    def anchor(self, certificate_id: str) -> Anchor | None:
        """The certificate's record on the chain."""
        record = self._record("certificates", certificate_id)
        return None if record is None else anchor_of(record)

    def issuer(self, party: str, licence: str | None, at_ms: int) -> Issuer | None:
        """The party; entitled when the licence its certificate names covered `at_ms`.

        Every validator ran this rule when the certificate was anchored; here it is shown again
        from the party's record of today. An authority, or a maker speaking of its own goods, needs
        no licence, and the certificate's record says so in its place.
        """
        record = self.participant(party)
        if record is None:
            return None
        covers = licence in _WITHOUT_LICENCE or any(
            entry["number"] == licence
            and entry["valid_from_ms"] <= at_ms <= entry["valid_until_ms"]
            for entry in record.get("licences", ())
        )
        return Issuer(str(record["name"]), covers)

    def participant(self, party: str) -> Record | None:
        """A party's record."""
        return self._record("participants", party)

    def participant_at(self, locations: Sequence[str], party: str) -> Record | None:
        """The party behind a place: its own id, or who registered one of the locations."""
        owner = self._connection.scalar(
            select(tables.party_locations.c.party).where(
                tables.party_locations.c.location.in_(locations)
            )
        )
        return self.participant(owner or party)

    def recalled_source(self, ancestors: Sequence[str]) -> ProductState | None:
        """A recalled lot or item among what a product was made from, or None."""
        for query in (_LOTS, _ITEMS):
            for (raw,) in select_in(self._connection, query, ancestors):
                if orjson.loads(raw)["status"] == "recalled":
                    return ProductState("source_recalled")
        return None

    def product_record(self, gtin: str | None) -> Record | None:
        """A product's record."""
        return self._record("products", gtin) if gtin else None

    def event(self, reference: str) -> Record | None:
        """An event by its hash, ``ni:///sha-256;<hex>?...`` or 64 hex."""
        digits = reference.removeprefix("ni:///sha-256;").partition("?")[0]
        return self._record("events", digits)

    def fact(self, fact: Fact, subject: str) -> FactState:
        """Read a ledger fact again, the way its `reading` says."""
        reading = fact.reading or ""
        if reading in readings.IDENTIFIER:
            return _same(readings.of_identifier(reading, subject) == fact.value)
        if reading in readings.PRODUCT:
            record = self.product_record(parse(subject).gtin)
            if record is None:
                return "differs"
            return "same" if readings.of_product(reading, record) == fact.value else "changed"
        if reading == readings.FOOTPRINT:
            return self._footprint_fact(fact, subject)
        return self._event_fact(fact, subject)

    def product(self, subject: str, now_ms: int) -> ProductState | None:
        """The state of a serialised thing or of a lot, or of what it was made from if recalled."""
        found = self.own_state(subject, now_ms)
        if found is None or found.state != "ok":
            return found
        return self.recalled_source(self.life(subject).ancestors) or found

    def life(self, subject: str) -> History:
        """The history of an identifier, walked once."""
        if subject not in self._lives:
            self._lives[subject] = history(self._connection, subject)
        return self._lives[subject]

    def own_state(self, subject: str, now_ms: int) -> ProductState | None:
        """The state of a serialised thing or of a lot alone."""
        record = self._record("items", subject) or self._record("lots", subject)
        if record is None:
            return None
        return state_of(record, self._recalled_share(subject), now_ms)

    def _event_fact(self, fact: Fact, subject: str) -> FactState:
        record = self.event(fact.event) if fact.event else None
        voided = record is not None and record.get("voided_by")
        if record and not voided and not self._concerns(record, fact.reading or "", subject):
            return "differs"
        if fact.reading == readings.INSPECTION:
            if record is None or not readings.inspected_by(fact.checked_by or "", record):
                return "differs"
            return "withdrawn" if record.get("voided_by") else "same"
        read = None if record is None else readings.of_event(fact.reading or "", record, subject)
        if record is None or read is None:
            return "differs"
        if record.get("voided_by"):
            return "withdrawn"
        value, unit = read
        if (fact.reading or "").endswith("-party"):
            return self._named(fact, value, self.participant(value))
        if fact.reading == "origin-product":
            return self._named(fact, value, self.product_record(parse(value).gtin))
        return _same(value == fact.value and unit == fact.unit)

    def _concerns(self, record: Record, reading: str, subject: str) -> bool:
        """Whether the event has that place in the product's own history: nobody lends a product
        the origin of another."""
        life = self.life(subject)
        if life.cut:
            return True
        events = (
            life.origins
            if reading in readings.ORIGIN
            else [life.made]
            if reading in readings.MADE
            else life.events
        )
        return any(event is not None and event["hash"] == record["hash"] for event in events)

    def _named(self, fact: Fact, identifier: str, record: Record | None) -> FactState:
        if fact.party is not None and fact.party != identifier:
            return "differs"
        if fact.record is not None and not identifier.startswith(fact.record):
            return "differs"
        return "same" if record is not None and record["name"] == fact.value else "changed"

    def _footprint_fact(self, fact: Fact, subject: str) -> FactState:
        if self._footprint is None:
            raise EvidenceUnavailable
        record = self._footprint(subject)
        now = footprint_value(record) if record else None
        return "same" if now == (fact.value, fact.unit) else "changed"

    def _recalled_share(self, lot: str) -> bool:
        rows = self._connection.execute(
            select(tables.balances.c.record).where(tables.balances.c.lot == lot).limit(1000)
        )
        return any(orjson.loads(raw).get("status") == "recalled" for (raw,) in rows)

    def _record(self, kind: str, key: str) -> Record | None:
        """A record by its key, read once."""
        if (kind, key) not in self._records:
            rows = select_in(self._connection, _BY_KEY[kind], [key])
            self._records[kind, key] = orjson.loads(rows[0][0]) if rows else None
        return self._records[kind, key]


_ITEMS = "SELECT record FROM items WHERE id {list}"
_LOTS = "SELECT record FROM lots WHERE id {list}"
_BY_KEY = {
    "certificates": "SELECT record FROM certificates WHERE id {list}",
    "participants": "SELECT record FROM participants WHERE id {list}",
    "products": "SELECT record FROM products WHERE gtin {list}",
    "items": _ITEMS,
    "lots": _LOTS,
    "events": "SELECT record FROM events WHERE hash {list} AND declaration = 0",
}


def _same(equal: bool) -> FactState:
    return "same" if equal else "differs"
