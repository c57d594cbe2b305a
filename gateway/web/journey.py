"""A product's history as a person reads it: four to eight steps, and gaps shown as gaps.

Consecutive events of one party become one step, named after the most telling thing that happened
there. What the ledger does not show is a step of its own: an unrecorded beginning, or a handover
whose receiver never confirmed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date

from gateway.credentials.history import History, Record
from gateway.credentials.readings import INSPECTING, local_time, made_by_event
from gateway.credentials.sentences import N_

MOST_STEPS = 8

_KINDS: Mapping[str, tuple[int, str]] = {
    "recalled": (100, N_("Recalled")),
    "destroyed": (95, N_("Destroyed")),
    "stolen": (95, N_("Reported stolen")),
    "dispensed": (90, N_("Handed out to a patient")),
    "made": (88, N_("Made")),
    "sold": (86, N_("Sold")),
    "origin": (80, N_("Origin")),
    "checked": (70, N_("Checked")),
    "processed": (60, N_("Processed")),
    "stored": (30, N_("Received")),
    "transported": (20, N_("Transported")),
    "packed": (15, N_("Packed")),
    "seen": (5, N_("Recorded")),
    "gap": (99, N_("Not recorded")),
    "awaited": (99, N_("Receipt not recorded")),
}
"""Step kind -> (how telling it is, its label)."""

_MOVING = frozenset({"transported", "stored", "packed", "seen"})

_STEPS: Mapping[str, str] = {
    **dict.fromkeys(INSPECTING, "checked"),
    "retail_selling": "sold",
    "selling": "sold",
    "dispensing": "dispensed",
    "destroying": "destroyed",
    "shipping": "transported",
    "departing": "transported",
    "arriving": "transported",
    "transporting": "transported",
    "loading": "transported",
    "unloading": "transported",
    "receiving": "stored",
    "accepting": "stored",
    "storing": "stored",
    "packing": "packed",
    "unpacking": "packed",
    "picking": "packed",
}
_STATES: Mapping[str, str] = {
    "recalled": "recalled",
    "stolen": "stolen",
    "destroyed": "destroyed",
    "dispensed": "dispensed",
    "retail_sold": "sold",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step. parties: ids of who recorded it (for a missing receipt, of who should have; empty
    where nobody is known). countries: ISO codes in order of appearance."""

    kind: str
    parties: tuple[str, ...]
    countries: tuple[str, ...] = ()
    first: date | None = None
    last: date | None = None
    events: int = 0
    findings: int = 0

    @property
    def label(self) -> str:
        """Message id of what happened."""
        return _KINDS[self.kind][1]

    @property
    def weight(self) -> int:
        """How telling the step is; crossing a border is more so than moving about."""
        base = _KINDS[self.kind][0]
        return base + 45 if self.kind == "transported" and len(self.countries) > 1 else base


def journey(life: History) -> list[Step]:
    """The steps of a history, oldest first; [] for an empty one."""
    if not life.events:
        return []
    steps = _merge(_stays(life))
    steps = _join_origins(steps, same_country=True)
    if len(steps) > MOST_STEPS:
        steps = _join_origins(steps, same_country=False)
    if not life.origins:
        steps.insert(0, Step("gap", ()))
    return _with_missing_receipt(_shorten(steps), life)


def kind_of(record: Record, life: History) -> str:
    """What an event means to this product."""
    projection = record["projection"]
    made = made_by_event(projection)
    state = _STATES.get(projection.get("disposition", ""))
    if state:
        return state
    if life.subject in made:
        return "origin" if record in life.origins and not life.ancestors else "made"
    if record in life.origins:
        return "origin"
    if projection["type"] == "TransformationEvent":
        return "processed"
    return _STEPS.get(projection.get("step", ""), "seen")


def _stays(life: History) -> Iterable[Step]:
    for record in life.events:
        projection = record["projection"]
        day = local_time(projection).date()
        country = projection.get("country")
        yield Step(
            kind_of(record, life),
            (record["party"],),
            (country,) if country else (),
            day,
            day,
            1,
            len(record.get("findings", ())),
        )


def _merge(stays: Iterable[Step]) -> list[Step]:
    """One step per uninterrupted stay with a party."""
    steps: list[Step] = []
    for stay in stays:
        if steps and steps[-1].parties == stay.parties and _alike(steps[-1], stay):
            steps[-1] = _joined(steps[-1], stay)
        else:
            steps.append(stay)
    return steps


def _alike(step: Step, stay: Step) -> bool:
    """A sale or a making is a step of its own beside another telling one of the same party."""
    telling = {"made", "sold", "dispensed", "recalled", "destroyed", "stolen"}
    return not (step.kind != stay.kind and step.kind in telling and stay.kind in telling)


def _joined(step: Step, stay: Step) -> Step:
    countries = tuple(dict.fromkeys(step.countries + stay.countries))
    kind = stay.kind if stay.weight > step.weight else step.kind
    if len(countries) > 1 and kind in _MOVING:
        kind = "transported"
    return replace(
        step,
        kind=kind,
        parties=tuple(dict.fromkeys(step.parties + stay.parties)),
        countries=countries,
        first=min(filter(None, (step.first, stay.first)), default=None),
        last=max(filter(None, (step.last, stay.last)), default=None),
        events=step.events + stay.events,
        findings=step.findings + stay.findings,
    )


def _join_origins(steps: list[Step], *, same_country: bool) -> list[Step]:
    """Neighbouring beginnings become one: several farms, one origin."""
    joined: list[Step] = []
    for step in steps:
        last = joined[-1] if joined else None
        if (
            last is not None
            and last.kind == step.kind == "origin"
            and (not same_country or last.countries == step.countries)
        ):
            joined[-1] = _joined(last, step)
        else:
            joined.append(step)
    return joined


def _shorten(steps: list[Step]) -> list[Step]:
    """At most eight: the least telling step gives way, first to a neighbour of its own party."""
    while len(steps) > MOST_STEPS:
        weakest = min(range(1, len(steps)), key=lambda i: (steps[i].weight, -i))
        gone = steps.pop(weakest)
        for i in range(len(steps) - 1):
            same = steps[i].parties == steps[i + 1].parties == gone.parties
            if same and _alike(steps[i], steps[i + 1]):
                steps[i] = _joined(steps[i], steps.pop(i + 1))
                break
    return steps


def _with_missing_receipt(steps: list[Step], life: History) -> list[Step]:
    """A gap where the last shipment named a receiver of whom nothing was heard since."""
    shipped: tuple[str, date] | None = None
    for record in life.events:
        projection = record["projection"]
        if projection.get("step") == "shipping":
            receivers = [
                end["id"]
                for end in projection.get("to", ())
                if end.get("type") == "possessing_party"
            ]
            day = local_time(projection).date()
            shipped = (receivers[0], day) if receivers else None
        elif shipped and record["party"] == shipped[0]:
            shipped = None
    if shipped and _KINDS[steps[-1].kind][0] < 90:
        steps.append(Step("awaited", (shipped[0],), (), shipped[1]))
    return steps
