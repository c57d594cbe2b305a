"""EPCIS 2.0 REST bindings below ``/epcis/v2``: capture, events, resources, named queries.

Everything here needs a caller. Capturing needs the caller's key in the gateway's wallet; a caller
whose key stays at home signs ``event:capture`` offline under ``/v1/ledger``. A party that acts for
another names it in ``Tracemark-Actor``; a regulator names its provision in
``Tracemark-Legal-Basis``.
"""

from __future__ import annotations

import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from gateway.auth import Caller
from gateway.container import Container
from gateway.epcis import negotiation as gs1
from gateway.epcis.access import commitments_of, payload_of
from gateway.epcis.answers import capture_job, collection, query_document, with_digital_links
from gateway.epcis.capture import PROCEED, Capturer, require_party
from gateway.epcis.document import Document, read_document
from gateway.epcis.errors import (
    DocumentError,
    QueryError,
    ValidationFailed,
)
from gateway.epcis.jobs import CaptureJobs, Sender
from gateway.epcis.prepare import payload_parts, prepare
from gateway.epcis.query import find_event
from gateway.epcis.validate import validate_header
from gateway.errors import Problem
from gateway.http import epcis_queries, epcis_resources
from gateway.http.deps import CallerDep, ContainerDep
from gateway.http.epcis_answers import (
    JSON_BODY,
    PREFIX,
    EpcisRoute,
    answer_json,
    answer_query,
    no_such,
    oversees,
    parameters_of,
    quoted,
    read_body,
)

