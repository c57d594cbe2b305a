"""Validation: each rule has a document that breaks it and nothing else."""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.epcis.checks import MAX_FINDINGS
from gateway.epcis.document import as_document, read_document
from gateway.epcis.prepare import prepare
from gateway.epcis.validate import validate_document
from tests.epcis.conftest import CONTEXT, EXAMPLES, document, object_event

LOT = "https://id.gs1.org/01/09521234543213/10/LOT1"
ITEM = "https://id.gs1.org/01/09521234543213/21/A1"
PALLET = "https://id.gs1.org/00/095212345000000018"


def faults(*events: dict[str, Any], **changes: Any) -> list[tuple[str, str]]:
    found = validate_document(as_document(document(*events, **changes)))
    return [(f.code, f.pointer.removeprefix("/epcisBody/eventList")) for f in found]


def only(event: dict[str, Any], code: str, pointer: str, **changes: Any) -> None:
    assert faults(event, **changes) == [(code, "/0" + pointer)]


def transformation(**changes: Any) -> dict[str, Any]:
    base = {
        "type": "TransformationEvent",
        "eventTime": "2026-03-01T08:30:00Z",
        "eventTimeZoneOffset": "+00:00",
        "inputQuantityList": [{"epcClass": LOT, "quantity": 2.5, "uom": "KGM"}],
        "outputEPCList": [ITEM],
    }
    return {k: v for k, v in {**base, **changes}.items() if v is not None}


def aggregation(**changes: Any) -> dict[str, Any]:
    base = {
        "type": "AggregationEvent",
        "eventTime": "2026-03-01T08:30:00Z",
        "eventTimeZoneOffset": "+00:00",
        "action": "ADD",
        "parentID": PALLET,
        "childEPCs": [ITEM],
    }
    return {k: v for k, v in {**base, **changes}.items() if v is not None}


def sensor(**report: Any) -> dict[str, Any]:
    return object_event(sensorElementList=[{"sensorReport": [{"type": "Temperature", **report}]}])


@pytest.mark.parametrize("path", EXAMPLES)
def test_published_documents_pass(path: Path) -> None:
    """A rule stricter than the standard."""
    assert validate_document(read_document(path.read_bytes())) == []


