"""The port to off-chain payloads, each at the node of the organisation that anchored it.

Use cases name the holder (the event record's `msp`), the commitment and the reader; the node
decides. :class:`LocalPayloads` reaches the nodes of an embedded network in this process,
:class:`RemotePayloads` reaches them over gRPC with requests signed by the caller. The reader's
party, roles and country must come from the ledger (`Caller` does so), never from a request.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from gateway.errors import Problem, translates
from nodes.payloads import (
    ErasureReceipt,
    LegalBasisMissing,
    NewPayload,
    PayloadConflict,
    PayloadCorrupted,
    PayloadErased,
    PayloadError,
    PayloadInvalid,
    PayloadRefused,
    PayloadStore,
    PayloadUnknown,
    Reader,
    StoredPayload,
    StoreUnavailable,
)
from nodes.payloads.readlog import ReadEntry

if TYPE_CHECKING:
    from nodes.embedded import EmbeddedNetwork
    from nodes.identity.signer import Signer

__all__ = [
    "LocalPayloads",
    "NewPayload",
    "PayloadError",
    "PayloadPort",
    "Reader",
    "RecordAccess",
    "StoredPayload",
    "read_recorded",
]

RecordAccess = Callable[[str, str], object]
"""Records (event hash, legal basis) on the chain as the reader, and waits until it is there."""


class PayloadPort(Protocol):
    """Payloads of every organisation within reach; thread-safe.

    `msp_id` names the organisation whose node keeps the payload. `signer` is the caller's
    identity: requests to another machine are signed by it, those in process need none.
    Raises :class:`nodes.payloads.PayloadError` and its kinds.
    """

    def put_many(
        self, msp_id: str, payloads: Sequence[NewPayload], *, signer: Signer | None = None
    ) -> list[str]:
        """Store payloads durably, all or none; returns their commitments (64 hex) in order."""

    def get(
        self, msp_id: str, commitment: str, reader: Reader, *, signer: Signer | None = None
    ) -> StoredPayload:
        """The payload, checked against its commitment, if `reader` may have it."""

    def get_many(
        self,
        msp_id: str,
        commitments: Sequence[str],
        reader: Reader,
        *,
        signer: Signer | None = None,
    ) -> list[StoredPayload | PayloadError]:
        """What :meth:`get` returns or raises for each; raises only if the node is not there."""

    def erase(
        self,
        msp_id: str,
        commitment: str,
        requester: Reader,
        reason: str,
        *,
        signer: Signer | None = None,
    ) -> ErasureReceipt:
        """Destroy the payload and its key; `reason`: an `ErasureReason`; the signed receipt."""

    def receipt(
        self, msp_id: str, commitment: str, *, signer: Signer | None = None
    ) -> ErasureReceipt | None:
        """The receipt of an erased payload, None while it is present."""

    def reads(
        self,
        msp_id: str,
        commitment: str | None,
        reader: Reader,
        *,
        start: int = 0,
        limit: int = 1000,
        signer: Signer | None = None,
    ) -> list[ReadEntry]:
        """Up to `limit` entries of the read log, oldest first, that `reader` may see.

        An organisation sees its own node's log; an auditor or regulator everybody's; others
        only the entries of payloads their party owns.
        """


class LocalPayloads:
    """The port over stores in this process."""

    def __init__(self, store_of: Callable[[str], PayloadStore]) -> None:
        """`store_of` gives the store of an MSP id; raises KeyError for one it does not have."""
        self._store_of = store_of

    @classmethod
    def of(cls, network: EmbeddedNetwork) -> LocalPayloads:
        """The port over every node of an embedded network."""
        return cls(lambda msp_id: network.node(msp_id).payloads)

    def put_many(
        self, msp_id: str, payloads: Sequence[NewPayload], *, signer: Signer | None = None
    ) -> list[str]:
        return self._store(msp_id).put_many(payloads)

    def get(
        self, msp_id: str, commitment: str, reader: Reader, *, signer: Signer | None = None
    ) -> StoredPayload:
        return self._store(msp_id).get(commitment, reader)

    def get_many(
        self,
        msp_id: str,
        commitments: Sequence[str],
        reader: Reader,
        *,
        signer: Signer | None = None,
    ) -> list[StoredPayload | PayloadError]:
        return self._store(msp_id).get_many(commitments, reader)

    def erase(
        self,
        msp_id: str,
        commitment: str,
        requester: Reader,
        reason: str,
        *,
        signer: Signer | None = None,
    ) -> ErasureReceipt:
        return self._store(msp_id).erase(commitment, requester, reason)

    def receipt(
        self, msp_id: str, commitment: str, *, signer: Signer | None = None
    ) -> ErasureReceipt | None:
        return self._store(msp_id).receipt(commitment)

    def reads(
        self,
        msp_id: str,
        commitment: str | None,
        reader: Reader,
        *,
        start: int = 0,
        limit: int = 1000,
        signer: Signer | None = None,
    ) -> list[ReadEntry]:
        entries = self._store(msp_id).reads_for(reader, start, commitment)
        return list(itertools.islice(entries, limit))

    def _store(self, msp_id: str) -> PayloadStore:
        try:
            return self._store_of(msp_id)
        except KeyError:
            raise PayloadUnknown(
                f"no node of {msp_id} is within reach of this gateway, so its payloads are not"
            ) from None


def read_recorded(
    port: PayloadPort,
    msp_id: str,
    commitment: str,
    reader: Reader,
    record: RecordAccess,
    *,
    signer: Signer | None = None,
) -> StoredPayload:
    """:meth:`PayloadPort.get`, leaving an authority's legal basis on the chain where it must be.

    `record` is called only when the rules ask for it, before anything is handed out; the node
    then finds the record on its own ledger, so a gateway cannot skip it.
    """
    try:
        return port.get(msp_id, commitment, reader, signer=signer)
    except LegalBasisMissing as missing:
        if not missing.decision.needs_record or not missing.event_hash:
            raise
        record(missing.event_hash, reader.legal_basis)
        return port.get(msp_id, commitment, reader, signer=signer)


def _denied(error: PayloadRefused) -> Problem:
    return Problem("PAYLOAD_DENIED", error.message, extra={"rule": error.decision.rule})


def _erased(error: PayloadErased) -> Problem:
    return Problem("PAYLOAD_ERASED", error.message, extra={"receipt": error.receipt.to_json()})


translates(PayloadError, lambda e: Problem("PAYLOAD_MISSING", e.message, status=502))
translates(PayloadUnknown, lambda e: Problem("PAYLOAD_MISSING", e.message))
translates(PayloadRefused, _denied)
translates(PayloadErased, _erased)
translates(PayloadCorrupted, lambda e: Problem("PAYLOAD_MISMATCH", e.message))
translates(PayloadConflict, lambda e: Problem("CONFLICT", e.message))
translates(PayloadInvalid, lambda e: Problem("VALIDATION", e.message))
translates(StoreUnavailable, lambda e: Problem("LEDGER_UNAVAILABLE", e.message))
