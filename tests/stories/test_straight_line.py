"""The main path: from the producers' documents to a scanned, verified certificate.

Footprints are worked out here by hand from the figures in the stories' own documents, with
fractions, and compared with what the contract says.
"""

from __future__ import annotations

import copy
import json
from fractions import Fraction
from typing import Any

import pytest

from chaincode.identifiers import canonical
from cli.anchoring import anchor
from cli.client import Client, path_segment
from cli.errors import NotAllowed
from cli.stories import Story
from tests.stories.loaded import Loaded, anonymous

NAMES = ("coffee", "insulin", "watch")


def trace(client: Client, identifier: str, direction: str = "up") -> Any:
    return client.get(f"/v1/trace/{path_segment(identifier)}", {"direction": direction})


def identifiers(found: Any) -> set[str]:
    return {node["id"] for node in found["nodes"] if node["node"] == "identifier"}


# -- anchoring ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_event_is_anchored_under_enforce_without_a_finding(
    network: Loaded, name: str
) -> None:
    """A story that only passes because a product's policy merely reports."""
    story = network.stories[name]
    assert network.events[name] == len(story.events())
    for product in story.products:
        assert network.auditor.get(f"/v1/products/{product.gtin}")["mode"] == "enforce"
    found = trace(network.auditor, story.scan, "both")
    assert found["counts"]["findings"] == 0
    assert {n["evidence"]["state"] for n in found["nodes"] if n["node"] == "event"} == {"anchored"}


def test_anchoring_again_changes_nothing(network: Loaded) -> None:
    """A repeated document that makes a second set of events."""
    story = network.stories["watch"]
    before = network.auditor.get("/readyz")["height"]
    capture = story.captures[0]
    client = network.as_party("watch", capture.by)
    outcome = anchor(client, capture.file, story.document(capture))
    assert outcome.accepted
    found = trace(network.auditor, story.scan, "both")
    assert found["counts"]["events"] == len(story.events())
    assert network.auditor.get("/readyz")["height"] >= before


def test_a_farmer_without_a_key_and_who_recorded_for_it(network: Loaded) -> None:
    """A delegation that hides the farmer behind the co-operative, or the other way round."""
    story = network.stories["coffee"]
    found = trace(network.auditor, story.scan)
    farms = {story.party("halo-ridge-farm").id, story.party("wonberta-spring-farm").id}
    events = [n for n in found["nodes"] if n["node"] == "event" and n["who"]["party"] in farms]
    assert len(events) == 4
    assert {event["who"]["submitted_by"] for event in events} == {story.party("cooperative").id}


# -- trace ----------------------------------------------------------------------------------------

ORIGINS = {
    "coffee": {
        "https://id.gs1.org/01/09521101000016/10/HR-251127",
        "https://id.gs1.org/01/09521101000016/10/WS-251127",
    },
    "insulin": {"https://id.gs1.org/01/09521202000014/10/DS-4417"},
    "watch": {
        "https://id.gs1.org/01/09521302000013/10/AU750-26-031",
        "https://id.gs1.org/01/09521303000012/10/VA-2601",
        "https://id.gs1.org/01/09521304000011/21/SB-70411",
    },
}


@pytest.mark.parametrize("name", NAMES)
def test_trace_reaches_the_origins_and_every_party_on_the_way(network: Loaded, name: str) -> None:
    """A walk that stops at a transformation, a container or a border."""
    story = network.stories[name]
    found = trace(network.auditor, story.scan, "both")
    assert identifiers(found) >= ORIGINS[name]
    acting = {node["who"]["party"] for node in found["nodes"] if node["node"] == "event"}
    assert acting == {party.id for party in story.participants}
    assert found["counts"]["countries"] == len(story.countries)
    assert not found["truncated"]


def test_trace_downwards_from_a_farm_reaches_the_shelf(network: Loaded) -> None:
    """A recall that would not find where a lot went."""
    found = trace(network.auditor, "https://id.gs1.org/01/09521101000016/10/HR-251127", "down")
    assert canonical(network.stories["coffee"].scan) in identifiers(found)