@pytest.mark.parametrize("event", [object_event(), transformation(), aggregation(), sensor()])
def test_own_samples_pass(event: dict[str, Any]) -> None:
    """A sample the other tests build on that is faulty itself."""
    assert faults(event) == []


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"eventTime": None}, "MISSING", "/eventTime"),
        ({"eventTime": "2026-03-01T08:30:00"}, "TIME_WITHOUT_ZONE", "/eventTime"),
        ({"eventTime": "2026-02-30T08:30:00Z"}, "BAD_TIME", "/eventTime"),
        ({"eventTime": "2026-03-01T24:30:00Z"}, "BAD_TIME", "/eventTime"),
        ({"eventTime": "yesterday"}, "BAD_TIME", "/eventTime"),
        ({"eventTime": "2026-03-01T08:30:00+15:00"}, "BAD_TIME", "/eventTime"),
        ({"eventTime": 3}, "WRONG_TYPE", "/eventTime"),
        ({"eventTimeZoneOffset": None}, "MISSING", "/eventTimeZoneOffset"),
        ({"eventTimeZoneOffset": "+25:00"}, "BAD_OFFSET", "/eventTimeZoneOffset"),
        ({"eventTimeZoneOffset": "Z"}, "BAD_OFFSET", "/eventTimeZoneOffset"),
        ({"action": None}, "MISSING", "/action"),
        ({"action": "add"}, "BAD_VALUE", "/action"),
        ({"eventID": "no uri"}, "BAD_URI", "/eventID"),
        ({"bizStep": "shiping"}, "UNKNOWN_WORD", "/bizStep"),
        ({"bizStep": "urn:epcglobal:cbv:bizstep:flying"}, "UNKNOWN_WORD", "/bizStep"),
        ({"bizStep": 5}, "WRONG_TYPE", "/bizStep"),
        ({"disposition": "cbv:Disp-lost"}, "UNKNOWN_WORD", "/disposition"),
        ({"epcList": "x"}, "WRONG_TYPE", "/epcList"),
        ({"epcList": [ITEM, ITEM]}, "DUPLICATE", "/epcList/1"),
        ({"epcList": [LOT]}, "CLASS_AS_INSTANCE", "/epcList/0"),
        ({"epcList": [ITEM.replace("3213", "3214")]}, "BAD_CHECK_DIGIT", "/epcList/0"),
        ({"epcList": ["urn:epc:id:sgtin:1.2.3"]}, "BAD_IDENTIFIER", "/epcList/0"),
        ({"epcList": ["just text"]}, "BAD_IDENTIFIER", "/epcList/0"),
        ({"epcList": ["(01)09521234543213(21)A1"]}, "BAD_URI", "/epcList/0"),
        ({"epcList": [ITEM + "\u202e"]}, "UNSAFE_CHARACTERS", "/epcList/0"),
        ({"epcList": [ITEM + "\u200b"]}, "UNSAFE_CHARACTERS", "/epcList/0"),
        ({"epcList": []}, "MISSING", ""),
        ({"readPoint": "urn:x:y"}, "WRONG_TYPE", "/readPoint"),
        ({"readPoint": {}}, "MISSING", "/readPoint/id"),
        (
            {"readPoint": {"id": "https://id.gs1.org/414/9521234000014"}},
            "BAD_CHECK_DIGIT",
            "/readPoint/id",
        ),
        ({"parentID": PALLET}, "NOT_ALLOWED", "/parentID"),
        ({"inputEPCList": [ITEM]}, "NOT_ALLOWED", "/inputEPCList"),
        ({"colour": "red"}, "UNKNOWN_PROPERTY", "/colour"),
        ({"x:colour": "red"}, "UNKNOWN_NAMESPACE", "/x:colour"),
        ({"ilmd": {"cbvmda:lotNumber": "1"}}, "ILMD_NOT_ALLOWED", "/ilmd"),
        ({"type": "ObjektEvent"}, "UNKNOWN_WORD", "/type"),
        ({"type": "x:OwnEvent"}, "UNKNOWN_NAMESPACE", "/type"),
        ({"type": None}, "MISSING", "/type"),
        (
            {"errorDeclaration": {"reason": "did_not_occur"}},
            "MISSING",
            "/errorDeclaration/declarationTime",
        ),
        (
            {"errorDeclaration": {"declarationTime": "2026-03-01T00:00:00Z", "reason": "oops"}},
            "UNKNOWN_WORD",
            "/errorDeclaration/reason",
        ),
        ({"persistentDisposition": {}}, "EMPTY", "/persistentDisposition"),
        ({"persistentDisposition": {"set": []}}, "EMPTY", "/persistentDisposition/set"),
        (
            {"persistentDisposition": {"set": ["recalled", "recalled"]}},
            "DUPLICATE",
            "/persistentDisposition/set/1",
        ),
        (
            {"bizTransactionList": [{"type": "order", "bizTransaction": "urn:x:1"}]},
            "UNKNOWN_WORD",
            "/bizTransactionList/0/type",
        ),
        (
            {"bizTransactionList": [{"type": "po"}]},
            "MISSING",
            "/bizTransactionList/0/bizTransaction",
        ),
        ({"sourceList": [{"source": PALLET}]}, "MISSING", "/sourceList/0/type"),
        (
            {"destinationList": [{"type": "location", "destination": PALLET, "x": 1}]},
            "UNKNOWN_PROPERTY",
            "/destinationList/0/x",
        ),
        ({"sensorElementList": [{}]}, "MISSING", "/sensorElementList/0/sensorReport"),
        (
            {"sensorElementList": [{"sensorReport": []}]},
            "EMPTY",
            "/sensorElementList/0/sensorReport",
        ),
    ],
)
def test_object_event_faults(change: dict[str, Any], code: str, pointer: str) -> None:
    """A rule of ObjectEvents that is not kept, or that points elsewhere."""
    only(object_event(**change), code, pointer)


