"""What each operation does to one thing: the movement rules.

The holder ships, naming a receiver; the named receiver receives; packed things move with their
container; ended goods accept what the table in :mod:`chaincode.steps` allows.
"""

from __future__ import annotations

from typing import Final

from chaincode import owners, recalls
from chaincode.balances import amount_in, balance_key
from chaincode.event import UNNAMED, EventRun
from chaincode.identifiers import Identifier
from chaincode.items import (
    MAX_NESTING,
    adopt,
    check_open,
    check_unexpired,
    commission,
    is_holder,
    item_key,
    may_recall,
    moved,
    outermost,
    require_holder,
    weight_of,
)
from chaincode.lots import Lot, take
from chaincode.records import Record
from chaincode.session import party_key
from chaincode.steps import (
    ALLOWED_AFTER,
    COMMISSION,
    HANDLE,
    HANDLERS,
    OBSERVERS,
    RECALL,
    RECEIVE,
    REMOVE,
    SERVICE,
    SHIP,
    UNSHIP,
    Operation,
)

# assets that carry one party's goods after another's
_REUSABLE: Final = ("https://id.gs1.org/8003/", "https://id.gs1.org/8004/")
# a certifier's or an authority's verdict is written even though the goods are not theirs
_VERDICTS: Final = frozenset({"conformant", "non_conformant", "needs_replacement"})


def apply(run: EventRun, op: Operation, identifier: Identifier, where: str) -> None:
    """Apply the operation to one thing."""
    name = item_key(identifier.uri)
    record = run.records.get(name)
    if op.kind == COMMISSION:
        commission(run, identifier, record, where)
        return
    enforced = run.enforced(identifier, record)
    if record is None:
        record = adopt(run, enforced, identifier, op, where)
    root = outermost(run, record)
    check_open(run, enforced, record, root, op.gate, where)
    if op.moves and op.gate not in ALLOWED_AFTER["recalled"]:
        recalls.check_inside(run, enforced, record, where)
    if op.moves and "parent" in record:
        if _moves_with_container(run, record):
            run.touch(name, record)
            return
        record = _leave_container(run, enforced, identifier, record, root, where)
        root = record
    _RULES[op.kind](run, enforced, op, name, record, root, where)
    if run.tracking:
        run.place(identifier.uri, name, None, weight_of(run, identifier, record))


def _moves_with_container(run: EventRun, record: Record) -> bool:
    """Whether a container of the thing is itself in the event's list."""
    listed = run.p.get("epcs", ())
    for _ in range(MAX_NESTING):
        parent = record.get("parent")
        if parent is None:
            return False
        if parent in listed:
            return True
        found = run.records.get(item_key(parent))
        if found is None:
            return False
        record = found
    return False


def _leave_container(
    run: EventRun, enforced: bool, identifier: Identifier, record: Record, root: Record, where: str
) -> Record:
    """A packed thing moves alone: refused, or taken out of its container with a finding."""
    parent = record["parent"]
    run.breach(
        enforced,
        "CHILD_OF_AGGREGATION",
        f"{identifier.uri} is packed in {parent} and does not move alone; moving {parent}, or an "
        "AggregationEvent with action DELETE first, is accepted.",
        where,
    )
    container = run.records.get(item_key(parent))
    if container is not None:
        fresh = run.edit(item_key(parent), container)
        contents = dict(fresh.get("contents", {}))
        contents.pop(identifier.uri, None)
        fresh["contents"] = contents
        run.records.put(item_key(parent), fresh)
    alone = run.edit(item_key(identifier.uri), record)
    del alone["parent"]
    for field in ("holder", "owner", "receiver"):
        if field in root:
            alone[field] = root[field]
    if "receiver" in root and alone["status"] == "active":
        alone["status"] = "in_transit"
    run.records.put(item_key(identifier.uri), alone)
    return alone


