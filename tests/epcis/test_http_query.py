"""Querying over HTTP: every kind of parameter, order, pages, resources, named queries, headers."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.epcis.conftest import CONTEXT, document, object_event
from tests.epcis.network import CARRIER, MAKER, Gateway

GTIN = "https://id.gs1.org/01/09521234543237"
LOT = GTIN + "/10/Q-LOT"
DEPOT = "https://id.gs1.org/414/9521234000020"
DOCK = DEPOT + "/254/dock-7"
PALLET = "https://id.gs1.org/00/095212345000000117"
X = "https://example.com/x/"
QUERY_CONTEXT = [CONTEXT, {"x": X}]


def at(minute: int, **changes: Any) -> dict[str, Any]:
    return object_event(
        **{"eventTime": f"2026-04-01T10:{minute:02d}:00.000Z", "readPoint": None, **changes}
    )


EVENTS: dict[str, dict[str, Any]] = {
    "made": at(
        1,
        action="ADD",
        bizStep="commissioning",
        disposition="active",
        epcList=[GTIN + "/21/1", GTIN + "/21/2"],
        bizLocation={"id": DEPOT},
        ilmd={"cbvmda:lotNumber": "L7", "x:grade": {"x:sugar": 12.5, "x:colour": "red"}},
        eventID="urn:uuid:00000000-0000-4000-8000-000000000001",
    ),
    "lot": at(
        2,
        action="ADD",
        bizStep="commissioning",
        disposition="active",
        epcList=None,
        quantityList=[{"epcClass": LOT, "quantity": 40.5, "uom": "KGM"}],
        readPoint={"id": DOCK},
    ),
    "packed": {
        "type": "AggregationEvent",
        "eventTime": "2026-04-01T10:03:00.000Z",
        "eventTimeZoneOffset": "+00:00",
        "action": "ADD",
        "bizStep": "packing",
        "parentID": PALLET,
        "childEPCs": [GTIN + "/21/1"],
        "readPoint": {"id": DOCK},
    },
    "sensed": at(
        4,
        bizStep="sensor_reporting",
        disposition=None,
        epcList=[GTIN + "/21/2"],
        sensorElementList=[
            {
                "sensorMetadata": {
                    "time": "2026-04-01T10:04:00Z",
                    "deviceID": "urn:epc:id:giai:9521234.probe1",
                    "startTime": "2026-04-01T09:00:00Z",
                },
                "sensorReport": [
                    {"type": "Temperature", "value": 6.5, "uom": "CEL", "x:cal": "2026-01-01"},
                    {"type": "Count", "stringValue": "ok", "booleanValue": True},
                ],
            }
        ],
    ),
    "sent": at(
        5,
        epcList=[PALLET],
        bizTransactionList=[{"type": "po", "bizTransaction": "urn:epcglobal:cbv:bt:1:PO-9"}],
        sourceList=[{"type": "possessing_party", "source": MAKER}],
        destinationList=[{"type": "possessing_party", "destination": CARRIER}],
        persistentDisposition={"set": ["completeness_verified"]},
        **{"x:priority": 3, "x:route": "north"},
    ),
    "turned": {
        "type": "TransformationEvent",
        "eventTime": "2026-04-01T10:06:00.000Z",
        "eventTimeZoneOffset": "+00:00",
        "transformationID": "urn:x:batch-6",
        "inputQuantityList": [{"epcClass": LOT, "quantity": 10, "uom": "KGM"}],
        "outputEPCList": [GTIN + "/21/9"],
        "bizStep": "commissioning",
    },
}


@pytest.fixture(scope="module")
def asked(gateway: Gateway) -> Gateway:
    """The gateway with `EVENTS` captured."""
    job = gateway.capture(document(*EVENTS.values(), context=QUERY_CONTEXT))
    assert job["success"], job["errors"]
    return gateway


def names(found: list[Any]) -> list[str]:
    """Which of `EVENTS` were found, in order; others are left out."""
    return [name for event in found for name, mine in EVENTS.items() if mine == event]


WINDOW = {"GE_eventTime": "2026-04-01T10:00:00Z", "LT_eventTime": "2026-04-01T11:00:00+00:00"}


CASES: list[tuple[dict[str, str], str]] = [
    ({}, "made lot packed sensed sent turned"),
    ({"eventType": "AggregationEvent|TransformationEvent"}, "packed turned"),
    ({"GE_eventTime": "2026-04-01T12:05:00+02:00"}, "sent turned"),
    ({"LT_eventTime": "2026-04-01T10:02:00Z"}, "made"),
    ({"LT_recordTime": "2026-01-01T00:00:00Z"}, ""),
    ({"EQ_action": "ADD"}, "made lot packed"),
    ({"EQ_bizStep": "packing|shipping"}, "packed sent"),
    ({"EQ_bizStep": "https://ref.gs1.org/cbv/BizStep-packing"}, "packed"),
    ({"EQ_disposition": "in_transit"}, "sent"),
    ({"EQ_readPoint": DOCK}, "lot packed"),
    ({"EQ_readPoint": "urn:epc:id:sgln:9521234.00002.dock-7"}, "lot packed"),
    ({"EQ_readPoint": DEPOT}, ""),
    ({"WD_readPoint": DEPOT}, "lot packed"),
    ({"EQ_bizLocation": DEPOT}, "made"),
    ({"WD_bizLocation": DEPOT}, "made"),
    ({"EQ_transformationID": "urn:x:batch-6"}, "turned"),
    ({"MATCH_epc": GTIN + "/21/1"}, "made packed"),
    ({"MATCH_epc": "urn:epc:id:sgtin:9521234.054323.2"}, "made sensed"),
    ({"MATCH_epc": "urn:epc:idpat:sgtin:9521234.054323.*"}, "made packed sensed"),
    ({"MATCH_epc": "urn:epc:idpat:sgtin:9521234.*.*"}, "made packed sensed"),
    ({"MATCH_parentID": PALLET}, "packed"),
    ({"MATCH_outputEPC": GTIN + "/21/9"}, "turned"),
    ({"MATCH_inputEPC": GTIN + "/21/9"}, ""),
    ({"MATCH_anyEPC": PALLET}, "packed sent"),
    ({"MATCH_epcClass": LOT}, "lot"),
    ({"MATCH_inputEPCClass": LOT}, "turned"),
    ({"MATCH_anyEPCClass": "urn:epc:class:lgtin:9521234.054323.Q-LOT"}, "lot turned"),
    ({"MATCH_anyEPCClass": "urn:epc:class:lgtin:9521234.054323.*"}, "lot turned"),
    ({"EQ_quantity": "40.5"}, "lot"),
    ({"GE_quantity_KGM": "10"}, "lot turned"),
    ({"GT_quantity_KGM": "10"}, "lot"),
    ({"LE_quantity_LTR": "100"}, ""),
    ({"EQ_eventID": "urn:uuid:00000000-0000-4000-8000-000000000001"}, "made"),
    ({"EQ_bizTransaction": "urn:epcglobal:cbv:bt:1:PO-9"}, "sent"),
    ({"EQ_bizTransaction_po": "urn:epcglobal:cbv:bt:1:PO-9"}, "sent"),
    ({"EQ_bizTransaction_inv": "urn:epcglobal:cbv:bt:1:PO-9"}, ""),
    ({"EQ_source_possessing_party": MAKER}, "sent"),
    ({"EQ_destination_possessing_party": "urn:epc:id:pgln:9521235.00001"}, "sent"),
    ({"EQ_destination_owning_party": CARRIER}, ""),
    ({"EQ_persistentDisposition_set": "completeness_verified"}, "sent"),
    ({"EQ_persistentDisposition_unset": "completeness_verified"}, ""),
    ({"EQ_type": "Temperature"}, "sensed"),
    ({"EQ_type": "https://gs1.org/voc/Temperature"}, "sensed"),
    ({"EQ_deviceID": "https://id.gs1.org/8004/9521234probe1"}, "sensed"),
    ({"EQ_stringValue": "ok"}, "sensed"),
    ({"EQ_booleanValue": "false"}, ""),
    ({"GE_value_CEL": "6"}, "sensed"),
    ({"LT_value_CEL": "6"}, ""),
    ({"GE_startTime": "2026-04-01T08:00:00Z"}, "sensed"),
    ({"LT_startTime": "2026-04-01T08:00:00Z"}, ""),
    ({"EQ_x:route": "north|south"}, "sent"),
    ({"GE_x:priority": "3"}, "sent"),
    ({"GT_x:priority": "3"}, ""),
    ({f"EQ_{X}route": "north"}, "sent"),
    ({"EXISTS_x:priority": "true"}, "sent"),
    ({"EXISTS_sensorElementList": "true"}, "sensed"),
    ({"EQ_ILMD_cbvmda:lotNumber": "L7"}, "made"),
    ({"EQ_INNER_ILMD_x:colour": "red"}, "made"),
    ({"GE_INNER_ILMD_x:sugar": "12"}, "made"),
    ({"EQ_ILMD_x:colour": "red"}, ""),
    ({"EXISTS_INNER_ILMD_x:colour": "true"}, "made"),
    ({"EXISTS_SENSORREPORT_x:cal": "true"}, "sensed"),
    ({"EQ_SENSORREPORT_x:cal": "2026-01-01"}, "sensed"),
    ({"EXISTS_errorDeclaration": "true"}, ""),
    ({"EXISTS_errorDeclaration": "false"}, "made lot packed sensed sent turned"),
    ({"HASATTR_bizLocation": "urn:x:name"}, ""),
    ({"EQATTR_bizLocation_x": "y"}, ""),
    ({"orderBy": "eventTime"}, "turned sent sensed packed lot made"),
    (
        {"orderBy": "eventTime", "orderDirection": "ASC"},
        "made lot packed sensed sent turned",
    ),
    ({"orderBy": "eventTime", "eventCountLimit": "2"}, "turned sent"),
    ({"orderBy": "recordTime", "eventCountLimit": "1", "orderDirection": "ASC"}, "made"),
    ({"maxEventCount": "6"}, "made lot packed sensed sent turned"),
]


@pytest.mark.parametrize(("parameters", "expected"), CASES)
@pytest.mark.parametrize("per_page", [2, 100])
def test_parameters(
    asked: Gateway, parameters: dict[str, str], expected: str, per_page: int
) -> None:
    """A parameter that finds too much or too little, or pages that lose an event."""
    found = asked.events(**{**WINDOW, **parameters}, perPage=per_page)
    assert " ".join(names(found)) == expected
    if "EQ_eventID" not in parameters and "recordTime" not in str(parameters):
        assert len(found) == len(names(found)), "an event that was not asked for"


@pytest.mark.parametrize(
    ("parameters", "where"),
    [
        ({"EQ_colour": "red"}, "EQ_colour"),
        ({"nonsense": "1"}, "nonsense"),
        ({"EQ_action": "MAYBE"}, "EQ_action"),
        ({"GE_eventTime": "yesterday"}, "GE_eventTime"),
        ({"GE_eventTime": "2026-04-01T10:00:00"}, "GE_eventTime"),
        ({"GE_quantity": "many"}, "GE_quantity"),
        ({"GE_quantity": "NaN"}, "GE_quantity"),
        ({"EQ_bizStep": ""}, "EQ_bizStep"),
        ({"orderBy": "colour"}, "orderBy"),
        ({"orderDirection": "UP"}, "orderDirection"),
        ({"eventCountLimit": "5"}, "eventCountLimit"),
        ({"orderBy": "eventTime", "eventCountLimit": "5", "maxEventCount": "5"}, "maxEventCount"),
        ({"maxEventCount": "0"}, "maxEventCount"),
        ({"EXISTS_errorDeclaration": "perhaps"}, "EXISTS_errorDeclaration"),
        ({"perPage": "0"}, "perPage"),
        ({"perPage": "-1"}, "perPage"),
        ({"nextPageToken": "xxx"}, "nextPageToken"),
        ({"MATCH_epc": "|".join(["urn:x:1"] * 501)}, "MATCH_epc"),
    ],
)
def test_wrong_parameters(asked: Gateway, parameters: dict[str, str], where: str) -> None:
    """A wrong query answered as if it were another one."""
    answer = asked.get("/events", **parameters)
    assert answer.status_code == 400, answer.text
    body = answer.json()
    assert body["type"] == "epcisException:QueryParameterException"
    assert body["where"] == where


def test_too_many(asked: Gateway) -> None:
    """maxEventCount that cuts off silently."""
    answer = asked.get("/events", **WINDOW, maxEventCount=3)
    assert answer.status_code == 413
    assert answer.json()["type"] == "epcisException:QueryTooLargeException"


def test_token_of_another_query(asked: Gateway) -> None:
    """A page token taken for a query it was not made for."""
    first = asked.get("/events", **WINDOW, perPage=1)
    token = first.links["next"]["url"].partition("nextPageToken=")[2]
    other = asked.get("/events", nextPageToken=token)
    assert other.status_code == 400


def test_document_around_results(asked: Gateway) -> None:
    """Results that are no EPCIS query document, or whose prefixes nobody declares."""
    body = asked.get("/events", **WINDOW).json()
    assert body["type"] == "EPCISQueryDocument"
    assert body["schemaVersion"] == "2.0"
    assert body["@context"] == [CONTEXT, {"x": X}]
    assert body["epcisBody"]["queryResults"]["queryName"] == "SimpleEventQuery"


def test_prefix_with_two_meanings(asked: Gateway) -> None:
    """Two documents' prefixes mixed up in one page."""
    for number, namespace in enumerate(("https://example.com/one/", "https://example.com/two/")):
        event = at(20 + number, epcList=[f"{GTIN}/21/P{number}"], **{"p:x": number})
        asked.capture(document(event, context=[CONTEXT, {"p": namespace}]))
    window = {"GE_eventTime": "2026-04-01T10:20:00Z", "LT_eventTime": "2026-04-01T10:22:00Z"}
    first = asked.get("/events", **window)
    assert first.json()["@context"][1] == {"p": "https://example.com/one/"}
    second = asked.client.get(first.links["next"]["url"], headers=asked.headers())
    assert second.json()["@context"][1] == {"p": "https://example.com/two/"}
    assert "next" not in second.links
    asked_by = {"GS1-Extensions": "mine=https://example.com/two/"}
    found = asked.get("/events", headers=asked_by, **window, **{"EQ_mine:x": "1"})
    assert len(found.json()["epcisBody"]["queryResults"]["resultsBody"]["eventList"]) == 1


