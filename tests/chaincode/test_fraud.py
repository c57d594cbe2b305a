"""What a fraudster would try, one attempt a test: goods, mass, ownership, recalls, registry.

Would catch: a rule that holds on the straight path and not through a container, a second product,
a party's name, a delegate or a later redefinition.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from test_certificates import certificate
from test_registry import licence, newcomer
from world import World, co2, gln, gtin, lot, party_id, qty, receiver, sgtin, sscc, to

MAKER, MILL, CARRIER, STORE, SHOP, BRAND = (party_id(n) for n in (1, 2, 3, 4, 5, 8))
L, WATCH, CASE, PALLET = lot("L"), sgtin("W1"), sscc(1), sscc(2)
FOREIGN_CASE = sgtin("BOX", gtin(7))


@pytest.fixture
def goods(world: World) -> World:
    world.product("maker", unit="KGM", makers=[party_id(2), party_id(8)])
    world.do("maker", action="ADD", epcs=[WATCH])
    world.do("maker", action="ADD", quantities=[qty(L, "100")])
    return world


def ship(world: World, user: str, target: str, *epcs: str, **more: Any) -> None:
    world.do(user, action="OBSERVE", step="shipping", epcs=list(epcs), to=receiver(target), **more)


def receive(world: World, user: str, *epcs: str, **more: Any) -> None:
    world.do(user, action="OBSERVE", step="receiving", epcs=list(epcs), **more)


def pack(world: World, user: str, parent: str, *children: str, **more: Any) -> None:
    world.do(
        user,
        type="AggregationEvent",
        action="ADD",
        parent=parent,
        **({"children": list(children)} if children else {}),
        **more,
    )


def unpack(world: World, user: str, parent: str, **more: Any) -> None:
    world.do(user, type="AggregationEvent", action="DELETE", parent=parent, **more)


# containers


@pytest.mark.parametrize("place", [MAKER, f"https://id.gs1.org/414/{gln(1)}"])
def test_a_party_is_no_container(goods: World, place: str) -> None:
    """Balances lie under parties and containers alike: packing into a party's name would open
    that party's stock."""
    goods.do("mill", action="ADD", quantities=[qty(lot("M"), "1")])
    event = {"type": "AggregationEvent", "parent": place}
    refusal = goods.no("mill", **event, action="ADD", child_quantities=[qty(lot("M"), "1")])
    assert refusal.code == "BAD_AGGREGATION"
    refusal = goods.no("mill", **event, action="DELETE", child_quantities=[qty(L, "100")])
    assert refusal.code == "BAD_AGGREGATION"
    assert goods.on_hand(L, MAKER) == "100"


def test_a_partys_stock_is_not_unpacked_through_report(goods: World) -> None:
    goods.codes("mill", type="AggregationEvent", action="ADD", parent=MAKER, children=["urn:x:1"])
    goods.codes("mill", type="AggregationEvent", action="DELETE", parent=MAKER)
    assert goods.on_hand(L, MAKER) == "100"
    assert goods.on_hand(L, MILL) == "0"


def test_a_case_without_policy_guards_what_it_holds(goods: World) -> None:
    pack(goods, "maker", FOREIGN_CASE, WATCH)
    event = {"action": "OBSERVE", "step": "shipping", "epcs": [FOREIGN_CASE]}
    assert goods.no("mill", **event, to=receiver(MILL)).code == "NOT_HOLDER"
    event = {"type": "AggregationEvent", "action": "DELETE", "parent": FOREIGN_CASE}
    assert goods.no("mill", **event).code == "NOT_HOLDER"


def test_goods_packed_into_a_case_on_a_pallet_guard_the_pallet(goods: World) -> None:
    goods.do("maker", action="ADD", epcs=[CASE])
    pack(goods, "maker", PALLET, CASE)
    pack(goods, "maker", CASE, WATCH)
    event = {"action": "OBSERVE", "step": "shipping", "epcs": [PALLET]}
    assert goods.no("mill", **event, to=receiver(MILL)).code == "NOT_HOLDER"


def test_goods_do_not_vanish_in_somebody_elses_container(goods: World) -> None:
    goods.do("mill", action="ADD", epcs=[CASE])
    event = {"type": "AggregationEvent", "action": "ADD", "parent": CASE}
    assert goods.no("maker", **event, children=[WATCH]).code == "NOT_HOLDER"
    assert goods.no("maker", **event, child_quantities=[qty(L, "1")]).code == "NOT_HOLDER"


