"""Conservation: no party, policy or order of events makes goods out of nothing.

Would catch: any rule that adds to one balance without taking from another, under enforce and
under report (where what has no known source is counted as adopted, openly).
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from world import World, lot, party_id, qty, receiver, sscc

from chaincode.codec import decode
from chaincode.errors import Refusal
from chaincode.units import amount

USERS = {"maker": party_id(1), "mill": party_id(2), "shop": party_id(5), "carrier": party_id(3)}
LOTS = [lot("A"), lot("B"), lot("C")]
UNITS = ["KGM", "GRM", "LBR", "TNE"]

operations = st.lists(
    st.tuples(
        st.sampled_from(
            ["add", "ship", "receive", "void", "destroy", "lose", "make", "pack", "unpack", "store"]
        ),
        st.sampled_from(sorted(USERS)),
        st.sampled_from(sorted(USERS)),
        st.sampled_from(LOTS),
        st.sampled_from(LOTS),
        st.sampled_from(["0.5", "1", "3", "10", "45.359237", None]),
        st.sampled_from(UNITS),
    ),
    max_size=30,
)


def event_of(world: World, operation: tuple[Any, ...]) -> dict[str, Any]:
    kind, _, other, first, second, amount, unit = operation
    some = qty(first, amount, unit) if amount is not None else {"id": first}
    return {
        "add": {"action": "ADD", "quantities": [some]},
        "ship": {
            "action": "OBSERVE",
            "step": "shipping",
            "quantities": [some],
            **({"to": receiver(USERS[other])} if other != "carrier" else {}),
        },
        "receive": {"action": "OBSERVE", "step": "receiving", "quantities": [some]},
        "void": {
            "action": "OBSERVE",
            "step": "void_shipping",
            "quantities": [some],
            "to": receiver(USERS[other]),
        },
        "destroy": {"action": "DELETE", "step": "destroying", "quantities": [some]},
        "lose": {"action": "OBSERVE", "step": "receiving", "losses": [some]},
        "make": {
            "type": "TransformationEvent",
            "input_quantities": [some],
            "output_quantities": [{**some, "id": second}],
        },
        "pack": {
            "type": "AggregationEvent",
            "action": "ADD",
            "parent": sscc(1),
            "child_quantities": [some],
        },
        "unpack": {"type": "AggregationEvent", "action": "DELETE", "parent": sscc(1)},
        "store": {"action": "OBSERVE", "step": "storing", "quantities": [some]},
    }[str(kind)]


def books(world: World, uri: str) -> tuple[int, int, int]:
    """What came into the books of a lot, where it is, and how much of that was consumed."""
    came = went = consumed = 0
    stub = world.ledger.begin("0" * 64, world.now_ms, *world.users["maker"])
    for row in stub.get_state_by_partial_composite_key("balance", [uri]):
        balance = decode(row.value)
        came += int(balance.get("produced", 0)) + int(balance.get("adopted", 0))
        went += sum(int(balance.get(f, 0)) for f in ("on_hand", "consumed", "lost", "removed"))
        went += sum(int(entry["amount"]) for entry in balance.get("incoming", {}).values())
        consumed += int(balance.get("consumed", 0))
        assert int(balance.get("on_hand", 0)) >= 0
    return came, went, consumed


def run(mode: str, plan: list[tuple[Any, ...]]) -> tuple[World, int]:
    """Try the operations; returns the world and the base amount that was commissioned."""
    world = World().open()
    world.party("maker", 1, "producer")
    world.party("mill", 2, "processor")
    world.party("carrier", 3, "carrier")
    world.party("shop", 5, "retailer")
    world.product("maker", mode, unit="KGM")
    commissioned = 0
    for operation in plan:
        try:
            world.do(operation[1], **event_of(world, operation))
        except Refusal:
            assert mode == "enforce"
        else:
            if operation[0] == "add":
                commissioned += amount(operation[5] or "0.001", operation[6])[1]
    return world, commissioned


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(operations)
def test_under_enforce_goods_come_from_production_alone(plan: list[tuple[Any, ...]]) -> None:
    world, commissioned = run("enforce", plan)
    remaining = 0
    for uri in LOTS:
        came, went, consumed = books(world, uri)
        assert came == went
        remaining += went - consumed
    assert remaining <= commissioned
    for name, (value, _) in world.ledger.state.items():
        assert not (name.startswith("\x00balance") and b'"adopted"' in value)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(operations)
def test_under_report_every_event_is_taken_and_the_books_still_balance(
    plan: list[tuple[Any, ...]],
) -> None:
    world, _ = run("report", plan)
    for uri in LOTS:
        came, went, _ = books(world, uri)
        assert came == went
