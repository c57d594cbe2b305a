"""Certificates, grants and accesses: who may issue, end, read.

Would catch: a certificate by someone without a licence, a revoked one brought back, a grant to
read data the giver has nothing to do with.
"""

from __future__ import annotations

from typing import Any

import pytest
from test_registry import licence
from world import DAY, World, gtin, lot, party_id, qty, sgtin

DIGEST = "ab" * 32
WATCH = sgtin("W1")


@pytest.fixture
def licensed(world: World) -> World:
    """A certifier with a licence for organic certificates, and goods to certify."""
    argument = {"id": party_id(6), "licence": licence()}
    world.call("regulator", "participant:addLicence", argument)
    world.product("maker")
    world.do("maker", action="ADD", epcs=[WATCH])
    return world


def certificate(world: World, number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "id": f"urn:uuid:{number}",
        "digest": DIGEST,
        "type": "organic",
        "subject": WATCH,
        "valid_from_ms": world.now_ms,
        "valid_until_ms": world.now_ms + 365 * DAY,
        **more,
    }


def test_a_licensed_certifier_issues(licensed: World) -> None:
    found = licensed.call("labo", "certificate:anchor", certificate(licensed))
    assert (found["issuer"], found["status"], found["licence"]) == (party_id(6), "active", "CH-1")
    read = licensed.call("shop", "certificate:get", {"id": "urn:uuid:1"})
    assert read["in_force"] is True
    listed = licensed.call("shop", "certificate:list", {"subject": WATCH})
    assert [item["id"] for item in listed["records"]] == ["urn:uuid:1"]
    again = licensed.refused("labo", "certificate:anchor", certificate(licensed))
    assert again.code == "CERTIFICATE_EXISTS"


@pytest.mark.parametrize("user", ["carrier", "store", "shop", "auditor"])
def test_other_roles_do_not_issue(licensed: World, user: str) -> None:
    refusal = licensed.refused(user, "certificate:anchor", certificate(licensed))
    assert refusal.code == "ROLE_NOT_ALLOWED"


def test_a_licence_must_cover_the_type_and_be_in_force(licensed: World) -> None:
    other = certificate(licensed, type="fair-trade")
    assert licensed.refused("labo", "certificate:anchor", other).code == "LICENCE_MISSING"
    gone = {"id": party_id(6), "number": "CH-1"}
    licensed.call("regulator", "participant:revokeLicence", gone)
    refusal = licensed.refused("labo", "certificate:anchor", certificate(licensed))
    assert refusal.code == "LICENCE_MISSING"


def test_an_expired_licence_does_not_count(licensed: World) -> None:
    licensed.now_ms = 4_000_000_000_000
    refusal = licensed.refused("labo", "certificate:anchor", certificate(licensed))
    assert refusal.code == "LICENCE_MISSING"


def test_a_licence_may_cover_a_role(licensed: World) -> None:
    covers = {"id": party_id(8), "licence": licence(number="CH-8", kind="brand")}
    licensed.call("regulator", "participant:addLicence", covers)
    found = licensed.call("brand", "certificate:anchor", certificate(licensed, type="luxury"))
    assert found["licence"] == "CH-8"


def test_a_maker_issues_passports_of_its_own_goods(licensed: World) -> None:
    own = certificate(licensed, type="product-passport")
    licensed.call("maker", "certificate:anchor", own)
    stranger = certificate(licensed, 2, type="product-passport")
    assert licensed.refused("brand", "certificate:anchor", stranger).code == "LICENCE_MISSING"
    plain = certificate(licensed, 3)
    assert licensed.refused("maker", "certificate:anchor", plain).code == "LICENCE_MISSING"


def test_a_certificate_for_another_party_needs_its_delegation(licensed: World) -> None:
    argument = certificate(licensed, issuer=party_id(6))
    assert licensed.refused("maker", "certificate:anchor", argument).code == "NOT_DELEGATED"
    licensed.call(
        "labo",
        "delegation:grant",
        {
            "delegate": party_id(1),
            "scopes": ["certificate:anchor"],
            "expires_ms": licensed.now_ms + DAY,
        },
    )
    found = licensed.call("maker", "certificate:anchor", argument)
    assert (found["issuer"], found["submitted_by"]) == (party_id(6), party_id(1))


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "AB" * 32},
        {"digest": "ab"},
        {"valid_until_ms": 1},
        {"valid_from_ms": 5, "valid_until_ms": 10},
        {"valid_from_ms": -1},
        {"valid_from_ms": True},
        {"type": ""},
        {"extra": "x"},
    ],
)
def test_malformed_certificates_are_refused(licensed: World, change: dict[str, Any]) -> None:
    argument = certificate(licensed, **change)
    assert licensed.refused("labo", "certificate:anchor", argument).code == "BAD_ARGUMENT"


