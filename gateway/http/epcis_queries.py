"""EPCIS 2.0 named queries. Subscriptions and streams are not offered and say so."""

from __future__ import annotations

import time
from typing import Any, cast

import orjson
from fastapi import APIRouter, Request
from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from gateway.auth import Caller
from gateway.container import Container
from gateway.database import reading, writing
from gateway.epcis import negotiation as gs1
from gateway.epcis.document import read_json
from gateway.epcis.errors import EXCEPTION, QueryError
from gateway.epcis.parameters import read_query
from gateway.errors import Problem
from gateway.http.deps import CallerDep, ContainerDep
from gateway.http.epcis_answers import (
    JSON_BODY,
    PREFIX,
    EpcisRoute,
    answer_json,
    answer_query,
    no_such,
    parameters_of,
    quoted,
    read_body,
)
from gateway.state_tables import named_queries

router = APIRouter(prefix=PREFIX, tags=["EPCIS 2.0"], route_class=EpcisRoute)


@router.post("/queries", status_code=201, summary="Create a named query", openapi_extra=JSON_BODY)
async def post_query(request: Request, caller: CallerDep, container: ContainerDep) -> Response:
    gs1.require_json_body(request)
    body = await run_in_threadpool(read_json, await read_body(request, container))
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
                        owner=_owner(caller),
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
    headers = gs1.standard_headers({"Location": f"{PREFIX}/queries/{quoted(name)}"})
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
    return answer_json(request, found[:limit], gs1.next_link(request, token))


@router.get("/queries/{name}", summary="A named query's definition")
async def get_query(
    request: Request, name: str, caller: CallerDep, container: ContainerDep
) -> Response:
    _, definition = await run_in_threadpool(_named_query, container, name)
    return answer_json(request, {"name": name, "query": definition})


@router.delete("/queries/{name}", status_code=204, summary="Delete a named query of yours")
async def delete_query(
    request: Request, name: str, caller: CallerDep, container: ContainerDep
) -> Response:
    def remove() -> None:
        owner, _ = _named_query(container, name)
        if owner != _owner(caller) and not _runs_this_gateway(caller, container):
            raise Problem(
                "FORBIDDEN", "only who made a query, or the gateway's administrator, deletes it"
            )
        with writing(container.state) as connection:
            connection.execute(delete(named_queries).where(named_queries.c.name == name))

    await run_in_threadpool(remove)
    return Response(status_code=204, headers=gs1.standard_headers())


@router.get("/queries/{name}/events", summary="Run a named query")
async def query_events(
    request: Request, name: str, caller: CallerDep, container: ContainerDep
) -> Response:
    more = parameters_of(request)
    if request.headers.get("upgrade") or "stream" in more or "minute" in more:
        raise _no_subscriptions()
    _, definition = await run_in_threadpool(_named_query, container, name)
    clash = sorted(definition.keys() & more.keys())
    if clash:
        raise QueryError("QUERY_PARAMETER", f"the query {name!r} sets {clash[0]} already", clash[0])
    return await answer_query(request, caller, container, {**definition, **more}, (), name)


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


def _owner(caller: Caller) -> str:
    return caller.party or f"{caller.msp_id}/{caller.user}"


def _runs_this_gateway(caller: Caller, container: Container) -> bool:
    return caller.ou == "admin" and caller.msp_id == container.msp_id


def _named_query(container: Container, name: str) -> tuple[str, dict[str, Any]]:
    with reading(container.state) as connection:
        row = connection.execute(
            select(named_queries.c.owner, named_queries.c.query).where(named_queries.c.name == name)
        ).first()
    if row is None:
        raise no_such("query", name)
    return str(row.owner), cast(dict[str, Any], orjson.loads(row.query))


def _no_subscriptions() -> Problem:
    return Problem(
        "NOT_IMPLEMENTED",
        "query subscriptions and streams are not offered; poll /queries/{name}/events with "
        "GE_recordTime instead",
        type_uri=EXCEPTION + "ImplementationException",
    )
