"""Journeys: four to eight steps, gaps shown as gaps, nothing telling lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.credentials.history import History, history
from gateway.web.journey import MOST_STEPS, journey
from tests.certificates.conftest import world
from tests.certificates.world import COFFEE, INSULIN, WATCH, World

__all__ = ["world"]
SUBJECT = "https://id.gs1.org/01/09521105000012/21/A"
STEPS = ["inspecting", "shipping", "receiving", "packing", "retail_selling", "storing", "odd", ""]


def record(hour: int, party: str, step: str = "", **fields: Any) -> dict[str, Any]:
    at = datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000 + hour * 3_600_000
    projection = {"type": "ObjectEvent", "action": "OBSERVE", "time_ms": int(at), "step": step}
    return {"party": party, "findings": [], "projection": projection | fields}


def life(*records: dict[str, Any], origin: bool = True) -> History:
    begun = record(-1, "maker", "commissioning", action="ADD", epcs=[SUBJECT], country="DE")
    events = [begun, *records] if origin else list(records)
    found = History(SUBJECT, list(events))
    if origin:
        found.made = begun
        found.origins = [begun]
    return found


@pytest.mark.parametrize(
    ("path", "first", "last", "countries"),
    [
        (COFFEE, "origin", "sold", {"ET", "DJ", "DE", "CH"}),
        (INSULIN, "origin", "stored", {"IE", "IN", "BE", "FR"}),
        (WATCH, "origin", "sold", {"CH", "IT", "BE", "JP"}),
    ],
)
def test_the_stories_read_as_journeys(
    world: World, path: str, first: str, last: str, countries: set[str]
) -> None:
    with world.container.readmodel.read() as connection:
        found = history(connection, "https://id.gs1.org" + path)
    steps = journey(found)
    assert 4 <= len(steps) <= MOST_STEPS
    assert (steps[0].kind, steps[-1].kind) == (first, last)
    assert countries <= {country for step in steps for country in step.countries}
    assert "made" in {step.kind for step in steps}
    assert not found.cut


def test_an_unknown_beginning_is_a_gap() -> None:
    steps = journey(life(record(1, "shop", "receiving"), origin=False))
    assert [step.kind for step in steps] == ["gap", "stored"]


def test_a_receiver_who_never_confirmed_is_a_gap() -> None:
    to = [{"type": "possessing_party", "id": "shop"}]
    steps = journey(life(record(1, "maker", "shipping", to=to)))
    assert (steps[-1].kind, steps[-1].parties) == ("awaited", ("shop",))
    closed = journey(life(record(1, "maker", "shipping", to=to), record(2, "shop", "receiving")))
    assert "awaited" not in {step.kind for step in closed}


@pytest.mark.parametrize(
    ("disposition", "kind"),
    [("recalled", "recalled"), ("destroyed", "destroyed"), ("stolen", "stolen")],
)
def test_bad_news_is_never_shortened_away(disposition: str, kind: str) -> None:
    many = [record(i, f"p{i}", "inspecting") for i in range(30)]
    many.insert(15, record(15, "x", "holding", disposition=disposition))
    assert kind in {step.kind for step in journey(life(*many))}


def test_a_carrier_across_a_border_transports_whatever_it_recorded_last() -> None:
    steps = journey(
        life(
            record(1, "ship", "receiving", country="DJ"),
            record(2, "ship", "departing", country="DJ"),
            record(3, "ship", "arriving", country="DE"),
            record(4, "ship", "storing", country="DE"),
        )
    )
    assert (steps[-1].kind, steps[-1].countries) == ("transported", ("DJ", "DE"))


def some_events() -> Iterator[Any]:
    yield st.lists(
        st.tuples(
            st.integers(0, 200), st.sampled_from("abcde"), st.sampled_from(STEPS),
            st.sampled_from(["DE", "FR", None]), st.booleans(),
        ),
        max_size=40,
    )  # fmt: skip


@given(*some_events())
def test_any_history_gives_ordered_steps_within_the_limit(events: list[Any]) -> None:
    records = []
    for hour, party, step, country, finding in sorted(events, key=lambda event: event[0]):
        made = record(hour, party, step, **({"country": country} if country else {}))
        made["findings"] = [{"code": "X"}] if finding else []
        records.append(made)
    steps = journey(life(*records))
    assert 1 <= len(steps) <= MOST_STEPS + 1
    dated = [step.first for step in steps if step.first and step.kind != "awaited"]
    assert dated == sorted(dated)
    assert steps[0].kind in ("origin", "made", "sold")


def test_a_pallet_begins_where_its_contents_do(world: World) -> None:
    with world.container.readmodel.read() as connection:
        found = history(connection, "https://id.gs1.org/00/095211020000041018")
    steps = journey(found)
    assert steps[0].kind == "origin"
    assert steps[0].countries == ("ET",)
