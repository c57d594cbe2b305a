"""The port to off-chain payloads, each at the node of the organisation that anchored it.

Use cases name the holder (the event record's `msp`), the commitment and the reader; the node
decides. :class:`LocalPayloads` reaches the nodes of an embedded network in this process,
:class:`RemotePayloads` reaches them over gRPC with requests signed by the caller. The reader's
party, roles and country must come from the ledger (`Caller` does so), never from a request.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from gateway.errors import Problem, translates
from gateway.ledger.port import SigningIdentity
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
    PayloadState,
    PayloadStore,
    PayloadUnknown,
    Reader,
    StoredPayload,
    StoreUnavailable,
)
from nodes.payloads.access import Decision
from nodes.payloads.errors import RemoteError
from nodes.payloads.readlog import ReadEntry
from nodes.payloads.remote_client import RemotePayloadStore

if TYPE_CHECKING:
    from nodes.embedded import EmbeddedNetwork

__all__ = [
    "LocalPayloads",
    "NewPayload",
    "PayloadError",
    "PayloadPort",
    "Reader",
    "RecordAccess",
    "RemotePayloads",
    "StoredPayload",
    "read_recorded",
]

MOST_ASKED_AT_ONCE = 16

RecordAccess = Callable[[str, str], object]
"""Records (event hash, legal basis) on the chain as the reader, and waits until it is there."""


class PayloadPort(Protocol):
    """Payloads of every organisation within reach; thread-safe.

    `msp_id` names the organisation whose node keeps the payload. `signer` is the caller's
    identity: requests to another machine are signed by it, those in process need none.
    Raises :class:`nodes.payloads.PayloadError` and its kinds.
    """

    def put_many(
        self, msp_id: str, payloads: Sequence[NewPayload], *, signer: SigningIdentity | None = None
    ) -> list[str]:
        """Store payloads durably, all or none; returns their commitments (64 hex) in order."""

    def get(
        self, msp_id: str, commitment: str, reader: Reader, *, signer: SigningIdentity | None = None
    ) -> StoredPayload:
        """The payload, checked against its commitment, if `reader` may have it."""

    def get_many(
        self,
        msp_id: str,
        commitments: Sequence[str],
        reader: Reader,
        *,
        signer: SigningIdentity | None = None,
    ) -> list[StoredPayload | PayloadError]:
        """What :meth:`get` returns or raises for each; raises only if the node is not there."""

    def states(
        self,
        wanted: Mapping[str, Sequence[str]],
        *,
        signer: SigningIdentity | None = None,
    ) -> list[list[PayloadState] | PayloadError]:
        """Which commitments each MSP's node says it has; per node, in order, or why it is silent.

        For who may know that a payload exists: nothing of it is read, and nothing logged.
        """

    def erase(
        self,
        msp_id: str,
        commitment: str,
        requester: Reader,
        reason: str,
        *,
        signer: SigningIdentity | None = None,
    ) -> ErasureReceipt:
        """Destroy the payload and its key; `reason`: an `ErasureReason`; the signed receipt."""

    def receipt(
        self, msp_id: str, commitment: str, *, signer: SigningIdentity | None = None
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
        signer: SigningIdentity | None = None,
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
        self, msp_id: str, payloads: Sequence[NewPayload], *, signer: SigningIdentity | None = None
    ) -> list[str]:
        return self._store(msp_id).put_many(payloads)

    def get(
        self, msp_id: str, commitment: str, reader: Reader, *, signer: SigningIdentity | None = None
    ) -> StoredPayload:
        return self._store(msp_id).get(commitment, reader)

    def get_many(
        self,
        msp_id: str,
        commitments: Sequence[str],
        reader: Reader,
        *,
        signer: SigningIdentity | None = None,
    ) -> list[StoredPayload | PayloadError]:
        return self._store(msp_id).get_many(commitments, reader)

    def states(
        self,
        wanted: Mapping[str, Sequence[str]],
        *,
        signer: SigningIdentity | None = None,
    ) -> list[list[PayloadState] | PayloadError]:
        def ask(entry: tuple[str, Sequence[str]]) -> list[PayloadState] | PayloadError:
            return _outcome(lambda: self._store(entry[0]).states(entry[1]))

        return [ask(entry) for entry in wanted.items()]

    def erase(
        self,
        msp_id: str,
        commitment: str,
        requester: Reader,
        reason: str,
        *,
        signer: SigningIdentity | None = None,
    ) -> ErasureReceipt:
        return self._store(msp_id).erase(commitment, requester, reason)

    def receipt(
        self, msp_id: str, commitment: str, *, signer: SigningIdentity | None = None
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
        signer: SigningIdentity | None = None,
    ) -> list[ReadEntry]:
        entries = self._store(msp_id).reads_for(reader, start, commitment)
        return list(itertools.islice(entries, limit))

    def _store(self, msp_id: str) -> PayloadStore:
        try:
            return self._store_of(msp_id)
        except KeyError:
            raise _out_of_reach(msp_id) from None


class RemotePayloads:
    """The port over nodes on other machines; each decides by its own ledger who asks."""

    def __init__(
        self, stores: Mapping[str, RemotePayloadStore], own: SigningIdentity | None = None
    ) -> None:
        """`stores` by MSP id; `own`: the gateway's identity, for calls that disclose nothing.

        What a node discloses it decides by who signed, so for that the caller's key it must be.
        """
        self._stores = stores
        self._own = own

    def put_many(
        self, msp_id: str, payloads: Sequence[NewPayload], *, signer: SigningIdentity | None = None
    ) -> list[str]:
        return self._store(msp_id).put_many(payloads, self._signer(signer))

    def get(
        self, msp_id: str, commitment: str, reader: Reader, *, signer: SigningIdentity | None = None
    ) -> StoredPayload:
        outcome = self.get_many(msp_id, [commitment], reader, signer=signer)[0]
        if isinstance(outcome, PayloadError):
            raise outcome
        return outcome

    def get_many(
        self,
        msp_id: str,
        commitments: Sequence[str],
        reader: Reader,
        *,
        signer: SigningIdentity | None = None,
    ) -> list[StoredPayload | PayloadError]:
        store = self._store(msp_id)
        return store.get_many(commitments, _reader_s(signer), reader.legal_basis)

    def states(
        self,
        wanted: Mapping[str, Sequence[str]],
        *,
        signer: SigningIdentity | None = None,
    ) -> list[list[PayloadState] | PayloadError]:
        """All nodes are asked at the same time: the slowest one decides how long it takes."""

        def ask(entry: tuple[str, Sequence[str]]) -> list[PayloadState] | PayloadError:
            return _outcome(lambda: self._store(entry[0]).states(entry[1], self._signer(signer)))

        with ThreadPoolExecutor(max(1, min(len(wanted), MOST_ASKED_AT_ONCE))) as threads:
            return list(threads.map(ask, wanted.items()))

    def erase(
        self,
        msp_id: str,
        commitment: str,
        requester: Reader,
        reason: str,
        *,
        signer: SigningIdentity | None = None,
    ) -> ErasureReceipt:
        return self._store(msp_id).erase(commitment, reason, _reader_s(signer))

    def receipt(
        self, msp_id: str, commitment: str, *, signer: SigningIdentity | None = None
    ) -> ErasureReceipt | None:
        return self._store(msp_id).receipt(commitment, self._signer(signer))

    def reads(
        self,
        msp_id: str,
        commitment: str | None,
        reader: Reader,
        *,
        start: int = 0,
        limit: int = 1000,
        signer: SigningIdentity | None = None,
    ) -> list[ReadEntry]:
        return self._store(msp_id).reads(commitment, start, limit, _reader_s(signer))

    def _store(self, msp_id: str) -> RemotePayloadStore:
        store = self._stores.get(msp_id)
        if store is None:
            raise _out_of_reach(msp_id)
        return store

    def _signer(self, signer: SigningIdentity | None) -> SigningIdentity:
        found = signer or self._own
        if found is None:
            raise RemoteError("a request to another machine needs the caller's signature")
        return found


def _reader_s(signer: SigningIdentity | None) -> SigningIdentity:
    """The caller's own key; the gateway's would read, erase and be logged as somebody else."""
    if signer is None:
        raise PayloadRefused("", _UNSIGNED)
    return signer


_UNSIGNED = Decision(
    False,
    "UNSIGNED",
    "a node on another machine answers only who signs, and the key is not held by this gateway",
)


def read_recorded(
    port: PayloadPort,
    msp_id: str,
    commitment: str,
    reader: Reader,
    record: RecordAccess,
    *,
    signer: SigningIdentity | None = None,
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


def _outcome(
    ask: Callable[[], list[PayloadState]],
) -> list[PayloadState] | PayloadError:
    try:
        return ask()
    except PayloadError as error:
        return error


def _out_of_reach(msp_id: str) -> PayloadUnknown:
    return PayloadUnknown(f"no node of {msp_id} is within reach of this gateway")


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
