"""Quantity balances: how much of a lot each party holds, exactly.

A balance belongs to a lot (or a GTIN without lot) and a holder: a party, or the container the
goods are packed in. Over all holders of a lot, on hand + under way + consumed + lost + removed
equals produced + adopted; every rule here keeps that sum. Shipping writes the shipper's and the
receiver's balance, receiving the receiver's alone. Amounts are integers of the dimension's base
unit, stored as decimal strings.
"""

from __future__ import annotations

from chaincode import carbon_pool
from chaincode.event import UNNAMED, Amount, EventRun
from chaincode.identifiers import Identifier
from chaincode.items import may_recall
from chaincode.products import convert
from chaincode.records import Record
from chaincode.steps import (
    ALLOWED_AFTER,
    COMMISSION,
    MAKERS,
    OBSERVERS,
    RECALL,
    RECEIVE,
    REMOVE,
    SHIP,
    UNSHIP,
    Operation,
    accepted_after,
)
from chaincode.units import decimal, unit_of

Pool = dict[str, int]


def lot_key(identifier: str) -> str:
    """State key of a lot's record."""
    return f"\x00lot\x00{identifier}\x00"


def balance_key(identifier: str, holder: str) -> str:
    """State key of a holder's balance of a lot."""
    return f"\x00balance\x00{identifier}\x00{holder}\x00"


class Lot:
    """One lot in one event: its policy and the quantity, in the lot's own dimension."""

    __slots__ = ("enforced", "found", "identifier", "record", "unit", "uri", "where")

    def __init__(
        self, run: EventRun, identifier: Identifier, quantity: dict[str, str], where: str
    ) -> None:
        self.identifier = identifier
        self.uri = identifier.uri
        self.where = where
        self.enforced = run.enforced(identifier)
        self.record = None if identifier.kind == "gtin" else run.records.get(lot_key(self.uri))
        self.unit: str = quantity.get("unit", "EA")
        if identifier.is_instance and identifier.kind != "other":
            run.breach(
                self.enforced,
                "BAD_IDENTIFIER",
                f"{self.uri} names one thing, not a quantity; it is accepted in the list of EPCs, "
                "a lot or GTIN in the list of quantities.",
                where + "/id",
            )
        self.found = run.amount_of(quantity, self.enforced, where)

    def fit(self, run: EventRun, holder: str) -> int | None:
        """The amount in the dimension the lot is kept in; None without a usable quantity."""
        if self.found is None:
            return None
        if self.record is not None:
            if "unit" not in self.record:
                self.record = {**run.edit(lot_key(self.uri), self.record), "unit": self.unit}
                run.records.put(lot_key(self.uri), self.record)
            target = unit_of(self.record["unit"])[0]
        else:
            balance = run.records.get(balance_key(self.uri, holder))
            if balance is None or "dimension" not in balance:
                return self.found[1]
            target = balance["dimension"]
        if target == self.found[0]:
            return self.found[1]
        base = convert(run.product(self.identifier), *self.found, target)
        if not base:
            run.breach(
                self.enforced,
                "UNIT_MISMATCH",
                f"{self.uri} is counted by {target}; {self.unit} is accepted only when the "
                "product declares mass_g per unit.",
                self.where + "/unit",
            )
            return None
        self.found = (target, base)
        return base


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
    _check_open(run, lot, op)
    base = lot.fit(run, run.actor)
    if op.kind == SHIP:
        _ship(run, lot, base)
    elif op.kind == RECEIVE:
        _receive(run, lot, base)
    elif op.kind == UNSHIP:
        _unship(run, lot, base)
    elif op.kind == REMOVE:
        taken = withdraw(run, lot, base, run.actor, "removed")
        run.place(lot.uri, balance_key(lot.uri, run.actor), None, run.milligrams(identifier, taken))
    else:
        _handle(run, lot, base, op)


def know(run: EventRun, lot: Lot) -> None:
    """A lot nobody commissioned: refused, or taken as found."""
    if lot.record is not None or lot.identifier.kind == "gtin":
        return
    run.breach(
        lot.enforced,
        "UNKNOWN_IDENTIFIER",
        f"{lot.uri} was never commissioned; a lot commissioned by an earlier event (action ADD or "
        "a transformation's output) is accepted.",
        lot.where,
    )
    lot.record = {"id": lot.uri, "status": "active", "adopted": True, "events": [run.hex]}
    if lot.found is not None:
        lot.record["unit"] = lot.unit
    run.records.put(lot_key(lot.uri), lot.record)


