"""Certificates over HTTP: issue, read, list, verify, change, with real keys and contract."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import httpx
import pytest
import rfc8785

from gateway.credentials.did import did_web_url
from tests.certificates.world import COFFEE, REGULATOR, WATCH
from tests.web.conftest import Site

WATCHMAKER = "https://id.gs1.org/417/9521301000007"
GROCER = "https://id.gs1.org/417/9521106000004"
SUBJECT = "https://id.gs1.org" + WATCH


def issue(site: Site, party: str = WATCHMAKER, **changes: Any) -> httpx.Response:
    body = {"type": "luxury", "subject": SUBJECT, "claims": {"colour": "gold"}} | changes
    with site.client(party) as client:
        return client.post("/v1/certificates", json=body)


@pytest.mark.parametrize("subject", [SUBJECT, "urn:epc:id:sgtin:9521301.000001.MC26-0087"])
def test_issue_read_verify(site: Site, client: httpx.Client, subject: str) -> None:
    made = issue(site, subject=subject)
    assert made.status_code == 201, made.text
    body = made.json()
    assert made.headers["location"] == "/v1/certificates/" + body["id"][9:]
    assert body["scanUrl"] == site.url + WATCH
    read = client.get(made.headers["location"])
    assert read.headers["content-type"] == "application/vc"
    assert read.json() == body["credential"]
    assert hashlib.sha256(rfc8785.dumps(read.json())).hexdigest() == body["digest"]
    for asked in (read.json(), {"credential": read.json()}, {"id": body["id"]}):
        found = client.post("/v1/verify", json=asked).json()
        assert found["overall"] == "valid"
        assert [check["number"] for check in found["checks"]] == list(range(1, 9))
    status = client.get(f"/v1/certificates/{body['id']}/status").json()
    assert (status["status"], status["digest"]) == ("active", body["digest"])


def test_the_issuers_did_document_holds_the_signing_key(site: Site, client: httpx.Client) -> None:
    credential = issue(site).json()["credential"]
    url = did_web_url(credential["issuer"]["id"]).replace("https://", "http://")
    answer = client.get(url)
    assert answer.headers["content-type"] == "application/did+json"
    document = answer.json()
    assert document["id"] == credential["issuer"]["id"]
    assert credential["proof"]["verificationMethod"] in document["assertionMethod"]
    assert client.get("/did/nobody-here/did.json").status_code == 404


def test_options_of_issuing(site: Site) -> None:
    made = issue(
        site, cryptosuite="eddsa-rdfc-2022", didMethod="key", validUntil="2046-05-10",
        claims={"dimensions": {"value": "37", "unit": "MMT", "checkedBy": "A laboratory"}},
    ).json()["credential"]  # fmt: skip
    assert made["issuer"]["id"].startswith("did:key:z6Mk")
    assert made["proof"]["cryptosuite"] == "eddsa-rdfc-2022"
    assert made["validUntil"] == "2046-05-10T00:00:00Z"
    facts = {fact["field"]: fact for fact in made["credentialSubject"]["facts"]}
    assert facts["dimensions"]["checkedBy"] == "A laboratory"


def test_the_life_of_a_certificate(site: Site, client: httpx.Client) -> None:
    first = issue(site).json()
    path = f"/v1/certificates/{first['id'][9:]}"
    with site.client(WATCHMAKER) as maker, site.client(REGULATOR) as regulator:
        assert maker.post(f"{path}/suspend", json={"reason": "enquiry"}).json()["status"] == (
            "suspended"
        )
        assert client.post("/v1/verify", json={"id": first["id"]}).json()["overall"] == "invalid"
        assert maker.post(f"{path}/reinstate", json={"reason": "done"}).json()["status"] == "active"
        second = issue(site, supersedes=first["id"], supersedeReason="new strap").json()
        status = client.get(f"{path}/status").json()
        assert (status["status"], status["supersededBy"]) == ("superseded", second["id"])
        found = client.post("/v1/verify", json=first["credential"]).json()
        assert found["overall"] == "valid-but-old"
        done = regulator.post(
            f"/v1/certificates/{second['id'][9:]}/revoke", json={"reason": "wrong"}
        )
        assert done.json()["reason"] == "wrong"
        again = maker.post(f"/v1/certificates/{second['id'][9:]}/revoke", json={"reason": "x"})
        assert again.status_code == 409
        assert again.json()["code"] == "BAD_STATE"
    listed = client.get("/v1/certificates", params={"subject": SUBJECT}).json()["certificates"]
    assert {first["id"], second["id"]} <= {entry["id"] for entry in listed}


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"type": "weapon"}, 422, "CREDENTIAL_REFUSED"),
        ({"subject": "nonsense"}, 400, None),
        ({"subject": "https://id.gs1.org/01/09521301000015/21/A"}, 400, None),
        ({"claims": {"brand": "Other"}}, 422, "CREDENTIAL_REFUSED"),
        ({"claims": {"colour": "x" * 501}}, 422, "VALIDATION"),
        ({"validUntil": "tomorrow"}, 422, "VALIDATION"),
        ({"validUntil": "2020-01-01"}, 422, "CREDENTIAL_REFUSED"),
        ({"cryptosuite": "rsa"}, 422, "VALIDATION"),
        ({"unknown": 1}, 422, "VALIDATION"),
        ({"subject": "https://id.gs1.org/01/09521301000014/21/NEVER-MADE"}, 422, "FACTS_MISSING"),
    ],
)
def test_bad_orders_are_problems_with_a_code(
    site: Site, changes: dict[str, Any], status: int, code: str | None
) -> None:
    answer = issue(site, **changes)
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    )
    assert code in (None, answer.json()["code"])


def test_missing_facts_are_listed(site: Site) -> None:
    answer = issue(site, subject="https://id.gs1.org/01/09521301000014/21/NEVER-MADE", claims={})
    fields = {error["field"] for error in answer.json()["errors"]}
    assert "madeBy" in fields
    assert all(error["clause"] for error in answer.json()["errors"])


def test_who_may_issue_and_change(site: Site, client: httpx.Client) -> None:
    assert client.post("/v1/certificates", json={}).status_code == 401
    refused = issue(site, GROCER)
    assert refused.status_code == 403
    assert refused.json()["code"] in ("LICENCE_MISSING", "ROLE_NOT_ALLOWED")
    made = issue(site).json()
    with site.client(GROCER) as grocer:
        answer = grocer.post(f"/v1/certificates/{made['id'][9:]}/revoke", json={"reason": "x"})
        assert answer.json()["code"] == "CERTIFICATE_NOT_YOURS"
    assert client.post(f"/v1/certificates/{made['id'][9:]}/revoke").status_code in (401, 422)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/certificates/not-a-number", None, 400),
        ("GET", "/v1/certificates/11111111-1111-4111-8111-111111111111", None, 404),
        ("GET", "/v1/certificates/11111111-1111-4111-8111-111111111111/status", None, 404),
        ("POST", "/v1/verify", "{", 400),
        ("POST", "/v1/verify", '{"a":1,"a":2}', 400),
        ("POST", "/v1/verify", "[]", 400),
        ("POST", "/v1/verify", '{"id":"11111111-1111-4111-8111-111111111111"}', 404),
        ("GET", "/contexts/../certify.py", None, 404),
        ("GET", "/contexts/other.jsonld", None, 404),
    ],
)
def test_what_is_not_there_or_not_json(
    client: httpx.Client, method: str, path: str, body: str | None, status: int
) -> None:
    assert client.request(method, path, content=body).status_code == status


def test_a_tampered_credential_is_invalid_with_the_right_number(
    site: Site, client: httpx.Client
) -> None:
    credential = issue(site).json()["credential"]
    credential["credentialSubject"]["facts"][0]["value"] = "Other watch"
    found = client.post("/v1/verify", json=credential).json()
    failed = [check["number"] for check in found["checks"] if check["verdict"] == "fail"]
    assert found["overall"] == "invalid"
    assert failed == [3, 4, 7]


@pytest.mark.parametrize("subject", ["x", "\u202eurn:x:y", "https://id.gs1.org/01/09521301000015"])
def test_a_subject_that_is_no_identifier_gets_a_verdict_too(
    site: Site, client: httpx.Client, subject: str
) -> None:
    """Defect: the API answered 400 and the page with JSON, instead of an invalid certificate."""
    credential = issue(site).json()["credential"]
    credential["credentialSubject"]["id"] = subject
    found = client.post("/v1/verify", json=credential)
    assert found.status_code == 200
    assert found.json()["checks"][0]["code"] == "SCHEMA_MALFORMED"
    page = client.post("/verify", data={"text": json.dumps(credential)})
    assert page.headers["content-type"].startswith("text/html")
    assert "This certificate cannot be trusted" in page.text


def test_a_browser_that_opens_a_certificate_gets_the_page(client: httpx.Client) -> None:
    found = client.get(COFFEE, headers={"Accept": "application/json"}).json()
    answer = client.get(found["certificates"][0]["href"], headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.status_code == 303
    page = client.get(answer.headers["location"])
    assert page.status_code == 200
    assert "This certificate is valid" in page.text


def test_types_and_context_are_public(client: httpx.Client) -> None:
    types = {entry["name"]: entry for entry in client.get("/v1/certificate-types").json()["types"]}
    assert set(types) == {"food", "drug", "luxury"}
    assert any(field["required"] for field in types["drug"]["fields"])
    context = client.get("/contexts/certificate-v1.jsonld")
    assert "FoodCertificate" in json.loads(context.content)["@context"]
