"""Products: what a GTIN is, who answers for it, and whether the rules refuse or report."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from chaincode.identifiers import parse
from gateway.errors import Problem
from gateway.http.deps import CallerDep, ContainerDep
from gateway.readmodel import tables
from gateway.records import one_record, page_of_records
from gateway.transact import transact

router = APIRouter(prefix="/v1/products", tags=["products"])

Gtin = Annotated[str, Path(pattern=r"^[0-9]{8,14}$", description="GTIN of 8, 12, 13 or 14 digits.")]
Decimal = Annotated[str, Field(pattern=r"^[0-9]{1,18}(\.[0-9]{1,9})?$")]


class Product(BaseModel):
    """A product's policy. `mode`: refuse what breaks a rule, or accept and record a finding."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "gtin": "9521234543213",
                    "name": "Finca Alta washed arabica, 250 g",
                    "mode": "enforce",
                    "unit": "EA",
                    "mass_g": "250",
                }
            ]
        },
    )

    gtin: str = Field(pattern=r"^[0-9]{8,14}$")
    name: str = Field(min_length=1, max_length=300)
    brand: str | None = Field(None, max_length=300)
    mode: Literal["enforce", "report"] = "enforce"
    unit: str | None = Field(None, pattern=r"^[A-Z0-9]{2,3}$", description="UN/CEFACT Rec 20.")
    max_yield: Decimal | None = Field(None, description="Most output per input, e.g. 1.00.")
    mass_g: Decimal | None = Field(None, description="Mass of one unit in grams.")
    makers: list[Annotated[str, Field(max_length=300)]] | None = Field(
        None, max_length=500, description="Parties besides the owner who may commission it."
    )
    owner: str | None = Field(
        None, max_length=300, description="Rightful owner (set by a regulator)."
    )
    disclosure: Literal["open"] | None = None
    actor: str | None = Field(None, max_length=300, description="Party acted for (delegation).")


@router.get("", summary="The products defined on the ledger")
def list_products(
    caller: CallerDep,
    container: ContainerDep,
    owner: Annotated[str | None, Query(max_length=300)] = None,
    bookmark: Annotated[str, Query(max_length=14, description="From the page before.")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """In order of GTIN; `bookmark` leads to the next page, absent at the end."""
    table = tables.products
    query = (
        select(table.c.gtin.label("id"), table.c.record)
        .where(table.c.gtin > bookmark)
        .order_by(table.c.gtin)
    )
    if owner is not None:
        query = query.where(table.c.owner == owner)
    return page_of_records(container.readmodel, query, limit)


@router.post("", status_code=201, summary="Define or change a product")
def define(request: Product, caller: CallerDep, container: ContainerDep) -> dict[str, Any]:
    """The first to define it owns it; only the owner or a regulator changes it."""
    return transact(container, caller, "product:define", request.model_dump())


@router.get("/{gtin}", summary="One product")
def get_product(gtin: Gtin, caller: CallerDep, container: ContainerDep) -> dict[str, Any]:
    """Its record as on the chain."""
    found = parse(f"https://id.gs1.org/01/{gtin}").gtin
    if found is None:
        raise Problem("NOT_FOUND", f"{gtin} is no GTIN")
    table = tables.products
    return one_record(
        container.readmodel,
        select(table.c.record).where(table.c.gtin == found),
        f"no product {gtin}",
    )
