"""Certificates from ledger facts, on the demonstration stories and a real network."""

from __future__ import annotations

import copy
import json
import uuid
from dataclasses import replace
from typing import Any

import pytest

from gateway.credentials import proof
from gateway.credentials.errors import CredentialError, FactsMissing
from gateway.credentials.evidence import LedgerEvidence, NoEvidence
from gateway.credentials.facts import Claim
from gateway.credentials.port import Anchor, Issuer, ProductState
from gateway.credentials.service import clock_ms
from gateway.ledger.errors import EndorseError
from gateway.verify import Verification, verify
from tests.certificates.test_proof import changed, leaves
from tests.certificates.world import REGULATOR, World

YEAR_MS = 365 * 86_400_000
ENTITLED = Issuer("X", entitled=True)
OK = ProductState("ok")


def code(found: Verification, number: int) -> str:
    return found.checks[number - 1].code


@pytest.mark.parametrize("suite", proof.SUITES)
@pytest.mark.parametrize("story", ["coffee", "insulin", "watch"])
def test_every_storys_certificate_passes_all_eight_checks(
    world: World, story: str, suite: str
) -> None:
    issued = world.issue(story, suite=suite)
    found = world.service.verify(issued.credential)
    assert found.overall == "valid"
    assert [check.verdict for check in found.checks] == ["pass"] * 8
    assert world.service.stored(issued.id) == issued.credential


def test_facts_state_their_source_and_typed_in_ones_say_so(world: World) -> None:
    subject = world.issue("coffee").credential["credentialSubject"]
    assert subject["lot"] == "AL260318"
    by_field: dict[str, list[dict[str, Any]]] = {}
    for fact in subject["facts"]:
        assert (
            fact.get("selfDeclared")
            or fact.get("event")
            or fact.get("record")
            or (fact["reading"] in ("lot", "gtin", "serial"))
        )
        by_field.setdefault(fact["field"], []).append(fact)
    assert by_field["originCountry"][0]["value"] == "ET"
    assert by_field["originCountry"][0]["event"].startswith("ni:///sha-256;")
    assert {f["value"] for f in by_field["producer"]} == {"Halo Ridge Farm", "Wonberta Spring Farm"}
    assert by_field["expiryDate"][0]["value"] == "2027-03-18"
    assert (by_field["netQuantity"][0]["value"], by_field["netQuantity"][0]["unit"]) == (
        "1000",
        "EA",
    )
    assert by_field["storage"][0]["selfDeclared"] is True
    assert by_field["storage"][0]["declaredBy"].endswith("9521105000005")
    assert "statedBy" not in by_field["storage"][0]


def test_a_checked_claim_points_to_the_checkers_inspection(world: World) -> None:
    facts = world.issue("coffee").credential["credentialSubject"]["facts"]
    (organic,) = [fact for fact in facts if fact["field"] == "organic"]
    assert organic["reading"] == "inspection"
    assert organic["checkedBy"].endswith("9521107000003")


def test_ids_are_random(world: World) -> None:
    ids = {world.issue("watch").id for _ in range(4)}
    assert len(ids) == 4
    assert all(id[len("urn:uuid:") + 14] == "4" for id in ids)


def test_missing_facts_are_listed_with_the_clause_that_asks(world: World) -> None:
    with pytest.raises(FactsMissing) as caught:
        world.issue("insulin", claims={})
    (missing,) = caught.value.missing
    assert missing[0] == "lot"
    assert "2016/161" in missing[1]


def test_nobody_declares_over_what_the_ledger_shows(world: World) -> None:
    with pytest.raises(CredentialError, match="already shows"):
        world.issue("coffee", claims={"originCountry": Claim("CH")})


@pytest.mark.parametrize("value", ["", "  ", "a\u202eb", "a\nb"])
def test_claims_that_would_deceive_the_reader_are_refused(world: World, value: str) -> None:
    with pytest.raises(CredentialError):
        world.issue("coffee", claims={"storage": Claim(value)})


def test_a_profile_speaks_only_of_its_kinds(world: World) -> None:
    with pytest.raises(CredentialError, match="not of lgtin"):
        world.issue("watch", subject="https://id.gs1.org/01/09521105000012/10/AL260318")