def test_a_tower_of_containers_has_one_holder(goods: World) -> None:
    """Would catch a former holder who still unpacks what lies very deep in sold containers."""
    for step in range(3):
        boxes = [sscc(100 * step + n) for n in range(14)]
        pack(goods, "maker", boxes[0], WATCH if step == 0 else sscc(100 * (step - 1) + 13))
        for inner, outer in itertools.pairwise(boxes):
            pack(goods, "maker", outer, inner)
    top = sscc(213)
    ship(goods, "maker", SHOP, top)
    receive(goods, "shop", top)
    event = {"type": "AggregationEvent", "action": "DELETE", "parent": sscc(0)}
    assert goods.no("maker", **event).code == "NOT_HOLDER"
    assert goods.item(WATCH)["holder"] == SHOP


def test_a_full_container_is_not_used_up(goods: World) -> None:
    pack(goods, "maker", CASE, child_quantities=[qty(L, "1")])
    refusal = goods.no(
        "maker",
        type="TransformationEvent",
        inputs=[CASE],
        output_quantities=[qty(lot("N"), "1000")],
    )
    assert refusal.code == "BAD_AGGREGATION"


def test_a_lot_listed_twice_takes_its_carbon_once(goods: World) -> None:
    pack(goods, "maker", CASE, child_quantities=[qty(L, "10")], carbon=[co2(1000)])
    unpack(goods, "maker", CASE, child_quantities=[qty(L, "4"), qty(L, "4")])
    unpack(goods, "maker", CASE)
    assert goods.footprint(L)["co2e_mg"] == 1000


def test_carbon_of_an_event_without_goods_does_not_vanish_in_silence(goods: World) -> None:
    event = {"action": "OBSERVE", "step": "storing", "losses": [qty(L, "1")]}
    assert goods.no("maker", **event, carbon=[co2(5)]).code == "CARBON_UNPLACED"


def test_no_goods_carry_more_carbon_than_can_be_written(goods: World) -> None:
    """Would catch pools that grow past 53 bits, which no record could hold any more."""
    event = {"action": "OBSERVE", "step": "storing", "quantities": [qty(L, "1")]}
    for _ in range(2):
        goods.do("maker", carbon=[co2(5 * 10**14)], **event)
    assert goods.no("maker", carbon=[co2(10**15)], **event).code == "BAD_CARBON"


# owners


def sell(world: World) -> None:
    """The maker sells the watch to the shop, which leaves it in the warehouse."""
    world.do(
        "maker",
        action="OBSERVE",
        step="shipping",
        epcs=[WATCH],
        to=to(("possessing_party", STORE), ("owning_party", SHOP)),
    )
    receive(world, "store", WATCH)
    assert world.item(WATCH)["owner"] == SHOP


def test_a_keeper_does_not_sell_what_it_keeps(goods: World) -> None:
    sell(goods)
    codes = goods.codes(
        "store",
        action="OBSERVE",
        step="shipping",
        epcs=[WATCH],
        to=to(("possessing_party", MILL), ("owning_party", MILL)),
    )
    assert codes == ["NOT_OWNER"]
    receive(goods, "mill", WATCH)
    assert (goods.item(WATCH)["holder"], goods.item(WATCH)["owner"]) == (MILL, SHOP)


def test_a_receiver_does_not_make_itself_the_owner(goods: World) -> None:
    sell(goods)
    ship(goods, "store", CARRIER, WATCH)
    codes = goods.codes(
        "carrier",
        action="OBSERVE",
        step="receiving",
        epcs=[WATCH],
        to=to(("owning_party", CARRIER)),
    )
    assert codes == ["NOT_OWNER"]
    assert goods.item(WATCH)["owner"] == SHOP


def test_a_pallet_that_is_sold_does_not_sell_another_owners_goods(goods: World) -> None:
    sell(goods)
    goods.do("store", action="ADD", epcs=[PALLET])
    pack(goods, "store", PALLET, WATCH)
    buyer = to(("possessing_party", MILL), ("owning_party", MILL))
    goods.do("store", action="OBSERVE", step="shipping", epcs=[PALLET], to=buyer)
    receive(goods, "mill", PALLET)
    unpack(goods, "mill", PALLET)
    assert goods.item(WATCH)["owner"] == SHOP


