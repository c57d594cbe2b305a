"""Lifecycle carbon: sums that can be recomputed by hand, and nothing from nowhere.

Would catch: an amount counted twice, lost in rounding, or handed to the wrong half of a lot.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from world import World, co2, gtin, lot, party_id, qty, receiver, sgtin, sscc

MAKER, MILL, SHOP = party_id(1), party_id(2), party_id(5)


def produce(world: World, number: str, amount: str, carbon: list[Any] | None = None) -> str:
    uri = lot(number)
    world.do("maker", carbon, action="ADD", quantities=[qty(uri, amount)])
    return uri


def ship(world: World, user: str, target: str, uri: str, amount: str, **more: Any) -> None:
    fields = {"quantities": [qty(uri, amount)], "to": receiver(target), **more}
    world.do(user, action="OBSERVE", step="shipping", **fields)


@pytest.fixture
def goods(world: World) -> World:
    world.product("maker", unit="KGM")
    return world


def test_a_bag_of_coffee_by_hand(goods: World) -> None:
    """Two farms 60 kg and 40 kg; the mill loses 20 kg; half is packed on a pallet and shipped.

    Raw material 600 g + 400 g, milling 200 g: 1,200 g on 80 kg. 40 kg carry 600 g. Transport of
    the pallet: 100 g. So the pallet's half carries 700 g and the rest 600 g.
    """
    first = produce(goods, "FARM1", "60", [co2(600_000, "raw-material")])
    second = produce(goods, "FARM2", "40", [co2(400_000, "raw-material")])
    goods.do(
        "maker",
        [co2(200_000, "production")],
        type="TransformationEvent",
        input_quantities=[qty(first, "60"), qty(second, "40")],
        output_quantities=[qty(lot("GREEN"), "80")],
        losses=[qty(first, "20")],
    )
    pallet = sscc(1)
    goods.do(
        "maker",
        type="AggregationEvent",
        action="ADD",
        parent=pallet,
        child_quantities=[qty(lot("GREEN"), "40")],
    )
    goods.do(
        "maker",
        [co2(100_000, "transport")],
        action="OBSERVE",
        step="shipping",
        epcs=[pallet],
        to=receiver(SHOP),
    )
    goods.do("shop", action="OBSERVE", step="receiving", epcs=[pallet])
    found = goods.footprint(lot("GREEN"))
    assert found["co2e_mg"] == 1_300_000
    assert found["stages"] == {
        "production": 200_000,
        "raw-material": 1_000_000,
        "transport": 100_000,
    }
    by_holder = {row["holder"]: row["co2e_mg"] for row in found["holders"]}
    assert by_holder == {MAKER: 600_000, pallet: 700_000}
    assert found["per_unit"] == {"co2e_mg": 16_250, "unit": "KGM"}
    goods.do("shop", type="AggregationEvent", action="DELETE", parent=pallet)
    by_holder = {row["holder"]: row["co2e_mg"] for row in goods.footprint(lot("GREEN"))["holders"]}
    assert by_holder == {MAKER: 600_000, SHOP: 700_000}
    assert sum(record["co2e_mg"] for record in found["records"]) == 1_300_000
    assert goods.footprint(first)["co2e_mg"] == 0
    assert goods.footprint(first)["handed_on"] == {"raw-material": 600_000}


def test_pieces_share_by_mass_and_pallets_by_contents(world: World) -> None:
    light, heavy = sgtin("A", gtin(1)), sgtin("B", gtin(2))
    world.product("maker", gtin=gtin(1), mass_g="100")
    world.product("maker", gtin=gtin(2), mass_g="300")
    world.do("maker", [co2(4_000, "production")], action="ADD", epcs=[light, heavy])
    assert world.footprint(light)["co2e_mg"] == 1_000
    assert world.footprint(heavy)["co2e_mg"] == 3_000
    world.do(
        "maker", type="AggregationEvent", action="ADD", parent=sscc(1), children=[light, heavy]
    )
    world.do("carrier", [co2(401)], action="OBSERVE", step="transporting", epcs=[sscc(1)])
    assert world.footprint(sscc(1))["co2e_mg"] == 401
    assert world.footprint(light)["co2e_mg"] == 1_000 + 100
    assert world.footprint(heavy)["co2e_mg"] == 3_000 + 301
    world.do("maker", type="AggregationEvent", action="DELETE", parent=sscc(1), children=[light])
    assert world.footprint(light)["co2e_mg"] == 1_100
    assert world.footprint(heavy)["co2e_mg"] == 3_301


def test_what_is_packed_later_does_not_pay_for_earlier_transport(world: World) -> None:
    early, late = sgtin("A"), sgtin("B")
    world.product("maker", mass_g="100")
    world.do("maker", action="ADD", epcs=[early, late])
    world.do("maker", type="AggregationEvent", action="ADD", parent=sscc(1), children=[early])
    world.do("maker", [co2(100)], action="OBSERVE", step="loading", epcs=[sscc(1)])
    world.do("maker", type="AggregationEvent", action="ADD", parent=sscc(1), children=[late])
    assert world.footprint(early)["co2e_mg"] == 100
    assert world.footprint(late)["co2e_mg"] == 0


def test_transport_by_a_carrier_falls_on_the_goods_under_way(goods: World) -> None:
    uri = produce(goods, "L", "10", [co2(1_000, "production")])
    ship(goods, "maker", SHOP, uri, "4")
    goods.do(
        "carrier",
        [co2(50)],
        action="OBSERVE",
        step="transporting",
        quantities=[qty(uri, "4")],
        source=receiver(MAKER),
        to=receiver(SHOP),
    )
    goods.do("shop", action="OBSERVE", step="receiving", quantities=[qty(uri, "4")])
    by_holder = {row["holder"]: row["co2e_mg"] for row in goods.footprint(uri)["holders"]}
    assert by_holder == {MAKER: 600, SHOP: 450}


def test_a_transformation_over_several_events_hands_on_as_it_puts_out(goods: World) -> None:
    uri = produce(goods, "L", "100", [co2(1_000, "raw-material")])
    common = {"type": "TransformationEvent", "transformation_id": "urn:example:batch:1"}
    goods.do("maker", [co2(200, "production")], **common, input_quantities=[qty(uri, "100")])
    goods.do("maker", **common, output_quantities=[qty(lot("R1"), "50")])
    goods.do("maker", **common, output_quantities=[qty(lot("R2"), "50")])
    assert goods.footprint(lot("R1"))["co2e_mg"] == 600
    assert goods.footprint(lot("R2"))["co2e_mg"] == 600
    records = goods.footprint(lot("R2"))["records"]
    assert sorted(record["co2e_mg"] for record in records) == [200, 1_000]


def test_named_subjects_carry_the_amount(world: World) -> None:
    world.product("maker", mass_g="100")
    pieces = [sgtin("A"), sgtin("B")]
    world.do("maker", [co2(70, subjects=[pieces[1]])], action="ADD", epcs=pieces)
    assert world.footprint(pieces[0])["co2e_mg"] == 0
    assert world.footprint(pieces[1])["co2e_mg"] == 70


def test_arithmetic_is_checked_where_the_factor_is_given(goods: World) -> None:
    record = co2(1_250, "transport", "12.5", "TKM")
    record["factor"]["value_mg_per_unit"] = "100"
    produce(goods, "L", "1", [record])
    for wrong in (1_248, 1_252, 0):
        refusal = goods.no(
            "maker",
            action="ADD",
            quantities=[qty(lot("M"), "1")],
            carbon=[{**record, "co2e_mg": wrong}],
        )
        assert refusal.code == "CARBON_ARITHMETIC"
        assert "1250 mg" in refusal.message


@pytest.mark.parametrize(
    "change",
    [
        {"co2e_mg": -1},
        {"co2e_mg": True},
        {"co2e_mg": "5"},
        {"co2e_mg": 2 * 10**15},
        {"stage": "magic"},
        {"activity": {"amount": "1"}},
        {"activity": []},
        {"factor": {"id": "x", "version": "1", "more": "y"}},
        {"factor": {"id": "\x07", "version": "1"}},
        {"subjects": "all"},
        {"subjects": [5]},
        {"extra": 1},
        {"verified_by": MAKER},
        {"stated_by": MILL},
    ],
)
def test_malformed_records_are_refused(goods: World, change: dict[str, Any]) -> None:
    record = {**co2(5), **change}
    refusal = goods.no("maker", action="ADD", quantities=[qty(lot("L"), "1")], carbon=[record])
    assert refusal.code == "BAD_CARBON"
    assert refusal.where.startswith("/carbon")


@pytest.mark.parametrize("amount", ["-1", "NaN", "1e5", ""])
def test_activity_amounts_are_plain_decimals(goods: World, amount: str) -> None:
    record = co2(5, amount=amount)
    refusal = goods.no("maker", action="ADD", quantities=[qty(lot("L"), "1")], carbon=[record])
    assert refusal.code in ("BAD_QUANTITY", "BAD_CARBON")


def test_somebody_else_verifies(goods: World) -> None:
    event = goods.event([co2(5)], action="ADD", quantities=[qty(lot("L"), "1")])
    goods.capture("maker", event)
    argument = {"event": event["hash"], "index": 0, "statement": "checked meter readings"}
    assert goods.refused("maker", "carbon:verify", argument).code == "ROLE_NOT_ALLOWED"
    assert goods.refused("labo", "carbon:verify", {**argument, "index": 1}).code == "NOT_FOUND"
    found = goods.call("labo", "carbon:verify", argument)
    assert found["carbon"][0]["verified_by"] == party_id(6)
    assert goods.refused("auditor", "carbon:verify", argument).code == "CARBON_VERIFIED"
    assert goods.footprint(lot("L"))["records"][0]["verified"] is True


def test_nobody_verifies_their_own_statement(goods: World) -> None:
    both = {"id": MAKER, "roles": ["producer", "auditor"]}
    goods.call("regulator", "participant:setRoles", both)
    event = goods.event([co2(5)], action="ADD", quantities=[qty(lot("L"), "1")])
    goods.capture("maker", event)
    argument = {"event": event["hash"], "index": 0, "statement": "trust me"}
    assert goods.refused("maker", "carbon:verify", argument).code == "SELF_VERIFICATION"


# conservation against an independent model in exact fractions


class Naive:
    """Carbon and kilograms per place, in exact fractions: the rules again, without rounding."""

    def __init__(self) -> None:
        self.kg: dict[tuple[str, str], Fraction] = {}
        self.mg: dict[tuple[str, str], Fraction] = {}
        self.stated = 0

    def add(self, place: tuple[str, str], kg: Fraction, mg: Fraction) -> None:
        self.kg[place] = self.kg.get(place, Fraction(0)) + kg
        self.mg[place] = self.mg.get(place, Fraction(0)) + mg

    def take(self, place: tuple[str, str], kg: Fraction) -> Fraction:
        mg = self.mg[place] * kg / self.kg[place]
        self.kg[place] -= kg
        self.mg[place] -= mg
        return mg

    def of_lot(self, uri: str) -> Fraction:
        return sum((mg for (name, _), mg in self.mg.items() if name == uri), Fraction(0))


steps = st.lists(
    st.tuples(
        st.sampled_from(["produce", "ship", "receive", "transform", "pack", "unpack", "drive"]),
        st.integers(0, 3),
        st.integers(1, 9),
        st.integers(0, 10_007),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_no_milligram_appears_or_vanishes(plan: list[tuple[str, int, int, int]]) -> None:
    world = World().open()
    world.party("maker", 1, "producer", "carrier")
    world.party("mill", 2, "processor", "carrier")
    world.product("maker", unit="KGM")
    model, lots_made, count = Naive(), [], 0
    users = {"maker": MAKER, "mill": MILL}
    pallet, loaded = sscc(1), {}
    for kind, pick, tenths, mg in plan:
        count += 1
        carbon = [co2(mg, "production")]
        if kind == "produce":
            uri = lot(f"P{count}")
            world.do("maker", carbon, action="ADD", quantities=[qty(uri, str(tenths))])
            model.add((uri, MAKER), Fraction(tenths), Fraction(mg))
            model.stated += mg
            lots_made.append(uri)
            continue
        if not lots_made:
            continue
        uri = lots_made[pick % len(lots_made)]
        user = ("maker", "mill")[pick % 2]
        me = users[user]
        kg = model.kg.get((uri, me), Fraction(0)) * tenths / 10
        text = f"{float(kg):.6f}"
        kg = Fraction(text)
        if kind in ("ship", "transform", "pack") and not 0 < kg <= model.kg.get((uri, me), 0):
            continue
        if kind == "ship":
            other = MILL if me == MAKER else MAKER
            fields = {"quantities": [qty(uri, text)], "to": receiver(other)}
            world.do(user, carbon, action="OBSERVE", step="shipping", **fields)
            model.add((uri, f"{me}>{other}"), kg, model.take((uri, me), kg) + mg)
            model.stated += mg
        elif kind == "receive":
            other = MILL if me == MAKER else MAKER
            place = (uri, f"{other}>{me}")
            kg = model.kg.get(place, Fraction(0))
            if kg:
                world.do(
                    user,
                    action="OBSERVE",
                    step="receiving",
                    quantities=[qty(uri, f"{float(kg):.6f}")],
                )
                model.add((uri, me), kg, model.take(place, kg))
        elif kind == "transform":
            out = lot(f"T{count}")
            world.do(
                user,
                carbon,
                type="TransformationEvent",
                input_quantities=[qty(uri, text)],
                output_quantities=[qty(out, text)],
            )
            model.add((out, me), kg, model.take((uri, me), kg) + mg)
            model.stated += mg
            lots_made.append(out)
        elif kind == "pack" and not loaded and me == MAKER:
            world.do(
                "maker",
                type="AggregationEvent",
                action="ADD",
                parent=pallet,
                child_quantities=[qty(uri, text)],
            )
            model.add((uri, pallet), kg, model.take((uri, me), kg))
            loaded = {"uri": uri}
        elif kind == "drive" and loaded:
            world.do("maker", carbon, action="OBSERVE", step="loading", epcs=[pallet])
            model.add((loaded["uri"], pallet), Fraction(0), Fraction(mg))
            model.stated += mg
        elif kind == "unpack" and loaded:
            world.do("maker", type="AggregationEvent", action="DELETE", parent=pallet)
            place = (loaded["uri"], pallet)
            kg = model.kg[place]
            model.add((loaded["uri"], MAKER), kg, model.take(place, kg))
            loaded = {}
    found = {uri: world.footprint(uri)["co2e_mg"] for uri in lots_made}
    assert sum(found.values()) == model.stated
    for uri, co2e_mg in found.items():
        assert abs(co2e_mg - model.of_lot(uri)) <= len(plan)
