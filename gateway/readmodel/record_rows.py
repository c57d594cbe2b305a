"""The row of one record, by its key type: parties, products, certificates, grants and the like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Table

from gateway.readmodel import tables
from gateway.readmodel.bulk import Row
from gateway.readmodel.decode import Write

Record = dict[str, Any]
Put = Callable[[Table, tuple[str, ...], Row | None], None]
"""Notes a row (None: deleted) of a table under its primary key."""

STATES = {"item": tables.items, "lot": tables.lots, "balance": tables.balances}
"""Key types whose rows are the key's parts and the record, which is not taken apart."""

_SEPARATOR = "\x1f"


def put_record(put: Put, write: Write, record: Record, value: bytes) -> None:
    """Note the row of a record. :raises KeyError, TypeError, ValueError: not as documented."""
    RECORDS.get(write.kind, _other)(put, write, record, value)


def put_state(put: Put, write: Write, value: bytes) -> None:
    """Note an item, lot or balance. :raises ValueError: the key has other parts."""
    table = STATES[write.kind]
    if len(write.parts) != len(table.primary_key.columns):
        raise ValueError("the key has not the documented parts")
    put(table, write.parts, (*write.parts, value))


def put_deletion(put: Put, write: Write) -> None:
    """Note that a record is gone."""
    table = TABLES.get(write.kind)
    if table is None:
        put(tables.other_records, other_key(write), None)
    else:
        put(table, write.parts, None)


def other_key(write: Write) -> tuple[str, str]:
    """Primary key of a write in `other_records`."""
    return write.kind, _SEPARATOR.join(write.parts)


def _transformation(put: Put, write: Write, record: Record, value: bytes) -> None:
    key = write.parts[0]
    put(tables.transformations, (key,), (key, record.get("party"), value))


def _party(put: Put, write: Write, record: Record, value: bytes) -> None:
    key = write.parts[0]
    put(
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


def _msp(put: Put, write: Write, record: Record, value: bytes) -> None:
    put(tables.msps, (write.parts[0],), (write.parts[0], record["default"]))


def _location(put: Put, write: Write, record: Record, value: bytes) -> None:
    put(tables.party_locations, (write.parts[0],), (write.parts[0], record["party"]))


def _product(put: Put, write: Write, record: Record, value: bytes) -> None:
    key = write.parts[0]
    put(tables.products, (key,), (key, record["name"], record["owner"], value))


def _certificate(put: Put, write: Write, record: Record, value: bytes) -> None:
    key = write.parts[0]
    names = ("subject", "type", "issuer", "status", "digest", "valid_from_ms", "valid_until_ms")
    put(tables.certificates, (key,), (key, *(record[name] for name in names), value))


def _delegation(put: Put, write: Write, record: Record, value: bytes) -> None:
    principal, delegate = write.parts
    row = (principal, delegate, record["status"], value)
    put(tables.delegations, (principal, delegate), row)


def _grant(put: Put, write: Write, record: Record, value: bytes) -> None:
    scope, granter, grantee = write.parts
    row = (scope, granter, grantee, record["status"], record.get("expires_ms"), value)
    put(tables.grants, (scope, granter, grantee), row)


def _access(put: Put, write: Write, record: Record, value: bytes) -> None:
    event, tx_id = write.parts
    row = (event, tx_id, record["party"], record["time_ms"], value)
    put(tables.accesses, (event, tx_id), row)


def _other(put: Put, write: Write, record: Record, value: bytes) -> None:
    key = other_key(write)
    put(tables.other_records, key, (*key, None, value))


RECORDS: dict[str, Callable[[Put, Write, Record, bytes], None]] = {
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
TABLES = {
    **STATES,
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