def test_resources(asked: Gateway) -> None:
    """A collection that lacks a value, or whose events are others."""
    for path, member in (
        ("/eventTypes", "AssociationEvent"),
        ("/bizSteps", "packing"),
        ("/bizLocations", DEPOT),
        ("/readPoints", DOCK),
        ("/dispositions", "in_transit"),
    ):
        body = asked.get(path, perPage=1000).json()
        assert body["type"] == "Collection"
        assert member in body["member"], path
        below = asked.get(f"{path}/{quote(member, safe='')}")
        assert below.json()["member"] == ["events"]
    assert names(asked.events("/bizSteps/packing/events", **WINDOW)) == ["packed"]
    assert names(asked.events(f"/bizLocations/{quote(DEPOT, safe='')}/events")) == ["made"]
    assert names(asked.events(f"/readPoints/{DOCK}/events", **WINDOW)) == ["lot", "packed"]
    assert names(asked.events("/dispositions/in_transit/events", **WINDOW)) == ["sent"]
    assert names(asked.events("/eventTypes/TransformationEvent/events", **WINDOW)) == ["turned"]
    for path in ("/bizSteps/flying", "/readPoints/urn:x:nowhere", "/epcs/urn:x:none"):
        missing = asked.get(path)
        assert missing.status_code == 404
        assert missing.json()["type"] == "epcisException:NoSuchResourceException"


