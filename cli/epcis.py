"""``tracemark epcis``: look at EPCIS documents without a network.

The same reader, validator and hash as the gateway's capture interface (EPCIS 2.0 §10, CBV 2.0
§8.9), so what is valid here is not refused there for its form.
"""

from __future__ import annotations

from typing import Any

import click

from cli.command import CONTEXT, command
from cli.documents import Source, sources
from cli.errors import NEGATIVE
from cli.output import clean, line, print_json


@click.group(context_settings=CONTEXT)
def epcis() -> None:
    """Validate and hash EPCIS documents offline."""


@command(epcis, "validate")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--quiet", "-q", is_flag=True, help="Print faulty events only.")
def validate(files: tuple[str, ...], quiet: bool, as_json: bool) -> int | None:
    """Check documents against EPCIS 2.0 and CBV 2.0, one line per event.

    FILE is a document, a folder of them, or - for standard input. Ends with 1 when anything is
    wrong.

    \b
    Examples:
      tracemark epcis validate shipment.jsonld
      tracemark epcis validate tests/data/stories/coffee
      cat shipment.jsonld | tracemark epcis validate -
    """
    reports = [_validated(source) for source in sources(files)]
    faults = sum(len(report["faults"]) for report in reports)
    if as_json:
        print_json({"valid": not faults, "documents": reports})
    else:
        for report in reports:
            _print_report(report, quiet)
    return NEGATIVE if faults else None


@command(epcis, "hash")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def hash_(files: tuple[str, ...], as_json: bool) -> int | None:
    """Print the CBV 2.0 event hash of every event, one line per event.

    \b
    Examples:
      tracemark epcis hash shipment.jsonld
      tracemark epcis hash - < shipment.jsonld
    """
    from gateway.epcis.errors import EpcisError

    rows: list[dict[str, object]] = []
    for source in sources(files):
        try:
            rows += _hashes(source)
        except EpcisError as error:
            rows.append({"file": source.name, "error": _fault(error)})
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            _print_hash(row)
    return NEGATIVE if any("error" in row for row in rows) else None


def _hashes(source: Source) -> list[dict[str, object]]:
    from gateway.epcis.document import read_document
    from gateway.epcis.hash import event_hash

    document = read_document(source.read())
    return [
        {
            "file": source.name,
            "pointer": document.pointer(index),
            "hash": event_hash(event, document.context),
        }
        for index, event in enumerate(document.events)
    ]


def _print_hash(row: dict[str, object]) -> None:
    error = row.get("error")
    if isinstance(error, dict):
        line(f"{row['file']}: {error['code']}: {clean(error['message'])}", "red")
    else:
        line(f"{row['hash']}  {row['file']}{row['pointer']}")


def _validated(source: Source) -> dict[str, Any]:
    from gateway.epcis.document import read_document
    from gateway.epcis.errors import EpcisError
    from gateway.epcis.validate import validate_document

    try:
        document = read_document(source.read())
        found = validate_document(document)
    except EpcisError as error:
        return {"file": source.name, "events": [], "faults": [_fault(error)]}
    faults = [fault.to_json() for fault in found]
    events = []
    for index, event in enumerate(document.events):
        pointer = document.pointer(index)
        own = [f for f in faults if f["where"] == pointer or f["where"].startswith(pointer + "/")]
        events.append(
            {
                "pointer": pointer,
                "type": event.get("type"),
                "step": event.get("bizStep"),
                "time": event.get("eventTime"),
                "valid": not own,
                "faults": len(own),
            }
        )
    return {"file": source.name, "events": events, "faults": faults}


def _fault(error: object) -> dict[str, object]:
    told: dict[str, object] = {
        "where": getattr(error, "where", ""),
        "code": getattr(error, "code", ""),
        "message": getattr(error, "message", str(error)),
    }
    return told


def _print_report(report: dict[str, Any], quiet: bool) -> None:
    file, faults, events = report["file"], report["faults"], report["events"]
    told: set[int] = set()
    for event in events:
        if event["valid"]:
            if not quiet:
                what = " ".join(clean(event[name]) for name in ("type", "step", "time"))
                line(f"ok    {file}{event['pointer']}  {what}", "green")
            continue
        for number, fault in enumerate(faults):
            where = fault["where"]
            if where == event["pointer"] or where.startswith(event["pointer"] + "/"):
                told.add(number)
                _print_fault(file, fault)
    for number, fault in enumerate(faults):
        if number not in told:
            _print_fault(file, fault)


def _print_fault(file: object, fault: dict[str, str]) -> None:
    where = f"{file}{clean(fault['where'])}"
    line(f"FAULT {where}  {fault['code']}  {clean(fault['message'])}", "red")
