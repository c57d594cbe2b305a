"""Who may do what to a thing: commissioning, shipping, receiving, packing, ending.

Each test names the fraud or mistake it would let through.
"""

from __future__ import annotations

import pytest
from world import GTIN, World, co2, gln, gtin, lot, party_id, qty, receiver, sgtin, sscc, to

MAKER, MILL, STORE, SHOP = party_id(1), party_id(2), party_id(4), party_id(5)
WATCH = sgtin("W1")
PALLET, CASE = sscc(1), sscc(2)


@pytest.fixture
def goods(world: World) -> World:
    """An enforced product and one piece of it at its maker."""
    world.product("maker", mass_g="500")
    world.do("maker", action="ADD", step="commissioning", epcs=[WATCH])
    return world


def ship(world: World, user: str, target: str, *epcs: str) -> None:
    world.do(user, action="OBSERVE", step="shipping", epcs=list(epcs), to=receiver(target))


def receive(world: World, user: str, *epcs: str) -> None:
    world.do(user, action="OBSERVE", step="receiving", epcs=list(epcs))


def pack(world: World, user: str, parent: str, *children: str) -> None:
    world.do(
        user,
        type="AggregationEvent",
        action="ADD",
        step="packing",
        parent=parent,
        children=list(children),
    )


# commissioning


def test_an_identifier_is_commissioned_once(goods: World) -> None:
    refusal = goods.no("maker", action="ADD", epcs=[WATCH])
    assert refusal.code == "ALREADY_COMMISSIONED"
    assert WATCH in refusal.message
    assert refusal.where == "/projection/epcs/0"


def test_the_same_event_twice_changes_nothing(goods: World) -> None:
    event = goods.event(action="ADD", epcs=[sgtin("W2")])
    first = goods.capture("maker", event)
    again = goods.capture("maker", event)
    assert "duplicate" not in first["anchored"][0]
    assert again["anchored"][0]["duplicate"] is True
    assert again["anchored"][0]["commitment"] == event["commitment"]
    assert goods.last_writes == {}


@pytest.mark.parametrize("user", ["carrier", "store", "shop", "labo", "customs", "auditor"])
def test_only_makers_commission_trade_items(goods: World, user: str) -> None:
    assert goods.no(user, action="ADD", epcs=[sgtin("F1")]).code == "ROLE_NOT_ALLOWED"


def test_unknown_goods_are_refused_under_enforce(goods: World) -> None:
    refusal = goods.no("maker", action="OBSERVE", step="storing", epcs=[sgtin("NEVER")])
    assert refusal.code == "UNKNOWN_IDENTIFIER"


def test_unknown_goods_are_taken_as_found_under_report(world: World) -> None:
    codes = world.codes("maker", action="OBSERVE", step="storing", epcs=[sgtin("X", gtin(7))])
    assert codes == ["UNKNOWN_IDENTIFIER"]
    assert world.item(sgtin("X", gtin(7)))["adopted"] is True


# shipping and receiving


def test_goods_pass_from_holder_to_named_receiver(goods: World) -> None:
    ship(goods, "maker", SHOP, WATCH)
    assert goods.item(WATCH)["status"] == "in_transit"
    assert goods.item(WATCH)["holder"] == MAKER
    receive(goods, "shop", WATCH)
    assert goods.item(WATCH)["status"] == "active"
    assert goods.item(WATCH)["holder"] == SHOP
    assert "receiver" not in goods.item(WATCH)


def test_only_the_holder_ships(goods: World) -> None:
    refusal = goods.no("mill", action="OBSERVE", step="shipping", epcs=[WATCH], to=receiver(SHOP))
    assert refusal.code == "NOT_HOLDER"
    assert MAKER in refusal.message


def test_only_the_named_receiver_receives(goods: World) -> None:
    ship(goods, "maker", SHOP, WATCH)
    refusal = goods.no("store", action="OBSERVE", step="receiving", epcs=[WATCH])
    assert refusal.code == "NOT_NAMED_RECEIVER"
    assert SHOP in refusal.message


def test_goods_that_were_not_shipped_are_not_received(goods: World) -> None:
    refusal = goods.no("shop", action="OBSERVE", step="receiving", epcs=[WATCH])
    assert refusal.code == "NOT_IN_TRANSIT"


def test_a_shipment_names_its_receiver(goods: World) -> None:
    refusal = goods.no("maker", action="OBSERVE", step="shipping", epcs=[WATCH])
    assert refusal.code == "RECEIVER_NOT_NAMED"
    assert refusal.where == "/projection/to"


