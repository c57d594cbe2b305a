"""Quantity balances: what a party holds of a lot, step by step.

Each test names the goods that would appear from nowhere or vanish.
"""

from __future__ import annotations

import pytest
from world import World, gtin, lot, party_id, qty, receiver, sgtin, sscc, to

MAKER, MILL, STORE, SHOP = party_id(1), party_id(2), party_id(4), party_id(5)
L = lot("L1")


@pytest.fixture
def goods(world: World) -> World:
    """100 kg of an enforced product at its maker."""
    world.product("maker", unit="KGM", makers=[MILL])
    world.do("maker", action="ADD", step="creating_class_instance", quantities=[qty(L, "100")])
    return world


def ship(world: World, user: str, target: str, amount: str, unit: str = "KGM") -> None:
    fields = {"quantities": [qty(L, amount, unit)], "to": receiver(target)}
    world.do(user, action="OBSERVE", step="shipping", **fields)


def receive(world: World, user: str, amount: str, unit: str = "KGM", **more: object) -> None:
    world.do(user, action="OBSERVE", step="receiving", quantities=[qty(L, amount, unit)], **more)


def test_quantities_move_with_shipments(goods: World) -> None:
    ship(goods, "maker", SHOP, "30")
    assert goods.on_hand(L, MAKER) == "70"
    assert goods.on_hand(L, SHOP) == "0"
    receive(goods, "shop", "30")
    assert goods.on_hand(L, SHOP) == "30"
    assert goods.balances(L)["totals"] == {"on_hand": "100", "produced": "100"}


def test_shipping_and_receiving_write_few_keys(goods: World) -> None:
    ship(goods, "maker", SHOP, "30")
    assert len(goods.last_writes) == 3  # event, two balances
    receive(goods, "shop", "30")
    assert len(goods.last_writes) == 2  # event, one balance


def test_nobody_ships_more_than_they_hold(goods: World) -> None:
    refusal = goods.no(
        "maker",
        action="OBSERVE",
        step="shipping",
        quantities=[qty(L, "100.001")],
        to=receiver(SHOP),
    )
    assert refusal.code == "NOT_ENOUGH"
    assert "100 KGM" in refusal.message


def test_pounds_are_not_kilograms(goods: World) -> None:
    ship(goods, "maker", SHOP, "100", "LBR")
    assert goods.on_hand(L, MAKER) == "54.640763"
    receive(goods, "shop", "45.359237")
    assert goods.on_hand(L, SHOP) == "45.359237"


def test_nobody_receives_more_than_was_sent(goods: World) -> None:
    ship(goods, "maker", SHOP, "30")
    refusal = goods.no("shop", action="OBSERVE", step="receiving", quantities=[qty(L, "31")])
    assert refusal.code == "NOT_ENOUGH"


def test_only_the_named_receiver_receives_a_lot(goods: World) -> None:
    ship(goods, "maker", SHOP, "30")
    refusal = goods.no("store", action="OBSERVE", step="receiving", quantities=[qty(L, "30")])
    assert refusal.code == "NOT_NAMED_RECEIVER"


def test_a_short_delivery_stays_under_way_until_it_is_written_off(goods: World) -> None:
    ship(goods, "maker", SHOP, "30")
    receive(goods, "shop", "28", losses=[qty(L, "2")])
    totals = goods.balances(L)["totals"]
    assert totals == {"on_hand": "98", "produced": "100", "lost": "2"}


def test_a_receipt_draws_on_the_named_sender(goods: World) -> None:
    ship(goods, "maker", STORE, "20")
    receive(goods, "store", "20")
    ship(goods, "maker", SHOP, "10")
    ship(goods, "store", SHOP, "10")
    receive(goods, "shop", "10", source=to(("possessing_party", STORE)))
    rows = [b for b in goods.balances(L)["balances"] if b["holder"] == SHOP]
    assert rows[0]["incoming"] == [{"from": MAKER, "qty": "10"}]


def test_a_shipment_taken_back(goods: World) -> None:
    ship(goods, "maker", SHOP, "30")
    back = {"action": "OBSERVE", "step": "void_shipping", "to": receiver(SHOP)}
    assert goods.no("maker", **back, quantities=[qty(L, "31")]).code == "NOT_IN_TRANSIT"
    goods.do("maker", **back, quantities=[qty(L, "30")])
    assert goods.on_hand(L, MAKER) == "100"


def test_a_lot_is_commissioned_once(goods: World) -> None:
    for user in ("maker", "mill"):
        refusal = goods.no(user, action="ADD", quantities=[qty(L, "5")])
        assert refusal.code == "ALREADY_COMMISSIONED"


