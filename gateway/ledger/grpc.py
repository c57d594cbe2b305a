"""Over the wire: the embedded network's server, or the Gateway of a real Fabric peer.

One HTTP/2 connection with TLS carries everything and is made again by itself after a break; a
call in between fails at once with UNAVAILABLE and says whom it could not reach. Error details
come from the ``grpc-status-details-bin`` trailer (``google.rpc.Status``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import events_pb2
from google.protobuf.message import DecodeError
from google.rpc import status_pb2

from gateway.ledger.errors import ErrorDetail, TransportError
from gateway.ledger.follower import CommitFollower
from gateway.ledger.port import SigningIdentity, Subscription

MAX_MESSAGE_BYTES = 100 * 1024 * 1024
DETAILS_TRAILER = "grpc-status-details-bin"

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds a call may take before it fails with DEADLINE_EXCEEDED."""

    evaluate_s: float = 30.0
    endorse_s: float = 30.0
    submit_s: float = 15.0
    commit_status_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM: the CA that signed the server's certificate; this side's own for mutual TLS."""

    root_certificates: bytes
    client_certificate: bytes | None = None
    client_key: bytes | None = None
    server_name: str | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        return grpc.ssl_channel_credentials(
            self.root_certificates, self.client_key, self.client_certificate
        )

    def certificate_hash(self) -> bytes:
        if self.client_certificate is None:
            return b""
        certificate = x509.load_pem_x509_certificate(self.client_certificate)
        return hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest()


class GrpcTransport:
    """One connection to one node.

    :param target: "host:port" of the node. :param follower: an identity that may read blocks;
        with it one filtered block stream tells every commit, without it each caller asks with a
        signature of its own.
    """

    def __init__(
        self,
        target: str,
        tls: Tls,
        *,
        follower: SigningIdentity | None = None,
        channel: str = "trace",
        deadlines: Deadlines | None = None,
    ) -> None:
        self.target = target
        self.tls_certificate_hash = tls.certificate_hash()
        self._deadlines = deadlines or Deadlines()
        self._connection = grpc.secure_channel(target, tls.credentials(), _options(tls))
        self._methods = _Methods(self._connection)
        self._follower = CommitFollower(self, channel, follower) if follower else None

    def evaluate(self, request: gateway_pb2.EvaluateRequest) -> gateway_pb2.EvaluateResponse:
        return self._call(self._methods.evaluate, request, self._deadlines.evaluate_s)

    def endorse(self, request: gateway_pb2.EndorseRequest) -> gateway_pb2.EndorseResponse:
        return self._call(self._methods.endorse, request, self._deadlines.endorse_s)

    def submit(self, request: gateway_pb2.SubmitRequest) -> gateway_pb2.SubmitResponse:
        if self._follower is not None:
            self._follower.keep(request)
        return self._call(self._methods.submit, request, self._deadlines.submit_s)

    def commit_future(self, tx_id: str) -> Future[gateway_pb2.CommitStatusResponse] | None:
        return self._follower.watch(tx_id) if self._follower else None

    def commit_status(
        self, request: gateway_pb2.SignedCommitStatusRequest
    ) -> Future[gateway_pb2.CommitStatusResponse]:
        told: Future[gateway_pb2.CommitStatusResponse] = Future()
        told.set_running_or_notify_cancel()
        try:
            call = self._methods.commit_status.future(
                request, timeout=self._deadlines.commit_status_s
            )
        except ValueError as error:
            raise self._closed() from error

        def pass_on(done: Any) -> None:
            error = done.exception() if not done.cancelled() else done
            if error is None:
                told.set_result(done.result())
            else:
                told.set_exception(self._error(error))

        call.add_done_callback(pass_on)
        return told

    def chaincode_events(
        self, request: gateway_pb2.SignedChaincodeEventsRequest
    ) -> Subscription[gateway_pb2.ChaincodeEventsResponse]:
        return _Stream(self, lambda: self._methods.chaincode_events(request))

    def deliver(
        self, envelope: common_pb2.Envelope, *, filtered: bool = False
    ) -> Subscription[events_pb2.DeliverResponse]:
        method = self._methods.deliver_filtered if filtered else self._methods.deliver
        return _Stream(self, lambda: method(iter((envelope,))))

    def close(self) -> None:
        if self._follower is not None:
            self._follower.close()
        self._connection.close()

    def _call(self, method: Callable[..., Answer], request: object, timeout_s: float) -> Answer:
        try:
            return method(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise self._error(error) from error
        except ValueError as error:
            raise self._closed() from error

    def _error(self, error: Any) -> TransportError:
        status: grpc.StatusCode = error.code()
        message = error.details() or ""
        if status is grpc.StatusCode.UNAVAILABLE:
            message = f"the node at {self.target} is not available: {message}"
        return TransportError(status, message, _details(error.trailing_metadata()))

    def _closed(self) -> TransportError:
        return TransportError(
            grpc.StatusCode.CANCELLED, f"the connection to {self.target} was closed on this side"
        )


class _Methods:
    """The eight methods of Fabric's two services, bound to one connection."""

    def __init__(self, connection: grpc.Channel) -> None:
        def unary(path: str, response: Any) -> Any:
            return connection.unary_unary(path, _serialize, response.FromString)

        self.evaluate = unary("/gateway.Gateway/Evaluate", gateway_pb2.EvaluateResponse)
        self.endorse = unary("/gateway.Gateway/Endorse", gateway_pb2.EndorseResponse)
        self.submit = unary("/gateway.Gateway/Submit", gateway_pb2.SubmitResponse)
        self.commit_status = unary(
            "/gateway.Gateway/CommitStatus", gateway_pb2.CommitStatusResponse
        )
        self.chaincode_events = connection.unary_stream(
            "/gateway.Gateway/ChaincodeEvents",
            _serialize,
            gateway_pb2.ChaincodeEventsResponse.FromString,
        )
        self.deliver = connection.stream_stream(
            "/protos.Deliver/Deliver", _serialize, events_pb2.DeliverResponse.FromString
        )
        self.deliver_filtered = connection.stream_stream(
            "/protos.Deliver/DeliverFiltered", _serialize, events_pb2.DeliverResponse.FromString
        )


