"""The walk: through transformations and containers, bounded, cycle-safe, and fast."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gateway.database import open_engine
from gateway.gaps import gaps
from gateway.readmodel.project import Projector
from gateway.readmodel.store import ReadModel
from gateway.trace import trace
from gateway.trace_view import iso_time, view
from gateway.traced import Trace
from tests.gateway.blocks import NAMESPACE, Chain, Tx, digest, event

HOUR = 3_600_000
A, B, C, D = (f"https://id.gs1.org/01/09521234543213/10/{name}" for name in "ABCD")
S1, S2 = (f"https://id.gs1.org/01/09521234543213/21/S{n}" for n in (1, 2))
BOX = "https://id.gs1.org/00/095212345432100010"
TRUCK = "https://id.gs1.org/8004/95212345TRUCK"


class World:
    """A read model filled event by event; `at` is in hours."""

    def __init__(self, url: str) -> None:
        self.readmodel = ReadModel(open_engine(url))
        self.readmodel.prepare()
        self._projector = Projector(self.readmodel, NAMESPACE)
        self._chain = Chain()
        self._writes: dict[tuple[str, ...], Any] = {}

    def add(self, name: str, at: float, **fields: Any) -> None:
        record = event(name, "t", time_ms=int(at * HOUR), index=len(self._writes), **fields)
        self._writes[("event", digest(name))] = record

    def commit(self) -> None:
        number = self._chain.number
        for record in self._writes.values():
            record["tx_id"] = f"t{number}"
        self._projector.apply([self._chain.block(Tx(f"t{number}", self._writes))])
        self._writes = {}

    def trace(self, identifier: str, direction: Any = "both", **options: Any) -> Trace:
        if self._writes:
            self.commit()
        with self.readmodel.read() as connection:
            return trace(connection, identifier, direction, **options)

    def names(self, found: Trace, names: list[str]) -> list[str]:
        """Which of the named events a trace holds, in time order."""
        by_hash = {digest(name): name for name in names}
        return [by_hash[e.hash] for e in found.in_order()]


@pytest.fixture
def world(database: str) -> Iterator[World]:
    made = World(database)
    yield made
    made.readmodel.engine.dispose()


def transform(inputs: list[str], outputs: list[str], **fields: Any) -> dict[str, Any]:
    return {
        "type": "TransformationEvent",
        "input_quantities": [{"id": i, "qty": "10", "unit": "KGM"} for i in inputs],
        "output_quantities": [{"id": i, "qty": "9", "unit": "KGM"} for i in outputs],
        **fields,
    }


def pack(parent: str, children: list[str], action: str = "ADD") -> dict[str, Any]:
    return {"type": "AggregationEvent", "action": action, "parent": parent, "children": children}


def test_up_and_down_through_transformations(world: World) -> None:
    world.add("make A", 1, action="ADD", quantities=[{"id": A}])
    world.add("make B", 1, action="ADD", quantities=[{"id": B}])
    world.add("A,B>C", 5, **transform([A, B], [C]))
    world.add("C>D", 9, **transform([C], [D]))
    world.add("use A later", 12, quantities=[{"id": A}])
    names = ["make A", "make B", "A,B>C", "C>D", "use A later"]
    up = world.trace(D, "up")
    assert world.names(up, names) == ["make A", "make B", "A,B>C", "C>D"]
    assert up.depths == {D: 0, C: -1, A: -2, B: -2}
    down = world.trace(A, "down")
    assert world.names(down, names) == ["make A", "A,B>C", "C>D", "use A later"]
    assert down.depths == {A: 0, C: 1, D: 2}
    assert set(world.trace(C, "both").depths) == {A, B, C, D}


def test_what_happened_after_an_input_was_used_is_not_the_product_s_history(world: World) -> None:
    world.add("make A", 1, action="ADD", quantities=[{"id": A}])
    world.add("A>B", 5, **transform([A], [B]))
    world.add("A again", 6, quantities=[{"id": A}])
    names = ["make A", "A>B", "A again"]
    assert world.names(world.trace(B, "up"), names) == ["make A", "A>B"]


def test_a_ride_shows_the_container_s_journey_and_not_its_other_contents(world: World) -> None:
    world.add("make", 1, action="ADD", epcs=[S1, S2])
    world.add("pack both", 2, **pack(BOX, [S1, S2]))
    world.add("load box", 3, **pack(TRUCK, [BOX]))
    world.add("drive", 4, step="shipping", epcs=[TRUCK])
    world.add("unload", 5, **pack(TRUCK, [BOX], "DELETE"))
    world.add("truck elsewhere", 6, epcs=[TRUCK])
    world.add("take out S1", 7, **pack(BOX, [S1], "DELETE"))
    world.add("box goes on with S2", 8, epcs=[BOX])
    world.add("sell S1", 9, epcs=[S1])
    names = [
        "make", "pack both", "load box", "drive", "unload", "truck elsewhere", "take out S1",
        "box goes on with S2", "sell S1",
    ]  # fmt: skip
    expected = [n for n in names if n not in ("truck elsewhere", "box goes on with S2")]
    for direction in ("up", "down", "both"):
        found = world.trace(S1, direction)
        assert world.names(found, names) == expected
        assert S2 not in found.depths
    assert world.names(world.trace(S2, "down"), names)[-1] == "box goes on with S2"


def test_unpacking_everything_names_no_child(world: World) -> None:
    world.add("pack", 2, **pack(BOX, [S1]))
    world.add("empty", 3, type="AggregationEvent", action="DELETE", parent=BOX)
    world.add("box alone", 4, epcs=[BOX])
    names = ["pack", "empty", "box alone"]
    assert world.names(world.trace(S1, "down"), names) == ["pack", "empty"]


def test_a_lot_leaves_its_container_with_its_last_part(world: World) -> None:
    world.add("pack", 1, type="AggregationEvent", action="ADD", parent=BOX,
              child_quantities=[{"id": A, "qty": "10", "unit": "KGM"}])  # fmt: skip
    for at in (3, 5):
        world.add(f"part {at}", at, type="AggregationEvent", action="DELETE", parent=BOX,
                  child_quantities=[{"id": A, "qty": "5", "unit": "KGM"}])  # fmt: skip
    world.add("move", 4, epcs=[BOX])
    world.add("after", 6, epcs=[BOX])
    names = ["pack", "part 3", "move", "part 5", "after"]
    assert world.names(world.trace(A, "down"), names) == ["pack", "part 3", "move", "part 5"]


def test_a_container_leads_to_what_is_in_it(world: World) -> None:
    world.add("make", 1, action="ADD", epcs=[S1])
    world.add("pack", 2, **pack(BOX, [S1]))
    world.add("sell", 9, epcs=[S1])
    names = ["make", "pack", "sell"]
    assert world.names(world.trace(BOX, "up"), names) == ["make", "pack"]
    assert world.names(world.trace(BOX, "down"), names) == ["pack", "sell"]


def test_one_transformation_told_in_several_events(world: World) -> None:
    world.add("make A", 1, action="ADD", quantities=[{"id": A}])
    world.add("in A", 2, **transform([A], [], transformation_id="urn:t:1"))
    world.add("in B", 3, **transform([B], [], transformation_id="urn:t:1"))
    world.add("out C", 4, **transform([], [C], transformation_id="urn:t:1"))
    names = ["make A", "in A", "in B", "out C"]
    assert world.names(world.trace(C, "up"), names) == names
    assert C in world.trace(A, "down").depths


def test_voided_events_are_shown_and_not_followed(world: World) -> None:
    world.add("A>B", 2, voided_by=digest("A>B"), **transform([A], [B]))
    found = world.trace(B, "up")
    assert [e.voided_by is not None for e in found.in_order()] == [True]
    assert set(found.depths) == {B}


def test_cycles_end(world: World) -> None:
    world.add("A>B", 5, **transform([A], [B]))
    world.add("B>C", 4, **transform([B], [C]))
    world.add("C>A", 6, **transform([C], [A]))
    world.add("A>A", 7, **transform([A], [A]))
    world.add("box in truck", 8, **pack(TRUCK, [BOX]))
    world.add("truck in box", 8, **pack(BOX, [TRUCK]))
    world.add("box in box", 8, **pack(BOX, [BOX]))
    for identifier in (A, B, C, BOX, TRUCK):
        for direction in ("up", "down", "both"):
            found = world.trace(identifier, direction)
            gaps(found)  # ends too
            assert found.levels < 60
            assert not found.truncated


def test_depth_and_size_are_bounded_and_said_to_be(world: World) -> None:
    lots = [f"https://id.gs1.org/01/09521234543213/10/N{n}" for n in range(30)]
    for n, (before, after) in enumerate(pairwise(lots)):
        world.add(f"{n}", n + 1, **transform([before], [after]))
    found = world.trace(lots[-1], "up", max_depth=5)
    assert found.truncated
    assert len(found.depths) == 6
    found = world.trace(lots[-1], "up", max_nodes=12)
    assert found.truncated
    assert len(found.depths) + len(found.events) <= 16
    assert not world.trace(lots[-1], "up").truncated
    world.add("crowd", 99, epcs=[f"urn:x:{n}" for n in range(3000)])
    for n in range(400):
        world.add(f"busy{n}", 100 + n, epcs=[S1])
    found = world.trace(S1, "down", max_nodes=100)
    assert found.truncated
    assert len(found.events) <= 100


def kinds(found: Trace) -> list[tuple[str, str]]:
    return [(gap.kind, gap.identifier) for gap in gaps(found)]


def test_gaps_are_named(world: World) -> None:
    other = {"party": "urn:tracemark:party:mill"}
    world.add("appears", 1, epcs=[S1])
    world.add("ships", 2, step="shipping", epcs=[S1])
    world.add("sold elsewhere", 24 * 60, step="retail_selling", epcs=[S1], **other)
    world.add("second owner", 24 * 900, step="repairing", epcs=[S1], **other)
    world.add("received", 24 * 61, step="receiving", epcs=[S2], **other)
    world.add("A", 1, action="ADD", step="commissioning", quantities=[{"id": A}])
    world.add("A moved silently", 5, step="storing", quantities=[{"id": A}], **other)
    assert kinds(world.trace(S1)) == [
        ("no-origin", S1), ("not-received", S1), ("time-gap", S1),
    ]  # fmt: skip
    assert kinds(world.trace(S2)) == [("no-origin", S2), ("not-shipped", S2)]
    assert kinds(world.trace(A)) == [("handover-unrecorded", A)]
    assert kinds(world.trace("urn:never:seen")) == [("no-events", "urn:never:seen")]


def test_a_complete_history_has_no_gaps(world: World) -> None:
    other = {"party": "urn:tracemark:party:mill"}
    world.add("make", 1, action="ADD", step="commissioning", epcs=[S1])
    world.add("pack", 2, step="packing", **pack(BOX, [S1]))
    world.add("ship", 3, step="shipping", epcs=[BOX])
    world.add("customs", 4, step="inspecting", epcs=[BOX], party="urn:tracemark:party:customs")
    world.add("receive", 5, step="receiving", epcs=[BOX], **other)
    world.add("unpack", 6, step="unpacking", **pack(BOX, [S1], "DELETE"), **other)
    world.add("sell", 7, step="retail_selling", epcs=[S1], **other)
    for direction in ("up", "both"):
        assert kinds(world.trace(S1, direction)) == []


def test_a_long_voyage_inside_nested_containers_has_no_gaps(world: World) -> None:
    other, day = {"party": "urn:tracemark:party:mill"}, 24
    world.add("make", 1, action="ADD", step="commissioning", epcs=[S1])
    world.add("pack", 2, step="packing", **pack(BOX, [S1]))
    world.add("load", 3, step="packing", **pack(TRUCK, [BOX]))
    world.add("ship", 4, step="shipping", epcs=[TRUCK])
    for week in range(1, 8):
        world.add(f"week {week}", week * 7 * day, step="transporting", epcs=[TRUCK])
    world.add("receive", 50 * day, step="receiving", epcs=[TRUCK], **other)
    world.add("unload", 51 * day, step="unpacking", **pack(TRUCK, [BOX], "DELETE"), **other)
    world.add("unpack", 52 * day, step="unpacking", **pack(BOX, [S1], "DELETE"), **other)
    world.add("lies in stock", 200 * day, step="retail_selling", epcs=[S1], **other)
    assert kinds(world.trace(S1)) == []


def test_silence_under_way_is_a_gap(world: World) -> None:
    world.add("make", 1, action="ADD", step="commissioning", epcs=[S1])
    world.add("ship", 2, step="shipping", epcs=[S1])
    world.add("receive", 24 * 60, step="receiving", epcs=[S1], party="urn:tracemark:party:mill")
    assert kinds(world.trace(S1)) == [("time-gap", S1)]


def test_a_lot_that_travels_in_parts_has_no_gaps(world: World) -> None:
    lot = {"quantities": [{"id": A, "qty": "1", "unit": "KGM"}]}
    world.add("make", 1, action="ADD", step="commissioning", **lot)
    for n, to in enumerate(("x", "y")):
        named = [{"type": "possessing_party", "id": f"urn:tracemark:party:{to}"}]
        world.add(f"ship {to}", 2 + n, step="shipping", to=named, **lot)
    for n, to in enumerate(("y", "x")):
        world.add(
            f"receive {to}", 5 + n, step="receiving", party=f"urn:tracemark:party:{to}", **lot
        )
    world.add("late part", 8, step="receiving", party="urn:tracemark:party:x", **lot)
    assert kinds(world.trace(A)) == []


@pytest.mark.parametrize(
    ("ms", "zone", "text"),
    [
        (0, None, "1970-01-01T00:00:00.000Z"),
        (1_772_370_000_000, "-05:00", "2026-03-01T08:00:00.000-05:00"),
        (1_772_370_000_000, "+05:45", "2026-03-01T18:45:00.000+05:45"),
        (1 << 60, "+02:00", f"{1 << 60} ms"),
    ],
)
def test_times_keep_the_event_s_zone(ms: int, zone: str | None, text: str) -> None:
    assert iso_time(ms, zone) == text


def long_chain(world: World) -> str:
    """27 intermediaries in 5 countries, 240 events: 12 transformations, pallets between them."""
    lots = [f"https://id.gs1.org/01/09521234543213/10/STEP{n}" for n in range(28)]
    at = 0.0
    for n in range(27):
        country = ("CO", "PA", "DE", "CH", "JP")[n % 5]
        party = {"party": f"urn:tracemark:party:p{n}", "country": country}
        box = f"https://id.gs1.org/8004/9521234BOX{n}"
        packed = {
            "type": "AggregationEvent",
            "parent": box,
            "child_quantities": [{"id": lots[n + 1], "qty": "9", "unit": "KGM"}],
            **party,
        }
        world.add(f"make{n}", at := at + 1, **transform([lots[n]], [lots[n + 1]]), **party)
        world.add(f"pack{n}", at := at + 1, action="ADD", **packed)
        for m in range(6):
            world.add(f"move{n}.{m}", at := at + 1, step="transporting", epcs=[box], **party)
        world.add(f"unpack{n}", at := at + 1, action="DELETE", **packed)
    return lots[-1]


def test_a_deep_trace_is_fast(tmp_path: Path) -> None:
    world = World(f"sqlite:///{tmp_path}/deep.sqlite")
    for block in range(20):  # other people's events around it
        for n in range(500):
            world.add(f"noise{block}.{n}", n, epcs=[f"urn:noise:{block}:{n % 50}"])
        world.commit()
    root = long_chain(world)
    world.commit()
    times = []
    for _ in range(30):
        began = time.process_time()
        with world.readmodel.read() as connection:
            found = trace(connection, root, "up")
            body = view(connection, found, gaps(found), lambda wanted: ["available"] * len(wanted))
        times.append(time.process_time() - began)
    assert body["counts"]["events"] == 243
    assert body["counts"]["countries"] == 5
    assert not found.truncated
    assert statistics.median(times) < 0.05, "far above the aim of 20 ms even on a slow machine"
    world.readmodel.engine.dispose()
