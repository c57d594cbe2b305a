"""GET /v1/trace/{id}: where a thing came from and where it went."""

from __future__ import annotations

from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from chaincode.identifiers import canonical
from gateway.errors import Problem
from gateway.gaps import QUIET_DAYS, gaps
from gateway.http.deps import CallerDep, ContainerDep
from gateway.payload_state import payload_states
from gateway.trace import trace
from gateway.trace_view import view

router = APIRouter(tags=["trace"])

Identifier = Annotated[
    str,
    Path(
        max_length=500,
        description="Identifier in any form: Digital Link URI, EPC URN, element string, digits.",
    ),
]


@router.get(
    "/v1/trace/{identifier:path}",
    summary="Trace an identifier up to its origins, down to its uses, or both",
    response_class=Response,
    responses={200: {"content": {"application/json": {}}}},
)
def get_trace(
    identifier: Identifier,
    caller: CallerDep,
    container: ContainerDep,
    direction: Literal["up", "down", "both"] = "both",
    depth: Annotated[int, Query(ge=0, le=200, description="Most links followed.")] = 50,
    quiet_days: Annotated[
        int, Query(ge=1, le=3650, description="A longer silence is a time gap.")
    ] = QUIET_DAYS,
) -> Response:
    """A graph of identifiers and events with the evidence of each event, and gaps as gaps.

    Through transformations, aggregation and association; a container's journey is shown for the
    time the thing was inside. `truncated` says when the answer was cut at its bound.
    """
    with container.readmodel.read() as connection:
        found = trace(
            connection,
            canonical(identifier),
            direction,
            max_depth=depth,
            max_nodes=container.settings.trace_max_nodes,
        )
        if not found.events:
            raise Problem("NOT_FOUND", f"no event about {found.root} is on the ledger")
        body = view(
            connection,
            found,
            gaps(found, quiet_days),
            lambda wanted: payload_states(container.payloads, wanted, signer=caller.signer),
        )
    return Response(orjson.dumps(body), media_type="application/json")