def test_a_sold_pallet_sells_what_its_seller_owns(goods: World) -> None:
    own = to(("possessing_party", SHOP), ("owning_party", SHOP))
    goods.do("maker", action="OBSERVE", step="shipping", epcs=[WATCH], to=own)
    receive(goods, "shop", WATCH)
    pack(goods, "shop", CASE, WATCH)
    pack(goods, "shop", PALLET, CASE)
    buyer = to(("possessing_party", MILL), ("owning_party", MILL))
    goods.do("shop", action="OBSERVE", step="shipping", epcs=[PALLET], to=buyer)
    receive(goods, "mill", PALLET)
    unpack(goods, "mill", PALLET)
    unpack(goods, "mill", CASE)
    assert goods.item(WATCH)["owner"] == MILL


def test_a_rented_pallet_does_not_give_its_owner_the_goods(goods: World) -> None:
    pool = "https://id.gs1.org/8003/09521234543213P1"
    goods.do("carrier", action="ADD", epcs=[pool])
    ship(goods, "carrier", MAKER, pool)
    receive(goods, "maker", pool)
    goods.do(
        "maker",
        type="TransactionEvent",
        action="ADD",
        epcs=[pool],
        to=to(("owning_party", CARRIER)),
    )
    pack(goods, "maker", pool, WATCH)
    unpack(goods, "maker", pool)
    assert goods.item(WATCH).get("owner") in (None, MAKER)


@pytest.fixture
def on_its_way(goods: World) -> World:
    """The maker sold the watch, packed in a case, to the shop."""
    pack(goods, "maker", CASE, WATCH)
    buyer = to(("possessing_party", SHOP), ("owning_party", SHOP))
    goods.do("maker", action="OBSERVE", step="shipping", epcs=[CASE], to=buyer)
    return goods


@pytest.mark.parametrize("thing", [WATCH, CASE])
def test_goods_on_their_way_to_a_buyer_are_not_sold_again(on_its_way: World, thing: str) -> None:
    sale = {"type": "TransactionEvent", "action": "ADD", "epcs": [thing]}
    refusal = on_its_way.no("maker", **sale, to=to(("owning_party", MILL)))
    assert refusal.code == "NOT_OWNER"


@pytest.mark.parametrize("thing", [WATCH, CASE])
def test_goods_in_a_sold_container_are_not_sold_again(on_its_way: World, thing: str) -> None:
    receive(on_its_way, "shop", CASE)
    assert on_its_way.item(WATCH)["owner"] == SHOP
    sale = {"type": "TransactionEvent", "action": "ADD", "epcs": [thing]}
    refusal = on_its_way.no("maker", **sale, to=to(("owning_party", MILL)))
    assert refusal.code == "NOT_OWNER"
    on_its_way.do("shop", **sale, to=to(("owning_party", MILL)))


# recalls


def recall(world: World, user: str, *epcs: str) -> None:
    world.do(user, action="OBSERVE", step="holding", disposition="recalled", epcs=list(epcs))


def test_a_pallet_does_not_carry_recalled_goods_on(goods: World) -> None:
    pack(goods, "maker", CASE, WATCH)
    pack(goods, "maker", PALLET, CASE)
    recall(goods, "regulator", WATCH)
    event = {"action": "OBSERVE", "step": "shipping", "epcs": [PALLET], "to": receiver(SHOP)}
    assert goods.no("maker", **event).code == "NOT_ACTIVE"
    goods.do("maker", **event, disposition="returned")
    receive(goods, "shop", PALLET)
    unpack(goods, "shop", PALLET)
    ship(goods, "shop", MILL, PALLET)  # empty, it is free again
    refusal = goods.no("shop", **{**event, "epcs": [CASE]})
    assert refusal.code == "NOT_ACTIVE"
    unpack(goods, "shop", CASE)
    assert goods.item(WATCH)["status"] == "recalled"
    ship(goods, "shop", MILL, CASE)


def test_a_pallet_does_not_carry_a_recalled_lot_on(goods: World) -> None:
    pack(goods, "maker", CASE, child_quantities=[qty(L, "10")])
    pack(goods, "maker", PALLET, CASE)
    goods.do("regulator", action="OBSERVE", disposition="recalled", quantities=[{"id": L}])
    event = {"action": "OBSERVE", "step": "shipping", "epcs": [PALLET], "to": receiver(SHOP)}
    assert goods.no("maker", **event).code == "NOT_ACTIVE"
    goods.do("maker", **event, disposition="recalled")


