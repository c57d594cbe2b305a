"""What is missing in a trace, said as such: pure functions over the events found.

  no-origin            an identifier appears and no event brought it into being
  not-received         shipped, and nobody recorded its arrival
  not-shipped          received, and nobody recorded sending it
  handover-unrecorded  the next event is another party's, with no shipping or receiving between
  time-gap             under way or changing hands, and nothing recorded for over `quiet_days`
  no-events            an identifier of the trace of which no event is known

What happens to a container counts for what is in it. Goods that lie in one party's hands are not
silent, and what a consumer does after the sale is nobody's to record. A gap is no proof of a wrong:
it is where a question is to be asked, and of whom.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from gateway.journeys import Journeys
from gateway.traced import Trace, TracedEvent

DAY_MS = 86_400_000
QUIET_DAYS = 30
_SHIPS = "shipping"
_RECEIVES = frozenset({"receiving", "accepting"})
# Steps that only whoever has the goods can take; transport, customs and inspections are not.
_IN_HAND = frozenset(
    {
        "storing",
        "stocking",
        "packing",
        "unpacking",
        "assembling",
        "repackaging",
        "consigning",
        "retail_selling",
        "dispensing",
        "decommissioning",
        "destroying",
        "repairing",
    }
)
_LEFT = frozenset({"shipping", "departing", "transporting", "consigning", "loading"})
_SOLD = frozenset({"retail_selling", "dispensing"})
_ORIGINS = frozenset(
    {"commissioning", "creating_class_instance", "harvesting", "catching", "hatching"}
)


@dataclass(frozen=True, slots=True)
class Gap:
    """One gap: its kind, the identifier, a sentence, the events beside it (hashes), and times."""

    kind: str
    identifier: str
    sentence: str
    events: tuple[str, ...] = ()
    from_ms: int | None = None
    to_ms: int | None = None
    party: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Absent parts left out."""
        out: dict[str, Any] = {"kind": self.kind, "id": self.identifier, "sentence": self.sentence}
        if self.events:
            out["events"] = list(self.events)
        if self.from_ms is not None:
            out["from_ms"] = self.from_ms
        if self.to_ms is not None:
            out["to_ms"] = self.to_ms
        if self.party is not None:
            out["party"] = self.party
        return out


def gaps(trace: Trace, quiet_days: int = QUIET_DAYS) -> list[Gap]:
    """Every gap of a trace, in order of identifier depth, then time.

    Voided events and error declarations count as not having happened.
    """
    events = [event for event in trace.in_order() if event.follows]
    journeys = Journeys(events)
    out: list[Gap] = []
    for identifier in sorted(trace.depths, key=lambda i: (abs(trace.depths[i]), i)):
        life = journeys.own(identifier)
        if not life:
            if identifier == trace.root or not trace.truncated:
                sentence = f"No event about {identifier} is on the ledger."
                out.append(Gap("no-events", identifier, sentence))
            continue
        if not trace.truncated:
            out.extend(_origin(identifier, life))
        journey = journeys.whole(identifier)
        out.extend(_movements(identifier, life, journey, trace))
        out.extend(_silent_handovers(identifier, journey))
        out.extend(_silences(identifier, journey, quiet_days))
    return out


def _origin(identifier: str, life: Sequence[TracedEvent]) -> list[Gap]:
    if any(_brings(event, identifier) for event in life):
        return []
    first = life[0]
    sentence = (
        f"{identifier} appears in {_name(first)} and no event says where it came from: "
        "no commissioning and no transformation that made it."
    )
    return [
        Gap("no-origin", identifier, sentence, (_hash(first),), None, first.time_ms, _party(first))
    ]


def _brings(event: TracedEvent, identifier: str) -> bool:
    if identifier in event.outputs:
        return True
    if event.parent == identifier and not event.removes:
        return True  # a container begins with what is packed into it
    projection = event.projection
    if projection["type"] != "ObjectEvent":
        return False
    return projection.get("action") == "ADD" or projection.get("step") in _ORIGINS