def test_epcs(asked: Gateway) -> None:
    """The events of a thing, found by any spelling of its name."""
    for spelling in (GTIN + "/21/1", "urn:epc:id:sgtin:9521234.054323.1"):
        path = f"/epcs/{quote(spelling, safe='')}/events"
        assert names(asked.events(path, **WINDOW)) == ["made", "packed"]
        assert names(asked.events(path, **WINDOW, EQ_action="ADD", perPage=1)) == ["made", "packed"]
    assert asked.get(f"/epcs/{quote(PALLET, safe='')}").json()["member"] == ["events"]
    listed: list[str] = []
    answer = asked.get("/epcs", perPage=1000)
    while True:
        listed += answer.json()["member"]
        if "next" not in answer.links:
            break
        answer = asked.client.get(answer.links["next"]["url"], headers=asked.headers())
    assert PALLET in listed
    assert listed == sorted(set(listed))


def test_one_event(asked: Gateway) -> None:
    """An event not found by its eventID, or by its hash sent unescaped."""
    found = asked.get("/events/urn:uuid:00000000-0000-4000-8000-000000000001")
    assert names(found.json()["epcisBody"]["queryResults"]["resultsBody"]["eventList"]) == ["made"]
    assert asked.get("/events/urn:uuid:none").status_code == 404


