"""``tracemark product``: what a GTIN is, and whether the rules refuse or report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from cli.client import Client
from cli.command import CONTEXT, command, connected
from cli.output import fields, line, print_json, table


@click.group(context_settings=CONTEXT)
def product() -> None:
    """Define products and their policies."""


@command(product, "list")
@connected
def list_(as_json: bool, client: Client) -> None:
    """List the products that are defined."""
    found = list(client.records("/v1/products"))
    if as_json:
        print_json(found)
        return
    table(
        ("GTIN", "name", "mode", "unit", "g per unit", "owner"),
        ((p["gtin"], p["name"], p["mode"], p["unit"], p.get("mass_g"), p["owner"]) for p in found),
    )


@command(product, "show")
@click.argument("gtin")
@connected
def show(gtin: str, as_json: bool, client: Client) -> None:
    """Show one product's definition."""
    record = client.get(f"/v1/products/{_digits(gtin)}")
    if as_json:
        print_json(record)
    else:
        _print_product(record)


@command(product, "define")
@click.argument("gtin")
@click.option("--name", required=True, help="Name of the product.")
@click.option("--brand", default="", help="Its brand.")
@click.option("--mode", type=click.Choice(["enforce", "report"]), default="enforce",
              show_default=True, help="Refuse what breaks a rule, or note it.")  # fmt: skip
@click.option("--unit", default="", metavar="CODE", help="UN/CEFACT Rec 20 unit [EA].")
@click.option("--mass-g", default="", metavar="GRAMS", help="Mass of one unit.")
@click.option("--max-yield", default="", metavar="RATIO", help="Most mass out per mass in [1].")
@click.option("--maker", "makers", multiple=True, metavar="ID",
              help="Party besides the owner who may commission it; may be repeated.")  # fmt: skip
@click.option("--actor", default="", metavar="ID", help="Party to act for, under a delegation.")
@connected
def define(
    gtin: str,
    name: str,
    brand: str,
    mode: str,
    unit: str,
    mass_g: str,
    max_yield: str,
    makers: tuple[str, ...],
    actor: str,
    as_json: bool,
    client: Client,
) -> None:
    """Define or change the product GTIN; the first to define it owns it.

    \b
    Example:
      tracemark product define 9521105000012 --name "Hochland, 250 g" --mass-g 250
    """
    optional = {
        "brand": brand,
        "unit": unit.upper(),
        "mass_g": mass_g,
        "max_yield": max_yield,
        "makers": list(makers),
        "actor": actor,
    }
    body = {"gtin": _digits(gtin), "name": name, "mode": mode}
    answer = client.post("/v1/products", body | {k: v for k, v in optional.items() if v})
    if as_json:
        print_json(answer)
        return
    _print_product(answer["result"])
    line(f"block {answer['block']}, transaction {answer['tx_id']}")


def _digits(gtin: str) -> str:
    if not gtin.isdigit():
        raise click.UsageError(f"{gtin!r} is no GTIN: 8, 12, 13 or 14 digits are")
    return gtin


def _print_product(record: Mapping[str, Any]) -> None:
    names = ("gtin", "name", "brand", "mode", "unit", "mass_g", "max_yield", "disclosure", "owner")
    fields((name.replace("_", " "), record.get(name)) for name in names)
    fields(("maker", maker) for maker in record.get("makers", ()))
