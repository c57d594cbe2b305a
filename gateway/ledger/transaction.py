"""Stage 2: an endorsed transaction, to be signed by its creator and submitted for ordering.

Signed here or elsewhere, like the proposal: the bytes are ``gateway.PreparedTransaction``, the
digest is SHA-256 over the envelope's payload. Submitting the same envelope twice is safe: a
ledger commits a transaction id once and marks the copy DUPLICATE_TXID, so a submission whose
answer was lost is repeated, bounded, with the very same bytes.
"""

from __future__ import annotations

import hashlib
import time

import grpc
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2

from gateway.ledger.commit import Commit
from gateway.ledger.errors import (
    PASSING,
    SubmitError,
    TransactionMismatchError,
    TransportError,
)
from gateway.ledger.port import LedgerTransport, SigningIdentity
from nodes.errors import MessageError
from nodes.messages import chaincode_response

SUBMIT_ATTEMPTS = 4
FIRST_PAUSE_S = 0.1


class Transaction:
    """An endorsed transaction: its result is known, its effect is not yet on the ledger."""

    __slots__ = ("_channel", "_creator", "_prepared", "_result", "_transport")

    def __init__(
        self,
        transport: LedgerTransport,
        channel: str,
        prepared: gateway_pb2.PreparedTransaction,
        proposed_header: bytes | None = None,
    ) -> None:
        """:param proposed_header: ``common.Header`` bytes of the proposal, where known; an
        envelope with another header is refused with TransactionMismatchError.
        """
        self._transport = transport
        self._channel = channel
        self._prepared = prepared
        try:
            self._result = bytes(chaincode_response(prepared.envelope).payload)
        except MessageError as error:
            raise TransactionMismatchError(f"this is no endorsed transaction: {error}") from error
        header = common_pb2.Payload.FromString(prepared.envelope.payload).header
        if proposed_header is not None:
            _require_same_header(header, proposed_header)
        self._creator = header.signature_header

    @property
    def tx_id(self) -> str:
        return str(self._prepared.transaction_id)

    @property
    def result(self) -> bytes:
        """What the contract answered, as every endorser signed it."""
        return self._result

    @property
    def is_signed(self) -> bool:
        return bool(self._prepared.envelope.signature)

    def to_bytes(self) -> bytes:
        """The serialized ``gateway.PreparedTransaction``."""
        return bytes(self._prepared.SerializeToString())

    @property
    def digest(self) -> bytes:
        """32-byte SHA-256 of the envelope's payload: what an offline key signs."""
        return hashlib.sha256(self._prepared.envelope.payload).digest()

    def sign(self, signer: SigningIdentity) -> Transaction:
        envelope = self._prepared.envelope
        envelope.signature = signer.sign(envelope.payload)
        return self

    def set_signature(self, signature: bytes) -> Transaction:
        """Add a signature made elsewhere: DER ECDSA over `digest`, low-S."""
        self._prepared.envelope.signature = signature
        return self

    def submit(self) -> Commit:
        """Hand over for ordering.

        :returns: the handle on its outcome. :raises SubmitError: not taken; `in_doubt` is set
            where no answer came after every attempt, and then the transaction may still commit.
        """
        # Watched before it is sent, so that no block can pass between the two.
        watch = self._transport.commit_future(self.tx_id)
        try:
            self._submit_surely()
        except BaseException:
            if watch is not None:
                watch.cancel()
            raise
        creator = common_pb2.SignatureHeader.FromString(self._creator).creator
        return Commit(self._transport, self._channel, self.tx_id, creator, watch)

    def _submit_surely(self) -> None:
        request = gateway_pb2.SubmitRequest(
            transaction_id=self.tx_id,
            channel_id=self._channel,
            prepared_transaction=self._prepared.envelope,
        )
        pause_s = FIRST_PAUSE_S
        for attempt in range(1, SUBMIT_ATTEMPTS + 1):
            try:
                self._transport.submit(request)
                return
            except TransportError as error:
                if attempt > 1 and error.status is grpc.StatusCode.ALREADY_EXISTS:
                    return  # an earlier attempt, whose answer was lost, had arrived
                if error.status not in PASSING or attempt == SUBMIT_ATTEMPTS:
                    raise SubmitError(error, self.tx_id) from error
            time.sleep(pause_s)
            pause_s *= 2


def _require_same_header(header: common_pb2.Header, proposed: bytes) -> None:
    if header != common_pb2.Header.FromString(proposed):
        raise TransactionMismatchError(
            "the prepared transaction's header differs from the proposal's: the gateway answered "
            "with another transaction, which must not be signed"
        )
