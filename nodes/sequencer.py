"""The sequencer: takes signed transactions in, cuts them into blocks, logs the blocks.

A block is cut when 1. it is full by count or bytes; 2. no more is about to come: every proposal
that came for endorsement has been submitted and, if others came while the last block was made,
nothing has come for 3 ms, so a lone transaction never waits; or 3. the batch timeout has passed
since its first transaction. Under load rule 3 makes one synced block of many transactions.
Configuration updates stand alone in their block.

The queue is bounded: beyond it `submit` raises RESOURCE_EXHAUSTED and the client tries again.
What is in the queue is not durable yet; what `order` returned is.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from threading import Condition, Lock
from typing import Final

import grpc

from nodes.blocks import Body, build_body, orderer_metadata
from nodes.config import BatchRules, ChannelConfig
from nodes.errors import GatewayError, LedgerError
from nodes.identity.signer import Signer
from nodes.orderlog import OrderLog
from nodes.transaction import ParsedTransaction
from nodes.verification import SignatureVerifier

MAX_QUEUED: Final = 20_000
MAX_QUEUED_BYTES: Final = 256 * 1024 * 1024
_GAP_SECONDS: Final = 0.003

Task = Callable[[], None]


class Sequencer:
    """Queue, cutter and log. Any thread submits; one thread takes and orders."""

    def __init__(self, log: OrderLog, signer: Signer, verifier: SignatureVerifier) -> None:
        self.log = log
        self.signer = signer
        self.failure: LedgerError | None = None
        self._verifier = verifier
        self._changed = Condition()
        self._expecting = Lock()
        self._queue: deque[ParsedTransaction] = deque()
        self._queued_bytes = 0
        self._tasks: deque[Task] = deque()
        self._expected: dict[str, float] = {}
        self._first_arrival = 0.0
        self._last_arrival = 0.0
        self._busy = False
        self._closed = False
        self._rules = BatchRules(1, 1, 1, 1)

    def use(self, rules: BatchRules) -> None:
        """Cut by these rules from the next block on."""
        self._rules = rules

    # -- coming in -------------------------------------------------------------------------------

    def expect(self, tx_id: str) -> None:
        """A proposal came for endorsement: its transaction will probably follow."""
        with self._expecting:
            self._expected[tx_id] = time.monotonic()

    def forget(self, tx_id: str) -> None:
        """The expected transaction will not follow."""
        with self._expecting:
            self._expected.pop(tx_id, None)
        if not self._expected:
            with self._changed:
                self._changed.notify()

    def submit(self, transaction: ParsedTransaction) -> None:
        """Queue a transaction; raises GatewayError when full, stopped or closed."""
        size = len(transaction.data)
        rules = self._rules
        if size > rules.absolute_max_bytes:
            raise GatewayError(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"the transaction has {size} bytes; a block holds {rules.absolute_max_bytes}",
            )
        with self._expecting:
            self._expected.pop(transaction.tx_id, None)
        with self._changed:
            self._refuse_when_stopped()
            if len(self._queue) >= MAX_QUEUED or self._queued_bytes + size > MAX_QUEUED_BYTES:
                raise GatewayError(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    f"{len(self._queue)} transactions wait to be ordered; try again shortly",
                )
            self._last_arrival = time.monotonic()
            if not self._queue:
                self._first_arrival = self._last_arrival
            self._queue.append(transaction)
            self._queued_bytes += size
            # A lingering cutter looks for itself; each needless wake-up costs a thread switch.
            if len(self._queue) == 1 or self._is_full() or not (self._expected or self._busy):
                self._changed.notify()

    def call(self, task: Task) -> None:
        """Run `task` on the ordering thread, after what is queued already is cut."""
        with self._changed:
            self._refuse_when_stopped()
            self._tasks.append(task)
            self._changed.notify()

    def close(self) -> None:
        """Let `take` hand out what is queued, and then None."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def stop(self, failure: LedgerError) -> list[ParsedTransaction]:
        """Take nothing more after a storage failure; returns what was waiting."""
        with self._changed:
            self.failure = failure
            waiting = list(self._queue)
            self._queue.clear()
            self._queued_bytes = 0
            self._tasks.clear()
            return waiting

    # -- going out -------------------------------------------------------------------------------

    def take(self) -> list[ParsedTransaction] | Task | None:
        """Wait for the next batch or task; None once closed and empty."""
        with self._changed:
            self._busy = bool(self._queue)
            while not self._queue and not self._tasks:
                if self._closed:
                    return None
                self._changed.wait()
            if not self._queue:
                return self._tasks.popleft()
            self._linger()
            return self._cut()

    def order(
        self, envelopes: list[bytes], previous_hash: bytes, last_config: int
    ) -> tuple[Body, list[bytes]]:
        """Make the next block of serialized envelopes and log it durably; raises LedgerError."""
        body = build_body(self.log.height, previous_hash, envelopes)
        slots, signature, digest = orderer_metadata(self.signer, body, last_config)
        self.log.append(body, slots)
        self._signed = (signature, digest)
        return body, slots

    def remember_own_signature(self, config: ChannelConfig) -> None:
        """Spare the nodes the check of a signature that was just made here."""
        signature, digest = self._signed
        identity = config.msps.accept(self.signer.serialized)
        self._verifier.remember(identity.point, digest, signature)

    # -- inside ----------------------------------------------------------------------------------

    def _refuse_when_stopped(self) -> None:
        if self.failure is not None:
            raise GatewayError(
                grpc.StatusCode.UNAVAILABLE,
                f"the sequencer has stopped and takes no transactions: {self.failure}",
            )
        if self._closed:
            raise GatewayError(grpc.StatusCode.UNAVAILABLE, "the network is shutting down")

    def _is_full(self) -> bool:
        return (
            len(self._queue) >= self._rules.max_message_count
            or self._queued_bytes >= self._rules.preferred_max_bytes
        )

    def _linger(self) -> None:
        patience = self._rules.batch_timeout_ms / 1000
        deadline = self._first_arrival + patience
        while not (self._is_full() or self._closed):
            now = time.monotonic()
            expected = self._anyone_expected(now - patience)
            flowing = self._busy and now - self._last_arrival < _GAP_SECONDS
            if now >= deadline or not (expected or flowing):
                return
            self._changed.wait(min(deadline - now, _GAP_SECONDS))

    def _anyone_expected(self, since: float) -> bool:
        with self._expecting:
            while self._expected:
                oldest = next(iter(self._expected))
                if self._expected[oldest] >= since:
                    return True
                del self._expected[oldest]
            return False

    def _cut(self) -> list[ParsedTransaction]:
        batch: list[ParsedTransaction] = []
        size = 0
        while self._queue and len(batch) < self._rules.max_message_count:
            following = len(self._queue[0].data)
            if batch and size + following > self._rules.preferred_max_bytes:
                break
            batch.append(self._queue.popleft())
            size += following
        self._queued_bytes -= size
        self._first_arrival = time.monotonic()
        return batch