def test_goods_under_way_are_not_shipped_again(goods: World) -> None:
    ship(goods, "maker", SHOP, WATCH)
    refusal = goods.no("maker", action="OBSERVE", step="shipping", epcs=[WATCH], to=receiver(STORE))
    assert refusal.code == "IN_TRANSIT"


def test_the_shipper_may_take_a_shipment_back(goods: World) -> None:
    ship(goods, "maker", SHOP, WATCH)
    goods.do("maker", action="OBSERVE", step="void_shipping", epcs=[WATCH])
    assert goods.item(WATCH)["status"] == "active"
    ship(goods, "maker", STORE, WATCH)
    receive(goods, "store", WATCH)
    refusal = goods.no("store", action="OBSERVE", step="void_shipping", epcs=[WATCH])
    assert refusal.code == "NOT_IN_TRANSIT"


def test_a_registered_location_names_its_party(goods: World) -> None:
    dock = f"https://id.gs1.org/414/{gln(77)}"
    goods.call("regulator", "participant:addLocation", {"id": SHOP, "location": gln(77)})
    goods.do("maker", action="OBSERVE", step="shipping", epcs=[WATCH], to=to(("location", dock)))
    assert goods.item(WATCH)["receiver"] == SHOP


def test_a_locations_gln_names_its_party_where_nobody_registered_it(goods: World) -> None:
    dock = SHOP.replace("/417/", "/414/") + "/254/DOCK-3"
    goods.do("maker", action="OBSERVE", step="shipping", epcs=[WATCH], to=to(("location", dock)))
    receive(goods, "shop", WATCH)


def test_the_holder_in_report_mode_is_only_noted(world: World) -> None:
    world.product("maker", mode="report")
    world.do("maker", action="ADD", epcs=[WATCH])
    codes = world.codes("mill", action="OBSERVE", step="shipping", epcs=[WATCH], to=receiver(SHOP))
    assert codes == ["NOT_HOLDER"]
    assert world.item(WATCH)["receiver"] == SHOP


# observing


def test_carriers_certifiers_and_customs_observe_what_they_do_not_hold(goods: World) -> None:
    ship(goods, "maker", SHOP, WATCH)
    goods.do("carrier", action="OBSERVE", step="transporting", epcs=[WATCH])
    goods.do("customs", action="OBSERVE", step="inspecting", epcs=[WATCH])
    goods.do("labo", action="OBSERVE", step="inspecting", disposition="conformant", epcs=[WATCH])
    found = goods.item(WATCH)
    assert found["receiver"] == SHOP
    assert found["disposition"] == "conformant"


def test_strangers_do_not_report_on_goods(goods: World) -> None:
    refusal = goods.no("shop", action="OBSERVE", step="inspecting", epcs=[WATCH])
    assert refusal.code == "NOT_HOLDER"


def test_the_receiver_may_report_arrival_before_receiving(goods: World) -> None:
    ship(goods, "maker", SHOP, WATCH)
    goods.do("shop", action="OBSERVE", step="arriving", epcs=[WATCH])
    receive(goods, "shop", WATCH)


def test_events_about_no_goods_are_anchored(goods: World) -> None:
    result = goods.do(
        "store", action="OBSERVE", step="sensor_reporting", read_point="https://example.com/fridge"
    )
    assert result["findings"] == []
    assert goods.do("store", type="ExtendedEvent", extra_type="ex:Custom")["findings"] == []


# aggregation


def test_a_pallet_carries_its_cases_and_pieces(goods: World) -> None:
    pack(goods, "maker", CASE, WATCH)
    pack(goods, "maker", PALLET, CASE)
    ship(goods, "maker", SHOP, PALLET)
    assert len([k for k in goods.last_writes if "item" in k]) == 1
    assert goods.item(WATCH)["receiver"] == SHOP
    receive(goods, "shop", PALLET)
    assert goods.item(WATCH)["holder"] == SHOP
    assert goods.item(WATCH)["inside"] == [CASE, PALLET]


def test_a_packed_child_does_not_move_alone(goods: World) -> None:
    pack(goods, "maker", CASE, WATCH)
    for step, fields in (
        ("shipping", {"to": receiver(SHOP)}),
        ("receiving", {}),
        ("loading", {}),
        ("retail_selling", {}),
        ("destroying", {}),
    ):
        refusal = goods.no("maker", action="OBSERVE", step=step, epcs=[WATCH], **fields)
        assert refusal.code == "CHILD_OF_AGGREGATION", step
        assert CASE in refusal.message


