"""What each operation does to a quantity of a lot.

Shipping writes the shipper's and the receiver's balance, receiving the receiver's alone, so that
unrelated parties with parts of one lot never write the same key.
"""

from __future__ import annotations

from chaincode import carbon_pool
from chaincode.balances import (
    Pool,
    add_amount,
    amount_in,
    balance_key,
    from_incoming,
    recalled_from,
    set_pool,
    to_incoming,
)
from chaincode.event import UNNAMED, Amount, EventRun
from chaincode.identifiers import Identifier
from chaincode.items import check_unexpired, may_recall
from chaincode.lots import (
    Lot,
    check_open,
    know,
    lot_key,
    not_enough,
    open_balance,
    produce,
    put,
    take,
)
from chaincode.products import convert
from chaincode.records import Record
from chaincode.steps import (
    COMMISSION,
    OBSERVERS,
    RECALL,
    RECEIVE,
    REMOVE,
    SHIP,
    UNSHIP,
    Operation,
)
from chaincode.units import decimal


def apply(
    run: EventRun, op: Operation, identifier: Identifier, quantity: dict[str, str], where: str
) -> None:
    """Apply the operation to a quantity of a lot."""
    lot = Lot(run, identifier, quantity, where)
    if op.kind == COMMISSION:
        produce(run, lot)
        return
    know(run, lot)
    if op.kind == RECALL:
        _recall(run, lot)
        return
    check_open(run, lot, op)
    base = lot.fit(run, run.actor)
    if base is None and lot.stated:  # its finding is noted; what cannot be counted moves nothing
        name = balance_key(lot.uri, run.actor)
        run.records.put(name, open_balance(run, lot, run.actor))
        return
    if op.kind == SHIP:
        _ship(run, lot, base)
    elif op.kind == RECEIVE:
        _receive(run, lot, base)
    elif op.kind == UNSHIP:
        _unship(run, lot, base)
    elif op.kind == REMOVE:
        check_unexpired(run, lot.enforced, lot.record, op.status, where)
        taken = take(run, lot, base, run.actor, "removed")[0]
        run.place(lot.uri, balance_key(lot.uri, run.actor), None, run.milligrams(identifier, taken))
    else:
        _handle(run, lot, base, op)


def lose(run: EventRun, op: Operation, lot: Lot) -> None:
    """A declared loss: from what is under way when receiving, else from what is on hand."""
    know(run, lot)
    base = lot.fit(run, run.actor)
    if op.kind == RECEIVE and base is not None:
        name = balance_key(lot.uri, run.actor)
        balance = open_balance(run, lot, run.actor)
        for sender in _sources(run, balance):
            part, share = from_incoming(balance, sender, base)
            add_amount(balance, "lost", part)
            set_pool(balance, "carbon_out", carbon_pool.add(balance.get("carbon_out"), share))
            base -= part
        run.records.put(name, balance)
        if not base:
            return
    take(run, lot, base, run.actor, "lost")


def _ship(run: EventRun, lot: Lot, base: int | None) -> None:
    receiver = run.receiver
    if receiver is None:
        run.breach(
            lot.enforced,
            "RECEIVER_NOT_NAMED",
            f"The shipment of {lot.uri} names no receiver; a destination of type "
            "possessing_party, owning_party or location is accepted.",
            "/to",
        )
        receiver = UNNAMED
    taken, share = take(run, lot, base, run.actor, None)
    if taken is None:
        return
    balance = open_balance(run, lot, receiver)
    moved = _across(run, lot, taken, balance)
    if moved is None:
        _leave_the_books(run, lot, taken[1], share)
        return
    held = run.records.get(balance_key(lot.uri, run.actor)) or {}
    to_incoming(balance, run.actor, moved, share, held.get("status") == "recalled")
    name = balance_key(lot.uri, receiver)
    run.records.put(name, balance)
    run.place(lot.uri, name, run.actor, run.milligrams(lot.identifier, taken))


def _across(run: EventRun, lot: Lot, taken: Amount, balance: Record) -> int | None:
    """The amount in the receiving balance's dimension; only a GTIN without lot can have two."""
    if balance["dimension"] == taken[0]:
        return taken[1]
    base = convert(run.product(lot.identifier), *taken, balance["dimension"])
    if base:
        return base
    run.breach(
        lot.enforced,
        "UNIT_MISMATCH",
        f"{lot.uri} is counted by {balance['dimension']} at {balance['holder']} and by {taken[0]} "
        "here; one unit for both, or a product with mass_g, is accepted.",
        lot.where + "/unit",
    )
    return None


def _leave_the_books(run: EventRun, lot: Lot, base: int, share: Pool) -> None:
    """Goods the receiver cannot count are written off at the shipper, so that the sum holds."""
    balance = open_balance(run, lot, run.actor)
    add_amount(balance, "removed", base)
    set_pool(balance, "carbon_out", carbon_pool.add(balance.get("carbon_out"), share))
    run.records.put(balance_key(lot.uri, run.actor), balance)


