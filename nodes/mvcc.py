"""Decide about each transaction of a block: the part that depends on the node's own state.

Fabric ``core/ledger/kvledger/txmgmt/validation``. In block order, for transactions that are
valid so far: 1. the id is new (in the ledger: DUPLICATE_TXID, also for transactions with a fault
found later; in this block: only the first valid one counts); 2. every read key still has the
version that was read, and no earlier valid transaction of the block wrote it
(MVCC_READ_CONFLICT); 3. every range that was read still holds the same keys in the same versions
(PHANTOM_READ_CONFLICT). The last decided writes are visible to the next transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from nodes.checked import CheckedBlock
from nodes.ledger import Ledger
from nodes.rwset import VERSION_BYTES, NamespaceSet, RangeRead, pack_version, state_prefix
from nodes.transaction import VALID, Code

_BEFORE_DUPLICATES: Final = frozenset(
    {
        Code.NIL_ENVELOPE,
        Code.BAD_PAYLOAD,
        Code.BAD_COMMON_HEADER,
        Code.BAD_CREATOR_SIGNATURE,
        Code.BAD_PROPOSAL_TXID,
        Code.INVALID_ENDORSER_TRANSACTION,
        Code.UNSUPPORTED_TX_PAYLOAD,
        Code.TARGET_CHAIN_NOT_FOUND,
    }
)

Updates = dict[bytes, bytes | None]
"""State keys that earlier valid transactions of the block wrote: new version, or None."""


def final_codes(ledger: Ledger, block: CheckedBlock) -> bytes:
    """One TxValidationCode per transaction, in block order, as one byte each."""
    codes = bytearray(block.codes)
    seen: set[str] = set()
    updates: Updates = {}
    for index, transaction in enumerate(block.transactions):
        if (
            block.identified[index]
            and codes[index] not in _BEFORE_DUPLICATES
            and ledger.get(b"t" + transaction.tx_id.encode()) is not None
        ):
            codes[index] = Code.DUPLICATE_TXID
        if codes[index] != VALID:
            continue
        if block.identified[index]:
            if transaction.tx_id in seen:
                codes[index] = Code.DUPLICATE_TXID
                continue
            seen.add(transaction.tx_id)
        codes[index] = _conflict(ledger, transaction.sets, updates)
        if codes[index] == VALID:
            version = pack_version(block.number, index)
            for entry in transaction.sets:
                for _, state, value in entry.writes:
                    updates[state] = None if value is None else version
    return bytes(codes)


def _conflict(ledger: Ledger, sets: tuple[NamespaceSet, ...], updates: Updates) -> int:
    get = ledger.get
    for entry in sets:
        for key, version in entry.reads:
            if key in updates:
                return int(Code.MVCC_READ_CONFLICT)
            raw = get(key)
            if (None if raw is None else raw[:VERSION_BYTES]) != version:
                return int(Code.MVCC_READ_CONFLICT)
        for read in entry.ranges:
            if _range_changed(ledger, entry.namespace, read, updates):
                return int(Code.PHANTOM_READ_CONFLICT)
    return VALID


def _range_changed(ledger: Ledger, namespace: str, read: RangeRead, updates: Updates) -> bool:
    prefix = state_prefix(namespace)
    start = prefix + read.start.encode()
    if not read.exhausted:
        end = prefix + read.end.encode() + b"\0"  # the last key seen belongs to the range
    elif read.end:
        end = prefix + read.end.encode()
    else:
        end = prefix[:-1] + b"\x01"
    now = _with_updates(ledger, start, end, updates)
    expected = [(prefix + key.encode(), version) for key, version in read.results]
    for key, version in expected:
        if next(now, None) != (key, version):
            return True
    return next(now, None) is not None


def _with_updates(
    ledger: Ledger, start: bytes, end: bytes, updates: Updates
) -> Iterator[tuple[bytes, bytes]]:
    changed = {key: version for key, version in updates.items() if start <= key < end}
    if not changed:
        for key, raw in ledger.scan(start, end):
            yield key, raw[:VERSION_BYTES]
        return
    merged: dict[bytes, bytes | None] = {
        key: raw[:VERSION_BYTES] for key, raw in ledger.scan(start, end)
    }
    merged.update(changed)
    for key in sorted(merged):
        version = merged[key]
        if version is not None:
            yield key, version