def test_a_child_listed_with_its_container_moves_with_it(goods: World) -> None:
    pack(goods, "maker", CASE, WATCH)
    ship(goods, "maker", SHOP, CASE, WATCH)
    receive(goods, "shop", CASE, WATCH)
    assert goods.item(WATCH)["parent"] == CASE
    assert goods.item(WATCH)["holder"] == SHOP


def test_unpacked_goods_move_alone_again(goods: World) -> None:
    pack(goods, "maker", CASE, WATCH)
    ship(goods, "maker", SHOP, CASE)
    receive(goods, "shop", CASE)
    goods.do("shop", type="AggregationEvent", action="DELETE", step="unpacking", parent=CASE)
    found = goods.item(WATCH)
    assert found["holder"] == SHOP
    assert "parent" not in found
    ship(goods, "shop", STORE, WATCH)


def test_receiving_and_unpacking_in_one_event(goods: World) -> None:
    pack(goods, "maker", CASE, WATCH)
    ship(goods, "maker", SHOP, CASE)
    goods.do(
        "shop",
        type="AggregationEvent",
        action="DELETE",
        step="receiving",
        parent=CASE,
        children=[WATCH],
    )
    assert goods.item(WATCH)["holder"] == SHOP


@pytest.mark.parametrize("user", ["mill", "shop", "store"])
def test_only_the_holder_packs_and_unpacks(goods: World, user: str) -> None:
    refusal = goods.no(user, type="AggregationEvent", action="ADD", parent=CASE, children=[WATCH])
    assert refusal.code == "NOT_HOLDER"
    pack(goods, "maker", CASE, WATCH)
    refusal = goods.no(user, type="AggregationEvent", action="DELETE", parent=CASE)
    assert refusal.code == "NOT_HOLDER"


def test_a_child_has_one_container(goods: World) -> None:
    pack(goods, "maker", CASE, WATCH)
    refusal = goods.no(
        "maker", type="AggregationEvent", action="ADD", parent=PALLET, children=[WATCH]
    )
    assert refusal.code == "CHILD_OF_AGGREGATION"


def test_only_children_are_unpacked(goods: World) -> None:
    other = sgtin("W9")
    goods.do("maker", action="ADD", epcs=[other])
    pack(goods, "maker", CASE, WATCH)
    refusal = goods.no(
        "maker", type="AggregationEvent", action="DELETE", parent=CASE, children=[other]
    )
    assert refusal.code == "NOT_A_CHILD"


def test_a_container_never_contains_itself(goods: World) -> None:
    pack(goods, "maker", CASE, WATCH)
    pack(goods, "maker", PALLET, CASE)
    for parent, child in ((CASE, PALLET), (CASE, CASE)):
        refusal = goods.no(
            "maker", type="AggregationEvent", action="ADD", parent=parent, children=[child]
        )
        assert refusal.code == "BAD_AGGREGATION"


def test_a_class_is_no_container(goods: World) -> None:
    refusal = goods.no(
        "maker", type="AggregationEvent", action="ADD", parent=lot("L"), children=[WATCH]
    )
    assert refusal.code == "BAD_AGGREGATION"


def test_a_seen_child_that_was_never_packed_is_reported(goods: World) -> None:
    other = sgtin("W9")
    goods.do("maker", action="ADD", epcs=[other])
    pack(goods, "maker", CASE, WATCH)
    refusal = goods.no(
        "maker", type="AggregationEvent", action="OBSERVE", parent=CASE, children=[WATCH, other]
    )
    assert refusal.code == "NOT_A_CHILD"
    assert refusal.where == "/projection/children/1"


def test_an_association_ties_without_moving(goods: World) -> None:
    logger = "https://id.gs1.org/8004/95212345LOGGER1"
    goods.do("maker", type="AssociationEvent", action="ADD", parent=PALLET, children=[logger])
    assert goods.item(logger)["associated"] == [PALLET]
    goods.do("maker", type="AssociationEvent", action="DELETE", parent=PALLET, children=[logger])
    assert goods.item(logger)["associated"] == []


def test_under_report_a_child_that_moves_alone_leaves_its_container(world: World) -> None:
    world.product("maker", mode="report")
    world.do("maker", action="ADD", epcs=[WATCH])
    pack(world, "maker", CASE, WATCH)
    codes = world.codes("maker", action="OBSERVE", step="shipping", epcs=[WATCH], to=receiver(SHOP))
    assert codes == ["CHILD_OF_AGGREGATION"]
    assert "parent" not in world.item(WATCH)
    assert world.item(CASE).get("contents", {}) == {}


