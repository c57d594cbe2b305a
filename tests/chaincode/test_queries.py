"""Queries: history, trace, pages.

Would catch: a pallet's journey missing from its pieces' history, a trace that stops at a lot.
"""

from __future__ import annotations

import pytest
from world import World, lot, party_id, qty, receiver, sgtin, sscc

MAKER, SHOP = party_id(1), party_id(5)
WATCH, CASE = sgtin("W1"), sscc(1)


@pytest.fixture
def story(world: World) -> World:
    """Steel to a watch, packed, shipped, received, unpacked."""
    world.product("maker", unit="KGM")
    world.do("maker", action="ADD", quantities=[qty(lot("STEEL"), "3")])
    world.do(
        "maker",
        type="TransformationEvent",
        step="assembling",
        input_quantities=[qty(lot("STEEL"), "1")],
        outputs=[WATCH],
    )
    world.do("maker", type="AggregationEvent", action="ADD", parent=CASE, children=[WATCH])
    world.do("maker", action="OBSERVE", step="shipping", epcs=[CASE], to=receiver(SHOP))
    world.do("shop", action="OBSERVE", step="receiving", epcs=[CASE])
    world.do("shop", type="AggregationEvent", action="DELETE", parent=CASE)
    world.do("shop", action="OBSERVE", step="shipping", epcs=[CASE], to=receiver(MAKER))
    return world


def steps_of(world: World, uri: str) -> list[str]:
    entries = world.call("auditor", "item:history", {"id": uri})["entries"]
    found = []
    for entry in entries:
        for hex_ in entry["events"]:
            p = world.call("auditor", "event:get", {"hash": hex_})["projection"]
            found.append(p.get("step") or f"{p['type']} {p['action']}")
    return found


def test_a_things_history_includes_its_containers_journey(story: World) -> None:
    assert steps_of(story, WATCH) == [
        "assembling",
        "AggregationEvent ADD",
        "shipping",
        "receiving",
        "AggregationEvent DELETE",
    ]


def test_a_lots_history_spans_its_holders(story: World) -> None:
    fields = {"quantities": [qty(lot("STEEL"), "1")]}
    story.do("maker", action="OBSERVE", step="shipping", to=receiver(SHOP), **fields)
    story.do("shop", action="OBSERVE", step="receiving", **fields)
    found = steps_of(story, lot("STEEL"))
    assert list(dict.fromkeys(found)) == [
        "ObjectEvent ADD",
        "assembling",
        "shipping",
        "receiving",
    ]


def test_trace_goes_one_step_up_and_down(story: World) -> None:
    ask = {"id": WATCH, "direction": "up"}
    steps = story.call("auditor", "item:trace", ask)["steps"]
    assert [step["ids"] for step in steps] == [[lot("STEEL")]]
    down = story.call("auditor", "item:trace", {"id": lot("STEEL"), "direction": "down"})
    assert [step["ids"] for step in down["steps"]] == [[WATCH]]
    packed = story.call("auditor", "item:trace", {"id": CASE, "direction": "up"})
    assert [step["ids"] for step in packed["steps"]] == [[WATCH]]


def test_a_transformation_told_in_several_events_is_one_step(world: World) -> None:
    world.product("maker", unit="KGM")
    common = {"type": "TransformationEvent", "transformation_id": "urn:x:1"}
    for name in ("A", "B"):
        world.do("maker", action="ADD", quantities=[qty(lot(name), "5")])
        world.do("maker", **common, input_quantities=[qty(lot(name), "5")])
    world.do("maker", **common, output_quantities=[qty(lot("C"), "9")])
    up = world.call("auditor", "item:trace", {"id": lot("C"), "direction": "up"})["steps"]
    assert [step["ids"] for step in up] == [[lot("A"), lot("B")]]
    down = world.call("auditor", "item:trace", {"id": lot("B"), "direction": "down"})["steps"]
    assert [step["ids"] for step in down] == [[lot("C")]]


def test_trace_pages(world: World) -> None:
    world.product("maker", unit="KGM")
    world.do("maker", action="ADD", quantities=[qty(lot("L"), "10")])
    for number in range(5):
        world.do(
            "maker",
            type="TransformationEvent",
            input_quantities=[qty(lot("L"), "1")],
            output_quantities=[qty(lot(f"R{number}"), "1")],
        )
    ask = {"id": lot("L"), "direction": "down", "page_size": 2}
    seen, bookmark = [], ""
    for _ in range(3):
        page = world.call("auditor", "item:trace", {**ask, "bookmark": bookmark})
        seen += [step["ids"][0] for step in page["steps"]]
        bookmark = page["bookmark"]
    assert seen == [lot(f"R{number}") for number in range(5)]
    assert bookmark == ""
    wrong = world.refused("auditor", "item:trace", {**ask, "bookmark": "-1"})
    assert wrong.code == "BAD_ARGUMENT"


def test_unknown_identifiers_are_not_found(world: World) -> None:
    for function, more in (
        ("item:get", {}),
        ("item:history", {}),
        ("item:balances", {}),
        ("item:trace", {"direction": "up"}),
        ("carbon:footprint", {}),
    ):
        argument = {"id": sgtin("NONE"), **more}
        assert world.refused("auditor", function, argument).code == "NOT_FOUND", function
    for function in ("participant:get", "certificate:get"):
        assert world.refused("auditor", function, {"id": party_id(77)}).code == "NOT_FOUND"
    assert world.refused("auditor", "product:get", {"gtin": "09521234543213"}).code == "NOT_FOUND"
    assert world.refused("auditor", "event:get", {"hash": "0" * 64}).code == "NOT_FOUND"


def test_a_lot_shows_its_record_and_balances(story: World) -> None:
    found = story.item(lot("STEEL"))
    assert found["lot"]["maker"] == MAKER
    assert found["balances"][0]["holder"] == MAKER
