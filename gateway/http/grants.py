"""Delegations (who acts for whom) and grants (who may read what): routes over the contract."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import or_, select

from chaincode.identifiers import as_party, canonical
from gateway.http.deps import CallerDep, ContainerDep
from gateway.http.participants import Identifier, PartyId, Text
from gateway.readmodel import tables
from gateway.records import page_of_records
from gateway.transact import transact

router = APIRouter(prefix="/v1", tags=["participants"])


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Delegation(_Body):
    """Who may act for the caller's party (or for `principal`), in what, until when."""

    delegate: Identifier
    scopes: list[Text] = Field(min_length=1, max_length=20)
    expires_ms: int = Field(ge=0, lt=2**53)
    principal: Identifier | None = None


class Grant(_Body):
    """Who may read payloads about `scope`: an identifier or an event hash."""

    grantee: Identifier
    scope: Identifier
    expires_ms: int | None = Field(None, ge=0, lt=2**53)
    legal_basis: Text | None = None


@router.get("/participants/{party:path}/delegations", summary="Delegations given and received")
def delegations(party: PartyId, caller: CallerDep, container: ContainerDep) -> dict[str, Any]:
    """Also the expired and revoked ones."""
    table = tables.delegations
    found = as_party(party)
    query = select(table.c.principal, table.c.record).where(
        or_(table.c.principal == found, table.c.delegate == found)
    )
    with container.readmodel.read() as connection:
        rows = connection.execute(query).all()
    return {
        "given": [orjson.loads(row.record) for row in rows if row.principal == found],
        "received": [orjson.loads(row.record) for row in rows if row.principal != found],
    }


@router.post("/delegations", status_code=201, summary="Let another party act for yours")
def delegate(request: Delegation, caller: CallerDep, container: ContainerDep) -> dict[str, Any]:
    """Records made under it show both parties."""
    return transact(container, caller, "delegation:grant", request.model_dump())


@router.delete("/delegations/{delegate:path}", summary="Revoke a delegation")
def revoke_delegation(
    delegate: PartyId,
    caller: CallerDep,
    container: ContainerDep,
    principal: Annotated[str | None, Query(max_length=300)] = None,
) -> dict[str, Any]:
    """In force from its block on."""
    argument = {"delegate": as_party(delegate), "principal": principal}
    return transact(container, caller, "delegation:revoke", argument)


@router.get("/grants", summary="Grants to read payloads")
def list_grants(
    caller: CallerDep,
    container: ContainerDep,
    scope: Annotated[str | None, Query(max_length=500)] = None,
    grantee: Annotated[str | None, Query(max_length=300)] = None,
    bookmark: Annotated[str, Query(max_length=1500, description="From the page before.")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """By scope or by grantee; without either, those the caller's party gave or was given."""
    table = tables.grants
    key = table.c.scope + "\x1f" + table.c.granter + "\x1f" + table.c.grantee
    query = select(key.label("id"), table.c.record).where(key > bookmark).order_by(key)
    if scope is not None:
        query = query.where(table.c.scope == _scope(scope))
    if grantee is not None:
        query = query.where(table.c.grantee == as_party(grantee))
    if scope is None and grantee is None:
        query = query.where(or_(table.c.granter == caller.party, table.c.grantee == caller.party))
    return page_of_records(container.readmodel, query, limit)


@router.post("/grants", status_code=201, summary="Grant access to payloads")
def give_grant(request: Grant, caller: CallerDep, container: ContainerDep) -> dict[str, Any]:
    """Whoever holds, made or captured something may let others read about it."""
    return transact(container, caller, "grant:give", request.model_dump())


@router.delete("/grants", summary="Revoke a grant")
def revoke_grant(
    caller: CallerDep,
    container: ContainerDep,
    scope: Annotated[str, Query(min_length=1, max_length=500)],
    grantee: Annotated[str, Query(min_length=1, max_length=300)],
) -> dict[str, Any]:
    """What was read is read; nothing more from its block on."""
    argument = {"scope": scope, "grantee": as_party(grantee)}
    return transact(container, caller, "grant:revoke", argument)


def _scope(text: str) -> str:
    """As the contract keeps it: an event's hash as hex, an identifier in its canonical form."""
    hexadecimal = text.removeprefix("ni:///sha-256;").partition("?")[0]
    if len(hexadecimal) == 64 and all(c in "0123456789abcdef" for c in hexadecimal):
        return hexadecimal
    return canonical(text)