# the end of goods


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ({"action": "OBSERVE", "step": "destroying", "disposition": "destroyed"}, "destroyed"),
        ({"action": "DELETE", "step": "dispensing", "disposition": "dispensed"}, "dispensed"),
        ({"action": "DELETE", "step": "decommissioning", "disposition": "inactive"}, "retired"),
        ({"action": "OBSERVE", "step": "holding", "disposition": "stolen"}, "stolen"),
    ],
)
def test_ended_goods_are_not_shipped(goods: World, end: dict[str, str], status: str) -> None:
    goods.do("maker", epcs=[WATCH], **end)
    assert goods.item(WATCH)["status"] == status
    refusal = goods.no("maker", action="OBSERVE", step="shipping", epcs=[WATCH], to=receiver(SHOP))
    assert refusal.code == "NOT_ACTIVE"
    assert status in refusal.message


def test_destroyed_goods_accept_nothing(goods: World) -> None:
    goods.do("maker", action="DELETE", step="destroying", epcs=[WATCH])
    for fields in (
        {"action": "OBSERVE", "step": "storing"},
        {"action": "OBSERVE", "step": "inspecting"},
        {"action": "DELETE", "step": "destroying"},
        {"action": "OBSERVE", "disposition": "recalled"},
    ):
        assert goods.no("maker", epcs=[WATCH], **fields).code == "NOT_ACTIVE"
    assert goods.no("maker", action="ADD", epcs=[WATCH]).code == "ALREADY_COMMISSIONED"


def test_recalled_goods_go_back_or_go_away(goods: World) -> None:
    ship(goods, "maker", SHOP, WATCH)
    receive(goods, "shop", WATCH)
    goods.do("maker", action="OBSERVE", step="holding", disposition="recalled", epcs=[WATCH])
    refused = goods.no("shop", action="OBSERVE", step="shipping", epcs=[WATCH], to=receiver(STORE))
    assert refused.code == "NOT_ACTIVE"
    assert goods.no("shop", action="DELETE", step="dispensing", epcs=[WATCH]).code == "NOT_ACTIVE"
    goods.do("shop", action="OBSERVE", step="storing", epcs=[WATCH])
    goods.do(
        "shop",
        action="OBSERVE",
        step="shipping",
        disposition="returned",
        epcs=[WATCH],
        to=receiver(MAKER),
    )
    receive(goods, "maker", WATCH)
    assert goods.item(WATCH)["status"] == "recalled"
    goods.do("maker", action="DELETE", step="destroying", epcs=[WATCH])
    assert goods.item(WATCH)["status"] == "destroyed"


def test_strangers_do_not_recall(goods: World) -> None:
    refusal = goods.no("mill", action="OBSERVE", disposition="recalled", epcs=[WATCH])
    assert refusal.code == "NOT_HOLDER"
    goods.do("regulator", action="OBSERVE", disposition="recalled", epcs=[WATCH])


def test_recalled_lots_are_neither_shipped_nor_used(goods: World) -> None:
    goods.do("maker", action="ADD", quantities=[qty(lot("L"), "100")])
    goods.do("maker", action="OBSERVE", disposition="recalled", quantities=[{"id": lot("L")}])
    refusal = goods.no(
        "maker",
        action="OBSERVE",
        step="shipping",
        quantities=[qty(lot("L"), "1")],
        to=receiver(SHOP),
    )
    assert refusal.code == "NOT_ACTIVE"
    refusal = goods.no(
        "maker",
        type="TransformationEvent",
        input_quantities=[qty(lot("L"), "1")],
        output_quantities=[qty(lot("M"), "1")],
    )
    assert refusal.code == "NOT_ACTIVE"
    goods.do("maker", action="DELETE", step="destroying", quantities=[qty(lot("L"), "100")])


def test_the_contents_of_a_destroyed_container_do_not_move(goods: World) -> None:
    pack(goods, "maker", CASE, WATCH)
    goods.do("maker", action="DELETE", step="destroying", epcs=[CASE])
    refusal = goods.no("maker", action="OBSERVE", step="storing", epcs=[WATCH])
    assert refusal.code == "NOT_ACTIVE"


# owners


def test_a_sold_watch_reaches_its_second_owner(goods: World) -> None:
    first, second = "urn:example:owner:1", "urn:example:owner:2"
    ship(goods, "maker", SHOP, WATCH)
    receive(goods, "shop", WATCH)
    goods.do(
        "shop",
        action="OBSERVE",
        step="retail_selling",
        disposition="retail_sold",
        epcs=[WATCH],
        to=to(("owning_party", first)),
    )
    assert goods.item(WATCH)["owner"] == first
    deal = {
        "type": "TransactionEvent",
        "action": "ADD",
        "epcs": [WATCH],
        "transactions": [{"type": "inv", "id": "urn:example:invoice:7"}],
        "to": to(("owning_party", second)),
    }
    refusal = goods.no("shop", **deal, source=to(("owning_party", second)))
    assert refusal.code == "NOT_OWNER"
    goods.do("brand", **deal, source=to(("owning_party", first)))
    assert goods.item(WATCH)["owner"] == second
    assert goods.item(WATCH)["status"] == "sold"
    receive(goods, "shop", WATCH)
    assert goods.item(WATCH)["holder"] == SHOP