def test_a_gtin_without_lot_may_be_added_to(goods: World) -> None:
    bare = f"https://id.gs1.org/01/{gtin(3)}"
    goods.product("maker", gtin=gtin(3), unit="KGM")
    goods.do("maker", action="ADD", quantities=[qty(bare, "5")])
    goods.do("maker", action="ADD", quantities=[qty(bare, "5")])
    assert goods.on_hand(bare, MAKER) == "10"


def test_quantities_leave_the_books_when_destroyed_or_sold(goods: World) -> None:
    goods.do("maker", action="DELETE", step="destroying", quantities=[qty(L, "40")])
    goods.do("maker", action="OBSERVE", step="retail_selling", quantities=[qty(L, "1")])
    assert goods.balances(L)["totals"] == {"on_hand": "59", "produced": "100", "removed": "41"}


def test_a_declared_loss_reduces_the_balance(goods: World) -> None:
    goods.do(
        "maker",
        action="OBSERVE",
        step="storing",
        quantities=[qty(L, "100")],
        losses=[{**qty(L, "3"), "reason": "evaporation"}],
    )
    assert goods.balances(L)["totals"] == {"on_hand": "97", "lost": "3", "produced": "100"}
    refusal = goods.no("maker", action="OBSERVE", losses=[qty(L, "98")])
    assert refusal.code == "NOT_ENOUGH"


def test_a_quantity_is_needed(goods: World) -> None:
    refusal = goods.no(
        "maker", action="OBSERVE", step="shipping", quantities=[{"id": L}], to=receiver(SHOP)
    )
    assert refusal.code == "QUANTITY_REQUIRED"


@pytest.mark.parametrize("amount", ["-1", "NaN", "1e3", "0", "1.5.2", "1" * 25])
@pytest.mark.parametrize("mode", ["enforce", "report"])
def test_an_unreadable_quantity_is_refused_under_any_policy(
    world: World, mode: str, amount: str
) -> None:
    world.product("maker", mode)
    refusal = world.no("maker", action="ADD", quantities=[qty(L, amount)])
    assert refusal.code == "BAD_QUANTITY"
    assert refusal.where == "/projection/quantities/0/qty"


def test_an_unknown_unit_is_refused_or_noted_by_policy(world: World) -> None:
    world.product("maker", "report")
    assert "UNKNOWN_UNIT" in world.codes("maker", action="ADD", quantities=[qty(L, "1", "FURLONG")])
    world.product("maker", "enforce")
    refusal = world.no("maker", action="ADD", quantities=[qty(lot("L2"), "1", "FURLONG")])
    assert refusal.code == "UNKNOWN_UNIT"


def test_cases_are_no_kilograms_unless_the_product_says_so(goods: World) -> None:
    fields = {"action": "OBSERVE", "step": "shipping", "to": receiver(SHOP)}
    refusal = goods.no("maker", **fields, quantities=[qty(L, "1", "CS")])
    assert refusal.code == "UNIT_MISMATCH"
    goods.product("maker", unit="CS", mass_g="12500")
    goods.do("maker", **fields, quantities=[qty(L, "2", "CS")])
    assert goods.on_hand(L, MAKER) == "75"


def test_one_thing_is_no_quantity(goods: World) -> None:
    refusal = goods.no("maker", action="ADD", quantities=[qty(sgtin("S"), "5", "EA")])
    assert refusal.code == "BAD_IDENTIFIER"


def test_a_lot_on_a_pallet_moves_with_it(goods: World) -> None:
    pallet = sscc(5)
    pack = {"type": "AggregationEvent", "parent": pallet, "child_quantities": [qty(L, "60")]}
    assert goods.no("shop", **pack, action="ADD").code == "NOT_ENOUGH"
    goods.do("maker", **pack, action="ADD")
    assert goods.on_hand(L, pallet) == "60"
    fields = {"action": "OBSERVE", "step": "shipping", "to": receiver(SHOP)}
    refusal = goods.no("maker", **fields, quantities=[qty(L, "41")])
    assert refusal.code == "NOT_ENOUGH"
    goods.do("maker", **fields, epcs=[pallet])
    goods.do("shop", action="OBSERVE", step="receiving", epcs=[pallet])
    part = {**pack, "child_quantities": [qty(L, "10")]}
    goods.do("shop", **part, action="DELETE")
    goods.do("shop", type="AggregationEvent", action="DELETE", parent=pallet)
    assert goods.on_hand(L, SHOP) == "60"
    assert goods.balances(L)["totals"] == {"on_hand": "100", "produced": "100"}