MAX_QUEUED = 256
SEEN_WAIT_S = 15.0
_TOP_LEVEL = (
    *("capture", "events", "eventTypes", "epcs", "bizSteps", "bizLocations", "readPoints"),
    *("dispositions", "queries"),
)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Resume the jobs a killed process left."""
    container = getattr(app.state, "container", None)
    if container is not None:
        await run_in_threadpool(jobs_of, container)
    yield


router = APIRouter(prefix=PREFIX, tags=["EPCIS 2.0"], lifespan=_lifespan, route_class=EpcisRoute)


def jobs_of(container: Container) -> CaptureJobs:
    """The capture jobs, opened (and left-over jobs resumed) at first use."""
    jobs: CaptureJobs | None = container.parts.get("capture_jobs")
    if jobs is None:
        with _OPENING:
            jobs = container.parts.get("capture_jobs")
            if jobs is None:
                jobs = CaptureJobs(container)
                container.on_close(closing(jobs))
                container.parts["capture_jobs"] = jobs
                jobs.resume()
    return jobs


_OPENING = threading.Lock()


# -- capture --------------------------------------------------------------------------------------


@router.post(
    "/capture",
    status_code=202,
    summary="Capture a document of events as a job",
    openapi_extra=JSON_BODY,
)
async def post_capture(request: Request, caller: CallerDep, container: ContainerDep) -> Response:
    gs1.require_json_body(request)
    gs1.check_versions(request)
    behaviour = gs1.error_behaviour(request)
    sender = _sender(request, caller)
    body = await read_body(request, container)
    jobs = jobs_of(container)
    if jobs.running >= MAX_QUEUED:
        raise Problem(
            "RATE_LIMITED", "too many capture jobs are waiting", headers={"Retry-After": "5"}
        )
    document = await run_in_threadpool(_document, body, container)
    job = await run_in_threadpool(jobs.submit, body, document, sender, behaviour)
    headers = gs1.standard_headers(
        {"Location": f"{PREFIX}/capture/{job.id}", "GS1-Capture-Error-Behaviour": behaviour}
    )
    return Response(status_code=202, headers=headers)


@router.get("/capture", summary="Your capture jobs, newest first")
async def list_captures(request: Request, caller: CallerDep, container: ContainerDep) -> Response:
    limit = gs1.per_page(request)
    before = _job_token(request.query_params.get("nextPageToken"))
    jobs = jobs_of(container)
    owner = caller.party or caller.user
    found = await run_in_threadpool(jobs.store.owned_by, owner, before, limit + 1)
    token = ""
    if len(found) > limit:
        found = found[:limit]
        token = f"{found[-1].created_ms}.{found[-1].id}"
    return answer_json(request, [capture_job(job) for job in found], gs1.next_link(request, token))


@router.get("/capture/{capture_id}", summary="State of a capture job")
async def get_capture(
    request: Request, capture_id: str, caller: CallerDep, container: ContainerDep
) -> Response:
    job = await run_in_threadpool(jobs_of(container).store.get, capture_id)
    if job is None or (job.owner != (caller.party or caller.user) and not oversees(caller)):
        raise no_such("capture job", capture_id)
    return answer_json(request, capture_job(job))


@router.post(
    "/events",
    status_code=201,
    summary="Capture one event and wait for it",
    openapi_extra=JSON_BODY,
)
async def post_event(request: Request, caller: CallerDep, container: ContainerDep) -> Response:
    gs1.require_json_body(request)
    gs1.check_versions(request)
    media = gs1.answer_type(request)
    sender = _sender(request, caller)
    body = await read_body(request, container)
    document = await run_in_threadpool(_document, body, container)
    if document.kind != "event" and len(document.events) != 1:
        raise DocumentError("NOT_EPCIS", "exactly one event is expected; documents go to /capture")
    event_hash = await run_in_threadpool(_capture_one, container, caller, sender, document)
    headers = gs1.standard_headers({"Location": f"{PREFIX}/events/{quoted(event_hash)}"})
    return Response(orjson.dumps(document.events[0]), 201, headers, media)


def _capture_one(container: Container, caller: Caller, sender: Sender, document: Document) -> str:
    prepared, faults = prepare(document)
    if faults:
        raise ValidationFailed(list(faults[0].findings))
    capturer = Capturer(
        container.ledger,
        container.payloads,
        caller.require_signer(),
        sender.msp_id,
        sender.party,
        sender.actor,
        commitments_of(container.readmodel),
    )
    outcome = capturer.run(prepared, PROCEED)
    if outcome.refused:
        first = outcome.refused[0]
        status = 409 if first.code == "EVENT_ID_REUSED" else None
        raise Problem(first.code, first.message, status, where=first.pointer)
    if outcome.block:
        container.readmodel.wait_for(outcome.block, SEEN_WAIT_S)
    return prepared[0].hash


def _sender(request: Request, caller: Caller) -> Sender:
    caller.require_signer()
    actor = request.headers.get("tracemark-actor", "").strip()
    return Sender(caller.msp_id, caller.user, require_party(caller.party), actor)


def _document(body: bytes, container: Container) -> Document:
    document = read_document(body, max_bytes=container.settings.max_document_bytes)
    findings = validate_header(document)
    if findings:
        raise ValidationFailed(findings)
    return document


def _job_token(token: str | None) -> tuple[int, str] | None:
    if not token:
        return None
    created, _, job_id = token.partition(".")
    if not re.fullmatch(r"[0-9]{1,15}", created) or not re.fullmatch(r"[0-9a-f]{24}", job_id):
        message = "nextPageToken is not one of this list"
        raise QueryError("QUERY_PARAMETER", message, "nextPageToken")
    return int(created), job_id


# -- events ---------------------------------------------------------------------------------------


@router.get(
    "/events",
    summary="Query events",
    description="SimpleEventQuery parameters (EPCIS 2.0 §8.2.7) in the query string, "
    "`perPage` and `nextPageToken`; all are listed in docs/reference/epcis.md.",
)
async def get_events(request: Request, caller: CallerDep, container: ContainerDep) -> Response:
    return await answer_query(request, caller, container, parameters_of(request))


@router.get("/events/{event_id:path}", summary="One event by eventID or event hash")
async def get_event(
    request: Request, event_id: str, caller: CallerDep, container: ContainerDep
) -> Response:
    media = gs1.answer_type(request)
    gs1.check_versions(request)
    form = gs1.epc_format(request)
    if event_id.startswith("ni:") and "?ver=" not in event_id and "ver" in request.query_params:
        event_id = f"{event_id}?ver={request.query_params['ver']}"  # a hash sent unescaped
    basis = request.headers.get("tracemark-legal-basis", "")

    def find() -> dict[str, Any]:
        with container.readmodel.read() as connection:
            rows = find_event(connection, event_id)
        if not rows:
            raise no_such("event", event_id)
        context, event = payload_parts(payload_of(container, caller, rows[0], basis))
        contexts = context if isinstance(context, list) else [context] if context else []
        if form == "Always_GS1_Digital_Link":
            event = with_digital_links(event)
        return query_document([event], contexts)

    body = await run_in_threadpool(find)
    return Response(
        orjson.dumps(body), headers=gs1.standard_headers({"GS1-EPC-Format": form}), media_type=media
    )


# As routes of this router: those of an included one lose their prefix in logs and metrics.
router.routes.extend((*epcis_resources.router.routes, *epcis_queries.router.routes))


# -- discovery and answers ------------------------------------------------------------------------


@router.get("", summary="Top-level resources")
@router.get("/", include_in_schema=False)
async def top_level(request: Request, caller: CallerDep) -> Response:
    return answer_json(request, collection(_TOP_LEVEL))


@router.delete("/nextPageToken/{token}", status_code=204, summary="Forget a page token")
async def forget_token(token: str, caller: CallerDep) -> Response:
    return Response(status_code=204, headers=gs1.standard_headers())


@router.options("", include_in_schema=False)
@router.options("/{path:path}", include_in_schema=False)
async def discover(container: ContainerDep, path: str = "") -> Response:
    allowed = {"capture": "GET, POST, OPTIONS", "events": "GET, POST, OPTIONS"}
    allowed["queries"] = "GET, POST, OPTIONS"
    headers = gs1.discovery_headers(container.settings.max_document_bytes)
    headers["Allow"] = allowed.get(path.strip("/"), "GET, OPTIONS")
    return Response(status_code=204, headers=headers)
