"""The read path of a payload store.

For every payload asked: 1. its head, with the terms authenticated (they are bound to its key);
2. the decision by :mod:`nodes.payloads.access` over facts from the ledger; 3. the attempt goes
into the read log; 4. only then the body is opened, authenticated and compared with its
commitment. What does not match is refused, logged and reported, and never handed out.

A payload may be erased, or its key wrapped anew, while it is being read: then its head is
another than the one that was read, and the payload is looked at once more.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from nodes.payloads import access, envelope
from nodes.payloads.access import Decision
from nodes.payloads.database import BODY, HEAD
from nodes.payloads.envelope import Head
from nodes.payloads.errors import (
    LegalBasisMissing,
    PayloadCorrupted,
    PayloadErased,
    PayloadError,
    PayloadRefused,
    PayloadUnknown,
)
from nodes.payloads.facts import LedgerFacts
from nodes.payloads.model import PayloadMeta, Reader, Residency, StoredPayload, commitment_key
from nodes.payloads.readlog import ReadEntry
from nodes.payloads.vault import Vault

_log = logging.getLogger(__name__)


def read_many(
    vault: Vault, facts: LedgerFacts, commitments: Sequence[str], reader: Reader
) -> list[StoredPayload | PayloadError]:
    """Per commitment the payload or the error that stands for it, with one append to the log."""
    keys = [commitment_key(commitment) for commitment in commitments]
    heads = vault.db.get_many(HEAD, keys)
    reads = _Reads(vault, facts, reader)
    attempts = [reads.judge(key, head) for key, head in zip(keys, heads, strict=True)]
    vault.append(
        [attempt.entry for attempt in attempts if attempt.entry is not None],
        sync=any(attempt.sync for attempt in attempts),
    )
    allowed = [attempt.key for attempt in attempts if attempt.error is None]
    bodies = iter(vault.db.get_many(BODY, allowed))
    return [
        reads.open(attempt, next(bodies)) if attempt.error is None else attempt.error
        for attempt in attempts
    ]


def decide(vault: Vault, facts: LedgerFacts, meta: PayloadMeta, reader: Reader) -> Decision:
    """The access decision from the ledger's facts."""
    party, now_ms = reader.party, vault.clock_ms()
    if party is None or party == meta.owner_party:
        return access.decide(reader, meta, (), now_ms=now_ms)
    return access.decide(
        reader,
        meta,
        facts.relations(party, meta),
        facts.grants(party, meta),
        facts.legal_bases(party, meta) if reader.legal_basis else (),
        now_ms=now_ms,
    )


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One payload asked for: its entry for the log, and an error or what is needed to open it."""

    key: bytes
    stored: bytes = b""
    head: Head | None = None
    payload_key: bytes = b""
    entry: ReadEntry | None = None
    error: PayloadError | None = None
    sync: bool = False


class _Reads:
    """The attempts of one reader."""

    def __init__(self, vault: Vault, facts: LedgerFacts, reader: Reader) -> None:
        self._vault = vault
        self._facts = facts
        self._reader = reader

    def judge(self, key: bytes, stored: bytes | None) -> _Attempt:
        """Steps 1 and 2."""
        commitment, vault = key.hex(), self._vault
        if stored is None:
            return _Attempt(key, error=PayloadUnknown.of(commitment))
        try:
            head = envelope.open_head(key, stored)
            if head.receipt is not None:
                entry = self._entry("refuse", "PAYLOAD_ERASED", key, head.receipt.event_hash)
                error = PayloadErased(commitment, head.receipt)
                return _Attempt(key, entry=entry, error=error)
            payload_key = envelope.payload_key_of(key, head, vault.keyring)
        except PayloadCorrupted as exc:
            present = vault.db.get(HEAD, key)
            if present != stored:
                return self.judge(key, present)
            return _Attempt(key, entry=self._mismatch(key, exc), error=exc, sync=True)
        assert head.meta is not None
        decision = decide(vault, self._facts, head.meta, self._reader)
        return _Attempt(
            key,
            stored,
            head,
            payload_key,
            self._entry(
                "read" if decision.allowed else "refuse",
                decision.rule,
                key,
                head.meta.event_hash,
                decision.tx_id,
            ),
            None if decision.allowed else _refusal(decision, head.meta),
            sync=head.meta.residency is not Residency.OPEN,
        )

    def open(self, attempt: _Attempt, body: bytes | None) -> StoredPayload | PayloadError:
        """Step 4."""
        key, head = attempt.key, attempt.head
        assert head is not None
        try:
            return envelope.open_body(key, head, body, attempt.payload_key)
        except PayloadCorrupted as exc:
            present = self._vault.db.get(HEAD, key)
            if present is not None and present != attempt.stored:
                again = self.judge(key, present)
                if again.error is not None:
                    return again.error
            event_hash = head.meta.event_hash if head.meta else ""
            self._vault.append([self._mismatch(key, exc, event_hash)], sync=True)
            return exc

    def _mismatch(self, key: bytes, exc: PayloadCorrupted, event_hash: str = "") -> ReadEntry:
        _log.error("payload mismatch", extra={"commitment": key.hex(), "code": exc.code})
        return self._entry("mismatch", exc.code, key, event_hash)

    def _entry(
        self, action: str, rule: str, key: bytes, event_hash: str, tx_id: str = ""
    ) -> ReadEntry:
        return self._vault.entry(action, rule, key.hex(), event_hash, self._reader, tx_id)


def _refusal(decision: Decision, meta: PayloadMeta) -> PayloadRefused:
    kind = LegalBasisMissing if decision.needs_record else PayloadRefused
    return kind(meta.commitment, decision, meta.event_hash)
