"""``tracemark participant``: the registry of parties, their roles, licences and delegations.

Changes are signed with the caller's ledger identity and decided by the contract; a refusal ends
with 3 and names the rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

import click

from cli.client import Client, path_segment
from cli.command import CONTEXT, command, connected
from cli.output import fields, line, print_json, table

ROLES: Final = (
    "producer", "processor", "carrier", "warehouse", "certifier",
    "customs", "brand", "retailer", "regulator", "auditor",
)  # fmt: skip
DAY: Final = click.DateTime(["%Y-%m-%d"])


@click.group(context_settings=CONTEXT)
def participant() -> None:
    """Register parties; roles, licences and delegations."""


@command(participant, "list")
@click.option("--role", type=click.Choice(ROLES), help="Only parties with this role.")
@click.option("--country", default="", metavar="CC", help="Only parties of this country.")
@connected
def list_(role: str | None, country: str, as_json: bool, client: Client) -> None:
    """List the participants of the network."""
    query = {"role": role, "country": country.upper()}
    found = list(client.records("/v1/participants", query))
    if as_json:
        print_json(found)
        return
    table(
        ("id", "name", "MSP", "country", "roles", "status"),
        ((p["id"], p["name"], p["msp"], p["country"], p["roles"], p["status"]) for p in found),
    )


@command(participant, "show")
@click.argument("party", metavar="ID")
@connected
def show(party: str, as_json: bool, client: Client) -> None:
    """Show one party: roles, licences, locations and delegations.

    \b
    Examples:
      tracemark participant show 9521101000009
      tracemark participant show urn:tracemark:party:halo-ridge-farm
    """
    path = f"/v1/participants/{path_segment(party)}"
    record = client.get(path)
    delegations = client.get(f"{path}/delegations")
    if as_json:
        print_json(record | {"delegations": delegations})
        return
    _print_party(record)
    for licence in record.get("licences", []):
        until = _day(licence["valid_until_ms"])
        line(
            f"licence    {licence['number']} covers {licence['kind']}, {licence['status']}, "
            f"until {until}, from {licence['issuer']}"
        )
    for side, other in (("given", "delegate"), ("received", "principal")):
        for entry in delegations[side]:
            scopes, until = ", ".join(entry["scopes"]), _day(entry["expires_ms"])
            line(f"delegation {side}: {entry[other]}, {scopes}, {entry['status']}, until {until}")


@command(participant, "register")
@click.argument("party", metavar="ID")
@click.option("--name", required=True, help="Name of the party.")
@click.option("--msp", required=True, metavar="MSP-ID", help="Organisation it belongs to.")
@click.option("--role", "roles", multiple=True, required=True, type=click.Choice(ROLES),
              help="A role; may be given several times.")  # fmt: skip
@click.option("--country", required=True, metavar="CC", help="ISO 3166-1 alpha-2 code.")
@click.option("--location", "locations", multiple=True, metavar="GLN", help="A place of its own.")
@click.option("--default", is_flag=True, help="The party its organisation's users act for.")
@connected
def register(
    party: str,
    name: str,
    msp: str,
    roles: tuple[str, ...],
    country: str,
    locations: tuple[str, ...],
    default: bool,
    as_json: bool,
    client: Client,
) -> None:
    """Register a party: a GLN, or urn:tracemark:party:NAME for one without a GS1 prefix.

    The first registration opens the registry: an administrator registers its own regulator.
    Afterwards a regulator registers anyone, and an organisation's administrator its own
    producers, processors, carriers, warehouses and retailers.

    \b
    Examples:
      tracemark participant register 9521101000009 --name "Highland Cloud" \\
          --msp GrowersMSP --role producer --role processor --country ET
      tracemark participant register urn:tracemark:party:finca-alta --name "Finca Alta" \\
          --msp GrowersMSP --role producer --country CO
    """
    body: dict[str, Any] = {
        ("gln" if party.isdigit() else "id"): party,
        "name": name,
        "msp": msp,
        "roles": list(roles),
        "country": country.upper(),
    }
    if locations:
        body["locations"] = list(locations)
    if default:
        body["default"] = True
    _changed(client.post("/v1/participants", body), as_json)


@command(participant, "suspend")
@click.argument("party", metavar="ID")
@click.option("--reason", required=True, help="Why; it goes on the ledger.")
@connected
def suspend(party: str, reason: str, as_json: bool, client: Client) -> None:
    """Suspend a party: from its block on nothing is accepted from it (regulators)."""
    path = f"/v1/participants/{path_segment(party)}/suspend"
    _changed(client.post(path, {"reason": reason}), as_json)


@command(participant, "reinstate")
@click.argument("party", metavar="ID")
@click.option("--reason", required=True, help="Why; it goes on the ledger.")
@connected
def reinstate(party: str, reason: str, as_json: bool, client: Client) -> None:
    """Reinstate a suspended party (regulators)."""
    path = f"/v1/participants/{path_segment(party)}/reinstate"
    _changed(client.post(path, {"reason": reason}), as_json)


@command(participant, "roles")
@click.argument("party", metavar="ID")
@click.argument("roles", nargs=-1, required=True, type=click.Choice(ROLES), metavar="ROLE...")
@connected
def roles_(party: str, roles: tuple[str, ...], as_json: bool, client: Client) -> None:
    """Replace a party's roles by ROLE...

    \b
    Example:
      tracemark participant roles 9521102000008 processor warehouse
    """
    path = f"/v1/participants/{path_segment(party)}/roles"
    _changed(client.put(path, {"roles": list(roles)}), as_json)


@command(participant, "licence")
@click.argument("party", metavar="ID")
@click.argument("number")
@click.option("--kind", default="", help="The role or certificate type that it covers.")
@click.option("--issuer", default="", help="Who issued it.")
@click.option("--from", "start", type=DAY, help="First day, YYYY-MM-DD [today].")
@click.option("--until", type=DAY, help="First day on which it is no longer valid.")
@click.option("--revoke", is_flag=True, help="Revoke licence NUMBER instead of adding it.")
@connected
def licence(
    party: str,
    number: str,
    kind: str,
    issuer: str,
    start: datetime | None,
    until: datetime | None,
    revoke: bool,
    as_json: bool,
    client: Client,
) -> None:
    """Add licence NUMBER to a party, or revoke it.

    \b
    Examples:
      tracemark participant licence 9521107000003 ET-ACC-0417 --kind certifier \\
          --issuer "Accreditation Service" --until 2029-12-31
      tracemark participant licence 9521107000003 ET-ACC-0417 --revoke
    """
    path = f"/v1/participants/{path_segment(party)}/licences"
    if revoke:
        _changed(client.delete(f"{path}/{path_segment(number)}"), as_json)
        return
    if not (kind and issuer and until):
        raise click.UsageError("a new licence needs --kind, --issuer and --until")
    body = {
        "number": number,
        "kind": kind,
        "issuer": issuer,
        "valid_from_ms": _ms(start or datetime.combine(date.today(), datetime.min.time())),
        "valid_until_ms": _ms(until),
    }
    _changed(client.post(path, body), as_json)


@command(participant, "delegate")
@click.argument("delegate_id", metavar="DELEGATE")
@click.option("--scope", "scopes", multiple=True, default=("event:capture",), show_default=True,
              help="What it may do; may be given several times.")  # fmt: skip
@click.option("--until", type=DAY, help="Day on which it ends.")
@click.option("--for", "principal", default="", metavar="ID",
              help="Principal without a key, for whom an administrator grants it.")  # fmt: skip
@click.option("--revoke", is_flag=True, help="Revoke the delegation instead.")
@connected
def delegate(
    delegate_id: str,
    scopes: tuple[str, ...],
    until: datetime | None,
    principal: str,
    revoke: bool,
    as_json: bool,
    client: Client,
) -> None:
    """Let DELEGATE act for the caller's party (a co-operative for its farmers).

    \b
    Examples:
      tracemark participant delegate 9521101000009 --until 2027-12-31
      tracemark participant delegate 9521101000009 --for urn:tracemark:party:halo-ridge-farm \\
          --until 2027-12-31
      tracemark participant delegate 9521101000009 --revoke
    """
    if revoke:
        path = f"/v1/delegations/{path_segment(delegate_id)}"
        answer = client.delete(path, params={"principal": principal} if principal else None)
    elif until is None:
        raise click.UsageError("a delegation needs --until")
    else:
        body: dict[str, Any] = {
            "delegate": delegate_id,
            "scopes": list(scopes),
            "expires_ms": _ms(until),
        }
        answer = client.post(
            "/v1/delegations", body | ({"principal": principal} if principal else {})
        )
    if as_json:
        print_json(answer)
        return
    result = answer["result"]
    names = ("principal", "delegate", "scopes", "status", "granted_by")
    fields((name.replace("_", " "), result.get(name)) for name in names)
    line(f"block {answer['block']}, transaction {answer['tx_id']}")


def _changed(answer: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    _print_party(answer["result"])
    line(f"block {answer['block']}, transaction {answer['tx_id']}")


def _print_party(record: Mapping[str, Any]) -> None:
    names = ("id", "name", "msp", "country", "roles", "status", "reason", "locations")
    fields((name, record.get(name)) for name in names)


def _ms(day: datetime) -> int:
    return int(day.replace(tzinfo=UTC).timestamp() * 1000)


def _day(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d")
