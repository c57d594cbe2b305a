"""A trace as JSON: who, when, what, where and how much, with the evidence of each event.

Nodes are identifiers and events; an edge leads from what was before to what came of it, so the
graph reads downwards in time: identifier -> event for inputs, children, things moved; event ->
identifier for outputs. Times are ISO 8601 with the event's own zone, beside the ms UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import Connection, select

from chaincode.errors import IdentifierError
from chaincode.identifiers import parse
from gateway.database import select_in
from gateway.gaps import Gap
from gateway.readmodel import tables
from gateway.traced import Trace, TracedEvent

Json = dict[str, Any]
PayloadState = Callable[[Sequence[tuple[str, str]]], list[str]]
"""(MSP id, commitment) pairs -> "available", "erased", "missing" or "unreachable" each."""

_ITEMS = (
    ("epcs", "epc"),
    ("quantities", "quantity"),
    ("children", "child"),
    ("child_quantities", "child"),
    ("inputs", "input"),
    ("input_quantities", "input"),
    ("outputs", "output"),
    ("output_quantities", "output"),
    ("losses", "loss"),
)
_WHAT = ("action", "step", "disposition")
_WHERE = ("read_point", "location", "country")
_ASIDE = ("event_id", "transformation_id", "transactions", "expiry")
_OUTWARD = frozenset({"output"})


def view(
    connection: Connection, trace: Trace, gaps: Iterable[Gap], payload_state: PayloadState
) -> Json:
    """The answer of GET /v1/trace/{id}."""
    events = trace.in_order()
    states = payload_state([(event.record["msp"], event.record["commitment"]) for event in events])
    nodes: list[Json] = _identifier_nodes(connection, trace, events)
    edges: list[Json] = []
    for event, state in zip(events, states, strict=True):
        node = {"node": "event", "id": event.record["hash"], **event_json(event, state)}
        nodes.append(node)
        edges.extend(_edges(event, node["items"], trace.depths))
    parties = _parties(connection, events)
    return {
        "id": trace.root,
        "direction": trace.direction,
        "as_of": _as_of(connection),
        "nodes": nodes,
        "edges": edges,
        "parties": parties,
        "gaps": [gap.to_json() for gap in gaps],
        "counts": {
            "identifiers": len(trace.depths),
            "events": len(events),
            "parties": len(parties),
            "countries": len({c for e in events if (c := e.projection.get("country"))}),
            "findings": sum(len(e.record.get("findings") or ()) for e in events),
            "voided": sum(e.voided_by is not None for e in events),
        },
        "truncated": trace.truncated,
    }


def event_json(event: TracedEvent, payload: str) -> Json:
    """One event: who, when, what, where, how much, and its evidence."""
    projection, record = event.projection, event.record
    get = projection.get
    out: Json = {
        "hash": record["hash"],
        "type": get("extra_type") or projection["type"],
        "when": {
            "time": iso_time(event.time_ms, get("tz")),
            "time_ms": event.time_ms,
            "recorded_ms": record["time_ms"],
        },
        "who": _who(record, projection),
        "what": _those(projection, _WHAT),
        "where": _those(projection, _WHERE),
        "items": _items(projection),
        "evidence": _evidence(event, payload),
        **_those(projection, _ASIDE),
    }
    if record.get("carbon"):
        out["carbon"] = record["carbon"]
    return out


def _who(record: Json, projection: Json) -> Json:
    out: Json = {"party": record["party"], "msp": record["msp"]}
    if "submitted_by" in record:
        out["submitted_by"] = record["submitted_by"]
    if "from" in projection:
        out["sources"] = projection["from"]
    if "to" in projection:
        out["destinations"] = projection["to"]
    return out


def _those(projection: Json, names: Sequence[str]) -> Json:
    """The named fields that are there: absent ones are left out of a projection."""
    return {name: projection[name] for name in names if name in projection}


def iso_time(time_ms: int, zone: str | None) -> str:
    """ISO 8601 in the event's own zone ("+02:00"); UTC where none is known."""
    seconds, thousandths = divmod(time_ms, 1000)
    try:
        text = datetime.fromtimestamp(seconds, _zone(zone)).isoformat()
    except (OverflowError, ValueError, OSError):
        return f"{time_ms} ms"
    offset = text[19:]
    return f"{text[:19]}.{thousandths:03d}{'Z' if offset == '+00:00' else offset}"


@lru_cache(maxsize=256)
def _zone(zone: str | None) -> timezone:
    if not zone or zone == "Z":
        return UTC
    sign = -1 if zone[0] == "-" else 1
    hours, _, minutes = zone[1:].partition(":")
    return timezone(sign * timedelta(hours=int(hours), minutes=int(minutes or 0)))