def test_no_origin_is_missing(network: Loaded) -> None:
    for story in network.stories.values():
        gaps = trace(network.auditor, story.scan)["gaps"]
        assert not [gap for gap in gaps if gap["kind"] in ("no-origin", "no-events")]


@pytest.mark.parametrize("name", NAMES)
def test_audit_fails_no_check(network: Loaded, name: str) -> None:
    """A payload, hash or balance that does not give again what the chain says."""
    story = network.stories[name]
    found = network.auditor.get(f"/v1/audit/{path_segment(story.scan)}")
    outcomes = {check["name"]: check["outcome"] for check in found["checks"]}
    assert "fail" not in outcomes.values()
    for sound in ("on-ledger", "payloads", "origin", "rules", "mass-balance", "state"):
        assert outcomes[sound] == "pass", found["checks"]


# -- certificates and the scan --------------------------------------------------------------------


def certificate(network: Loaded, name: str) -> dict[str, Any]:
    number = network.certificates[name].removeprefix("urn:uuid:")
    found = anonymous(network.url).get(f"/v1/certificates/{number}")
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_certificate_verifies_for_anyone(network: Loaded, name: str) -> None:
    verification = anonymous(network.url).post("/v1/verify", certificate(network, name))
    assert verification["overall"] == "valid"
    assert {check["verdict"] for check in verification["checks"]} == {"pass"}


@pytest.mark.parametrize("name", NAMES)
def test_every_changed_fact_is_noticed(network: Loaded, name: str) -> None:
    """A fact outside the signature's reach."""
    genuine = certificate(network, name)
    for index in range(len(genuine["credentialSubject"]["facts"])):
        forged = copy.deepcopy(genuine)
        forged["credentialSubject"]["facts"][index]["value"] += "0"
        verification = anonymous(network.url).post("/v1/verify", forged)
        assert verification["overall"] == "invalid"
        failed = {c["number"] for c in verification["checks"] if c["verdict"] == "fail"}
        assert {3, 4} <= failed


def test_a_certificate_moved_to_another_item_is_noticed(network: Loaded) -> None:
    """One genuine certificate copied onto the neighbour's pack."""
    forged = certificate(network, "insulin")
    forged["credentialSubject"]["id"] = "https://id.gs1.org/01/09521201000015/21/GLY26A1138"
    assert anonymous(network.url).post("/v1/verify", forged)["overall"] == "invalid"


def test_ledger_facts_and_the_issuers_word_are_told_apart(network: Loaded) -> None:
    facts = certificate(network, "insulin")["credentialSubject"]["facts"]
    declared = {fact["field"] for fact in facts if fact.get("selfDeclared")}
    assert declared == {"lot", "authorisationNumber", "storage"}
    shown = {fact["field"]: fact["value"] for fact in facts if not fact.get("selfDeclared")}
    assert shown["madeBy"] == "Sahyadri Sterile Works Ltd"
    assert shown["madeCountry"] == "IN"
    assert shown["expiryDate"] == "2027-08-31"


HEADLINE = "The record of this product is genuine"


@pytest.mark.parametrize("name", NAMES)
def test_scan_page_says_the_verdict_first(network: Loaded, name: str) -> None:
    """A page whose first words are the brand's and not the verifier's."""
    path = network.stories[name].scan.removeprefix("https://id.gs1.org")
    client = anonymous(network.url)
    page = client.request("GET", path, headers={"Accept": "text/html", "Accept-Language": "en"})
    body = page.text.partition("<body")[2]
    assert HEADLINE in page.text.partition("<title>")[2].partition("</title>")[0]
    assert HEADLINE in body
    sold = next(p for p in network.stories[name].products if p.gtin in path)
    assert body.index(HEADLINE) < body.index(sold.name)


def test_a_dispensed_pack_warns_whoever_scans_it_again(network: Loaded) -> None:
    """The empty box of a pack that was handed out, sold once more."""
    client = anonymous(network.url)
    page = client.request(
        "GET", "/01/09521201000015/21/GLY26A1047", headers={"Accept": "text/html"}
    )
    assert HEADLINE not in page.text
    assert "This pack was already handed out" in page.text


