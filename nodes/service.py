"""Fabric's Gateway and Deliver services over the embedded network: signatures only, for now."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from typing import Protocol, TypeVar

from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import events_pb2

T_co = TypeVar("T_co", covariant=True)


class Subscription(Protocol[T_co]):
    """An endless stream: iterate it on one thread, close it from any."""

    def __iter__(self) -> Iterator[T_co]: ...

    def close(self) -> None: ...


class GatewayService:
    """The one service object: thread-safe, synchronous, raises nodes.errors.GatewayError."""

    def evaluate(self, request: gateway_pb2.EvaluateRequest) -> gateway_pb2.EvaluateResponse:
        """Run a query on one node's snapshot."""
        raise NotImplementedError

    def endorse(self, request: gateway_pb2.EndorseRequest) -> gateway_pb2.EndorseResponse:
        """Collect the endorsements that the policy needs."""
        raise NotImplementedError

    def submit(self, request: gateway_pb2.SubmitRequest) -> gateway_pb2.SubmitResponse:
        """Hand a signed transaction to the sequencer."""
        raise NotImplementedError

    def commit_future(self, tx_id: str) -> Future[gateway_pb2.CommitStatusResponse]:
        """Resolves when the transaction is committed on the nodes, whatever its code."""
        raise NotImplementedError

    def commit_status(
        self, request: gateway_pb2.SignedCommitStatusRequest, timeout: float | None = None
    ) -> gateway_pb2.CommitStatusResponse:
        """Wait for a transaction's code; `timeout` in seconds, then DEADLINE_EXCEEDED."""
        raise NotImplementedError

    def chaincode_events(
        self, request: gateway_pb2.SignedChaincodeEventsRequest
    ) -> Subscription[gateway_pb2.ChaincodeEventsResponse]:
        """Events of valid transactions, from any block on."""
        raise NotImplementedError

    def deliver(
        self, envelope: common_pb2.Envelope, filtered: bool = False
    ) -> Subscription[events_pb2.DeliverResponse]:
        """Blocks, full or filtered, as the signed SeekInfo asks."""
        raise NotImplementedError
