"""``tracemark audit``: ten numbered checks over an item's whole history."""

from __future__ import annotations

from typing import Final

import click

from cli.client import Client, path_segment
from cli.command import command, connected
from cli.errors import NEGATIVE
from cli.output import clean, line, print_json, table
from cli.trace import STEM, print_gaps, short

MARKS: Final = {"pass": "green", "fail": "red", "warn": "yellow", "unknown": "yellow"}


@command(name="audit")
@click.argument("identifier", metavar="ID")
@click.option("--quiet-days", type=click.IntRange(1, 3650), default=30, show_default=True,
              help="A longer silence counts as a gap.")  # fmt: skip
@click.option("--legal-basis", default="", metavar="TEXT",
              help="Provision an authority reads confidential payloads under.")  # fmt: skip
@click.option("--history", is_flag=True, help="List every event too.")
@click.option("--strict", is_flag=True, help="Warnings and unknowns end with 1, too.")
@connected
def audit(
    identifier: str,
    quiet_days: int,
    legal_basis: str,
    history: bool,
    strict: bool,
    as_json: bool,
    client: Client,
) -> int | None:
    """Audit the item or lot ID and all it was made of: history, checks, gaps, mass balance.

    Ends with 1 when a check fails. A warning is a question to ask somebody; what the caller may
    not see is unknown.

    \b
    Examples:
      tracemark audit https://id.gs1.org/01/09521105000012/10/AL260318
      tracemark audit urn:epc:id:sgtin:9521201.000001.GLY26A1093 --strict --json
    """
    query = {"quiet_days": quiet_days, "legal_basis": legal_basis}
    found = client.get(f"/v1/audit/{path_segment(identifier)}", query)
    bad = {"fail", "warn", "unknown"} if strict else {"fail"}
    code = NEGATIVE if any(check["outcome"] in bad for check in found["checks"]) else None
    if as_json:
        print_json(found)
        return code
    line(f"{found['verdict'].upper()}  {short(found['id'])}", f"bold {MARKS[found['verdict']]}")
    for check in found["checks"]:
        detail = clean(check["detail"]).replace(STEM, "")
        text = f"{check['number']:>2} {check['name']:<13} {check['outcome']:<7} {detail}"
        line(text, MARKS.get(check["outcome"]))
    print_gaps(found["gaps"])
    for finding in found["findings"]:
        line(f"finding  {clean(finding.get('code'))}  {clean(finding.get('message'))}", "red")
    if history:
        table(
            ("time", "step", "party", "country", "check"),
            (
                (
                    event["when"]["time"][:16].replace("T", " "),
                    event["what"].get("step") or event["type"],
                    short(event["who"]["party"]),
                    event["where"].get("country"),
                    event["check"],
                )
                for event in found["history"]
            ),
        )
    complete = found["completeness"]
    line(
        f"{complete['events']} events, {complete['payloads_verified']} payloads verified, "
        f"{complete['identifiers_with_origin']} of {complete['identifiers']} identifiers with "
        f"origin; as of block {found['as_of']['height']}",
        "bold",
    )
    return code
