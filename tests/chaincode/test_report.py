"""Under report everything readable is taken, the state follows it, and the finding says so.

Would catch: historic data refused, goods that split in two when history arrives out of order, a
finding that is lost, a balance that no longer adds up.
"""

from __future__ import annotations

from typing import Any

import pytest
from world import World, co2, gtin, lot, party_id, qty, receiver, sgtin, sscc, to

MAKER, MILL, STORE, SHOP = party_id(1), party_id(2), party_id(4), party_id(5)
WATCH, CASE, PALLET = sgtin("W1"), sscc(1), sscc(2)
L = lot("L1")


@pytest.fixture
def old(world: World) -> World:
    """A product under report."""
    world.product("maker", "report", makers=[party_id(2)])
    return world


def test_goods_seen_first_and_commissioned_later_are_one(old: World) -> None:
    seen = {"action": "OBSERVE", "step": "inspecting", "epcs": [WATCH]}
    assert old.codes("labo", **seen) == ["UNKNOWN_IDENTIFIER"]
    assert "holder" not in old.item(WATCH)
    made = {"action": "ADD", "epcs": [WATCH], "disposition": "active", "expiry": "2030-01-01"}
    assert old.codes("maker", **made, location="urn:x:factory") == []
    found = old.item(WATCH)
    assert (found["holder"], found["maker"]) == (MAKER, MAKER)
    assert (found["expiry"], found["location"]) == ("2030-01-01", "urn:x:factory")
    assert "adopted" not in found
    assert old.codes("mill", **made) == ["ALREADY_COMMISSIONED"]


def test_a_lot_seen_first_and_commissioned_later_is_one(old: World) -> None:
    fields = {"quantities": [qty(L, "5")]}
    old.do("maker", action="OBSERVE", step="shipping", to=receiver(SHOP), **fields)
    assert old.codes("maker", action="ADD", expiry="2030-01-01", **fields) == []
    found = old.item(L)["lot"]
    assert found["maker"] == MAKER
    assert found["expiry"] == "2030-01-01"
    assert "adopted" not in found


def test_a_second_commissioning_adds_with_a_finding(old: World) -> None:
    old.do("maker", action="ADD", quantities=[qty(L, "5")])
    assert old.codes("maker", action="ADD", quantities=[qty(L, "7")]) == ["ALREADY_COMMISSIONED"]
    assert old.on_hand(L, MAKER) == "12"


def test_a_child_shipped_alone_from_a_moving_pallet(old: World) -> None:
    old.do("maker", action="ADD", epcs=[WATCH])
    pack = {"type": "AggregationEvent", "action": "ADD"}
    old.do("maker", **pack, parent=CASE, children=[WATCH])
    old.do("maker", **pack, parent=PALLET, children=[CASE])
    old.do("maker", action="OBSERVE", step="shipping", epcs=[PALLET], to=receiver(SHOP))
    codes = old.codes("shop", action="OBSERVE", step="receiving", epcs=[WATCH])
    assert codes == ["CHILD_OF_AGGREGATION"]
    found = old.item(WATCH)
    assert (found["holder"], found["status"], found["inside"]) == (SHOP, "active", [])


def test_a_child_listed_with_the_outermost_container_stays_packed(old: World) -> None:
    old.do("maker", action="ADD", epcs=[WATCH])
    pack = {"type": "AggregationEvent", "action": "ADD"}
    old.do("maker", **pack, parent=CASE, children=[WATCH])
    old.do("maker", **pack, parent=PALLET, children=[CASE])
    fields = {"action": "OBSERVE", "step": "shipping", "to": receiver(SHOP)}
    assert old.codes("maker", epcs=[WATCH, CASE, PALLET], **fields) == []
    assert old.item(WATCH)["inside"] == [CASE, PALLET]


def test_a_nameless_shipment_of_a_thing_is_received_by_anyone(old: World) -> None:
    old.do("maker", action="ADD", epcs=[WATCH])
    fields = {"action": "OBSERVE", "epcs": [WATCH]}
    assert old.codes("maker", step="shipping", **fields) == ["RECEIVER_NOT_NAMED"]
    assert old.codes("shop", step="receiving", **fields) == []


