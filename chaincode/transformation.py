"""Transformation: inputs are consumed, outputs come into being, and mass does not appear.

EPCIS 2.0 §7.4. Inputs and outputs are compared by mass where every mass is known (by unit, or
by the products' mass_g), else by their common dimension. With each output's own `max_yield`
("1.00" where none is declared):

    outputs of a product <= inputs x its max_yield
    sum of outputs / max(1, max_yield) + losses <= inputs

Several events may share a transformationID: inputs first, outputs later, one party; the sums
then run over all of them. What the inputs carried of carbon goes to the outputs by mass.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final, TypeGuard

from chaincode import carbon_pool, item_rules, items, lots
from chaincode.balances import balance_key
from chaincode.event import Amount, EventRun
from chaincode.identifiers import Identifier
from chaincode.items import item_key
from chaincode.lots import Lot
from chaincode.products import convert, piece_mass, product_key
from chaincode.records import Record
from chaincode.steps import MAKERS, Operation
from chaincode.units import BASE_PER_MILLIGRAM, COUNT, MASS, fraction

Pool = dict[str, int]

_CONSUME: Final = Operation("consume", "consumed", "use", True, "transformation")
_ONE_PIECE: Final = 10**6


def transformation_key(identifier: str) -> str:
    """State key of a transformation that spans several events."""
    return f"\x00transformation\x00{identifier}\x00"


class Side:
    """The sum of inputs, outputs or losses: by mass while every mass is known, and by dimension."""

    __slots__ = ("dimensions", "mass", "products", "unknown")

    def __init__(self, stored: Record | None = None) -> None:
        stored = stored or {}
        self.mass = int(stored.get("mass", 0))
        self.unknown: int = stored.get("unknown", 0)
        self.dimensions: dict[str, int] = {
            name: int(base) for name, base in stored.get("by", {}).items()
        }
        self.products: dict[str, Side] = {
            gtin: Side(side) for gtin, side in stored.get("products", {}).items()
        }

    def add(self, run: EventRun, identifier: Identifier, found: Amount) -> None:
        """Count one amount in."""
        dimension, base = found
        product = run.product(identifier)
        if dimension == COUNT and identifier.is_instance:
            mass: int | None = piece_mass(product) or None
        else:
            mass = convert(product, dimension, base, MASS)
        self.dimensions[dimension] = self.dimensions.get(dimension, 0) + base
        if mass is None:
            self.unknown += 1
        else:
            self.mass += mass

    def add_output(self, run: EventRun, identifier: Identifier, found: Amount) -> None:
        """Count one output in, also by its product ("" where it has none)."""
        self.add(run, identifier, found)
        self.products.setdefault(identifier.gtin or "", Side()).add(run, identifier, found)

    def measured(self, dimension: str | None) -> int:
        """The sum in one dimension, or by mass (None)."""
        return self.mass if dimension is None else self.dimensions.get(dimension, 0)

    def stored(self) -> Record:
        """As kept in a transformation's record."""
        found: Record = {"by": {name: str(base) for name, base in self.dimensions.items()}}
        if self.mass:
            found["mass"] = str(self.mass)
        if self.unknown:
            found["unknown"] = self.unknown
        if self.products:
            found["products"] = {gtin: side.stored() for gtin, side in self.products.items()}
        return found


def transform(run: EventRun) -> None:
    """Apply a TransformationEvent."""
    p = run.p
    name, opened = _open(run)
    stored = opened or {}
    inputs, outputs = Side(stored.get("inputs")), Side(stored.get("outputs"))
    losses = Side(stored.get("losses"))
    pool = carbon_pool.add(None, stored.get("carbon"))
    strict = stored.get("mode") == "enforce"
    for identifier, quantity, where in run.goods("inputs", "input_quantities"):
        if quantity is None:
            share = _consume_item(run, identifier, inputs, where)
        else:
            share = _consume_lot(run, Lot(run, identifier, quantity, where), inputs)
        pool = carbon_pool.add(pool, share)
    _count_losses(run, losses)
    made = _make(run, outputs)
    yields = _yields(run)
    strict = strict or run.strict
    if outputs.dimensions:
        _check_yield(run, strict, inputs, outputs, losses, yields)
    if made:
        pool = _hand_on(run, name, pool, made, inputs, outputs, losses, yields)
    if name is None:
        return
    record = run.edit(name, opened) if opened is not None else _fresh(run)
    record["inputs"], record["outputs"] = inputs.stored(), outputs.stored()
    record["losses"] = losses.stored()
    if strict:
        record["mode"] = "enforce"
    record["carbon"] = pool
    if not pool:
        del record["carbon"]
    run.records.put(name, record)
    if not made:
        run.place(p["transformation_id"], name, None, 0)


