"""Packing and unpacking (AggregationEvent).

EPCIS 2.0 §7.4. A container is created by its first packing. Things inside know their parent;
quantities inside move to a balance whose holder is the container. A container that holds goods
under `enforce` is itself under `enforce`.
"""

from __future__ import annotations

from typing import Final

from chaincode import carbon_pool, item_rules, items, lot_rules, lots, owners, recalls
from chaincode.balances import amount_in, balance_key
from chaincode.container_carbon import settle, shares_of_leaving
from chaincode.errors import Refusal
from chaincode.event import EventRun
from chaincode.identifiers import Identifier, parse
from chaincode.items import item_key
from chaincode.lots import Lot
from chaincode.objects import declare_losses
from chaincode.records import Record
from chaincode.steps import HANDLE, HANDLERS, OPEN, RECEIVE, SHIP, Operation, operation_of

# never a container: balances lie under parties too, so a party's name would open its stock
_PLACES: Final = frozenset({"gln", "pgln", "party"})


def aggregate(run: EventRun) -> None:
    """Apply an AggregationEvent: ADD packs, DELETE unpacks, OBSERVE sees or moves the whole."""
    p = run.p
    action = p.get("action", "OBSERVE")
    movement = operation_of("OBSERVE", p.get("step"), p.get("disposition"))
    travels = movement.kind in (SHIP, RECEIVE)
    if "parent" not in p:
        _without_parent(run, action, movement)
        return
    parent = run.identify(p["parent"], "/parent")
    if parent.is_class or parent.kind in _PLACES:
        strict = run.enforced(parent)
        for child, _, _ in run.goods("children", "child_quantities"):
            strict = run.enforced(child) or strict
        run.breach(
            strict,
            "BAD_AGGREGATION",
            f"{parent.uri} names a class, a place or a party, not one container; an SSCC, a serial "
            "number or an asset identifier is accepted as parent.",
            "/parent",
        )
        return
    if action == "ADD":
        _pack(run, parent)
    if travels or action == "OBSERVE":
        item_rules.apply(run, movement, parent, "/parent")
    if action == "DELETE":
        _unpack(run, parent)
    elif action == "OBSERVE":
        _compare(run, parent)
    if "losses" in p:
        declare_losses(run, movement)


def _is_class(text: str) -> bool:
    try:
        return parse(text).is_class
    except Refusal:
        return False


def _without_parent(run: EventRun, action: str, movement: Operation) -> None:
    if action != "OBSERVE":
        run.breach(
            any(run.enforced(run.identify(c, "/children")) for c in run.p.get("children", ())),
            "BAD_AGGREGATION",
            f"The aggregation with action {action} has no parent; a parentID is accepted.",
            "/parent",
        )
    for child, quantity, where in run.goods("children", "child_quantities"):
        if quantity is not None:
            lot_rules.apply(run, movement, child, quantity, where)
        else:
            item_rules.apply(run, movement, child, where)


def _pack(run: EventRun, parent: Identifier) -> None:
    container = _open_container(run, parent)
    if container.get("carbon") and (container.get("contents") or container.get("lots")):
        container = settle(run, parent.uri, container)
    contents = dict(container.get("contents", {}))
    packed_lots = dict(container.get("lots", {}))
    for child, quantity, where in run.goods("children", "child_quantities"):
        if quantity is None:
            if _lies_inside(run, container, child.uri):
                run.breach(
                    run.enforced(child) or run.enforced(parent, container),
                    "BAD_AGGREGATION",
                    f"{child.uri} cannot be packed in {parent.uri}: it would contain itself or lie "
                    f"deeper than {items.MAX_NESTING} containers; a child outside that chain is "
                    "accepted.",
                    where,
                )
                continue
            record = _pack_item(run, parent, container, child, where)
            contents[child.uri] = items.weight_of(run, child, record)
            _strict(run, container, child, record)
            if record["status"] == "recalled" or "recalled" in record:
                recalls.add(container, child.uri)
            continue
        lot = Lot(run, child, quantity, where)
        _strict(run, container, lot.identifier, None)
        lots.know(run, lot)
        lots.check_usable(run, lot)
        taken, share = lots.take(run, lot, lot.fit(run, run.actor), run.actor, None)
        if taken is not None:
            lots.put(run, lot, taken, share, parent.uri)
            weight = run.milligrams(lot.identifier, taken)
            before = packed_lots.get(lot.uri, weight)
            known = before and weight
            packed_lots[lot.uri] = before + weight if known and lot.uri in packed_lots else known
            run.place(lot.uri, balance_key(lot.uri, parent.uri), None, weight)
    if contents:
        container["contents"] = contents
    if packed_lots:
        container["lots"] = packed_lots
    name = item_key(parent.uri)
    run.records.put(name, container)
    if container.get("mode") == "enforce":
        _guard_outer(run, container)
    if "recalled" in container:
        recalls.mark_outer(run, container)
    run.place(parent.uri, name, None, items.weight_of(run, parent, container))