def test_the_life_of_a_certificate(licensed: World) -> None:
    licensed.call("labo", "certificate:anchor", certificate(licensed))
    argument = {"id": "urn:uuid:1", "reason": "audit"}
    for user in ("maker", "brand", "auditor"):
        refusal = licensed.refused(user, "certificate:suspend", argument)
        assert refusal.code == "CERTIFICATE_NOT_YOURS"
    licensed.call("regulator", "certificate:suspend", argument)
    assert licensed.call("shop", "certificate:get", {"id": "urn:uuid:1"})["in_force"] is False
    assert licensed.refused("labo", "certificate:reinstate", argument).code == (
        "CERTIFICATE_NOT_YOURS"
    )
    licensed.call("regulator", "certificate:reinstate", argument)
    licensed.call("labo", "certificate:revoke", argument)
    for function in ("suspend", "reinstate", "revoke"):
        refusal = licensed.refused("regulator", f"certificate:{function}", argument)
        assert refusal.code == "BAD_STATE"


def test_a_certificate_out_of_its_time_is_not_in_force(licensed: World) -> None:
    licensed.call("labo", "certificate:anchor", certificate(licensed))
    licensed.now_ms += 366 * DAY
    assert licensed.call("shop", "certificate:get", {"id": "urn:uuid:1"})["in_force"] is False


def test_a_certificate_is_superseded_by_an_anchored_one(licensed: World) -> None:
    licensed.call("labo", "certificate:anchor", certificate(licensed))
    argument = {"id": "urn:uuid:1", "reason": "renewed", "by": "urn:uuid:2"}
    refusal = licensed.refused("labo", "certificate:supersede", argument)
    assert refusal.code == "SUPERSEDED_BY_UNKNOWN"
    itself = {**argument, "by": "urn:uuid:1"}
    refusal = licensed.refused("labo", "certificate:supersede", itself)
    assert refusal.code == "SUPERSEDED_BY_UNKNOWN"
    licensed.call("labo", "certificate:anchor", certificate(licensed, 2))
    found = licensed.call("labo", "certificate:supersede", argument)
    assert (found["status"], found["superseded_by"]) == ("superseded", "urn:uuid:2")


# grants and accesses


def test_those_who_know_the_goods_give_access(licensed: World) -> None:
    argument = {"grantee": party_id(5), "scope": WATCH, "expires_ms": licensed.now_ms + DAY}
    assert licensed.refused("mill", "grant:give", argument).code == "GRANT_NOT_YOURS"
    given = licensed.call("maker", "grant:give", argument)
    assert given["status"] == "active"
    assert licensed.call("shop", "grant:list", {"scope": WATCH})["records"] == [given]
    assert licensed.call("shop", "grant:list", {"grantee": party_id(5)})["records"] == [given]
    pair = {"grantee": party_id(5), "scope": WATCH}
    licensed.call("maker", "grant:revoke", pair)
    assert licensed.refused("maker", "grant:revoke", pair).code == "NOT_FOUND"
    listed = licensed.call("shop", "grant:list", {"grantee": party_id(5)})["records"]
    assert listed[0]["status"] == "revoked"


def test_an_events_captor_gives_access_to_it(licensed: World) -> None:
    hash_ = licensed.do("maker", action="ADD", quantities=[qty(lot("L"), "1")])["hash"]
    argument = {"grantee": party_id(5), "scope": hash_, "legal_basis": "contract 7"}
    assert licensed.refused("mill", "grant:give", argument).code == "GRANT_NOT_YOURS"
    assert licensed.call("maker", "grant:give", argument)["scope"] in hash_
    past = {**argument, "expires_ms": 1}
    assert licensed.refused("maker", "grant:give", past).code == "BAD_ARGUMENT"
    ghost = {**argument, "grantee": party_id(99)}
    assert licensed.refused("maker", "grant:give", ghost).code == "PARTY_UNKNOWN"
    unknown = {"grantee": party_id(5), "scope": sgtin("Z", gtin(5))}
    assert licensed.refused("maker", "grant:give", unknown).code == "GRANT_NOT_YOURS"


def test_an_authoritys_read_leaves_its_legal_basis(licensed: World) -> None:
    hash_ = licensed.do("maker", action="ADD", quantities=[qty(lot("L"), "1")])["hash"]
    argument = {"event": hash_, "legal_basis": "Food Act, article 27"}
    for user in ("maker", "shop", "brand", "labo"):
        assert licensed.refused(user, "access:record", argument).code == "ROLE_NOT_ALLOWED"
    assert licensed.call("regulator", "access:record", argument)["party"] == party_id(0)
    argument["event"] = "0" * 64
    assert licensed.refused("regulator", "access:record", argument).code == "NOT_FOUND"
