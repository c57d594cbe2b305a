"""The access rules' facts, and the reader's own record, from a node's committed state."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import replace

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from chaincode.caller import caller_of
from chaincode.errors import Refusal
from chaincode.identifiers import parse
from nodes.payloads.access import Grant, RecordedBasis, Relation
from nodes.payloads.chain_state import Record, StateReader, StateSource, below, record
from nodes.payloads.model import PayloadMeta, Reader, Residency, event_digest
from nodes.payloads.product_history import LedgerHistory
from nodes.payloads.relations import identifiers_of, relations

_WALKED = frozenset({Residency.PARTNERS, Residency.IN_COUNTRY})


class StateFacts:
    """:class:`nodes.payloads.facts.LedgerFacts` over the state `source` gives."""

    def __init__(self, source: StateSource) -> None:
        self._source = source
        self._last: tuple[object, LedgerHistory] | None = None

    def relations(self, party: str, meta: PayloadMeta) -> Collection[Relation]:
        """Relations of `party` to the event; the goods' history only where a rule asks for it."""
        state = self._source()
        events = _events(state, meta.event_hash, meta.commitment)
        return relations(party, events, self._history(state), deep=meta.residency in _WALKED)

    def _history(self, state: StateReader) -> LedgerHistory:
        """The history of the state's snapshot: kept while no block comes, for its memory."""
        snapshot = getattr(state, "snapshot", state)
        last = self._last
        if last is None or last[0] is not snapshot:
            last = self._last = (snapshot, LedgerHistory(state))
        return last[1]

    def grants(self, party: str, meta: PayloadMeta) -> Collection[Grant]:
        """The owner's grants to `party` for the event, its identifiers or their classes."""
        state = self._source()
        found = []
        for scope in _scopes(_events(state, meta.event_hash, meta.commitment), meta.event_hash):
            grant = record(state, "grant", scope, meta.owner_party, party)
            if grant is not None:
                found.append(
                    Grant(
                        grantor=grant["granter"],
                        grantee=grant["grantee"],
                        scope=scope,
                        expires_ms=grant.get("expires_ms"),
                        revoked=grant["status"] != "active",
                    )
                )
        return found

    def legal_bases(self, party: str, meta: PayloadMeta) -> Collection[RecordedBasis]:
        """What `party` recorded with ``access:record`` for the event."""
        rows = below(self._source(), "access", event_digest(meta.event_hash))
        return [
            RecordedBasis(row["party"], row["legal_basis"], row["time_ms"], row["tx_id"])
            for row in rows
            if row["party"] == party
        ]

    def anchored(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        """Whether the chain holds each (event hash, commitment)."""
        state = self._source()
        return [bool(_events(state, event_hash, commitment)) for event_hash, commitment in pairs]


def reader_of(state: StateReader, msp_id: str, certificate: bytes, legal_basis: str = "") -> Reader:
    """The reader behind a verified PEM certificate, as the registry on the chain knows it.

    The party is the one the certificate's `tracemark.party` attribute names, if that party is
    registered under the certificate's MSP; without the attribute, the MSP's default party.
    """
    printed = fingerprint(certificate)
    reader = Reader(None, msp_id, legal_basis=legal_basis, certificate_sha256=printed)
    try:
        caller = caller_of(msp_id, certificate)
    except Refusal:
        return reader
    reader = replace(reader, administrator=caller.is_admin)
    party = caller.party
    if party is None:
        default = record(state, "msp", msp_id)
        party = default["default"] if default else None
    found = record(state, "party", party) if party else None
    if found is None or found["msp"] != msp_id:
        return reader
    return replace(
        reader,
        party=found["id"],
        roles=frozenset(found["roles"]),
        country=found["country"],
        active=found["status"] == "active",
    )


def _events(state: StateReader, event_hash: str, commitment: str) -> list[Record]:
    """The chain's records of the event with this payload: an event or error declarations of it.

    A declaration lies below its event's hash under the party that made it.
    """
    digest = event_digest(event_hash)
    event = record(state, "event", digest)
    found = [*([event] if event else []), *below(state, "error", digest)]
    return [entry for entry in found if entry["commitment"] == commitment]


def _scopes(events: Collection[Record], event_hash: str) -> list[str]:
    scopes = {event_hash: None, event_digest(event_hash): None}
    for event in events:
        for identifier in identifiers_of(event):
            scopes[identifier] = None
            gtin = _class_of(identifier)
            if gtin is not None:
                scopes[gtin] = None
    return list(scopes)


def _class_of(identifier: str) -> str | None:
    try:
        gtin = parse(identifier).gtin
    except Refusal:
        return None
    return f"https://id.gs1.org/01/{gtin}" if gtin else None


def fingerprint(certificate: bytes) -> str:
    """How a read log names a reader: SHA-256 of the certificate's DER, hex; "" for no PEM."""
    try:
        der = x509.load_pem_x509_certificate(certificate).public_bytes(Encoding.DER)
    except ValueError:
        return ""
    return hashlib.sha256(der).hexdigest()
