"""Who takes part: registration, roles, suspension, licences, delegation, products.

Would catch: a stranger making itself a regulator, a suspended party that still trades, a
co-operative that acts for a farmer after the farmer said no.
"""

from __future__ import annotations

from typing import Any

import pytest
from world import DAY, GTIN, World, gln, party_id, sgtin

FARM = "urn:tracemark:party:hill-farm"


def newcomer(number: int = 50, **more: Any) -> dict[str, Any]:
    return {
        "gln": gln(number),
        "name": "Newcomer",
        "msp": "NewMSP",
        "roles": ["producer"],
        "country": "IT",
        **more,
    }


# opening the registry


def test_the_registry_is_opened_by_a_regulators_administrator(empty: World) -> None:
    empty.user("plain", "RegulatorMSP", party_id(0))
    empty.user("admin", "RegulatorMSP", party_id(0), "admin")
    first = newcomer(0, msp="RegulatorMSP", roles=["regulator"])
    assert empty.refused("plain", "participant:register", first).code == "ADMIN_REQUIRED"
    for wrong in ({**first, "roles": ["brand"]}, {**first, "msp": "OtherMSP"}):
        refusal = empty.refused("admin", "participant:register", wrong)
        assert refusal.code == "BOOTSTRAP_REQUIRED"
    found = empty.call("admin", "participant:register", first)
    assert found["default"] is True
    info = empty.call("admin", "network:info")
    assert info["opened_by"] == party_id(0)
    assert "event:capture" in info["functions"]


# registering


def test_a_regulator_registers_anyone(world: World) -> None:
    found = world.call("regulator", "participant:register", newcomer(roles=["brand", "auditor"]))
    assert found["id"] == party_id(50)
    assert found["roles"] == ["auditor", "brand"]
    assert world.call("auditor", "participant:get", {"id": gln(50)})["name"] == "Newcomer"


def test_an_administrator_registers_its_own_trading_parties(world: World) -> None:
    world.user("boss", "NewMSP", None, "admin")
    world.user("clerk", "NewMSP", None)
    assert world.refused("clerk", "participant:register", newcomer()).code == "CALLER_UNKNOWN"
    assert world.refused("boss", "participant:register", newcomer(roles=["regulator"])).code == (
        "ROLE_NOT_ALLOWED"
    )
    assert world.refused("boss", "participant:register", newcomer(msp="MakerMSP")).code == (
        "ADMIN_REQUIRED"
    )
    licensed = newcomer(licences=[licence()])
    assert world.refused("boss", "participant:register", licensed).code == "ROLE_NOT_ALLOWED"
    world.call("boss", "participant:register", newcomer())
    assert world.refused("boss", "participant:register", newcomer()).code == "PARTY_EXISTS"


def test_a_trading_party_registers_nobody(world: World) -> None:
    refusal = world.refused("maker", "participant:register", newcomer())
    assert refusal.code == "ADMIN_REQUIRED"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"gln": "1234567890123"}, "BAD_CHECK_DIGIT"),
        ({"roles": ["king"]}, "BAD_ROLE"),
        ({"roles": []}, "BAD_ARGUMENT"),
        ({"roles": ["producer", "producer"]}, "BAD_ARGUMENT"),
        ({"country": "Italy"}, "BAD_ARGUMENT"),
        ({"country": "it"}, "BAD_ARGUMENT"),
        ({"name": "a\u202eb"}, "UNSAFE_CHARACTERS"),
        ({"name": ""}, "BAD_ARGUMENT"),
        ({"name": 7}, "BAD_ARGUMENT"),
        ({"default": "yes"}, "BAD_ARGUMENT"),
        ({"extra": 1}, "BAD_ARGUMENT"),
        ({"gln": None, "id": "https://example.com/me"}, "BAD_IDENTIFIER"),
        ({"gln": None, "slug": "Bad Slug"}, "BAD_IDENTIFIER"),
        ({"locations": [sgtin("X")]}, "BAD_IDENTIFIER"),
    ],
)
def test_malformed_registrations_are_refused(
    world: World, change: dict[str, Any], code: str
) -> None:
    argument = {name: value for name, value in newcomer(**change).items() if value is not None}
    assert world.refused("regulator", "participant:register", argument).code == code


