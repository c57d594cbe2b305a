"""Streams of blocks and of chaincode events that go on where they were after a reconnect.

Blocks come from ``protos.Deliver`` with a signed SeekInfo, events from
``gateway.Gateway/ChaincodeEvents``. A stream is iterated on one thread and closed from any. When
the connection breaks it is opened anew, with growing pauses, from the block after the last one
seen (events: from the block of the last event, after its transaction), so nothing is lost and
nothing comes twice. It ends by `close`, at its stop block, or with StreamError.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import grpc
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import events_pb2

from gateway.ledger.errors import StreamError, TransportError
from gateway.ledger.port import LedgerTransport, SigningIdentity, Subscription

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
LAST_BLOCK = 2**63 - 1
BROKEN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
    }
)
DELIVER_STATUS = {
    common_pb2.BAD_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    common_pb2.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    common_pb2.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    common_pb2.SERVICE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}

Item = TypeVar("Item")
Raw = TypeVar("Raw")


@dataclass(frozen=True, slots=True)
class ChaincodeEvent:
    """One event of a valid transaction: event name and payload bytes as the contract set them."""

    block_number: int
    tx_id: str
    chaincode: str
    name: str
    payload: bytes


class _Stream(Generic[Item, Raw]):
    """Opens, reads, reopens; what is opened and how it is read is the subclass's part."""

    def __init__(self, on_break: Callable[[], None] | None = None) -> None:
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._current: Subscription[Raw] | None = None
        self._on_break = on_break

    def __iter__(self) -> Iterator[Item]:
        pause_s = FIRST_PAUSE_S
        while not self._closed.is_set():
            try:
                for item in self._read_once():
                    pause_s = FIRST_PAUSE_S
                    yield item
                return
            except TransportError as error:
                if self._closed.is_set():
                    return
                if error.status not in BROKEN:
                    raise StreamError(error) from error
            if self._on_break is not None:
                self._on_break()
            self._closed.wait(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def close(self) -> None:
        """End the iteration, also one that waits on another thread."""
        self._closed.set()
        with self._lock:
            if self._current is not None:
                self._current.close()

    def _read_once(self) -> Iterator[Item]:
        subscription = self._open()
        with self._lock:
            self._current = subscription
        if self._closed.is_set():
            subscription.close()
        try:
            for raw in subscription:
                yield from self._items(raw)
        finally:
            subscription.close()

    def _open(self) -> Subscription[Raw]:
        raise NotImplementedError

    def _items(self, raw: Raw) -> Iterator[Item]:
        raise NotImplementedError


class BlockStream(_Stream[Item, events_pb2.DeliverResponse], Generic[Item]):
    """Blocks, full or filtered, in order and without gaps."""

    def __init__(
        self,
        transport: LedgerTransport,
        channel: str,
        signer: SigningIdentity,
        start_block: int | None,
        stop_block: int | None,
        *,
        filtered: bool,
        on_break: Callable[[], None] | None = None,
    ) -> None:
        """:param on_break: called on the iterating thread each time the connection breaks."""
        super().__init__(on_break)
        self._transport = transport
        self._channel = channel
        self._signer = signer
        self._next = start_block
        self._stop = LAST_BLOCK if stop_block is None else stop_block
        self._filtered = filtered

    @property
    def next_block(self) -> int | None:
        """The block that comes next, None before the first one of an open start."""
        return self._next

    def _open(self) -> Subscription[events_pb2.DeliverResponse]:
        payload = seek_payload(
            self._channel,
            self._signer.serialized,
            self._next,
            self._stop,
            self._transport.tls_certificate_hash,
        )
        envelope = common_pb2.Envelope(payload=payload, signature=self._signer.sign(payload))
        return self._transport.deliver(envelope, filtered=self._filtered)

    def _items(self, raw: events_pb2.DeliverResponse) -> Iterator[Item]:
        kind = raw.WhichOneof("Type")
        if kind == "status":
            if raw.status != common_pb2.SUCCESS:
                raise _refused(raw.status, self._channel)
            return
        block = raw.filtered_block if kind == "filtered_block" else raw.block
        number = block.number if kind == "filtered_block" else block.header.number
        self._next = number + 1
        yield block
        if number >= self._stop:
            self.close()


class EventStream(_Stream[ChaincodeEvent, gateway_pb2.ChaincodeEventsResponse]):
    """One chaincode's events in block order, then transaction order."""

    def __init__(
        self,
        transport: LedgerTransport,
        channel: str,
        chaincode: str,
        signer: SigningIdentity,
        start_block: int | None,
        after_tx_id: str = "",
    ) -> None:
        super().__init__()
        self._transport = transport
        self._channel = channel
        self._chaincode = chaincode
        self._signer = signer
        self._block = start_block
        self._after = after_tx_id

    @property
    def checkpoint(self) -> tuple[int | None, str]:
        """Block number and transaction id of the last event handed out: start here next time."""
        return self._block, self._after

    def _open(self) -> Subscription[gateway_pb2.ChaincodeEventsResponse]:
        request = events_request(
            self._channel, self._chaincode, self._signer.serialized, self._block, self._after
        )
        signed = gateway_pb2.SignedChaincodeEventsRequest(
            request=request, signature=self._signer.sign(request)
        )
        return self._transport.chaincode_events(signed)

    def _items(self, raw: gateway_pb2.ChaincodeEventsResponse) -> Iterator[ChaincodeEvent]:
        for event in raw.events:
            self._block, self._after = raw.block_number, event.tx_id
            yield ChaincodeEvent(
                raw.block_number,
                event.tx_id,
                event.chaincode_id,
                event.event_name,
                bytes(event.payload),
            )


def seek_payload(
    channel: str,
    creator: bytes,
    start_block: int | None,
    stop_block: int = LAST_BLOCK,
    tls_certificate_hash: bytes = b"",
) -> bytes:
    """``common.Payload`` bytes of a Deliver request, to be signed into an Envelope.

    :param start_block: None starts at the next block to be committed.
    """
    header = common_pb2.ChannelHeader(
        type=common_pb2.DELIVER_SEEK_INFO,
        channel_id=channel,
        tls_cert_hash=tls_certificate_hash,
    )
    header.timestamp.FromNanoseconds(time.time_ns())
    seek = ab_pb2.SeekInfo(start=_position(start_block), stop=_position(stop_block))
    payload = common_pb2.Payload(
        header=common_pb2.Header(
            channel_header=header.SerializeToString(),
            signature_header=common_pb2.SignatureHeader(creator=creator).SerializeToString(),
        ),
        data=seek.SerializeToString(),
    )
    return bytes(payload.SerializeToString())


def events_request(
    channel: str, chaincode: str, creator: bytes, start_block: int | None, after_tx_id: str = ""
) -> bytes:
    """``gateway.ChaincodeEventsRequest`` bytes, to be signed."""
    request = gateway_pb2.ChaincodeEventsRequest(
        channel_id=channel,
        chaincode_id=chaincode,
        identity=creator,
        start_position=_position(start_block),
        after_transaction_id=after_tx_id,
    )
    return bytes(request.SerializeToString())


def _position(block: int | None) -> ab_pb2.SeekPosition:
    if block is None:
        return ab_pb2.SeekPosition(next_commit=ab_pb2.SeekNextCommit())
    return ab_pb2.SeekPosition(specified=ab_pb2.SeekSpecified(number=block))


def _refused(status: int, channel: str) -> TransportError:
    name = common_pb2.Status.Name(status)
    return TransportError(
        DELIVER_STATUS.get(status, grpc.StatusCode.UNKNOWN),
        f"the node refused to deliver blocks of channel {channel}: {name}",
    )
