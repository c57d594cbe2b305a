"""EPCIS 2.0 collections: identifiers, event types, steps, dispositions, places; their events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import ColumnElement, or_, select
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from chaincode.projection import cbv_name
from gateway.epcis import negotiation as gs1
from gateway.epcis.answers import collection
from gateway.epcis.conditions import identifier_form
from gateway.epcis.vocabulary import EVENT_TYPES
from gateway.http.deps import CallerDep, ContainerDep
from gateway.http.epcis_answers import (
    PREFIX,
    EpcisRoute,
    answer_json,
    answer_query,
    answer_values,
    no_such,
    parameters_of,
)
from gateway.readmodel.tables import event_ids, events, vocabulary

router = APIRouter(prefix=PREFIX, tags=["EPCIS 2.0"], route_class=EpcisRoute)


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
        return answer_values(request, found, limit)

    @router.get(f"/{resource.path}/{{value:path}}/events", summary=f"Events by {resource.kind}")
    async def value_events(
        request: Request, value: str, caller: CallerDep, container: ContainerDep
    ) -> Response:
        condition = resource.column == resource.form(value)
        return await answer_query(request, caller, container, parameters_of(request), (condition,))

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
            raise no_such(resource.kind, value)
        return answer_json(request, collection(["events"]))


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

    return answer_values(request, await run_in_threadpool(find), limit)


@router.get("/epcs/{epc:path}/events", summary="Events of one identifier")
async def epc_events(
    request: Request, epc: str, caller: CallerDep, container: ContainerDep
) -> Response:
    return await answer_query(request, caller, container, parameters_of(request), (_about(epc),))


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
        raise no_such("EPC", epc)
    return answer_json(request, collection(["events"]))


def _about(epc: str) -> ColumnElement[bool]:
    rows = select(event_ids.c.event_seq).where(
        or_(event_ids.c.identifier == identifier_form(epc), event_ids.c.identifier == epc)
    )
    return events.c.seq.in_(rows)
