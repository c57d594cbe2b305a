"""Is it alive, may it serve, what does it count, and what do its error codes mean."""

from __future__ import annotations

import html
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, JSONResponse, Response

from gateway.container import Container
from gateway.errors import Problem, all_problem_types

router = APIRouter(tags=["operation"])


@router.get("/healthz", summary="The process is alive")
async def healthz() -> dict[str, str]:
    """Answers as long as the event loop turns; asks neither ledger nor database."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    summary="Whether requests should be sent here",
    responses={503: {"description": "Not ready; the body says which part"}},
)
async def readyz(request: Request) -> JSONResponse:
    """Height and lag of the read model, and the state of database and ledger.

    503 while starting, while the database is gone, or when the read model is more blocks behind
    the ledger than `ready_lag_blocks`.
    """
    container: Container | None = request.app.state.container
    if container is None:
        return JSONResponse({"status": "starting", "ready": False}, 503)
    status = container.follower.status()
    ledger = await run_in_threadpool(_ledger_height, container)
    height = max(status.ledger_height, ledger or 0)
    lag = max(0, height - status.height)
    problems = []
    if status.problem:
        problems.append({"part": "readmodel", "problem": status.problem})
    if ledger is None:
        problems.append({"part": "ledger", "problem": "does not answer"})
    if lag > container.settings.ready_lag_blocks:
        problems.append({"part": "readmodel", "problem": f"{lag} blocks behind the ledger"})
    body: dict[str, Any] = {
        "status": "ready" if not problems else "not ready",
        "ready": not problems,
        "height": status.height,
        "ledger_height": height,
        "lag": lag,
        "database": "unavailable" if status.problem else "ok",
        "ledger": "unavailable" if ledger is None else "ok",
    }
    if problems:
        body["problems"] = problems
    return JSONResponse(body, 200 if not problems else 503)


def _ledger_height(container: Container) -> int | None:
    try:
        return int(container.ledger.chain_info(container.signer).height)
    except Exception:
        return None  # whatever the reason, it does not answer: that is the finding


@router.get("/metrics", summary="Prometheus metrics", include_in_schema=False)
def metrics(request: Request) -> Response:
    """The exposition format, text version 0.0.4."""
    container: Container | None = request.app.state.container
    source = container.metrics if container else request.app.state.early_metrics
    return Response(source.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/problems", summary="Every error code, its status and meaning")
async def problems() -> list[dict[str, Any]]:
    """The table behind `code` and `type` of problem answers."""
    return [
        {"code": row.code, "status": row.status, "title": row.title, "meaning": row.meaning}
        for row in sorted(all_problem_types().values(), key=lambda row: row.code)
    ]


@router.get(
    "/problems/{code}",
    summary="What one error code means",
    responses={200: {"content": {"text/html": {}, "application/json": {}}}},
)
async def problem(code: str, request: Request) -> Response:
    """Where a problem's `type` leads: a short page, or JSON where that is asked for."""
    row = all_problem_types().get(code)
    if row is None:
        raise Problem("NOT_FOUND", "no such error code")
    if "application/json" in request.headers.get("accept", ""):
        body = {"code": row.code, "status": row.status, "title": row.title, "meaning": row.meaning}
        return JSONResponse(body)
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{row.code}</title>'
        f"<h1>{row.code}</h1><p>{html.escape(row.meaning)}</p>"
        f"<p>{html.escape(row.title)}, HTTP status {row.status}.</p></html>"
    )
    return HTMLResponse(page)
