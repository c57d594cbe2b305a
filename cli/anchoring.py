"""Documents onto the ledger through the EPCIS capture interface, one job each, resumably.

What was sent is noted in a local journal: document digest and capture job. A document found there
is not sent again while its job is known to the gateway; a job still running is waited for. The
journal saves work and is no proof: without it the document is sent again, and since captures are
idempotent by event hash, nothing is anchored twice.

    sent, journal written, killed      the next run waits for the job
    sent, killed before the journal    the next run sends it again; the contract knows the events
    another network at the same URL    its gateway does not know the job: the document is sent
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cli.client import Client
from cli.errors import NotFound, Unexpected
from cli.profile import state_folder

FIRST_PAUSE_S: Final = 0.01
LONGEST_PAUSE_S: Final = 0.5
ROLLBACK: Final = "rollback"
PROCEED: Final = "proceed"

Progress = Callable[[int, int], None]
"""Called with (events anchored, events in the document)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one document. `known`: it was anchored before this run."""

    name: str
    job: str
    events: int
    anchored: int
    known: bool
    errors: list[dict[str, Any]]

    @property
    def accepted(self) -> bool:
        """Whether every event is on the ledger."""
        return not self.errors

    def to_json(self) -> dict[str, Any]:
        """As ``tracemark anchor --json`` prints it."""
        return {
            "file": self.name,
            "job": self.job,
            "events": self.events,
            "anchored": self.anchored,
            "already": self.known,
            "errors": self.errors,
        }


@dataclass(slots=True)
class Journal:
    """Digest of what was sent (64 hex) to its capture job, for one gateway; append-only lines."""

    path: Path
    jobs: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, url: str) -> Journal:
        """The journal for the gateway at `url`."""
        name = hashlib.sha256(url.encode()).hexdigest()[:16]
        return cls.at(state_folder() / "anchored" / f"{name}.jsonl")

    @classmethod
    def at(cls, path: Path) -> Journal:
        """The journal in a file; damaged lines are passed over."""
        journal = cls(path)
        try:
            lines = journal.path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return journal
        for text in lines:
            try:
                entry = json.loads(text)
                journal.jobs[entry["digest"]] = str(entry["job"])
            except (ValueError, KeyError, TypeError):
                continue
        return journal

    def note(self, digest: str, job: str, name: str) -> None:
        """Remember that `digest` was sent as `job`."""
        self.jobs[digest] = job
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        entry = json.dumps({"digest": digest, "job": job, "file": name})
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(entry + "\n")


def anchor(
    client: Client,
    name: str,
    body: bytes,
    *,
    actor: str = "",
    behaviour: str = ROLLBACK,
    journal: Journal | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Anchor one document and wait until its job is done.

    actor: party acted for under a delegation, or "". behaviour: ``rollback`` (all events or none)
    or ``proceed``. Raises CliError; refused events are in the outcome.
    """
    digest = digest_of(body, actor, behaviour)
    job = _job_before(client, journal, digest, progress)
    if job is not None and job["success"]:
        return _outcome(name, job, known=True)
    headers = {"Content-Type": "application/json", "GS1-Capture-Error-Behaviour": behaviour}
    if actor:
        headers["Tracemark-Actor"] = actor
    answer = client.request("POST", "/epcis/v2/capture", content=body, headers=headers)
    location = answer.headers.get("Location", "")
    job_id = location.rpartition("/")[2]
    if not job_id:
        raise Unexpected("the gateway took the document but named no capture job")
    if journal is not None:
        journal.note(digest, job_id, name)
    return _outcome(name, _wait(client, job_id, progress), known=False)


def digest_of(body: bytes, actor: str, behaviour: str) -> str:
    """What makes two captures the same to the journal."""
    return hashlib.sha256(b"\0".join((actor.encode(), behaviour.encode(), body))).hexdigest()


def refused(outcomes: Iterable[Outcome]) -> bool:
    """Whether any event of any document was refused."""
    return any(not outcome.accepted for outcome in outcomes)


def _job_before(
    client: Client, journal: Journal | None, digest: str, progress: Progress | None
) -> dict[str, Any] | None:
    job_id = journal.jobs.get(digest) if journal is not None else None
    if job_id is None:
        return None
    try:
        return _wait(client, job_id, progress)
    except NotFound:
        return None


def _wait(client: Client, job_id: str, progress: Progress | None) -> dict[str, Any]:
    pause = FIRST_PAUSE_S
    while True:
        job: dict[str, Any] = client.get(f"/epcis/v2/capture/{job_id}")
        if progress is not None:
            progress(job.get("anchored", 0), job.get("events", 0))
        if not job["running"]:
            return job
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE_S)


def _outcome(name: str, job: dict[str, Any], known: bool) -> Outcome:
    return Outcome(
        name,
        str(job["captureID"]),
        int(job.get("events", 0)),
        int(job.get("anchored", 0)),
        known,
        list(job.get("errors", [])),
    )