def _evidence(event: TracedEvent, payload: str) -> Json:
    record = event.record
    state = "declaration" if event.declaration else "voided" if event.voided_by else "anchored"
    out: Json = {
        "state": state,
        "block": event.block,
        "tx_id": record["tx_id"],
        "commitment": record["commitment"],
        "payload": payload,
        "findings": record.get("findings") or [],
    }
    if event.voided_by is not None:
        out["voided_by"] = event.voided_by
    error = event.projection.get("error")
    if error is not None:
        out["error"] = error
    return out


def _items(projection: Json) -> list[Json]:
    out: list[Json] = []
    if projection.get("parent") is not None:
        out.append({"id": projection["parent"], "role": "parent"})
    for name, role in _ITEMS:
        if name not in projection:
            continue
        for entry in projection[name]:
            if isinstance(entry, str):
                out.append({"id": entry, "role": role})
            else:
                out.append({"role": role, **entry})
    return out


def _edges(event: TracedEvent, items: Sequence[Json], placed: Mapping[str, int]) -> list[Json]:
    """Edges to the identifiers that are nodes; siblings outside the trace get none."""
    out = []
    digest = event.record["hash"]
    for item in items:
        identifier, role = item["id"], item["role"]
        if identifier not in placed or role == "loss":
            continue
        outward = role in _OUTWARD or (event.removes and role == "child")
        ends = (digest, identifier) if outward else (identifier, digest)
        out.append({"from": ends[0], "to": ends[1], "role": role})
    return out


def _identifier_nodes(
    connection: Connection, trace: Trace, events: Sequence[TracedEvent]
) -> list[Json]:
    identifiers = list(trace.depths)
    records = _records(connection, identifiers)
    certificates = _certificates(connection, identifiers)
    nodes: list[Json] = []
    gtins: dict[str, list[Json]] = {}
    for identifier, depth in trace.depths.items():
        node: Json = {"node": "identifier", "id": identifier, "depth": depth}
        try:
            parsed = parse(identifier)
            node |= _present(
                kind=parsed.kind, gtin=parsed.gtin, lot=parsed.lot, serial=parsed.serial
            )
            if parsed.gtin:
                gtins.setdefault(parsed.gtin, []).append(node)
        except IdentifierError:
            node["kind"] = "unreadable"
        record = records.get(identifier)
        if record is not None:
            names = ("status", "disposition", "holder", "owner", "parent", "expiry")
            node["state"] = {name: record[name] for name in names if name in record}
        if identifier in certificates:
            node["certificates"] = certificates[identifier]
        nodes.append(node)
    for gtin, name in _product_names(connection, list(gtins)).items():
        for node in gtins[gtin]:
            node["product"] = name
    return nodes


def _records(connection: Connection, identifiers: Sequence[str]) -> dict[str, Json]:
    out: dict[str, Json] = {}
    for query in (_ITEM_RECORDS, _LOT_RECORDS):
        for row in select_in(connection, query, identifiers):
            out[row[0]] = orjson.loads(row[1])
    return out


def _certificates(connection: Connection, identifiers: Sequence[str]) -> dict[str, list[Json]]:
    out: dict[str, list[Json]] = {}
    for subject, *values in select_in(connection, _CERTIFICATES, identifiers):
        entry = dict(zip(("id", "type", "status", "issuer"), values, strict=True))
        out.setdefault(subject, []).append(entry)
    return out


def _product_names(connection: Connection, gtins: Sequence[str]) -> dict[str, str]:
    return {row[0]: row[1] for row in select_in(connection, _PRODUCTS, gtins)}


def _parties(connection: Connection, events: Sequence[TracedEvent]) -> dict[str, Json]:
    named: dict[str, None] = {}
    for event in events:
        named[event.record["party"]] = None
        for side in ("from", "to"):
            for entry in event.projection.get(side) or ():
                named[entry["id"]] = None
    out: dict[str, Json] = {}
    for party, name, country, roles, status in select_in(connection, _PARTICIPANTS, list(named)):
        out[party] = _present(name=name, country=country, roles=roles.split(), status=status)
    return out


def _as_of(connection: Connection) -> Json:
    row = connection.execute(_HEIGHT).first()
    height = int(row[0]) if row else 0
    return {"height": height}


def _present(**values: Any) -> Json:
    return {name: value for name, value in values.items() if value is not None}


_ITEM_RECORDS = "SELECT id, record FROM items WHERE id {list}"
_LOT_RECORDS = "SELECT id, record FROM lots WHERE id {list}"
_CERTIFICATES = (
    "SELECT subject, id, type, status, issuer FROM certificates WHERE subject {list} ORDER BY id"
)
_PRODUCTS = "SELECT gtin, name FROM products WHERE gtin {list}"
_PARTICIPANTS = "SELECT id, name, country, roles, status FROM participants WHERE id {list}"
_HEIGHT = select(tables.projection.c.height)
