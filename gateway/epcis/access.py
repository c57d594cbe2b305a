"""Payloads of event rows: bytes for one reader, and which events have theirs stored already.

Each node decides who reads, this only asks it.

The reader is who the ledger says the caller is (:class:`gateway.auth.Caller`); the request itself
adds nothing but a regulator's legal basis.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, select

from gateway.epcis.hash import hash_hex
from gateway.errors import DatabaseUnavailable
from gateway.payloads import read_recorded
from gateway.readmodel.tables import events
from nodes.payloads import PayloadError, Reader, StoredPayload
from nodes.payloads.ledger_facts import fingerprint

if TYPE_CHECKING:
    from gateway.auth import Caller
    from gateway.container import Container
    from gateway.epcis.capture import Known
    from gateway.epcis.prepare import PreparedEvent
    from gateway.readmodel.store import ReadModel

HASHES_AT_ONCE = 500
_COMMITMENTS = select(events.c.hash, events.c.declaration, events.c.commitment)


def reader_for(caller: Caller, legal_basis: str = "") -> Reader:
    """The caller as a reader of payloads."""
    certificate = caller.certificate
    return Reader(
        caller.party,
        caller.msp_id,
        caller.roles,
        caller.country,
        not caller.suspended,
        caller.ou == "admin",
        legal_basis,
        fingerprint(certificate.encode()) if certificate else "",
    )


def payloads_for(
    container: Container, caller: Caller, legal_basis: str = ""
) -> Callable[[Sequence[Row[Any]]], list[bytes | None]]:
    """Reads the payloads of event rows; None for each the caller may not have."""
    reader = reader_for(caller, legal_basis)

    def read(rows: Sequence[Row[Any]]) -> list[bytes | None]:
        places: dict[str, list[int]] = defaultdict(list)
        for position, row in enumerate(rows):
            places[row.msp].append(position)
        found: list[bytes | None] = [None] * len(rows)
        for msp_id, positions in places.items():
            try:
                answers: Sequence[StoredPayload | PayloadError] = container.payloads.get_many(
                    msp_id,
                    [rows[position].commitment for position in positions],
                    reader,
                    signer=caller.signer,
                )
            except PayloadError:
                continue  # that organisation's node is out of reach
            for position, answer in zip(positions, answers, strict=True):
                if isinstance(answer, StoredPayload):
                    found[position] = answer.payload
        return found

    return read


def commitments_of(readmodel: ReadModel) -> Known:
    """Finds the commitments of events that the read model has as captured before."""

    def known(batch: Sequence[PreparedEvent]) -> dict[int, str]:
        wanted = {(hash_hex(event.hash), "error" in event.projection): event for event in batch}
        hashes = [digest for digest, _ in wanted]
        found: dict[int, str] = {}
        try:
            with readmodel.read() as connection:
                for part in _parts(hashes, HASHES_AT_ONCE):
                    for row in connection.execute(_COMMITMENTS.where(events.c.hash.in_(part))):
                        event = wanted.get((row.hash, bool(row.declaration)))
                        if event is not None:
                            found[event.index] = row.commitment
        except DatabaseUnavailable:
            return {}  # the contract knows them all the same
        return found

    return known


def _parts(values: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def payload_of(container: Container, caller: Caller, row: Row[Any], legal_basis: str = "") -> bytes:
    """One event's payload bytes, leaving a regulator's legal basis on the chain where needed.

    :raises PayloadError: with its rule, where the caller may not have it.
    """

    def record(event_hash: str, basis: str) -> None:
        done = container.ledger.submit_and_wait(
            caller.require_signer(),
            "access:record",
            {"event": event_hash, "legal_basis": basis},
        )
        container.readmodel.wait_for(done.block_number + 1, 10.0)

    return read_recorded(
        container.payloads,
        row.msp,
        row.commitment,
        reader_for(caller, legal_basis),
        record,
        signer=caller.signer,
    ).payload
