"""What the EPCIS routes share: errors as problems, bodies, query parameters, answers, pages."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote

import orjson
from fastapi import Request
from fastapi.routing import APIRoute
from sqlalchemy import ColumnElement
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from gateway.auth import Caller
from gateway.container import Container
from gateway.epcis import negotiation as gs1
from gateway.epcis.access import payloads_for
from gateway.epcis.answers import collection, query_document, with_digital_links
from gateway.epcis.errors import EXCEPTION, DocumentError, EpcisError
from gateway.epcis.parameters import read_query
from gateway.epcis.query import Page, run_query
from gateway.errors import GatewayFault, Problem, to_problem
from gateway.ledger.errors import LedgerError
from nodes.payloads import PayloadError

PREFIX = "/epcis/v2"
JSON_BODY = {
    "requestBody": {
        "required": True,
        "content": {media: {"schema": {"type": "object"}} for media in (gs1.JSON, gs1.JSON_LD)},
    }
}
"""OpenAPI's word for bodies that are read as they come, not through a model."""

_PAGING = ("perPage", "nextPageToken")


class EpcisRoute(APIRoute):
    """Answers this part's errors as problems, whatever layer they come from."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except (EpcisError, PayloadError, LedgerError, GatewayFault) as error:
                raise to_problem(error) from error

        return answer


async def read_body(request: Request, container: Container) -> bytes:
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


async def answer_query(
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


def parameters_of(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name not in _PAGING:
            found[name] = f"{found[name]}|{value}" if name in found else value
    return found


def answer_json(request: Request, body: Any, headers: dict[str, str] | None = None) -> Response:
    media = gs1.answer_type(request)
    return Response(orjson.dumps(body), headers=gs1.standard_headers(headers), media_type=media)


def answer_values(request: Request, found: list[str], limit: int) -> Response:
    token = found[limit - 1] if len(found) > limit else ""
    return answer_json(request, collection(found[:limit]), gs1.next_link(request, token))


def oversees(caller: Caller) -> bool:
    return not caller.roles.isdisjoint(("regulator", "auditor"))


def no_such(what: str, name: str) -> Problem:
    return Problem(
        "NOT_FOUND",
        f"no {what} {name[:120]!r} is known here",
        type_uri=EXCEPTION + "NoSuchResourceException",
    )


def quoted(text: str) -> str:
    return quote(text, safe=":;")
