"""A carbon footprint with everything needed to recompute it by hand.

The amount is the contract's (``carbon:footprint``). Beside it stands each record upstream with its
activity, factor and who stated and verified it, and whether activity times factor gives the stated
amount (integer milligrams CO2e, rounded either way); and each transformation with the amounts by
which its burden was shared out. What one identifier carries never exceeds what was recorded
upstream of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, select

from chaincode.errors import UnitError
from chaincode.units import fraction
from gateway.container import Container
from gateway.mass_balance import transformation_balance
from gateway.readmodel import tables
from gateway.trace import trace
from gateway.traced import TracedEvent

Json = dict[str, Any]
_CHUNK = 500


def footprint(container: Container, identifier: str) -> Json:
    """The footprint of a canonical identifier.

    :raises gateway.ledger.errors.EvaluateError: unknown identifier, or the ledger is away.
    """
    told: Json = container.ledger.evaluate(container.signer, "carbon:footprint", {"id": identifier})
    with container.readmodel.read() as connection:
        records = _records(connection, told.get("records") or ())
        found = trace(connection, identifier, "up", max_nodes=container.settings.trace_max_nodes)
    recorded = sum(int(row["co2e_mg"]) for row in records)
    stages: dict[str, int] = {}
    for row in records:
        stages[row["stage"]] = stages.get(row["stage"], 0) + int(row["co2e_mg"])
    wrong = [row for row in records if row.get("matches") is False]
    return {
        **{name: value for name, value in told.items() if name != "records"},
        "records": records,
        "recorded_upstream": {"co2e_mg": recorded, "stages": dict(sorted(stages.items()))},
        "allocations": [
            _allocation(event)
            for event in found.in_order()
            if event.follows and event.projection["type"] == "TransformationEvent"
        ],
        "recomputation": {
            "records": len(records),
            "arithmetic_checked": sum(row.get("matches") is not None for row in records),
            "arithmetic_wrong": len(wrong),
            "verified_by_third_party": sum("verified_by" in row for row in records),
            "allocated_within_recorded": int(told["co2e_mg"]) <= recorded
            if not told.get("truncated")
            else None,
        },
    }


def recompute(record: Mapping[str, Any]) -> tuple[int, int] | None:
    """Activity times factor in milligrams, rounded down and up.

    None where the factor's value is not given.
    """
    value = record.get("factor", {}).get("value_mg_per_unit")
    if value is None:
        return None
    try:
        amount, amount_base = fraction(record["activity"]["amount"])
        factor, factor_base = fraction(value)
    except (UnitError, KeyError, TypeError):
        return None
    down, rest = divmod(amount * factor, amount_base * factor_base)
    return down, down + bool(rest)


def _records(connection: Connection, told: Sequence[Mapping[str, Any]]) -> list[Json]:
    """The contract's list of records, each with its detail, event and arithmetic."""
    hashes = sorted({_hex(row["event"]) for row in told})
    events: dict[str, Json] = {}
    for start in range(0, len(hashes), _CHUNK):
        for row in connection.execute(_EVENTS, {"ids": hashes[start : start + _CHUNK]}).all():
            events[row.hash] = orjson.loads(row.record)
    out: list[Json] = []
    for listed in told:
        event = events.get(_hex(listed["event"]))
        full = event["carbon"][listed["index"]] if event else {}
        entry: Json = {**listed, **full}
        if event is not None:
            entry["when_ms"] = event["projection"]["time_ms"]
            entry["step"] = event["projection"].get("step")
            entry["party"] = event["party"]
        again = recompute(entry)
        entry["recomputed_mg"] = None if again is None else again[0]
        entry["matches"] = None if again is None else entry["co2e_mg"] in again
        out.append(entry)
    return out


def _allocation(event: TracedEvent) -> Json:
    """How one transformation's burden is shared: its outputs' amounts, as captured."""
    projection = event.projection
    return {
        **transformation_balance(event),
        "shared_by": projection.get("output_quantities")
        or [{"id": name} for name in projection.get("outputs") or ()],
        "inputs_from": list(event.inputs),
    }


def _hex(digest: str) -> str:
    return digest.removeprefix("ni:///sha-256;").partition("?")[0]


_EVENTS = select(tables.events.c.hash, tables.events.c.record).where(
    tables.events.c.hash.in_(bindparam("ids", expanding=True)), tables.events.c.declaration == 0
)
