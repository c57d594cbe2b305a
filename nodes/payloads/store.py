"""The payload store of one organisation's node.

Write path: commitment, a fresh key, encryption, one synced batch for any number of payloads.
Reading, erasure, rotation and orphans are modules of their own beside this one.

Thread-safe. One process at a time (RocksDB's lock). What a crash leaves is in
`docs/design/crash.md`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from nodes.payloads import envelope, erasure, orphans, reading, rotation
from nodes.payloads.access import Decision
from nodes.payloads.database import BODY, HEAD, QUEUE
from nodes.payloads.errors import (
    PayloadConflict,
    PayloadCorrupted,
    PayloadErased,
    PayloadError,
    PayloadInvalid,
)
from nodes.payloads.facts import LedgerFacts, NoFacts
from nodes.payloads.model import (
    MAX_PAYLOAD_BYTES,
    NewPayload,
    PayloadMeta,
    PayloadState,
    Reader,
    StoredPayload,
    commitment_key,
    commitment_of,
    event_digest,
    residency_of,
)
from nodes.payloads.orphans import Orphan
from nodes.payloads.readlog import LogFault, LogHead, ReadEntry
from nodes.payloads.receipt import ErasureReason, ErasureReceipt, NodeSigner
from nodes.payloads.vault import Vault

_log = logging.getLogger(__name__)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class PayloadStore:
    """Payloads kept for one organisation under `directory` (``db/`` and ``node.key``)."""

    def __init__(
        self,
        directory: Path,
        signer: NodeSigner,
        facts: LedgerFacts | None = None,
        clock_ms: Callable[[], int] = _now_ms,
        *,
        read_only: bool = False,
    ) -> None:
        """Open (or create) the store and finish whatever a crash interrupted.

        `read_only`: for checks of a store nobody writes; changes nothing and cannot be read
        through :meth:`get`, which would have to be logged.

        `signer`: the node's identity, for receipts and the read log; `facts`: the ledger, may be
        set later as :attr:`facts`; `clock_ms`: ms UTC. Raises StoreBusy, StoreUnavailable or
        KeyFileError.
        """
        self.directory = directory
        self.facts: LedgerFacts = facts or NoFacts()
        self._vault = Vault.open(directory, signer, clock_ms, read_only=read_only)
        if read_only:
            return
        try:
            erasure.finish(self._vault)
            if len(self._vault.keyring.ids) > 1:
                self._resume_rotation()
        except BaseException:
            self._vault.close()
            raise

    @property
    def msp_id(self) -> str:
        """The organisation whose node keeps this store."""
        return self._vault.signer.msp_id

    @property
    def certificate(self) -> bytes:
        """PEM certificate of the node that signs receipts and the read log."""
        return self._vault.signer.certificate

    def _resume_rotation(self) -> None:
        try:
            rotation.finish(self._vault)
        except PayloadCorrupted as exc:  # still serves everything else, with both keys
            _log.error("rotation unfinished", extra={"commitment": exc.commitment})

    # -- writing -------------------------------------------------------------------------------

    def put(self, new: NewPayload) -> str:
        """Store one payload durably; returns its commitment (64 hex). See :meth:`put_many`."""
        return self.put_many([new])[0]

    def put_many(self, payloads: Sequence[NewPayload]) -> list[str]:
        """Store payloads in one synced batch: all of them or, on an error, none.

        Returns the commitments in order. Storing the same bytes under the same salt and terms
        again changes nothing. Raises PayloadInvalid, PayloadConflict (same commitment, other
        terms), PayloadErased (an erased payload does not come back), StoreUnavailable.
        """
        vault = self._vault
        now = vault.clock_ms()
        queued = now.to_bytes(8, "big")
        metas = [_meta_of(new, now) for new in payloads]
        keys = [bytes.fromhex(meta.commitment) for meta in metas]
        with vault.writers.writing(keys):
            batch = vault.db.batch()
            found = vault.db.get_many(HEAD, keys)
            for new, key, meta, stored in zip(payloads, keys, metas, found, strict=True):
                if stored is not None:
                    _must_agree(key, stored, meta)
                    continue
                head, body = envelope.seal(new, key, meta, vault.keyring)
                batch.put(HEAD, key, head)
                batch.put(BODY, key, body)
                batch.put(QUEUE, queued + key, b"")
            vault.db.write(batch, sync=True)
        return [meta.commitment for meta in metas]

    # -- reading -------------------------------------------------------------------------------

    def get(self, commitment: str, reader: Reader) -> StoredPayload:
        """The payload, if `reader` may have it.

        Raises PayloadUnknown, PayloadErased (with the receipt), PayloadRefused (with the
        decision; LegalBasisMissing when recording the reader's legal basis on the chain would
        allow it), PayloadCorrupted, StoreUnavailable. Every attempt at a payload this node has
        or had is in the read log before anything is handed out.
        """
        outcome = self.get_many([commitment], reader)[0]
        if isinstance(outcome, PayloadError):
            raise outcome
        return outcome

    def get_many(
        self, commitments: Sequence[str], reader: Reader
    ) -> list[StoredPayload | PayloadError]:
        """What :meth:`get` returns or raises, per commitment, with one append to the read log."""
        return reading.read_many(self._vault, self.facts, commitments, reader)

    def decide(self, meta: PayloadMeta, reader: Reader) -> Decision:
        """The access decision from the ledger's facts; reads and logs nothing."""
        return reading.decide(self._vault, self.facts, meta, reader)

    def reads(self, start: int = 0, commitment: str | None = None) -> Iterator[ReadEntry]:
        """The read log from entry `start` on, or only the entries of one commitment."""
        for entry in self._vault.log.entries(start):
            if commitment is None or entry.commitment == commitment:
                yield entry

    def reads_for(
        self, reader: Reader, start: int = 0, commitment: str | None = None
    ) -> Iterator[ReadEntry]:
        """:meth:`reads` as far as `reader` may see them.

        The organisation's own people and auditors and regulators see all; another party sees
        who read the payloads it owns.
        """
        watch = reader.active and bool(reader.roles & {"auditor", "regulator"})
        everything = watch or reader.msp_id == self.msp_id
        for entry in self.reads(start, commitment):
            if everything or (reader.party and self._owner(entry.commitment) == reader.party):
                yield entry

    def _owner(self, commitment: str) -> str:
        try:
            head = self._vault.head(commitment)
        except PayloadError:
            return ""
        if head.receipt is not None:
            return head.receipt.owner_party
        return head.meta.owner_party if head.meta else ""

    # -- upkeep: for the node itself, nothing leaves it --------------------------------------------

    def erase(
        self, commitment: str, requester: Reader, reason: str = ErasureReason.DATA_SUBJECT_REQUEST
    ) -> ErasureReceipt:
        """Destroy a payload and its key; returns the signed receipt.

        `reason`: one of :class:`ErasureReason`. Raises PayloadUnknown, PayloadRefused,
        PayloadInvalid. See :mod:`nodes.payloads.erasure`.
        """
        if reason not in list(ErasureReason):
            known = ", ".join(ErasureReason)
            raise PayloadInvalid(f"reason {reason!r} is unknown; use one of {known}")
        return erasure.erase(self._vault, commitment, requester, ErasureReason(reason))

    def rotate_key(self) -> int:
        """Replace the node's key; returns the number of payloads rewrapped."""
        return rotation.rotate(self._vault)

    def orphans(self, grace_ms: int) -> list[Orphan]:
        """Payloads older than `grace_ms` whose event is not on the chain."""
        return orphans.find(self._vault, self.facts, grace_ms)

    def collect_orphans(self, grace_ms: int) -> list[Orphan]:
        """Delete them; returns what was deleted."""
        return orphans.collect(self._vault, self.facts, grace_ms)

    def describe(self, commitment: str) -> PayloadMeta:
        """The terms of a payload; raises PayloadUnknown, PayloadErased or PayloadCorrupted."""
        head = self._vault.head(commitment)
        if head.receipt is not None:
            raise PayloadErased(commitment, head.receipt)
        assert head.meta is not None
        return head.meta

    def states(self, commitments: Sequence[str]) -> list[PayloadState]:
        """Whether each payload is here, in order: one read of the heads, nothing is opened.

        Not logged, as nothing of a payload is told. Raises PayloadInvalid, StoreUnavailable.
        """
        keys = [commitment_key(commitment) for commitment in commitments]
        return [envelope.state_of(stored) for stored in self._vault.db.get_many(HEAD, keys)]

    def verify(self, commitment: str) -> StoredPayload:
        """Open and check one payload, unlogged, for this node's own checks.

        Raises PayloadUnknown, PayloadErased or PayloadCorrupted.
        """
        found = self.examine(commitment)
        if isinstance(found, ErasureReceipt):
            raise PayloadErased(commitment, found)
        return found

    def examine(self, commitment: str) -> StoredPayload | ErasureReceipt:
        """:meth:`verify`, or the receipt of an erased payload."""
        key, vault = commitment_key(commitment), self._vault
        head = vault.head(commitment)
        if head.receipt is not None:
            return head.receipt
        payload_key = envelope.payload_key_of(key, head, vault.keyring)
        return envelope.open_body(key, head, vault.db.get(BODY, key), payload_key)

    def receipt(self, commitment: str) -> ErasureReceipt | None:
        """The receipt of an erased payload, None while it is present; raises PayloadUnknown."""
        return self._vault.head(commitment).receipt

    def commitments(self) -> Iterator[str]:
        """Every commitment held or erased here, in order."""
        return (key.hex() for key, _ in self._vault.db.rows(HEAD))

    def log_head(self) -> LogHead | None:
        """The signed head of the read log, None while it is empty."""
        return self._vault.log.head

    def log_faults(self) -> list[LogFault]:
        """Where the read log's chain is broken."""
        return list(self._vault.log.faults())

    def copy_to(self, directory: Path) -> None:
        """A consistent copy of the database (not of the key) in `directory`, while in use."""
        self._vault.db.copy_to(directory)

    def close(self) -> None:
        self._vault.close()

    def __enter__(self) -> PayloadStore:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _meta_of(new: NewPayload, now_ms: int) -> PayloadMeta:
    if len(new.payload) > MAX_PAYLOAD_BYTES:
        raise PayloadInvalid(
            f"a payload has at most {MAX_PAYLOAD_BYTES} bytes, not {len(new.payload)}"
        )
    event_digest(new.event_hash)
    return PayloadMeta(
        commitment=commitment_of(new.payload, new.salt),
        event_hash=new.event_hash,
        owner_party=new.owner_party,
        residency=residency_of(new.residency),
        country=new.country,
        media_type=new.media_type,
        size=len(new.payload),
        stored_ms=now_ms,
    )


def _must_agree(key: bytes, stored: bytes, meta: PayloadMeta) -> None:
    head = envelope.open_head(key, stored)
    if head.receipt is not None:
        raise PayloadErased(meta.commitment, head.receipt)
    kept = head.meta
    assert kept is not None
    for field in ("event_hash", "owner_party", "residency", "country", "media_type"):
        if getattr(kept, field) != getattr(meta, field):
            raise PayloadConflict(
                f"payload {meta.commitment} is already stored with {field} "
                f"{str(getattr(kept, field))!r}",
                meta.commitment,
            )