def test_ownership_passes_on_receipt(goods: World) -> None:
    goods.do(
        "maker",
        action="OBSERVE",
        step="shipping",
        epcs=[WATCH],
        to=to(("possessing_party", STORE), ("owning_party", SHOP)),
    )
    receive(goods, "store", WATCH)
    assert goods.item(WATCH)["owner"] == SHOP
    deal = {"type": "TransactionEvent", "action": "ADD", "epcs": [WATCH]}
    refused = goods.no("store", **deal, to=to(("owning_party", MILL)))
    assert refused.code == "NOT_OWNER"
    goods.do("shop", **deal, to=to(("owning_party", MILL)))
    assert goods.item(WATCH)["owner"] == MILL


def test_a_business_transaction_is_noted_by_its_parties_only(goods: World) -> None:
    order = {
        "type": "TransactionEvent",
        "action": "ADD",
        "epcs": [WATCH],
        "transactions": [{"type": "po", "id": "urn:example:po:1"}],
    }
    assert goods.no("shop", **order).code == "NOT_HOLDER"
    goods.do("maker", **order)


# time and ids


def test_an_event_from_the_future_is_refused(goods: World) -> None:
    refusal = goods.no(
        "maker", action="OBSERVE", step="storing", epcs=[WATCH], time_ms=goods.now_ms + 10**7
    )
    assert refusal.code == "EVENT_IN_FUTURE"


def test_late_events_are_accepted_with_a_finding(goods: World) -> None:
    codes = goods.codes(
        "maker", action="OBSERVE", step="storing", epcs=[WATCH], time_ms=goods.now_ms - 10**7
    )
    assert codes == ["OUT_OF_ORDER"]


def test_an_event_id_names_one_event(goods: World) -> None:
    goods.do("maker", action="OBSERVE", step="storing", epcs=[WATCH], event_id="urn:uuid:1")
    refusal = goods.no(
        "maker", action="OBSERVE", step="holding", epcs=[WATCH], event_id="urn:uuid:1"
    )
    assert refusal.code == "EVENT_ID_REUSED"


def test_one_capture_sees_its_own_earlier_events(goods: World) -> None:
    piece = sgtin("W3")
    result = goods.capture(
        "maker",
        goods.event(action="ADD", epcs=[piece]),
        goods.event(action="OBSERVE", step="shipping", epcs=[piece], to=receiver(SHOP)),
    )
    assert len(result["anchored"]) == 2
    assert goods.item(piece)["status"] == "in_transit"
    assert len(goods.item(piece)["events"]) == 2


def test_rollback_names_every_refused_event_and_writes_nothing(goods: World) -> None:
    events = [
        goods.event(action="ADD", epcs=[sgtin("A")]),
        goods.event(action="ADD", epcs=[WATCH]),
        goods.event(action="OBSERVE", step="shipping", epcs=[sgtin("A")]),
    ]
    refusal = goods.refused("maker", "event:capture", {"events": events})
    assert refusal.code == "ALREADY_COMMISSIONED"
    assert [e["index"] for e in refusal.as_dict()["errors"]] == [1, 2]


def test_proceed_anchors_the_good_events(goods: World) -> None:
    events = [
        goods.event(action="ADD", epcs=[sgtin("A"), WATCH]),
        goods.event(action="ADD", epcs=[sgtin("B")]),
    ]
    result = goods.capture("maker", *events, on_error="proceed")
    assert [item["index"] for item in result["anchored"]] == [1]
    assert [item["index"] for item in result["refused"]] == [0]
    assert result["refused"][0]["where"] == "/projection/epcs/1"
    unknown = goods.refused("maker", "item:get", {"id": sgtin("A")})
    assert unknown.code == "NOT_FOUND"


def test_carbon_of_foreign_subjects_is_refused_under_enforce(goods: World) -> None:
    refusal = goods.no(
        "maker",
        action="OBSERVE",
        step="storing",
        epcs=[WATCH],
        carbon=[co2(5, subjects=[sgtin("OTHER")])],
    )
    assert refusal.code == "CARBON_UNPLACED"
    assert GTIN in refusal.message
