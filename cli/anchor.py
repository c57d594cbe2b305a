"""``tracemark anchor``: EPCIS documents onto the ledger."""

from __future__ import annotations

from typing import Any

import click

from cli.anchoring import PROCEED, ROLLBACK, Journal, Outcome, anchor, refused
from cli.client import Client
from cli.command import command, connected
from cli.documents import Source, sources
from cli.errors import REFUSED, CliError, NotAllowed, Unreachable
from cli.output import clean, line, print_json, progress


@command(name="anchor")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--actor", default="", metavar="PARTY", help="Party to act for, under a delegation.")
@click.option("--proceed", is_flag=True,
              help="Anchor the good events of a document that has bad ones.")  # fmt: skip
@click.option("--keep-going", is_flag=True, help="Go on with the next document after a refusal.")
@click.option("--again", is_flag=True, help="Send documents that this machine sent before, too.")
@connected
def anchor_command(
    files: tuple[str, ...],
    actor: str,
    proceed: bool,
    keep_going: bool,
    again: bool,
    as_json: bool,
    client: Client,
) -> int | None:
    """Anchor EPCIS 2.0 documents (JSON or JSON-LD) on the ledger.

    FILE is a document, a folder (every .json and .jsonld below it, in name order), or - for
    standard input. Without --proceed a document is anchored whole or not at all. An interrupted
    run may be repeated: what was accepted is not sent again, and nothing is anchored twice.
    Refused events are printed with their place, code and reason, and the command ends with 3.

    \b
    Examples:
      tracemark anchor harvest.jsonld
      tracemark anchor events/ --keep-going
      tracemark anchor harvest.jsonld --actor urn:tracemark:party:halo-ridge-farm
      export-events | tracemark anchor -
    """
    chosen = sources(files)
    journal = None if again else Journal.of(client.profile.url)
    behaviour = PROCEED if proceed else ROLLBACK
    outcomes: list[Outcome] = []
    left = list(chosen)
    with progress() as shown:
        documents = shown.add_task("documents", total=len(chosen))
        events = shown.add_task("events", total=None)

        def told(anchored: int, total: int) -> None:
            shown.update(events, completed=anchored, total=total or None)

        for source in chosen:
            shown.update(documents, description=source.name)
            outcome = _one(client, source, actor, behaviour, journal, told)
            outcomes.append(outcome)
            left.remove(source)
            if not as_json:
                print_outcome(outcome)
            shown.advance(documents)
            if not outcome.accepted and not keep_going:
                break
    if as_json:
        print_json(_summary(outcomes, left))
    else:
        _print_summary(outcomes, left)
    return REFUSED if refused(outcomes) else None


def print_outcome(outcome: Outcome) -> None:
    """One line for a document, and one for each event that was refused."""
    if outcome.known:
        line(f"known     {clean(outcome.name)}  {outcome.events} events", "dim")
    elif outcome.accepted:
        line(f"anchored  {clean(outcome.name)}  {outcome.anchored} events", "green")
    else:
        anchored = f"{outcome.anchored} of {outcome.events} events anchored"
        line(f"refused   {clean(outcome.name)}  {anchored}", "red")
    for error in outcome.errors:
        where, code = clean(error.get("where", "")), clean(error.get("code", ""))
        line(f"  {clean(outcome.name)}{where}  {code}  {clean(error.get('detail', ''))}")


def _one(
    client: Client,
    source: Source,
    actor: str,
    behaviour: str,
    journal: Journal | None,
    told: Any,
) -> Outcome:
    """Anchor one document; what the gateway refuses as a whole is an outcome too."""
    body = source.read()
    try:
        return anchor(
            client, source.name, body, actor=actor, behaviour=behaviour, journal=journal,
            progress=told,
        )  # fmt: skip
    except (NotAllowed, Unreachable):
        raise
    except CliError as error:
        errors = error.errors or [{"code": error.code, "detail": error.message}]
        told_errors = [
            {
                "where": e.get("where") or error.where,
                "code": e.get("code") or error.code,
                "detail": e.get("detail") or e.get("message") or error.message,
            }
            for e in errors
        ]
        return Outcome(source.name, "", 0, 0, False, told_errors)


def _summary(outcomes: list[Outcome], left: list[Source]) -> dict[str, Any]:
    return {
        "documents": [outcome.to_json() for outcome in outcomes],
        "events": sum(outcome.anchored for outcome in outcomes),
        "refused": sum(len(outcome.errors) for outcome in outcomes),
        "not_sent": [source.name for source in left],
    }


def _print_summary(outcomes: list[Outcome], left: list[Source]) -> None:
    accepted = sum(outcome.accepted for outcome in outcomes)
    known = sum(outcome.known for outcome in outcomes)
    total = sum(outcome.anchored for outcome in outcomes)
    text = f"{accepted} of {len(outcomes) + len(left)} documents, {total} events"
    line(text + (f" ({known} documents were anchored before)" if known else ""), "bold")
    if left:
        line(f"{len(left)} documents were not sent after the refusal; --keep-going sends them")
