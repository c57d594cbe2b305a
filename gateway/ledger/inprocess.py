"""The embedded network in this process: the same service, the same messages, no wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

import grpc
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import events_pb2

from gateway.ledger.errors import ErrorDetail, TransportError
from gateway.ledger.port import Subscription
from nodes.errors import GatewayError

if TYPE_CHECKING:
    from nodes.service import GatewayService

Answer = TypeVar("Answer")
Request = TypeVar("Request")


class InProcessTransport:
    """Calls a ``nodes.service.GatewayService`` directly. Closing it leaves the network open."""

    tls_certificate_hash = b""

    def __init__(self, service: GatewayService) -> None:
        self._service = service

    def evaluate(self, request: gateway_pb2.EvaluateRequest) -> gateway_pb2.EvaluateResponse:
        return _call(self._service.evaluate, request)

    def endorse(self, request: gateway_pb2.EndorseRequest) -> gateway_pb2.EndorseResponse:
        return _call(self._service.endorse, request)

    def submit(self, request: gateway_pb2.SubmitRequest) -> gateway_pb2.SubmitResponse:
        return _call(self._service.submit, request)

    def commit_future(self, tx_id: str) -> Future[gateway_pb2.CommitStatusResponse]:
        return _call(self._service.commit_future, tx_id)

    def commit_status(
        self, request: gateway_pb2.SignedCommitStatusRequest
    ) -> Future[gateway_pb2.CommitStatusResponse]:
        return _call(self._status, request)

    def _status(
        self, request: gateway_pb2.SignedCommitStatusRequest
    ) -> Future[gateway_pb2.CommitStatusResponse]:
        try:
            told: Future[gateway_pb2.CommitStatusResponse] = Future()
            told.set_result(self._service.commit_status(request, timeout=0))
            return told
        except GatewayError as error:
            if error.status is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
        # The signer may ask; the transaction is not there yet.
        inner = gateway_pb2.CommitStatusRequest.FromString(request.request)
        return self._service.commit_future(inner.transaction_id)

    def chaincode_events(
        self, request: gateway_pb2.SignedChaincodeEventsRequest
    ) -> Subscription[gateway_pb2.ChaincodeEventsResponse]:
        return _Translated(_call(self._service.chaincode_events, request))

    def deliver(
        self, envelope: common_pb2.Envelope, *, filtered: bool = False
    ) -> Subscription[events_pb2.DeliverResponse]:
        return _Translated(_call(lambda sent: self._service.deliver(sent, filtered), envelope))

    def close(self) -> None:
        """Nothing to give back: whoever opened the network closes it."""


class _Translated(Subscription[Answer]):
    """A subscription of the service whose errors are the port's."""

    def __init__(self, source: Subscription[Answer]) -> None:
        self._source = source

    def __iter__(self) -> Iterator[Answer]:
        try:
            yield from self._source
        except GatewayError as error:
            raise transport_error(error) from error

    def close(self) -> None:
        self._source.close()


def transport_error(error: GatewayError) -> TransportError:
    """The engine's error as the port tells it: same status, message and details."""
    details = [ErrorDetail(d.address, d.msp_id, d.message) for d in error.details]
    return TransportError(error.status, error.message, details)


def _call(method: Callable[[Request], Answer], request: Request) -> Answer:
    try:
        return method(request)
    except GatewayError as error:
        raise transport_error(error) from error