def _ship(
    run: EventRun,
    enforced: bool,
    op: Operation,
    name: str,
    record: Record,
    root: Record,
    where: str,
) -> None:
    if _outside(run, record):
        _require_say(run, enforced, record, "shipping", where)
    else:
        require_holder(run, enforced, record, root, where, "shipping")
    receiver = run.receiver
    if receiver is None:
        run.breach(
            enforced,
            "RECEIVER_NOT_NAMED",
            f"The shipment of {record['id']} names no receiver; a destination of type "
            "possessing_party, owning_party or location is accepted.",
            "/to",
        )
        receiver = UNNAMED
    fresh = moved(run, name, record, where)
    fresh["holder"] = run.actor
    fresh["receiver"] = receiver
    if fresh["status"] != "recalled":
        fresh["status"] = "in_transit"
    if run.buyer is not None and owners.may_name(run, enforced, record, where):
        fresh["buyer"] = run.buyer
    if receiver == record.get("owner") and run.records.get(party_key(receiver)) is None:
        fresh["status"] = "sold"  # back from repair to an owner outside the network
        fresh["holder"] = receiver
        fresh.pop("receiver")
    run.records.put(name, fresh)


def _receive(
    run: EventRun,
    enforced: bool,
    op: Operation,
    name: str,
    record: Record,
    root: Record,
    where: str,
) -> None:
    receiver = record.get("receiver")
    if receiver is None:
        if not _may_take_without_shipment(run, record):
            run.breach(
                enforced,
                "NOT_IN_TRANSIT",
                f"{record['id']} was not shipped (it is with {record.get('holder', 'nobody')}); "
                "goods shipped to the receiver are accepted.",
                where,
            )
    elif receiver not in (run.actor, UNNAMED):
        run.breach(
            enforced,
            "NOT_NAMED_RECEIVER",
            f"{record['id']} was shipped to {receiver}, not to {run.actor}; receiving is accepted "
            "from the named receiver only.",
            where,
        )
    fresh = moved(run, name, record, where)
    fresh["holder"] = run.actor
    fresh.pop("receiver", None)
    owner = fresh.pop("buyer", None)
    if run.buyer is not None and run.buyer != owner:
        agreed = owner is None or not enforced
        if owners.may_name(run, enforced, record, where, owner) and agreed:
            owner = run.buyer
    if owner is not None:
        owners.hand_over(record, fresh, owner)
    if fresh["status"] != "recalled":
        fresh["status"] = "active"
    run.records.put(name, fresh)


def _may_take_without_shipment(run: EventRun, record: Record) -> bool:
    """Goods from a consumer (nobody registered holds them), found goods, goods just adopted."""
    holder = record.get("holder")
    if record.get("adopted") and record["events"][-1] == run.hex:
        return True
    if record["status"] == "stolen":
        return holder == run.actor or bool(run.roles & {"customs", "regulator"})
    if record["status"] != "sold":
        return holder is None
    unregistered = holder is None or run.records.get(party_key(holder)) is None
    return unregistered and bool(run.roles & SERVICE)


def _unship(
    run: EventRun,
    enforced: bool,
    op: Operation,
    name: str,
    record: Record,
    root: Record,
    where: str,
) -> None:
    if not is_holder(run, record):
        require_holder(run, enforced, record, record, where, "void_shipping")
    elif "receiver" not in record:
        run.breach(
            enforced,
            "NOT_IN_TRANSIT",
            f"{record['id']} is not under way; void_shipping is accepted before it is received.",
            where,
        )
    fresh = moved(run, name, record, where)
    fresh.pop("receiver", None)
    fresh.pop("buyer", None)
    if fresh["status"] == "in_transit":
        fresh["status"] = "active"
    run.records.put(name, fresh)


def _remove(
    run: EventRun,
    enforced: bool,
    op: Operation,
    name: str,
    record: Record,
    root: Record,
    where: str,
) -> None:
    if _outside(run, record):
        _require_say(run, enforced, record, op.step or op.status, where)
    else:
        require_holder(run, enforced, record, root, where, op.step or op.status)
    check_unexpired(run, enforced, record, op.status, where)
    write_off(run, record, where)
    fresh = moved(run, name, record, where)
    fresh["status"] = op.status
    fresh.pop("receiver", None)
    if op.status == "sold":
        fresh.pop("holder", None)
        keeper = run.receiver
        if keeper is not None:
            fresh["holder"] = keeper
            fresh["owner"] = run.buyer or keeper
        else:
            fresh.pop("owner", None)
    run.records.put(name, fresh)