def test_unpacking_a_recalled_pallet_does_not_clear_its_goods(goods: World) -> None:
    pack(goods, "maker", PALLET, WATCH, child_quantities=[qty(L, "10")])
    recall(goods, "maker", PALLET)
    unpack(goods, "maker", PALLET)
    assert goods.item(WATCH)["status"] == "recalled"
    event = {"action": "OBSERVE", "step": "shipping", "to": receiver(SHOP)}
    assert goods.no("maker", **event, quantities=[qty(L, "10")]).code == "NOT_ACTIVE"


def test_recalled_goods_are_packed_for_their_return(goods: World) -> None:
    recall(goods, "maker", WATCH)
    pack(goods, "maker", CASE, WATCH)
    event = {"action": "OBSERVE", "step": "shipping", "epcs": [CASE], "to": receiver(SHOP)}
    assert goods.no("maker", **event).code == "NOT_ACTIVE"
    goods.do("maker", **event, disposition="returned")


def test_returning_what_a_holder_recalled_does_not_clear_it(goods: World) -> None:
    event = {"action": "OBSERVE", "step": "shipping", "quantities": [qty(L, "10")]}
    goods.do("maker", **event, to=receiver(SHOP))
    goods.do("shop", action="OBSERVE", step="receiving", quantities=[qty(L, "10")])
    goods.do("shop", action="OBSERVE", disposition="recalled", quantities=[qty(L, "10")])
    goods.do("shop", **event, disposition="returned", to=receiver(STORE))
    goods.do("store", action="OBSERVE", step="receiving", quantities=[qty(L, "4")])
    goods.do("store", action="OBSERVE", step="receiving", quantities=[qty(L, "6")])
    refusal = goods.no("store", **event, to=receiver(MILL))
    assert refusal.code == "NOT_ACTIVE"


def test_a_pool_of_crates_does_not_recall_what_others_pack_in_them(goods: World) -> None:
    crate = "https://id.gs1.org/8003/09521234543213C1"
    goods.do("carrier", action="ADD", epcs=[crate])
    ship(goods, "carrier", MAKER, crate)
    receive(goods, "maker", crate)
    pack(goods, "maker", crate, WATCH)
    event = {"action": "OBSERVE", "disposition": "recalled", "epcs": [crate]}
    assert goods.no("carrier", **event).code == "NOT_HOLDER"


def test_a_pallet_that_was_seen_first_is_not_taken_over_by_commissioning(goods: World) -> None:
    goods.do("carrier", action="OBSERVE", step="transporting", epcs=[PALLET])
    pack(goods, "maker", PALLET, WATCH)
    assert goods.no("mill", action="ADD", epcs=[PALLET]).code == "ALREADY_COMMISSIONED"


# goods outside the network


@pytest.fixture
def sold(goods: World) -> World:
    """A watch somebody bought in the maker's shop."""
    goods.do("maker", action="OBSERVE", step="retail_selling", epcs=[WATCH])
    return goods


@pytest.mark.parametrize(
    "event",
    [
        {"action": "DELETE", "step": "destroying"},
        {"action": "DELETE", "step": "decommissioning"},
        {"action": "OBSERVE", "disposition": "stolen"},
        {
            "action": "OBSERVE",
            "step": "shipping",
            "disposition": "returned",
            "to": receiver(CARRIER),
        },
    ],
)
def test_what_a_customer_has_is_not_ended_by_strangers(sold: World, event: dict[str, Any]) -> None:
    for user in ("carrier", "mill"):
        assert sold.no(user, epcs=[WATCH], **event).code == "NOT_HOLDER"


def test_noticing_a_sold_watch_does_not_make_it_ones_own(sold: World) -> None:
    sold.do("brand", action="OBSERVE", step="inspecting", epcs=[WATCH])
    sold.do("carrier", action="OBSERVE", step="transporting", epcs=[WATCH])
    assert "holder" not in sold.item(WATCH)


