"""Input by someone who bypasses the gateway and speaks to the contract directly.

Would catch: a crash instead of a refusal, a wrong type stored, a bomb of identifiers, text that
reads differently from what it is, a function open to the wrong role.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from world import GTIN, World, co2, entry, lot, party_id, qty, receiver, sgtin, sscc

from chaincode import contract
from chaincode.errors import CODES, Refusal

ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)

ARGUMENT_NAMES = """
    id gln slug name msp roles country default locations licences licence number reason
    delegate principal scopes expires_ms gtin mode unit max_yield mass_g events actor
    on_error hash event index statement digest type subject issuer valid_from_ms
    valid_until_ms by page_size bookmark direction grantee scope legal_basis
""".split()  # noqa: SIM905
PROJECTION_NAMES = """
    v type time_ms action step disposition epcs quantities parent children
    child_quantities inputs input_quantities outputs output_quantities transformation_id
    read_point location country from to transactions losses expiry disclosure error
    event_id tz extra_type
""".split()  # noqa: SIM905


def raw(world: World, user: str, function: str, args: list[str]) -> Refusal:
    """The refusal of raw arguments."""
    msp, pem = world.users[user]
    stub = world.ledger.begin("f" * 64, world.now_ms, msp, pem)
    with pytest.raises(Refusal) as caught:
        contract.invoke(stub, function, args)
    assert stub.writes == {}
    assert stub.event is None
    return caught.value


def outcome(world: World, user: str, function: str, text: str) -> Refusal | None:
    """The refusal of one raw argument, None where it was accepted; anything else is a defect."""
    msp, pem = world.users[user]
    try:
        contract.invoke(world.ledger.begin("e" * 64, world.now_ms, msp, pem), function, [text])
    except Refusal as refusal:
        return refusal
    return None


@pytest.mark.parametrize("function", ["", "nothing", "event:Capture", "__init__", "x" * 10_000])
def test_unknown_functions(world: World, function: str) -> None:
    assert raw(world, "maker", function, ["{}"]).code == "UNKNOWN_FUNCTION"


@pytest.mark.parametrize("function", contract.FUNCTIONS)
@pytest.mark.parametrize(
    "args",
    [["{"], ["[]"], ["null"], ['"x"'], ["{}", "{}"], ['{"a":1,"a":2}'], ['{"x":1.5}'], ["{}x"]],
)
def test_every_function_refuses_malformed_arguments(
    world: World, function: str, args: list[str]
) -> None:
    assert raw(world, "regulator", function, args).code in ("BAD_JSON", "BAD_ARGUMENT")


@pytest.mark.parametrize("function", [f for f in contract.FUNCTIONS if f != "network:info"])
def test_every_function_refuses_unknown_fields(world: World, function: str) -> None:
    assert raw(world, "regulator", function, ['{"surprise":1}']).code == "BAD_ARGUMENT"


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.sampled_from(contract.FUNCTIONS),
    st.dictionaries(
        st.sampled_from(ARGUMENT_NAMES),
        ANY,
        max_size=6,
    ),
)
def test_any_argument_is_answered_or_refused_with_a_known_code(
    world: World, function: str, argument: dict[str, Any]
) -> None:
    refusal = outcome(world, "regulator", function, json.dumps(argument, ensure_ascii=False))
    if refusal is not None:
        assert refusal.code in CODES
        assert json.loads(refusal.to_json())["message"] == refusal.message


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.dictionaries(
        st.sampled_from(PROJECTION_NAMES),
        ANY
        | st.lists(st.sampled_from([sgtin("A"), lot("L"), sscc(1)]), max_size=3)
        | st.lists(
            st.fixed_dictionaries({"id": st.just(lot("L"))}, optional={"qty": st.text(max_size=4)}),
            max_size=2,
        ),
        max_size=6,
    ),
    st.sampled_from(
        [
            "ObjectEvent",
            "AggregationEvent",
            "TransactionEvent",
            "TransformationEvent",
            "AssociationEvent",
        ]
    ),
    st.booleans(),
)
def test_any_projection_is_anchored_or_refused_with_a_known_code(
    world: World, projection: dict[str, Any], kind: str, proper: bool
) -> None:
    if proper:
        projection = {**projection, "v": 1, "type": kind, "time_ms": world.now_ms}
        if projection.get("action") not in ("ADD", "DELETE"):
            projection["action"] = "OBSERVE"
    body = entry({})
    body["projection"] = projection
    text = json.dumps({"events": [body]}, ensure_ascii=False)
    refusal = outcome(world, "maker", "event:capture", text)
    assert refusal is None or refusal.code in CODES


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"v": 2}, "BAD_PROJECTION"),
        ({"v": True}, "BAD_PROJECTION"),
        ({"type": "MagicEvent"}, "BAD_PROJECTION"),
        ({"time_ms": "now"}, "BAD_PROJECTION"),
        ({"time_ms": True}, "BAD_PROJECTION"),
        ({"action": "add"}, "BAD_PROJECTION"),
        ({"epcs": sgtin("A")}, "BAD_PROJECTION"),
        ({"epcs": [1]}, "BAD_PROJECTION"),
        ({"epcs": [""]}, "BAD_PROJECTION"),
        ({"epcs": [None]}, "BAD_PROJECTION"),
        ({"epcs": ["urn:x:" + "y" * 600]}, "BAD_PROJECTION"),
        ({"quantities": [{"qty": "1"}]}, "BAD_PROJECTION"),
        ({"quantities": [{"id": lot("L"), "qty": 5}]}, "BAD_PROJECTION"),
        ({"quantities": [{"id": lot("L"), "price": "5"}]}, "BAD_PROJECTION"),
        ({"to": [{"id": "urn:x:y", "type": ["possessing_party"]}]}, "BAD_PROJECTION"),
        ({"to": [{"id": f"urn:x:{n}"} for n in range(201)]}, "BAD_PROJECTION"),
        ({"holder": "me"}, "BAD_PROJECTION"),
        ({"error": {"time_ms": "x"}}, "BAD_PROJECTION"),
        ({"error": {"time_ms": 1, "corrective": "all"}}, "BAD_PROJECTION"),
        ({"error": {"time_ms": 1, "reason": ""}}, "BAD_PROJECTION"),
        ({"error": []}, "BAD_PROJECTION"),
        ({"step": "ship\u202eping"}, "UNSAFE_CHARACTERS"),
        ({"epcs": ["https://id.gs1.org/01/09521234543213/21/a\u0000b"]}, "UNSAFE_CHARACTERS"),
        ({"epcs": ["urn:x:a\u200bb"]}, "UNSAFE_CHARACTERS"),
        ({"epcs": ["urn:x:a\x7fb"]}, "UNSAFE_CHARACTERS"),
        ({"quantities": [{"id": lot("L"), "unit": "K\u2066GM"}]}, "UNSAFE_CHARACTERS"),
        ({"error": {"time_ms": 1, "reason": "a\nb"}}, "UNSAFE_CHARACTERS"),
        ({"epcs": ["urn:epc:id:sgtin:0614141.107346.2017"]}, "NOT_CANONICAL"),
        ({"epcs": ["https://example.com/01/09521234543213/21/A"]}, "NOT_CANONICAL"),
        ({"epcs": ["https://id.gs1.org/01/9521234543213/21/A"]}, "NOT_CANONICAL"),
        ({"epcs": ["https://id.gs1.org/01/09521234543213/21/A?x=1"]}, "NOT_CANONICAL"),
        ({"epcs": ["https://id.gs1.org/01/09521234543213/21/%41"]}, "NOT_CANONICAL"),
    ],
)
def test_projections_off_their_shape(world: World, change: dict[str, Any], code: str) -> None:
    body = {"v": 1, "type": "ObjectEvent", "time_ms": world.now_ms, "action": "ADD", **change}
    event = entry({}, json.dumps(change, sort_keys=True))
    event["projection"] = body
    refusal = raw(world, "maker", "event:capture", [json.dumps({"events": [event]})])
    assert refusal.code == code
    assert refusal.where.startswith("/projection")
    assert all(32 <= ord(c) < 127 for c in refusal.message)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"hash": "0" * 64}, "BAD_HASH"),
        ({"hash": None}, "BAD_HASH"),
        ({"commitment": "xyz"}, "BAD_HASH"),
        ({"projection": None}, "BAD_PROJECTION"),
        ({"carbon": {}}, "BAD_CARBON"),
        ({"carbon": [1]}, "BAD_CARBON"),
        ({"carbon": [co2(1)] * 65}, "BAD_CARBON"),
        ({"payload": "x"}, "BAD_PROJECTION"),
    ],
)
def test_capture_entries_off_their_shape(world: World, change: dict[str, Any], code: str) -> None:
    event = {**world.event(action="ADD", epcs=[sgtin("A")]), **change}
    assert raw(world, "maker", "event:capture", [json.dumps({"events": [event]})]).code == code


@pytest.mark.parametrize("events", [None, [], {}, "x", [[]], [None], [5]])
def test_event_lists_off_their_shape(world: World, events: object) -> None:
    refusal = raw(world, "maker", "event:capture", [json.dumps({"events": events})])
    assert refusal.code in ("BAD_ARGUMENT", "BAD_PROJECTION")


def test_too_many_events_and_identifiers(world: World) -> None:
    event = world.event(action="OBSERVE")
    refusal = raw(world, "maker", "event:capture", [json.dumps({"events": [event] * 5_001})])
    assert refusal.code == "BAD_ARGUMENT"
    big = world.event(action="ADD", epcs=[sgtin(f"S{n}") for n in range(10_001)])
    assert raw(world, "maker", "event:capture", [json.dumps({"events": [big]})]).code == "TOO_LARGE"


def test_ten_thousand_identifiers_are_taken(world: World) -> None:
    world.do("maker", action="ADD", epcs=[sgtin(f"S{n}") for n in range(10_000)])
    assert len(world.last_writes) == 10_001


def test_ten_thousand_findings_are_cut_short(world: World) -> None:
    found = world.do("maker", action="OBSERVE", epcs=[sgtin(f"S{n}") for n in range(1_000)])
    assert len(found["findings"]) == 100
    assert "left out" in found["findings"][-1]["message"]


def test_wrong_check_digits_are_noted_not_trusted(world: World) -> None:
    wrong = "https://id.gs1.org/01/09521234543214/21/A"
    codes = world.codes("maker", action="ADD", epcs=[wrong])
    assert codes == ["BAD_CHECK_DIGIT"]


def test_an_actor_must_be_readable(world: World) -> None:
    event = world.event(action="ADD", epcs=[sgtin("A")])
    for actor, code in (
        (5, "BAD_ARGUMENT"),
        ("nobody at all", "BAD_IDENTIFIER"),
        (party_id(99), "PARTY_UNKNOWN"),
        (party_id(2), "NOT_DELEGATED"),
    ):
        refusal = raw(
            world, "maker", "event:capture", [json.dumps({"events": [event], "actor": actor})]
        )
        assert refusal.code == code


# who may call what: everything below must be refused to everyone but the named users

ROLE_TABLE: dict[str, tuple[dict[str, Any], set[str]]] = {
    "participant:register": (
        {
            "gln": "0614141123452",
            "name": "X",
            "msp": "XMSP",
            "roles": ["producer"],
            "country": "CH",
        },
        {"regulator"},
    ),
    "participant:suspend": ({"id": party_id(3), "reason": "x"}, {"regulator"}),
    "participant:setRoles": ({"id": party_id(3), "roles": ["carrier"]}, {"regulator"}),
    "participant:addLicence": (
        {
            "id": party_id(3),
            "licence": {
                "number": "1",
                "kind": "x",
                "issuer": "y",
                "valid_from_ms": 0,
                "valid_until_ms": 9,
            },
        },
        {"regulator", "customs", "auditor"},
    ),
    "product:define": (
        {"gtin": GTIN, "name": "P", "mode": "enforce"},
        {"maker", "mill", "brand", "regulator"},
    ),
    "certificate:anchor": (
        {
            "id": "urn:uuid:1",
            "digest": "ab" * 32,
            "type": "organic",
            "subject": sgtin("A"),
            "valid_from_ms": 0,
            "valid_until_ms": 4_000_000_000_000,
        },
        {"regulator", "customs"},
    ),
}


@pytest.mark.parametrize("function", sorted(ROLE_TABLE))
@pytest.mark.parametrize(
    "user",
    [
        "regulator",
        "maker",
        "mill",
        "carrier",
        "store",
        "shop",
        "labo",
        "customs",
        "brand",
        "auditor",
    ],
)
def test_roles_are_checked_in_the_contract(world: World, function: str, user: str) -> None:
    argument, allowed = ROLE_TABLE[function]
    if user in allowed:
        world.call(user, function, argument)
    else:
        refusal = world.refused(user, function, argument)
        assert refusal.code in ("ROLE_NOT_ALLOWED", "ADMIN_REQUIRED", "LICENCE_MISSING")
        assert "accepted" in refusal.message or "may" in refusal.message


def test_transient_data_and_reads_leave_nothing(world: World) -> None:
    world.do("maker", action="ADD", epcs=[sgtin("A")])
    for function, argument in (
        ("item:get", {"id": sgtin("A")}),
        ("item:history", {"id": sgtin("A")}),
        ("item:trace", {"id": sgtin("A"), "direction": "up"}),
        ("carbon:footprint", {"id": sgtin("A")}),
        ("participant:list", {}),
        ("product:list", {}),
        ("network:info", {}),
    ):
        world.call("shop", function, argument)
        assert world.last_writes == {}


def test_the_same_call_writes_the_same_bytes_everywhere(world: World) -> None:
    """Would catch set order, clocks or randomness: two endorsers must write alike."""
    world.product("maker", unit="KGM")
    events = [
        world.event([co2(7)], action="ADD", quantities=[qty(lot(f"L{n}"), "10")]) for n in range(9)
    ]
    events.append(
        world.event(
            action="OBSERVE",
            step="shipping",
            quantities=[qty(lot(f"L{n}"), "1") for n in range(9)],
            to=receiver(party_id(2)),
        )
    )
    msp, pem = world.users["maker"]
    text = json.dumps({"events": events})
    stubs = [world.ledger.begin("a" * 64, world.now_ms, msp, pem) for _ in range(3)]
    results = [contract.invoke(stub, "event:capture", [text]) for stub in stubs]
    assert len(set(results)) == 1
    assert [list(stub.writes.items()) for stub in stubs] == [list(stubs[0].writes.items())] * 3
    assert [stub.reads for stub in stubs] == [stubs[0].reads] * 3
