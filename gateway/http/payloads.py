"""Off-chain payloads: who read one, and destroying one with a signed receipt.

The payload itself is read as the event it is, through EPCIS. Which node keeps it stands in the
event's record on the chain; that node decides (``docs/design/payloads.md``).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from sqlalchemy import select

from gateway.container import Container
from gateway.epcis.access import reader_for
from gateway.errors import Problem
from gateway.http.deps import CallerDep, ContainerDep
from gateway.readmodel import tables

router = APIRouter(prefix="/v1/payloads", tags=["payloads"])

Event = Annotated[
    str,
    Path(max_length=200, description="Event hash: 64 hex, or `ni:///sha-256;...?ver=CBV2.0`."),
]
Reason = Literal[
    "data-subject-request", "consent-withdrawn", "retention-expired", "court-order", "mistake"
]


@router.get("/{event:path}/reads", summary="Who read an event's payload")
def reads(
    event: Event,
    caller: CallerDep,
    container: ContainerDep,
    start: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[dict[str, Any]]:
    """The entries of the node's read log the caller may see, oldest first."""
    msp_id, commitment = _place(container, event)
    entries = container.payloads.reads(
        msp_id,
        commitment,
        reader_for(caller),
        start=start,
        limit=limit,
        signer=caller.signer,
    )
    return [asdict(entry) for entry in entries]


@router.get("/{event:path}/receipt", summary="The receipt of an erased payload")
def receipt(event: Event, caller: CallerDep, container: ContainerDep) -> dict[str, Any]:
    """NOT_FOUND while the payload is present."""
    msp_id, commitment = _place(container, event)
    found = container.payloads.receipt(msp_id, commitment, signer=caller.signer)
    if found is None:
        raise Problem("NOT_FOUND", "the payload was not erased")
    return {"receipt": found.to_json()}


@router.delete("/{event:path}", summary="Destroy an event's payload and its key")
def erase(
    event: Event,
    reason: Annotated[Reason, Query(description="Why; it stands in the receipt.")],
    caller: CallerDep,
    container: ContainerDep,
) -> dict[str, Any]:
    """For the payload's owner. The answer is the node's signed receipt; the proof of existence
    on the chain still verifies."""
    msp_id, commitment = _place(container, event)
    done = container.payloads.erase(
        msp_id, commitment, reader_for(caller), reason, signer=caller.signer
    )
    return {"receipt": done.to_json()}


def _place(container: Container, event: str) -> tuple[str, str]:
    """MSP id of the node that keeps it, and the commitment."""
    digest = event.removeprefix("ni:///sha-256;").partition("?")[0]
    columns = tables.events.c
    with container.readmodel.read() as connection:
        row = connection.execute(
            select(columns.msp, columns.commitment)
            .where(columns.hash == digest)
            .order_by(columns.declaration)
        ).first()
    if row is None:
        raise Problem("NOT_FOUND", f"no event {event} is on the ledger")
    return row.msp, row.commitment