def test_a_stolen_watch_is_not_laundered(sold: World) -> None:
    sold.do("maker", action="OBSERVE", disposition="stolen", epcs=[WATCH])
    refusal = sold.no("shop", action="OBSERVE", step="receiving", epcs=[WATCH])
    assert refusal.code == "NOT_IN_TRANSIT"
    receive(sold, "customs", WATCH)
    assert sold.item(WATCH)["holder"] == party_id(7)


def test_expired_medicine_is_not_dispensed(goods: World) -> None:
    pack_, late = sgtin("M1"), sgtin("M2")
    goods.do("maker", action="ADD", epcs=[pack_], expiry="2026-01-01")
    goods.do("maker", action="ADD", epcs=[late], expiry="2025-12-30")
    goods.do("maker", action="ADD", quantities=[qty(lot("D"), "9")], expiry="2025-12-30")
    event = {"action": "OBSERVE", "step": "dispensing", "disposition": "dispensed"}
    refusal = goods.no("maker", **event, epcs=[late])
    assert refusal.code == "NOT_ACTIVE"
    assert "2025-12-30" in refusal.message
    assert goods.no("maker", **event, quantities=[qty(lot("D"), "1")]).code == "NOT_ACTIVE"
    goods.do("maker", **event, epcs=[pack_])
    goods.do("maker", action="DELETE", step="destroying", epcs=[late])


# mass out of nothing