def produce(run: EventRun, lot: Lot, transformation: str | None = None) -> None:
    """Create the lot (once, or again within one transformation) and add to the maker's balance."""
    run.require_maker(lot.enforced, MAKERS, lot.identifier, lot.where)
    record = lot.record
    if lot.identifier.kind != "gtin":
        again = transformation is not None and record is not None
        if record is not None and again and record.get("transformation_id") == transformation:
            pass
        elif record is not None and not record.get("adopted"):
            run.breach(
                lot.enforced,
                "ALREADY_COMMISSIONED",
                f"{lot.uri} was commissioned before by {record.get('maker')}; a new lot number, or "
                "another output of the same transformationID, is accepted.",
                lot.where,
            )
        else:
            lot.record = _new_lot(run, lot, record, transformation)
    base = lot.fit(run, run.actor)
    if base is None:
        if lot.found is None:
            require_quantity(run, lot)
        return
    name = balance_key(lot.uri, run.actor)
    balance = open_balance(run, lot, run.actor)
    _add(balance, "produced", base)
    _add(balance, "on_hand", base)
    run.records.put(name, balance)
    run.place(lot.uri, name, None, run.milligrams(lot.identifier, lot.found))


def _new_lot(run: EventRun, lot: Lot, before: Record | None, transformation: str | None) -> Record:
    name = lot_key(lot.uri)
    record: Record = {"id": lot.uri, "status": "active", "events": [run.hex]}
    if before is not None:  # adopted earlier; its maker is known now
        record = run.edit(name, before)
        del record["adopted"]
    if lot.found is not None:
        record.setdefault("unit", lot.unit)
    record["maker"], record["made_by"] = run.actor, run.hex
    if transformation is not None:
        record["transformation_id"] = transformation
    if "expiry" in run.p:
        record["expiry"] = run.p["expiry"]
    run.records.put(name, record)
    return record


def require_quantity(run: EventRun, lot: Lot) -> None:
    """Breach QUANTITY_REQUIRED."""
    if "/qty" in str(run.findings[-1:]):
        return
    run.breach(
        lot.enforced,
        "QUANTITY_REQUIRED",
        f"The quantity of {lot.uri} is missing; a quantity and its unit are accepted.",
        lot.where,
    )


def withdraw(run: EventRun, lot: Lot, base: int | None, holder: str, into: str) -> Amount | None:
    """Take an amount (all there is where None) from a balance into one of its counters.

    Returns what was taken with its dimension; its carbon leaves with it (see `carbon_out`).
    """
    taken, _ = take(run, lot, base, holder, into)
    return taken


def take(
    run: EventRun, lot: Lot, base: int | None, holder: str, into: str | None
) -> tuple[Amount | None, Pool]:
    """Take an amount from a holder's on-hand balance.

    `into`: the counter that takes it (consumed, lost, removed), or None when it goes to another
    balance. Breach NOT_ENOUGH where there is less: under report the rest counts as adopted.
    Returns the amount taken and the carbon that goes with it.
    """
    name = balance_key(lot.uri, holder)
    balance = open_balance(run, lot, holder)
    on_hand = amount_in(balance, "on_hand")
    if base is None:
        require_quantity(run, lot)
        base = on_hand
        if not base:
            run.records.put(name, balance)
            return None, {}
    if base > on_hand:
        _not_enough(run, lot, base, on_hand, holder)
        _add(balance, "adopted", base - on_hand)
        on_hand = base
    share, rest = carbon_pool.part(balance.get("carbon"), base, on_hand)
    _set(balance, "on_hand", on_hand - base)
    _set_pool(balance, "carbon", rest)
    if into is not None:
        _add(balance, into, base)
        _set_pool(balance, "carbon_out", carbon_pool.add(balance.get("carbon_out"), share))
    run.records.put(name, balance)
    return (balance["dimension"], base), share


def put(run: EventRun, lot: Lot, taken: Amount, share: Pool, holder: str) -> None:
    """Add an amount and its carbon to a balance's on-hand."""
    balance = open_balance(run, lot, holder)
    balance.setdefault("dimension", taken[0])
    _add(balance, "on_hand", taken[1])
    _set_pool(balance, "carbon", carbon_pool.add(balance.get("carbon"), share))
    run.records.put(balance_key(lot.uri, holder), balance)


def lose(run: EventRun, op: Operation, lot: Lot) -> None:
    """A declared loss: from what is under way when receiving, else from what is on hand."""
    know(run, lot)
    base = lot.fit(run, run.actor)
    if op.kind == RECEIVE and base is not None:
        name = balance_key(lot.uri, run.actor)
        balance = open_balance(run, lot, run.actor)
        for sender in _sources(run, balance):
            part, share = _from_incoming(balance, sender, base)
            _add(balance, "lost", part)
            _set_pool(balance, "carbon_out", carbon_pool.add(balance.get("carbon_out"), share))
            base -= part
        run.records.put(name, balance)
        if not base:
            return
    withdraw(run, lot, base, run.actor, "lost")


def open_balance(run: EventRun, lot: Lot, holder: str) -> Record:
    """An editable copy of a balance, or a new one."""
    name = balance_key(lot.uri, holder)
    found = run.records.get(name)
    if found is not None:
        balance = run.edit(name, found)
    else:
        balance = {"lot": lot.uri, "holder": holder, "events": [run.hex]}
    if "dimension" not in balance:
        if lot.record is not None and "unit" in lot.record:
            balance["dimension"] = unit_of(lot.record["unit"])[0]
        elif lot.found is not None:
            balance["dimension"] = lot.found[0]
    return balance


