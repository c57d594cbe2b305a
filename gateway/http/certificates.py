"""Certificates over HTTP: issue, read, list, verify, and change their status.

Reading and verifying need no key: a certificate is public. Issuing and changing sign with the
caller's own ledger identity, so the contract decides who may.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from chaincode.identifiers import canonical
from gateway.auth import Caller
from gateway.certify import Order, certificate_id, uuid_of
from gateway.credentials import contexts, did, document, profiles, proof
from gateway.credentials.errors import CredentialError, FactsMissing, MalformedCredential
from gateway.credentials.evidence import LedgerEvidence
from gateway.credentials.facts import Claim
from gateway.credentials.records import anchor_of
from gateway.credentials.service import CertificateService, clock_ms, service_of
from gateway.digital_link import LinkError, from_uri
from gateway.errors import Problem, add_problem_types, translates
from gateway.http.deps import get_container, require_caller
from gateway.ledger.client import Committed
from gateway.readmodel import tables
from gateway.web import negotiation

router = APIRouter(tags=["certificates"])
VC = "application/vc"
COMMIT_WAIT_S = 10.0

add_problem_types(
    ("CREDENTIAL_MALFORMED", 400, "Not a certificate", "The document is not a certificate."),
    ("CREDENTIAL_REFUSED", 422, "Not issued", "The certificate cannot be issued like this."),
    ("FACTS_MISSING", 422, "Facts missing",
     "Required fields are neither on the ledger nor among the claims; errors lists them."),
)  # fmt: skip
translates(CredentialError, lambda e: Problem("CREDENTIAL_REFUSED", str(e)))
translates(MalformedCredential, lambda e: Problem("CREDENTIAL_MALFORMED", str(e), where=e.where))
translates(
    FactsMissing,
    lambda e: Problem(
        "FACTS_MISSING", str(e), errors=[{"field": f, "clause": c} for f, c in e.missing]
    ),
)


def get_service(request: Request) -> CertificateService:
    """The certificate parts of the running gateway."""
    return service_of(get_container(request))


ServiceDep = Annotated[CertificateService, Depends(get_service)]
CallerDep = Annotated[Caller, Depends(require_caller)]


ClaimText = Annotated[str, Field(max_length=500)]


class ClaimBody(BaseModel):
    """A claim on the issuer's own word."""

    model_config = ConfigDict(extra="forbid")
    value: ClaimText
    unit: str | None = Field(None, max_length=40)
    checked_by: str | None = Field(None, alias="checkedBy", max_length=200)