def _guard_outer(run: EventRun, record: Record) -> None:
    """Containers around one under `enforce` are under it too."""
    while "parent" in record:
        name = item_key(record["parent"])
        outer = run.records.get(name)
        if outer is None or outer.get("mode") == "enforce":
            return
        record = {**run.edit(name, outer), "mode": "enforce"}
        run.records.put(name, record)


def _open_container(run: EventRun, parent: Identifier) -> Record:
    """The container to pack into: an editable copy, or a new one held by the packer."""
    name = item_key(parent.uri)
    found = run.records.get(name)
    enforced = run.enforced(parent, found)
    run.require_roles(enforced, HANDLERS, "packing", "/parent")
    if found is None:
        if parent.gtin is not None:
            op = Operation(HANDLE, "", "handle", False, "packing")
            found = items.adopt(run, enforced, parent, op, "/parent")
        else:
            found = {
                "id": parent.uri,
                "status": "active",
                "holder": run.actor,
                "maker": run.actor,
                "made_by": run.hex,
                "moved_ms": run.time_ms,
                "events": [run.hex],
            }
            run.records.put(name, found)
    else:
        root = items.outermost(run, found)
        # an empty one that was only seen so far becomes the packer's
        seen = "adopted" in found and root is found and not {"contents", "lots"} & found.keys()
        if not enforced and not seen and (not items.is_holder(run, root) or "receiver" in root):
            enforced = _packs_enforced(run)  # goods do not vanish in somebody else's container
        items.check_open(run, enforced, found, root, "pack", "/parent")
        items.require_holder(run, enforced, found, root, "/parent", "packing")
        if seen:
            found = {**run.edit(name, found), "holder": run.actor}
            found.pop("receiver", None)
    fresh = items.moved(run, name, found, "/parent")
    fresh.setdefault("holder", run.actor)  # seen before, held by nobody known
    return fresh


def _packs_enforced(run: EventRun) -> bool:
    goods = run.goods("children", "child_quantities")
    return any(run.enforced(child, run.records.get(item_key(child.uri))) for child, _, _ in goods)


def _pack_item(
    run: EventRun, parent: Identifier, container: Record, child: Identifier, where: str
) -> Record:
    name = item_key(child.uri)
    record = run.records.get(name)
    enforced = run.enforced(child, record)
    if record is None:
        op = Operation(SHIP, "", "pack", True, "packing")
        record = items.adopt(run, enforced, child, op, where)
    root = items.outermost(run, record)
    items.check_open(run, enforced, record, root, "pack", where)
    before = record.get("parent")
    if before == parent.uri:
        run.touch(name, record)
        return record
    if before is not None:
        run.breach(
            enforced,
            "CHILD_OF_AGGREGATION",
            f"{child.uri} is packed in {before}; unpacking it first (AggregationEvent with action "
            "DELETE) is accepted.",
            where,
        )
        _drop(run, before, child.uri)
    else:
        items.require_holder(run, enforced, record, root, where, "packing")
    fresh = items.moved(run, name, record, where)
    fresh["parent"] = parent.uri
    if fresh["status"] == "in_transit":
        fresh["status"] = "active"
    fresh.pop("receiver", None)
    run.records.put(name, fresh)
    return fresh


def _lies_inside(run: EventRun, container: Record, child: str) -> bool:
    """Whether the child is the container or one that holds it, or the nesting is too deep."""
    record: Record | None = container
    for _ in range(items.MAX_NESTING):
        if record is None or record["id"] == child:
            return True
        above = record.get("parent")
        if above is None:
            return False
        record = run.records.get(item_key(above))
    return True


def _drop(run: EventRun, container: str, child: str) -> None:
    found = run.records.get(item_key(container))
    if found is not None:
        fresh = run.edit(item_key(container), found)
        fresh["contents"] = {k: v for k, v in fresh.get("contents", {}).items() if k != child}
        run.records.put(item_key(container), fresh)


def _strict(run: EventRun, container: Record, child: Identifier, record: Record | None) -> None:
    if run.enforced(child, record):
        container["mode"] = "enforce"


