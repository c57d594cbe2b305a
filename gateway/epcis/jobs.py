"""Capture jobs: what was received is worked off, even across a restart.

A job is a row of ``capture_jobs`` and, while it runs, two files below
``<home>/gateway/captures``: ``<id>.json`` (the body as received) and ``<id>.meta`` (who sent it).
Both are on disk before the caller hears ``202``. A job found running at start is run again from
its body: captures are idempotent, so what was anchored before is counted, not repeated. A lock on
the ``.meta`` file keeps two gateways of one home from running the same job.

    received  row and files durable           killed now: the job runs at the next start
    running   some transactions committed     killed now: the same; no event is anchored twice
    finished  row says so, then files go      killed between: the files are removed at start
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson
from sqlalchemy import RowMapping, insert, select, update

from gateway.database import reading, writing
from gateway.epcis.capture import PROCEED, ROLLBACK, Capturer, Outcome, Refused
from gateway.epcis.document import Document, read_document
from gateway.epcis.errors import EXCEPTION, CaptureRefused, EpcisError
from gateway.epcis.prepare import Fault, prepare
from gateway.errors import DatabaseUnavailable, to_problem
from gateway.state_tables import capture_jobs

if TYPE_CHECKING:
    from gateway.container import Container

MAX_ERRORS = 1000
WORKERS = 2
RETRIES = 8
RETRY_PAUSE_S = 2.0
LONGEST_PAUSE_S = 10.0
SEEN_WAIT_S = 15.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent a job: the ledger identity that signs, the party, and the party acted for."""

    msp_id: str
    user: str
    party: str
    actor: str = ""

    @property
    def owner(self) -> str:
        return self.party


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its resource shows it (EPCIS 2.0 REST, CaptureJob). Times: ms UTC.

    anchored counts events on the chain, among them `duplicates` that were there before; findings
    counts what the contract noted under policy `report`.
    """

    id: str
    created_ms: int
    finished_ms: int | None
    owner: str
    running: bool
    success: bool
    behaviour: str
    events: int
    anchored: int
    errors: list[dict[str, Any]]
    duplicates: int = 0
    findings: int = 0


class CaptureJobs:
    """Takes, runs, resumes and lists jobs; thread-safe."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._folder = container.home / "gateway" / "captures"
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="capture")
        self._running: dict[str, Future[None]] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def resume(self) -> int:
        """Run again what was running when the process ended; returns how many."""
        if not self._folder.is_dir():
            return 0
        found = 0
        for path in sorted(self._folder.glob("*.meta")):
            job = self.get(path.stem)
            if job is not None and job.running:
                self._start(job.id)
                found += 1
            elif job is not None or time.time() - path.stat().st_mtime > 3600:
                self._remove(path.stem)
        return found

    def submit(self, body: bytes, document: Document, sender: Sender, behaviour: str) -> Job:
        """Make a job durable and start it. `document`: the body, read."""
        events = len(document.events)
        job_id = secrets.token_hex(12)
        now = _now_ms()
        try:
            self._spool(job_id, body, sender, behaviour)
            with writing(self._container.state) as connection:
                connection.execute(
                    insert(capture_jobs).values(
                        id=job_id,
                        created_ms=now,
                        finished_ms=None,
                        owner=sender.owner,
                        running=True,
                        success=True,
                        behaviour=behaviour,
                        document_digest=hashlib.sha256(body).hexdigest(),
                        events=events,
                        anchored=0,
                        errors="{}",
                    )
                )
        except OSError as error:
            self._remove(job_id)
            log.error("capture job not taken", extra={"job": job_id, "errno": error.errno})
            raise CaptureRefused(
                "STORAGE_UNAVAILABLE",
                "the gateway cannot write to its disk, so nothing was taken; try again later",
            ) from error
        except DatabaseUnavailable:
            self._remove(job_id)
            raise
        self._start(job_id, document)
        return Job(job_id, now, None, sender.owner, True, True, behaviour, events, 0, [])

    def _spool(self, job_id: str, body: bytes, sender: Sender, behaviour: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        meta = {
            "msp": sender.msp_id,
            "user": sender.user,
            "party": sender.party,
            "actor": sender.actor,
            "behaviour": behaviour,
        }
        _write(self._folder / f"{job_id}.json", body)
        _write(self._folder / f"{job_id}.meta", orjson.dumps(meta))
        _sync_folder(self._folder)

    def get(self, job_id: str) -> Job | None:
        """The job, or None. :raises DatabaseUnavailable:"""
        with reading(self._container.state) as connection:
            row = connection.execute(
                select(capture_jobs).where(capture_jobs.c.id == job_id)
            ).first()
        return _job(row._mapping) if row is not None else None

    def owned_by(self, owner: str, before: tuple[int, str] | None, limit: int) -> list[Job]:
        """Jobs of `owner`, newest first, after the one at `before` (created_ms, id)."""
        columns = capture_jobs.c
        query = select(capture_jobs).where(columns.owner == owner)
        if before is not None:
            created, job_id = before
            query = query.where(
                (columns.created_ms < created)
                | ((columns.created_ms == created) & (columns.id < job_id))
            )
        query = query.order_by(columns.created_ms.desc(), columns.id.desc()).limit(limit)
        with reading(self._container.state) as connection:
            return [_job(row) for row in connection.execute(query).mappings()]

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
        self._closing.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    # -- running ----------------------------------------------------------------------------------

    def _start(self, job_id: str, document: Document | None = None) -> None:
        with self._lock:
            if job_id in self._running or self._closing.is_set():
                return
            future = self._pool.submit(self._run_locked, job_id, document)
            self._running[job_id] = future

        def forget(_: Future[None]) -> None:
            with self._lock:
                self._running.pop(job_id, None)

        future.add_done_callback(forget)

    def _run_locked(self, job_id: str, document: Document | None) -> None:
        try:
            with (self._folder / f"{job_id}.meta").open("rb") as handle:
                if not _locked(handle):
                    return  # another gateway of this home runs it
                meta = orjson.loads(handle.read())
                self._attempts(job_id, meta, document)
        except FileNotFoundError:
            log.warning("capture job without its files", extra={"job": job_id})
        except DatabaseUnavailable:
            log.warning("capture job left for the next start", extra={"job": job_id})
        except Exception:
            log.exception("capture job failed", extra={"job": job_id})

    def _attempts(self, job_id: str, meta: Mapping[str, Any], document: Document | None) -> None:
        for attempt in range(1, RETRIES + 1):
            started = time.monotonic()
            try:
                outcome = self._run(job_id, meta, document or self._read(job_id))
            except Exception as error:
                problem = to_problem(error)
                passing = problem.status in (502, 503, 504, 409)
                if passing and attempt < RETRIES and not self._closing.is_set():
                    log.warning(
                        "capture job tried again", extra={"job": job_id, "code": problem.code}
                    )
                    self._closing.wait(min(RETRY_PAUSE_S * attempt, LONGEST_PAUSE_S))
                    continue
                if passing and self._closing.is_set():
                    return
                if problem.code == "INTERNAL":
                    log.exception("capture job broke", extra={"job": job_id})
                errors = [_error(problem.status, problem.code, problem.detail, problem.where)]
                self._finish(job_id, None, errors)
                return
            self._finish(job_id, outcome, [_refused(r) for r in outcome.refused])
            log.info(
                "capture job done",
                extra={
                    "job": job_id,
                    "anchored": len(outcome.anchored),
                    "refused": len(outcome.refused),
                    "ms": round((time.monotonic() - started) * 1000),
                },
            )
            return

    def _read(self, job_id: str) -> Document:
        body = (self._folder / f"{job_id}.json").read_bytes()
        return read_document(body, max_bytes=self._container.settings.max_document_bytes)

    def _run(self, job_id: str, meta: Mapping[str, Any], document: Document) -> Outcome:
        prepared, faults = prepare(document)
        behaviour = str(meta["behaviour"])
        outcome = Outcome()
        if not faults or behaviour == PROCEED:
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
            )
            outcome = capturer.run(
                prepared, behaviour, lambda anchored: self._progress(job_id, anchored)
            )
            if outcome.block:
                self._container.readmodel.wait_for(outcome.block, SEEN_WAIT_S)
        outcome.refused[:0] = fault_refusals(faults)
        return outcome

    def _progress(self, job_id: str, anchored: int) -> None:
        with writing(self._container.state) as connection:
            connection.execute(
                update(capture_jobs).where(capture_jobs.c.id == job_id).values(anchored=anchored)
            )

    def _finish(self, job_id: str, outcome: Outcome | None, errors: list[dict[str, Any]]) -> None:
        report: dict[str, Any] = {"errors": errors[:MAX_ERRORS]}
        values: dict[str, Any] = {
            "running": False,
            "success": not errors,
            "finished_ms": _now_ms(),
        }
        if outcome is not None:
            values["anchored"] = len(outcome.anchored)
            report["duplicates"] = sum(item.duplicate for item in outcome.anchored)
            report["findings"] = sum(len(item.findings) for item in outcome.anchored)
        values["errors"] = orjson.dumps(report).decode()
        self._patiently(
            lambda: self._store(job_id, values),
        )
        self._remove(job_id)

    def _store(self, job_id: str, values: Mapping[str, Any]) -> None:
        with writing(self._container.state) as connection:
            connection.execute(
                update(capture_jobs).where(capture_jobs.c.id == job_id).values(**values)
            )

    def _patiently(self, action: Callable[[], None]) -> None:
        """The database may be gone for a while; the job's end is not lost meanwhile."""
        while True:
            try:
                return action()
            except DatabaseUnavailable:
                if self._closing.wait(RETRY_PAUSE_S):
                    raise

    def _remove(self, job_id: str) -> None:
        for suffix in (".json", ".meta"):
            (self._folder / (job_id + suffix)).unlink(missing_ok=True)


