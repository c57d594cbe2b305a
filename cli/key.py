"""``tracemark key``: API keys, each bound to a ledger identity of its organisation.

Over HTTP with an administrator's key; ``key create --home`` makes one on the gateway's own machine
where there is none yet, by reading the organisation's folder in the data home.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from cli.client import Client, path_segment
from cli.command import CONTEXT, command, connected
from cli.output import fields, line, print_json, table

PEM = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(context_settings=CONTEXT)
def key() -> None:
    """Create, list and revoke API keys."""


@command(key, "create")
@click.argument("user")
@click.option("--label", default="", help="What the key is for [the user's name].")
@click.option("--party", default="", metavar="ID", help="Party that a new user acts for.")
@click.option("--admin", is_flag=True, help="Make a new user an administrator.")
@click.option("--valid-days", type=click.IntRange(1, 3650), help="End of validity [none].")
@click.option("--certificate", type=PEM, help="PEM of a user who keeps the private key.")
@click.option("--home", type=click.Path(file_okay=False, path_type=Path, exists=True),
              help="Make it locally in this data home, without a key.")  # fmt: skip
@click.option("--org", default="", metavar="NAME", help="Organisation of USER, with --home.")
@connected
def create(
    user: str,
    label: str,
    party: str,
    admin: bool,
    valid_days: int | None,
    certificate: Path | None,
    home: Path | None,
    org: str,
    as_json: bool,
    client: Client,
) -> None:
    """Make an API key for USER of the caller's organisation; it is shown this once.

    A user that does not exist yet is issued a certificate by the organisation's CA. With
    --certificate the private key stays with the user, who signs offline.

    \b
    Examples:
      tracemark key create line2 --party urn:tracemark:party:finca-alta --label "packing line 2"
      tracemark key create admin --home .tracemark --org growers
    """
    if home is not None:
        from cli.local_keys import make_local_key

        made = make_local_key(home, org, user, label or user, party, admin, valid_days)
    else:
        wanted: dict[str, Any] = {
            "label": label or user,
            "user": user,
            "ou": "admin" if admin else "client",
        }
        optional = {
            "party": party or None,
            "valid_days": valid_days,
            "certificate": certificate.read_text() if certificate else None,
        }
        made = client.post("/v1/keys", wanted | {k: v for k, v in optional.items() if v})
    if as_json:
        print_json(made)
        return
    fields((name, made.get(name)) for name in ("id", "msp", "user", "party", "ou"))
    line(made["key"], "bold")


@command(key, "list")
@connected
def list_(as_json: bool, client: Client) -> None:
    """List the organisation's keys, never a secret (an administrator's key is needed)."""
    keys = client.get("/v1/keys")
    if as_json:
        print_json(keys)
        return
    table(
        ("id", "label", "user", "party", "unit", "created", "state"),
        (
            (k["id"], k["label"], k["user"], k["party"], k["ou"], _day(k["created_ms"]), _state(k))
            for k in keys
        ),
    )


@command(key, "show")
@connected
def show(as_json: bool, client: Client) -> None:
    """Show whom the gateway takes the present key for."""
    found = client.get("/v1/keys/self")
    if as_json:
        print_json(found)
    else:
        fields((name, value) for name, value in found.items())


@command(key, "revoke")
@click.argument("key_id", metavar="KEY-ID")
@connected
def revoke(key_id: str, as_json: bool, client: Client) -> None:
    """End a key of the organisation now.

    \b
    Example:
      tracemark key revoke 4fGh2kLmN8pQrS3t
    """
    client.delete(f"/v1/keys/{path_segment(key_id)}")
    if as_json:
        print_json({"id": key_id, "revoked": True})
    else:
        line(f"{key_id} is revoked")


def _day(time_ms: int | None) -> str:
    return (
        "" if time_ms is None else datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d")
    )


def _state(entry: dict[str, Any]) -> str:
    if entry["revoked_ms"] is not None:
        return "revoked"
    if entry["expires_ms"] is None:
        return "in force"
    expired = entry["expires_ms"] < datetime.now(UTC).timestamp() * 1000
    return f"{'ended' if expired else 'until'} {_day(entry['expires_ms'])}"
