"""Events checked again from what is stored: payload, commitment, event hash, projection, block.

One event, in this order; the first that fails names it:
  1. its transaction is VALID in the block that the read model has for it
  2. the payload is there and this reader may have it
  3. the payload and its salt give the commitment on the chain (the payload port checks this)
  4. the event in the payload gives the CBV 2.0 hash on the chain
  5. it gives the public projection on the chain (:mod:`chaincode.projection`)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, select

from chaincode.projection import project
from gateway.auth import Caller
from gateway.container import Container
from gateway.epcis.access import reader_for
from gateway.epcis.hash import event_hash
from gateway.readmodel import tables
from gateway.traced import TracedEvent
from nodes.payloads import (
    PayloadCorrupted,
    PayloadErased,
    PayloadError,
    PayloadRefused,
    PayloadUnknown,
    StoredPayload,
)

VERIFIED = "verified"
NOT_VALID = "transaction-not-valid"
ERASED = "payload-erased"
DENIED = "payload-denied"
MISSING = "payload-missing"
UNREACHABLE = "payload-unreachable"
MISMATCH = "payload-mismatch"
HASH_DIFFERS = "hash-differs"
PROJECTION_DIFFERS = "projection-differs"
UNREADABLE = "payload-unreadable"

WRONG = frozenset({NOT_VALID, MISMATCH, HASH_DIFFERS, PROJECTION_DIFFERS, UNREADABLE, MISSING})
"""Outcomes that contradict the chain; the others only leave something unseen."""

_CHUNK = 500
_OUTCOMES: tuple[tuple[type[PayloadError], str], ...] = (
    (PayloadErased, ERASED),
    (PayloadRefused, DENIED),
    (PayloadUnknown, MISSING),
    (PayloadCorrupted, MISMATCH),
    (PayloadError, UNREACHABLE),
)


@dataclass(frozen=True, slots=True)
class Recheck:
    """What became of one event's check: an outcome above, and a reason where it is wrong."""

    hash: str
    outcome: str
    detail: str = ""


def recheck(
    container: Container,
    connection: Connection,
    caller: Caller,
    events: Sequence[TracedEvent],
    legal_basis: str = "",
) -> list[Recheck]:
    """Check `events` again as `caller`; every payload read is logged at its node."""
    valid = _valid_transactions(connection, events)
    payloads = _payloads(container, caller, events, legal_basis)
    return [
        _check(event, event.record["tx_id"] in valid, payload)
        for event, payload in zip(events, payloads, strict=True)
    ]


def _check(event: TracedEvent, valid: bool, payload: StoredPayload | PayloadError) -> Recheck:
    digest = event.record["hash"]
    if not valid:  # 1
        return Recheck(digest, NOT_VALID, f"{event.record['tx_id']} is not VALID in its block")
    if isinstance(payload, PayloadError):  # 2, 3
        outcome = next(name for kind, name in _OUTCOMES if isinstance(payload, kind))
        return Recheck(digest, outcome, payload.message if outcome in WRONG else "")
    try:
        stored = orjson.loads(payload.payload)
        found, context = stored["event"], stored.get("@context")
        again = event_hash(found, context)
        projection = project(found)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Recheck(
            digest, UNREADABLE, f"the payload is no stored event: {type(error).__name__}"
        )
    if again != digest:  # 4
        return Recheck(digest, HASH_DIFFERS, f"the payload's event hash is {again}")
    if projection != event.projection:  # 5
        return Recheck(digest, PROJECTION_DIFFERS, _difference(projection, event.projection))
    return Recheck(digest, VERIFIED)


def _difference(here: dict[str, Any], chain: dict[str, Any]) -> str:
    names = sorted(name for name in here.keys() | chain.keys() if here.get(name) != chain.get(name))
    return f"the payload's projection differs in {', '.join(names)}"


def _valid_transactions(connection: Connection, events: Sequence[TracedEvent]) -> set[str]:
    wanted = sorted({event.record["tx_id"] for event in events})
    found: set[str] = set()
    for start in range(0, len(wanted), _CHUNK):
        rows = connection.execute(_VALID, {"ids": wanted[start : start + _CHUNK]})
        found.update(row[0] for row in rows)
    return found


def _payloads(
    container: Container, caller: Caller, events: Sequence[TracedEvent], legal_basis: str
) -> list[StoredPayload | PayloadError]:
    reader = reader_for(caller, legal_basis)
    places: dict[str, list[int]] = defaultdict(list)
    for position, event in enumerate(events):
        places[event.record["msp"]].append(position)
    found: dict[int, StoredPayload | PayloadError] = {}
    for msp_id, positions in places.items():
        wanted = [events[position].record["commitment"] for position in positions]
        try:
            answers: Sequence[StoredPayload | PayloadError] = container.payloads.get_many(
                msp_id, wanted, reader, signer=caller.signer
            )
        except PayloadError as error:
            answers = [error] * len(positions)
        found.update(zip(positions, answers, strict=True))
    return [found[position] for position in range(len(events))]


_VALID = select(tables.transactions.c.tx_id).where(
    tables.transactions.c.tx_id.in_(bindparam("ids", expanding=True)),
    tables.transactions.c.code == 0,
)
