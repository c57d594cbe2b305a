"""Every code of the table: how it arises, and that its page tells of it.

Would catch: a code nobody can meet, a refusal with a code outside the table, a page that forgot
a code or kept a dead one.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_certificates import certificate
from test_registry import licence, newcomer
from world import GTIN, World, co2, entry, gln, gtin, lot, party_id, qty, receiver, sgtin, sscc, to

from chaincode import contract
from chaincode.errors import CODES, Refusal

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "error-codes.md"
A, B, L = sgtin("A"), sgtin("B"), lot("L")
SHOP, MAKER = party_id(5), party_id(1)
SHIP: dict[str, Any] = {"action": "OBSERVE", "step": "shipping", "to": receiver(SHOP)}
RECEIVE: dict[str, Any] = {"action": "OBSERVE", "step": "receiving"}
PACK: dict[str, Any] = {"type": "AggregationEvent", "action": "ADD"}
MAKE: dict[str, Any] = {"type": "TransformationEvent"}

Scenario = Callable[[World], Refusal | list[str]]


def call(user: str, function: str, **argument: Any) -> Scenario:
    return lambda world: world.refused(user, function, argument)


def no(user: str, **projection: Any) -> Scenario:
    return lambda world: world.no(user, **projection)


def after(*steps: Callable[[World], Any]) -> Scenario:
    """Run the steps; the last one is the refusal or the codes of the findings."""

    def scenario(world: World) -> Refusal | list[str]:
        for step in steps[:-1]:
            step(world)
        found: Refusal | list[str] = steps[-1](world)
        return found

    return scenario


def do(user: str, **projection: Any) -> Callable[[World], Any]:
    return lambda world: world.do(user, **projection)


def raw(function: str, text: str) -> Scenario:
    def scenario(world: World) -> Refusal:
        stub = world.ledger.begin("f" * 64, world.now_ms, *world.users["maker"])
        with pytest.raises(Refusal) as caught:
            contract.invoke(stub, function, [text])
        return caught.value

    return scenario


def broken_certificate(world: World) -> Refusal:
    world.users["broken"] = ("MakerMSP", b"-")
    return world.refused("broken", "product:define", {"gtin": GTIN, "name": "P", "mode": "report"})


def user(name: str, msp: str, party: str | None, unit: str = "client") -> Callable[[World], Any]:
    return lambda world: world.user(name, msp, party, unit)


def bootstrap(world: World) -> Refusal:
    empty = World()
    empty.user("admin", "XMSP", None, "admin")
    return empty.refused("admin", "participant:register", newcomer())


def suspended(world: World) -> Refusal:
    world.call("regulator", "participant:suspend", {"id": MAKER, "reason": "x"})
    return world.no("maker", action="ADD", epcs=[B])


def taken_hash(world: World) -> Refusal:
    event = world.event(action="ADD", epcs=[B])
    world.capture("maker", event)
    event["projection"] = {**event["projection"], "epcs": [sgtin("C")]}
    return world.refused("maker", "event:capture", {"events": [event]})


def declaration(world: World, by: str, moved: bool = False, anchored: bool = True) -> Any:
    event = world.event(action="ADD", epcs=[B])
    if anchored:
        world.capture("maker", event)
    if moved:
        world.do("maker", epcs=[B], **SHIP)
    error = {"time_ms": 1, "corrective": []}
    wrong = {**event, "projection": {**event["projection"], "error": error}}
    if by == "mill":
        return world.refused("mill", "event:capture", {"events": [wrong]})
    found = [f["code"] for f in world.capture(by, wrong)["anchored"][0]["findings"]]
    if not anchored:
        found += [f["code"] for f in world.capture("maker", event)["anchored"][0]["findings"]]
    return found


def verification(world: World, user: str, twice: bool = False) -> Refusal:
    event = world.event([co2(5)], action="ADD", quantities=[qty(lot("V"), "1")])
    world.call("regulator", "participant:setRoles", {"id": MAKER, "roles": ["auditor", "producer"]})
    world.capture("maker", event)
    argument = {"event": event["hash"], "index": 0, "statement": "x"}
    if twice:
        world.call("labo", "carbon:verify", argument)
    return world.refused(user, "carbon:verify", argument)


def certified(world: World, user: str, function: str, **argument: Any) -> Refusal:
    licensed = {"id": party_id(6), "licence": licence()}
    world.call("regulator", "participant:addLicence", licensed)
    world.do("maker", action="ADD", epcs=[certificate(world)["subject"]])
    world.call("labo", "certificate:anchor", certificate(world))
    if function == "certificate:anchor":
        argument = certificate(world)
    return world.refused(user, function, argument)


def licensed_twice(world: World) -> Refusal:
    argument = {"id": party_id(6), "licence": licence()}
    world.call("regulator", "participant:addLicence", argument)
    return world.refused("regulator", "participant:addLicence", argument)


CHANGE = {"id": "urn:uuid:1", "reason": "x"}

SCENARIOS: dict[str, Scenario] = {
    "UNKNOWN_FUNCTION": raw("event:destroy", "{}"),
    "BAD_ARGUMENT": call("maker", "item:get", id=5),
    "BAD_JSON": raw("item:get", "{"),
    "TOO_LARGE": no("maker", action="ADD", epcs=[A] * 10_001),
    "NOT_FOUND": call("maker", "item:get", id=B),
    "BAD_CERTIFICATE": broken_certificate,
    "CALLER_UNKNOWN": after(user("x", "XMSP", None), no("x", action="ADD", epcs=[B])),
    "CALLER_MSP_MISMATCH": after(user("x", "XMSP", MAKER), no("x", action="ADD", epcs=[B])),
    "PARTY_SUSPENDED": suspended,
    "ROLE_NOT_ALLOWED": no("shop", action="ADD", epcs=[B]),
    "ADMIN_REQUIRED": call("maker", "participant:register", **newcomer()),
    "NOT_DELEGATED": lambda w: w.refused(
        "mill", "event:capture", {"events": [w.event()], "actor": MAKER}
    ),
    "LICENCE_MISSING": lambda w: w.refused("labo", "certificate:anchor", certificate(w)),
    "PARTY_EXISTS": call("regulator", "participant:register", **newcomer(1)),
    "PARTY_UNKNOWN": call("regulator", "participant:suspend", id=party_id(99), reason="x"),
    "BAD_ROLE": call("regulator", "participant:register", **newcomer(roles=["king"])),
    "BOOTSTRAP_REQUIRED": bootstrap,
    "LOCATION_TAKEN": after(
        lambda w: w.call("maker", "participant:addLocation", {"id": MAKER, "location": gln(70)}),
        call("shop", "participant:addLocation", id=SHOP, location=gln(70)),
    ),
    "LICENCE_EXISTS": licensed_twice,
    "BAD_STATE": call("regulator", "participant:reinstate", id=MAKER, reason="x"),
    "BAD_IDENTIFIER": call("maker", "item:get", id="no identifier"),
    "BAD_CHECK_DIGIT": call("maker", "item:get", id="https://id.gs1.org/01/09521234543214"),
    "UNSAFE_CHARACTERS": no("maker", action="ADD", epcs=["urn:x:a\u202eb"]),
    "NOT_CANONICAL": no("maker", action="ADD", epcs=["https://example.com/01/9521234543213"]),
    "BAD_QUANTITY": no("maker", action="ADD", quantities=[qty(L, "-1")]),
    "UNKNOWN_UNIT": no("maker", action="ADD", quantities=[qty(L, "1", "FURLONG")]),
    "UNIT_MISMATCH": after(
        do("maker", action="ADD", quantities=[qty(L, "1")]),
        no("maker", quantities=[qty(L, "1", "CS")], **SHIP),
    ),
    "QUANTITY_REQUIRED": after(
        do("maker", action="ADD", quantities=[qty(L, "1")]),
        no("maker", quantities=[{"id": L}], **SHIP),
    ),
    "PRODUCT_OWNED": call("mill", "product:define", gtin=GTIN, name="P", mode="report"),
    "BAD_PROJECTION": no("maker", action="ADD", price="5"),
    "BAD_HASH": lambda w: w.refused(
        "maker", "event:capture", {"events": [{**entry({}), "hash": "x"}]}
    ),
    "HASH_CONFLICT": taken_hash,
    "EVENT_ID_REUSED": after(
        do("maker", epcs=[A], action="OBSERVE", step="storing", event_id="urn:uuid:1"),
        no("maker", epcs=[A], action="OBSERVE", step="holding", event_id="urn:uuid:1"),
    ),
    "EVENT_IN_FUTURE": no("maker", epcs=[A], action="OBSERVE", time_ms=4_000_000_000_000),
    "OUT_OF_ORDER": lambda w: w.codes("maker", epcs=[A], action="OBSERVE", time_ms=1),
    "ALREADY_COMMISSIONED": no("maker", action="ADD", epcs=[A]),
    "UNKNOWN_IDENTIFIER": no("maker", epcs=[B], **SHIP),
    "NOT_MAKER": after(
        lambda w: w.product("maker", makers=[party_id(2)]), no("brand", action="ADD", epcs=[B])
    ),
    "NOT_HOLDER": no("mill", epcs=[A], **SHIP),
    "NOT_OWNER": no(
        "mill", type="TransactionEvent", action="ADD", epcs=[A], to=to(("owning_party", SHOP))
    ),
    "NOT_IN_TRANSIT": no("shop", epcs=[A], **RECEIVE),
    "IN_TRANSIT": after(do("maker", epcs=[A], **SHIP), no("maker", epcs=[A], **SHIP)),
    "RECEIVER_NOT_NAMED": no("maker", epcs=[A], action="OBSERVE", step="shipping"),
    "NOT_NAMED_RECEIVER": after(do("maker", epcs=[A], **SHIP), no("mill", epcs=[A], **RECEIVE)),
    "NOT_ENOUGH": after(
        do("maker", action="ADD", quantities=[qty(L, "1")]),
        no("maker", quantities=[qty(L, "2")], **SHIP),
    ),
    "NOT_ACTIVE": after(
        do("maker", action="DELETE", step="destroying", epcs=[A]), no("maker", epcs=[A], **SHIP)
    ),
    "CHILD_OF_AGGREGATION": after(
        do("maker", parent=sscc(1), children=[A], **PACK), no("maker", epcs=[A], **SHIP)
    ),
    "NOT_A_CHILD": after(
        do("maker", parent=sscc(1), children=[A], **PACK),
        do("maker", action="ADD", epcs=[B]),
        no("maker", type="AggregationEvent", action="DELETE", parent=sscc(1), children=[B]),
    ),
    "BAD_AGGREGATION": no("maker", parent=A, children=[A], **PACK),
    "YIELD_EXCEEDED": after(
        do("maker", action="ADD", quantities=[qty(L, "1")]),
        no(
            "maker",
            input_quantities=[qty(L, "1")],
            output_quantities=[qty(lot("M"), "2")],
            **MAKE,
        ),
    ),
    "YIELD_NOT_COMPARABLE": after(
        do("maker", action="ADD", quantities=[qty(L, "1")]),
        lambda w: w.codes(
            "maker",
            input_quantities=[qty(L, "1")],
            output_quantities=[qty(lot("M", gtin(4)), "1", "LTR")],
            **MAKE,
        ),
    ),
    "TRANSFORMATION_OWNED": after(
        do("maker", inputs=[A], transformation_id="urn:x:1", **MAKE),
        no("mill", outputs=[B], transformation_id="urn:x:1", **MAKE),
    ),
    "NO_INPUT": no("maker", outputs=[B], **MAKE),
    "VOIDS_UNKNOWN_EVENT": lambda w: declaration(w, "maker", anchored=False)[:1],
    "VOID_NOT_ALLOWED": lambda w: declaration(w, "mill"),
    "VOID_NOT_REVERSED": lambda w: declaration(w, "maker", moved=True),
    "EVENT_VOIDED": lambda w: declaration(w, "maker", anchored=False)[1:],
    "BAD_CARBON": no("maker", epcs=[A], action="OBSERVE", carbon=[co2(-1)]),
    "CARBON_ARITHMETIC": no(
        "maker",
        epcs=[A],
        action="OBSERVE",
        carbon=[co2(5, factor={"id": "f", "version": "1", "value_mg_per_unit": "7"})],
    ),
    "CARBON_UNPLACED": no("maker", epcs=[A], action="OBSERVE", carbon=[co2(5, subjects=[B])]),
    "CARBON_VERIFIED": lambda w: verification(w, "labo", twice=True),
    "SELF_VERIFICATION": lambda w: verification(w, "maker"),
    "CERTIFICATE_EXISTS": lambda w: certified(w, "labo", "certificate:anchor"),
    "CERTIFICATE_NOT_YOURS": lambda w: certified(w, "maker", "certificate:revoke", **CHANGE),
    "SUPERSEDED_BY_UNKNOWN": lambda w: certified(
        w, "labo", "certificate:supersede", **CHANGE, by="urn:uuid:2"
    ),
    "GRANT_NOT_YOURS": call("mill", "grant:give", grantee=SHOP, scope=A),
}


@pytest.fixture
def goods(world: World) -> World:
    """An enforced product, and one piece of it at its maker."""
    world.product("maker")
    world.do("maker", action="ADD", epcs=[A])
    return world


def test_every_code_has_a_scenario() -> None:
    assert SCENARIOS.keys() == CODES.keys()


@pytest.mark.parametrize("code", sorted(CODES))
def test_the_code_can_be_met_and_says_what_would_be_accepted(goods: World, code: str) -> None:
    found = SCENARIOS[code](goods)
    if isinstance(found, list):
        assert found == [code]
        return
    assert found.code == code
    assert found.message.endswith(".")
    assert len(found.message) > 30


def test_every_code_in_the_source_is_in_the_table() -> None:
    used = set()
    for path in sorted((ROOT / "chaincode").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                used |= {node.value} if re.fullmatch(r"[A-Z]+(_[A-Z]+)+", node.value) else set()
    known_words = {"MVCC_READ_CONFLICT", "PHANTOM_READ_CONFLICT"}
    assert used - known_words <= CODES.keys()


def test_the_page_lists_every_code_with_its_sentence() -> None:
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (.+?) \|", PAGE.read_text(), re.MULTILINE))
    assert rows == CODES