def test_moving_a_child_into_another_container(old: World) -> None:
    old.do("maker", action="ADD", epcs=[WATCH])
    pack = {"type": "AggregationEvent", "action": "ADD", "children": [WATCH]}
    old.do("maker", **pack, parent=CASE)
    assert old.codes("maker", **pack, parent=PALLET) == ["CHILD_OF_AGGREGATION"]
    assert old.item(WATCH)["inside"] == [PALLET]
    assert old.item(CASE)["contents"] == {}


def test_impossible_aggregations_are_noted(old: World) -> None:
    pack = {"type": "AggregationEvent", "action": "ADD"}
    assert old.codes("maker", **pack, parent=CASE, children=[CASE]) == ["BAD_AGGREGATION"]
    assert old.codes("maker", **pack, parent=L, children=[WATCH]) == ["BAD_AGGREGATION"]
    assert old.codes("maker", **pack, children=[WATCH])[0] == "BAD_AGGREGATION"


def test_unpacking_what_nobody_packed(old: World) -> None:
    event = {"type": "AggregationEvent", "action": "DELETE", "parent": CASE, "children": [WATCH]}
    assert old.codes("maker", **event) == ["UNKNOWN_IDENTIFIER"] * 2
    assert old.item(WATCH)["holder"] == MAKER


def test_children_seen_without_a_container(old: World) -> None:
    old.do("maker", action="ADD", epcs=[WATCH], quantities=[qty(L, "5")])
    event = {"type": "AggregationEvent", "action": "OBSERVE", "step": "storing"}
    fields = {"children": [WATCH], "child_quantities": [qty(L, "5")]}
    assert old.codes("maker", **event, **fields) == []


def test_classes_among_things_count_as_unknown_quantities(old: World) -> None:
    old.do("maker", action="ADD", quantities=[qty(L, "5")])
    fields = {"action": "OBSERVE", "step": "shipping", "to": receiver(SHOP)}
    assert old.codes("maker", epcs=[L], **fields) == ["QUANTITY_REQUIRED"]
    assert old.on_hand(L, MAKER) == "0"
    assert old.codes("shop", action="OBSERVE", step="receiving", epcs=[L]) == []
    assert old.on_hand(L, SHOP) == "5"
    event = {"type": "AssociationEvent", "action": "ADD", "parent": CASE, "children": [L]}
    assert old.codes("shop", **event) == ["UNKNOWN_IDENTIFIER"]  # of the container


def test_a_gtin_counted_in_two_ways_is_written_off(old: World) -> None:
    bare = f"https://id.gs1.org/01/{gtin(6)}"
    old.do("shop", action="OBSERVE", step="storing", quantities=[qty(bare, "1", "EA")])
    old.do("maker", action="ADD", quantities=[qty(bare, "5", "KGM")])
    fields = {"action": "OBSERVE", "step": "shipping", "to": receiver(SHOP)}
    codes = old.codes("maker", quantities=[qty(bare, "2", "KGM")], **fields)
    assert codes == ["UNIT_MISMATCH"]
    old.product("maker", "report", gtin=gtin(6), mass_g="500")
    assert old.codes("maker", quantities=[qty(bare, "2", "KGM")], **fields) == []
    assert (
        old.codes("shop", action="OBSERVE", step="receiving", quantities=[qty(bare, "4", "EA")])
        == []
    )
    assert old.on_hand(bare, SHOP) == "4"
    assert old.on_hand(bare, MAKER) == "1"


def test_foreign_transformations(old: World) -> None:
    event: dict[str, Any] = {
        "type": "TransformationEvent",
        "inputs": [sgtin("X", gtin(7)), lot("A", gtin(7))],
        "outputs": [sgtin("Y", gtin(8)), lot("B", gtin(8))],
    }
    codes = old.codes("maker", **event)
    assert "UNKNOWN_IDENTIFIER" in codes
    assert "QUANTITY_REQUIRED" in codes
    assert old.item(sgtin("X", gtin(7)))["status"] == "consumed"
    assert old.item(sgtin("Y", gtin(8)))["holder"] == MAKER


def test_a_transformation_of_volumes(old: World) -> None:
    old.do("maker", action="ADD", quantities=[qty(L, "10", "LTR")])
    event = {"type": "TransformationEvent", "input_quantities": [qty(L, "10", "LTR")]}
    assert old.codes("maker", **event, output_quantities=[qty(lot("M"), "11", "LTR")]) == [
        "YIELD_EXCEEDED"
    ]


