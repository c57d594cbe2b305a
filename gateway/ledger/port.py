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


class SigningIdentity(Protocol):
    """Who signs: ``nodes.identity.Signer``, or anything that reaches a key (HSM, remote)."""

    @property
    def msp_id(self) -> str: ...

    @property
    def serialized(self) -> bytes:
        """``msp.SerializedIdentity``: MSP id and PEM certificate."""

    def sign(self, message: bytes) -> bytes:
        """DER ECDSA signature over SHA-256 of `message`, low-S."""


class Subscription(Protocol[T_co]):
    """An endless stream of messages: iterate it on a thread of its own, close it from any."""

    def __iter__(self) -> Iterator[T_co]: ...

    def close(self) -> None: ...


class LedgerTransport(Protocol):
    """Fabric's ``gateway.Gateway`` plus ``protos.Deliver``; thread-safe; raises TransportError."""

    @property
    def tls_certificate_hash(self) -> bytes:
        """SHA-256 of this side's DER TLS certificate under mutual TLS, else b"": Deliver binds
        a request to its connection with it.
        """

    def evaluate(self, request: gateway_pb2.EvaluateRequest) -> gateway_pb2.EvaluateResponse: ...

    def endorse(self, request: gateway_pb2.EndorseRequest) -> gateway_pb2.EndorseResponse: ...

    def submit(self, request: gateway_pb2.SubmitRequest) -> gateway_pb2.SubmitResponse: ...

    def commit_future(self, tx_id: str) -> Future[gateway_pb2.CommitStatusResponse] | None:
        """Resolves when the transaction is in a block, whatever its validation code.

        None where the transport has no identity of its own to follow blocks with: then ask
        `commit_status` with a request signed by the caller.
        """

    def commit_status(
        self, request: gateway_pb2.SignedCommitStatusRequest
    ) -> Future[gateway_pb2.CommitStatusResponse]:
        """The same for one transaction, asked with the caller's own signature."""

    def chaincode_events(
        self, request: gateway_pb2.SignedChaincodeEventsRequest
    ) -> Subscription[gateway_pb2.ChaincodeEventsResponse]: ...

    def deliver(
        self, envelope: common_pb2.Envelope, *, filtered: bool = False
    ) -> Subscription[events_pb2.DeliverResponse]: ...

    def close(self) -> None: ...