class _Stream(Subscription[Answer]):
    """A server stream whose errors are the port's; closing it cancels the call."""

    def __init__(self, transport: GrpcTransport, start: Callable[[], Any]) -> None:
        self._transport = transport
        self._closing = False
        try:
            self._call = start()
        except ValueError as error:
            raise transport._closed() from error

    def __iter__(self) -> Iterator[Answer]:
        try:
            yield from self._call
        except grpc.RpcError as error:
            if not self._closing:
                raise self._transport._error(error) from error

    def close(self) -> None:
        self._closing = True
        self._call.cancel()


def _options(tls: Tls) -> list[tuple[str, Any]]:
    options: list[tuple[str, Any]] = [
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        # A Fabric peer refuses pings that come more often than once a minute.
        ("grpc.keepalive_time_ms", 120_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        # Two transports to one node are two connections, each with its own fate.
        ("grpc.use_local_subchannel_pool", 1),
    ]
    if tls.server_name is not None:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    return options


def _serialize(message: Any) -> bytes:
    return bytes(message.SerializeToString())


def _details(trailers: Any) -> list[ErrorDetail]:
    found: list[ErrorDetail] = []
    for key, value in trailers or ():
        if key != DETAILS_TRAILER:
            continue
        try:
            status = status_pb2.Status.FromString(value)
        except DecodeError:
            continue
        for packed in status.details:
            detail = gateway_pb2.ErrorDetail()
            if packed.Unpack(detail):
                found.append(ErrorDetail(detail.address, detail.msp_id, detail.message))
    return found
