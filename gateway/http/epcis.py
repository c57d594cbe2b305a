"""EPCIS 2.0 REST bindings below ``/epcis/v2``: capture, events, resources, named queries.

Everything here needs a caller. Capturing needs the caller's key in the gateway's wallet; a caller
whose key stays at home signs ``event:capture`` offline under ``/v1/ledger``. A party that acts for
another names it in ``Tracemark-Actor``; a regulator names its provision in
``Tracemark-Legal-Basis``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

import orjson
from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import APIRoute
from sqlalchemy import ColumnElement, delete, insert, or_, select
from sqlalchemy.exc import IntegrityError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from chaincode.projection import cbv_name
from gateway.auth import Caller
from gateway.container import Container
from gateway.database import reading, writing
from gateway.epcis import negotiation as gs1
from gateway.epcis.access import payload_of, payloads_for
from gateway.epcis.answers import capture_job, collection, query_document, with_digital_links
from gateway.epcis.capture import PROCEED, Capturer, require_party
from gateway.epcis.document import Document, read_document, read_json
from gateway.epcis.errors import (
    EXCEPTION,
    DocumentError,
    EpcisError,
    QueryError,
    ValidationFailed,
)
from gateway.epcis.jobs import CaptureJobs, Sender
from gateway.epcis.parameters import read_query
from gateway.epcis.prepare import payload_parts, prepare
from gateway.epcis.query import Page, find_event, identifier_form, run_query
from gateway.epcis.validate import validate_header
from gateway.epcis.vocabulary import EVENT_TYPES
from gateway.errors import GatewayFault, Problem, to_problem
from gateway.http.deps import CallerDep, ContainerDep
from gateway.ledger.errors import LedgerError
from gateway.readmodel.tables import event_ids, events, vocabulary
from gateway.state_tables import named_queries
from nodes.payloads import PayloadError

PREFIX = "/epcis/v2"
MAX_QUEUED = 256
SEEN_WAIT_S = 15.0
_PAGING = ("perPage", "nextPageToken")
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


class _Route(APIRoute):
    """Answers this part's errors as problems, whatever layer they come from."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except (EpcisError, PayloadError, LedgerError, GatewayFault) as error:
                raise to_problem(error) from error

        return answer


router = APIRouter(prefix=PREFIX, tags=["EPCIS 2.0"], lifespan=_lifespan, route_class=_Route)


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


@router.post("/capture", status_code=202, summary="Capture a document of events as a job")
async def post_capture(request: Request, caller: CallerDep, container: ContainerDep) -> Response:
    gs1.require_json_body(request)
    gs1.check_versions(request)
    behaviour = gs1.error_behaviour(request)
    sender = _sender(request, caller)
    body = await _body(request, container)
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
    found = await run_in_threadpool(jobs.owned_by, owner, before, limit + 1)
    token = ""
    if len(found) > limit:
        found = found[:limit]
        token = f"{found[-1].created_ms}.{found[-1].id}"
    return _answer(request, [capture_job(job) for job in found], gs1.next_link(request, token))


@router.get("/capture/{capture_id}", summary="State of a capture job")
async def get_capture(
    request: Request, capture_id: str, caller: CallerDep, container: ContainerDep
) -> Response:
    job = await run_in_threadpool(jobs_of(container).get, capture_id)
    if job is None or (job.owner != (caller.party or caller.user) and not _oversees(caller)):
        raise _no_such("capture job", capture_id)
    return _answer(request, capture_job(job))


@router.post("/events", status_code=201, summary="Capture one event and wait for it")
async def post_event(request: Request, caller: CallerDep, container: ContainerDep) -> Response:
    gs1.require_json_body(request)
    gs1.check_versions(request)
    media = gs1.answer_type(request)
    sender = _sender(request, caller)
    body = await _body(request, container)
    document = await run_in_threadpool(_document, body, container)
    if document.kind != "event" and len(document.events) != 1:
        raise DocumentError("NOT_EPCIS", "exactly one event is expected; documents go to /capture")
    event_hash = await run_in_threadpool(_capture_one, container, caller, sender, document)
    headers = gs1.standard_headers({"Location": f"{PREFIX}/events/{_quoted(event_hash)}"})
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