def test_error_declaration_shows_beside_its_event(asked: Gateway) -> None:
    """A correction that overwrites, or an event that does not show it was declared wrong."""
    event = at(40, epcList=[GTIN + "/21/1"])
    wrong = {
        **event,
        "errorDeclaration": {
            "declarationTime": "2026-04-02T00:00:00Z",
            "reason": "did_not_occur",
        },
    }
    asked.capture(document(event))
    job = asked.capture(document(wrong))
    assert job["success"], job["errors"]
    window = {"GE_eventTime": "2026-04-01T10:40:00Z", "LT_eventTime": "2026-04-01T10:41:00Z"}
    assert asked.events(**window) == [event, wrong]
    assert asked.events(**window, EXISTS_errorDeclaration="true") == [wrong]
    assert asked.events(**window, EQ_errorReason="did_not_occur") == [wrong]
    assert asked.events(**window, GE_errorDeclarationTime="2026-04-03T00:00:00Z") == []


def test_named_queries(asked: Gateway) -> None:
    """A stored query that is lost, overwritten, or deleted by someone else."""
    body = {"name": "packing-list", "query": {"EQ_bizStep": ["packing"], **WINDOW}}
    made = asked.post("/queries", body)
    assert made.status_code == 201, made.text
    assert made.headers["Location"] == "/epcis/v2/queries/packing-list"
    assert asked.post("/queries", body).status_code == 409
    assert asked.get("/queries/packing-list").json() == body
    assert body in asked.get("/queries").json()
    assert names(asked.events("/queries/packing-list/events")) == ["packed"]
    assert names(asked.events("/queries/packing-list/events", EQ_action="DELETE")) == []
    assert asked.get("/queries/packing-list/events", EQ_bizStep="shipping").status_code == 400
    wrong = asked.post("/queries", {"name": "bad", "query": {"EQ_nothing": "1"}})
    assert wrong.status_code == 400
    url = "/epcis/v2/queries/packing-list"
    assert asked.client.delete(url, headers=asked.headers("buyer")).status_code == 403
    assert asked.client.delete(url, headers=asked.headers()).status_code == 204
    assert asked.get("/queries/packing-list").status_code == 404
    assert asked.get("/queries/packing-list/events").status_code == 404


