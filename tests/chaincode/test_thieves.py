"""Strangers try thousands of events on goods that were never sent to them.

Would catch: any accepted event, of any type, step, disposition and mixture of things, containers,
parties and places, by which a stranger changes who holds, owns or has what under `enforce`.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from world import World, gln, gtin, lot, party_id, qty, sgtin, sscc, to

from chaincode.codec import decode
from chaincode.errors import Refusal

HONEST = {"maker": party_id(1), "shop": party_id(5)}
STRANGERS = {"mill": party_id(2), "carrier": party_id(3), "brand": party_id(8)}
NUMBERS = {"maker": 1, "shop": 5, "mill": 2, "carrier": 3, "brand": 8}
THINGS = [sgtin(f"I{n}") for n in range(5)]
LOTS = [lot("A"), lot("B")]
CONTAINERS = [
    sscc(1),
    sscc(2),
    sgtin("C1", gtin(7)),
    "https://id.gs1.org/8003/09521234543213P1",
    "https://id.gs1.org/8004/9521234X",
    "urn:x:box",
]
PLACES = [*HONEST.values(), f"https://id.gs1.org/414/{gln(1)}", "unnamed"]
STEPS = [
    "shipping",
    "receiving",
    "storing",
    "void_shipping",
    "loading",
    "inspecting",
    "consigning",
    "accepting",
    "destroying",
    "dispensing",
    "retail_selling",
    "decommissioning",
    "holding",
    "repairing",
]
DISPOSITIONS = [
    "active",
    "recalled",
    "returned",
    "destroyed",
    "stolen",
    "retail_sold",
    "dispensed",
    "conformant",
]


def some_event(random: Random, honest: bool) -> dict[str, Any]:
    """Any event; honest parties name each other only and use their own containers."""
    names = NUMBERS.keys() if not honest else HONEST.keys()
    party = NUMBERS[random.choice(sorted(names))]
    things = THINGS + CONTAINERS + ([] if honest else PLACES[:2])
    event: dict[str, Any] = {"action": random.choice(["ADD", "OBSERVE", "DELETE"])}
    for name, words, chance in (("step", STEPS, 0.9), ("disposition", DISPOSITIONS, 0.6)):
        if random.random() < chance:
            event[name] = random.choice(words)
    if random.random() < 0.6:
        kind = random.choice(["possessing_party", "owning_party", "location"])
        place = f"https://id.gs1.org/414/{gln(party)}"
        event["to"] = to((kind, place if kind == "location" else party_id(party)))
    if random.random() < 0.3:
        event["source"] = to(("owning_party", party_id(party)))
    some = [qty(random.choice(LOTS), random.choice(["1", "5"]))]
    kind = random.choice(["Object", "Aggregation", "Aggregation", "Transaction", "Association"])
    if not honest and random.random() < 0.15:
        kind = "Transformation"
        event |= {"inputs": random.sample(things, 1), "outputs": [sgtin("Z", gtin(9))]}
        event["input_quantities"] = some
    elif kind in ("Aggregation", "Association"):
        parents = CONTAINERS if honest else CONTAINERS + PLACES
        event |= {"parent": random.choice(parents), "children": random.sample(things, 2)}
        if random.random() < 0.4:
            event["child_quantities"] = some
        if event["action"] == "DELETE" and random.random() < 0.5:
            del event["children"]
    elif kind == "Object" and random.random() < 0.4:
        event |= {"quantities": some}
    else:
        event["epcs"] = random.sample(things, random.choice([1, 2]))
    if honest and kind == "Object":
        event["action"] = "OBSERVE"
        event["step"] = random.choice(["shipping", "receiving", "storing"])
    return {**event, "type": f"{kind}Event"}


def standing(world: World) -> dict[str, Any]:
    """Who holds, owns and has what of the goods."""
    found: dict[str, Any] = {}
    for uri in THINGS:
        item = world.item(uri)
        fields = ("holder", "owner", "status", "parent", "receiver", "buyer", "maker")
        found[uri] = [item.get(field) for field in fields]
    for name, (value, _) in world.ledger.state.items():
        if name.startswith(tuple(f"\x00balance\x00{uri}\x00" for uri in LOTS)):
            balance = decode(value)
            fields = ("on_hand", "produced", "consumed", "lost", "removed", "status", "incoming")
            stock = {field: balance[field] for field in fields if field in balance}
            if stock:
                found[name] = stock
    return found


@pytest.mark.parametrize("seed", range(25))
def test_strangers_change_nothing(seed: int) -> None:
    random = Random(seed)
    world = World().open()
    for name, role in zip(
        NUMBERS, ("producer", "retailer", "processor", "carrier", "brand"), strict=True
    ):
        world.party(name, NUMBERS[name], role)
    world.product("maker", unit="KGM", makers=list(HONEST.values()))
    world.do("maker", action="ADD", epcs=THINGS)
    world.do("maker", action="ADD", quantities=[qty(uri, "100") for uri in LOTS])
    for _ in range(70):
        honest = random.random() < 0.45
        user = random.choice(sorted(HONEST if honest else STRANGERS))
        before = standing(world)
        event = some_event(random, honest)
        try:
            world.do(user, **event)
        except Refusal:
            continue
        assert honest or standing(world) == before, (user, event)
