"""Stage 3: the outcome of a submitted transaction.

Where the transport follows blocks with an identity of its own, one stream tells the outcome of
every transaction. Otherwise each outcome is asked for with a request signed by the transaction's
creator, here or elsewhere: bytes are ``gateway.SignedCommitStatusRequest``, the digest is SHA-256
over the request inside.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import TypeAlias

import grpc
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import transaction_pb2

from gateway.ledger.errors import (
    CommitError,
    CommitStatusError,
    TransportError,
    validation_code_name,
)
from gateway.ledger.port import LedgerTransport, SigningIdentity
from nodes.errors import GatewayError

Response: TypeAlias = gateway_pb2.CommitStatusResponse


@dataclass(frozen=True, slots=True)
class CommitStatus:
    """Where a transaction ended: block number and Fabric's TxValidationCode."""

    tx_id: str
    code: int
    block_number: int

    @property
    def successful(self) -> bool:
        return bool(self.code == transaction_pb2.VALID)

    @property
    def code_name(self) -> str:
        return validation_code_name(self.code)

    def require_valid(self) -> CommitStatus:
        """This status, or CommitError where the transaction did not take effect."""
        if not self.successful:
            raise CommitError(self.tx_id, self.code, self.block_number)
        return self


class Commit:
    """A submitted transaction whose outcome can be awaited."""

    __slots__ = ("_channel", "_creator", "_signed", "_transport", "_tx_id", "_watch")

    def __init__(
        self,
        transport: LedgerTransport,
        channel: str,
        tx_id: str,
        creator: bytes,
        watch: Future[Response] | None = None,
        signed: gateway_pb2.SignedCommitStatusRequest | None = None,
    ) -> None:
        self._transport = transport
        self._channel = channel
        self._tx_id = tx_id
        self._creator = creator
        self._watch = watch
        self._signed = signed

    @property
    def tx_id(self) -> str:
        return self._tx_id

    @property
    def needs_signature(self) -> bool:
        """False where the transport already watches the blocks for this transaction."""
        return self._watch is None and not self._request().signature

    def to_bytes(self) -> bytes:
        """The serialized ``gateway.SignedCommitStatusRequest``."""
        return bytes(self._request().SerializeToString())

    @property
    def digest(self) -> bytes:
        """32-byte SHA-256 of the status request: what an offline key signs."""
        return hashlib.sha256(self._request().request).digest()

    def sign(self, signer: SigningIdentity) -> Commit:
        request = self._request()
        request.signature = signer.sign(request.request)
        return self

    def set_signature(self, signature: bytes) -> Commit:
        """Add a signature made elsewhere: DER ECDSA over `digest`, low-S."""
        self._request().signature = signature
        return self

    def future(self) -> Future[CommitStatus]:
        """Resolves with the status, valid or not; fails with CommitStatusError."""
        told: Future[CommitStatus] = Future()
        told.set_running_or_notify_cancel()
        tx_id = self._tx_id
        watch = self._watch
        if watch is None:
            try:
                watch = self._watch = self._transport.commit_status(self._request())
            except TransportError as error:
                told.set_exception(CommitStatusError(error, tx_id))
                return told
        watch.add_done_callback(lambda done: _pass_on(done, told, tx_id))
        return told

    def status(self, timeout_s: float | None = None) -> CommitStatus:
        """Wait for the outcome. :raises CommitStatusError: not learned within `timeout_s`."""
        return wait(self.future(), self._tx_id, timeout_s)

    def _request(self) -> gateway_pb2.SignedCommitStatusRequest:
        """Made when first needed: a followed transaction never needs it."""
        if self._signed is None:
            request = gateway_pb2.CommitStatusRequest(
                transaction_id=self._tx_id, channel_id=self._channel, identity=self._creator
            )
            self._signed = gateway_pb2.SignedCommitStatusRequest(
                request=request.SerializeToString()
            )
        return self._signed


def wait(told: Future[CommitStatus], tx_id: str, timeout_s: float | None) -> CommitStatus:
    """The future's status within `timeout_s`, else CommitStatusError (DEADLINE_EXCEEDED)."""
    try:
        return told.result(None if timeout_s is None else max(timeout_s, 0))
    except FutureTimeout as error:
        cause = TransportError(
            grpc.StatusCode.DEADLINE_EXCEEDED,
            f"transaction {tx_id} was submitted but is in no block after {timeout_s or 0:.3g} s; "
            "ask again for its status, do not send a new one",
        )
        raise CommitStatusError(cause, tx_id) from error


def _pass_on(done: Future[Response], told: Future[CommitStatus], tx_id: str) -> None:
    if done.cancelled():
        cause = TransportError(grpc.StatusCode.CANCELLED, "the ledger connection was closed")
        told.set_exception(CommitStatusError(cause, tx_id))
        return
    error = done.exception()
    if error is None:
        response = done.result()
        told.set_result(CommitStatus(tx_id, int(response.result), int(response.block_number)))
    elif isinstance(error, TransportError):
        told.set_exception(CommitStatusError(error, tx_id))
    elif isinstance(error, GatewayError):  # the embedded service fails its futures itself
        told.set_exception(CommitStatusError(TransportError(error.status, error.message), tx_id))
    else:
        told.set_exception(error)