def _outside(run: EventRun, record: Record) -> bool:
    """Whether goods are with somebody outside the network: sold, to nobody registered."""
    if record["status"] != "sold":
        return False
    holder = record.get("holder")
    return holder is None or run.records.get(party_key(holder)) is None


def _require_say(run: EventRun, enforced: bool, record: Record, doing: str, where: str) -> None:
    """Breach NOT_HOLDER unless the party answers for goods that are outside the network."""
    if not (may_recall(run, record, _gtin_of(record), None) or "customs" in run.roles):
        run.breach(
            enforced,
            "NOT_HOLDER",
            f"{record['id']} was sold out of the network; {doing} is accepted from its maker, its "
            "product's owner or an authority, or from a party that received it.",
            where,
        )


def _gtin_of(record: Record) -> str:
    return str(record["id"])[len("https://id.gs1.org/01/") :][:14]


def write_off(run: EventRun, container: Record, where: str) -> None:
    """Quantities packed in something that ends leave the books with it."""
    for uri in sorted(container.get("lots", {})):
        lot = Lot(run, run.identify(uri, where), {"id": uri}, where)
        held = run.records.get(balance_key(uri, container["id"]))
        whole = amount_in(held, "on_hand") if held is not None else 0
        if whole:
            take(run, lot, whole, container["id"], "removed")
    for uri in sorted(container.get("contents", {})):
        inner = run.records.get(item_key(uri)) if "/21/" not in uri else None
        if inner is not None and inner.get("parent") == container["id"]:
            write_off(run, inner, where)


def _recall(
    run: EventRun,
    enforced: bool,
    op: Operation,
    name: str,
    record: Record,
    root: Record,
    where: str,
) -> None:
    full = bool(record.get("contents") or record.get("lots"))
    reused = full and record["id"].startswith(_REUSABLE)  # its maker has no say over the goods
    told = {} if reused else record
    if not may_recall(run, told, _gtin_of(record), root.get("holder")):
        run.breach(
            enforced,
            "NOT_HOLDER",
            f"{record['id']} may be recalled by its holder, its maker, its product's owner or a "
            f"regulator; {run.actor} is none of them.",
            where,
        )
    fresh = moved(run, name, record, where)
    if fresh["status"] not in ("destroyed", "consumed"):
        fresh["status"] = "recalled"
    run.records.put(name, fresh)
    recalls.mark_outer(run, fresh)


def _handle(
    run: EventRun,
    enforced: bool,
    op: Operation,
    name: str,
    record: Record,
    root: Record,
    where: str,
) -> None:
    at_rest, outside = "receiver" not in root, _outside(run, root)
    if is_holder(run, root) and at_rest and not outside:
        fresh = moved(run, name, record, where)
        if "holder" not in root and run.roles & HANDLERS:
            fresh["holder"] = run.actor
        run.records.put(name, fresh)
    elif observes(run, root):
        fresh = run.edit(name, record)
        if run.disposition in _VERDICTS:
            fresh["disposition"] = run.disposition
        run.records.put(name, fresh)
    else:
        if outside:
            _require_say(run, enforced, record, op.step or "this event", where)
        else:
            require_holder(run, enforced, record, root, where, op.step or "this event")
        run.touch(name, record)


def observes(run: EventRun, root: Record) -> bool:
    """Whether the party may report on goods it does not hold: carriers, warehouses, certifiers,
    customs, regulators, auditors; the named receiver and the shipper of goods under way; a
    service workshop for sold goods."""
    if run.roles & OBSERVERS or root.get("receiver") == run.actor:
        return True
    if root["status"] == "in_transit" and is_holder(run, root):
        return True
    return root["status"] == "sold" and bool(run.roles & SERVICE)


_RULES: Final = {
    SHIP: _ship,
    RECEIVE: _receive,
    UNSHIP: _unship,
    REMOVE: _remove,
    RECALL: _recall,
    HANDLE: _handle,
}