def test_quantities_in_a_destroyed_container_leave_the_books(goods: World) -> None:
    case, pallet = sscc(6), sscc(7)
    pack = {"type": "AggregationEvent", "action": "ADD"}
    goods.do("maker", **pack, parent=case, child_quantities=[qty(L, "60")])
    goods.do("maker", **pack, parent=pallet, children=[case], child_quantities=[qty(L, "5")])
    goods.do("maker", action="DELETE", step="destroying", epcs=[pallet])
    assert goods.balances(L)["totals"] == {"on_hand": "35", "produced": "100", "removed": "65"}


def test_a_loss_may_be_declared_while_packing(goods: World) -> None:
    goods.do(
        "maker",
        type="AggregationEvent",
        action="ADD",
        parent=sscc(6),
        child_quantities=[qty(L, "60")],
        losses=[qty(L, "1")],
    )
    assert goods.on_hand(L, MAKER) == "39"


def test_parties_are_named_in_canonical_form(goods: World) -> None:
    spelled = SHOP.replace("/417/", "/414/")
    fields = {"action": "OBSERVE", "step": "shipping", "quantities": [qty(L, "1")]}
    refusal = goods.no("maker", **fields, to=receiver(spelled))
    assert (refusal.code, refusal.where) == ("NOT_CANONICAL", "/projection/to/0/id")


def test_foreign_quantities_are_adopted_under_report(world: World) -> None:
    foreign = lot("F", gtin(9))
    codes = world.codes(
        "maker",
        action="OBSERVE",
        step="shipping",
        quantities=[qty(foreign, "5")],
        to=receiver(SHOP),
    )
    assert codes == ["UNKNOWN_IDENTIFIER", "NOT_ENOUGH"]
    assert (
        world.codes("shop", action="OBSERVE", step="receiving", quantities=[qty(foreign, "5")])
        == []
    )
    assert world.balances(foreign)["totals"] == {"on_hand": "5", "adopted": "5"}


def test_a_nameless_shipment_under_report_is_found_by_its_receiver(world: World) -> None:
    world.product("maker", "report")
    world.do("maker", action="ADD", quantities=[qty(L, "5")])
    fields = {"action": "OBSERVE", "quantities": [qty(L, "5")]}
    assert world.codes("maker", **fields, step="shipping") == ["RECEIVER_NOT_NAMED"]
    assert world.codes("shop", **fields, step="receiving") == []
    assert world.on_hand(L, SHOP) == "5"


def test_strangers_do_not_handle_a_lot_but_certifiers_do(goods: World) -> None:
    fields = {"action": "OBSERVE", "step": "inspecting", "quantities": [qty(L, "5")]}
    assert goods.no("shop", **fields).code == "NOT_HOLDER"
    goods.do("labo", **fields)
    assert goods.balances(L)["totals"] == {"on_hand": "100", "produced": "100"}


# transformation


def roast(world: World, user: str, into: str, out: str, **more: object) -> dict[str, object]:
    return {
        "type": "TransformationEvent",
        "step": "creating_class_instance",
        "input_quantities": [qty(L, into)],
        "output_quantities": [qty(lot(str(more.pop("to", "R1"))), out)],
        **more,
    }


def test_a_transformation_consumes_and_produces(goods: World) -> None:
    goods.do("maker", **roast(goods, "maker", "50", "42"))
    assert goods.balances(L)["totals"] == {"on_hand": "50", "consumed": "50", "produced": "100"}
    assert goods.on_hand(lot("R1"), MAKER) == "42"


def test_mass_does_not_appear(goods: World) -> None:
    assert goods.no("maker", **roast(goods, "maker", "50", "50.001")).code == "YIELD_EXCEEDED"


def test_a_declared_yield_binds_and_a_declared_loss_counts(goods: World) -> None:
    goods.product("maker", unit="KGM", max_yield="0.86")
    assert goods.no("maker", **roast(goods, "maker", "50", "43.1")).code == "YIELD_EXCEEDED"
    too_much = roast(goods, "maker", "50", "43", losses=[qty(L, "8")])
    assert goods.no("maker", **too_much).code == "YIELD_EXCEEDED"
    goods.do("maker", **roast(goods, "maker", "50", "43", losses=[qty(L, "7")]))