@pytest.mark.parametrize(
    ("quantity", "code", "pointer"),
    [
        ({"quantity": -1, "uom": "KGM"}, "BAD_QUANTITY", "/quantity"),
        ({"quantity": "5", "uom": "KGM"}, "WRONG_TYPE", "/quantity"),
        ({"quantity": True, "uom": "KGM"}, "WRONG_TYPE", "/quantity"),
        ({"quantity": 1e16, "uom": "KGM"}, "BAD_QUANTITY", "/quantity"),
        ({"quantity": 1.5}, "BAD_QUANTITY", "/quantity"),
        ({"uom": "KGM"}, "MISSING", "/quantity"),
        ({"quantity": 1, "uom": "kilo"}, "BAD_VALUE", "/uom"),
        ({"quantity": 1, "epcClass": ITEM}, "INSTANCE_AS_CLASS", "/epcClass"),
        ({"quantity": 1, "epcClass": None}, "WRONG_TYPE", "/epcClass"),
        ({"quantity": 1, "note": "x"}, "UNKNOWN_PROPERTY", "/note"),
    ],
)
def test_quantity_faults(quantity: dict[str, Any], code: str, pointer: str) -> None:
    """A quantity no balance can be kept with."""
    element = {"epcClass": LOT, **quantity}
    only(object_event(quantityList=[element]), code, "/quantityList/0" + pointer)


@pytest.mark.parametrize(
    ("event", "code", "pointer"),
    [
        (aggregation(parentID=None), "MISSING", "/parentID"),
        (aggregation(childEPCs=[]), "MISSING", "/childEPCs"),
        (aggregation(ilmd={}), "ILMD_NOT_ALLOWED", "/ilmd"),
        (aggregation(type="AssociationEvent", action="OBSERVE", parentID=None), "MISSING",
         "/parentID"),
        (transformation(action="ADD"), "NOT_ALLOWED", "/action"),
        (transformation(inputQuantityList=None), "MISSING", "/inputQuantityList"),
        (transformation(outputEPCList=None), "MISSING", "/outputQuantityList"),
        (transformation(ilmd={"lot": 1}), "UNKNOWN_PROPERTY", "/ilmd/lot"),
        (object_event(type="TransactionEvent"), "MISSING", "/bizTransactionList"),
        (sensor(value="hot"), "WRONG_TYPE", "/sensorElementList/0/sensorReport/0/value"),
        (sensor(uom="KGM"), "UNIT_MISMATCH", "/sensorElementList/0/sensorReport/0/uom"),
        (sensor(type="Speed", uom="4H"), "UNIT_MISMATCH",
         "/sensorElementList/0/sensorReport/0/uom"),
        (sensor(type="Warmth"), "UNKNOWN_WORD", "/sensorElementList/0/sensorReport/0/type"),
        (sensor(component="w"), "UNKNOWN_WORD", "/sensorElementList/0/sensorReport/0/component"),
        (sensor(hexBinaryValue="xyz"), "BAD_VALUE",
         "/sensorElementList/0/sensorReport/0/hexBinaryValue"),
        (sensor(time="now"), "BAD_TIME", "/sensorElementList/0/sensorReport/0/time"),
        (sensor(extra=1), "UNKNOWN_PROPERTY", "/sensorElementList/0/sensorReport/0/extra"),
    ],
)  # fmt: skip
def test_faults_of_other_events(event: dict[str, Any], code: str, pointer: str) -> None:
    """A rule of one event type applied to none, or to all."""
    only(event, code, pointer)


@pytest.mark.parametrize(
    "event",
    [
        aggregation(action="DELETE", childEPCs=None),
        aggregation(action="OBSERVE", parentID=None),
        transformation(transformationID="urn:x:t1", outputEPCList=None),
        object_event(action="ADD", ilmd={"cbvmda:lotNumber": "1"}),
        object_event(epcList=None, sensorElementList=sensor()["sensorElementList"]),
        object_event(bizStep="https://example.com/steps/flying"),
        object_event(readPoint={"id": "geo:47.5,11.1"}),
        object_event(**{"https://example.com/ns/colour": "red"}),
        object_event(**{"@context": {"x": "https://example.com/ns/"}, "x:colour": "red"}),
        object_event(epcList=["urn:epc:id:sgtin:0614141.107346.2017"]),
        object_event(quantityList=[{"epcClass": LOT, "quantity": 0, "uom": "KGM"}]),
    ],
)
def test_allowed(event: dict[str, Any]) -> None:
    """Something the standard allows that is refused."""
    assert faults(event) == []


