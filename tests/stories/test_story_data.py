"""The stories as data: each test names a slip in the documents that it would catch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chaincode import identifiers
from chaincode.projection import project
from cli.stories import Story, default_folder, load_network_parties, load_stories
from nodes.network import read_description

FOLDER = default_folder()
STORIES = load_stories(FOLDER)
NETWORK = Path(__file__).resolve().parents[2] / "network-config" / "demo.yaml"
IDENTIFIER_FIELDS = ("epcs", "children", "inputs", "outputs")
QUANTITY_FIELDS = ("quantities", "child_quantities", "input_quantities", "output_quantities")


@pytest.fixture(params=STORIES, ids=lambda story: story.name)
def story(request: pytest.FixtureRequest) -> Story:
    return request.param


def texts(value: Any) -> Iterator[str]:
    """Every string in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


def test_there_is_a_food_a_drug_and_a_luxury_story() -> None:
    assert [story.name for story in STORIES] == ["coffee", "insulin", "watch"]


def test_size_is_what_a_newcomer_is_promised(story: Story) -> None:
    """A story cut short by an edit."""
    countries = {event["tm:country"] for event in story.events() if "tm:country" in event}
    assert 12 <= len(story.events()) <= 40
    assert 5 <= len(story.participants) <= 9
    assert 3 <= len(countries) <= 5
    assert countries == set(story.countries)


def test_every_identifier_has_its_check_digit(story: Story) -> None:
    """A mistyped GTIN, SSCC or GLN that the projection would pass on as it stands."""
    for event in story.events():
        for text in texts(event):
            if "id.gs1.org" in text or text.startswith("urn:epc:") or "/01/" in text:
                found = identifiers.parse(text)
                assert found.kind != "other", text
    for text in (story.scan, *(party.id for party in story.participants)):
        assert identifiers.canonical(text) == text


def test_both_identifier_forms_occur(story: Story) -> None:
    """A story that would no longer exercise the normalisation of URNs and Digital Links."""
    written = list(texts(story.events()))
    assert any(text.startswith("urn:epc:id:") for text in written)
    assert any(text.startswith("https://id.gs1.org/") for text in written)


def test_company_prefixes_are_the_demonstration_range(story: Story) -> None:
    """A real company's prefix in published data: 952 is GS1's own for examples."""
    for event in story.events():
        for text in texts(event):
            if text.startswith("https://id.gs1.org/00/"):
                assert text[len("https://id.gs1.org/00/") + 1 :].startswith("952"), text
            elif text.startswith(("https://id.gs1.org/414/", "https://id.gs1.org/417/")):
                assert text.split("/")[4].startswith("952"), text
            elif text.startswith("https://id.gs1.org/01/"):
                assert text.split("/")[4][1:].startswith("952"), text
            elif text.startswith("urn:epc:"):
                assert text.split(":")[4].startswith("952"), text


def test_documents_and_manifest_name_the_same_files(story: Story) -> None:
    """A document nobody captures."""
    named = {capture.file for capture in story.captures}
    assert named == {file.name for file in story.folder.glob("*.jsonld")}


def test_nothing_is_written_before_it_happened(story: Story) -> None:
    """A document dated earlier than the events it reports."""
    for capture in story.captures:
        document = json.loads(story.document(capture))
        created = project({"eventTime": document["creationDate"]})["time_ms"]
        times = [project(event)["time_ms"] for event in document["epcisBody"]["eventList"]]
        assert times == sorted(times)
        assert times[-1] <= created


def test_every_party_named_in_an_event_takes_part(story: Story) -> None:
    """A GLN of a party that was never registered (private owners have pseudonyms)."""
    known = {party.id for party in story.participants}
    for event in story.events():
        projected = project(event)
        for end in projected.get("from", []) + projected.get("to", []):
            private = end["id"].startswith("urn:tracemark:party:owner-")
            assert private or end["id"] in known, end


def test_masses_balance_in_every_transformation(story: Story) -> None:
    """An output and declared losses that do not add up to what went in."""
    grams = {product.gtin: product.mass_g for product in story.products}

    def mass_g(uri: str, quantity: float | None, unit: str | None) -> float | None:
        if unit == "KGM" and quantity is not None:
            return quantity * 1000
        per_unit = grams.get(identifiers.parse(uri).gtin or "")
        return None if per_unit is None else float(per_unit) * (1 if quantity is None else quantity)

    for event in story.events():
        if event["type"] != "TransformationEvent":
            continue
        ins = [
            mass_g(q["epcClass"], q["quantity"], q.get("uom"))
            for q in event.get("inputQuantityList", [])
        ]
        ins += [mass_g(epc, None, None) for epc in event.get("inputEPCList", [])]
        outs = [
            mass_g(q["epcClass"], q["quantity"], q.get("uom"))
            for q in event.get("outputQuantityList", [])
        ]
        outs += [mass_g(epc, None, None) for epc in event.get("outputEPCList", [])]
        lost = [mass_g(q["epcClass"], q["quantity"], q["uom"]) for q in event.get("tm:loss", [])]
        known_in = sum(mass for mass in ins if mass is not None)
        assert sum(outs) + sum(lost) == pytest.approx(known_in)  # type: ignore[arg-type]


def test_carbon_is_amount_times_factor(story: Story) -> None:
    """A footprint figure that its own activity and factor do not give."""
    records = [record for event in story.events() for record in event.get("tm:carbon", [])]
    assert len(records) >= 3
    for record in records:
        from decimal import Decimal

        factor = record["factor"]["value_mg_per_unit"]
        assert Decimal(record["activity"]["amount"]) * Decimal(factor) == record["co2e_mg"]


def test_the_network_description_has_a_user_for_every_party() -> None:
    """A party that could not sign, or a user whose certificate names another party."""
    description = read_description(NETWORK)
    users = {
        (organisation.name, user.name): user.party
        for organisation in description.organisations
        for user in organisation.users
        if user.party
    }
    parties = load_network_parties(FOLDER) + [p for s in STORIES for p in s.participants]
    assert len({party.id for party in parties}) == len(parties)
    expected = {(party.organisation, party.user): party.id for party in parties if party.user}
    assert users == expected


def test_all_ten_roles_are_played() -> None:
    """A role for which the demo would have no API key."""
    parties = load_network_parties(FOLDER) + [p for s in STORIES for p in s.participants]
    roles = {role for party in parties if party.user for role in party.roles}
    assert roles == {
        "producer", "processor", "carrier", "warehouse", "certifier",
        "customs", "brand", "retailer", "regulator", "auditor",
    }  # fmt: skip
