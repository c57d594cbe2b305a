"""The node's side of the payload service: who asks is who signed.

A request is answered in these steps; the first that fails ends it:

1. it is a signed envelope for this channel,
2. its client time is within five minutes of the node's and its nonce was not seen before,
3. the channel's MSPs accept its creator, whose certificate is valid now and not revoked,
4. the signature is the creator's, over the whole request with the method's name in it,
5. the creator's party, roles and country are looked up on this node's own ledger,
6. the store decides, logs and answers as for any reader.

Only people of the holder's own organisation may put payloads into its store.
Messages: :mod:`nodes.payloads.remote_messages`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from itertools import islice
from typing import Any, Final

import grpc

from nodes.errors import IdentityRefused
from nodes.identity.msp import Identity
from nodes.identity.signature import verify_digest
from nodes.payloads.access import Decision
from nodes.payloads.chain_state import StateReader
from nodes.payloads.errors import PayloadError, PayloadInvalid, PayloadRefused, PayloadUnknown
from nodes.payloads.ledger_facts import reader_of
from nodes.payloads.model import NewPayload, Reader
from nodes.payloads.remote_messages import (
    MAX_ANSWER_BYTES,
    MAX_COMMITMENTS,
    METHODS,
    SERVICE,
    Request,
    cut,
    error_to_json,
    frame,
    open_request,
)
from nodes.payloads.store import PayloadStore

CLOCK_SKEW_MS: Final = 5 * 60 * 1000
MAX_ENTRIES: Final = 10_000


class NotAuthentic(Exception):
    """The request is not from whom it says, too old, or a replay."""


@dataclass(slots=True)
class PayloadService:
    """Answers requests for the stores of one or several nodes in this process; thread-safe.

    `channel`: name of the channel; `store_of`: the store of an MSP id (KeyError for another);
    `state_of`: the committed contract state of that MSP's node; `accept`: the identity of a
    serialized creator (raises IdentityRefused); `clock_ms`: ms UTC.
    """

    channel: str
    store_of: Callable[[str], PayloadStore]
    state_of: Callable[[str], StateReader]
    accept: Callable[[bytes], Identity]
    clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    _nonces: dict[bytes, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, raw: bytes) -> bytes:
        """The answer frame to a serialized request. Raises NotAuthentic."""
        try:
            request = open_request(raw)
            creator = self._authenticate(method, request)
            holder = str(request.body.get("holder"))
            try:
                store = self.store_of(holder)
            except KeyError:
                raise PayloadUnknown(f"this node does not serve {holder}") from None
            basis = str(request.body.get("legal_basis") or "")
            reader = reader_of(self.state_of(holder), creator.msp_id, creator.certificate, basis)
            return _ANSWERS[method](store, reader, request)
        except PayloadError as error:
            return frame({"error": error_to_json(error)})
        except (KeyError, TypeError, ValueError, AttributeError):
            invalid = PayloadInvalid(f"the {method} request lacks a field or has a wrong one")
            return frame({"error": error_to_json(invalid)})

    def _authenticate(self, method: str, request: Request) -> Identity:
        # 1. for this channel and method
        if request.channel != self.channel or request.body.get("method") != method:
            raise NotAuthentic("the request was signed for another channel or method")
        # 3., 4. before 2., so that nobody else can use up a nonce
        try:
            creator = self.accept(request.creator)
            creator.refuse_outside_validity(self.clock_ms())
        except IdentityRefused as exc:
            raise NotAuthentic(str(exc)) from exc
        if not _signed_by(creator, request):
            raise NotAuthentic("the request's signature is not its creator's")
        # 2. fresh
        now = self.clock_ms()
        if abs(now - request.timestamp_ms) > CLOCK_SKEW_MS:
            raise NotAuthentic("the request's time is more than five minutes from the node's")
        with self._lock:
            if request.nonce in self._nonces:
                raise NotAuthentic("the request was answered before")
            if len(self._nonces) > 10_000:
                oldest = now - 2 * CLOCK_SKEW_MS
                self._nonces = {n: t for n, t in self._nonces.items() if t > oldest}
            self._nonces[request.nonce] = request.timestamp_ms
        return creator


def payload_handlers(service: PayloadService, threads: Executor) -> grpc.GenericRpcHandler:
    """Handlers of ``tracemark.Payloads`` for a grpc.aio server; stores are used on `threads`."""

    def handler(method: str) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def call(raw: bytes, context: grpc.aio.ServicerContext) -> bytes:
            loop = asyncio.get_running_loop()
            try:
                return await loop.run_in_executor(threads, service.answer, method, raw)
            except NotAuthentic as exc:
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(exc))
                raise

        return call

    return grpc.method_handlers_generic_handler(
        SERVICE, {name: grpc.unary_unary_rpc_method_handler(handler(name)) for name in METHODS}
    )


def _signed_by(creator: Identity, request: Request) -> bool:
    return verify_digest(creator.key, sha256(request.signed).digest(), request.signature)


def _put(store: PayloadStore, reader: Reader, request: Request) -> bytes:
    if reader.msp_id != store.msp_id:
        raise PayloadRefused("", _NOT_OURS)
    rows = request.body["payloads"]
    parts = cut(request.parts, [row["size"] for row in rows])
    payloads = [
        NewPayload(
            payload=part,
            salt=bytes.fromhex(row["salt"]),
            event_hash=str(row["event_hash"]),
            owner_party=str(row["owner_party"]),
            residency=str(row["residency"]),
            country=str(row["country"]),
            media_type=str(row["media_type"]),
        )
        for row, part in zip(rows, parts, strict=True)
    ]
    return frame({"commitments": store.put_many(payloads)})


def _get(store: PayloadStore, reader: Reader, request: Request) -> bytes:
    asked = [str(commitment) for commitment in request.body["commitments"]]
    if len(asked) > MAX_COMMITMENTS:
        raise PayloadInvalid(f"at most {MAX_COMMITMENTS} payloads can be asked for at once")
    results: list[dict[str, Any]] = []
    parts: list[bytes] = []
    for outcome in store.get_many(_fitting(store, asked), reader):
        if isinstance(outcome, PayloadError):
            results.append({"error": error_to_json(outcome)})
            continue
        meta = asdict(outcome.meta)
        results.append({"meta": meta, "salt": outcome.salt.hex(), "size": len(outcome.payload)})
        parts.append(outcome.payload)
    return frame({"results": results}, parts)


def _fitting(store: PayloadStore, asked: list[str]) -> list[str]:
    """As many of the payloads, from the first on, as one answer may hold."""
    total = 0
    for place, commitment in enumerate(asked):
        try:
            total += store.describe(commitment).size
        except PayloadError:
            continue
        if total > MAX_ANSWER_BYTES and place:
            return asked[:place]
    return asked


def _states(store: PayloadStore, reader: Reader, request: Request) -> bytes:
    asked = [str(commitment) for commitment in request.body["commitments"]]
    if len(asked) > MAX_COMMITMENTS:
        raise PayloadInvalid(f"at most {MAX_COMMITMENTS} payloads can be asked for at once")
    return frame({"states": store.states(asked)})


def _erase(store: PayloadStore, reader: Reader, request: Request) -> bytes:
    receipt = store.erase(str(request.body["commitment"]), reader, str(request.body["reason"]))
    return frame({"receipt": receipt.to_json()})


def _receipt(store: PayloadStore, reader: Reader, request: Request) -> bytes:
    receipt = store.receipt(str(request.body["commitment"]))
    return frame({"receipt": receipt.to_json() if receipt else None})


def _reads(store: PayloadStore, reader: Reader, request: Request) -> bytes:
    commitment, limit = request.body.get("commitment"), int(request.body["limit"])
    entries = store.reads_for(reader, int(request.body["start"]), commitment)
    return frame({"entries": [asdict(e) for e in islice(entries, min(limit, MAX_ENTRIES))]})


_ANSWERS: Final = {
    "put": _put,
    "get": _get,
    "states": _states,
    "erase": _erase,
    "receipt": _receipt,
    "reads": _reads,
}

_NOT_OURS: Final = Decision(
    False, "NOT_OURS", "only people of the organisation itself may store payloads at its node"
)