@pytest.mark.parametrize(
    ("changes", "code", "pointer"),
    [
        ({"@context": None}, "MISSING", "/@context"),
        ({"context": "https://example.com/other.jsonld"}, "BAD_VALUE", "/@context"),
        ({"schemaVersion": None}, "MISSING", "/schemaVersion"),
        ({"schemaVersion": "1.2"}, "BAD_VALUE", "/schemaVersion"),
        ({"creationDate": None}, "MISSING", "/creationDate"),
        ({"creationDate": "2026-03-01"}, "BAD_TIME", "/creationDate"),
        ({"note": 1}, "UNKNOWN_PROPERTY", "/note"),
        (
            {"context": [CONTEXT, {"tm": "https://example.com/"}]},
            "UNKNOWN_NAMESPACE",
            "/@context",
        ),
        (
            {"context": [CONTEXT, {"trace": "urn:tracemark:ns:"}]},
            "UNKNOWN_NAMESPACE",
            "/@context",
        ),
    ],
)
def test_document_faults(changes: dict[str, Any], code: str, pointer: str) -> None:
    """A document around the events that is no EPCIS 2.0 document."""
    assert faults(object_event(), **changes) == [(code, pointer)]


def test_own_extensions() -> None:
    """A country or disclosure the chain would keep although it means nothing."""
    context = [CONTEXT, {"tm": "urn:tracemark:ns:"}]
    good = object_event(**{"tm:country": "BR", "tm:disclosure": "partners"})
    assert faults(good, context=context) == []
    only(object_event(**{"tm:country": "Brazil"}), "BAD_VALUE", "/tm:country", context=context)
    only(object_event(**{"tm:disclosure": "all"}), "BAD_VALUE", "/tm:disclosure", context=context)
    only(object_event(**{"tm:country": "BR"}), "UNKNOWN_NAMESPACE", "/tm:country")


def test_suggestion() -> None:
    """A refusal that does not say what would be accepted."""
    found = validate_document(as_document(document(object_event(bizStep="shiping"))))
    assert "did you mean shipping?" in found[0].message


def test_one_bad_event_of_ten_thousand() -> None:
    """A fault lost in a crowd, or a crowd that takes minutes."""
    events = [object_event(epcList=[f"{ITEM}{n}"]) for n in range(10_000)]
    events[7_654]["bizStep"] = "flying"
    started = time.perf_counter()
    assert faults(*events) == [("UNKNOWN_WORD", "/7654/bizStep")]
    assert time.perf_counter() - started < 10


def test_faults_are_capped() -> None:
    """A hostile document whose report is larger than itself."""
    found = faults(*[{"type": "ObjectEvent"} for _ in range(MAX_FINDINGS)])
    assert len(found) == MAX_FINDINGS + 1
    assert found[-1][0] == "TOO_MANY_FAULTS"


def test_hostile_event_is_cheap() -> None:
    """One event whose faults fill the memory, or whose words take minutes to compare."""
    events = [
        object_event(epcList=["x"] * 500_000),
        object_event(bizStep="flying" * 1_000_000),
        object_event(type="q" * 5_000_000),
    ]
    started = time.perf_counter()
    found = as_document(document(*events))
    assert len(validate_document(found)) == MAX_FINDINGS + 1
    prepared, faulty = prepare(found)
    assert not prepared
    assert sum(len(fault.findings) for fault in faulty) < MAX_FINDINGS + 10
    assert time.perf_counter() - started < 20


def test_nothing_raises_on_wrong_types() -> None:
    """A type nobody thought of that ends in a traceback instead of a finding."""
    samples = [object_event(ilmd={}, action="ADD"), transformation(), aggregation(), sensor()]
    samples[0].update(
        errorDeclaration={"declarationTime": "2026-03-01T00:00:00Z", "correctiveEventIDs": []},
        persistentDisposition={"set": ["recalled"]},
        bizTransactionList=[{"type": "po", "bizTransaction": "urn:x:1"}],
        sourceList=[{"type": "location", "source": "urn:x:1"}],
        quantityList=[{"epcClass": LOT, "quantity": 1}],
    )

    def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        found = [path] if path else []
        keys = (
            list(value)
            if isinstance(value, dict)
            else range(len(value))
            if isinstance(value, list)
            else []
        )
        for key in keys:
            found += places(value[key], (*path, key))
        return found

    for sample in samples:
        for path in places(sample):
            for wrong in (None, True, 7, 1.5, "", "x", [], [None], {}, {"": None}, [[{}]]):
                changed = copy.deepcopy(sample)
                holder = changed
                for key in path[:-1]:
                    holder = holder[key]
                holder[path[-1]] = wrong
                body = json.dumps(document(changed)).encode()
                validate_document(read_document(body))
