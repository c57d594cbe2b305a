"""The thread that keeps the read model at the ledger's height.

One thread takes blocks from the ledger port into a bounded queue; this one projects whatever has
come, several blocks in one SQL transaction when it is behind. Any failure ends the round: the
database is asked for its height again and the stream is opened from there, after a pause that
grows to five seconds. So a database that is gone for a while costs time and nothing else.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from fabric_protos.common import common_pb2

from gateway.readmodel.project import ForeignLedger, Projector
from gateway.readmodel.store import ReadModel

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
IDLE_PROBE_S = 1.0
BATCH_BYTES = 32 << 20
SHORT_LEDGER_GRACE_S = 3.0  # a node just opened may still be catching up
_END = object()

log = logging.getLogger(__name__)


class BlockSource(Protocol):
    """A closable stream of blocks in order."""

    def __iter__(self) -> Iterator[common_pb2.Block]: ...

    def close(self) -> None: ...


class BlockLedger(Protocol):
    """The part of the ledger port this needs."""

    def height(self) -> int:
        """Blocks on the ledger now."""

    def blocks(self, start: int) -> BlockSource:
        """Blocks from number `start` on, without end."""


@dataclass(frozen=True, slots=True)
class FollowerStatus:
    """Where the projection stands: blocks projected and seen, and what stops it ("" nothing)."""

    height: int
    ledger_height: int
    problem: str

    @property
    def lag(self) -> int:
        """Blocks seen and not yet projected."""
        return max(0, self.ledger_height - self.height)


class Follower:
    """Projects the blocks of `ledger` until closed."""

    def __init__(
        self,
        readmodel: ReadModel,
        projector: Projector,
        ledger: BlockLedger,
        batch_blocks: int = 64,
        prepare: Callable[[], object] = lambda: None,
    ) -> None:
        """`prepare` is called before each round: what else the database's return makes due."""
        self._readmodel = readmodel
        self._projector = projector
        self._ledger = ledger
        self._batch = batch_blocks
        self._prepare = prepare
        self._closed = threading.Event()
        self._rebuild = threading.Event()
        self._source: BlockSource | None = None
        self._ledger_height = 0
        self._problem = "starting"
        self._thread = threading.Thread(target=self._run, name="readmodel", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the SQL transaction under way, and wait for it."""
        self._closed.set()
        self._close_source()
        if self._thread.is_alive():
            self._thread.join(30)

    def rebuild(self) -> None:
        """Ask for a rebuild from block 0; who waits for a height waits for the new rows."""
        self._rebuild.set()
        self._readmodel.advance(0, lower=True)
        self._close_source()

    def status(self) -> FollowerStatus:
        """Where the projection stands now."""
        return FollowerStatus(self._readmodel.known_height, self._ledger_height, self._problem)

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._closed.is_set():
            before = self._readmodel.known_height
            try:
                self._round()
            except Exception as error:
                self._problem = f"{type(error).__name__}: {error}".split("\n")[0][:300]
                log.warning("projection interrupted", extra={"reason": self._problem})
                self._projector.forget()
                if isinstance(error, ForeignLedger) and self._readmodel.is_private:
                    self._rebuild.set()
            if self._rebuild.is_set():
                continue
            moved = self._readmodel.known_height != before
            pause_s = FIRST_PAUSE_S if moved else min(pause_s * 2, LONGEST_PAUSE_S)
            self._closed.wait(pause_s)

    def _round(self) -> None:
        if self._rebuild.is_set():
            self._readmodel.prepare(announce=False)
            self._readmodel.reset()
            self._projector.forget()
            self._rebuild.clear()
        self._prepare()
        height = self._readmodel.prepare()
        self._check_same_ledger(height)
        source = self._source = self._ledger.blocks(height)
        blocks: queue.Queue[object] = queue.Queue(self._batch * 2)
        reader = threading.Thread(
            target=self._read, args=(source, blocks), name="readmodel-blocks", daemon=True
        )
        reader.start()
        try:
            self._problem = ""
            while not (self._closed.is_set() or self._rebuild.is_set()):
                batch = self._take(blocks)
                if not batch:
                    return
                self._require_file()
                self._announce(self._projector.apply(batch))
        finally:
            source.close()
            _drain(blocks)
            reader.join(5)

    def _check_same_ledger(self, height: int) -> None:
        """A shorter ledger, or another block before `height`, is not the one projected so far."""
        deadline = time.monotonic() + SHORT_LEDGER_GRACE_S
        while (ledger := self._ledger.height()) < height:
            if time.monotonic() > deadline or self._closed.wait(0.2):
                raise ForeignLedger(
                    f"the read model holds {height} blocks and the ledger has {ledger}: it belongs "
                    "to another ledger or to a later state of this one; rebuild it"
                )
        self._ledger_height = ledger

    def _read(self, source: BlockSource, blocks: queue.Queue[object]) -> None:
        try:
            for block in source:
                self._ledger_height = max(self._ledger_height, block.header.number + 1)
                blocks.put(block)
            blocks.put(_END)
        except Exception as error:
            blocks.put(error)

    def _take(self, blocks: queue.Queue[object]) -> list[common_pb2.Block]:
        batch: list[common_pb2.Block] = []
        size = 0
        item = self._wait_for(blocks)
        while True:
            if not isinstance(item, common_pb2.Block):
                if batch:
                    blocks.put(item)  # the next round of taking meets it first
                    return batch
                if isinstance(item, Exception):
                    raise item
                return batch
            batch.append(item)
            size += item.ByteSize()
            if len(batch) >= self._batch or size > BATCH_BYTES:
                return batch
            try:
                item = blocks.get_nowait()
            except queue.Empty:
                return batch

    def _wait_for(self, blocks: queue.Queue[object]) -> object:
        """The next item; while there is none, the database is asked whether it is still there."""
        while True:
            try:
                return blocks.get(timeout=IDLE_PROBE_S)
            except queue.Empty:
                self._announce(self._readmodel.height())
                self._require_file()

    def _announce(self, height: int) -> None:
        if not self._rebuild.is_set():  # then these rows are about to go
            self._readmodel.advance(height)

    def _require_file(self) -> None:
        if self._readmodel.file_lost():
            raise FileNotFoundError("the read model's file is gone")

    def _close_source(self) -> None:
        source = self._source
        if source is not None:
            source.close()


def _drain(blocks: queue.Queue[object]) -> None:
    while True:
        try:
            blocks.get_nowait()
        except queue.Empty:
            return