def test_an_organisation_has_a_default_party(world: World) -> None:
    world.user("nameless", "MakerMSP", None)
    world.call("nameless", "product:define", {"gtin": GTIN, "name": "P", "mode": "report"})
    assert world.call("auditor", "product:get", {"gtin": GTIN})["owner"] == party_id(1)


def test_a_certificate_of_another_organisation_speaks_for_nobody(world: World) -> None:
    world.user("thief", "MillMSP", party_id(1))
    world.user("ghost", "MillMSP", party_id(99))
    world.users["broken"] = ("MillMSP", b"not a certificate")
    event = {"events": [world.event(action="ADD", epcs=[sgtin("A")])]}
    assert world.refused("thief", "event:capture", event).code == "CALLER_MSP_MISMATCH"
    assert world.refused("ghost", "event:capture", event).code == "CALLER_UNKNOWN"
    assert world.refused("broken", "event:capture", event).code == "BAD_CERTIFICATE"


def test_participants_are_listed_in_pages(world: World) -> None:
    seen, bookmark = [], ""
    while True:
        page = world.call("shop", "participant:list", {"page_size": 4, "bookmark": bookmark})
        seen += [record["id"] for record in page["records"]]
        bookmark = page["bookmark"]
        if not bookmark:
            break
    assert sorted(seen) == seen == sorted(party_id(number) for number in range(10))


# suspension and roles


def test_a_suspended_party_does_nothing_until_reinstated(world: World) -> None:
    world.call("regulator", "participant:suspend", {"id": party_id(1), "reason": "fraud"})
    event = world.event(action="ADD", epcs=[sgtin("A")])
    refusal = world.refused("maker", "event:capture", {"events": [event]})
    assert refusal.code == "PARTY_SUSPENDED"
    assert "fraud" in refusal.message
    again = {"id": party_id(1), "reason": "more"}
    assert world.refused("regulator", "participant:suspend", again).code == "BAD_STATE"
    world.call("regulator", "participant:reinstate", again)
    world.capture("maker", event)


def test_only_a_regulator_suspends_and_not_itself(world: World) -> None:
    argument = {"id": party_id(2), "reason": "competition"}
    for user in ("maker", "auditor", "customs", "labo", "brand"):
        assert world.refused(user, "participant:suspend", argument).code == "ROLE_NOT_ALLOWED"
    itself = {"id": party_id(0), "reason": "x"}
    assert world.refused("regulator", "participant:suspend", itself).code == "BAD_STATE"
    ghost = {"id": party_id(99), "reason": "x"}
    assert world.refused("regulator", "participant:suspend", ghost).code == "PARTY_UNKNOWN"


def test_roles_change_by_regulator_or_within_self_service(world: World) -> None:
    world.user("boss", "MakerMSP", party_id(1), "admin")
    change = {"id": party_id(1), "roles": ["producer", "warehouse"]}
    assert world.refused("maker", "participant:setRoles", change).code == "ADMIN_REQUIRED"
    assert world.call("boss", "participant:setRoles", change)["roles"] == change["roles"]
    upgrade = {"id": party_id(1), "roles": ["producer", "certifier"]}
    assert world.refused("boss", "participant:setRoles", upgrade).code == "ROLE_NOT_ALLOWED"
    world.call("regulator", "participant:setRoles", upgrade)
    last = {"id": party_id(0), "roles": ["auditor"]}
    assert world.refused("regulator", "participant:setRoles", last).code == "BAD_STATE"


