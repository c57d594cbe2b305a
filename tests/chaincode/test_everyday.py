"""What honest parties do every day, and the rules must let them.

Would catch: a rule that stops mixed pallets, part deliveries, split and merged lots, repacking,
cross-docking, consignment stock, returns, repairs, rentals, inspections or corrections.
"""

from __future__ import annotations

from typing import Any

import pytest
from world import World, gtin, lot, party_id, qty, receiver, sgtin, sscc, to

MAKER, MILL, CARRIER, STORE, SHOP, BRAND = (party_id(n) for n in (1, 2, 3, 4, 5, 8))
L, L2, WATCH, OTHER = lot("L"), lot("L2"), sgtin("W1"), sgtin("W2")
CASE, PALLET, NEW_PALLET = sscc(1), sscc(2), sscc(3)
OWNER = "urn:example:person:1"


@pytest.fixture
def goods(world: World) -> World:
    world.product("maker", unit="KGM")
    world.do("maker", action="ADD", epcs=[WATCH, OTHER])
    world.do("maker", action="ADD", quantities=[qty(L, "100"), qty(L2, "50")])
    return world


def ship(world: World, user: str, target: str, **what: Any) -> None:
    what.setdefault("to", receiver(target))
    world.do(user, action="OBSERVE", step="shipping", **what)


def receive(world: World, user: str, **what: Any) -> None:
    world.do(user, action="OBSERVE", step="receiving", **what)


def aggregate(world: World, user: str, action: str, parent: str, **what: Any) -> None:
    world.do(user, type="AggregationEvent", action=action, parent=parent, **what)


def test_a_mixed_pallet_is_cross_docked_and_repacked(goods: World) -> None:
    load = [qty(L, "10"), qty(L2, "5")]
    aggregate(goods, "maker", "ADD", PALLET, children=[WATCH], child_quantities=load)
    ship(goods, "maker", STORE, epcs=[PALLET])
    goods.do("carrier", action="OBSERVE", step="transporting", epcs=[PALLET])
    goods.do("customs", action="OBSERVE", step="inspecting", epcs=[PALLET, WATCH])
    receive(goods, "store", epcs=[PALLET])
    aggregate(goods, "store", "DELETE", PALLET, children=[WATCH], child_quantities=[qty(L, "4")])
    aggregate(goods, "store", "ADD", NEW_PALLET, children=[WATCH], child_quantities=[qty(L, "4")])
    ship(goods, "store", SHOP, epcs=[NEW_PALLET, PALLET])
    receive(goods, "shop", epcs=[NEW_PALLET])
    receive(goods, "shop", epcs=[PALLET])
    aggregate(goods, "shop", "DELETE", NEW_PALLET)
    aggregate(goods, "shop", "DELETE", PALLET)
    assert (goods.on_hand(L, SHOP), goods.on_hand(L2, SHOP)) == ("10", "5")
    assert goods.item(WATCH)["holder"] == SHOP
    ship(goods, "shop", MAKER, epcs=[PALLET, NEW_PALLET])  # empties go back
    receive(goods, "maker", epcs=[PALLET, NEW_PALLET])


def test_a_lot_is_delivered_in_parts_and_the_rest_comes_back(goods: World) -> None:
    ship(goods, "maker", SHOP, quantities=[qty(L, "60")])
    receive(goods, "shop", quantities=[qty(L, "20")])
    receive(goods, "shop", quantities=[qty(L, "25000", "GRM")])
    goods.do(
        "maker",
        action="OBSERVE",
        step="void_shipping",
        quantities=[qty(L, "15")],
        to=receiver(SHOP),
    )
    ship(goods, "shop", MAKER, quantities=[qty(L, "5")], disposition="returned")
    receive(goods, "maker", quantities=[qty(L, "5")])
    assert (goods.on_hand(L, MAKER), goods.on_hand(L, SHOP)) == ("60", "40")