def test_the_contract_refuses_who_is_not_entitled_and_nothing_is_kept(world: World) -> None:
    """A grocer that made nothing and has no licence must not vouch for the coffee."""
    story = world.stories["coffee"]
    grocer = story.party("grocer").id
    before = _stored(world)
    with pytest.raises(EndorseError) as caught:
        world.service.certifier.issue(
            world.signer(grocer),
            replace(_order(world), issuer=grocer, claims={}),
            clock_ms(),
            world.service.footprint,
        )
    assert caught.value.code in ("LICENCE_MISSING", "ROLE_NOT_ALLOWED")
    assert _stored(world) == before


def test_without_the_ledger_nothing_is_proven(world: World) -> None:
    issued = world.issue("watch")
    found = verify(issued.credential, NoEvidence(), clock_ms())
    assert found.overall == "not-proven"
    assert [c.verdict for c in found.checks] == [
        "pass", "unknown", "pass", "unknown", "pass", "unknown", "unknown", "unknown",
    ]  # fmt: skip


def test_status_changes_are_seen_at_once_and_reinstated(own_world: World) -> None:
    world = own_world
    issued = world.issue("watch")
    issuer = world.stories["watch"].party("watchmaker").id
    world.submit(issuer, "certificate:suspend", id=issued.id, reason="enquiry")
    found = world.service.verify(issued.credential)
    assert (found.overall, code(found, 6)) == ("invalid", "STATUS_SUSPENDED")
    assert "enquiry" in found.checks[5].sentence
    world.submit(issuer, "certificate:reinstate", id=issued.id, reason="cleared")
    assert world.service.verify(issued.credential).overall == "valid"
    newer = world.issue("watch", supersedes=issued.id)
    world.submit(issuer, "certificate:supersede", id=issued.id, reason="new strap", by=newer.id)
    found = world.service.verify(issued.credential)
    assert (found.overall, code(found, 6)) == ("valid-but-old", "STATUS_SUPERSEDED")
    assert newer.credential["supersedes"] == issued.id
    world.submit(REGULATOR, "certificate:revoke", id=newer.id, reason="forged stone")
    found = world.service.verify(newer.credential)
    assert (found.overall, code(found, 6)) == ("invalid", "STATUS_REVOKED")


def test_validity_is_judged_at_the_time_asked(world: World) -> None:
    issued = world.issue("watch")
    now = clock_ms()
    with world.container.readmodel.read() as connection:
        evidence = LedgerEvidence(connection, world.service.footprint)
        early = verify(issued.credential, evidence, now - YEAR_MS)
        late = verify(issued.credential, evidence, now + 30 * YEAR_MS)
    assert (early.overall, code(early, 5)) == ("invalid", "VALIDITY_NOT_YET")
    assert (late.overall, code(late, 5)) == ("valid-but-old", "VALIDITY_ENDED")


def test_a_recall_of_the_lot_and_of_a_material_stops_the_product(own_world: World) -> None:
    world = own_world
    issued = world.issue("coffee")
    exporter = world.stories["coffee"].party("exporter").id
    lot = "https://id.gs1.org/01/09521102000015/10/AM-26-0114"
    world.capture(exporter, _document(quantityList=[{"epcClass": lot}], disposition="recalled",
                                      country="ET"))  # fmt: skip
    found = world.service.verify(issued.credential)
    assert (found.overall, code(found, 8)) == ("invalid", "PRODUCT_SOURCE_RECALLED")
    roaster = world.stories["coffee"].party("roaster").id
    own = "https://id.gs1.org/01/09521105000012/10/AL260318"
    world.capture(roaster, _document(quantityList=[{"epcClass": own}], disposition="recalled",
                                     country="DE"))  # fmt: skip
    found = world.service.verify(issued.credential)
    assert (found.overall, code(found, 8)) == ("invalid", "PRODUCT_RECALLED")