def test_a_location_belongs_to_one_party(world: World) -> None:
    place = {"id": party_id(1), "location": gln(77)}
    world.call("maker", "participant:addLocation", place)
    world.call("maker", "participant:addLocation", place)
    taken = {"id": party_id(2), "location": f"urn:epc:id:sgln:{gln(77)[:7]}.{gln(77)[7:12]}.0"}
    assert world.refused("mill", "participant:addLocation", taken).code == "LOCATION_TAKEN"
    assert world.refused("shop", "participant:addLocation", place).code == "ADMIN_REQUIRED"
    assert len(world.call("shop", "participant:get", {"id": party_id(1)})["locations"]) == 1


# licences


def licence(**more: Any) -> dict[str, Any]:
    return {
        "number": "CH-1",
        "kind": "organic",
        "issuer": "Ministry",
        "valid_from_ms": 0,
        "valid_until_ms": 4_000_000_000_000,
        **more,
    }


def test_authorities_enter_licences_and_only_they(world: World) -> None:
    argument = {"id": party_id(6), "licence": licence()}
    for user in ("labo", "maker", "brand"):
        assert world.refused(user, "participant:addLicence", argument).code == "ROLE_NOT_ALLOWED"
    world.call("customs", "participant:addLicence", argument)
    assert world.refused("customs", "participant:addLicence", argument).code == "LICENCE_EXISTS"
    own = {"id": party_id(7), "licence": licence(number="CH-2")}
    assert world.refused("customs", "participant:addLicence", own).code == "ROLE_NOT_ALLOWED"
    backwards = {"id": party_id(6), "licence": licence(number="CH-3", valid_until_ms=0)}
    assert world.refused("customs", "participant:addLicence", backwards).code == "BAD_ARGUMENT"
    gone = {"id": party_id(6), "number": "CH-1"}
    assert world.refused("auditor", "participant:revokeLicence", gone).code == "ROLE_NOT_ALLOWED"
    found = world.call("customs", "participant:revokeLicence", gone)
    assert found["licences"][0]["status"] == "revoked"
    gone["number"] = "CH-9"
    assert world.refused("customs", "participant:revokeLicence", gone).code == "NOT_FOUND"


# delegation


@pytest.fixture
def farm(world: World) -> World:
    """A farmer without a key, under the maker's organisation (its co-operative)."""
    world.user("boss", "MakerMSP", party_id(1), "admin")
    world.call(
        "boss",
        "participant:register",
        {
            "slug": "hill-farm",
            "name": "Hill Farm",
            "msp": "MakerMSP",
            "roles": ["producer"],
            "country": "ET",
        },
    )
    return world


def grant(world: World, **more: Any) -> dict[str, Any]:
    return {
        "principal": FARM,
        "delegate": party_id(1),
        "scopes": ["event:capture"],
        "expires_ms": world.now_ms + 30 * DAY,
        **more,
    }


def test_a_cooperative_acts_for_a_farmer_and_the_record_shows_both(farm: World) -> None:
    event = farm.event(action="ADD", epcs=[sgtin("A")])
    argument = {"events": [event], "actor": FARM}
    assert farm.refused("maker", "event:capture", argument).code == "NOT_DELEGATED"
    farm.call("boss", "delegation:grant", grant(farm))
    farm.call("maker", "event:capture", argument)
    record = farm.call("auditor", "event:get", {"hash": event["hash"]})
    assert (record["party"], record["submitted_by"]) == (FARM, party_id(1))
    assert farm.item(sgtin("A"))["holder"] == FARM


def test_a_revoked_or_expired_delegation_ends_at_once(farm: World) -> None:
    farm.call("boss", "delegation:grant", grant(farm))
    pair = {"principal": FARM, "delegate": party_id(1)}
    farm.call("boss", "delegation:revoke", pair)
    argument = {"events": [farm.event(action="ADD", epcs=[sgtin("A")])], "actor": FARM}
    assert farm.refused("maker", "event:capture", argument).code == "NOT_DELEGATED"
    assert farm.refused("boss", "delegation:revoke", pair).code == "NOT_FOUND"
    farm.call("boss", "delegation:grant", grant(farm, expires_ms=farm.now_ms + 5_000))
    farm.now_ms += 60_000
    assert farm.refused("maker", "event:capture", argument).code == "NOT_DELEGATED"


