"""How a party stands to the product an event speaks of: a bounded walk, no ledger in sight.

:func:`relations` is given what the chain says through :class:`ProductHistory` and answers with
the set of :class:`~nodes.payloads.access.Relation`. It stops at the first level that answers the
question, because the access rules ask in the same order: the event itself, then its goods, then
what went into them and what became of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from nodes.payloads.access import Relation

EventRecord = Mapping[str, Any]
Direction = Literal["up", "down"]

MAX_DEPTH = 40
MAX_IDENTIFIERS = 400

_ID_FIELDS = ("epcs", "children", "inputs", "outputs")
_QUANTITY_FIELDS = ("quantities", "child_quantities", "input_quantities", "output_quantities")


@dataclass(frozen=True, slots=True)
class Step:
    """One event on the way up or down: who acted, and the identifiers it leads to."""

    parties: frozenset[str]
    identifiers: tuple[str, ...]


class ProductHistory(Protocol):
    """What the walk asks of the chain; identifiers canonical, parties by id."""

    def party_of_location(self, location: str) -> str | None:
        """The party a location belongs to, None if nobody registered it."""

    def holds_or_held(self, identifier: str, party: str) -> bool:
        """Whether `party` holds, owns or is sent `identifier`, or ever did."""

    def steps(self, identifier: str, direction: Direction) -> Iterable[Step]:
        """Events that made `identifier` (up) or that used it up (down)."""


def relations(
    party: str,
    records: Iterable[EventRecord],
    history: ProductHistory,
    *,
    deep: bool = True,
) -> frozenset[Relation]:
    """Relations of `party` to the event with these chain `records` (docs/design/contract.md).

    `records` are the event and, if there is one, its error declaration. Without `deep` only the
    event itself is looked at (MADE, NAMED). At most MAX_IDENTIFIERS identifiers within MAX_DEPTH
    steps are looked at in each direction; further away there is no relation.
    """
    records = list(records)
    found = frozenset(_direct(party, records, history))
    if found or not deep:
        return found
    identifiers = list(dict.fromkeys(i for record in records for i in identifiers_of(record)))
    if any(history.holds_or_held(identifier, party) for identifier in identifiers):
        return frozenset({Relation.HELD})
    # Up the chain sits who supplied the event's goods; down the chain who got what they became.
    if _meets(party, identifiers, "up", history):
        return frozenset({Relation.UPSTREAM})
    if _meets(party, identifiers, "down", history):
        return frozenset({Relation.DOWNSTREAM})
    return frozenset()


def identifiers_of(record: EventRecord) -> Iterator[str]:
    """Every product or container identifier in the projection of an event record."""
    projection = record.get("projection", {})
    if "parent" in projection:
        yield projection["parent"]
    for name in _ID_FIELDS:
        yield from projection.get(name, ())
    for name in _QUANTITY_FIELDS:
        for quantity in projection.get(name, ()):
            yield quantity["id"]


def _direct(
    party: str, records: Iterable[EventRecord], history: ProductHistory
) -> Iterator[Relation]:
    for record in records:
        if party in (record.get("party"), record.get("submitted_by")):
            yield Relation.MADE
        projection = record.get("projection", {})
        for side in ("from", "to"):
            for end in projection.get(side, ()):
                if party in (end["id"], history.party_of_location(end["id"])):
                    yield Relation.NAMED


def _meets(party: str, level: list[str], direction: Direction, history: ProductHistory) -> bool:
    seen = set(level)
    for _ in range(MAX_DEPTH):
        reached: list[str] = []
        for step in (s for identifier in level for s in history.steps(identifier, direction)):
            if party in step.parties:
                return True
            new = [i for i in dict.fromkeys(step.identifiers) if i not in seen]
            new = new[: MAX_IDENTIFIERS - len(seen)]
            seen.update(new)
            reached += new
        if any(history.holds_or_held(identifier, party) for identifier in reached):
            return True
        if not reached:
            return False
        level = reached
    return False