def amount_in(balance: Record, field: str) -> int:
    """A stored amount as an integer (0 where absent)."""
    found = balance.get(field)
    return int(found) if found else 0


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
    incoming = dict(balance.get("incoming", {}))
    entry = incoming.get(run.actor, {})
    fresh: Record = {"amount": str(int(entry.get("amount", 0)) + moved)}
    pool = carbon_pool.add(entry.get("carbon"), share)
    if pool:
        fresh["carbon"] = pool
    incoming[run.actor] = fresh
    balance["incoming"] = incoming
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
    _add(balance, "removed", base)
    _set_pool(balance, "carbon_out", carbon_pool.add(balance.get("carbon_out"), share))
    run.records.put(balance_key(lot.uri, run.actor), balance)


def _receive(run: EventRun, lot: Lot, base: int | None) -> None:
    name = balance_key(lot.uri, run.actor)
    balance = open_balance(run, lot, run.actor)
    wanted, got = base, 0
    pool: Pool = {}
    for sender in _sources(run, balance):
        part, share = _from_incoming(balance, sender, None if wanted is None else wanted - got)
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
            _add(balance, "adopted", missing)
            got += missing
    _add(balance, "on_hand", got)
    _set_pool(balance, "carbon", carbon_pool.add(balance.get("carbon"), pool))
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
        part, share = _from_incoming(balance, sender, None if most is None else most - got)
        got, pool = got + part, carbon_pool.add(pool, share)
    run.records.put(name, balance)
    return got, pool


def _sources(run: EventRun, balance: Record) -> list[str]:
    """Whose shipments a receipt draws on: the named senders', else everyone's by name."""
    incoming = balance.get("incoming", {})
    named = [sender for sender in run.senders() if sender in incoming]
    return named or sorted(incoming)


def _from_incoming(balance: Record, sender: str, most: int | None) -> tuple[int, Pool]:
    """Take at most `most` (all where None) of a sender's shipments out of a balance."""
    incoming = dict(balance.get("incoming", {}))
    entry = incoming.get(sender)
    if entry is None or most == 0:
        return 0, {}
    whole = int(entry["amount"])
    part = whole if most is None else min(whole, most)
    share, rest = carbon_pool.part(entry.get("carbon"), part, whole)
    if part == whole:
        del incoming[sender]
    else:
        incoming[sender] = {"amount": str(whole - part), **({"carbon": rest} if rest else {})}
    if incoming:
        balance["incoming"] = incoming
    else:
        balance.pop("incoming", None)
    return part, share


def _unship(run: EventRun, lot: Lot, base: int | None) -> None:
    receiver = run.receiver or UNNAMED
    balance = open_balance(run, lot, receiver)
    part, share = _from_incoming(balance, run.actor, base)
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


def _check_open(run: EventRun, lot: Lot, op: Operation) -> None:
    held = run.records.get(balance_key(lot.uri, run.actor))
    for found in (lot.record, held):
        status = "active" if found is None else found.get("status", "active")
        if status != "active" and op.gate not in ALLOWED_AFTER[status]:
            run.breach(
                lot.enforced,
                "NOT_ACTIVE",
                f"{lot.uri} is {status}; it accepts {accepted_after(status)}, not "
                f"{run.p.get('step') or op.gate}.",
                lot.where,
            )
            return


def check_usable(run: EventRun, lot: Lot) -> None:
    """Breach NOT_ACTIVE unless the lot may be packed or consumed."""
    _check_open(run, lot, Operation("", "", "use", False, ""))


def _handle(run: EventRun, lot: Lot, base: int | None, op: Operation) -> None:
    """Something happens to goods that stay where they are."""
    name = balance_key(lot.uri, run.actor)
    held = run.records.get(name)
    on_hand = amount_in(held, "on_hand") if held is not None else 0
    under_way = held is not None and "incoming" in held
    if not on_hand or (base is not None and base > on_hand):
        if not (run.roles & OBSERVERS or under_way):
            if on_hand:
                _not_enough(run, lot, base or 0, on_hand, run.actor)
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


def _not_enough(run: EventRun, lot: Lot, base: int, on_hand: int, holder: str) -> None:
    unit = lot.record.get("unit", lot.unit) if lot.record is not None else lot.unit
    run.breach(
        lot.enforced,
        "NOT_ENOUGH",
        f"{holder} holds {decimal(on_hand, unit)} {unit} of {lot.uri}, not "
        f"{decimal(base, unit)} {unit}; at most what it holds is accepted.",
        lot.where,
    )


def _add(balance: Record, field: str, base: int) -> None:
    if base:
        balance[field] = str(amount_in(balance, field) + base)


def _set(balance: Record, field: str, base: int) -> None:
    if base:
        balance[field] = str(base)
    else:
        balance.pop(field, None)


def _set_pool(balance: Record, field: str, pool: Pool) -> None:
    if pool:
        balance[field] = pool
    else:
        balance.pop(field, None)