class IssueBody(BaseModel):
    """What to issue. Times are ISO 8601 dates or date-times with a zone."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    type: str = Field(description="food, drug or luxury", max_length=60)
    subject: str = Field(description="Identifier in any form", max_length=400)
    claims: dict[str, ClaimText | ClaimBody] = Field(default_factory=dict, max_length=60)
    issuer: str | None = Field(None, description="Party, when acting by delegation")
    valid_from: str | None = Field(None, alias="validFrom")
    valid_until: str | None = Field(None, alias="validUntil")
    cryptosuite: Literal["eddsa-jcs-2022", "eddsa-rdfc-2022"] = "eddsa-jcs-2022"
    did_method: Literal["web", "key"] = Field("web", alias="didMethod")
    supersedes: str | None = Field(None, description="Certificate this one replaces")
    supersede_reason: str = Field("replaced", alias="supersedeReason", max_length=500)

    @field_validator("valid_from", "valid_until")
    @classmethod
    def _instant(cls, value: str | None) -> str | None:
        return None if value is None else document.iso(_instant_ms(value))


class StatusBody(BaseModel):
    """Why the status changes."""

    model_config = ConfigDict(extra="forbid")
    reason: str = Field(min_length=1, max_length=500)
    by: str | None = Field(None, description="New certificate, when superseding")


@router.post("/v1/certificates", status_code=201)
def issue(body: IssueBody, service: ServiceDep, caller: CallerDep) -> Response:
    """Issue a certificate from ledger facts; answers with the anchored credential."""
    signer = caller.require_signer()
    issuer = body.issuer or caller.party
    if issuer is None:
        raise Problem("FORBIDDEN", "this key acts for no registered party")
    claims = {
        name: Claim(c) if isinstance(c, str) else Claim(c.value, c.unit, c.checked_by)
        for name, c in body.claims.items()
    }
    order = Order(
        type=body.type,
        subject=canonical(body.subject),
        issuer=issuer,
        claims=claims,
        valid_from_ms=_instant_ms(body.valid_from) if body.valid_from else None,
        valid_until_ms=_instant_ms(body.valid_until) if body.valid_until else None,
        suite=body.cryptosuite,
        did_method=body.did_method,
        supersedes=certificate_id(body.supersedes) if body.supersedes else None,
    )
    issued = service.certifier.issue(signer, order, clock_ms(), service.footprint)
    last = issued.committed
    if order.supersedes:
        reason = body.supersede_reason
        last = _submit(service, caller, "supersede", order.supersedes, reason, issued.id)
    service.readmodel.wait_for(last.block_number + 1, COMMIT_WAIT_S)
    path = f"/v1/certificates/{uuid_of(issued.id)}"
    answer = {
        "id": issued.id,
        "digest": issued.digest,
        "txId": issued.committed.tx_id,
        "url": service.certifier.base_url + path,
        "scanUrl": service.certifier.base_url + _path_of(order.subject),
        "credential": issued.credential,
    }
    return _json(answer, 201, location=path)


@router.get("/v1/certificates")
def list_by_subject(
    service: ServiceDep,
    subject: Annotated[str, Query(max_length=400)],
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, Any]:
    """Certificates anchored for an identifier, newest first."""
    table = tables.certificates.c
    uri = canonical(subject)
    with service.readmodel.read() as connection:
        rows = connection.execute(select(table.record).where(table.subject == uri).limit(limit))
        records = sorted((orjson.loads(raw) for (raw,) in rows), key=lambda r: -r["time_ms"])
    return {"subject": uri, "certificates": [_summary(record) for record in records]}


@router.get("/v1/certificates/{id}")
def read(request: Request, service: ServiceDep, id: str) -> Response:
    """The credential as it was issued: the bytes whose digest is on the ledger."""
    found = certificate_id(id)
    text = service.certifier.store.get(found)
    if text is None:
        raise Problem("NOT_FOUND", f"this gateway holds no certificate {found}")
    accept = request.headers.get("accept", "")
    if VC not in accept and negotiation.form(accept) == "html" and "text/html" in accept:
        return RedirectResponse(f"/verify?id={uuid_of(found)}", 303)
    media = {"json": "application/json", "jsonld": "application/ld+json"}.get(
        negotiation.form(accept) or "", VC
    )
    headers = {"access-control-allow-origin": "*", "vary": "Accept"}
    return Response(text, media_type=media, headers=headers)


@router.get("/v1/certificates/{id}/status")
def status(service: ServiceDep, id: str) -> dict[str, Any]:
    """The ledger's record of a certificate: status, reason, digest, validity."""
    found = certificate_id(id)
    table = tables.certificates.c
    with service.readmodel.read() as connection:
        raw = connection.scalar(select(table.record).where(table.id == found))
        height, _ = LedgerEvidence(connection).as_of
    if raw is None:
        raise Problem("NOT_FOUND", f"the ledger has no certificate {found}")
    return {**_summary(orjson.loads(raw)), "asOf": {"height": height}}


@router.post("/v1/certificates/{id}/{change}")
def change(
    service: ServiceDep,
    caller: CallerDep,
    id: str,
    change: Literal["suspend", "reinstate", "revoke", "supersede"],
    body: StatusBody,
) -> Response:
    """Suspend, reinstate, revoke or supersede a certificate."""
    if (change == "supersede") != (body.by is not None):
        raise Problem("VALIDATION", "`by` names the new certificate when superseding", where="/by")
    found = certificate_id(id)
    by = certificate_id(body.by) if body.by else None
    committed = _submit(service, caller, change, found, body.reason, by)
    service.readmodel.wait_for(committed.block_number + 1, COMMIT_WAIT_S)
    return _json({**_summary(committed.result), "txId": committed.tx_id}, 200)