def test_scan_answers_programs_too(network: Loaded) -> None:
    client = anonymous(network.url)
    for name in NAMES:
        path = network.stories[name].scan.removeprefix("https://id.gs1.org")
        for media in ("application/json", "application/ld+json", "application/linkset+json"):
            answer = client.request("GET", path, headers={"Accept": media})
            assert answer.headers["content-type"].startswith(media)
            json.loads(answer.text)


# -- carbon, by hand ------------------------------------------------------------------------------


def stated(story: Story, document: str, event: int) -> int:
    """Milligrams that one event of one document states."""
    body = json.loads((story.folder / document).read_bytes())
    return sum(r["co2e_mg"] for r in body["epcisBody"]["eventList"][event]["tm:carbon"])


def footprint(network: Loaded, identifier: str) -> Any:
    return network.auditor.get(f"/v1/carbon/{path_segment(identifier)}")


def test_coffee_footprint_by_hand(network: Loaded) -> None:
    """A burden counted twice, lost in a pallet, or shared by something else than mass."""
    story = network.stories["coffee"]
    cherries = stated(story, "01-halo-ridge-harvest.jsonld", 0)
    cherries += stated(story, "02-wonberta-spring-harvest.jsonld", 0)
    wet_mill = stated(story, "03-cooperative-wet-mill.jsonld", 2)
    dry_mill = stated(story, "04-exporter-dry-mill.jsonld", 1)
    truck = stated(story, "06-exporter-pallets-and-export.jsonld", 2)
    ship = stated(story, "07-carrier-djibouti-to-hamburg.jsonld", 3)
    roasting = stated(story, "10-roaster.jsonld", 3)
    delivery = stated(story, "10-roaster.jsonld", 5)
    green = cherries + wet_mill + dry_mill + truck + ship  # all of the 360 kg
    thousand_packs = Fraction(300, 360) * green + roasting
    on_the_shelf = Fraction(600, 1000) * thousand_packs + delivery
    sold = Fraction(18, 600) * on_the_shelf
    found = footprint(network, story.scan)
    holders = {entry["holder"]: entry["co2e_mg"] for entry in found["holders"]}
    assert thousand_packs == 604_895_000
    assert holders[story.party("roaster").id] == Fraction(400, 1000) * thousand_packs
    assert holders[story.party("grocer").id] == on_the_shelf - sold
    assert found["co2e_mg"] == thousand_packs + delivery - sold
    assert sum(found["handed_on"].values()) == sold
    assert found["recomputation"]["arithmetic_wrong"] == 0


def test_insulin_footprint_by_hand(network: Loaded) -> None:
    """A pack that does not get its 24th of the batch, or its 6th of the tote."""
    story = network.stories["insulin"]
    substance = stated(story, "01-drug-substance.jsonld", 0)
    flight_out = stated(story, "01-drug-substance.jsonld", 2)
    filling = stated(story, "02-manufacturer.jsonld", 1)
    flight = stated(story, "03-air-carrier.jsonld", 1)
    van = stated(story, "08-wholesaler-picking.jsonld", 5)
    batch = Fraction("0.5") / Fraction("2.5") * (substance + flight_out) + filling + flight
    pack = batch / 24 + Fraction(van, 6)
    found = footprint(network, story.scan)
    # the ledger shares out whole milligrams, so a share may be off by one at each division
    assert abs(pack - found["co2e_mg"]) < 4
    assert found["stages"]["raw-material"] == Fraction(1, 5) * substance / 24
    left_behind = footprint(network, "https://id.gs1.org/01/09521201000015/21/GLY26A2094")
    assert abs(batch / 24 - left_behind["co2e_mg"]) < 4
    every_pack = story.events()[4]["outputEPCList"]
    total = sum(footprint(network, epc)["co2e_mg"] for epc in every_pack)
    assert total == batch + van


