"""Orphan payloads: stored, but their event never reached the chain.

A payload is stored before its event is proposed, because a payload without an event is harmless
and an event without a payload is not. The refused and abandoned ones are found through the
queue of payloads not yet seen on the chain, in the order they were stored; each is looked at
until it is settled, never again after.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nodes.payloads import erasure
from nodes.payloads.database import BODY, HEAD, META, QUEUE
from nodes.payloads.errors import PayloadInvalid
from nodes.payloads.facts import LedgerFacts
from nodes.payloads.vault import Vault

MIN_GRACE_MS = 3600 * 1000
BATCH = 500


@dataclass(frozen=True, slots=True)
class Orphan:
    """A payload with no event on the chain, older than the grace time."""

    commitment: str
    event_hash: str
    stored_ms: int


def find(vault: Vault, facts: LedgerFacts, grace_ms: int) -> list[Orphan]:
    """Orphans stored more than `grace_ms` ago; settles what did reach the chain.

    `grace_ms` is at least an hour: a transaction may still be under way before that.
    """
    if grace_ms < MIN_GRACE_MS:
        raise PayloadInvalid(f"the grace time is at least {MIN_GRACE_MS} ms, not {grace_ms}")
    found = list[Orphan]()
    for chunk in _chunks(vault, vault.clock_ms() - grace_ms):
        found += _settle(vault, facts, chunk)
    return found


def collect(vault: Vault, facts: LedgerFacts, grace_ms: int) -> list[Orphan]:
    """Delete the orphans, key and all; returns them. Each is noted in the read log."""
    orphans = find(vault, facts, grace_ms)
    keys = [bytes.fromhex(orphan.commitment) for orphan in orphans]
    with vault.writers.writing(keys), vault.lock:
        batch = vault.db.batch()
        lines = []
        late = facts.anchored([(o.event_hash, o.commitment) for o in orphans])
        orphans = [o for o, on_chain in zip(orphans, late, strict=True) if not on_chain]
        for orphan in orphans:
            key = bytes.fromhex(orphan.commitment)
            batch.delete(HEAD, key)
            batch.delete(BODY, key)
            batch.delete(QUEUE, orphan.stored_ms.to_bytes(8, "big") + key)
            batch.put(META, erasure.NOTE + key, b"")
            lines.append(vault.entry("collect", "ORPHAN", orphan.commitment, orphan.event_hash))
        if orphans:
            vault.commit(batch, lines, sync=True)
            erasure.finish(vault)
    return orphans


def _chunks(vault: Vault, until_ms: int) -> Iterator[list[bytes]]:
    chunk = list[bytes]()
    for queued, _ in vault.db.rows(QUEUE):
        if int.from_bytes(queued[:8], "big") > until_ms:
            break
        chunk.append(queued)
        if len(chunk) == BATCH:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _settle(vault: Vault, facts: LedgerFacts, chunk: list[bytes]) -> list[Orphan]:
    with vault.lock:
        candidates, batch, settled = list[Orphan](), vault.db.batch(), False
        for queued in chunk:
            commitment = queued[8:].hex()
            if vault.db.get(HEAD, queued[8:]) is None:
                continue
            meta = vault.head(commitment).meta
            if meta is None:  # erased: its receipt stays
                batch.delete(QUEUE, queued)
                settled = True
                continue
            candidates.append(Orphan(commitment, meta.event_hash, meta.stored_ms))
        known = facts.anchored([(o.event_hash, o.commitment) for o in candidates])
        for orphan, on_chain in zip(candidates, known, strict=True):
            if on_chain:
                key = bytes.fromhex(orphan.commitment)
                batch.delete(QUEUE, orphan.stored_ms.to_bytes(8, "big") + key)
                settled = True
        if settled:
            vault.db.write(batch, sync=False)
    return [orphan for orphan, on_chain in zip(candidates, known, strict=True) if not on_chain]
