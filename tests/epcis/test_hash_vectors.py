"""The event hash against other people's published values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.epcis.document import read_document
from gateway.epcis.hash import CBV_2_1, event_hash, hash_hex, pre_hash
from tests.epcis import xml_tree
from tests.epcis.conftest import EXAMPLES

FOLDER = Path(__file__).parent / "vectors" / "event-hash"
EXPECTED: dict[str, dict[str, Any]] = json.loads((FOLDER / "expected.json").read_text())
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix in (".jsonld", ".xml"))


def hashes(path: Path) -> list[str]:
    if path.suffix == ".xml":
        return [event_hash(event) for event in xml_tree.events(path.read_text())]
    document = read_document(path.read_bytes())
    return [event_hash(event, document.context) for event in document.events]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_published_hash(path: Path) -> None:
    """A rule of the pre-hash string that is read otherwise than by the standard's authors."""
    assert [hash_hex(value) for value in hashes(path)] == EXPECTED[path.stem]["hashes"]


@pytest.mark.parametrize("path", sorted((FOLDER / "equal").iterdir()), ids=lambda path: path.name)
def test_spellings_of_one_event(path: Path) -> None:
    """A spelling (order, zone, precision, URN or URI, empty lists) that changes the hash."""
    found = hashes(path)
    assert len(found) > 1
    assert len(set(found)) == 1


def test_tampered_twin() -> None:
    """A hash that does not see a changed serial number."""
    text = (FOLDER / "epcisDocWithSingleEvent.jsonld").read_bytes()
    document = read_document(text.replace(b"107346.2017", b"107346.2019"))
    changed = event_hash(document.events[0], document.context)
    assert hash_hex(changed) not in EXPECTED["epcisDocWithSingleEvent"]["hashes"]


def test_cbv_2_1_profile() -> None:
    """Extensions and the list's name at their places of CBV 2.1 (published pre-hash string)."""
    path = FOLDER / "CertificationInfoAndSensorReportWithCRS.jsonld"
    document = read_document(path.read_bytes())
    text = pre_hash(document.events[0], document.context, CBV_2_1)
    assert text.endswith(
        "readPointid=https://id.gs1.org/414/4012345000115sensorElementListsensorElement"
        "sensorMetadatatime=2023-01-11T11:05:00.000Z"
        "bizRules=https://id.gs1.org/253/4012345000054987"
        "{https://ns.ext.de/epcis/}someFurtherMetadata=metadataText"
        "sensorReporttype=https://ref.gs1.org/voc/Dimensionless"
        "exception=https://ref.gs1.org/voc/ALARM_CONDITION"
        "coordinateReferenceSystem=http://www.opengis.net/def/crs/EPSG/0/27700"
        "{https://ns.ext.de/epcis/}someFurtherReportData=reportText"
    )
    assert event_hash(document.events[0], document.context, CBV_2_1).endswith("?ver=CBV2.1")


@pytest.mark.parametrize("path", EXAMPLES)
def test_every_example_has_a_hash(path: Path) -> None:
    """A form in GS1's or FSMA's documents the hash stumbles over."""
    document = read_document(path.read_bytes())
    found = [event_hash(event, document.context) for event in document.events]
    assert all(hash_hex(value) for value in found)


def test_published_hash_of_gs1_all_fields_event() -> None:
    """Every field and nested extensions of every type at once (GS1's all-fields ObjectEvent)."""
    paths = [p.values[0] for p in EXAMPLES if "object_event_all" in str(p.values[0])]
    if not paths:
        pytest.skip("no vectors")
    document = read_document(paths[0].read_bytes())
    context = [*document.context, {"cbvmda": "urn:epcglobal:cbv:mda"}]
    assert hash_hex(event_hash(document.events[0], context)) == (
        "9811bfb2672e9c3a0f6151be339d22b60db375c8b23d2740f6137cc6539f0639"
    )