def _fresh(run: EventRun) -> Record:
    return {"id": run.p["transformation_id"], "party": run.actor, "events": [run.hex]}


def _open(run: EventRun) -> tuple[str | None, Record | None]:
    """The record of a transformation that spans events, where the event names one."""
    identifier = run.p.get("transformation_id")
    if identifier is None:
        return None, None
    name = transformation_key(identifier)
    found = run.records.get(name)
    if found is not None and found["party"] != run.actor:
        run.breach(
            found.get("mode") == "enforce",
            "TRANSFORMATION_OWNED",
            f"Transformation {identifier} was opened by {found['party']}; that party, or a "
            "transformationID of one's own, is accepted.",
            "/transformation_id",
        )
        return None, None
    return name, found


def _consume_item(run: EventRun, identifier: Identifier, inputs: Side, where: str) -> Pool:
    name = item_key(identifier.uri)
    record = run.records.get(name)
    enforced = run.enforced(identifier, record)
    run.require_roles(enforced, MAKERS, "a transformation", where)
    if record is None:
        record = items.adopt(run, enforced, identifier, _CONSUME, where)
    root = items.outermost(run, record)
    items.check_open(run, enforced, record, root, "use", where)
    if "parent" in record:
        run.breach(
            enforced,
            "CHILD_OF_AGGREGATION",
            f"{identifier.uri} is packed in {record['parent']}; unpacking it first is accepted.",
            where,
        )
    items.require_holder(run, enforced, record, root, where, "a transformation")
    if record.get("contents") or record.get("lots"):
        run.breach(
            enforced,
            "BAD_AGGREGATION",
            f"{identifier.uri} is a container with goods inside; unpacking them and naming them as "
            "inputs is accepted.",
            where,
        )
        item_rules.write_off(run, record, where)
    fresh = items.moved(run, name, record, where)
    fresh["status"], fresh["consumed_by"] = "consumed", run.hex
    pool: Pool = fresh.pop("carbon", {})
    if pool:
        fresh["carbon_out"] = carbon_pool.add(fresh.get("carbon_out"), pool)
    run.records.put(name, fresh)
    inputs.add(run, identifier, (COUNT, _ONE_PIECE))
    return pool


def _consume_lot(run: EventRun, lot: Lot, inputs: Side) -> Pool:
    run.require_roles(lot.enforced, MAKERS, "a transformation", lot.where)
    lots.know(run, lot)
    lots.check_usable(run, lot)
    base = lot.fit(run, run.actor)
    taken, share = lots.take(run, lot, base, run.actor, "consumed")
    if taken is not None:
        inputs.add(run, lot.identifier, taken)
    return share


def _count_losses(run: EventRun, losses: Side) -> None:
    """Losses of a transformation are part of its inputs: they bound the outputs, nothing moves."""
    for index, loss in enumerate(run.p.get("losses", ())):
        where = f"/losses/{index}"
        identifier = run.identify(loss["id"], where + "/id")
        found = run.amount_of(loss, run.enforced(identifier), where)
        if found is not None:
            losses.add(run, identifier, found)


def _make(run: EventRun, outputs: Side) -> list[tuple[str, int]]:
    """Commission the outputs; returns each one's state key and weight in milligrams."""
    made = []
    for identifier, quantity, where in run.goods("outputs", "output_quantities"):
        if quantity is None:
            name = item_key(identifier.uri)
            items.commission(run, identifier, run.records.get(name), where)
            outputs.add_output(run, identifier, (COUNT, _ONE_PIECE))
            made.append((name, run.milligrams(identifier, (COUNT, _ONE_PIECE))))
            continue
        lot = Lot(run, identifier, quantity, where)
        lots.produce(run, lot, run.p.get("transformation_id"))
        if lot.found is not None:
            outputs.add_output(run, identifier, lot.found)
            name = balance_key(lot.uri, run.actor)
            made.append((name, run.milligrams(identifier, lot.found)))
    return made


def _yields(run: EventRun) -> tuple[int, int] | None:
    """The greatest yield declared for an output's product as a fraction; None where none is."""
    best: tuple[int, int] | None = None
    p = run.p
    names = [*p.get("outputs", ()), *(q["id"] for q in p.get("output_quantities", ()))]
    for text in names:
        product = run.product(run.identify(text, "/outputs"))
        if product is not None and "max_yield" in product:
            found = fraction(product["max_yield"])
            if best is None or found[0] * best[1] > best[0] * found[1]:
                best = found
    return best


