"""Learns the outcome of every transaction from one filtered block stream.

Fabric's Gateway counts each waiting CommitStatus call against its limit of 500 concurrent
requests, so a gateway with a thousand transactions in flight follows blocks instead. The first
appearance of a transaction id decides: a later copy of the same envelope is DUPLICATE_TXID and
changes nothing.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeAlias

import grpc
from fabric_protos.common import ledger_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import events_pb2

from gateway.ledger.errors import StreamError, TransportError
from gateway.ledger.port import LedgerTransport, SigningIdentity
from gateway.ledger.proposal import new_proposed_transaction
from gateway.ledger.stream import BlockStream

if TYPE_CHECKING:
    from collections.abc import Iterable

Response: TypeAlias = gateway_pb2.CommitStatusResponse


class CommitFollower:
    """Starts with the first watch, on a thread of its own; a watch must precede its submission."""

    def __init__(self, transport: LedgerTransport, channel: str, signer: SigningIdentity) -> None:
        self._transport = transport
        self._channel = channel
        self._signer = signer
        self._lock = threading.Lock()
        self._watched: dict[str, Future[Response]] = {}
        self._stream: BlockStream[events_pb2.FilteredBlock] | None = None
        self._closed = False

    def watch(self, tx_id: str) -> Future[Response]:
        """A future of the transaction's validation code and block.

        :raises TransportError: the node cannot be asked where its chain stands.
        """
        with self._lock:
            if self._closed:
                raise TransportError(grpc.StatusCode.CANCELLED, "the ledger connection was closed")
            if self._stream is None:
                self._start()
            told = self._watched.get(tx_id)
            if told is None:
                told = self._watched[tx_id] = Future()
                told.add_done_callback(lambda done: self._forget(tx_id, done))
            return told

    def close(self) -> None:
        with self._lock:
            self._closed = True
            stream = self._stream
        if stream is not None:
            stream.close()
        self._fail(TransportError(grpc.StatusCode.CANCELLED, "the ledger connection was closed"))

    def _start(self) -> None:
        # From the height as it is now: whatever is submitted later is in a later block.
        self._stream = BlockStream(
            self._transport, self._channel, self._signer, self._height(), None, filtered=True
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

    def _follow(self, stream: BlockStream[events_pb2.FilteredBlock]) -> None:
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
                told = self._watched.pop(transaction.txid, None)
            if told is not None and told.set_running_or_notify_cancel():
                told.set_result(
                    Response(result=transaction.tx_validation_code, block_number=number)
                )

    def _forget(self, tx_id: str, done: Future[Response]) -> None:
        if done.cancelled():
            with self._lock:
                self._watched.pop(tx_id, None)

    def _fail(self, error: TransportError) -> None:
        with self._lock:
            waiting, self._watched = list(self._watched.values()), {}
        for told in waiting:
            if told.set_running_or_notify_cancel():
                told.set_exception(error)