def _unpack(run: EventRun, parent: Identifier) -> None:
    name = item_key(parent.uri)
    found = run.records.get(name)
    enforced = run.enforced(parent, found)
    if found is None:
        op = Operation(SHIP, "", "unpack", True, "unpacking")
        found = items.adopt(run, enforced, parent, op, "/parent")
    root = items.outermost(run, found)
    items.check_open(run, enforced, found, root, "unpack", "/parent")
    items.require_holder(run, enforced, found, root, "/parent", "unpacking")
    p = run.p
    contents, packed = dict(found.get("contents", {})), dict(found.get("lots", {}))
    everything = "children" not in p and "child_quantities" not in p
    leaving = (
        sorted(contents) if everything else [t for t in p.get("children", ()) if not _is_class(t)]
    )
    quantities = list(p.get("child_quantities", ()))
    if everything:
        quantities = [{"id": uri} for uri in sorted(packed)]
    container = items.moved(run, name, found, "/parent")
    shares = shares_of_leaving(container, leaving, [q["id"] for q in quantities])
    recalled = "recalled" in (found["status"], root["status"])
    for index, text in enumerate(leaving):
        where = "/parent" if everything else f"/children/{index}"
        share = shares.pop(text, None)
        _unpack_item(run, enforced, parent.uri, root, recalled, contents, text, share, where)
    for index, quantity in enumerate(quantities):
        where = "/parent" if everything else f"/child_quantities/{index}"
        _unpack_lot(
            run, parent.uri, recalled, packed, quantity, shares.pop(quantity["id"], None), where
        )
    for field, inside in (("contents", contents), ("lots", packed)):
        if inside:
            container[field] = inside
        else:
            container.pop(field, None)
    if not contents and not packed:
        container.pop("mode", None)
        container.pop("sold_by", None)
    run.records.put(name, container)
    recalls.clear(run, name, contents)
    run.place(parent.uri, name, None, items.weight_of(run, parent, container))


def _unpack_item(
    run: EventRun,
    enforced: bool,
    parent: str,
    root: Record,
    recalled: bool,
    contents: dict[str, int],
    text: str,
    share: carbon_pool.Pool | None,
    where: str,
) -> None:
    child = run.identify(text, where)
    name = item_key(child.uri)
    record = run.records.get(name)
    strict = run.enforced(child, record) or enforced
    if record is None:
        op = Operation(SHIP, "", "unpack", True, "unpacking")
        record = items.adopt(run, strict, child, op, where)
    elif record.get("parent") != parent:
        run.breach(
            strict,
            "NOT_A_CHILD",
            f"{child.uri} is not packed in {parent} (its container: "
            f"{record.get('parent', 'none')}); a child of this container is accepted.",
            where,
        )
        run.touch(name, record)
        return
    contents.pop(child.uri, None)
    fresh = items.moved(run, name, record, where)
    fresh.pop("parent", None)
    owners.inherit(root, fresh)
    if "holder" in root:
        fresh["holder"] = root["holder"]
    if recalled and fresh["status"] in OPEN:
        fresh["status"] = "recalled"
    if share:
        fresh["carbon"] = carbon_pool.add(fresh.get("carbon"), share)
    run.records.put(name, fresh)
    if run.tracking:
        run.place(child.uri, name, None, items.weight_of(run, child, fresh))


def _unpack_lot(
    run: EventRun,
    parent: str,
    recalled: bool,
    packed: dict[str, int],
    quantity: dict[str, str],
    share: carbon_pool.Pool | None,
    where: str,
) -> None:
    lot = Lot(run, run.identify(quantity["id"], where + "/id"), quantity, where)
    lots.know(run, lot)
    inside = run.records.get(balance_key(lot.uri, parent))
    whole = amount_in(inside, "on_hand") if inside is not None else 0
    base = lot.fit(run, parent)
    if base is None and whole and not lot.stated:
        base = whole
    if share and inside is not None:  # a part that leaves takes its part of the share
        fresh = run.edit(balance_key(lot.uri, parent), inside)
        fresh["carbon"] = carbon_pool.add(fresh.get("carbon"), share)
        run.records.put(balance_key(lot.uri, parent), fresh)
    taken, pool = lots.take(run, lot, base, parent, None)
    if taken is None:
        return
    if taken[1] >= whole:
        packed.pop(lot.uri, None)
    else:
        packed[lot.uri] = packed.get(lot.uri, 0) * (whole - taken[1]) // whole
    lots.put(run, lot, taken, pool, run.actor)
    if recalled:
        recalls.mark_balance(run, balance_key(lot.uri, run.actor))
    run.place(lot.uri, balance_key(lot.uri, run.actor), None, run.milligrams(lot.identifier, taken))


def _compare(run: EventRun, parent: Identifier) -> None:
    """An observed aggregation whose children are not the recorded ones leaves a finding."""
    container = run.records.get(item_key(parent.uri))
    inside = container.get("contents", {}) if container is not None else {}
    for index, text in enumerate(run.p.get("children", ())):
        child = run.identify(text, f"/children/{index}")
        record = run.records.get(item_key(child.uri))
        if child.uri not in inside:
            run.breach(
                run.enforced(child, record),
                "NOT_A_CHILD",
                f"{child.uri} was seen in {parent.uri} but was not packed in it; a child of this "
                "container is accepted.",
                f"/children/{index}",
            )
        if record is not None:
            run.touch(item_key(child.uri), record)
