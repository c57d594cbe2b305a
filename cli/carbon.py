"""``tracemark carbon``: a footprint with the records it is the sum of, and their verification."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import click

from cli.client import Client, path_segment
from cli.command import CONTEXT, command, connected
from cli.errors import NEGATIVE
from cli.output import fields, line, print_json, table
from cli.trace import short


class _Group(click.Group):
    """``tracemark carbon ID`` is ``tracemark carbon show ID``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        names = {*self.commands, *ctx.help_option_names}
        if args and not names & set(args[:1]):
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Group, context_settings=CONTEXT)
def carbon() -> None:
    """Show and verify carbon records."""


@command(carbon, "show")
@click.argument("identifier", metavar="ID")
@connected
def show(identifier: str, as_json: bool, client: Client) -> int | None:
    """Show the carbon footprint of the item or lot ID and recompute every record behind it.

    Ends with 1 when a record's activity and factor do not give the stated amount.

    \b
    Example:
      tracemark carbon show https://id.gs1.org/01/09521105000012/10/AL260318
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


@command(carbon, "verify")
@click.argument("event", metavar="EVENT")
@click.argument("index", type=click.IntRange(0), metavar="INDEX")
@click.option("--statement", required=True, metavar="TEXT", help="What was verified, and how.")
@connected
def verify(event: str, index: int, statement: str, as_json: bool, client: Client) -> None:
    """Put a third party's word on the carbon record INDEX (from 0) of EVENT (its hash).

    For certifiers and auditors, and nobody's own records.

    \b
    Example:
      tracemark carbon verify 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 0 \\
          --statement "fuel receipts seen, ISO 14083"
    """
    body = {"event": event, "index": index, "statement": statement}
    answer = client.post("/v1/carbon/verifications", body)
    if as_json:
        print_json(answer)
    else:
        line(f"verified; block {answer['block']}, transaction {answer['tx_id']}")


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
