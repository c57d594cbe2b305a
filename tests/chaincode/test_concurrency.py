"""Captures of one block: unrelated ones commit together, related ones conflict.

Would catch: a hot key that serialises the network, a revoked delegation or a double shipment
that slips through because its check was not read.
"""

from __future__ import annotations

from typing import Any

import pytest
from world import DAY, World, lot, party_id, qty, receiver, sgtin

from chaincode import codec, contract
from chaincode.memory import CommitConflict, MemoryStub

L = lot("L")


def endorse(world: World, user: str, function: str, argument: dict[str, Any]) -> MemoryStub:
    """Simulate on the present state without committing."""
    world.count += 1
    msp, pem = world.users[user]
    stub = world.ledger.begin(f"{world.count:064x}", world.now_ms, msp, pem)
    contract.invoke(stub, function, [codec.dumps(argument).decode()])
    return stub


def shipment(world: World, user: str, target: int, amount: str = "1") -> MemoryStub:
    event = world.event(
        action="OBSERVE",
        step="shipping",
        quantities=[qty(L, amount)],
        to=receiver(party_id(target)),
    )
    return endorse(world, user, "event:capture", {"events": [event]})


@pytest.fixture
def shared(world: World) -> World:
    """One lot, part of it with the maker and part with the mill."""
    world.product("maker", unit="KGM", makers=[party_id(2), party_id(8)])
    world.do("maker", action="ADD", quantities=[qty(L, "10")])
    world.do(
        "maker",
        action="OBSERVE",
        step="shipping",
        quantities=[qty(L, "5")],
        to=receiver(party_id(2)),
    )
    world.do("mill", action="OBSERVE", step="receiving", quantities=[qty(L, "5")])
    return world


def test_holders_of_parts_of_a_lot_do_not_disturb_each_other(shared: World) -> None:
    block = [shipment(shared, "maker", 4), shipment(shared, "mill", 5)]
    assert not block[0].writes.keys() & block[1].writes.keys()
    for stub in block:
        stub.commit()


def test_makers_of_one_product_do_not_disturb_each_other(shared: World) -> None:
    block = []
    for user in ("maker", "mill", "brand"):
        event = shared.event(action="ADD", epcs=[sgtin(user)])
        block.append(endorse(shared, user, "event:capture", {"events": [event]}))
    for stub in block:
        stub.commit()


def test_one_balance_is_not_spent_twice_in_a_block(shared: World) -> None:
    block = [shipment(shared, "maker", 4, "5"), shipment(shared, "maker", 5, "5")]
    block[0].commit()
    with pytest.raises(CommitConflict):
        block[1].commit()


def test_one_serial_number_is_not_commissioned_twice_in_a_block(shared: World) -> None:
    block = [
        endorse(
            shared,
            user,
            "event:capture",
            {"events": [shared.event(action="ADD", epcs=[sgtin("A")])]},
        )
        for user in ("maker", "mill")
    ]
    block[0].commit()
    with pytest.raises(CommitConflict):
        block[1].commit()


def test_a_recall_stops_shipments_of_the_same_block(shared: World) -> None:
    event = shared.event(action="OBSERVE", disposition="recalled", quantities=[{"id": L}])
    recall = endorse(shared, "maker", "event:capture", {"events": [event]})
    late = shipment(shared, "mill", 5)
    recall.commit()
    with pytest.raises(CommitConflict):
        late.commit()


def test_a_revoked_delegation_stops_captures_of_the_same_block(shared: World) -> None:
    pair = {"delegate": party_id(2)}
    terms = {"scopes": ["event:capture"], "expires_ms": shared.now_ms + DAY}
    shared.call("maker", "delegation:grant", {**pair, **terms})
    event = shared.event(action="ADD", epcs=[sgtin("A")])
    capture = {"events": [event], "actor": party_id(1)}
    late = endorse(shared, "mill", "event:capture", capture)
    endorse(shared, "maker", "delegation:revoke", pair).commit()
    with pytest.raises(CommitConflict):
        late.commit()


def test_a_suspension_stops_captures_of_the_same_block(shared: World) -> None:
    late = shipment(shared, "maker", 4)
    suspension = {"id": party_id(1), "reason": "fraud"}
    endorse(shared, "regulator", "participant:suspend", suspension).commit()
    with pytest.raises(CommitConflict):
        late.commit()
