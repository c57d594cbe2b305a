"""Learns the outcome of every transaction from one filtered block stream.

Fabric's Gateway counts each waiting CommitStatus call against its limit of 500 concurrent
requests, so a gateway with a thousand transactions in flight follows blocks instead. The first
appearance of a transaction id decides: a later copy of the same envelope is DUPLICATE_TXID and
changes nothing; where only the copy is seen, the original's outcome is asked for.

A submitted transaction is in no block until the node has ordered it, and a node that crashes may
forget it. So envelopes are kept while they are watched, and after a break, when the stream has
caught up with the node, those still in no block are submitted again as they were.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeAlias

import grpc
from fabric_protos.common import ledger_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import events_pb2, transaction_pb2

from gateway.ledger.errors import StreamError, TransportError
from gateway.ledger.port import LedgerTransport, SigningIdentity
from gateway.ledger.proposal import new_proposed_transaction
from gateway.ledger.stream import BROKEN, LONGEST_PAUSE_S, BlockStream

CATCH_UP_POLL_S = 0.1

Response: TypeAlias = gateway_pb2.CommitStatusResponse
FilteredStream: TypeAlias = BlockStream[events_pb2.FilteredBlock]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Watched:
    told: Future[Response] = field(default_factory=Future)
    sent: gateway_pb2.SubmitRequest | None = None


class CommitFollower:
    """Starts with the first watch, on a thread of its own; a watch must precede its submission."""

    def __init__(self, transport: LedgerTransport, channel: str, signer: SigningIdentity) -> None:
        self._transport = transport
        self._channel = channel
        self._signer = signer
        self._lock = threading.Lock()
        self._watched: dict[str, _Watched] = {}
        self._stream: FilteredStream | None = None
        self._resending: threading.Thread | None = None
        self._closed = threading.Event()

    def watch(self, tx_id: str) -> Future[Response]:
        """A future of the transaction's validation code and block; one for each call.

        :raises TransportError: the node cannot be asked where its chain stands.
        """
        with self._lock:
            if self._closed.is_set():
                raise _closed()
            if self._stream is None:
                self._start()
            watched = self._watched.setdefault(tx_id, _Watched())
        told: Future[Response] = Future()
        told.add_done_callback(lambda done: self._forget_cancelled(tx_id, done))
        watched.told.add_done_callback(lambda done: _pass_on(done, told))
        return told

    def keep(self, request: gateway_pb2.SubmitRequest) -> None:
        """Remember what is being submitted, where its outcome is watched."""
        with self._lock:
            watched = self._watched.get(request.transaction_id)
            if watched is not None:
                watched.sent = request

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            stream = self._stream
        if stream is not None:
            stream.close()
        self._fail(_closed())

    def _start(self) -> None:
        # From the height as it is now: whatever is submitted later is in a later block.
        self._stream = BlockStream(
            self._transport,
            self._channel,
            self._signer,
            self._height(),
            None,
            filtered=True,
            on_break=self._on_break,
        )
        threading.Thread(
            target=self._follow, args=(self._stream,), name="commit-follower", daemon=True
        ).start()

    def _height(self) -> int:
        args = (b"GetChainInfo", self._channel.encode())
        proposed = new_proposed_transaction(self._channel, "qscc", self._signer.serialized, args)
        proposal = proposed.proposal
        proposal.signature = self._signer.sign(proposal.proposal_bytes)
        answer = self._transport.evaluate(
            gateway_pb2.EvaluateRequest(
                transaction_id=proposed.transaction_id,
                channel_id=self._channel,
                proposed_transaction=proposal,
            )
        )
        return int(ledger_pb2.BlockchainInfo.FromString(answer.result.payload).height)

    def _follow(self, stream: FilteredStream) -> None:
        try:
            for block in stream:
                self._settle(block.number, block.filtered_transactions)
        except StreamError as error:
            with self._lock:
                self._stream = None
            self._fail(TransportError(error.status, error.message, error.details))

    def _settle(self, number: int, transactions: Iterable[events_pb2.FilteredTransaction]) -> None:
        for transaction in transactions:
            with self._lock:
                watched = self._watched.pop(transaction.txid, None)
            if watched is None:
                continue
            if transaction.tx_validation_code == transaction_pb2.DUPLICATE_TXID:
                # A copy: the original was committed before it was watched here.
                self._ask(transaction.txid, watched.told)
                continue
            watched.told.set_result(
                Response(result=transaction.tx_validation_code, block_number=number)
            )

    def _ask(self, tx_id: str, told: Future[Response]) -> None:
        request = gateway_pb2.CommitStatusRequest(
            transaction_id=tx_id, channel_id=self._channel, identity=self._signer.serialized
        ).SerializeToString()
        signed = gateway_pb2.SignedCommitStatusRequest(
            request=request, signature=self._signer.sign(request)
        )
        try:
            answer = self._transport.commit_status(signed)
        except TransportError as error:
            told.set_exception(error)
        else:
            answer.add_done_callback(lambda done: _pass_on(done, told))

    # -- after a break -------------------------------------------------------------------------

    def _on_break(self) -> None:
        with self._lock:
            if self._resending is None and self._watched:
                self._resending = threading.Thread(
                    target=self._resend, name="commit-resend", daemon=True
                )
                self._resending.start()

    def _resend(self) -> None:
        try:
            while self._caught_up() and not self._resent():
                pass
        finally:
            with self._lock:
                self._resending = None

    def _resent(self) -> bool:
        """Submit again what is still in no block; False where the node went away once more."""
        with self._lock:
            lost = [watched.sent for watched in self._watched.values() if watched.sent]
        try:
            for request in lost:
                self._transport.submit(request)
        except TransportError as error:
            log.warning("transactions could not be submitted again: %s", error)
            # Refused: then each waiting caller's own patience decides.
            return error.status not in BROKEN
        if lost:
            log.info("submitted %d transactions again after a break", len(lost))
        return True

    def _caught_up(self) -> bool:
        """Wait until the node answers and the stream has seen every block it had by then."""
        height = None
        while height is None:
            try:
                height = self._height()
            except TransportError as error:
                if error.status not in BROKEN or self._closed.wait(LONGEST_PAUSE_S / 4):
                    return False
        while not self._closed.wait(CATCH_UP_POLL_S):
            stream = self._stream
            if stream is None:
                return False
            if (stream.next_block or 0) >= height:
                return True
        return False

    # -- ending --------------------------------------------------------------------------------

    def _forget_cancelled(self, tx_id: str, done: Future[Response]) -> None:
        if done.cancelled():
            with self._lock:
                self._watched.pop(tx_id, None)

    def _fail(self, error: TransportError) -> None:
        with self._lock:
            waiting, self._watched = list(self._watched.values()), {}
        for watched in waiting:
            watched.told.set_exception(error)


def _pass_on(done: Future[Response], told: Future[Response]) -> None:
    if not told.set_running_or_notify_cancel():
        return
    error = done.exception()
    if error is None:
        told.set_result(done.result())
    else:
        told.set_exception(error)


def _closed() -> TransportError:
    return TransportError(grpc.StatusCode.CANCELLED, "the ledger connection was closed")
