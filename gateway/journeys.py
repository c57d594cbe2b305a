"""Each identifier's own events, and with them what its containers went through meanwhile."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.traced import TracedEvent


class Journeys:
    """Over events in order of time, none of them voided."""

    def __init__(self, events: Iterable[TracedEvent]) -> None:
        self._own: dict[str, list[TracedEvent]] = {}
        self._whole: dict[str, list[TracedEvent]] = {}
        for event in events:
            for identifier in _subjects(event):
                self._own.setdefault(identifier, []).append(event)

    def own(self, identifier: str) -> list[TracedEvent]:
        """Events that name the identifier itself, losses apart."""
        return self._own.get(identifier, [])

    def whole(self, identifier: str) -> list[TracedEvent]:
        """Its own events and its containers' while it was inside, in order of time."""
        known = self._whole.get(identifier)
        if known is not None:
            return known
        own = self.own(identifier)
        self._whole[identifier] = own  # what a container inside itself would see
        found = {event.seq: event for event in own}
        for event in own:
            container = event.boards(identifier)
            if container is None:
                continue
            out = (e.time_ms for e in own if e.lets_out(container, identifier))
            end = next((at for at in out if at >= event.time_ms), None)
            for ride in self.whole(container):
                inside = ride.time_ms >= event.time_ms and (end is None or ride.time_ms <= end)
                if inside and ride.parent != container:
                    found[ride.seq] = ride
        whole = sorted(found.values(), key=lambda event: (event.time_ms, event.seq))
        self._whole[identifier] = whole
        return whole


def _subjects(event: TracedEvent) -> dict[str, None]:
    """Everything the event speaks of: moved, made, used, packed, or packed into."""
    out = dict.fromkeys(event.projection.get("epcs") or ())
    for entry in event.projection.get("quantities") or ():
        out[entry["id"]] = None
    out |= event.inputs
    out |= event.outputs
    out |= event.children
    if event.parent is not None:
        out[event.parent] = None
    return out