async def _body(request: Request, container: Container) -> bytes:
    most = container.settings.max_document_bytes
    said = request.headers.get("content-length", "")
    if said.isdigit() and int(said) > most:
        raise _too_large(int(said), most)
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise _too_large(size, most)
        parts.append(part)
    return b"".join(parts)


def _too_large(size: int, most: int) -> DocumentError:
    return DocumentError(
        "DOCUMENT_TOO_LARGE", f"the body has {size} bytes or more; at most {most} are accepted"
    )


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
    if not created.isdigit() or not job_id:
        message = "nextPageToken is not one of this list"
        raise QueryError("QUERY_PARAMETER", message, "nextPageToken")
    return int(created), job_id


# -- events ---------------------------------------------------------------------------------------


@router.get("/events", summary="Query events")
async def get_events(request: Request, caller: CallerDep, container: ContainerDep) -> Response:
    return await _run(request, caller, container, _parameters(request))


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
            raise _no_such("event", event_id)
        context, event = payload_parts(payload_of(container, caller, rows[0], basis))
        contexts = context if isinstance(context, list) else [context] if context else []
        if form == "Always_GS1_Digital_Link":
            event = with_digital_links(event)
        return query_document([event], contexts)

    body = await run_in_threadpool(find)
    return Response(
        orjson.dumps(body), headers=gs1.standard_headers({"GS1-EPC-Format": form}), media_type=media
    )


async def _run(
    request: Request,
    caller: Caller,
    container: Container,
    parameters: dict[str, Any],
    extra: tuple[ColumnElement[bool], ...] = (),
    name: str = "SimpleEventQuery",
) -> Response:
    """Answer one page of a query."""
    media = gs1.answer_type(request)
    gs1.check_versions(request)
    form = gs1.epc_format(request)
    limit = gs1.per_page(request)
    query = read_query(parameters)
    token = request.query_params.get("nextPageToken", "")
    asked = gs1.asked_namespaces(request)
    basis = request.headers.get("tracemark-legal-basis", "")

    def page() -> tuple[Page, bytes]:
        with container.readmodel.read() as connection:
            found = run_query(
                connection,
                query,
                payloads_for(container, caller, basis),
                per_page=limit,
                token=token,
                asked=asked,
                extra=extra,
            )
        results = found.events
        if form == "Always_GS1_Digital_Link":
            results = with_digital_links(results)
        return found, orjson.dumps(query_document(results, found.context, name))

    found, body = await run_in_threadpool(page)
    headers = gs1.standard_headers(gs1.next_link(request, found.next_token))
    headers["GS1-EPC-Format"] = form
    if found.withheld:
        headers["Tracemark-Withheld"] = str(found.withheld)
    return Response(body, headers=headers, media_type=media)


