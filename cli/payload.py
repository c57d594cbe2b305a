"""``tracemark payload``: who read an event's payload, and destroying it with a signed receipt."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from cli.client import Client, path_segment
from cli.command import CONTEXT, command, connected
from cli.output import fields, line, print_json, table

REASONS: Final = (
    "data-subject-request", "consent-withdrawn", "retention-expired", "court-order", "mistake",
)  # fmt: skip
OUTPUT = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.group(context_settings=CONTEXT)
def payload() -> None:
    """Erase off-chain payloads; see who read them."""


@command(payload, "erase")
@click.argument("event", metavar="EVENT")
@click.option("--reason", required=True, type=click.Choice(REASONS), help="Why; in the receipt.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--out", type=OUTPUT, help="Write the receipt to a file.")
@connected
def erase(
    event: str, reason: str, yes: bool, out: Path | None, as_json: bool, client: Client
) -> None:
    """Destroy the payload of EVENT (its hash) and its key, for good.

    Only the payload's owner may. The answer is the node's signed receipt; the event, its hash and
    its place on the ledger stay, so its proof of existence still verifies.

    \b
    Example:
      tracemark payload erase 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 \\
          --reason data-subject-request --out receipt.json
    """
    if not yes:
        click.confirm(f"Destroy the payload of {event}? It cannot be undone.", abort=True, err=True)
    path = f"/v1/payloads/{path_segment(event)}"
    _show(client.delete(path, params={"reason": reason})["receipt"], out, as_json)


@command(payload, "receipt")
@click.argument("event", metavar="EVENT")
@click.option("--out", type=OUTPUT, help="Write the receipt to a file.")
@connected
def receipt(event: str, out: Path | None, as_json: bool, client: Client) -> None:
    """Show the signed receipt of an erased payload; ends with 6 while it is present."""
    found = client.get(f"/v1/payloads/{path_segment(event)}/receipt")
    _show(found["receipt"], out, as_json)


@command(payload, "reads")
@click.argument("event", metavar="EVENT")
@click.option("--start", type=click.IntRange(0), default=0, help="From this entry of the log on.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True,
              help="Most entries shown.")  # fmt: skip
@connected
def reads(event: str, start: int, limit: int, as_json: bool, client: Client) -> None:
    """Show who read EVENT's payload or was refused, as far as the caller may see it."""
    query = {"start": start, "limit": limit}
    found = client.get(f"/v1/payloads/{path_segment(event)}/reads", query)
    if as_json:
        print_json(found)
        return
    table(
        ("entry", "time", "what", "rule", "party", "MSP", "legal basis"),
        (
            (e["seq"], _time(e["time_ms"]), e["action"], e["rule"], e["party"], e["msp_id"],
             e["legal_basis"])
            for e in found
        ),
    )  # fmt: skip


def _show(found: dict[str, Any], out: Path | None, as_json: bool) -> None:
    if out is not None:
        out.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if as_json:
        print_json(found)
        return
    fields(
        [
            ("event", found["event_hash"]),
            ("commitment", found["commitment"]),
            ("owner", found["owner_party"]),
            ("stored", _time(found["stored_ms"])),
            ("erased", _time(found["erased_ms"])),
            ("reason", found["reason"]),
            ("asked by", found["requested_by"]),
            ("node of", found["node"]["msp_id"]),
        ]
    )
    if out is not None:
        line(f"the signed receipt is in {out}")


def _time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
