"""The ASGI application: routes, error table, edge middleware, and the parts' lifetime."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.util import find_spec

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.requests import Request

from gateway.container import Container
from gateway.errors import PROBLEM_JSON, to_problem
from gateway.settings import Settings

ROUTERS = (
    "health", "keys", "ledger", "trace", "participants", "products", "audit", "carbon",
    "epcis", "certificates", "qr", "pages", "resolve",
)  # fmt: skip


def create_app(settings: Settings, container: Container | None = None) -> FastAPI:
    """The application; it opens its parts at start unless `container` hands them over open."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield

    app = FastAPI(title="Tracemark", version="0.1.0", lifespan=lifespan)
    app.state.settings = settings
    app.state.container = container
    app.add_exception_handler(Exception, _answer)
    for name in ROUTERS:
        if find_spec(f"gateway.http.{name}"):
            app.include_router(import_module(f"gateway.http.{name}").router)
    return app


async def _answer(request: Request, error: Exception) -> JSONResponse:
    problem = to_problem(error)
    return JSONResponse(
        problem.body(), problem.status, headers=problem.headers, media_type=PROBLEM_JSON
    )