def _receive(run: EventRun, lot: Lot, base: int | None) -> None:
    name = balance_key(lot.uri, run.actor)
    balance = open_balance(run, lot, run.actor)
    wanted, got = base, 0
    pool: Pool = {}
    for sender in _sources(run, balance):
        if (wanted is None or wanted > got) and recalled_from(balance, sender):
            balance["status"] = "recalled"
        part, share = from_incoming(balance, sender, None if wanted is None else wanted - got)
        got, pool = got + part, carbon_pool.add(pool, share)
    missing = (wanted or 0) - got
    if missing > 0 or (wanted is None and not got):
        part, share = _from_unnamed(run, lot, missing if wanted is not None else None)
        got, pool = got + part, carbon_pool.add(pool, share)
        missing -= part
    if missing > 0 or not got:
        on_its_way = decimal(got, lot.unit) if lot.found else str(got)
        run.breach(
            lot.enforced,
            "NOT_ENOUGH" if got else "NOT_NAMED_RECEIVER",
            f"{on_its_way} {lot.unit} of {lot.uri} is on its way to {run.actor}; that much, "
            "shipped to this receiver by name, is accepted.",
            lot.where,
        )
        if missing > 0:
            add_amount(balance, "adopted", missing)
            got += missing
    add_amount(balance, "on_hand", got)
    set_pool(balance, "carbon", carbon_pool.add(balance.get("carbon"), pool))
    run.records.put(name, balance)
    weight = run.milligrams(lot.identifier, (balance["dimension"], got)) if got else 0
    run.place(lot.uri, name, None, weight)


def _from_unnamed(run: EventRun, lot: Lot, most: int | None) -> tuple[int, Pool]:
    """Take from shipments that named no receiver (only report lets those be)."""
    name = balance_key(lot.uri, UNNAMED)
    if run.records.get(name) is None:
        return 0, {}
    balance = open_balance(run, lot, UNNAMED)
    got = 0
    pool: Pool = {}
    for sender in _sources(run, balance):
        part, share = from_incoming(balance, sender, None if most is None else most - got)
        got, pool = got + part, carbon_pool.add(pool, share)
    run.records.put(name, balance)
    return got, pool


def _sources(run: EventRun, balance: Record) -> list[str]:
    """Whose shipments a receipt draws on: the named senders', else everyone's by name."""
    incoming = balance.get("incoming", {})
    named = [sender for sender in run.senders() if sender in incoming]
    return named or sorted(incoming)


def _unship(run: EventRun, lot: Lot, base: int | None) -> None:
    receiver = run.receiver or UNNAMED
    balance = open_balance(run, lot, receiver)
    part, share = from_incoming(balance, run.actor, base)
    if not part or (base is not None and part < base):
        run.breach(
            lot.enforced,
            "NOT_IN_TRANSIT",
            f"Less than that of {lot.uri} is on its way from {run.actor} to {receiver}; "
            "void_shipping of goods under way, with the receiver named, is accepted.",
            lot.where,
        )
    if not part:
        return
    run.records.put(balance_key(lot.uri, receiver), balance)
    put(run, lot, (balance["dimension"], part), share, run.actor)


def _recall(run: EventRun, lot: Lot) -> None:
    """Recall the lot as a whole (maker, product owner, regulator) or what a holder has of it."""
    record = lot.record
    gtin = lot.identifier.gtin or ""
    name = balance_key(lot.uri, run.actor)
    held = run.records.get(name)
    if record is not None and may_recall(run, record, gtin, None):
        fresh = run.edit(lot_key(lot.uri), record)
        fresh["status"] = "recalled"
        run.records.put(lot_key(lot.uri), fresh)
        return
    if held is None or not amount_in(held, "on_hand"):
        run.breach(
            lot.enforced,
            "NOT_HOLDER",
            f"{lot.uri} may be recalled by its maker, its product's owner, a regulator, or a "
            f"holder for what it holds; {run.actor} is none of them.",
            lot.where,
        )
    balance = open_balance(run, lot, run.actor)
    balance["status"] = "recalled"
    run.records.put(name, balance)


def _handle(run: EventRun, lot: Lot, base: int | None, op: Operation) -> None:
    """Something happens to goods that stay where they are."""
    name = balance_key(lot.uri, run.actor)
    held = run.records.get(name)
    on_hand = amount_in(held, "on_hand") if held is not None else 0
    under_way = held is not None and "incoming" in held
    if not on_hand or (base is not None and base > on_hand):
        if not (run.roles & OBSERVERS or under_way):
            if on_hand:
                not_enough(run, lot, base or 0, on_hand, run.actor)
            else:
                run.breach(
                    lot.enforced,
                    "NOT_HOLDER",
                    f"{run.actor} holds nothing of {lot.uri}; {op.step or 'this event'} is "
                    "accepted from a holder.",
                    lot.where,
                )
        _place_observed(run, lot)
    balance = open_balance(run, lot, run.actor)
    run.records.put(name, balance)
    if on_hand:
        run.place(lot.uri, name, None, run.milligrams(lot.identifier, lot.found))


def _place_observed(run: EventRun, lot: Lot) -> None:
    """Where goods lie that the party does not hold: under way between the parties it names,
    with a party it names, or with their maker."""
    if not run.tracking:
        return
    weight = run.milligrams(lot.identifier, lot.found)
    receiver = run.receiver
    if receiver is not None:
        name = balance_key(lot.uri, receiver)
        found = run.records.get(name)
        if found is not None:
            for sender in _sources(run, found):
                run.place(lot.uri, name, sender, weight)
                return
    maker = [lot.record["maker"]] if lot.record is not None and "maker" in lot.record else []
    for holder in [*run.senders(), *([receiver] if receiver else []), *maker]:
        name = balance_key(lot.uri, holder)
        found = run.records.get(name)
        if found is not None and amount_in(found, "on_hand"):
            run.place(lot.uri, name, None, weight)
            return