def test_a_yield_above_one_takes_up_water(goods: World) -> None:
    goods.product("maker", unit="KGM", max_yield="1.5")
    goods.do("maker", **roast(goods, "maker", "50", "75"))
    assert (
        goods.no("maker", **roast(goods, "maker", "50", "75.1", to="R2")).code == "YIELD_EXCEEDED"
    )


def test_pieces_are_weighed_by_their_product(goods: World) -> None:
    goods.product("maker", gtin=gtin(2), unit="EA", mass_g="250")
    pack = {"type": "TransformationEvent", "input_quantities": [qty(L, "10")]}
    out = lot("P", gtin(2))
    assert goods.no("maker", **pack, output_quantities=[qty(out, "41", "EA")]).code == (
        "YIELD_EXCEEDED"
    )
    goods.do("maker", **pack, output_quantities=[qty(out, "40", "EA")])


def test_a_declared_yield_that_cannot_be_checked_is_refused(goods: World) -> None:
    goods.product("maker", gtin=gtin(2), unit="EA")
    event = {
        "type": "TransformationEvent",
        "input_quantities": [qty(L, "10")],
        "output_quantities": [qty(lot("P", gtin(2)), "40", "EA")],
    }
    assert goods.codes("maker", **event) == ["YIELD_NOT_COMPARABLE"]
    goods.product("maker", gtin=gtin(2), unit="EA", max_yield="0.9")
    event["output_quantities"] = [qty(lot("P2", gtin(2)), "40", "EA")]
    assert goods.no("maker", **event).code == "YIELD_NOT_COMPARABLE"


def test_nothing_comes_from_nothing(goods: World) -> None:
    event = {"type": "TransformationEvent", "output_quantities": [qty(lot("N"), "1")]}
    assert goods.no("maker", **event).code == "NO_INPUT"


def test_a_transformation_may_span_events(goods: World) -> None:
    tid = "https://id.gs1.org/253/9521234000006BATCH7"
    common = {"type": "TransformationEvent", "transformation_id": tid}
    goods.do("maker", **common, input_quantities=[qty(L, "40")])
    goods.do("maker", **common, input_quantities=[qty(L, "20")])
    goods.do("maker", **common, output_quantities=[qty(lot("R"), "35")])
    refusal = goods.no("maker", **common, output_quantities=[qty(lot("R"), "26")])
    assert refusal.code == "YIELD_EXCEEDED"
    goods.do("maker", **common, output_quantities=[qty(lot("R"), "25")])
    assert goods.on_hand(lot("R"), MAKER) == "60"
    other = goods.no("mill", **common, output_quantities=[qty(lot("S"), "1")])
    assert other.code == "TRANSFORMATION_OWNED"


def test_only_the_holder_transforms(goods: World) -> None:
    assert goods.no("mill", **roast(goods, "mill", "1", "1")).code == "NOT_ENOUGH"
    assert goods.no("store", **roast(goods, "store", "1", "1")).code == "ROLE_NOT_ALLOWED"


def test_used_things_are_used_up(goods: World) -> None:
    part, watch = sgtin("P1"), sgtin("W1")
    goods.do("maker", action="ADD", epcs=[part])
    goods.do("maker", type="TransformationEvent", inputs=[part], outputs=[watch])
    assert goods.item(part)["status"] == "consumed"
    again = goods.no("maker", type="TransformationEvent", inputs=[part], outputs=[sgtin("W2")])
    assert again.code == "NOT_ACTIVE"
    gone = goods.no("maker", action="OBSERVE", step="shipping", epcs=[part], to=receiver(SHOP))
    assert gone.code == "NOT_ACTIVE"


def test_a_product_without_makers_is_its_owners_alone(goods: World) -> None:
    """Else anyone who calls itself a processor prints serials of somebody's brand."""
    goods.product("maker", unit="KGM")
    assert goods.no("mill", action="ADD", epcs=[sgtin("FAKE")]).code == "NOT_MAKER"
    assert goods.no("brand", action="ADD", quantities=[qty(lot("FAKE"), "1")]).code == "NOT_MAKER"
    goods.do("maker", action="ADD", epcs=[sgtin("TRUE")])


def test_a_product_may_name_its_makers(goods: World) -> None:
    goods.product("maker", unit="KGM", makers=[MILL])
    goods.do("mill", action="ADD", quantities=[qty(lot("M"), "1")])
    refusal = goods.no("brand", action="ADD", quantities=[qty(lot("X"), "1")])
    assert refusal.code == "NOT_MAKER"
    assert goods.no("brand", action="ADD", epcs=[sgtin("X")]).code == "NOT_MAKER"