def test_another_partys_transformation_is_not_joined(old: World) -> None:
    common = {"type": "TransformationEvent", "transformation_id": "urn:x:1"}
    old.do("maker", action="ADD", quantities=[qty(L, "10")])
    old.do("maker", **common, input_quantities=[qty(L, "10")])
    codes = old.codes("mill", **common, output_quantities=[qty(lot("M"), "1")])
    assert codes == ["TRANSFORMATION_OWNED", "NO_INPUT"]


def test_a_packed_or_stranger_input(old: World) -> None:
    old.do("maker", action="ADD", epcs=[WATCH])
    old.do("maker", [co2(50)], type="AggregationEvent", action="ADD", parent=CASE, children=[WATCH])
    event = {"type": "TransformationEvent", "inputs": [WATCH], "outputs": [sgtin("W2")]}
    assert old.codes("mill", **event)[:2] == ["CHILD_OF_AGGREGATION", "NOT_HOLDER"]


def test_carbon_of_a_consumed_piece_goes_to_what_it_became(old: World) -> None:
    old.do("maker", [co2(50)], action="ADD", epcs=[WATCH])
    old.do("maker", type="TransformationEvent", inputs=[WATCH], outputs=[sgtin("W2")])
    assert old.footprint(sgtin("W2"))["co2e_mg"] == 50
    assert old.footprint(WATCH)["handed_on"] == {"transport": 50}


def test_carbon_of_goods_elsewhere_is_put_where_they_lie(old: World) -> None:
    old.do("maker", action="ADD", quantities=[qty(L, "10")])
    seen = {"action": "OBSERVE", "step": "storing", "quantities": [qty(L, "10")]}
    assert old.codes("store", carbon=[co2(40)], **seen) == []
    assert old.footprint(L)["holders"] == [{"holder": MAKER, "co2e_mg": 40}]
    assert old.codes("labo", carbon=[co2(2)], **seen, source=receiver(MAKER)) == []
    assert old.codes(
        "store", carbon=[co2(2)], action="OBSERVE", quantities=[qty(lot("N"), "1")]
    ) == [
        "UNKNOWN_IDENTIFIER",
        "CARBON_UNPLACED",
    ]


def test_a_holder_recalls_its_part_of_a_lot(old: World) -> None:
    old.do("maker", action="ADD", quantities=[qty(L, "10")])
    fields = {"action": "OBSERVE", "quantities": [qty(L, "4")]}
    old.do("maker", step="shipping", to=receiver(SHOP), **fields)
    old.do("shop", step="receiving", **fields)
    recall = {"action": "OBSERVE", "disposition": "recalled", "quantities": [{"id": L}]}
    assert old.codes("store", **recall) == ["NOT_HOLDER"]
    assert old.codes("shop", **recall) == []
    codes = old.codes("shop", step="shipping", to=receiver(STORE), **fields)
    assert codes == ["NOT_ACTIVE"]
    assert old.codes("maker", step="storing", **fields) == []
    rows = {row["holder"]: row.get("status") for row in old.balances(L)["balances"]}
    assert rows[SHOP] == "recalled"
    assert rows[MAKER] is None


def test_handling_more_than_one_holds(old: World) -> None:
    old.do("maker", action="ADD", quantities=[qty(L, "10")])
    codes = old.codes("maker", action="OBSERVE", step="storing", quantities=[qty(L, "11")])
    assert codes == ["NOT_ENOUGH"]


def test_a_resale_told_as_an_object_event(old: World) -> None:
    old.do("maker", action="ADD", epcs=[WATCH])
    sale = {"action": "OBSERVE", "step": "retail_selling", "epcs": [WATCH]}
    old.do("maker", **sale, to=to(("owning_party", "urn:x:owner:1")))
    assert (
        old.codes(
            "shop",
            **sale,
            source=to(("owning_party", "urn:x:owner:1")),
            to=to(("owning_party", "urn:x:owner:2")),
        )
        == []
    )
    assert old.item(WATCH)["owner"] == "urn:x:owner:2"
    assert old.codes("shop", action="OBSERVE", step="repairing", epcs=[WATCH]) == []


def test_a_sale_to_nobody_in_particular(old: World) -> None:
    old.do("maker", action="ADD", epcs=[WATCH])
    old.do("maker", action="OBSERVE", step="retail_selling", epcs=[WATCH])
    assert "holder" not in old.item(WATCH)
    assert old.codes("store", action="OBSERVE", step="receiving", epcs=[WATCH]) == [
        "NOT_IN_TRANSIT"
    ]


