"""The one port to a ledger: Fabric's Gateway and Deliver services with Fabric's own messages.

Transports: :mod:`gateway.ledger.inprocess` (the embedded network in this process) and
:mod:`gateway.ledger.grpc` (the embedded network's server, or a real Fabric peer).
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from typing import Protocol, TypeVar

from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import events_pb2

T_co = TypeVar("T_co", covariant=True)


class Subscription(Protocol[T_co]):
    """An endless stream of messages: iterate it on a thread of its own, close it from any."""

    def __iter__(self) -> Iterator[T_co]: ...

    def close(self) -> None: ...


class LedgerTransport(Protocol):
    """Fabric's ``gateway.Gateway`` plus ``protos.Deliver``; thread-safe; raises TransportError."""

    def evaluate(self, request: gateway_pb2.EvaluateRequest) -> gateway_pb2.EvaluateResponse: ...

    def endorse(self, request: gateway_pb2.EndorseRequest) -> gateway_pb2.EndorseResponse: ...

    def submit(self, request: gateway_pb2.SubmitRequest) -> gateway_pb2.SubmitResponse: ...

    def commit_future(self, tx_id: str) -> Future[gateway_pb2.CommitStatusResponse]:
        """Resolves when the transaction is in a block, whatever its validation code."""

    def chaincode_events(
        self, request: gateway_pb2.SignedChaincodeEventsRequest
    ) -> Subscription[gateway_pb2.ChaincodeEventsResponse]: ...

    def deliver(
        self, envelope: common_pb2.Envelope, *, filtered: bool = False
    ) -> Subscription[events_pb2.DeliverResponse]: ...

    def close(self) -> None: ...