def _common(inputs: Side, outputs: Side, losses: Side) -> tuple[bool, str | None]:
    """Whether the sides can be compared, and by which dimension (None: by mass)."""
    if not inputs.unknown and not outputs.unknown and not losses.unknown:
        return True, None
    names = inputs.dimensions.keys() | outputs.dimensions.keys() | losses.dimensions.keys()
    if len(names) == 1 and COUNT not in names:
        return True, next(iter(names))
    return False, None


def _comparable(inputs: Side, outputs: Side, losses: Side) -> tuple[int, int, int] | None:
    """Inputs, outputs and losses in one measure; None where there is no common one."""
    known, by = _common(inputs, outputs, losses)
    return (inputs.measured(by), outputs.measured(by), losses.measured(by)) if known else None


def _check_yield(
    run: EventRun,
    strict: bool,
    inputs: Side,
    outputs: Side,
    losses: Side,
    yields: tuple[int, int] | None,
) -> None:
    if not inputs.dimensions:
        run.breach(
            strict,
            "NO_INPUT",
            "The transformation has outputs and no input with a quantity so far; its inputs in "
            "this event, or earlier under the same transformationID, are accepted.",
            "/outputs",
        )
        return
    known, by = _common(inputs, outputs, losses)
    if known or not inputs.unknown:  # what is known of the outputs may not exceed known inputs
        _check_products(run, strict, inputs, outputs, losses, by)
    if not known:
        run.breach(
            strict and yields is not None,
            "YIELD_NOT_COMPARABLE",
            "Inputs and outputs have no common measure; units of mass, or products with mass_g, "
            "make the declared yield checkable.",
            "/outputs",
        )


def _check_products(
    run: EventRun, strict: bool, inputs: Side, outputs: Side, losses: Side, by: str | None
) -> None:
    """Each product's outputs within its own yield, all of them within the inputs."""
    taken, used = inputs.measured(by), Fraction(losses.measured(by))
    for gtin, side in sorted(outputs.products.items()):
        given = side.measured(by)
        product = run.records.get(product_key(gtin)) if gtin else None
        found = Fraction(*fraction(product["max_yield"])) if _declares(product) else Fraction(1)
        used += given / max(Fraction(1), found)
        if given > taken * found:
            percent = f"{int(found * 100)}.{int(found * 10_000) % 100:02d}"
            run.breach(
                strict,
                "YIELD_EXCEEDED",
                f"The transformation takes in {taken} and puts out {given} (base units) of "
                f"{gtin or 'goods without a GTIN'}; at most {percent} % of the input is accepted.",
                "/outputs",
            )
            return
    if used > taken:
        run.breach(
            strict,
            "YIELD_EXCEEDED",
            f"The transformation takes in {taken}, loses {losses.measured(by)} and puts out "
            f"{outputs.measured(by)} (base units); no more than input less losses is accepted, "
            "beyond what a yield above 1.00 adds.",
            "/outputs",
        )


def _declares(product: Record | None) -> TypeGuard[Record]:
    return product is not None and "max_yield" in product


def _hand_on(
    run: EventRun,
    name: str | None,
    pool: Pool,
    made: list[tuple[str, int]],
    inputs: Side,
    outputs: Side,
    losses: Side,
    yields: tuple[int, int] | None,
) -> Pool:
    """Give the inputs' carbon to the outputs by mass; returns what stays with an open one.

    A transformation within one event hands on everything. One that spans events hands on the
    part of its pool that these outputs are of the output still expected (input less losses, times
    the declared yield, less what came out before).
    """
    if not pool:
        return pool
    stays: Pool = {}
    found = _comparable(inputs, outputs, losses) if name is not None else None
    if found is not None:
        taken, given, lost = found
        top, bottom = yields if yields is not None else (1, 1)
        now = sum(weight for _, weight in made) * BASE_PER_MILLIGRAM
        expected = (taken - lost) * top // bottom - (given - now)
        if now and 0 < now < expected:
            pool, stays = carbon_pool.part(pool, now, expected)
    for (target, _), share in zip(
        made, carbon_pool.split(pool, [weight for _, weight in made]), strict=True
    ):
        record = run.records.get(target)
        if record is not None and share:
            fresh = run.edit(target, record)
            fresh["carbon"] = carbon_pool.add(fresh.get("carbon"), share)
            run.records.put(target, fresh)
    return stays
