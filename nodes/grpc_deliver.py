"""Fabric's ``protos.Deliver`` over gRPC: blocks, filtered blocks, blocks with private data.

A client sends a signed SeekInfo and gets blocks, then a status; after SUCCESS it may send another
SeekInfo on the same stream (``common/deliver/deliver.go``). Under mutual TLS the request must
carry the SHA-256 of the client's TLS certificate, else BAD_REQUEST. The embedded network holds no
private data collections, so DeliverWithPrivateData sends each block with an empty map.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from typing import Any, TypeAlias

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fabric_protos.common import common_pb2
from fabric_protos.peer import events_pb2
from google.protobuf.message import DecodeError

from nodes.errors import GatewayError
from nodes.grpc_answers import Shutdown, Source, fail, pump, refuse
from nodes.service import GatewayService

SERVICE = "protos.Deliver"

Context: TypeAlias = grpc.aio.ServicerContext
Wrap = Callable[[events_pb2.DeliverResponse], events_pb2.DeliverResponse]


class DeliverHandlers:
    """The three methods over one service object."""

    def __init__(
        self, service: GatewayService, threads: Executor, shutdown: Shutdown, *, mutual_tls: bool
    ) -> None:
        self._service = service
        self._threads = threads
        self._shutdown = shutdown
        self._mutual_tls = mutual_tls

    def generic_handler(self) -> grpc.GenericRpcHandler:
        methods = {
            "Deliver": self._method(filtered=False, wrap=None),
            "DeliverFiltered": self._method(filtered=True, wrap=None),
            "DeliverWithPrivateData": self._method(filtered=False, wrap=_with_private_data),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def _method(self, *, filtered: bool, wrap: Wrap | None) -> Any:
        async def answer(requests: AsyncIterator[common_pb2.Envelope], context: Context) -> None:
            try:
                async for envelope in requests:
                    if not await self._deliver(envelope, context, filtered, wrap):
                        return
            except GatewayError as error:
                await refuse(context, error)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                await fail(context, error)

        return grpc.stream_stream_rpc_method_handler(
            answer,
            request_deserializer=common_pb2.Envelope.FromString,
            response_serializer=events_pb2.DeliverResponse.SerializeToString,
        )

    async def _deliver(
        self, envelope: common_pb2.Envelope, context: Context, filtered: bool, wrap: Wrap | None
    ) -> bool:
        """Answer one SeekInfo; True where the client may send another."""
        if self._mutual_tls and not is_bound(envelope, context.auth_context()):
            await context.write(events_pb2.DeliverResponse(status=common_pb2.BAD_REQUEST))
            return False
        last_status: int = common_pb2.SUCCESS

        async def write(response: events_pb2.DeliverResponse) -> None:
            nonlocal last_status
            if response.WhichOneof("Type") == "status":
                last_status = response.status
            await context.write(response if wrap is None else wrap(response))

        loop = asyncio.get_running_loop()
        source: Source[events_pb2.DeliverResponse] = await loop.run_in_executor(
            self._threads, self._service.deliver, envelope, filtered
        )
        await pump(source, write, self._shutdown)
        return bool(last_status == common_pb2.SUCCESS)


def is_bound(envelope: common_pb2.Envelope, auth_context: dict[str, Any]) -> bool:
    """Whether the request names the TLS certificate of the connection it came by (SHA-256)."""
    certificates = auth_context.get("x509_pem_cert") or ()
    try:
        header = common_pb2.Payload.FromString(envelope.payload).header.channel_header
        claimed = common_pb2.ChannelHeader.FromString(header).tls_cert_hash
        certificate = x509.load_pem_x509_certificate(bytes(next(iter(certificates))))
    except (DecodeError, StopIteration, ValueError):
        return False
    return bool(claimed == hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest())


def _with_private_data(response: events_pb2.DeliverResponse) -> events_pb2.DeliverResponse:
    if response.WhichOneof("Type") != "block":
        return response
    return events_pb2.DeliverResponse(
        block_and_private_data=events_pb2.BlockAndPrivateData(block=response.block)
    )