def _parameters(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name not in _PAGING:
            found[name] = f"{found[name]}|{value}" if name in found else value
    return found


# -- resources ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Resource:
    """A collection of values events are found by; `form`: a value as the read model has it."""

    path: str
    kind: str
    column: Any
    form: Callable[[str], str]
    known: tuple[str, ...] = ()


_RESOURCES = (
    _Resource("eventTypes", "eventType", events.c.type, lambda text: text, EVENT_TYPES),
    _Resource("bizSteps", "bizStep", events.c.step, cbv_name),
    _Resource("dispositions", "disposition", events.c.disposition, cbv_name),
    _Resource("bizLocations", "bizLocation", events.c.location, identifier_form),
    _Resource("readPoints", "readPoint", events.c.read_point, identifier_form),
)


def _add_resource(resource: _Resource) -> None:
    @router.get(f"/{resource.path}", summary=f"Values of {resource.kind}")
    async def values(request: Request, caller: CallerDep, container: ContainerDep) -> Response:
        limit = gs1.per_page(request)
        after = request.query_params.get("nextPageToken", "")

        def find() -> list[str]:
            with container.readmodel.read() as connection:
                statement = (
                    select(vocabulary.c.value)
                    .where(vocabulary.c.kind == resource.kind, vocabulary.c.value > after)
                    .order_by(vocabulary.c.value)
                    .limit(limit + 1)
                )
                return list(connection.scalars(statement))

        found = await run_in_threadpool(find)
        if resource.known:
            found = sorted({v for v in (*resource.known, *found) if v > after})
        return _page_of(request, found, limit)

    @router.get(f"/{resource.path}/{{value:path}}/events", summary=f"Events by {resource.kind}")
    async def value_events(
        request: Request, value: str, caller: CallerDep, container: ContainerDep
    ) -> Response:
        condition = resource.column == resource.form(value)
        return await _run(request, caller, container, _parameters(request), (condition,))

    @router.get(f"/{resource.path}/{{value:path}}", summary=f"Below one {resource.kind}")
    async def value_members(
        request: Request, value: str, caller: CallerDep, container: ContainerDep
    ) -> Response:
        wanted = resource.form(value)

        def known() -> bool:
            with container.readmodel.read() as connection:
                statement = select(vocabulary.c.value).where(
                    vocabulary.c.kind == resource.kind, vocabulary.c.value == wanted
                )
                return connection.scalar(statement) is not None

        if wanted not in resource.known and not await run_in_threadpool(known):
            raise _no_such(resource.kind, value)
        return _answer(request, collection(["events"]))


for _resource in _RESOURCES:
    _add_resource(_resource)


@router.get("/epcs", summary="Identifiers of things known to this repository")
async def list_epcs(request: Request, caller: CallerDep, container: ContainerDep) -> Response:
    limit = gs1.per_page(request)
    after = request.query_params.get("nextPageToken", "")

    def find() -> list[str]:
        with container.readmodel.read() as connection:
            statement = (
                select(event_ids.c.identifier)
                .where(event_ids.c.identifier > after, event_ids.c.role != "loss")
                .distinct()
                .order_by(event_ids.c.identifier)
                .limit(limit + 1)
            )
            return list(connection.scalars(statement))

    return _page_of(request, await run_in_threadpool(find), limit)


@router.get("/epcs/{epc:path}/events", summary="Events of one identifier")
async def epc_events(
    request: Request, epc: str, caller: CallerDep, container: ContainerDep
) -> Response:
    return await _run(request, caller, container, _parameters(request), (_about(epc),))


@router.get("/epcs/{epc:path}", summary="Below one identifier")
async def epc_members(
    request: Request, epc: str, caller: CallerDep, container: ContainerDep
) -> Response:
    def known() -> bool:
        with container.readmodel.read() as connection:
            statement = select(event_ids.c.event_seq).where(
                event_ids.c.identifier == identifier_form(epc)
            )
            return connection.scalar(statement.limit(1)) is not None

    if not await run_in_threadpool(known):
        raise _no_such("EPC", epc)
    return _answer(request, collection(["events"]))


def _about(epc: str) -> ColumnElement[bool]:
    rows = select(event_ids.c.event_seq).where(
        or_(event_ids.c.identifier == identifier_form(epc), event_ids.c.identifier == epc)
    )
    return events.c.seq.in_(rows)


# -- named queries --------------------------------------------------------------------------------


@router.post("/queries", status_code=201, summary="Create a named query")
async def post_query(request: Request, caller: CallerDep, container: ContainerDep) -> Response:
    gs1.require_json_body(request)
    body = await run_in_threadpool(read_json, await _body(request, container))
    if not isinstance(body, dict) or not isinstance(body.get("query"), dict):
        raise Problem("VALIDATION", 'an object {"name", "query"} is expected', 400)
    name = body.get("name")
    if not isinstance(name, str) or not 1 <= len(name) <= 100 or "/" in name:
        raise Problem("VALIDATION", "name is a text of 1 to 100 characters without /", 400, "/name")
    read_query(body["query"])

    def create() -> None:
        try:
            with writing(container.state) as connection:
                connection.execute(
                    insert(named_queries).values(
                        name=name,
                        owner=caller.party or caller.user,
                        query=orjson.dumps(body["query"]).decode(),
                        created_ms=int(time.time() * 1000),
                    )
                )
        except IntegrityError:
            raise Problem(
                "QUERY_EXISTS",
                f"a query named {name!r} exists already; delete it first or choose another name",
                type_uri=EXCEPTION + "ResourceAlreadyExistsException",
            ) from None

    await run_in_threadpool(create)
    headers = gs1.standard_headers({"Location": f"{PREFIX}/queries/{_quoted(name)}"})
    return Response(status_code=201, headers=headers)


@router.get("/queries", summary="Named queries")
async def list_queries(request: Request, caller: CallerDep, container: ContainerDep) -> Response:
    limit = gs1.per_page(request)
    after = request.query_params.get("nextPageToken", "")

    def find() -> list[dict[str, Any]]:
        with reading(container.state) as connection:
            statement = (
                select(named_queries.c.name, named_queries.c.query)
                .where(named_queries.c.name > after)
                .order_by(named_queries.c.name)
                .limit(limit + 1)
            )
            return [
                {"name": row.name, "query": orjson.loads(row.query)}
                for row in connection.execute(statement)
            ]

    found = await run_in_threadpool(find)
    token = found[limit - 1]["name"] if len(found) > limit else ""
    return _answer(request, found[:limit], gs1.next_link(request, token))


@router.get("/queries/{name}", summary="A named query's definition")
async def get_query(
    request: Request, name: str, caller: CallerDep, container: ContainerDep
) -> Response:
    _, definition = await run_in_threadpool(_named_query, container, name)
    return _answer(request, {"name": name, "query": definition})


@router.delete("/queries/{name}", status_code=204, summary="Delete a named query of yours")
async def delete_query(
    request: Request, name: str, caller: CallerDep, container: ContainerDep
) -> Response:
    def remove() -> None:
        owner, _ = _named_query(container, name)
        if owner != (caller.party or caller.user) and caller.ou != "admin":
            raise Problem("FORBIDDEN", "only who made a query, or an administrator, deletes it")
        with writing(container.state) as connection:
            connection.execute(delete(named_queries).where(named_queries.c.name == name))

    await run_in_threadpool(remove)
    return Response(status_code=204, headers=gs1.standard_headers())


@router.get("/queries/{name}/events", summary="Run a named query")
async def query_events(
    request: Request, name: str, caller: CallerDep, container: ContainerDep
) -> Response:
    more = _parameters(request)
    if request.headers.get("upgrade") or "stream" in more or "minute" in more:
        raise _no_subscriptions()
    _, definition = await run_in_threadpool(_named_query, container, name)
    clash = sorted(definition.keys() & more.keys())
    if clash:
        raise QueryError("QUERY_PARAMETER", f"the query {name!r} sets {clash[0]} already", clash[0])
    return await _run(request, caller, container, {**definition, **more}, (), name)


@router.api_route(
    "/queries/{name}/subscriptions",
    methods=["GET", "POST"],
    summary="Not offered: subscriptions",
    include_in_schema=False,
)
@router.api_route(
    "/queries/{name}/subscriptions/{subscription_id}",
    methods=["GET", "DELETE"],
    include_in_schema=False,
)
async def subscriptions(request: Request, name: str, caller: CallerDep) -> Response:
    raise _no_subscriptions()


def _named_query(container: Container, name: str) -> tuple[str, dict[str, Any]]:
    with reading(container.state) as connection:
        row = connection.execute(
            select(named_queries.c.owner, named_queries.c.query).where(named_queries.c.name == name)
        ).first()
    if row is None:
        raise _no_such("query", name)
    return str(row.owner), cast(dict[str, Any], orjson.loads(row.query))


def _no_subscriptions() -> Problem:
    return Problem(
        "NOT_IMPLEMENTED",
        "query subscriptions and streams are not offered; poll /queries/{name}/events with "
        "GE_recordTime instead",
        type_uri=EXCEPTION + "ImplementationException",
    )


# -- discovery and answers ------------------------------------------------------------------------


@router.get("", summary="Top-level resources")
@router.get("/", include_in_schema=False)
async def top_level(request: Request, caller: CallerDep) -> Response:
    return _answer(request, collection(_TOP_LEVEL))


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


def _answer(request: Request, body: Any, headers: dict[str, str] | None = None) -> Response:
    media = gs1.answer_type(request)
    return Response(orjson.dumps(body), headers=gs1.standard_headers(headers), media_type=media)


def _page_of(request: Request, found: list[str], limit: int) -> Response:
    token = found[limit - 1] if len(found) > limit else ""
    return _answer(request, collection(found[:limit]), gs1.next_link(request, token))


def _oversees(caller: Caller) -> bool:
    return not caller.roles.isdisjoint(("regulator", "auditor"))


def _no_such(what: str, name: str) -> Problem:
    return Problem(
        "NOT_FOUND",
        f"no {what} {name[:120]!r} is known here",
        type_uri=EXCEPTION + "NoSuchResourceException",
    )


def _quoted(text: str) -> str:
    return quote(text, safe=":;")