def test_tampering_with_any_leaf_fails_signature_and_anchor(world: World) -> None:
    """Whatever is edited, checks 3 and 4 both fail: either alone would be enough to notice."""
    issued = world.issue("coffee")
    with world.container.readmodel.read() as connection:
        evidence = LedgerEvidence(connection, world.service.footprint)
        now = clock_ms()
        for path in leaves(issued.credential):
            forged: Any = copy.deepcopy(dict(issued.credential))
            holder = forged
            for step in path[:-1]:
                holder = holder[step]
            holder[path[-1]] = changed(holder[path[-1]])
            found = verify(forged, evidence, now)
            assert found.overall == "invalid", path
            if code(found, 1) == "SCHEMA_MALFORMED":
                continue
            assert found.checks[2].verdict != "pass", path
            assert code(found, 4) in ("ANCHOR_DIFFERS", "ANCHOR_MISSING"), path


def test_a_forgers_own_certificate_is_not_on_the_ledger(world: World) -> None:
    """Signed correctly with the forger's own key in the brand's name: only the ledger tells."""
    genuine = world.issue("watch")
    body = {k: v for k, v in genuine.credential.items() if k != "proof"}
    body["id"] = "urn:uuid:11111111-1111-4111-8111-111111111111"
    key = world.service.certifier.keys.current_or_new("urn:tracemark:party:forger")
    forged = proof.secure(body, key, str(body["issuer"]["id"]))
    found = world.service.verify(forged)
    assert code(found, 3) == "SIGNATURE_OK"
    assert (found.overall, code(found, 4)) == ("invalid", "ANCHOR_MISSING")
    twin = proof.secure(body | {"id": genuine.id}, key, str(body["issuer"]["id"]))
    found = world.service.verify(twin)
    assert (found.overall, code(found, 4)) == ("invalid", "ANCHOR_DIFFERS")


@pytest.mark.parametrize("reading", ["origin-country", "made-country", "inspection"])
def test_an_issuer_cannot_borrow_another_products_event(world: World, reading: str) -> None:
    """Signed and anchored by the true issuer, but the event is the coffee's, not the watch's."""
    coffee = world.issue("coffee").credential["credentialSubject"]["facts"]
    borrowed = next(fact for fact in coffee if fact.get("reading") == reading)
    genuine = world.issue("watch")
    body = copy.deepcopy({k: v for k, v in genuine.credential.items() if k != "proof"})
    body["id"] = uuid.uuid4().urn
    body["credentialSubject"]["facts"].append(borrowed)
    issuer = str(body["issuer"]["party"])
    key = world.service.certifier.keys.current(issuer)
    secured = proof.secure(body, key, str(body["issuer"]["id"]))
    with world.container.readmodel.read() as connection:
        anchor = LedgerEvidence(connection).anchor(genuine.id)
    assert anchor is not None
    world.submit(
        issuer, "certificate:anchor", id=body["id"], digest=proof.digest(secured),
        type="product-passport", subject=anchor.subject, valid_from_ms=anchor.valid_from_ms,
        valid_until_ms=anchor.valid_until_ms,
    )  # fmt: skip
    found = world.service.verify(secured)
    assert [check.number for check in found.checks if check.verdict == "fail"] == [7]
    assert (found.overall, code(found, 7)) == ("invalid", "FACTS_DIFFER")


class Said(NoEvidence):
    """Evidence of a test's choosing."""

    def __init__(self, anchor: Anchor, issuer: Issuer | None, product: ProductState | None) -> None:
        self._anchor, self._issuer, self._product = anchor, issuer, product

    def anchor(self, certificate_id: str) -> Anchor | None:
        return self._anchor

    def issuer(self, party: str, licence: str | None, at_ms: int) -> Issuer | None:
        return self._issuer

    def product(self, subject: str, now_ms: int) -> ProductState | None:
        return self._product

    def fact(self, fact: Any, subject: str) -> Any:
        return "same"