def test_lots_are_merged_and_split(goods: World) -> None:
    goods.do(
        "maker",
        type="TransformationEvent",
        input_quantities=[qty(L, "100"), qty(L2, "50")],
        output_quantities=[qty(lot("A"), "90"), qty(lot("B"), "60")],
    )
    assert goods.on_hand(lot("B"), MAKER) == "60"


def test_a_cooperative_acts_for_a_farmer_who_has_no_key(world: World) -> None:
    world.party("coop", 20, "producer", "processor")
    world.party("farmer", 21, "producer", msp="CoopMSP")
    world.user("admin", "CoopMSP", party_id(20), "admin")
    world.call(
        "admin",
        "delegation:grant",
        {
            "principal": party_id(21),
            "delegate": party_id(20),
            "scopes": ["event:capture"],
            "expires_ms": world.now_ms + 10**9,
        },
    )
    world.product("coop", unit="KGM", makers=[party_id(21)])
    cherries = [qty(lot("H"), "30")]
    farm = {"actor": party_id(21)}
    world.capture("coop", world.event(action="ADD", quantities=cherries), **farm)
    sent = world.event(
        action="OBSERVE", step="shipping", quantities=cherries, to=receiver(party_id(20))
    )
    world.capture("coop", sent, **farm)
    receive(world, "coop", quantities=cherries)
    assert world.on_hand(lot("H"), party_id(20)) == "30"


def test_consignment_stock_stays_its_owners_until_it_is_sold(goods: World) -> None:
    ends = to(("possessing_party", SHOP), ("owning_party", MAKER))
    ship(goods, "maker", SHOP, epcs=[WATCH], to=ends)
    receive(goods, "shop", epcs=[WATCH])
    assert (goods.item(WATCH)["holder"], goods.item(WATCH)["owner"]) == (SHOP, MAKER)
    sale = {"type": "TransactionEvent", "action": "ADD", "epcs": [WATCH]}
    goods.do("maker", **sale, to=to(("owning_party", SHOP)))
    goods.do("shop", action="OBSERVE", step="retail_selling", epcs=[WATCH])
    assert goods.item(WATCH)["status"] == "sold"


def test_a_receipt_repeats_the_shipments_owner(goods: World) -> None:
    ends = to(("possessing_party", SHOP), ("owning_party", SHOP))
    ship(goods, "maker", SHOP, epcs=[WATCH], to=ends)
    codes = goods.codes("shop", action="OBSERVE", step="receiving", epcs=[WATCH], to=ends)
    assert codes == []
    assert goods.item(WATCH)["owner"] == SHOP


def sold(world: World) -> None:
    ship(world, "maker", SHOP, epcs=[WATCH])
    receive(world, "shop", epcs=[WATCH])
    world.do(
        "shop",
        action="OBSERVE",
        step="retail_selling",
        disposition="retail_sold",
        epcs=[WATCH],
        to=to(("possessing_party", OWNER), ("owning_party", OWNER)),
    )


def test_a_watch_is_repaired_in_two_workshops_and_sold_on(goods: World) -> None:
    sold(goods)
    for workshop in ("brand", "mill"):
        receive(goods, workshop, epcs=[WATCH])
        goods.do(workshop, action="OBSERVE", step="repairing", epcs=[WATCH])
        ship(goods, workshop, OWNER, epcs=[WATCH])
        assert (goods.item(WATCH)["status"], goods.item(WATCH)["holder"]) == ("sold", OWNER)
    second = "urn:example:person:2"
    goods.do(
        "brand",
        type="TransactionEvent",
        action="ADD",
        epcs=[WATCH],
        source=to(("owning_party", OWNER)),
        to=to(("owning_party", second)),
    )
    assert goods.item(WATCH)["owner"] == second


