"""carbon:footprint: what an identifier carries of greenhouse gas, and the records behind it.

The amount is the sum of the pools: a thing's own and its share of its containers'; a lot's over
all holders and shipments under way. What was handed on (consumed, lost, removed) is told apart.
The records are those found by walking the history upstream; they are the evidence to recompute
the amount by hand.
"""

from __future__ import annotations

from typing import Final

from chaincode import carbon_pool, queries
from chaincode.arguments import Arguments
from chaincode.balances import amount_in
from chaincode.carbon_pool import Pool
from chaincode.history import events_of
from chaincode.identifiers import parse
from chaincode.items import MAX_DEPTH, item_key
from chaincode.lots import lot_key
from chaincode.products import convert, piece_mass, product_key
from chaincode.records import Record
from chaincode.session import Session
from chaincode.units import BASE_PER_GRAM, MASS, unit_of
from chaincode.voiding import event_key

MAX_WALK: Final = 2_000


def footprint(session: Session, args: Arguments) -> Record:
    """carbon:footprint"""
    uri = args.identifier("id")
    args.done()
    item = session.records.get(item_key(uri))
    result = _of_item(session, uri, item) if item is not None else _of_lot(session, uri)
    result["records"], result["truncated"] = _evidence(session, uri)
    return result


def _result(uri: str, pool: Pool, handed_on: Pool) -> Record:
    result: Record = {
        "id": uri,
        "co2e_mg": carbon_pool.total(pool),
        "stages": {stage: pool[stage] for stage in sorted(pool)},
    }
    if handed_on:
        result["handed_on"] = {stage: handed_on[stage] for stage in sorted(handed_on)}
    return result


def _of_item(session: Session, uri: str, item: Record) -> Record:
    pool = carbon_pool.add(item.get("carbon"), _share_of_containers(session, item))
    result = _result(uri, pool, item.get("carbon_out", {}))
    result["per_unit"] = {"co2e_mg": result["co2e_mg"], "unit": "EA"}
    gtin = parse(uri).gtin
    mass = piece_mass(session.records.get(product_key(gtin))) if gtin is not None else 0
    if mass:
        result["mass_g"] = mass // BASE_PER_GRAM
    return result


def _share_of_containers(session: Session, item: Record) -> Pool:
    """What would leave each container with this thing, were it all unpacked now."""
    total: Pool = {}
    child = item
    chain: list[tuple[Record, str]] = []
    for _ in range(MAX_DEPTH):
        parent = session.records.get(item_key(child["parent"])) if "parent" in child else None
        if parent is None:
            break
        chain.append((parent, child["id"]))
        child = parent
    for container, inside in reversed(chain):
        pool = carbon_pool.add(container.get("carbon"), total)
        total = _share(container, pool, inside)
    return total


def _share(container: Record, pool: Pool, name: str) -> Pool:
    weights = {**container.get("contents", {}), **container.get("lots", {})}
    names = sorted(weights)
    if name not in weights or not pool:
        return {}
    shares = carbon_pool.split(pool, [weights[n] for n in names])
    return shares[names.index(name)]


def _of_lot(session: Session, uri: str) -> Record:
    pool: Pool = {}
    handed_on: Pool = {}
    existing = 0
    holders = []
    dimension = None
    for balance in queries.balances(session, uri):
        own = carbon_pool.add(None, balance.get("carbon"))
        base = amount_in(balance, "on_hand")
        for entry in balance.get("incoming", {}).values():
            own = carbon_pool.add(own, entry.get("carbon"))
            base += int(entry["amount"])
        container = session.records.get(item_key(balance["holder"]))
        if container is not None:
            upper = carbon_pool.add(
                container.get("carbon"), _share_of_containers(session, container)
            )
            own = carbon_pool.add(own, _share(container, upper, uri))
        pool = carbon_pool.add(pool, own)
        handed_on = carbon_pool.add(handed_on, balance.get("carbon_out"))
        existing += base
        dimension = balance.get("dimension", dimension)
        if own or base:
            holders.append({"holder": balance["holder"], "co2e_mg": carbon_pool.total(own)})
    lot = session.records.get(lot_key(uri))
    if lot is None and dimension is None:
        raise queries.unknown(uri)
    result = _result(uri, pool, handed_on)
    result["holders"] = holders
    gtin = parse(uri).gtin
    product = session.records.get(product_key(gtin)) if gtin is not None else None
    if dimension is not None and existing:
        unit = lot["unit"] if lot is not None and "unit" in lot else None
        if unit is not None and unit_of(unit)[0] == dimension:
            per_unit = result["co2e_mg"] * unit_of(unit)[1] // existing
            result["per_unit"] = {"co2e_mg": per_unit, "unit": unit}
        mass = convert(product, dimension, existing, MASS)
        if mass:
            result["mass_g"] = mass // BASE_PER_GRAM
    return result


def _evidence(session: Session, uri: str) -> tuple[list[Record], bool]:
    """Carbon records on the events upstream of an identifier, each event once."""
    found: list[Record] = []
    seen_ids = {uri}
    seen_events: set[str] = set()
    waiting = [uri]
    while waiting:
        current = waiting.pop(0)
        for hex_ in events_of(session, current):
            if len(seen_events) >= MAX_WALK:
                return found, True
            if hex_ in seen_events:
                continue
            seen_events.add(hex_)
            event = session.records.get(event_key(hex_))
            if event is None or "undone" in event:
                continue
            upstream = queries.linked(session, event["projection"], current, "up")
            for name in upstream:
                if name not in seen_ids:
                    seen_ids.add(name)
                    waiting.append(name)
            found += _records(event)
    return found, False


def _records(event: Record) -> list[Record]:
    rows = []
    for index, record in enumerate(event["carbon"]):
        row: Record = {
            "event": event["hash"],
            "index": index,
            "stage": record["stage"],
            "co2e_mg": record["co2e_mg"],
            "stated_by": record["stated_by"],
            "verified": "verified_by" in record,
        }
        if "subjects" in record:
            row["subjects"] = record["subjects"]
        rows.append(row)
    return rows
