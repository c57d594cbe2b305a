"""Callers who mean harm: other organisations' parties, numbers and texts made to break things."""

from __future__ import annotations

import base64
import json
import re
from hashlib import sha256
from typing import Any

import httpx
import pytest
from fabric_protos.common.ledger_pb2 import BlockchainInfo
from sqlalchemy import select

from gateway.ledger.proposal import new_proposed_transaction
from gateway.readmodel.tables import events
from nodes.identity.issue import issue_user
from nodes.identity.signature import sign_digest
from nodes.identity.signer import load_signer
from tests.gateway.running import Gateway, party
from tests.gateway.test_access import code

SECRET_LOT = "https://id.gs1.org/01/09521234000150/10/SECRET-1"


def confidential() -> dict[str, Any]:
    return {
        "type": "ObjectEvent",
        "eventTime": "2026-04-01T08:00:00.000+02:00",
        "eventTimeZoneOffset": "+02:00",
        "action": "ADD",
        "bizStep": "commissioning",
        "disposition": "active",
        "quantityList": [{"epcClass": SECRET_LOT, "quantity": 10, "uom": "KGM"}],
        "tm:disclosure": "confidential",
    }


def events_of(client: httpx.Client) -> httpx.Response:
    return client.get("/epcis/v2/events", params={"MATCH_anyEPCClass": SECRET_LOT})


def seen(answer: httpx.Response) -> int:
    assert answer.status_code == 200, answer.text
    return len(answer.json()["epcisBody"]["queryResults"]["resultsBody"]["eventList"])


def test_a_certificate_that_names_another_organisation_s_party_opens_nothing(
    gateway: Gateway,
) -> None:
    """Defect: the attribute alone made the caller that party, its payloads' reader and eraser."""
    gateway.capture("roaster", confidential())
    assert seen(events_of(gateway.client("roaster"))) == 1
    admin = gateway.client("growers/admin")
    body = {"label": "x", "user": "mole", "party": party("roaster")}
    made = admin.post("/v1/keys", json=body).json()
    mole = gateway.client(headers={"X-API-Key": made["key"]})
    assert mole.get("/v1/keys/self").json()["party"] is None
    assert seen(events_of(mole)) == 0
    with gateway.container.readmodel.read() as connection:
        newest = connection.execute(select(events.c.hash).order_by(events.c.seq.desc())).scalar()
    erased = mole.delete(f"/v1/payloads/{newest}", params={"reason": "mistake"})
    assert code(erased) == "PAYLOAD_DENIED"
    assert seen(events_of(gateway.client("roaster"))) == 1


