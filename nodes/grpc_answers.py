"""How answers leave the server: errors in Fabric's form, streams pumped from blocking sources.

An error is a gRPC status with a message, and the trailer ``grpc-status-details-bin`` holding a
``google.rpc.Status`` with one ``gateway.ErrorDetail`` per node that refused. A gRPC client takes
8 KiB of trailers by default and drops the whole answer beyond, so long messages are shortened:
a contract's refusal first by its list of ``errors``, whose number left out is told as ``more``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, Protocol, TypeVar

import grpc
from fabric_protos.gateway import gateway_pb2
from google.protobuf import any_pb2
from google.rpc import status_pb2

from nodes.errors import GatewayError

DETAILS_TRAILER = "grpc-status-details-bin"
TRAILER_BYTES = 5 * 1024  # 6.7 KiB as base64, beside a message of at most 0.5 KiB
LONGEST_MESSAGE = 512

log = logging.getLogger(__name__)
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Source(Protocol[T_co]):
    """A subscription of the service: iterated on one thread, closed from another."""

    def __iter__(self) -> Iterator[T_co]: ...

    def close(self) -> None: ...


async def refuse(context: grpc.aio.ServicerContext, error: GatewayError) -> NoReturn:
    """End the call with the error's status, message and details."""
    trailer = ((DETAILS_TRAILER, status_details(error)),) if error.details else ()
    await context.abort(error.status, _cut(error.message, LONGEST_MESSAGE), trailer)
    raise AssertionError("abort always raises")


async def fail(context: grpc.aio.ServicerContext, error: Exception) -> NoReturn:
    """End the call after an error nobody foresaw: logged here, not described to the client."""
    log.error("%s while answering", type(error).__name__, exc_info=error)
    await context.abort(grpc.StatusCode.INTERNAL, "the node failed to answer; see its log")
    raise AssertionError("abort always raises")


def status_details(error: GatewayError) -> bytes:
    """Serialized ``google.rpc.Status`` of at most TRAILER_BYTES bytes (shorter messages if need
    be, and the first details only when even that is too much).
    """
    limit = TRAILER_BYTES
    while True:
        packed = _packed(error, limit)
        if len(packed) <= TRAILER_BYTES or limit < 64:
            return packed
        limit //= 2


def _packed(error: GatewayError, limit: int) -> bytes:
    details = [
        gateway_pb2.ErrorDetail(
            address=detail.address, msp_id=detail.msp_id, message=_shorten(detail.message, limit)
        )
        for detail in error.details[: TRAILER_BYTES // 128]
    ]
    status = status_pb2.Status(
        code=error.status.value[0], message=_cut(error.message, min(limit, LONGEST_MESSAGE))
    )
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return bytes(status.SerializeToString())


def _shorten(text: str, limit: int) -> str:
    start = text.find("{")
    if len(text) <= limit or start < 0:
        return _cut(text, limit)
    try:
        refusal = json.loads(text[start:])
    except (ValueError, RecursionError):
        return _cut(text, limit)
    if not isinstance(refusal, dict) or not isinstance(refusal.get("errors"), list):
        return _cut(text, limit)
    kept: list[Any] = refusal["errors"]
    while kept and len(text) > limit:
        kept = kept[: len(kept) // 2]
        told = {**refusal, "errors": kept, "more": len(refusal["errors"]) - len(kept)}
        text = text[:start] + json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    return _cut(text, limit)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


class Shutdown:
    """Ends what would wait forever when the server stops; lives on one event loop."""

    def __init__(self) -> None:
        self._asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ask(self) -> None:
        if not self._asked.done():
            self._asked.set_result(None)

    async def unless_asked(self, waited: asyncio.Future[T]) -> T:
        """The future's result. :raises GatewayError: UNAVAILABLE, when the server stops first."""
        both: set[asyncio.Future[Any]] = {waited, self._asked}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if waited.done():
            return waited.result()
        waited.cancel()
        raise GatewayError(grpc.StatusCode.UNAVAILABLE, "the node is shutting down")


async def pump(source: Source[T], write: Callable[[T], Any], shutdown: Shutdown) -> None:
    """Write every message of a blocking `source` to the client, one at a time.

    A thread of its own waits on the source, the loop writes; the next message is taken when the
    last one is written, so a slow client holds back its own stream only. Ends with the source,
    with its error, with the server, or, when the call is cancelled, by closing the source.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def end(error: BaseException | None) -> None:
        if ended.done():
            return
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)

    def run() -> None:
        error = _drain(
            source, lambda message: asyncio.run_coroutine_threadsafe(write(message), loop).result()
        )
        with contextlib.suppress(RuntimeError):  # the loop is gone, and the call with it
            loop.call_soon_threadsafe(end, error)

    threading.Thread(target=run, name="stream", daemon=True).start()
    try:
        await shutdown.unless_asked(ended)
    finally:
        source.close()


def _drain(source: Source[T], write: Callable[[T], None]) -> BaseException | None:
    try:
        for message in source:
            write(message)
    except BaseException as error:
        return error
    return None
