"""``tracemark grant``: who may read off-chain payloads about what."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import click

from cli.client import Client
from cli.command import CONTEXT, command, connected
from cli.output import fields, line, print_json, table

DAY: Final = click.DateTime(["%Y-%m-%d"])


@click.group(context_settings=CONTEXT)
def grant() -> None:
    """Grant access to payloads, and take it back."""


@command(grant, "give")
@click.argument("grantee", metavar="PARTY")
@click.argument("scope", metavar="SCOPE")
@click.option("--until", type=DAY, help="Day on which it ends [open].")
@click.option("--legal-basis", default="", metavar="TEXT", help="Why; it stands on the chain.")
@connected
def give(
    grantee: str,
    scope: str,
    until: datetime | None,
    legal_basis: str,
    as_json: bool,
    client: Client,
) -> None:
    """Let PARTY read the payloads about SCOPE: an item, a lot, a product or one event's hash.

    Of what the caller's party made, holds, defined or captured; others are refused with 3.

    \b
    Examples:
      tracemark grant give 9521105000001 https://id.gs1.org/01/09521101000018/10/HR-2026-01
      tracemark grant give 9521105000001 https://id.gs1.org/01/09521101000018 \\
          --until 2027-12-31 --legal-basis "supply contract 2026-44"
    """
    body: dict[str, Any] = {"grantee": grantee, "scope": scope}
    if until is not None:
        body["expires_ms"] = int(until.replace(tzinfo=UTC).timestamp() * 1000)
    if legal_basis:
        body["legal_basis"] = legal_basis
    _changed(client.post("/v1/grants", body), as_json)


@command(grant, "revoke")
@click.argument("grantee", metavar="PARTY")
@click.argument("scope", metavar="SCOPE")
@connected
def revoke(grantee: str, scope: str, as_json: bool, client: Client) -> None:
    """Take back what the caller's party granted PARTY about SCOPE; what was read stays read.

    \b
    Example:
      tracemark grant revoke 9521105000001 https://id.gs1.org/01/09521101000018/10/HR-2026-01
    """
    query = {"grantee": grantee, "scope": scope}
    _changed(client.delete("/v1/grants", params=query), as_json)


@command(grant, "list")
@click.option("--scope", default="", metavar="SCOPE", help="Only those about this.")
@click.option("--grantee", default="", metavar="PARTY", help="Only those to this party.")
@connected
def list_(scope: str, grantee: str, as_json: bool, client: Client) -> None:
    """List grants: without options those the caller's party gave or was given."""
    found = list(client.records("/v1/grants", {"scope": scope, "grantee": grantee}))
    if as_json:
        print_json(found)
        return
    table(
        ("scope", "from", "to", "status", "until", "legal basis"),
        (
            (g["scope"], g["granter"], g["grantee"], g["status"], _until(g), g.get("legal_basis"))
            for g in found
        ),
    )


def _changed(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    names = ("scope", "granter", "grantee", "status", "legal_basis")
    fields((name.replace("_", " "), answer["result"].get(name)) for name in names)
    fields([("until", _until(answer["result"]))])
    line(f"block {answer['block']}, transaction {answer['tx_id']}")


def _until(record: dict[str, Any]) -> str:
    ends = record.get("expires_ms")
    return "" if ends is None else datetime.fromtimestamp(ends / 1000, UTC).strftime("%Y-%m-%d")
