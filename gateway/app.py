"""The ASGI application: routes, error table, edge middleware, and the parts' lifetime."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from fastapi import FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import Request
from starlette.responses import Response

import gateway.database
import gateway.wallet  # noqa: F401 - both register rows of the error table
from gateway.container import Container, open_container
from gateway.edge import Edge
from gateway.errors import (
    PROBLEM_JSON,
    Problem,
    problem_type,
    to_problem,
)
from gateway.http import (
    audit,
    carbon,
    certificates,
    epcis,
    grants,
    health,
    keys,
    ledger,
    pages,
    participants,
    payloads,
    products,
    qr,
    resolve,
    trace,
)
from gateway.metrics import Metrics
from gateway.settings import Settings

ROUTERS = (
    resolve,
    health,
    keys,
    ledger,
    trace,
    grants,  # before participants, whose last route takes every path below it
    participants,
    products,
    audit,
    carbon,
    payloads,
    epcis,
    certificates,
    qr,
    pages,
)
"""Modules of gateway.http in matching order. The resolver is first: its paths begin with digits as
no other does, and it is what a crowd of shoppers asks for.
"""

VERSION = "0.1.0"
_STATUS_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    406: "NOT_ACCEPTABLE",
    409: "CONFLICT",
    410: "GONE",
    413: "BODY_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    422: "VALIDATION",
    429: "RATE_LIMITED",
    503: "NOT_READY",
}

log = logging.getLogger(__name__)


def create_app(settings: Settings, container: Container | None = None) -> FastAPI:
    """The application.

    It opens its parts at start and closes them at the end, unless `container` hands them over
    open; then they stay the caller's to close.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        own = None
        if app.state.container is None:
            own = await asyncio.to_thread(open_container, settings)
            _attach(app, own)
        try:
            yield
        finally:
            if own is not None:
                app.state.container = None
                await asyncio.to_thread(own.close)

    app = FastAPI(
        title="Tracemark",
        version=VERSION,
        summary="Traceability over a permissioned ledger: EPCIS capture and query, trace, "
        "certificates, verification.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        servers=[{"url": settings.base_url}],
        responses={
            "default": {
                "description": "Problem (RFC 9457); `code` is documented at /problems/{code}",
                "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            }
        },
    )
    app.state.settings = settings
    app.state.container = None
    _add_error_table(app)
    for module in ROUTERS:
        app.include_router(module.router)
    _describe_problem(app)
    app.state.early_metrics = Metrics()
    app.add_middleware(
        Edge,
        settings=settings,
        metrics=lambda: _metrics(app),
        known=lambda token: _known(app, token),
    )
    if container is not None:
        _attach(app, container)
    return app


def _attach(app: FastAPI, container: Container) -> None:
    app.state.container = container


def _metrics(app: FastAPI) -> Metrics:
    container: Container | None = app.state.container
    return container.metrics if container else app.state.early_metrics


def _known(app: FastAPI, token: str) -> bool:
    container: Container | None = app.state.container
    return container is not None and container.authenticator.known(token)


def _add_error_table(app: FastAPI) -> None:
    app.add_exception_handler(StarletteHTTPException, _http_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(Problem, _problem)


async def _problem(_request: Request, error: Exception) -> Response:
    return problem_response(to_problem(error))


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    cause = error.__cause__
    if isinstance(cause, Problem):  # raised while the framework was reading the body
        return problem_response(cause)
    code = _STATUS_CODES.get(error.status_code, "BAD_REQUEST")
    standard = problem_type(code).status == error.status_code
    problem = Problem(
        code, "" if standard else str(error.detail), error.status_code, headers=error.headers
    )
    return problem_response(problem)


async def _validation_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    faults = [_fault(fault) for fault in error.errors()]
    if any(fault["code"] == "json_invalid" for fault in faults):
        return problem_response(Problem("BAD_REQUEST", "the body is not JSON", errors=faults))
    first = faults[0] if faults else {"message": "", "where": ""}
    return problem_response(
        Problem("VALIDATION", first["message"], where=first["where"], errors=faults)
    )


def _fault(fault: Any) -> dict[str, str]:
    """One fault without the input that caused it."""
    place, *path = fault["loc"] or ("body",)
    where = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
    if place != "body":
        where = f"{place}: {'.'.join(map(str, path))}"
    return {"code": str(fault["type"]), "message": str(fault["msg"]), "where": where}


def problem_response(problem: Problem) -> Response:
    """The answer of a problem."""
    return Response(
        orjson.dumps(problem.body()),
        problem.status,
        headers=problem.headers,
        media_type=PROBLEM_JSON,
    )


def _describe_problem(app: FastAPI) -> None:
    """Put the problem object's schema into the OpenAPI document."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        document = make()
        document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = _PROBLEM_SCHEMA
        return document

    app.openapi = openapi  # type: ignore[method-assign]


_PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "examples": ["/problems/NOT_HOLDER"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "examples": ["NOT_HOLDER"]},
        "where": {"type": "string", "description": "JSON pointer (RFC 6901) into the request"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}
