"""Streams of committed blocks: deliver, filtered deliver, chaincode events.

A stream belongs to one node and reads that node's ledger; it waits on the network's
:class:`Progress` for the next block and ends when it is closed, when the network closes, or when
what was asked for has been sent. Fabric ``common/deliver`` and ``gateway/chaincodeevents.go``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Condition
from typing import Final, Generic, TypeVar

from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import chaincode_event_pb2, events_pb2

from nodes.blocks import parse_body
from nodes.ledger_keys import join_block, varint
from nodes.messages import ENDORSER_TRANSACTION
from nodes.node import Node
from nodes.transaction import VALID, ParsedTransaction, parse_transaction

T = TypeVar("T")
_WITHOUT_DATA: Final = ab_pb2.SeekInfo.SeekContentType.HEADER_WITH_SIG
_RECENT_BYTES: Final = 32 * 1024 * 1024


class Progress:
    """The height that all running nodes have reached; lets streams wait for the next block."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._height = 0
        self._closed = False
        self._recent: dict[int, list[ParsedTransaction]] = {}
        self._recent_bytes = 0

    @property
    def height(self) -> int:
        """Number of blocks committed by every running node."""
        return self._height

    def advance(self, height: int, transactions: list[ParsedTransaction] | None = None) -> None:
        """Block `height - 1` is committed; its parsed transactions are kept for a while."""
        with self._changed:
            self._height = height
            if transactions is not None:
                self._recent[height - 1] = transactions
                self._recent_bytes += _size(transactions)
                while len(self._recent) > 1 and self._recent_bytes > _RECENT_BYTES:
                    self._recent_bytes -= _size(self._recent.pop(next(iter(self._recent))))
            self._changed.notify_all()

    def transactions(self, node: Node, number: int) -> list[ParsedTransaction]:
        """The transactions of a committed block, taken apart."""
        recent = self._recent.get(number)
        if recent is not None:
            return recent
        body = parse_body(node.ledger.block_body(number))
        return [parse_transaction(envelope) for envelope in body.envelopes()]

    def close(self) -> None:
        """End every stream."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wake(self) -> None:
        """Let waiting streams look whether they were closed."""
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, number: int, closed: Callable[[], bool]) -> bool:
        """Wait until block `number` is committed; False when closed first."""
        with self._changed:
            while self._height <= number:
                if self._closed or closed():
                    return False
                self._changed.wait()
        return not (self._closed or closed())


class Stream(Generic[T]):
    """A subscription: iterate it on one thread, close it from any."""

    def __init__(self, progress: Progress, source: Callable[[Stream[T]], Iterator[T]]) -> None:
        self._progress = progress
        self._closed = False
        self._source = source(self)

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if self._closed:
            raise StopIteration
        return next(self._source)

    def close(self) -> None:
        """End the stream; a waiting iteration stops."""
        self._closed = True
        self._progress.wake()

    def blocks(self, first: int, last: int | None = None) -> Iterator[int]:
        """Numbers of committed blocks from `first` on, each when it is there."""
        number = first
        while last is None or number <= last:
            if not self._progress.wait_for(number, lambda: self._closed):
                return
            yield number
            number += 1


def status(code: int) -> events_pb2.DeliverResponse:
    """The status that ends a delivery."""
    return events_pb2.DeliverResponse(status=code)


def deliver(
    stream: Stream[events_pb2.DeliverResponse],
    progress: Progress,
    node: Node,
    seek: ab_pb2.SeekInfo,
    filtered: bool,
) -> Iterator[events_pb2.DeliverResponse]:
    """Blocks as a SeekInfo asks for them, then a status."""
    height = progress.height
    first = _position(seek.start, height)
    last = None if seek.stop.WhichOneof("Type") == "next_commit" else _position(seek.stop, height)
    if first is None or (last is None and seek.stop.WhichOneof("Type") != "next_commit"):
        yield status(common_pb2.Status.BAD_REQUEST)
        return
    if last is not None and first > last:
        yield status(common_pb2.Status.BAD_REQUEST)
        return
    fails = seek.behavior == ab_pb2.SeekInfo.SeekBehavior.FAIL_IF_NOT_READY
    number = first
    while last is None or number <= last:
        if fails and number >= progress.height:
            yield status(common_pb2.Status.NOT_FOUND)
            return
        if next(stream.blocks(number, number), None) is None:
            return
        yield (
            _filtered(progress, node, number)
            if filtered
            else _full(node, number, seek.content_type == _WITHOUT_DATA)
        )
        number += 1
    yield status(common_pb2.Status.SUCCESS)


def chaincode_events(
    stream: Stream[gateway_pb2.ChaincodeEventsResponse],
    progress: Progress,
    node: Node,
    chaincode: str,
    first: int,
    after_transaction: str,
) -> Iterator[gateway_pb2.ChaincodeEventsResponse]:
    """Events of a chaincode's valid transactions, one message per block that has any.

    With `after_transaction` everything up to and with that transaction is left out.
    """
    passed = not after_transaction
    for number in stream.blocks(first):
        codes = node.codes(number)
        found = []
        for index, transaction in enumerate(progress.transactions(node, number)):
            if codes[index] != VALID or not transaction.event:
                continue
            if not passed:
                passed = transaction.tx_id == after_transaction
                continue
            if transaction.chaincode == chaincode:
                found.append(chaincode_event_pb2.ChaincodeEvent.FromString(transaction.event))
        if found:
            yield gateway_pb2.ChaincodeEventsResponse(events=found, block_number=number)


def _size(transactions: list[ParsedTransaction]) -> int:
    return sum(len(transaction.data) for transaction in transactions)


def _position(position: ab_pb2.SeekPosition, height: int) -> int | None:
    kind = position.WhichOneof("Type")
    if kind == "oldest":
        return 0
    if kind == "newest":
        return height - 1
    if kind == "specified":
        return int(position.specified.number)
    if kind == "next_commit":
        return height
    return None


def _full(node: Node, number: int, without_data: bool) -> events_pb2.DeliverResponse:
    body = node.ledger.block_body(number)
    metadata = node.ledger.block_metadata(number)
    if without_data:
        header = common_pb2.Block.FromString(body).header
        body = common_pb2.Block(header=header).SerializeToString()
    block = join_block(body, metadata)
    # Field 2 of DeliverResponse is the block: its bytes are taken over without decoding it first.
    return events_pb2.DeliverResponse.FromString(b"\x12" + varint(len(block)) + block)


def _filtered(progress: Progress, node: Node, number: int) -> events_pb2.DeliverResponse:
    codes = node.codes(number)
    transactions = progress.transactions(node, number)
    block = events_pb2.FilteredBlock(number=number)
    for index, transaction in enumerate(transactions):
        block.channel_id = block.channel_id or transaction.channel
        entry = block.filtered_transactions.add(
            txid=transaction.tx_id,
            type=max(transaction.header_type, 0),
            tx_validation_code=codes[index],
        )
        if transaction.header_type != ENDORSER_TRANSACTION:
            continue
        entry.transaction_actions.SetInParent()
        if transaction.event:
            event = chaincode_event_pb2.ChaincodeEvent.FromString(transaction.event)
            event.ClearField("payload")
            entry.transaction_actions.chaincode_actions.add(chaincode_event=event)
    return events_pb2.DeliverResponse(filtered_block=block)
