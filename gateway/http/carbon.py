"""GET /v1/carbon/{id}: a footprint with everything to recompute it; verify a carbon record."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from chaincode.identifiers import canonical
from gateway.carbon import footprint
from gateway.http.deps import CallerDep, ContainerDep
from gateway.transact import transact

router = APIRouter(prefix="/v1/carbon", tags=["carbon"])


class Verification(BaseModel):
    """A third party's word on one carbon record of one event."""

    model_config = ConfigDict(extra="forbid")

    event: str = Field(min_length=1, max_length=200, description="Event hash.")
    index: int = Field(ge=0, lt=10_000, description="Which record of the event, from 0.")
    statement: str = Field(min_length=1, max_length=1000, description="What was verified, and how.")


@router.post("/verifications", status_code=201, summary="Verify a carbon record")
def verify(request: Verification, caller: CallerDep, container: ContainerDep) -> dict[str, Any]:
    """Certifiers and auditors only, and nobody their own."""
    return transact(container, caller, "carbon:verify", request.model_dump())


@router.get("/{identifier:path}", summary="Carbon footprint with its recomputation")
def get_footprint(
    identifier: Annotated[str, Path(max_length=500, description="Identifier in any form.")],
    caller: CallerDep,
    container: ContainerDep,
) -> dict[str, Any]:
    """Milligrams CO2e by stage, every record behind them, and how transformations shared them."""
    return footprint(container, canonical(identifier))