def test_subscriptions_say_that_they_are_not_offered(asked: Gateway) -> None:
    """A subscription that seems to be accepted."""
    for answer in (
        asked.post("/queries/any/subscriptions", {"dest": "https://example.com"}),
        asked.get("/queries/any/subscriptions"),
        asked.get("/queries/any/events", stream="true"),
    ):
        assert answer.status_code == 501
        assert answer.json()["code"] == "NOT_IMPLEMENTED"


def test_negotiation(asked: Gateway) -> None:
    """A representation the caller did not ask for."""
    ld = asked.get("/events", headers={"Accept": "application/ld+json"}, **WINDOW)
    assert ld.headers["content-type"].startswith("application/ld+json")
    both = asked.get("/events", headers={"Accept": "text/html, */*;q=0.1"}, **WINDOW)
    assert both.headers["content-type"].startswith("application/json")
    xml = asked.get("/events", headers={"Accept": "application/xml"}, **WINDOW)
    assert xml.status_code == 406
    assert "XML" in xml.json()["detail"]
    assert asked.get("/events", headers={"GS1-EPCIS-Min": "2.0.0"}).status_code == 200
    assert asked.get("/events", headers={"GS1-EPCIS-Min": "2.1.0"}).status_code == 406
    assert asked.get("/events", headers={"GS1-EPCIS-Max": "1.2"}).status_code == 406
    assert asked.get("/events", headers={"GS1-EPC-Format": "Always_EPC_URN"}).status_code == 406


def test_translation_only_on_request(asked: Gateway) -> None:
    """Identifiers that are rewritten although nobody asked for it."""
    event = at(50, epcList=["urn:epc:id:sgtin:9521234.054323.T1"])
    asked.capture(document(event))
    window = {"GE_eventTime": "2026-04-01T10:50:00Z", "LT_eventTime": "2026-04-01T10:51:00Z"}
    assert asked.events(**window) == [event]
    linked = asked.get("/events", headers={"GS1-EPC-Format": "Always_GS1_Digital_Link"}, **window)
    found = linked.json()["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
    assert found == [{**event, "epcList": [GTIN + "/21/T1"]}]


def test_discovery(asked: Gateway) -> None:
    """A client that cannot learn what is offered."""
    top = asked.get("").json()
    assert {"capture", "events", "epcs", "queries"} <= set(top["member"])
    for path in ("", "/capture", "/events", "/epcs", "/queries/x", "/bizSteps"):
        answer = asked.client.options("/epcis/v2" + path)
        assert answer.status_code == 204, path
        assert answer.headers["GS1-EPCIS-Min"] == "2.0.0"
        assert answer.headers["GS1-Capture-Error-Behaviour"] == "all"
        assert "GET" in answer.headers["Allow"]
    assert asked.client.get("/epcis/v2/events").status_code == 401
