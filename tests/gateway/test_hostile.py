"""Callers who mean harm: other organisations' parties, numbers and texts made to break things."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import select

from gateway.readmodel.tables import events
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
