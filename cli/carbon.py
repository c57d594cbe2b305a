"""``tracemark carbon``: a footprint with the records it is the sum of."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import click

from cli.client import Client, path_segment
from cli.command import command, connected
from cli.errors import NEGATIVE
from cli.output import fields, line, print_json, table
from cli.trace import short


@command(name="carbon")
@click.argument("identifier", metavar="ID")
@connected
def carbon(identifier: str, as_json: bool, client: Client) -> int | None:
    """Show the carbon footprint of the item or lot ID and recompute every record behind it.

    Ends with 1 when a record's activity and factor do not give the stated amount.

    \b
    Example:
      tracemark carbon https://id.gs1.org/01/09521105000012/10/AL260318
    """
    found = client.get(f"/v1/carbon/{path_segment(identifier)}")
    again = found["recomputation"]
    code = NEGATIVE if again["arithmetic_wrong"] else None
    if as_json:
        print_json(found)
        return code
    per_unit = found.get("per_unit") or {}
    unit = f"{kilograms(per_unit['co2e_mg'])} per {per_unit['unit']}" if per_unit else None
    line(f"{kilograms(found['co2e_mg'])} CO2e  {short(found['id'])}", "bold")
    stages = found.get("stages") or {}
    fields([("per unit", unit), *((name, kilograms(mg)) for name, mg in stages.items())])
    table(
        ("stage", "step", "stated by", "activity", "factor", "kg CO2e", "checked"),
        (_row(record) for record in found["records"]),
    )
    line(
        f"{again['records']} records upstream, {again['arithmetic_checked']} recomputed, "
        f"{again['arithmetic_wrong']} wrong, {again['verified_by_third_party']} verified by a "
        "third party; a record is shared with everything else made of the same goods"
    )
    if found.get("truncated"):
        line("The list of records was cut at its bound.", "yellow")
    return code


def kilograms(mg: int) -> str:
    """Milligrams as kilograms, exactly."""
    text = format(Decimal(mg).scaleb(-6), "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) + " kg"


def _row(record: dict[str, Any]) -> tuple[str, ...]:
    activity, factor = record.get("activity") or {}, record.get("factor") or {}
    matches = record.get("matches")
    arithmetic = "-" if matches is None else "recomputed" if matches else "WRONG"
    verified = ", verified" if record.get("verified_by") else ""
    return (
        record["stage"],
        str(record.get("step") or ""),
        short(record["stated_by"]),
        f"{activity.get('amount', '')} {activity.get('unit', '')}",
        f"{factor.get('id', '')} {factor.get('version', '')}",
        kilograms(record["co2e_mg"]).removesuffix(" kg"),
        arithmetic + verified,
    )