def test_stolen_goods_come_back_through_an_authority(old: World) -> None:
    old.do("maker", action="ADD", epcs=[WATCH])
    old.do("maker", action="OBSERVE", step="holding", disposition="stolen", epcs=[WATCH])
    receipt = {"action": "OBSERVE", "step": "receiving", "epcs": [WATCH]}
    assert old.codes("shop", **receipt) == ["NOT_IN_TRANSIT"]
    old.do("shop", action="OBSERVE", step="holding", disposition="stolen", epcs=[WATCH])
    assert old.codes("customs", **receipt) == []
    assert old.item(WATCH)["status"] == "active"


def test_partly_dispensed_medicine_stays_open(old: World) -> None:
    old.do("maker", action="ADD", epcs=[WATCH])
    part = {"step": "dispensing", "disposition": "partially_dispensed", "epcs": [WATCH]}
    old.do("maker", action="OBSERVE", **part)
    assert old.item(WATCH)["status"] == "active"
    old.do("maker", action="OBSERVE", step="dispensing", disposition="dispensed", epcs=[WATCH])
    assert old.item(WATCH)["status"] == "dispensed"


def test_business_transactions_over_pallets_and_lots(old: World) -> None:
    old.do("maker", action="ADD", epcs=[CASE], quantities=[qty(L, "5")])
    deal = {
        "type": "TransactionEvent",
        "action": "ADD",
        "parent": CASE,
        "quantities": [qty(L, "5")],
        "transactions": [{"id": "urn:x:po:1"}],
    }
    assert old.codes("maker", **deal) == []
    foreign = {**deal, "parent": sscc(9), "quantities": []}
    assert old.codes("maker", **foreign) == ["UNKNOWN_IDENTIFIER"]
    sold = {**foreign, "parent": sscc(8), "to": to(("owning_party", SHOP))}
    assert old.codes("maker", **sold) == ["UNKNOWN_IDENTIFIER"]
    assert old.item(sscc(8))["owner"] == SHOP


def test_a_single_thing_declared_lost(old: World) -> None:
    old.do("maker", action="ADD", epcs=[WATCH])
    old.do("maker", action="OBSERVE", losses=[{"id": WATCH, "reason": "broken"}])
    assert old.item(WATCH)["status"] == "destroyed"


def test_unreadable_parties_are_kept_as_written(old: World) -> None:
    old.do("maker", action="ADD", epcs=[WATCH])
    wrong = "https://id.gs1.org/417/0614141123453"
    old.do("maker", action="OBSERVE", step="shipping", epcs=[WATCH], to=receiver(wrong))
    assert old.item(WATCH)["receiver"] == wrong


def test_other_keys_of_gs1_live_on_the_ledger(old: World) -> None:
    piece = "https://id.gs1.org/8006/040123451234560102"
    assert old.codes("maker", action="ADD", epcs=[piece + "/21/7"]) == []
    assert old.codes("maker", action="ADD", quantities=[qty(piece + "/10/A", "3", "EA")]) == []
    assert old.codes("maker", action="ADD", quantities=[qty(piece, "3", "EA")]) == []
    assert old.codes("maker", action="ADD", epcs=["https://id.gs1.org/8004/95212345X"]) == []


def test_what_cannot_be_counted_moves_nothing(old: World) -> None:
    old.do("maker", action="ADD", quantities=[qty(L, "10")])
    for unit, code in (("CS", "UNIT_MISMATCH"), ("FURLONG", "UNKNOWN_UNIT")):
        fields = {"action": "OBSERVE", "quantities": [qty(L, "2", unit)]}
        assert old.codes("maker", step="shipping", to=receiver(SHOP), **fields) == [code]
        assert old.codes("maker", step="destroying", **fields) == [code]
        assert old.codes("maker", action="OBSERVE", losses=fields["quantities"]) == [code]
        pack = {"type": "AggregationEvent", "action": "ADD", "parent": CASE}
        assert old.codes("maker", **pack, child_quantities=fields["quantities"]) == [code]
    old.do("maker", **pack, child_quantities=[qty(L, "4")])
    pack["action"] = "DELETE"
    codes = old.codes("maker", **pack, child_quantities=[qty(L, "1", "CS")])
    assert codes == ["UNIT_MISMATCH"]
    assert old.on_hand(L, CASE) == "4"
    assert old.balances(L)["totals"] == {"on_hand": "10", "produced": "10"}