def _movements(
    identifier: str,
    life: Sequence[TracedEvent],
    journey: Sequence[TracedEvent],
    trace: Trace,
) -> list[Gap]:
    """Shippings without arrival and arrivals without shipping.

    A lot travels in parts: an arrival closes the shipping that names its party, else the oldest.
    """
    out: list[Gap] = []
    under_way: list[TracedEvent] = []
    sent_ms = min((e.time_ms for e in journey if _step(e) == _SHIPS), default=None)
    for event in life:
        step = _step(event)
        if step == _SHIPS:
            under_way.append(event)
        elif step in _RECEIVES:
            if under_way:
                under_way.remove(_shipping_to(_party(event), under_way))
            elif step == "receiving" and (sent_ms is None or sent_ms > event.time_ms):
                out.append(_not_shipped(identifier, event))
        elif under_way and _in_hand(event) and _party(event) != _party(under_way[0]):
            out.append(_not_received(identifier, under_way.pop(0), event))
    if trace.direction != "up" or identifier == trace.root:
        out.extend(_not_received(identifier, shipping, None) for shipping in under_way)
    return out


def _shipping_to(party: str, under_way: Sequence[TracedEvent]) -> TracedEvent:
    for shipping in under_way:
        if any(entry["id"] == party for entry in shipping.projection.get("to") or ()):
            return shipping
    return under_way[0]


def _in_hand(event: TracedEvent) -> bool:
    projection = event.projection
    return projection["type"] == "TransformationEvent" or projection.get("step") in _IN_HAND


def _not_shipped(identifier: str, event: TracedEvent) -> Gap:
    sentence = f"{identifier} was received ({_name(event)}); nobody recorded sending it."
    return Gap(
        "not-shipped", identifier, sentence, (_hash(event),), None, event.time_ms, _party(event)
    )


def _not_received(identifier: str, shipping: TracedEvent, after: TracedEvent | None) -> Gap:
    to = [entry["id"] for entry in shipping.projection.get("to") or ()]
    named = f" to {to[0]}" if to else ""
    return Gap(
        "not-received",
        identifier,
        f"{identifier} was shipped{named} ({_name(shipping)}); no arrival is recorded.",
        (_hash(shipping), *((_hash(after),) if after else ())),
        shipping.time_ms,
        after.time_ms if after else None,
        to[0] if to else None,
    )


def _silent_handovers(identifier: str, journey: Sequence[TracedEvent]) -> list[Gap]:
    """Somebody else has it in hand, and no shipping, receiving or named source says how."""
    out = []
    before: TracedEvent | None = None
    for event in journey:
        step = _step(event)
        if step == _SHIPS or step in _RECEIVES:
            before = None if step == _SHIPS else event
            continue
        if not (_in_hand(event) or _brings(event, identifier)):
            continue
        if (
            before is not None
            and _party(before) != _party(event)
            and not _names_parties(before, event)
            and before.record.get("submitted_by") != _party(event)
            and event.record.get("submitted_by") != _party(before)
        ):
            out.append(_handover(identifier, before, event))
        before = event
    return out


def _handover(identifier: str, before: TracedEvent, after: TracedEvent) -> Gap:
    sentence = (
        f"{identifier} passed from {_party(before)} to {_party(after)} between {_name(before)} "
        f"and {_name(after)}; no handover is recorded."
    )
    return Gap(
        "handover-unrecorded",
        identifier,
        sentence,
        (_hash(before), _hash(after)),
        before.time_ms,
        after.time_ms,
        _party(after),
    )


def _names_parties(before: TracedEvent, after: TracedEvent) -> bool:
    """Whether one of the events names source or destination: then it is the handover."""
    return any(event.projection.get(side) for event in (before, after) for side in ("from", "to"))


def _silences(identifier: str, journey: Sequence[TracedEvent], quiet_days: int) -> list[Gap]:
    out = []
    for before, after in pairwise(journey):
        quiet = after.time_ms - before.time_ms
        if quiet <= quiet_days * DAY_MS or _step(before) in _SOLD:
            continue
        if _party(before) == _party(after) and _step(before) not in _LEFT:
            continue  # it lay where it was
        sentence = (
            f"Nothing is recorded about {identifier} for {quiet // DAY_MS} days between "
            f"{_name(before)} and {_name(after)}."
        )
        out.append(
            Gap(
                "time-gap",
                identifier,
                sentence,
                (_hash(before), _hash(after)),
                before.time_ms,
                after.time_ms,
                _party(before),
            )
        )
    return out


def _step(event: TracedEvent) -> str | None:
    step: str | None = event.projection.get("step")
    return step


def _party(event: TracedEvent) -> str:
    return str(event.record["party"])


def _hash(event: TracedEvent) -> str:
    return str(event.record["hash"])


def _name(event: TracedEvent) -> str:
    step = event.projection.get("step")
    return f"the {step} event" if step else f"the {event.projection['type']}"