def test_watch_footprint_by_hand(network: Loaded) -> None:
    """Gold, strap and stones that are not all in the watch they went into."""
    story = network.stories["watch"]
    gold = Fraction("0.12") / Fraction("0.6") * stated(story, "01-refiner-gold.jsonld", 0)
    strap = Fraction(stated(story, "02-tannery-straps.jsonld", 0), 10)
    stones = stated(story, "03-cutter-stones.jsonld", 0)
    workshop = sum(stated(story, "06-workshop.jsonld", event) for event in (3, 4, 5))
    flight = stated(story, "08-secure-carrier.jsonld", 1)
    found = footprint(network, story.scan)
    assert found["co2e_mg"] == gold + strap + stones + workshop + flight == 50_410_000
    assert sum(found["stages"].values()) == found["co2e_mg"]


# -- the rules hold -------------------------------------------------------------------------------


def altered(story: Story, file: str, event: int, **changes: Any) -> bytes:
    """A document with one event of one of the story's, changed."""
    document = json.loads((story.folder / file).read_bytes())
    chosen = document["epcisBody"]["eventList"][event] | changes
    document["epcisBody"]["eventList"] = [chosen]
    return json.dumps(document).encode()


LATER = {"eventTime": "2026-11-01T10:00:00+00:00", "eventTimeZoneOffset": "+00:00"}
CASE_2 = {"epcList": ["urn:epc:id:sgtin:9521201.100001.C260218-02"]}
FORBIDDEN = [
    # story, by, document, event, changes, code
    ("insulin", "pharmacy", "09-pharmacy.jsonld", 3, LATER, "NOT_ACTIVE"),
    ("insulin", "drug-maker", "02-manufacturer.jsonld", 2, LATER, "ALREADY_COMMISSIONED"),
    ("insulin", "pharmacy", "09-pharmacy.jsonld", 0, LATER | CASE_2, "NOT_IN_TRANSIT"),
    ("insulin", "drug-maker", "02-manufacturer.jsonld", 7, LATER | CASE_2, "NOT_HOLDER"),
    ("insulin", "wholesaler", "08-wholesaler-picking.jsonld", 3, LATER, "NOT_ACTIVE"),
    ("watch", "boutique", "11-boutique.jsonld", 3, LATER, "NOT_OWNER"),
    (
        "coffee", "roaster", "10-roaster.jsonld", 3,
        LATER | {
            "inputQuantityList": [
                {"epcClass": "urn:epc:class:lgtin:9521102.000001.AM-26-0114", "quantity": 30,
                 "uom": "KGM"},
            ],
            "outputQuantityList": [
                {"epcClass": "https://id.gs1.org/01/09521105000012/10/TOO-MUCH", "quantity": 121},
            ],
            "tm:loss": [],
            "tm:carbon": [],
        },
        "YIELD_EXCEEDED",
    ),
    (
        "coffee", "grocer", "11-retailer.jsonld", 3,
        LATER | {"quantityList": [
            {"epcClass": "https://id.gs1.org/01/09521105000012/10/AL260318", "quantity": 583},
        ]},
        "NOT_ENOUGH",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "by", "file", "event", "changes", "code"), FORBIDDEN, ids=lambda v: str(v)[:20]
)
def test_what_must_not_happen_is_refused(
    network: Loaded, name: str, by: str, file: str, event: int, changes: Any, code: str
) -> None:
    """Goods used twice, made from nothing, or moved by somebody who does not hold them."""
    body = altered(network.stories[name], file, event, **changes)
    outcome = anchor(network.as_party(name, by), file, body)
    assert not outcome.accepted
    assert outcome.anchored == 0
    assert outcome.errors[0]["code"] == code, outcome.errors
    assert outcome.errors[0]["where"].startswith("/epcisBody/eventList/0")


def test_a_stranger_cannot_record_for_the_farm(network: Loaded) -> None:
    """A delegation that lets anyone act for the principal."""
    story = network.stories["coffee"]
    body = altered(story, "01-halo-ridge-harvest.jsonld", 0, **LATER)
    farm = story.party("halo-ridge-farm").id
    outcome = anchor(network.as_party("coffee", "grocer"), "harvest", body, actor=farm)
    assert outcome.errors[0]["code"] == "NOT_DELEGATED"


def test_capturing_needs_a_key(network: Loaded) -> None:
    story = network.stories["coffee"]
    with pytest.raises(NotAllowed):
        anchor(anonymous(network.url), "harvest", story.document(story.captures[0]))