@pytest.mark.parametrize(
    ("anchor", "issuer", "product", "expected"),
    [
        ({}, ENTITLED, OK, ("valid", 0, "")),
        ({"issuer": "urn:x"}, ENTITLED, OK, ("invalid", 2, "ISSUER_DIFFERS")),
        ({}, None, OK, ("invalid", 2, "ISSUER_UNKNOWN")),
        ({}, Issuer("X", entitled=False), OK, ("invalid", 2, "ISSUER_NOT_ENTITLED")),
        ({"subject": "y"}, ENTITLED, OK, ("invalid", 4, "ANCHOR_SUBJECT")),
        (
            {"valid_until_ms": 1}, ENTITLED, OK,
            ("invalid", 5, "VALIDITY_DIFFERS"),
        ),
        ({"status": "odd"}, ENTITLED, OK, ("not-proven", 6, "STATUS_UNPROVEN")),
        ({}, ENTITLED, None, ("not-proven", 8, "PRODUCT_UNKNOWN")),
        ({}, ENTITLED, ProductState("odd"), ("not-proven", 8, "PRODUCT_UNPROVEN")),
        *(
            ({}, ENTITLED, ProductState(state, 1), (overall, 8, f"PRODUCT_{state.upper()}"))
            for state, overall in (
                ("recalled", "invalid"), ("stolen", "invalid"), ("destroyed", "invalid"),
                ("expired", "invalid"), ("dispensed", "valid-but-old"),
                ("consumed", "valid-but-old"),
            )
        ),
    ],
)  # fmt: skip
def test_what_the_evidence_says_decides(
    world: World, anchor: dict[str, Any], issuer: Any, product: Any, expected: tuple[str, int, str]
) -> None:
    issued = world.issue("watch")
    with world.container.readmodel.read() as connection:
        real = LedgerEvidence(connection).anchor(issued.id)
    assert real is not None
    found = verify(issued.credential, Said(replace(real, **anchor), issuer, product), clock_ms())
    assert found.overall == expected[0]
    if expected[1]:
        assert code(found, expected[1]) == expected[2]


def test_an_incomplete_certificate_of_a_known_type_fails_check_1(world: World) -> None:
    issued = world.issue("watch")
    body = copy.deepcopy(dict(issued.credential))
    body["credentialSubject"]["facts"] = []
    assert code(world.service.verify(body), 1) == "SCHEMA_INCOMPLETE"


def test_a_withdrawn_event_takes_its_facts_with_it(own_world: World) -> None:
    """An error declaration on the event behind a fact makes the certificate fail check 7."""
    world = own_world
    issued = world.issue("coffee")
    (organic,) = [
        f for f in issued.credential["credentialSubject"]["facts"] if f["field"] == "organic"
    ]
    certifier = world.stories["coffee"].party("organic-certifier").id
    capture = next(c for c in world.stories["coffee"].captures if c.file.startswith("05"))
    document = json.loads(world.stories["coffee"].document(capture))
    (event,) = document["epcisBody"]["eventList"]
    event["errorDeclaration"] = {
        "declarationTime": "2026-06-01T10:00:00Z",
        "reason": "incorrect_data",
    }
    world.capture(certifier, json.dumps(document).encode())
    assert organic["event"]
    found = world.service.verify(issued.credential)
    assert (found.overall, code(found, 7)) == ("invalid", "FACTS_WITHDRAWN")
    assert found.checks[6].params["field"] == "organic"


def _order(world: World) -> Any:
    from gateway.certify import Order

    wanted = world.stories["coffee"].certificates[0]
    return Order(wanted.type, wanted.subject, "", {})


def _stored(world: World) -> int:
    from sqlalchemy import func, select

    from gateway.credentials.store import credentials

    with world.container.state.connect() as connection:
        return int(connection.scalar(select(func.count()).select_from(credentials)) or 0)


def _document(country: str, **fields: Any) -> bytes:
    event = {
        "type": "ObjectEvent",
        "action": "OBSERVE",
        "eventTime": "2026-11-01T10:00:00+00:00",
        "eventTimeZoneOffset": "+00:00",
        "bizStep": "holding",
        "tm:country": country,
        **fields,
    }
    return json.dumps(
        {
            "@context": [
                "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
                {"tm": "urn:tracemark:ns:"},
            ],
            "type": "EPCISDocument",
            "schemaVersion": "2.0",
            "creationDate": "2026-11-01T10:00:00Z",
            "epcisBody": {"eventList": [event]},
        }
    ).encode()
