"""Who waits for which transaction to be committed."""

from __future__ import annotations

from concurrent.futures import Future
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeAlias

import grpc
from fabric_protos.gateway import gateway_pb2

from nodes.errors import GatewayError, LedgerError
from nodes.node import CommittedBlock

if TYPE_CHECKING:
    from nodes.embedded import EmbeddedNetwork

Response: TypeAlias = gateway_pb2.CommitStatusResponse
MAX_WAITING: Final = 200_000
_MANY: Final = 16


class Commits:
    """Futures by transaction id. Thread-safe."""

    def __init__(self, network: EmbeddedNetwork) -> None:
        self._network = network
        self._lock = Lock()
        self._waiting: dict[str, list[Future[Response]]] = {}
        self._failure = ""

    def future(self, tx_id: str) -> Future[Response]:
        """A future of its own for each call; resolved at once when the ledger has it."""
        future: Future[Response] = Future()
        if self._failure:
            known = self._committed(tx_id)
            if known is None:
                raise GatewayError(grpc.StatusCode.UNAVAILABLE, self._failure)
            future.set_result(known)
            return future
        with self._lock:
            if len(self._waiting) >= MAX_WAITING:
                self._forget_cancelled()
            waiting = self._waiting.setdefault(tx_id, [])
            if len(waiting) >= _MANY:  # who asks again and again gave up before
                waiting[:] = [entry for entry in waiting if not entry.cancelled()]
            waiting.append(future)
        # Looked up after registering: a block committed in between resolves it already.
        known = self._committed(tx_id)
        if known is not None:
            with self._lock:
                waiting = self._waiting.pop(tx_id, [])
            for entry in waiting:
                _resolve(entry, known)
        return future

    def resolve(self, block: CommittedBlock) -> None:
        """Answer everyone who waits for a transaction of this block."""
        if not self._waiting:
            return
        # Every transaction, also one whose creator was revoked since it was submitted.
        for transaction, code in zip(block.checked.transactions, block.codes, strict=True):
            tx_id = transaction.tx_id
            if tx_id in self._waiting:
                with self._lock:
                    waiting = self._waiting.pop(tx_id, [])
                answer = Response(result=code, block_number=block.number)
                for future in waiting:
                    _resolve(future, answer)

    def fail_all(self, reason: str) -> None:
        """Nothing more will be committed: everyone who waits gets UNAVAILABLE."""
        with self._lock:
            self._failure = (
                f"{reason}; whether waiting transactions were recorded shows when the network"
                " is opened again"
            )
            waiting = [future for futures in self._waiting.values() for future in futures]
            self._waiting.clear()
        for future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(GatewayError(grpc.StatusCode.UNAVAILABLE, self._failure))

    def _committed(self, tx_id: str) -> Response | None:
        failure: LedgerError | None = None
        for node in self._network.running_nodes():
            try:
                position = node.ledger.position(tx_id)
            except LedgerError as error:
                failure = error
                continue
            # Committed means on every running node, not only on the first.
            if position is None or position.block >= self._network.height:
                return None
            return Response(result=position.code, block_number=position.block)
        raise GatewayError(grpc.StatusCode.UNAVAILABLE, str(failure)) from failure

    def _forget_cancelled(self) -> None:
        for tx_id in list(self._waiting):
            left = [future for future in self._waiting[tx_id] if not future.cancelled()]
            if left:
                self._waiting[tx_id] = left
            else:
                del self._waiting[tx_id]
        if len(self._waiting) >= MAX_WAITING:
            raise GatewayError(
                grpc.StatusCode.RESOURCE_EXHAUSTED, "too many transactions are waited for"
            )


def _resolve(future: Future[Response], answer: Response) -> None:
    if future.set_running_or_notify_cancel():
        future.set_result(answer)
