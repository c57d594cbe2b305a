"""The walk from an event to a party, on products described in plain dictionaries."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from nodes.payloads.access import Relation
from nodes.payloads.relations import (
    MAX_DEPTH,
    MAX_IDENTIFIERS,
    Direction,
    Step,
    identifiers_of,
    relations,
)

FARM, MILL, ROASTER, SHOP = "farm", "mill", "roaster", "shop"


class Products:
    """A product history in memory: `made` maps an output to (parties, inputs)."""

    def __init__(self, made: dict[str, tuple[str, list[str]]], held: set[tuple[str, str]]) -> None:
        self.made, self.held, self.looked_at = made, held, 0

    def party_of_location(self, location: str) -> str | None:
        return SHOP if location == "dock" else None

    def holds_or_held(self, identifier: str, party: str) -> bool:
        return (identifier, party) in self.held

    def steps(self, identifier: str, direction: Direction) -> Iterable[Step]:
        self.looked_at += 1
        if direction == "up" and identifier in self.made:
            party, inputs = self.made[identifier]
            yield Step(frozenset({party}), tuple(inputs))
        if direction == "down":
            for output, (party, inputs) in self.made.items():
                if identifier in inputs:
                    yield Step(frozenset({party}), (output,))


def event(party: str, **projection: object) -> dict[str, object]:
    return {"party": party, "projection": projection}


COFFEE = Products(
    {
        "parchment": (FARM, ["cherries"]),
        "green": (MILL, ["parchment"]),
        "bag": (ROASTER, ["green"]),
    },
    {("cherries", "picker"), ("bag", SHOP)},
)


@pytest.mark.parametrize(
    ("party", "expected"),
    [
        (MILL, {Relation.MADE}),
        ("co-op", {Relation.MADE}),
        ("buyer", {Relation.NAMED}),
        (SHOP, {Relation.NAMED}),
        (FARM, {Relation.UPSTREAM}),
        ("picker", {Relation.UPSTREAM}),
        (ROASTER, {Relation.DOWNSTREAM}),
        ("stranger", set()),
    ],
)
def test_relations_to_a_milling_event(party: str, expected: set[Relation]) -> None:
    """Each way to be concerned by an event is found, and no other."""
    milling = event(
        MILL,
        inputs=["parchment"],
        outputs=["green"],
        to=[{"type": "possessing_party", "id": "buyer"}, {"type": "location", "id": "dock"}],
    ) | {"submitted_by": "co-op"}
    assert relations(party, [milling], COFFEE) == expected


def test_holding_counts_before_walking() -> None:
    """A holder is a holder even where the walk would call it something else."""
    assert relations(SHOP, [event(ROASTER, epcs=["bag"])], COFFEE) == {Relation.HELD}


def test_a_shallow_look_does_not_walk() -> None:
    """Confidential data ask only for the parties of the event; the walk would be wasted."""
    products = Products({"b": (FARM, ["a"])}, {("b", MILL)})
    assert relations(MILL, [event(FARM, epcs=["b"])], products, deep=False) == frozenset()
    assert products.looked_at == 0


def test_the_walk_is_bounded_in_width() -> None:
    """One event with thousands of ingredients must not stall the node."""
    products = Products({"soup": ("cook", [f"i{n}" for n in range(5000)])}, set())
    assert relations("stranger", [event("cook", epcs=["soup"])], products) == frozenset()
    assert products.looked_at <= 2 * MAX_IDENTIFIERS


def test_the_walk_is_bounded_in_depth_and_survives_cycles() -> None:
    """A chain of blends that feeds itself (rework) ends, and distance has an end."""
    chain = {f"l{n}": (f"p{n}", [f"l{n + 1}"]) for n in range(MAX_DEPTH + 20)}
    products = Products(chain, set())
    start = [event("x", epcs=["l0"])]
    assert relations(f"p{MAX_DEPTH - 1}", start, products) == {Relation.UPSTREAM}
    assert relations(f"p{MAX_DEPTH + 5}", start, products) == frozenset()
    loop = Products({"a": (FARM, ["b"]), "b": (MILL, ["a"])}, set())
    assert relations("stranger", [event("x", epcs=["a"])], loop) == frozenset()


def test_every_identifier_of_a_projection_is_seen() -> None:
    """An identifier field left out would hide holders of exactly those goods."""
    projection = {
        "parent": "p",
        "epcs": ["e"],
        "children": ["c"],
        "inputs": ["i"],
        "outputs": ["o"],
        "quantities": [{"id": "q"}],
        "child_quantities": [{"id": "cq"}],
        "input_quantities": [{"id": "iq"}],
        "output_quantities": [{"id": "oq"}],
    }
    assert sorted(identifiers_of({"projection": projection})) == sorted(
        ["p", "e", "c", "i", "o", "q", "cq", "iq", "oq"]
    )
