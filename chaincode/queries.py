"""Queries: one identifier's state, history, balances, and one step of its trace.

Read-only: evaluated at one node, never submitted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from chaincode import codec
from chaincode.arguments import HASH, HEX_64, Arguments
from chaincode.balances import amount_in
from chaincode.errors import Refusal
from chaincode.history import events_of, history
from chaincode.identifiers import canonical
from chaincode.items import MAX_DEPTH, item_key
from chaincode.lots import lot_key
from chaincode.owners import owner_of
from chaincode.records import Record
from chaincode.session import Session
from chaincode.transformation import transformation_key
from chaincode.units import COUNT, MASS, decimal, unit_of
from chaincode.voiding import error_key, event_id_key, event_key

MAX_STEPS: Final = 500

_COUNTERS: Final = ("produced", "adopted", "consumed", "lost", "removed")
_BASE_UNITS: Final = {
    MASS: "KGM",
    COUNT: "EA",
    "volume": "LTR",
    "length": "MTR",
    "area": "MTK",
    "energy": "KWH",
    "freight": "TKM",
    "time": "SEC",
}


def get_event(session: Session, args: Arguments) -> Record:
    """event:get by hash or event id; with its error declaration where it was voided"""
    text = args.text("hash", 512)
    args.done()
    records = session.records
    match = HASH.match(text)
    hex_ = match.group(1) if match else text
    if not HEX_64.match(hex_):
        index = records.get(event_id_key(text))
        hex_ = index["hash"] if index is not None else ""
    found = records.get(event_key(hex_)) if hex_ else None
    if found is None:
        rows = session.stub.get_state_by_partial_composite_key("error", [hex_]) if hex_ else ()
        for row in rows:
            declaration: Record = codec.decode(row.value)
            return declaration
        raise Refusal(
            "NOT_FOUND",
            f"Event {text} is not anchored; an anchored hash or id is accepted.",
            "/hash",
        )
    shown = {name: value for name, value in found.items() if name != "undo"}
    voided_by = found.get("voided_by")
    if voided_by is not None:
        shown["declaration"] = records.get(error_key(voided_by, found["voided_party"]))
    return shown


def get_item(session: Session, args: Arguments) -> Record:
    """item:get: a thing with its holder resolved, or a lot with its balances"""
    uri = args.identifier("id")
    args.done()
    item = session.records.get(item_key(uri))
    if item is not None:
        inside, root = containers(session, item)
        shown = {**item, "inside": inside}
        for field in ("holder", "receiver", "location"):
            if field in root:
                shown[field] = root[field]
        if inside and "sold_by" in root and (owner := owner_of(item, root)) is not None:
            shown["owner"] = owner
        return shown
    lot = session.records.get(lot_key(uri))
    found = balances(session, uri)
    if lot is None and not found:
        raise unknown(uri)
    result: Record = {"id": uri, "balances": found}
    if lot is not None:
        result["lot"] = lot
    return result


def get_balances(session: Session, args: Arguments) -> Record:
    """item:balances: who holds how much of a lot, in the lot's unit"""
    uri = args.identifier("id")
    args.done()
    lot = session.records.get(lot_key(uri))
    found = balances(session, uri)
    if lot is None and not found:
        raise unknown(uri)
    unit = lot.get("unit") if lot is not None else None
    rows = [_shown(balance, unit) for balance in found]
    totals: dict[str, int] = {}
    for balance in found:
        if unit is None or balance.get("dimension") == unit_of(unit)[0]:
            for field, base in _counted(balance).items():
                totals[field] = totals.get(field, 0) + base
    unit = unit or (rows[0]["unit"] if rows else "EA")
    return {
        "id": uri,
        "unit": unit,
        "balances": rows,
        "totals": {field: decimal(base, unit) for field, base in totals.items()},
    }


def get_history(session: Session, args: Arguments) -> Record:
    """item:history: every version of the identifier's records, oldest first"""
    uri = args.identifier("id")
    args.done()
    entries = history(session, uri)
    if not entries:
        raise unknown(uri)
    return {"id": uri, "entries": entries}


def trace(session: Session, args: Arguments) -> Record:
    """item:trace: the events one step up (what it was made of, what came in it) or down"""
    uri = args.identifier("id")
    direction = args.choice("direction", ("up", "down"))
    size, bookmark = args.page()
    args.done()
    if bookmark and not (bookmark.isascii() and bookmark.isdigit() and len(bookmark) < 10):
        raise Refusal("BAD_ARGUMENT", "The bookmark of the page before is accepted.", "/bookmark")
    start = int(bookmark or "0")
    hashes = events_of(session, uri)
    if not hashes:
        raise unknown(uri)
    steps: list[Record] = []
    session.records.prefetch([event_key(hex_) for hex_ in hashes])
    for hex_ in hashes:
        event = session.records.get(event_key(hex_))
        if event is None or "undone" in event:
            continue
        ids = linked(session, event["projection"], uri, direction)
        if ids:
            steps.append(_step(event, ids))
    page = steps[start : start + size]
    more = str(start + size) if len(steps) > start + size else ""
    return {"id": uri, "direction": direction, "steps": page, "bookmark": more}