def test_a_delegation_covers_its_scopes_only(farm: World) -> None:
    farm.call("boss", "delegation:grant", grant(farm))
    argument = {"gtin": GTIN, "name": "P", "mode": "report", "actor": FARM}
    assert farm.refused("maker", "product:define", argument).code == "NOT_DELEGATED"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"scopes": ["everything"]}, "BAD_ARGUMENT"),
        ({"expires_ms": 1}, "BAD_ARGUMENT"),
        ({"expires_ms": 9_000_000_000_000}, "BAD_ARGUMENT"),
        ({"delegate": FARM}, "BAD_ARGUMENT"),
        ({"delegate": party_id(99)}, "PARTY_UNKNOWN"),
        ({"principal": party_id(2)}, "NOT_DELEGATED"),
    ],
)
def test_malformed_delegations_are_refused(farm: World, change: dict[str, Any], code: str) -> None:
    assert farm.refused("boss", "delegation:grant", grant(farm, **change)).code == code


def test_delegations_are_listed_from_both_sides(farm: World) -> None:
    farm.call("boss", "delegation:grant", grant(farm))
    given = farm.call("auditor", "delegation:list", {"party": FARM})
    received = farm.call("auditor", "delegation:list", {"party": party_id(1)})
    assert given["given"] == received["received"]
    assert given["received"] == received["given"] == []


# products


def test_the_first_definer_owns_a_product(world: World) -> None:
    world.product("maker", gtin="9521234543213")
    found = world.call("shop", "product:get", {"gtin": f"https://id.gs1.org/01/{GTIN}"})
    assert (found["gtin"], found["owner"], found["unit"]) == (GTIN, party_id(1), "EA")
    change = {"gtin": GTIN, "name": "Mine now", "mode": "report"}
    assert world.refused("brand", "product:define", change).code == "PRODUCT_OWNED"
    changed = world.call("regulator", "product:define", change)
    assert (changed["owner"], changed["defined_by"]) == (party_id(1), party_id(0))
    assert world.refused("shop", "product:define", change).code == "ROLE_NOT_ALLOWED"
    assert len(world.call("shop", "product:list", {})["records"]) == 1


def test_a_regulator_gives_a_product_to_its_rightful_owner(world: World) -> None:
    world.product("mill")
    argument = {"gtin": GTIN, "name": "P", "mode": "report", "owner": party_id(8)}
    assert world.refused("mill", "product:define", argument).code == "ROLE_NOT_ALLOWED"
    assert world.call("regulator", "product:define", argument)["owner"] == party_id(8)
    world.product("brand")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"gtin": "09521234543214"}, "BAD_CHECK_DIGIT"),
        ({"gtin": "https://example.com/x"}, "BAD_IDENTIFIER"),
        ({"mode": "maybe"}, "BAD_ARGUMENT"),
        ({"unit": "XYZ"}, "UNKNOWN_UNIT"),
        ({"max_yield": "0"}, "BAD_QUANTITY"),
        ({"max_yield": "-1"}, "BAD_QUANTITY"),
        ({"mass_g": "1e3"}, "BAD_QUANTITY"),
        ({"mass_g": True}, "BAD_ARGUMENT"),
        ({"disclosure": "secret"}, "BAD_ARGUMENT"),
        ({"makers": ["nobody at all"]}, "BAD_IDENTIFIER"),
    ],
)
def test_malformed_products_are_refused(world: World, change: dict[str, Any], code: str) -> None:
    argument = {"gtin": GTIN, "name": "P", "mode": "report", **change}
    assert world.refused("maker", "product:define", argument).code == code
