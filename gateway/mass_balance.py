"""What went in, what came out, what was lost: per lot over all holders, and per transformation.

Amounts are exact integers of a dimension's base unit (:mod:`chaincode.units`); they are shown as
decimals in the lot's own unit. For a lot the chain keeps the equation

    on hand + under way + consumed + lost + removed = produced + adopted

``adopted`` is what was accepted without a known source (products in report mode), so a lot with
adopted amounts balances and is not proven.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from chaincode.errors import UnitError
from chaincode.units import DEFAULT_UNIT, MASS, amount, decimal, unit_of
from gateway.traced import TracedEvent

Json = dict[str, Any]
_OUT = ("on_hand", "consumed", "lost", "removed")
_IN = ("produced", "adopted")
_BASE = {MASS: "KGM", "count": "EA", "volume": "LTR", "length": "MTR", "area": "MTK"}


def lot_balance(lot: str, unit: str, records: Iterable[Mapping[str, Any]]) -> Json:
    """The balance of a lot from the balance records of all its holders.

    unit: what amounts are shown in. ``difference`` is out minus in; ``difference_base`` is the
    same as an exact integer of the dimension's base unit, "0" where it balances.
    """
    dimension, _ = unit_of(unit)
    totals = dict.fromkeys((*_IN, *_OUT, "incoming"), 0)
    holders: list[Json] = []
    other_dimensions = 0
    for record in records:
        if record.get("dimension", dimension) != dimension:
            other_dimensions += 1
            continue
        for name in (*_IN, *_OUT):
            totals[name] += int(record.get(name, "0"))
        under_way = sum(int(entry["amount"]) for entry in record.get("incoming", {}).values())
        totals["incoming"] += under_way
        held = int(record.get("on_hand", "0"))
        if held or under_way:
            holders.append(
                {
                    "holder": record["holder"],
                    "on_hand": decimal(held, unit),
                    "incoming": decimal(under_way, unit),
                }
            )
    difference = sum(totals[name] for name in (*_OUT, "incoming")) - sum(
        totals[name] for name in _IN
    )
    out: Json = {"lot": lot, "unit": unit, "holders": holders}
    out |= {name: decimal(base, unit) for name, base in totals.items()}
    out["difference"] = ("-" if difference < 0 else "") + decimal(abs(difference), unit)
    out["difference_base"] = str(difference)
    out["balanced"] = difference == 0
    out["proven"] = difference == 0 and totals["adopted"] == 0
    if other_dimensions:
        out["holders_in_other_units"] = other_dimensions
    return out


def transformation_balance(event: TracedEvent) -> Json:
    """Inputs, outputs and declared losses of one transformation, per dimension.

    yield: outputs over inputs, as a decimal cut after four places, where both are known.
    """
    sides = {
        "inputs": _sum(event.projection, "input_quantities", "inputs"),
        "outputs": _sum(event.projection, "output_quantities", "outputs"),
        "losses": _sum(event.projection, "losses", ""),
    }
    out: Json = {"event": event.record["hash"], "time_ms": event.time_ms}
    for name, sums in sides.items():
        out[name] = {
            dimension: {"qty": decimal(base, unit_name), "unit": unit_name}
            for dimension, base in sorted(sums.items())
            if (unit_name := _BASE.get(dimension, dimension))
        }
    shared = sides["inputs"].keys() & sides["outputs"].keys()
    yields = {}
    for dimension in sorted(shared):
        ratio = sides["outputs"][dimension] * 10_000 // sides["inputs"][dimension]
        yields[dimension] = f"{ratio // 10_000}.{ratio % 10_000:04d}"
    out["yield"] = yields
    return out


def _sum(projection: Mapping[str, Any], counted: str, plain: str) -> dict[str, int]:
    sums: dict[str, int] = {}
    for entry in projection.get(counted) or ():
        try:
            dimension, base = amount(entry["qty"], entry.get("unit") or DEFAULT_UNIT)
        except (UnitError, KeyError):
            continue  # no quantity, or one the contract recorded a finding about
        sums[dimension] = sums.get(dimension, 0) + base
    things = len(projection.get(plain) or ()) if plain else 0
    if things:
        dimension, base = amount(str(things), DEFAULT_UNIT)
        sums[dimension] = sums.get(dimension, 0) + base
    return sums
