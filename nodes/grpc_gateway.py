"""Fabric's ``gateway.Gateway`` over gRPC: unary calls on a few threads, waits on none.

Evaluate, Endorse and Submit run on a small thread pool. CommitStatus checks its signature there
and then waits in the event loop, so thousands may wait. ChaincodeEvents streams until the client
leaves. Errors and limits are those of a Fabric peer (``peer.limits.concurrency.gatewayService``),
except that too many requests are RESOURCE_EXHAUSTED, which clients know to retry, where Fabric
says UNKNOWN.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeAlias, TypeVar

import grpc
from fabric_protos.gateway import gateway_pb2

from nodes.errors import GatewayError
from nodes.grpc_answers import Shutdown, fail, pump, refuse
from nodes.service import GatewayService

SERVICE = "gateway.Gateway"

Request = TypeVar("Request")
Response = TypeVar("Response")
Context: TypeAlias = grpc.aio.ServicerContext


class Limiter:
    """Counts the unary requests of one service; used on the event loop only."""

    def __init__(self, service: str, limit: int) -> None:
        self._service = service
        self._limit = limit
        self._active = 0

    def enter(self) -> None:
        """:raises GatewayError: RESOURCE_EXHAUSTED, when `limit` requests are being answered."""
        if self._active >= self._limit:
            raise GatewayError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"too many requests for /{self._service}, exceeding concurrency limit "
                f"({self._limit}); send again after a pause",
            )
        self._active += 1

    def leave(self) -> None:
        self._active -= 1


class GatewayHandlers:
    """The five methods over one service object.

    :param limit: unary requests answered at a time. :param timeout_s: longest Evaluate, Endorse
        or Submit, whatever deadline the client gave.
    """

    def __init__(
        self,
        service: GatewayService,
        threads: Executor,
        shutdown: Shutdown,
        *,
        limit: int,
        timeout_s: float,
    ) -> None:
        self._service = service
        self._threads = threads
        self._shutdown = shutdown
        self._limiter = Limiter(SERVICE, limit)
        self._timeout_s = timeout_s

    def generic_handler(self) -> grpc.GenericRpcHandler:
        service = self._service
        pb = gateway_pb2
        methods = {
            "Evaluate": self._unary(self._on_thread(service.evaluate), pb.EvaluateRequest),
            "Endorse": self._unary(self._on_thread(service.endorse), pb.EndorseRequest),
            "Submit": self._unary(self._on_thread(service.submit), pb.SubmitRequest),
            "CommitStatus": self._unary(self._commit_status, pb.SignedCommitStatusRequest),
            "ChaincodeEvents": grpc.unary_stream_rpc_method_handler(
                self._chaincode_events,
                request_deserializer=pb.SignedChaincodeEventsRequest.FromString,
                response_serializer=pb.ChaincodeEventsResponse.SerializeToString,
            ),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def _on_thread(
        self, method: Callable[[Request], Response]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def call(request: Request) -> Response:
            loop = asyncio.get_running_loop()
            running = loop.run_in_executor(self._threads, method, request)
            try:
                return await asyncio.wait_for(running, self._timeout_s)
            except TimeoutError as error:
                name = method.__name__
                raise GatewayError(
                    grpc.StatusCode.DEADLINE_EXCEEDED,
                    f"{name} timeout expired after {self._timeout_s:g} s",
                ) from error

        return call

    def _unary(self, method: Callable[[Any], Awaitable[Any]], request_type: Any) -> Any:
        async def answer(request: Any, context: Context) -> Any:
            try:
                self._limiter.enter()
            except GatewayError as error:
                await refuse(context, error)
            try:
                return await method(request)
            except GatewayError as error:
                await refuse(context, error)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                await fail(context, error)
            finally:
                self._limiter.leave()

        return grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=request_type.FromString,
            response_serializer=_serialize,
        )

    async def _commit_status(
        self, request: gateway_pb2.SignedCommitStatusRequest
    ) -> gateway_pb2.CommitStatusResponse:
        # 1. who asks, and is it there already? 2. if not, wait for its block in the loop
        loop = asyncio.get_running_loop()
        known = await loop.run_in_executor(self._threads, self._status_now, request)
        if not isinstance(known, Future):
            return known
        return await self._shutdown.unless_asked(asyncio.wrap_future(known))

    def _status_now(
        self, request: gateway_pb2.SignedCommitStatusRequest
    ) -> gateway_pb2.CommitStatusResponse | Future[gateway_pb2.CommitStatusResponse]:
        try:
            return self._service.commit_status(request, timeout=0)
        except GatewayError as error:
            if error.status is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
        inner = gateway_pb2.CommitStatusRequest.FromString(request.request)
        return self._service.commit_future(inner.transaction_id)

    async def _chaincode_events(
        self, request: gateway_pb2.SignedChaincodeEventsRequest, context: Context
    ) -> None:
        loop = asyncio.get_running_loop()
        try:
            source = await loop.run_in_executor(
                self._threads, self._service.chaincode_events, request
            )
            await pump(source, context.write, self._shutdown)
        except GatewayError as error:
            await refuse(context, error)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            await fail(context, error)


def _serialize(message: Any) -> bytes:
    return bytes(message.SerializeToString())