def test_a_customer_brings_a_watch_back_for_good(goods: World) -> None:
    sold(goods)
    receive(
        goods,
        "shop",
        epcs=[WATCH],
        disposition="returned",
        source=to(("owning_party", OWNER)),
        to=to(("owning_party", SHOP)),
    )
    found = goods.item(WATCH)
    assert (found["status"], found["holder"], found["owner"]) == ("active", SHOP, SHOP)
    goods.do("shop", action="OBSERVE", step="retail_selling", epcs=[WATCH])


def test_a_pharmacy_returns_a_pack_and_the_wholesaler_destroys_it(goods: World) -> None:
    ship(goods, "maker", SHOP, epcs=[WATCH])
    receive(goods, "shop", epcs=[WATCH])
    ship(goods, "shop", MAKER, epcs=[WATCH], disposition="expired")
    receive(goods, "maker", epcs=[WATCH])
    goods.do("maker", action="DELETE", step="destroying", epcs=[WATCH])


def test_a_pack_decommissioned_by_mistake_is_reinstated(goods: World) -> None:
    event = goods.event(action="DELETE", step="decommissioning", epcs=[WATCH])
    goods.capture("maker", event)
    error = {"time_ms": goods.now_ms, "reason": "did_not_occur", "corrective": []}
    goods.capture("maker", {**event, "projection": {**event["projection"], "error": error}})
    assert goods.item(WATCH)["status"] == "active"
    ship(goods, "maker", SHOP, epcs=[WATCH])


def test_goods_lost_on_the_way_are_taken_back_and_written_off(goods: World) -> None:
    ship(goods, "maker", SHOP, epcs=[WATCH])
    goods.do("maker", action="OBSERVE", step="void_shipping", epcs=[WATCH])
    goods.do("maker", action="OBSERVE", step="holding", disposition="stolen", epcs=[WATCH])
    assert goods.item(WATCH)["status"] == "stolen"


def test_a_logger_is_rented_out_on_a_crate(goods: World) -> None:
    logger = "https://id.gs1.org/8004/9521234LOG1"
    goods.do("carrier", action="ADD", epcs=[logger])
    ship(goods, "carrier", MAKER, epcs=[logger])
    receive(goods, "maker", epcs=[logger])
    aggregate(goods, "maker", "ADD", PALLET, children=[WATCH])
    for action in ("ADD", "DELETE"):
        goods.do("maker", type="AssociationEvent", action=action, parent=PALLET, children=[logger])
    ship(goods, "maker", CARRIER, epcs=[logger])
    receive(goods, "carrier", epcs=[logger])


def test_a_recall_is_carried_out_and_stock_comes_back_packed(goods: World) -> None:
    aggregate(goods, "maker", "ADD", CASE, children=[WATCH, OTHER])
    ship(goods, "maker", SHOP, epcs=[CASE])
    goods.do("maker", action="OBSERVE", disposition="recalled", epcs=[WATCH, OTHER])
    receive(goods, "shop", epcs=[CASE])
    aggregate(goods, "shop", "DELETE", CASE)
    aggregate(goods, "shop", "ADD", NEW_PALLET, children=[WATCH, OTHER])
    ship(goods, "shop", MAKER, epcs=[NEW_PALLET], disposition="recalled")
    receive(goods, "maker", epcs=[NEW_PALLET])
    aggregate(goods, "maker", "DELETE", NEW_PALLET)
    goods.do("maker", action="DELETE", step="destroying", epcs=[WATCH, OTHER])


def test_a_gift_box_is_made_of_pieces_and_unweighed_packaging(goods: World) -> None:
    box = gtin(9)
    goods.product("mill", gtin=box, unit="EA")
    ship(goods, "maker", MILL, epcs=[WATCH])
    receive(goods, "mill", epcs=[WATCH])
    goods.do("mill", action="ADD", quantities=[qty(lot("P", gtin(10)), "1", "EA")])
    goods.do(
        "mill",
        type="TransformationEvent",
        inputs=[WATCH],
        input_quantities=[qty(lot("P", gtin(10)), "1", "EA")],
        outputs=[sgtin("BOX1", box)],
    )
