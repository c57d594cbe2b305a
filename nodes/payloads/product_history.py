"""Who held what, and what became of what, read from the contract's records.

Implements :class:`nodes.payloads.relations.ProductHistory`. An item's holder, owner and receiver
stand in the versions of its record; while it is packed, its holder is that of the containers
around it, so a container's versions count for the time the item was inside and not for what the
container (a reusable crate, say) carried before or after. A lot has one balance record per
holder; a balance may be held by a container.

Under the policy `report` the contract takes events of parties that have no hold on the goods and
notes it. Such an event makes nobody a partner, nor does what follows from it: else anybody could
read a chain's payloads by claiming to have received the goods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Final

from nodes.payloads.chain_state import Record, StateReader, below, record, versions
from nodes.payloads.relations import Direction, Step

MAX_NESTING: Final = 6
REMEMBERED: Final = 4096
_FOR_EVER: Final = 1 << 62
_PARTY_STEMS: Final = ("https://id.gs1.org/417/", "urn:tracemark:party:")
_INTRUSIONS: Final = frozenset(
    {"NOT_HOLDER", "NOT_NAMED_RECEIVER", "NOT_IN_TRANSIT", "ALREADY_COMMISSIONED", "NOT_ENOUGH"}
)
"""Findings that say: who acted had no hold on the goods it acted on."""


class LedgerHistory:
    """The history of products in one snapshot of a node's state."""

    def __init__(self, state: StateReader) -> None:
        """`state`: one snapshot; answers are remembered, for the next event of the same goods."""
        self._state = state
        self._known_steps: Callable[[str, Direction], tuple[Step, ...]]
        self._known_steps = lru_cache(REMEMBERED)(self._steps)
        self._known_holding = lru_cache(REMEMBERED)(self._holds_or_held)
        self._known_custodians = lru_cache(REMEMBERED)(self._custodians)
        self._known_intrusion = lru_cache(REMEMBERED)(self._is_intrusion)

    def party_of_location(self, location: str) -> str | None:
        """The party a location is registered to."""
        found = record(self._state, "location", location)
        return found["party"] if found else None

    def holds_or_held(self, identifier: str, party: str) -> bool:
        """Whether `party` holds, owns or is sent `identifier`, or ever did."""
        return self._known_holding(identifier, party)

    def steps(self, identifier: str, direction: Direction) -> Iterable[Step]:
        """Events that made `identifier` (up) or used it up (down), with their other side."""
        return self._known_steps(identifier, direction)

    def _holds_or_held(self, identifier: str, party: str) -> bool:
        custodians = self._known_custodians(identifier)
        if custodians is not None:
            return party in custodians
        if record(self._state, "balance", identifier, party) is not None:
            return True
        if self._held(identifier, party, 0, _FOR_EVER, 0):
            return True
        return any(
            self._held(balance["holder"], party, 0, _FOR_EVER, 1)
            for balance in below(self._state, "balance", identifier)
            if not balance["holder"].startswith(_PARTY_STEMS)
        )

    def _steps(self, identifier: str, direction: Direction) -> tuple[Step, ...]:
        return tuple(self._up(identifier) if direction == "up" else self._down(identifier))

    def _held(self, item: str, party: str, start_ms: int, end_ms: int, depth: int) -> bool:
        if depth > MAX_NESTING:
            return False
        found = self._sound_versions(item)
        ends = [time_ms for time_ms, _ in found[1:]] + [_FOR_EVER]
        for (from_ms, version), until_ms in zip(found, ends, strict=False):
            if until_ms <= start_ms or from_ms >= end_ms:
                continue
            if party in (version.get("holder"), version.get("owner"), version.get("receiver")):
                return True
            parent = version.get("parent")
            inside = max(from_ms, start_ms), min(until_ms, end_ms)
            if parent and self._held(parent, party, *inside, depth + 1):
                return True
        return False

    def _up(self, identifier: str) -> Iterator[Step]:
        for event in self._sound_events_of(identifier):
            projection = event["projection"]
            if identifier in _ids(projection, "outputs", "output_quantities"):
                inputs = _ids(projection, "inputs", "input_quantities")
                opened = projection.get("transformation_id")
                yield Step(_parties(event), tuple(inputs + self._inputs_of(opened)))
            elif projection.get("action") == "ADD" and projection.get("parent") != identifier:
                yield Step(_parties(event), ())
        contents = dict[str, None]()
        for _, version in self._sound_versions(identifier):
            contents |= dict.fromkeys(version.get("contents", ()))
        if contents:
            yield Step(frozenset(), tuple(contents))

    def _down(self, identifier: str) -> Iterator[Step]:
        for event in self._sound_events_of(identifier):
            projection = event["projection"]
            if identifier in _ids(projection, "inputs", "input_quantities"):
                outputs = _ids(projection, "outputs", "output_quantities")
                opened = projection.get("transformation_id")
                yield Step(_parties(event), tuple(outputs + self._outputs_of(opened)))

    def _sound_versions(self, item: str) -> list[tuple[int, Record]]:
        """An item's versions up to the first that somebody without a hold on it brought about."""
        found = versions(self._state, "item", item)
        for place, (_, version) in enumerate(found):
            if any(self._known_intrusion(digest) for digest in version.get("events", ())):
                return found[:place]
        return found

    def _sound_events_of(self, identifier: str) -> Iterator[Record]:
        """Events that count as evidence: no intrusions, and nothing that rests on one."""
        custodians = self._known_custodians(identifier)
        for event in self._events_of(identifier, self._sound_versions(identifier)):
            if not _intrudes(event) and (custodians is None or event["party"] in custodians):
                yield event

    def _custodians(self, lot: str) -> frozenset[str] | None:
        """Of a lot that somebody intruded on: its maker and whom it was handed on to from there.

        None for a lot without intrusions, and for an item.
        """
        events = list(self._events_of(lot, ()))
        if not any(map(_intrudes, events)):
            return None
        made = record(self._state, "lot", lot)
        found = {made["maker"]} if made and "maker" in made else set[str]()
        sound = [event for event in events if not _intrudes(event)]
        grows = bool(found)
        while grows:
            named = {
                self._party_at(end["id"])
                for event in sound
                if event["party"] in found
                for end in event["projection"].get("to", ())
            }
            grows = not named - {None} <= found
            found |= {name for name in named if name}
        return frozenset(found)

    def _party_at(self, end: str) -> str | None:
        return end if end.startswith(_PARTY_STEMS) else self.party_of_location(end)

    def _is_intrusion(self, digest: str) -> bool:
        event = record(self._state, "event", digest)
        return event is not None and _intrudes(event)

    def _events_of(self, identifier: str, items: Iterable[tuple[int, Record]]) -> Iterator[Record]:
        """Events of these versions and of the lot's own records, each once."""
        hashes = dict[str, None]()
        for _, version in (*items, *versions(self._state, "lot", identifier)):
            named = (version.get("made_by"), version.get("consumed_by"))
            hashes |= dict.fromkeys([*filter(None, named), *version.get("events", ())])
        for balance in below(self._state, "balance", identifier):
            for _, version in versions(self._state, "balance", identifier, balance["holder"]):
                hashes |= dict.fromkeys(version.get("events", ()))
        for digest in hashes:
            event = record(self._state, "event", digest)
            if event is not None:
                yield event

    def _inputs_of(self, transformation: str | None) -> list[str]:
        # A transformation may be told in several events: the inputs in one, the outputs later.
        found = list[str]()
        for event in self._transformation_events(transformation):
            found += _ids(event["projection"], "inputs", "input_quantities")
        return found

    def _outputs_of(self, transformation: str | None) -> list[str]:
        opened = record(self._state, "transformation", transformation) if transformation else None
        return list(opened.get("outputs_ids", ())) if opened else []

    def _transformation_events(self, transformation: str | None) -> Iterator[Record]:
        if transformation is None:
            return
        hashes = dict[str, None]()
        for _, version in versions(self._state, "transformation", transformation):
            hashes |= dict.fromkeys(version.get("events", ()))
        for digest in hashes:
            event = record(self._state, "event", digest)
            if event is not None:
                yield event


def _intrudes(event: Record) -> bool:
    return any(finding["code"] in _INTRUSIONS for finding in event.get("findings", ()))


def _parties(event: Record) -> frozenset[str]:
    return frozenset(filter(None, (event.get("party"), event.get("submitted_by"))))


def _ids(projection: Record, listed: str, quantities: str) -> list[str]:
    return [*projection.get(listed, ()), *(q["id"] for q in projection.get(quantities, ()))]
