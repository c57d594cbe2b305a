"""Error declarations: an event is marked as wrong, and undone where nothing depends on it.

Would catch: history overwritten, goods undone behind a later holder's back, somebody else's
events voided.
"""

from __future__ import annotations

from typing import Any

import pytest
from world import World, co2, lot, party_id, qty, receiver, sgtin, sscc

MAKER, SHOP = party_id(1), party_id(5)
WATCH = sgtin("W1")


@pytest.fixture
def goods(world: World) -> World:
    world.product("maker", unit="KGM", makers=[party_id(2), party_id(8)])
    return world


def declare(world: World, user: str, event: dict[str, Any], **more: Any) -> Any:
    """Capture the event again with an error declaration; CBV gives it the same hash."""
    error = {"time_ms": world.now_ms, "reason": "incorrect_data", "corrective": []}
    wrong = {**event, "projection": {**event["projection"], "error": error}, **more}
    return world.capture(user, wrong)["anchored"][0]


def test_a_wrong_commissioning_is_undone_and_stays_visible(goods: World) -> None:
    event = goods.event(action="ADD", epcs=[WATCH])
    goods.capture("maker", event)
    before = dict(goods.ledger.state)
    assert declare(goods, "maker", event)["findings"] == []
    assert goods.refused("maker", "item:get", {"id": WATCH}).code == "NOT_FOUND"
    record = goods.call("auditor", "event:get", {"hash": event["hash"]})
    assert record["voided_by"] in event["hash"]
    assert record["projection"] == event["projection"]
    assert record["declaration"]["projection"]["error"]["reason"] == "incorrect_data"
    assert set(before) - set(goods.ledger.state) == {f"\x00item\x00{WATCH}\x00"}
    goods.do("maker", action="ADD", epcs=[WATCH])


def test_a_wrong_shipment_is_undone(goods: World) -> None:
    goods.do("maker", action="ADD", quantities=[qty(lot("L"), "10")], carbon=[co2(1000)])
    event = goods.event(
        action="OBSERVE",
        step="shipping",
        quantities=[qty(lot("L"), "4")],
        to=receiver(SHOP),
    )
    goods.capture("maker", event)
    declare(goods, "maker", event)
    assert goods.balances(lot("L"))["totals"] == {"on_hand": "10", "produced": "10"}
    assert goods.footprint(lot("L"))["co2e_mg"] == 1000
    refusal = goods.no("shop", action="OBSERVE", step="receiving", quantities=[qty(lot("L"), "4")])
    assert refusal.code == "NOT_NAMED_RECEIVER"


def test_events_are_undone_backwards(goods: World) -> None:
    first = goods.event(action="ADD", epcs=[WATCH])
    second = goods.event(action="OBSERVE", step="shipping", epcs=[WATCH], to=receiver(SHOP))
    goods.capture("maker", first)
    goods.capture("maker", second)
    declare(goods, "maker", second)
    declare(goods, "maker", first)
    assert goods.refused("maker", "item:get", {"id": WATCH}).code == "NOT_FOUND"


def test_what_others_built_on_is_not_undone(goods: World) -> None:
    goods.do("maker", action="ADD", epcs=[WATCH])
    event = goods.event(action="OBSERVE", step="shipping", epcs=[WATCH], to=receiver(SHOP))
    goods.capture("maker", event)
    goods.do("shop", action="OBSERVE", step="receiving", epcs=[WATCH])
    found = declare(goods, "maker", event)
    assert [f["code"] for f in found["findings"]] == ["VOID_NOT_REVERSED"]
    assert goods.item(WATCH)["holder"] == SHOP
    assert "voided_by" in goods.call("auditor", "event:get", {"hash": event["hash"]})


def test_a_wrong_packing_is_undone_for_every_child(goods: World) -> None:
    others = [sgtin(f"S{i}") for i in range(3)]
    goods.do("maker", action="ADD", epcs=others)
    event = goods.event(type="AggregationEvent", action="ADD", parent=sscc(1), children=others)
    goods.capture("maker", event)
    declare(goods, "maker", event)
    assert all("parent" not in goods.item(uri) for uri in others)
    assert goods.refused("maker", "item:get", {"id": sscc(1)}).code == "NOT_FOUND"


def test_only_the_captor_or_a_regulator_declares_an_error(goods: World) -> None:
    event = goods.event(action="ADD", epcs=[WATCH])
    goods.capture("maker", event)
    wrong = {
        **event,
        "projection": {**event["projection"], "error": {"time_ms": 1, "corrective": []}},
    }
    refusal = goods.refused("mill", "event:capture", {"events": [wrong]})
    assert refusal.code == "VOID_NOT_ALLOWED"
    goods.capture("regulator", wrong)


def test_a_declaration_finds_its_event_by_id(goods: World) -> None:
    event = goods.event(action="ADD", epcs=[WATCH], event_id="urn:uuid:7")
    goods.capture("maker", event)
    found = declare(goods, "maker", event, hash=f"ni:///sha-256;{'7' * 64}?ver=CBV2.0")
    assert found["findings"] == []
    assert goods.refused("maker", "item:get", {"id": WATCH}).code == "NOT_FOUND"
    by_id = goods.call("auditor", "event:get", {"hash": "urn:uuid:7"})
    assert by_id["voided_by"] == "7" * 64


def test_a_declaration_of_an_unknown_event_is_kept_and_works_later(goods: World) -> None:
    event = goods.event(action="ADD", epcs=[WATCH])
    found = declare(goods, "maker", event)
    assert [f["code"] for f in found["findings"]] == ["VOIDS_UNKNOWN_EVENT"]
    late = goods.capture("maker", event)["anchored"][0]
    assert [f["code"] for f in late["findings"]] == ["EVENT_VOIDED"]
    assert goods.refused("maker", "item:get", {"id": WATCH}).code == "NOT_FOUND"


def test_a_declaration_twice_changes_nothing(goods: World) -> None:
    event = goods.event(action="ADD", epcs=[WATCH])
    goods.capture("maker", event)
    declare(goods, "maker", event)
    assert declare(goods, "maker", event)["duplicate"] is True


def test_a_correction_in_the_same_document(goods: World) -> None:
    event = goods.event(action="ADD", quantities=[qty(lot("L"), "452")])
    goods.capture("maker", event)
    error = {"time_ms": goods.now_ms, "corrective": ["urn:uuid:9"]}
    wrong = {**event, "projection": {**event["projection"], "error": error}}
    right = goods.event(action="ADD", event_id="urn:uuid:9", quantities=[qty(lot("L"), "500")])
    goods.capture("maker", wrong, right)
    assert goods.on_hand(lot("L"), MAKER) == "500"


def test_nobody_voids_an_event_before_its_captor_anchors_it(goods: World) -> None:
    event = goods.event(action="ADD", epcs=[WATCH])
    declare(goods, "mill", event)
    assert goods.capture("maker", event)["anchored"][0]["findings"] == []
    assert goods.item(WATCH)["holder"] == MAKER
    assert declare(goods, "maker", event)["findings"] == []


def test_a_hash_names_one_projection(goods: World) -> None:
    event = goods.event(action="ADD", epcs=[WATCH])
    taken = {**event, "projection": {**event["projection"], "epcs": [sgtin("OTHER")]}}
    goods.capture("brand", taken)
    refusal = goods.refused("maker", "event:capture", {"events": [event]})
    assert refusal.code == "HASH_CONFLICT"
    assert party_id(8) in refusal.message