def fault_refusals(faults: list[Fault]) -> list[Refused]:
    """Faults of validation as refusals of their events, one for each finding."""
    return [
        Refused(fault.index, finding.pointer, finding.code, finding.message)
        for fault in faults
        for finding in fault.findings
    ]


def _refused(refused: Refused) -> dict[str, Any]:
    error = _error(422, refused.code, refused.message, refused.pointer)
    if refused.index >= 0:
        error["index"] = refused.index
    if refused.where:
        error["rule_where"] = refused.where
    return error


def _error(status: int, code: str, detail: str, where: str) -> dict[str, Any]:
    return {
        "type": EXCEPTION + ("ValidationException" if status < 500 else "ImplementationException"),
        "title": code,
        "status": status,
        "code": code,
        "detail": detail,
        "where": where,
    }


def _job(row: RowMapping) -> Job:
    report = orjson.loads(row["errors"])
    return Job(
        row["id"],
        row["created_ms"],
        row["finished_ms"],
        row["owner"],
        bool(row["running"]),
        bool(row["success"]),
        row["behaviour"],
        row["events"],
        row["anchored"],
        report.get("errors", []),
        report.get("duplicates", 0),
        report.get("findings", 0),
    )


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _locked(handle: BinaryIO) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _now_ms() -> int:
    return int(time.time() * 1000)


__all__ = ["PROCEED", "ROLLBACK", "CaptureJobs", "Job", "Sender", "fault_refusals"]
