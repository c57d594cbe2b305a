"""Where capture jobs are kept: their rows in ``capture_jobs``, their bodies in a folder.

The folder ``<home>/gateway/captures`` holds two files per job that is not finished: ``<id>.json``,
the body as received, and ``<id>.meta``, who sent it. Both are synced to disk before the row is
written, and the row is there before the caller hears 202.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Engine, RowMapping, insert, select, update

from gateway.database import reading, writing
from gateway.epcis.errors import CaptureRefused
from gateway.errors import DatabaseUnavailable
from gateway.state_tables import capture_jobs

MAX_ERRORS = 1000
ORPHAN_S = 3600.0


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent a job: the ledger identity that signs, the party, and the party acted for."""

    msp_id: str
    user: str
    party: str
    actor: str = ""


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


class JobStore:
    """Rows and files of capture jobs; thread-safe, and shared by the gateways of one home."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine = engine
        self._folder = folder

    def create(self, body: bytes, sender: Sender, behaviour: str, events: int) -> Job:
        """Keep a new job durably.

        :raises CaptureRefused: the disk takes nothing. :raises DatabaseUnavailable:
        """
        job = Job(
            secrets.token_hex(12), _now_ms(), None, sender.party, True, True, behaviour, events,
            0, [],
        )  # fmt: skip
        try:
            self._spool(job.id, body, sender, behaviour)
            with writing(self._engine) as connection:
                connection.execute(
                    insert(capture_jobs).values(
                        id=job.id,
                        created_ms=job.created_ms,
                        finished_ms=None,
                        owner=job.owner,
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
            self.forget_files(job.id)
            reason = errno.errorcode.get(error.errno or 0, "unknown")
            raise CaptureRefused(
                "STORAGE_UNAVAILABLE",
                f"the gateway cannot write to its disk ({reason}), so nothing was taken; "
                "try again later",
            ) from error
        except DatabaseUnavailable:
            self.forget_files(job.id)
            raise
        return job

    def get(self, job_id: str) -> Job | None:
        """The job, or None. :raises DatabaseUnavailable:"""
        with reading(self._engine) as connection:
            query = select(capture_jobs).where(capture_jobs.c.id == job_id)
            row = connection.execute(query).mappings().first()
        return _job(row) if row is not None else None

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
        with reading(self._engine) as connection:
            return [_job(row) for row in connection.execute(query).mappings()]

    def progress(self, job_id: str, anchored: int) -> None:
        """Note how many events are on the chain so far."""
        self._update(job_id, {"anchored": anchored})

    def finish(
        self,
        job_id: str,
        errors: list[dict[str, Any]],
        anchored: int | None = None,
        duplicates: int = 0,
        findings: int = 0,
    ) -> None:
        """Note the end of a job. anchored: None leaves what was noted last."""
        if len(errors) > MAX_ERRORS:
            message = f"only the first {MAX_ERRORS} of {len(errors)} errors are listed"
            errors = [*errors[:MAX_ERRORS], {"code": "TOO_MANY_FAULTS", "detail": message}]
        report = {
            "errors": errors,
            "duplicates": duplicates,
            "findings": findings,
        }
        values: dict[str, Any] = {
            "running": False,
            "success": not errors,
            "finished_ms": _now_ms(),
            "errors": orjson.dumps(report).decode(),
        }
        if anchored is not None:
            values["anchored"] = anchored
        self._update(job_id, values)

    def _update(self, job_id: str, values: Mapping[str, Any]) -> None:
        with writing(self._engine) as connection:
            connection.execute(
                update(capture_jobs).where(capture_jobs.c.id == job_id).values(**values)
            )

    # -- files ------------------------------------------------------------------------------------

    def body(self, job_id: str) -> bytes:
        """The body as received. :raises FileNotFoundError:"""
        return (self._folder / f"{job_id}.json").read_bytes()

    @contextmanager
    def locked(self, job_id: str) -> Iterator[dict[str, str] | None]:
        """Who sent the job, held for this process alone; None where another one has it.

        :raises FileNotFoundError: the job is finished.
        """
        with (self._folder / f"{job_id}.meta").open("rb") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
                return
            yield orjson.loads(handle.read())

    def unfinished(self) -> list[Job]:
        """Jobs to go on with, oldest first; removes files whose job is finished or never was."""
        found: list[Job] = []
        for path in sorted(self._folder.glob("*.meta")):
            job = self.get(path.stem)
            if job is not None and job.running:
                found.append(job)
            elif job is not None or time.time() - path.stat().st_mtime > ORPHAN_S:
                self.forget_files(path.stem)
        return sorted(found, key=lambda job: (job.created_ms, job.id))

    def forget_files(self, job_id: str) -> None:
        for suffix in (".json", ".meta"):
            (self._folder / (job_id + suffix)).unlink(missing_ok=True)

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


def _now_ms() -> int:
    return int(time.time() * 1000)