def make(inputs: list[Any], outputs: list[Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "TransformationEvent",
        "input_quantities": inputs,
        "output_quantities": outputs,
        **more,
    }


def test_an_unweighed_by_product_does_not_hide_the_outputs(goods: World) -> None:
    junk = qty(lot("J", gtin(9)), "1", "EA")
    event = make([qty(L, "1")], [qty(lot("N"), "1000"), junk])
    assert goods.no("maker", **event).code == "YIELD_EXCEEDED"


def test_another_products_yield_does_not_stretch_this_one(goods: World) -> None:
    goods.product("maker", gtin=gtin(9), unit="KGM", max_yield="1000")
    junk = qty(lot("J", gtin(9)), "1")
    event = make([qty(L, "1")], [qty(lot("N"), "500"), junk])
    assert goods.no("maker", **event).code == "YIELD_EXCEEDED"
    open_ = {"transformation_id": "https://id.gs1.org/253/9521234000006B1"}
    goods.do("maker", **make([qty(L, "2")], [junk], **open_))
    assert goods.no("maker", **make([], [qty(lot("N"), "3")], **open_)).code == "YIELD_EXCEEDED"


def test_a_by_product_does_not_count_against_the_products_own_yield(goods: World) -> None:
    goods.product("maker", gtin=gtin(9), unit="KGM", max_yield="0.85")
    roasted, chaff = lot("R", gtin(9)), lot("C", gtin(10))
    goods.do("maker", **make([qty(L, "10")], [qty(roasted, "8.5"), qty(chaff, "1.5")]))
    event = make([qty(L, "10")], [qty(lot("R2", gtin(9)), "8.6"), qty(chaff, "1")])
    assert goods.no("maker", **event).code == "YIELD_EXCEEDED"


def test_an_owner_does_not_loosen_what_the_network_enforces(goods: World) -> None:
    base = {"gtin": "09521234543213", "name": "P", "mode": "enforce", "unit": "KGM"}
    goods.call("maker", "product:define", {**base, "max_yield": "0.9", "mass_g": "5"})
    for change in (
        {"mode": "report"},
        {"max_yield": "5"},
        {"mass_g": "5000"},
        {"unit": "EA"},
    ):
        argument = {**base, "max_yield": "0.9", "mass_g": "5", **change}
        assert goods.refused("maker", "product:define", argument).code == "ROLE_NOT_ALLOWED"
    goods.call("maker", "product:define", {**base, "max_yield": "0.8", "mass_g": "5"})
    goods.call("regulator", "product:define", {**base, "mode": "report"})


# certificates, delegation, grants


def test_a_maker_does_not_verify_its_own_carbon_as_a_delegate(goods: World) -> None:
    goods.call(
        "labo",
        "delegation:grant",
        {"delegate": MAKER, "scopes": ["carbon:verify"], "expires_ms": goods.now_ms + 10**8},
    )
    event = goods.event([co2(5)], action="ADD", epcs=[sgtin("C1")])
    goods.capture("maker", event)
    argument = {"event": event["hash"], "index": 0, "statement": "ok", "actor": party_id(6)}
    assert goods.refused("maker", "carbon:verify", argument).code == "SELF_VERIFICATION"


def test_a_former_delegate_no_longer_changes_certificates(goods: World) -> None:
    goods.call("regulator", "participant:addLicence", {"id": party_id(6), "licence": licence()})
    goods.call(
        "labo",
        "delegation:grant",
        {"delegate": MILL, "scopes": ["certificate:anchor"], "expires_ms": goods.now_ms + 10**8},
    )
    goods.call("mill", "certificate:anchor", {**certificate(goods), "issuer": party_id(6)})
    argument = {"id": "urn:uuid:1", "reason": "a mistake"}
    goods.call("mill", "certificate:suspend", argument)
    goods.call("mill", "certificate:reinstate", argument)
    goods.call("labo", "delegation:revoke", {"delegate": MILL})
    assert goods.refused("mill", "certificate:revoke", argument).code == "CERTIFICATE_NOT_YOURS"


def test_a_made_up_serial_number_is_not_certified(goods: World) -> None:
    goods.call("regulator", "participant:addLicence", {"id": party_id(6), "licence": licence()})
    argument = {**certificate(goods), "subject": sgtin("MADE-UP")}
    assert goods.refused("labo", "certificate:anchor", argument).code == "UNKNOWN_IDENTIFIER"
    goods.call("labo", "certificate:anchor", {**argument, "subject": WATCH})


def test_naming_oneself_makes_no_party_to_a_deal(goods: World) -> None:
    event = {"type": "TransactionEvent", "action": "ADD", "epcs": [WATCH]}
    own = to(("owning_party", MILL))
    assert goods.no("mill", **event, source=own).code == "NOT_HOLDER"
    order = {"source": to(("possessing_party", MAKER)), "to": to(("possessing_party", MILL))}
    goods.do("mill", **event, **order)  # a buyer's order, with both sides named


def test_watching_a_lot_gives_no_say_over_its_documents(goods: World) -> None:
    goods.do("carrier", action="OBSERVE", step="transporting", quantities=[qty(L, "1")])
    argument = {"grantee": MILL, "scope": L}
    assert goods.refused("carrier", "grant:give", argument).code == "GRANT_NOT_YOURS"


# the registry


def test_a_suspended_organisation_does_not_start_anew(world: World) -> None:
    world.user("boss", "MillMSP", "urn:tracemark:party:nobody", "admin")
    world.call("boss", "participant:register", newcomer(msp="MillMSP"))
    world.call("regulator", "participant:suspend", {"id": MILL, "reason": "fraud"})
    again = newcomer(msp="MillMSP", gln=gln(51), default=True)
    assert world.refused("boss", "participant:register", again).code == "PARTY_SUSPENDED"


def test_a_stolen_name_goes_back_to_its_company(world: World) -> None:
    world.user("thief", "ThiefMSP", None, "admin")
    world.call("thief", "participant:register", newcomer(msp="ThiefMSP"))
    rightful = newcomer(msp="RightMSP")
    assert world.refused("regulator", "participant:register", rightful).code == "PARTY_EXISTS"
    world.call("regulator", "participant:suspend", {"id": party_id(50), "reason": "not theirs"})
    world.call("regulator", "participant:register", rightful)
    assert world.refused("thief", "product:list", {"page_size": 0}).code == "BAD_ARGUMENT"
    assert world.refused("thief", "grant:revoke", {"grantee": MILL, "scope": WATCH}).code == (
        "CALLER_MSP_MISMATCH"
    )


def test_a_stolen_location_goes_back(world: World) -> None:
    place = {"location": gln(77)}
    world.call("mill", "participant:addLocation", {"id": MILL, **place})
    assert world.refused("shop", "participant:addLocation", {"id": SHOP, **place}).code == (
        "LOCATION_TAKEN"
    )
    world.call("regulator", "participant:addLocation", {"id": SHOP, **place})
    assert world.call("shop", "participant:get", {"id": MILL})["locations"] == []


def test_nobody_claims_the_number_of_another_party_as_a_location(world: World) -> None:
    argument = {"id": MILL, "location": gln(5)}
    assert world.refused("mill", "participant:addLocation", argument).code == "LOCATION_TAKEN"
    world.call("shop", "participant:addLocation", {"id": SHOP, "location": gln(5)})