def containers(session: Session, item: Record) -> tuple[list[str], Record]:
    """The containers a thing lies in, innermost first, and the outermost one's record."""
    inside: list[str] = []
    record = item
    while "parent" in record and len(inside) < MAX_DEPTH:
        inside.append(record["parent"])
        found = session.records.get(item_key(record["parent"]))
        if found is None:
            break
        record = found
    return inside, record


def balances(session: Session, uri: str) -> list[Record]:
    """Every holder's balance of a lot."""
    rows = session.stub.get_state_by_partial_composite_key("balance", [uri])
    return [codec.decode(row.value) for row in rows]


def linked(session: Session, p: dict[str, Any], uri: str, direction: str) -> list[str]:
    """Identifiers one step away in one event: transformed, packed or unpacked goods.

    A transformation that spans events counts as one: its outputs come from all of its inputs.
    """
    before = _goods(p, "inputs", "input_quantities")
    after = _goods(p, "outputs", "output_quantities")
    if "transformation_id" in p and uri in before + after:
        for other in _events_of_transformation(session, p["transformation_id"]):
            before += _goods(other, "inputs", "input_quantities")
            after += _goods(other, "outputs", "output_quantities")
    if before or after:
        near, far = (after, before) if direction == "up" else (before, after)
        return list(dict.fromkeys(far)) if uri in near else []
    if p["type"] != "AggregationEvent" or "parent" not in p or p.get("action") == "OBSERVE":
        return []
    children = _goods(p, "children", "child_quantities")
    packing = p.get("action") == "ADD"
    goods, container = (children, [p["parent"]])
    source, target = (goods, container) if packing else (container, goods)
    near, far = (target, source) if direction == "up" else (source, target)
    return list(dict.fromkeys(far)) if uri in near else []


def _goods(p: dict[str, Any], ids: str, quantities: str) -> list[str]:
    return [*p.get(ids, ()), *(quantity["id"] for quantity in p.get(quantities, ()))]


def _events_of_transformation(session: Session, identifier: str) -> Iterator[dict[str, Any]]:
    """Projections of the events that wrote the transformation's record and stand."""
    versions = session.stub.get_history_for_key(transformation_key(identifier))
    hashes = dict.fromkeys(
        hex_
        for version in list(versions)[::-1]
        if not version.is_delete
        for hex_ in codec.decode(version.value)["events"]
    )
    for hex_ in hashes:
        event = session.records.get(event_key(hex_))
        if event is not None and "undone" not in event:
            yield event["projection"]


def _step(event: Record, ids: list[str]) -> Record:
    p = event["projection"]
    step: Record = {
        "event": event["hash"],
        "type": p["type"],
        "time_ms": p["time_ms"],
        "party": event["party"],
        "ids": ids[:MAX_STEPS],
    }
    for field in ("step", "action", "country", "location"):
        if field in p:
            step[field] = p[field]
    return step


def _counted(balance: Record) -> dict[str, int]:
    """The balance's amounts by name, `incoming` summed."""
    found = {field: amount_in(balance, field) for field in ("on_hand", *_COUNTERS)}
    found["incoming"] = sum(int(e["amount"]) for e in balance.get("incoming", {}).values())
    return {field: base for field, base in found.items() if base}


def _shown(balance: Record, lot_unit: str | None) -> Record:
    dimension: str = balance.get("dimension", COUNT)
    unit = _BASE_UNITS.get(dimension, dimension)
    if lot_unit is not None and unit_of(lot_unit)[0] == dimension:
        unit = lot_unit
    shown: Record = {"holder": balance["holder"], "unit": unit}
    for field, base in _counted(balance).items():
        shown[field] = decimal(base, unit)
    shown.setdefault("on_hand", "0")
    shown["incoming"] = [
        {"from": sender, "qty": decimal(int(entry["amount"]), unit)}
        for sender, entry in sorted(balance.get("incoming", {}).items())
    ]
    if "status" in balance:
        shown["status"] = balance["status"]
    return shown


def unknown(uri: str) -> Refusal:
    return Refusal(
        "NOT_FOUND",
        f"{canonical(uri)} is not on the ledger; an identifier an event has named is accepted.",
        "/id",
    )
