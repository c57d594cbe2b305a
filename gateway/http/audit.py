"""GET /v1/audit/{id}: history, checks, gaps, findings, mass balance, completeness."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from chaincode.identifiers import canonical
from gateway.audit import audit
from gateway.gaps import QUIET_DAYS
from gateway.http.deps import CallerDep, ContainerDep

router = APIRouter(tags=["audit"])


@router.get("/v1/audit/{identifier:path}", summary="Audit an identifier and all it was made of")
def get_audit(
    identifier: Annotated[str, Path(max_length=500, description="Identifier in any form.")],
    caller: CallerDep,
    container: ContainerDep,
    quiet_days: Annotated[
        int, Query(ge=1, le=3650, description="A longer silence is a time gap.")
    ] = QUIET_DAYS,
    legal_basis: Annotated[
        str, Query(max_length=300, description="Provision an authority reads under.")
    ] = "",
) -> dict[str, Any]:
    """Ten numbered checks and what they rest on.

    Payloads are read as the caller, so what the caller may not see is `unknown`, not wrong; every
    read is logged at its node.
    """
    return audit(
        container, caller, canonical(identifier), quiet_days=quiet_days, legal_basis=legal_basis
    )
