"""The yardstick for the scan page: a FastAPI application with one JSON endpoint."""

from __future__ import annotations

from fastapi import FastAPI

app = FastAPI()


@app.get("/bare")
async def bare() -> dict[str, str]:
    """A small object, nothing looked up."""
    return {"verdict": "valid", "id": "https://id.gs1.org/01/09521234543213/21/1"}