@pytest.mark.parametrize(
    "argument",
    [
        '{"id":"\\ud800"}',
        '{"id":123456789012345678901234567890}',
        '{"id":NaN}',
        '{"id":1.5}',
        '{"id":' + "[" * 300 + "]" * 300 + "}",
    ],
)
def test_an_argument_no_contract_takes_is_the_caller_s_fault(
    gateway: Gateway, argument: str
) -> None:
    """Defect: these ended as 500, and NaN was proposed as null."""
    answer = gateway.client("farm").post(
        "/v1/ledger/proposals",
        content=f'{{"function":"item:get","argument":{argument}}}',
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 400, answer.text
    assert code(answer) == "BAD_JSON"


def test_block_numbers_beyond_any_column_are_refused(gateway: Gateway) -> None:
    answer = gateway.client("farm").get("/v1/ledger/blocks", params={"before": 10**20})
    assert code(answer) == "VALIDATION"


@pytest.mark.parametrize(
    "position",
    [[2**70, 1, 0], [1, 2**70, 0], [-1, 0, 0], ["1", 0, 0], [1.5, 0, 0], [None, 0, 0], [0, 0, -5]],
)
def test_a_rewritten_page_token_is_refused(gateway: Gateway, position: list[Any]) -> None:
    """Defect: numbers beyond a column ended as 500, a count above the limit as LIMIT -n."""
    client = gateway.client("farm")
    if client.get("/epcis/v2/events").json()["epcisBody"]["queryResults"]["resultsBody"] == {
        "eventList": []
    }:
        gateway.capture("farm", *open_events())
    query = {"perPage": "1", "orderBy": "eventTime", "eventCountLimit": "2"}
    link = client.get("/epcis/v2/events", params=query).links["next"]["url"]
    token = httpx.URL(link).params["nextPageToken"]
    mark = json.loads(base64.urlsafe_b64decode(token + "=="))[3]
    forged = base64.urlsafe_b64encode(json.dumps([*position, mark]).encode()).decode()
    answer = client.get("/epcis/v2/events", params=query | {"nextPageToken": forged})
    assert answer.status_code == 400
    spent = base64.urlsafe_b64encode(json.dumps([0, 0, 9, mark]).encode()).decode()
    answer = client.get("/epcis/v2/events", params=query | {"nextPageToken": spent})
    assert seen(answer) == 0


def open_events() -> list[dict[str, Any]]:
    return [
        {
            "type": "ObjectEvent",
            "eventTime": f"2026-04-0{day}T08:00:00.000+02:00",
            "eventTimeZoneOffset": "+02:00",
            "action": "OBSERVE",
            "bizStep": "inspecting",
            "epcList": ["https://id.gs1.org/01/09521234000167/21/A1"],
        }
        for day in (1, 2, 3)
    ]


def test_an_administrator_elsewhere_does_not_delete_our_queries(gateway: Gateway) -> None:
    """Defect: any organisation's administrator deleted anybody's named query."""
    body = {"name": "ours", "query": {"eventTypes": ["ObjectEvent"]}}
    assert gateway.client("roaster").post("/epcis/v2/queries", json=body).status_code == 201
    stranger = gateway.client("growers/admin").delete("/epcis/v2/queries/ours")
    assert code(stranger) == "FORBIDDEN"
    owner = gateway.client("authority/admin").delete("/epcis/v2/queries/ours")
    assert owner.status_code == 204


@pytest.mark.parametrize(
    "path",
    [
        "/epcis/v2/events?EQ_bizStep=%00",
        "/epcis/v2/events/a%00b",
        "/epcis/v2/bizSteps/%00/events",
        "/epcis/v2/queries?nextPageToken=%00",
        "/epcis/v2/capture?nextPageToken=1.%00",
        "/epcis/v2/capture?nextPageToken=99999999999999999999999.000000000000000000000000",
        "/v1/participants?bookmark=%00",
        "/v1/payloads/%00/reads",
        "/01/%00",
    ],
)
def test_the_null_character_never_reaches_a_database(gateway: Gateway, path: str) -> None:
    """Defect: PostgreSQL holds no U+0000 in a text, so each of these ended as 500 there."""
    answer = gateway.client("farm").get(path)
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize(
    "change",
    [{"label": "a\0"}, {"label": "a\nb"}, {"party": "urn:\0"}, {"party": 'a"b'}, {"party": "x"}],
)
def test_a_key_is_made_for_what_can_be_named(gateway: Gateway, change: dict[str, str]) -> None:
    """Defect: a user was issued a certificate for a party that no contract reads."""
    body = {"label": "x", "user": "unnameable"} | change
    answer = gateway.client("growers/admin").post("/v1/keys", json=body)
    assert code(answer) == "VALIDATION"
    users = gateway.container.home / "organizations" / "growers" / "users"
    assert not (users / "unnameable").exists()


def test_a_party_is_known_in_any_form_its_certificate_names_it(gateway: Gateway) -> None:
    """Defect: the contract took a certificate with a bare GLN, the gateway knew no such party."""
    gln = "9521234000006"
    body = {"gln": gln, "name": "GLN", "msp": "GrowersMSP", "roles": ["producer"], "country": "CO"}
    made = gateway.client("authority/admin").post("/v1/participants", json=body)
    assert made.status_code == 201, made.text
    home = gateway.container.home
    issue_user(home, "growers", "bare", attrs={"tracemark.party": gln})
    issue_user(home, "growers", "odd", attrs={"tracemark.party": "no identifier"})
    admin = gateway.client("growers/admin")
    for user, expected in (("bare", f"https://id.gs1.org/417/{gln}"), ("odd", None)):
        key = admin.post("/v1/keys", json={"label": "x", "user": user}).json()["key"]
        me = gateway.client(headers={"X-API-Key": key}).get("/v1/keys/self").json()
        assert me["party"] == expected


def test_metrics_and_logs_name_a_route_as_it_is_called(gateway: Gateway) -> None:
    """Defect: the EPCIS resources were counted as `/bizSteps`, `/queries`, without their prefix."""
    client = gateway.client("farm")
    for path in ("bizSteps", "epcs/urn:x:y/events", "queries", "queries/none"):
        client.get(f"/epcis/v2/{path}")
    text = gateway.client().get("/metrics").text
    routes = set(re.findall(r'route="([^"]*)"', text))
    assert {"/epcis/v2/bizSteps", "/epcis/v2/queries/{name}"} <= routes
    known = ("/v1", "/epcis/v2", "/healthz", "/readyz", "/metrics", "/problems", "/verify", "/qr")
    assert [route for route in routes if not route.startswith(known)] in ([], ["unmatched"])


def test_a_system_chaincode_s_answer_is_passed_on(gateway: Gateway) -> None:
    """Defect: a signed query of qscc, whose answers are protobuf, ended as 500."""
    signer = load_signer(gateway.container.home, "growers", "farm")
    asked = new_proposed_transaction(
        "trace", "qscc", signer.serialized, (b"GetChainInfo", b"trace")
    )
    digest = sha256(asked.proposal.proposal_bytes).digest()
    body = {
        "proposal": base64.b64encode(asked.SerializeToString()).decode(),
        "signature": base64.b64encode(sign_digest(signer.key, digest)).decode(),
    }
    answer = gateway.client().post("/v1/ledger/evaluations", json=body)
    assert answer.status_code == 200, answer.text
    info = BlockchainInfo.FromString(base64.b64decode(answer.json()["result_base64"]))
    assert info.height == gateway.container.ledger.chain_info(gateway.container.signer).height
