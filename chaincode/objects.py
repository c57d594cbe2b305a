"""ObjectEvent and TransactionEvent: what happens to the goods an event lists.

EPCIS 2.0 §7.4; source and destination types: CBV 2.0 §7.4. Ownership passes when goods are
received, when a TransactionEvent names a new owning_party, or when goods that are sold out of the
chain change hands again: their owner has no key, so a brand or retailer records it, naming the
present owner as source.
"""

from __future__ import annotations

from typing import Final

from chaincode import item_rules, items, lot_rules, owners
from chaincode.event import EventRun
from chaincode.identifiers import Identifier
from chaincode.items import item_key
from chaincode.lots import Lot
from chaincode.records import Record
from chaincode.steps import HANDLE, OBSERVERS, REMOVE, Operation, operation_of

_TRANSFER: Final = Operation("transfer", "", "transfer", False, "a change of owner")
_NOTE: Final = Operation(HANDLE, "", "hold", False, "a business transaction")


def object_event(run: EventRun) -> None:
    """Apply an ObjectEvent."""
    p = run.p
    op = operation_of(p.get("action"), p.get("step"), run.disposition)
    resale = "to" in p and run.buyer is not None
    for identifier, quantity, where in run.goods("epcs", "quantities"):
        if quantity is not None:
            lot_rules.apply(run, op, identifier, quantity, where)
        elif resale and _changes_owner(run, op, identifier):
            transfer(run, identifier, where)
        else:
            item_rules.apply(run, op, identifier, where)
    if "losses" in p:
        declare_losses(run, op)


def transaction_event(run: EventRun) -> None:
    """Apply a TransactionEvent: a note on the goods, or a change of their owner."""
    p = run.p
    if "parent" in p:
        _transact(run, run.identify(p["parent"], "/parent"), "/parent")
    for identifier, quantity, where in run.goods("epcs", "quantities"):
        if quantity is not None:
            lot_rules.apply(run, _NOTE, identifier, quantity, where)
        else:
            _transact(run, identifier, where)
    declare_losses(run, _NOTE)


def _transact(run: EventRun, identifier: Identifier, where: str) -> None:
    if run.buyer is not None and run.p.get("action") != "DELETE":
        transfer(run, identifier, where)
    else:
        _note(run, identifier, where)


def declare_losses(run: EventRun, op: Operation) -> None:
    """Quantities (or single things) the event declares lost."""
    gone = Operation(REMOVE, "destroyed", "destroy", True, "a declared loss")
    for index, loss in enumerate(run.p.get("losses", ())):
        where = f"/losses/{index}"
        identifier = run.identify(loss["id"], where + "/id")
        if identifier.is_class or "qty" in loss:
            lot_rules.lose(run, op, Lot(run, identifier, loss, where))
        else:
            item_rules.apply(run, gone, identifier, where)


def transfer(run: EventRun, identifier: Identifier, where: str) -> None:
    """Pass ownership of one thing to the named owning_party."""
    name = item_key(identifier.uri)
    record = run.records.get(name)
    enforced = run.enforced(identifier, record)
    if record is None:
        record = items.adopt(run, enforced, identifier, _TRANSFER, where)
    root = items.outermost(run, record)
    items.check_open(run, enforced, record, root, "transfer", where)
    owner = owners.owner_of(record, root)
    promised = root.get("buyer")
    if promised is not None and promised != run.buyer:
        run.breach(
            enforced,
            "NOT_OWNER",
            f"{identifier.uri} is on its way to its new owner {promised}; void_shipping first, or "
            "that owner, is accepted.",
            where,
        )
    elif not owners.may_transfer(run, owner):
        run.breach(
            enforced,
            "NOT_OWNER",
            f"{identifier.uri} is owned by {owner}, not by {run.actor}; a transfer by the owner "
            "is accepted, or by a brand or retailer that names an unregistered owner as source.",
            where,
        )
    fresh = items.moved(run, name, record, where)
    owners.hand_over({"owner": owner} if owner else {}, fresh, str(run.buyer))
    if record["status"] == "sold":
        fresh["status"] = "sold"
        fresh["holder"] = run.receiver or run.buyer
    run.records.put(name, fresh)
    run.place(identifier.uri, name, None, 0)


def _changes_owner(run: EventRun, op: Operation, identifier: Identifier) -> bool:
    """Whether an ObjectEvent that names a new owner is a resale rather than a step."""
    record = run.records.get(item_key(identifier.uri))
    if record is None:
        return False
    if record["status"] == "sold":
        return op.kind == HANDLE or op.gate == "sell"
    return False


def _note(run: EventRun, identifier: Identifier, where: str) -> None:
    """Tie a business transaction to a thing: by its holder, owner, or a party to the deal."""
    name = item_key(identifier.uri)
    record: Record | None = run.records.get(name)
    enforced = run.enforced(identifier, record)
    if record is None:
        record = items.adopt(run, enforced, identifier, _NOTE, where)
    root = items.outermost(run, record)
    items.check_open(run, enforced, record, root, "hold", where)
    theirs = {root.get("holder", run.actor), owners.owner_of(record, root)}
    ends = {run.receiver, run.buyer, *run.senders()}
    party = run.actor in theirs or (run.actor in ends and bool(theirs & ends))
    if not party and not run.roles & OBSERVERS:
        items.require_holder(run, enforced, record, root, where, "a business transaction")
    run.touch(name, record)
    run.place(identifier.uri, name, None, items.weight_of(run, identifier, record))
