"""Pages for people beside the scan: the front page, the code field, and checking a certificate."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse, Response

from chaincode.errors import IdentifierError
from chaincode.identifiers import parse as parse_identifier
from gateway.credentials.document import MAX_BYTES
from gateway.credentials.errors import CredentialError
from gateway.credentials.sentences import N_
from gateway.credentials.service import CertificateService, service_of
from gateway.digital_link import LinkError, from_uri
from gateway.http.deps import get_container
from gateway.verify import Verification
from gateway.web import render
from gateway.web.catalogues import LANGUAGES, Speech, negotiate, speech
from gateway.web.site import site

router = APIRouter(include_in_schema=False)
_NOT_A_CODE = N_("This is not a code we can read. Type it exactly as it is printed.")
_NOT_A_CERTIFICATE = N_("This is not a certificate. Choose its file, or paste its whole text.")
_NOT_HELD = N_("No certificate of this number is kept here.")
_TOO_LARGE = N_("The file is too large to be a certificate.")


def _speech(request: Request) -> tuple[Speech, bool]:
    """The reader's language, and whether it was chosen rather than negotiated."""
    chosen = request.query_params.get("lang", "")
    if chosen in LANGUAGES:
        return speech(chosen), True
    return speech(negotiate(request.headers.get("accept-language", ""))), False


@router.api_route("/", methods=["GET", "HEAD"])
def index(request: Request) -> Response:
    """What this is, and a field for a code."""
    t, explicit = _speech(request)
    return _html(render.index_page(t, explicit=explicit), t)


@router.get("/find")
def find(request: Request, code: Annotated[str, Query(max_length=400)] = "") -> Response:
    """Send a typed or pasted code to its page; the front page again when it is none."""
    t, explicit = _speech(request)
    text = code.strip()
    path = path_of_code(text)
    if path is None:
        body = render.index_page(t, text, t(_NOT_A_CODE), explicit=explicit)
        return _html(body, t, status=400)
    return RedirectResponse(f"{path}?lang={t.language}" if explicit else path, 303)


@router.get("/verify")
def verify_form(request: Request, id: Annotated[str, Query(max_length=100)] = "") -> Response:
    """The form, or the answer for a certificate kept here (`?id=`)."""
    t, explicit = _speech(request)
    if not id:
        return _html(render.verify_page(t, explicit=explicit), t)
    return _answer(service_of(get_container(request)), t, id, explicit)


@router.post("/verify")
async def verify(request: Request) -> Response:
    """Check an uploaded or pasted certificate."""
    t, explicit = _speech(request)
    service = await run_in_threadpool(service_of, get_container(request))
    async with request.form(max_files=1, max_fields=4, max_part_size=MAX_BYTES * 2) as form:
        file, text = form.get("file"), form.get("text")
        given = await file.read(MAX_BYTES + 1) if isinstance(file, UploadFile) else b""
    if len(given) > MAX_BYTES:
        body = render.verify_page(t, problem=t(_TOO_LARGE), explicit=explicit)
        return _html(body, t, status=400)
    pasted = given.decode("utf-8", "replace") if given else str(text or "")
    return await run_in_threadpool(_answer, service, t, pasted, explicit)


def path_of_code(text: str) -> str | None:
    """The Digital Link path of whatever is printed beside a code, or None.

    Web addresses, element strings with brackets, GTIN and SSCC digits (with spaces), EPC URNs.
    """
    if not text or len(text) > 400:
        return None
    candidate = text if "://" in text else text.replace(" ", "").replace("-", "")
    for form in (text, candidate):
        try:
            if "://" in form:
                return from_uri(form).path
            return from_uri(parse_identifier(form).uri).path
        except (LinkError, IdentifierError):
            continue
    return None


def _answer(service: CertificateService, t: Speech, given: str, explicit: bool) -> Response:
    problem = ""
    found: Verification | None = None
    try:
        found = service.verify_text(given)
        problem = "" if found else t(_NOT_HELD)
    except CredentialError:
        problem = t(_NOT_A_CERTIFICATE)
    pasted = given if problem and len(given) < 4000 else ""
    body = render.verify_page(
        t, found, pasted, problem, contact=site().report_contact, explicit=explicit
    )
    return _html(body, t, status=400 if problem else 200)


def _html(body: bytes, t: Speech, status: int = 200) -> Response:
    headers = {
        "content-language": t.language,
        "content-security-policy": render.policy(),
        "vary": "Accept-Language",
        "cache-control": "no-cache",
    }
    return Response(body, status, media_type="text/html", headers=headers)