@router.post("/v1/verify")
async def verify(request: Request) -> Response:
    """Verify a credential: the body is it, or ``{"credential": ...}``, or ``{"id": ...}``.

    Always 200 with a verdict; 400 when the body is not JSON.
    """
    service = await run_in_threadpool(get_service, request)
    raw = await request.body()
    return await run_in_threadpool(_verify, service, raw)


@router.get("/did/{slug}/did.json")
def did_document(service: ServiceDep, slug: str) -> Response:
    """The DID document of a party that issues here (did:web)."""
    try:
        found = service.certifier.did_document(did.party_of_slug(slug))
    except ValueError as error:
        raise Problem("NOT_FOUND", str(error)) from error
    if found is None:
        raise Problem("NOT_FOUND", f"no certificate was issued here by {slug}")
    return _json(found, 200, media="application/did+json")


@router.get("/contexts/{file}")
def context(file: str) -> Response:
    """A JSON-LD context bundled with this gateway."""
    try:
        body = contexts.context_bytes(file)
    except KeyError:
        raise Problem("NOT_FOUND", "no such context") from None
    headers = {"access-control-allow-origin": "*", "cache-control": "public, max-age=31536000"}
    return Response(body, media_type="application/ld+json", headers=headers)


@router.get("/v1/certificate-types")
def types() -> dict[str, Any]:
    """The certificate types: their fields, which are required, and which clause asks for them."""
    return {
        "types": [
            {
                "name": profile.name,
                "type": profile.type,
                "title": profile.title,
                "subjects": list(profile.subjects),
                "fields": [
                    {
                        "name": field.name,
                        "required": field.required,
                        "fromLedger": bool(field.reading),
                        "clause": field.clause,
                    }
                    for field in profile.fields
                ],
            }
            for profile in map(profiles.load, profiles.NAMES)
        ],
        "cryptosuites": list(proof.SUITES),
    }


def _verify(service: CertificateService, raw: bytes) -> Response:
    body = document.parse_json(raw)
    inner = body.get("credential", body.get("verifiableCredential"))
    if isinstance(inner, dict):
        body = inner
    elif "@context" not in body and isinstance(body.get("id"), str):
        found = service.stored(certificate_id(body["id"]))
        if found is None:
            raise Problem("NOT_FOUND", f"this gateway holds no certificate {body['id']}")
        body = found
    return _json(service.verify(body).as_json(), 200)


def _submit(
    service: CertificateService, caller: Caller, change: str, id: str, reason: str, by: str | None
) -> Committed:
    argument = {"id": id, "reason": reason} | ({"by": by} if by else {})
    return service.certifier.ledger.submit_and_wait(
        caller.require_signer(), f"certificate:{change}", argument
    )


def _summary(record: dict[str, Any]) -> dict[str, Any]:
    anchor = anchor_of(record)
    return {
        "id": record["id"],
        "type": record["type"],
        "subject": anchor.subject,
        "issuer": anchor.issuer,
        "status": anchor.status,
        "reason": anchor.reason or None,
        "supersededBy": anchor.superseded_by,
        "changedAt": document.iso(anchor.changed_ms),
        "anchoredAt": document.iso(anchor.anchored_ms),
        "validFrom": document.iso(anchor.valid_from_ms) if anchor.valid_from_ms else None,
        "validUntil": document.iso(anchor.valid_until_ms) if anchor.valid_until_ms else None,
        "digest": anchor.digest,
        "txId": anchor.tx_id,
        "href": f"/v1/certificates/{uuid_of(record['id'])}",
    }


def _instant_ms(text: str) -> int:
    """An ISO date (00:00 UTC) or date-time with a zone, as ms UTC."""
    try:
        return document.instant_ms(f"{text}T00:00:00Z" if len(text) == 10 else text, "")
    except MalformedCredential as error:
        raise ValueError(str(error)) from error


def _path_of(subject: str) -> str:
    try:
        return from_uri(subject).path
    except LinkError:
        return ""


def _json(
    value: Any, status_code: int, *, media: str = "application/json", location: str = ""
) -> Response:
    headers = {"access-control-allow-origin": "*"} | ({"location": location} if location else {})
    return Response(orjson.dumps(value), status_code, media_type=media, headers=headers)
