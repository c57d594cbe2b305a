"""Rules for things with an identity of their own: serialised items, logistic units, assets.

Commissioned once; shipped by the holder; received by the named receiver; packed things move with
their container. The holder of a packed thing is the holder of its outermost container, so that
moving a pallet writes one record.
"""

from __future__ import annotations

from typing import Final

from chaincode.errors import Refusal
from chaincode.event import EventRun
from chaincode.identifiers import Identifier
from chaincode.products import piece_mass
from chaincode.projection import epoch_ms
from chaincode.records import Record
from chaincode.steps import (
    ALLOWED_AFTER,
    HANDLE,
    HANDLERS,
    MAKERS,
    OPEN,
    Operation,
    accepted_after,
)
from chaincode.units import BASE_PER_MILLIGRAM

MAX_NESTING: Final = 16
LAST_TIME_ZONE_MS: Final = 36 * 3_600_000  # a day ends last at UTC-12
MAX_DEPTH: Final = 256  # towers of full towers


def item_key(identifier: str) -> str:
    """State key of an item's record."""
    return f"\x00item\x00{identifier}\x00"


def commission(run: EventRun, identifier: Identifier, record: Record | None, where: str) -> None:
    """Bring a thing into being: once."""
    uri = identifier.uri
    name = item_key(uri)
    enforced = run.enforced(identifier, record)
    makers = MAKERS if identifier.gtin is not None else HANDLERS
    run.require_maker(enforced, makers, identifier, where)
    fresh: Record = {"id": uri, "status": "active", "holder": run.actor}
    if record is not None:
        used = bool({"holder", "contents", "lots"} & record.keys())
        theirs = identifier.gtin is None and used and record.get("holder") != run.actor
        if not record.get("adopted") or theirs:
            by = record.get("maker") or record.get("holder") or "another event"
            run.breach(
                enforced,
                "ALREADY_COMMISSIONED",
                f"{uri} was commissioned before by {by}; an identifier that was never used is "
                "accepted.",
                where,
            )
            run.touch(name, record)
            return
        fresh = run.edit(name, record)
        fresh.pop("adopted")
        fresh.setdefault("holder", run.actor)
    else:
        fresh["events"] = [run.hex]
    p = run.p
    fresh["maker"] = run.actor
    fresh["made_by"] = run.hex
    fresh["moved_ms"] = max(run.time_ms, fresh.get("moved_ms", run.time_ms))
    if run.disposition:
        fresh["disposition"] = run.disposition
    if "location" in p:
        fresh["location"] = p["location"]
    if "expiry" in p:
        fresh["expiry"] = p["expiry"]
    run.records.put(name, fresh)
    if run.tracking:
        run.place(uri, name, None, weight_of(run, identifier, fresh))


def adopt(
    run: EventRun, enforced: bool, identifier: Identifier, op: Operation, where: str
) -> Record:
    """A thing nobody commissioned: refused, or taken as found with nobody as its maker."""
    run.breach(
        enforced,
        "UNKNOWN_IDENTIFIER",
        f"{identifier.uri} was never commissioned; an identifier commissioned by an earlier event "
        "(action ADD, a transformation's output, or an aggregation's parent) is accepted.",
        where,
    )
    record: Record = {
        "id": identifier.uri,
        "status": "active",
        "adopted": True,
        "moved_ms": run.time_ms,
        "events": [run.hex],
    }
    if op.kind != HANDLE:
        record["holder"] = run.actor
    run.records.put(item_key(identifier.uri), record)
    return record


def outermost(run: EventRun, record: Record) -> Record:
    """The record of the outermost container (the thing itself where it is not packed)."""
    for _ in range(MAX_DEPTH):
        parent = record.get("parent")
        found = run.records.get(item_key(parent)) if parent else None
        if found is None:
            return record
        record = found
    raise Refusal(
        "BAD_AGGREGATION",
        f"{record['id']} lies deeper than {MAX_DEPTH} containers; unpacking the outer ones first "
        "is accepted.",
    )


def check_open(
    run: EventRun, enforced: bool, record: Record, root: Record, gate: str, where: str
) -> None:
    """Goods that are destroyed, dispensed, recalled ... accept only what the table allows."""
    for found in (record,) if root is record else (record, root):
        status = found["status"]
        if status not in OPEN and gate not in ALLOWED_AFTER[status]:
            run.breach(
                enforced,
                "NOT_ACTIVE",
                f"{found['id']} is {status}; it accepts {accepted_after(status)}, not "
                f"{run.p.get('step') or gate}.",
                where,
            )
            return


def check_unexpired(
    run: EventRun, enforced: bool, record: Record | None, status: str, where: str
) -> None:
    """Breach NOT_ACTIVE where medicine is dispensed after its expiry date has ended everywhere."""
    if status != "dispensed" or record is None or "expiry" not in record:
        return
    ends_ms = epoch_ms(f"{record['expiry']}T00:00:00Z")
    if ends_ms is not None and run.time_ms >= ends_ms + LAST_TIME_ZONE_MS:
        run.breach(
            enforced,
            "NOT_ACTIVE",
            f"{record['id']} expired on {record['expiry']}; returning or destroying it is "
            "accepted, dispensing it is not.",
            where,
        )


def weight_of(run: EventRun, identifier: Identifier, record: Record) -> int:
    """Milligrams of a thing: by its product, or the sum of what is packed in it; 0 unknown."""
    if identifier.gtin is not None:
        return piece_mass(run.product(identifier)) // BASE_PER_MILLIGRAM
    inside = [*record.get("contents", {}).values(), *record.get("lots", {}).values()]
    return sum(inside) if inside and all(inside) else 0


def is_holder(run: EventRun, root: Record) -> bool:
    """Whether the acting party holds the goods (goods found without a holder are anyone's)."""
    return bool(root.get("holder", run.actor) == run.actor)


def require_holder(
    run: EventRun, enforced: bool, record: Record, root: Record, where: str, doing: str
) -> None:
    """Breach NOT_HOLDER or IN_TRANSIT unless the acting party holds the goods at rest."""
    if not is_holder(run, root):
        run.breach(
            enforced,
            "NOT_HOLDER",
            f"{record['id']} is held by {root['holder']}, not by {run.actor}; {doing} is accepted "
            "from the holder only.",
            where,
        )
    elif "receiver" in root:
        run.breach(
            enforced,
            "IN_TRANSIT",
            f"{record['id']} is on its way to {root['receiver']}; it accepts receiving by that "
            "party or void_shipping by the shipper.",
            where,
        )


def moved(run: EventRun, name: str, record: Record, where: str) -> Record:
    """An edited copy with this event's time, disposition and location."""
    fresh = run.edit(name, record)
    before = record.get("moved_ms", run.time_ms)
    if run.time_ms < before:
        run.note(
            Refusal(
                "OUT_OF_ORDER",
                f"{record['id']} last changed at {before} ms, after this event's time "
                f"{run.time_ms} ms; events in the order of their times leave no finding.",
                "/projection" + where,
            )
        )
    fresh["moved_ms"] = max(before, run.time_ms)
    if run.disposition:
        fresh["disposition"] = run.disposition
    if "location" in run.p:
        fresh["location"] = run.p["location"]
    return fresh


def may_recall(run: EventRun, record: Record, gtin: str, holder: str | None) -> bool:
    """Holder, maker, product owner or regulator."""
    if run.actor in (holder, record.get("maker")) or "regulator" in run.roles:
        return True
    product = run.records.get(f"\x00product\x00{gtin}\x00") if gtin.isdigit() else None
    return product is not None and product["owner"] == run.actor
