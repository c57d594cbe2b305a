"""Quantity balances: how much of a lot each party holds, exactly.

A balance belongs to a lot (or a GTIN without lot) and a holder: a party, or the container the
goods are packed in. Over all holders of a lot, on hand + under way + consumed + lost + removed
equals produced + adopted; every rule here keeps that sum. Shipping writes the shipper's and the
receiver's balance, receiving the receiver's alone. Amounts are integers of the dimension's base
unit, stored as decimal strings.
"""

from __future__ import annotations

from chaincode import carbon_pool
from chaincode.balances import Pool, add_amount, amount_in, balance_key, set_amount, set_pool
from chaincode.event import Amount, EventRun
from chaincode.identifiers import Identifier
from chaincode.products import convert
from chaincode.records import Record
from chaincode.steps import ALLOWED_AFTER, MAKERS, Operation, accepted_after
from chaincode.units import decimal, unit_of


def lot_key(identifier: str) -> str:
    """State key of a lot's record."""
    return f"\x00lot\x00{identifier}\x00"


class Lot:
    """One lot in one event: its policy and the quantity, in the lot's own dimension.

    `stated`: the event gives a quantity; where it cannot be read or converted there is a finding
    and nothing moves. Without a quantity, all there is moves (with a finding).
    """

    __slots__ = ("enforced", "found", "identifier", "record", "stated", "unit", "uri", "where")

    def __init__(
        self, run: EventRun, identifier: Identifier, quantity: dict[str, str], where: str
    ) -> None:
        self.identifier = identifier
        self.uri = identifier.uri
        self.where = where
        self.enforced = run.enforced(identifier)
        self.record = None if identifier.kind == "gtin" else run.records.get(lot_key(self.uri))
        self.unit: str = quantity.get("unit", "EA")
        self.stated = "qty" in quantity
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
        known = record is not None and not record.get("adopted")
        same = record is not None and record.get("transformation_id", "") == transformation
        if record is not None and known and same and record.get("maker") == run.actor:
            pass  # a further output of the transformation that made the lot
        elif record is not None and known:
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
        if not lot.stated:
            require_quantity(run, lot)
        return
    name = balance_key(lot.uri, run.actor)
    balance = open_balance(run, lot, run.actor)
    add_amount(balance, "produced", base)
    add_amount(balance, "on_hand", base)
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
    run.breach(
        lot.enforced,
        "QUANTITY_REQUIRED",
        f"The quantity of {lot.uri} is missing; a quantity and its unit are accepted.",
        lot.where,
    )


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
    if base is None and lot.stated:
        run.records.put(name, balance)
        return None, {}
    if base is None:
        require_quantity(run, lot)
        base = on_hand
        if not base:
            run.records.put(name, balance)
            return None, {}
    if base > on_hand:
        not_enough(run, lot, base, on_hand, holder)
        add_amount(balance, "adopted", base - on_hand)
        on_hand = base
    share, rest = carbon_pool.part(balance.get("carbon"), base, on_hand)
    set_amount(balance, "on_hand", on_hand - base)
    set_pool(balance, "carbon", rest)
    if into is not None:
        add_amount(balance, into, base)
        set_pool(balance, "carbon_out", carbon_pool.add(balance.get("carbon_out"), share))
    run.records.put(name, balance)
    return (balance["dimension"], base), share


def put(run: EventRun, lot: Lot, taken: Amount, share: Pool, holder: str) -> None:
    """Add an amount and its carbon to a balance's on-hand."""
    balance = open_balance(run, lot, holder)
    balance.setdefault("dimension", taken[0])
    add_amount(balance, "on_hand", taken[1])
    set_pool(balance, "carbon", carbon_pool.add(balance.get("carbon"), share))
    run.records.put(balance_key(lot.uri, holder), balance)


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


def check_open(run: EventRun, lot: Lot, op: Operation) -> None:
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
    check_open(run, lot, Operation("", "", "use", False, ""))


def not_enough(run: EventRun, lot: Lot, base: int, on_hand: int, holder: str) -> None:
    unit = lot.record.get("unit", lot.unit) if lot.record is not None else lot.unit
    run.breach(
        lot.enforced,
        "NOT_ENOUGH",
        f"{holder} holds {decimal(on_hand, unit)} {unit} of {lot.uri}, not "
        f"{decimal(base, unit)} {unit}; at most what it holds is accepted.",
        lot.where,
    )
