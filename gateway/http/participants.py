"""Participants, their licences and locations: routes over the contract's functions.

Changes are signed by the caller and decided by the contract; lists and single records are read
from the read model, as the JSON that is on the chain.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import or_, select

from chaincode.identifiers import as_party
from gateway.auth import Caller
from gateway.container import Container
from gateway.http.deps import CallerDep, ContainerDep
from gateway.readmodel import tables
from gateway.records import one_record, page_of_records
from gateway.transact import transact

router = APIRouter(prefix="/v1", tags=["participants"])

Role = Literal[
    "producer", "processor", "carrier", "warehouse", "certifier",
    "customs", "brand", "retailer", "regulator", "auditor",
]  # fmt: skip
PartyId = Annotated[
    str,
    Path(max_length=300, description="Party id, GLN, or any form of it (URL-encoded)."),
]
Text = Annotated[str, Field(min_length=1, max_length=300)]
Identifier = Annotated[str, Field(min_length=1, max_length=500)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Licence(_Body):
    """A licence: what it covers and when. Times in ms UTC."""

    number: Text
    kind: Text
    issuer: Text
    valid_from_ms: int = Field(ge=0, lt=2**53)
    valid_until_ms: int = Field(ge=0, lt=2**53)


class Registration(_Body):
    """A new participant: one of id, gln and slug names it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "slug": "finca-alta",
                    "name": "Finca Alta",
                    "msp": "CoopMSP",
                    "roles": ["producer"],
                    "country": "CO",
                }
            ]
        },
    )

    id: Identifier | None = None
    gln: str | None = Field(None, pattern=r"^[0-9]{13}$")
    slug: str | None = Field(None, pattern=r"^[a-z0-9-]{3,40}$")
    name: Text
    msp: Text
    roles: list[Role] = Field(min_length=1, max_length=10)
    country: str = Field(pattern=r"^[A-Z]{2}$")
    default: bool | None = None
    locations: list[Identifier] | None = Field(None, max_length=1000)
    licences: list[Licence] | None = Field(None, max_length=100)


class Reason(_Body):
    """Why; it goes on the chain."""

    reason: Text


class Roles(_Body):
    """The participant's roles from now on."""

    roles: list[Role] = Field(min_length=1, max_length=10)


class Location(_Body):
    """A location (GLN in any form) that belongs to the participant."""

    location: Identifier


# -- participants -----------------------------------------------------------------------------


@router.get("/participants", summary="The participants of the network")
def list_participants(
    caller: CallerDep,
    container: ContainerDep,
    role: Role | None = None,
    country: Annotated[str | None, Query(pattern=r"^[A-Z]{2}$")] = None,
    msp: Annotated[str | None, Query(max_length=64)] = None,
    bookmark: Annotated[str, Query(max_length=300, description="From the page before.")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """In order of their ids; `bookmark` leads to the next page, absent at the end."""
    table = tables.participants
    query = select(table.c.id, table.c.record).where(table.c.id > bookmark).order_by(table.c.id)
    if role is not None:
        roles = table.c.roles
        query = query.where(
            or_(
                roles == role,
                roles.like(f"{role} %"),
                roles.like(f"% {role}"),
                roles.like(f"% {role} %"),
            )
        )
    if country is not None:
        query = query.where(table.c.country == country)
    if msp is not None:
        query = query.where(table.c.msp == msp)
    return page_of_records(container.readmodel, query, limit)


@router.post("/participants", status_code=201, summary="Register a participant")
def register(request: Registration, caller: CallerDep, container: ContainerDep) -> dict[str, Any]:
    """The first one opens the registry and must be a regulator of the caller's organisation."""
    return _changed(container, caller, "participant:register", request.model_dump())


@router.post("/participants/{party:path}/suspend", summary="Suspend a participant")
def suspend(
    party: PartyId, request: Reason, caller: CallerDep, container: ContainerDep
) -> dict[str, Any]:
    """Regulators only; in force from its block on."""
    argument = {"id": as_party(party), "reason": request.reason}
    return _changed(container, caller, "participant:suspend", argument)


@router.post("/participants/{party:path}/reinstate", summary="Reinstate a suspended participant")
def reinstate(
    party: PartyId, request: Reason, caller: CallerDep, container: ContainerDep
) -> dict[str, Any]:
    """Regulators only."""
    argument = {"id": as_party(party), "reason": request.reason}
    return _changed(container, caller, "participant:reinstate", argument)


@router.put("/participants/{party:path}/roles", summary="Change a participant's roles")
def set_roles(
    party: PartyId, request: Roles, caller: CallerDep, container: ContainerDep
) -> dict[str, Any]:
    """Replaces them all."""
    argument = {"id": as_party(party), "roles": request.roles}
    return _changed(container, caller, "participant:setRoles", argument)


@router.post("/participants/{party:path}/licences", summary="Add a licence")
def add_licence(
    party: PartyId, request: Licence, caller: CallerDep, container: ContainerDep
) -> dict[str, Any]:
    """It covers a role or a certificate type for a time."""
    argument = {"id": as_party(party), "licence": request.model_dump()}
    return _changed(container, caller, "participant:addLicence", argument)


@router.delete("/participants/{party:path}/licences/{number}", summary="Revoke a licence")
def revoke_licence(
    party: PartyId,
    number: Annotated[str, Path(max_length=300)],
    caller: CallerDep,
    container: ContainerDep,
) -> dict[str, Any]:
    """Certificates issued under it stay; new ones are refused."""
    argument = {"id": as_party(party), "number": number}
    return _changed(container, caller, "participant:revokeLicence", argument)


@router.post("/participants/{party:path}/locations", summary="Register a location")
def add_location(
    party: PartyId, request: Location, caller: CallerDep, container: ContainerDep
) -> dict[str, Any]:
    """Events at this location then mean this participant."""
    argument = {"id": as_party(party), "location": request.location}
    return _changed(container, caller, "participant:addLocation", argument)


@router.get("/participants/{party:path}", summary="One participant")
def get_participant(party: PartyId, caller: CallerDep, container: ContainerDep) -> dict[str, Any]:
    """Its record as on the chain: roles, licences, locations, status."""
    table = tables.participants
    return one_record(
        container.readmodel,
        select(table.c.record).where(table.c.id == as_party(party)),
        f"no participant {party}",
    )


def _changed(
    container: Container, caller: Caller, function: str, argument: dict[str, Any]
) -> dict[str, Any]:
    answer = transact(container, caller, function, argument)
    container.authenticator.forget()  # roles may be others now
    return answer
