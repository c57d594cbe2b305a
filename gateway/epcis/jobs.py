"""Capture jobs: what was received is worked off, even across a restart.

A job found running at start is run again from its body: captures are idempotent, so what was
anchored before is counted, not repeated. A lock per job keeps two gateways of one home from
running the same one.

    received  row and files durable           killed now: the job runs at the next start
    running   some transactions committed     killed now: the same; no event is anchored twice
    finished  row says so, then files go      killed between: the files are removed at start

Jobs of one party run in the order received, so that a shipment never overtakes the commissioning
sent before it; jobs of different parties run side by side.

A part that does not answer (ledger, node, database) is asked again for about a minute before the
job ends with its error; a job's end waits for the database as long as it takes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from gateway.epcis.access import commitments_of
from gateway.epcis.capture import PROCEED, Capturer, Outcome, Refused
from gateway.epcis.document import Document, read_document
from gateway.epcis.errors import EXCEPTION, EpcisError
from gateway.epcis.job_store import Job, JobStore, Sender
from gateway.epcis.prepare import Fault, prepare
from gateway.errors import DatabaseUnavailable, Problem, to_problem

if TYPE_CHECKING:
    from gateway.container import Container

WORKERS = 2
RETRIES = 8
RETRY_PAUSE_S = 2.0
LONGEST_PAUSE_S = 10.0
SEEN_WAIT_S = 15.0
_PASSING = frozenset((409, 502, 503, 504))

log = logging.getLogger(__name__)

__all__ = ["CaptureJobs", "Job", "Sender"]


class CaptureJobs:
    """Takes, runs and resumes jobs; thread-safe."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self.store = JobStore(container.state, container.home / "gateway" / "captures")
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="capture")
        self._running: dict[str, Future[None]] = {}
        self._queues: dict[str, deque[tuple[str, Document | None]]] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def resume(self) -> int:
        """Run again what was running when a process ended; returns how many."""
        found = self.store.unfinished()
        for job in found:
            self._queue(job, None)
        return len(found)

    def submit(self, body: bytes, document: Document, sender: Sender, behaviour: str) -> Job:
        """Make a job durable and queue it. `document`: the body, read."""
        job = self.store.create(body, sender, behaviour, len(document.events))
        self._queue(job, document)
        return job

    @property
    def running(self) -> int:
        """Jobs of this process that are not done."""
        return len(self._running)

    def wait(self, job_id: str, timeout_s: float) -> bool:
        """Wait until a job of this process is done; True if it is."""
        with self._lock:
            future = self._running.get(job_id)
        if future is None:
            return True
        try:
            future.result(timeout_s)
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Let the transactions under way finish; the rest is resumed at the next start."""
        with self._lock:
            self._closing.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    # -- running ----------------------------------------------------------------------------------

    def _queue(self, job: Job, document: Document | None) -> None:
        with self._lock:
            if job.id in self._running or self._closing.is_set():
                return
            self._running[job.id] = Future()
            if job.owner in self._queues:
                # It waits: its document is read again from disk, not kept in memory meanwhile.
                self._queues[job.owner].append((job.id, None))
                return
            self._queues[job.owner] = deque([(job.id, document)])
            self._pool.submit(self._next, job.owner)

    def _next(self, owner: str) -> None:
        """Work off the owner's oldest job, then make room for other owners."""
        with self._lock:
            job_id, document = self._queues[owner].popleft()
        try:
            self._work(job_id, document)
        finally:
            with self._lock:
                self._running.pop(job_id).set_result(None)
                if not self._queues[owner]:
                    del self._queues[owner]
                elif not self._closing.is_set():
                    self._pool.submit(self._next, owner)

    def _work(self, job_id: str, document: Document | None) -> None:
        try:
            with self.store.locked(job_id) as meta:
                if meta is not None:
                    self._attempt(job_id, meta, document)
        except FileNotFoundError:
            log.warning("capture job without its files", extra={"job": job_id})
        except DatabaseUnavailable:
            log.warning("capture job left for the next start", extra={"job": job_id})
        except Exception:
            log.exception("capture job failed", extra={"job": job_id})

    def _attempt(self, job_id: str, meta: Mapping[str, str], document: Document | None) -> None:
        started = time.monotonic()
        for attempt in range(1, RETRIES + 1):
            try:
                outcome = self._run(job_id, meta, document or self._read(job_id))
                break
            except Exception as error:
                problem = to_problem(error)
                if problem.code == "INTERNAL":
                    log.exception("capture job broke", extra={"job": job_id})
                if problem.status in _PASSING and self._closing.is_set():
                    return
                if problem.status not in _PASSING or attempt == RETRIES:
                    self._end(job_id, None, [_of_problem(problem)])
                    return
                log.warning("capture job again", extra={"job": job_id, "code": problem.code})
                self._closing.wait(min(RETRY_PAUSE_S * attempt, LONGEST_PAUSE_S))
        self._end(job_id, outcome, [_of_refusal(refused) for refused in outcome.refused])
        log.info(
            "capture job done",
            extra={
                "job": job_id,
                "anchored": len(outcome.anchored),
                "refused": len(outcome.refused),
                "ms": round((time.monotonic() - started) * 1000),
            },
        )

    def _read(self, job_id: str) -> Document:
        body = self.store.body(job_id)
        return read_document(body, max_bytes=self._container.settings.max_document_bytes)

    def _run(self, job_id: str, meta: Mapping[str, str], document: Document) -> Outcome:
        prepared, faults = prepare(document)
        outcome = Outcome()
        if not faults or meta["behaviour"] == PROCEED:
            signer = self._container.wallet.get(meta["msp"], meta["user"])
            if signer is None:
                raise EpcisError(
                    "KEY_NOT_HELD", "the sender's signing key is no longer held by this gateway"
                )
            capturer = Capturer(
                self._container.ledger,
                self._container.payloads,
                signer,
                meta["msp"],
                meta["party"],
                meta["actor"],
                commitments_of(self._container.readmodel),
            )
            outcome = capturer.run(
                prepared,
                meta["behaviour"],
                lambda anchored: self.store.progress(job_id, anchored),
            )
            if outcome.block:
                self._container.readmodel.wait_for(outcome.block, SEEN_WAIT_S)
        outcome.refused[:0] = _of_faults(faults)
        return outcome

    def _end(self, job_id: str, outcome: Outcome | None, errors: list[dict[str, Any]]) -> None:
        anchored = outcome.anchored if outcome is not None else []
        while True:
            try:
                self.store.finish(
                    job_id,
                    errors,
                    len(anchored) if outcome is not None else None,
                    sum(item.duplicate for item in anchored),
                    sum(len(item.findings) for item in anchored),
                )
                break
            except DatabaseUnavailable:
                if self._closing.wait(RETRY_PAUSE_S):
                    raise
        self.store.forget_files(job_id)


# -- errors of a job ------------------------------------------------------------------------------


def _of_faults(faults: list[Fault]) -> list[Refused]:
    return [
        Refused(fault.index, finding.pointer, finding.code, finding.message)
        for fault in faults
        for finding in fault.findings
    ]


def _of_refusal(refused: Refused) -> dict[str, Any]:
    error = _error(422, refused.code, refused.message, refused.pointer)
    if refused.index >= 0:
        error["index"] = refused.index
    if refused.where:
        error["rule_where"] = refused.where
    return error


def _of_problem(problem: Problem) -> dict[str, Any]:
    return _error(problem.status, problem.code, problem.detail, problem.where)


def _error(status: int, code: str, detail: str, where: str) -> dict[str, Any]:
    name = "ValidationException" if status < 500 else "ImplementationException"
    return {
        "type": EXCEPTION + name,
        "title": code,
        "status": status,
        "code": code,
        "detail": detail,
        "where": where,
    }
