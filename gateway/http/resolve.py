"""GS1 Digital Link at the root: every primary key answers with a page, JSON, JSON-LD or a linkset.

GS1-Conformant Resolver standard 1.2.0: GET, HEAD, OPTIONS; CORS; 400 for a malformed link, 404 for
no record or no link of the type asked for, and never 200 for an error; `linkType=linkset` or
``Accept: application/linkset+json`` gives the linkset; any other available link type redirects.
The routes are plain ASGI routes and a scan that is cached touches no database.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from urllib.parse import parse_qs, parse_qsl, urlencode

import orjson
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from chaincode.errors import IdentifierError
from gateway.container import Container
from gateway.credentials.service import CertificateService, service_of
from gateway.digital_link import PRIMARY_KEYS, DigitalLink, LinkError, parse
from gateway.errors import PROBLEM_JSON, Problem
from gateway.http.deps import get_container
from gateway.web import labels, negotiation, render, representations
from gateway.web.cache import LONGEST_MS, Entry, Headers, etag_of
from gateway.web.catalogues import LANGUAGES, Speech, negotiate, speech
from gateway.web.headlines import HEADLINES
from gateway.web.scan import version
from gateway.web.site import site
from gateway.web.view import View

router = APIRouter()
_MEDIA = {
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "jsonld": "application/ld+json",
    "linkset": "application/linkset+json",
}
_CORS: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"Link, ETag"),
]
_VARY = (b"vary", b"Accept, Accept-Language")
_CACHE = (b"cache-control", b"public, no-cache")


class Ready(Response):
    """An answer whose bytes and headers were made before."""

    def __init__(self, entry: Entry, *, head: bool, known: str | None) -> None:
        self.entry = entry
        self.unchanged = known is not None and entry.status == 200 and _matches(known, entry.etag)
        self.head = head
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        entry = self.entry
        if self.unchanged:
            headers = [pair for pair in entry.headers if not pair[0].startswith(b"content-")]
            await send({"type": "http.response.start", "status": 304, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        await send(
            {"type": "http.response.start", "status": entry.status, "headers": list(entry.headers)}
        )
        await send({"type": "http.response.body", "body": b"" if self.head else entry.body})


async def resolve(request: Request) -> Response:
    """Answer a Digital Link."""
    if request.method == "OPTIONS":
        return _preflight()
    container = get_container(request)
    path, query, accept, language, known = _asked(request.scope)
    form = negotiation.form(accept)
    if form is None:
        return _problem(Problem("NOT_ACCEPTABLE", f"one of {', '.join(negotiation.FORMS)}"))
    key = (path, query, form, negotiate(language))
    if container.verifier is None:
        await run_in_threadpool(service_of, container)
    service = service_of(container)
    entry = service.pages.get(key)
    now_ms = time.time_ns() // 1_000_000
    if entry is None or not _fresh(entry, container, now_ms):
        made = await run_in_threadpool(_answer, service, key, entry, now_ms)
        if isinstance(made, Response):
            return made
        entry = made
    return Ready(entry, head=request.method == "HEAD", known=known)


def _asked(scope: Scope) -> tuple[str, str, str, str, str | None]:
    """Raw path, query, Accept, Accept-Language and If-None-Match of a request."""
    accept = language = ""
    known = None
    for name, value in scope["headers"]:
        if name == b"accept":
            accept = value.decode("latin-1")
        elif name == b"accept-language":
            language = value.decode("latin-1")
        elif name == b"if-none-match":
            known = value.decode("latin-1")
    raw = scope.get("raw_path") or scope["path"].encode()
    path = raw.partition(b"?")[0].decode("latin-1")
    return path, scope["query_string"].decode("latin-1"), accept, language, known


def _fresh(entry: Entry, container: Container, now_ms: int) -> bool:
    return entry.height == container.readmodel.known_height and now_ms < entry.until_ms


def _answer(
    service: CertificateService, key: tuple[str, ...], old: Entry | None, now_ms: int
) -> Entry | Response:
    path, query, form, language = key
    given = parse_qs(query, max_num_fields=50) if query else {}
    wanted = given.get("lang", [""])[0]
    t = speech(wanted if wanted in LANGUAGES else language)
    try:
        link = parse(path, query)
    except LinkError as error:
        return _bad_link(error, path, form, t)
    if link.moved:
        headers = {"access-control-allow-origin": "*"}
        return RedirectResponse(link.path + _kept(link, query), 301, headers=headers)
    readmodel = service.readmodel
    height = readmodel.known_height
    if old is not None and now_ms < old.until_ms:
        with readmodel.read() as connection:
            if version(connection, old.watch) == old.version:
                old.height = height
                return old
    try:
        with readmodel.read() as connection:
            view = service.scanner.scan(connection, link, now_ms)
            stands_on = version(connection, view.watch)
    except IdentifierError as error:
        return _bad_link(LinkError(error.code, error.message), path, form, t)
    types = given.get("linkType", [])
    if types:
        found = _by_link_type(types[0], view, service, form, t)
        if isinstance(found, Response):
            return found
        form = found
    entry = _entry(view, service, form, t, now_ms, height, stands_on, explicit=bool(wanted))
    service.pages.put(key, entry)
    return entry


def _kept(link: DigitalLink, query: str) -> str:
    """The query of the canonical address: all of it but what moved into the path."""
    moved = {ai for ai, _ in link.qualifiers}
    pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=50)
    left = [(key, value) for key, value in pairs if key not in moved]
    return f"?{urlencode(left)}" if left else ""


def _by_link_type(
    asked: str, view: View, service: CertificateService, form: str, t: Speech
) -> str | Response:
    """`linkset` as a form, or a redirect to the link of that type, or 404."""
    if asked in ("linkset", "all"):
        return "linkset"
    base_url = service.certifier.base_url
    uri = representations.link_type(asked)
    found = representations.links(view, base_url).get(uri or "") if view.status == 200 else None
    if not found:
        detail = f"there is no link of type {asked[:60]!r} here; linkType=linkset lists them all"
        return _problem(Problem("NOT_FOUND", detail))
    return RedirectResponse(
        found[0]["href"],
        307,
        headers={"access-control-allow-origin": "*", "vary": "Accept-Language"},
    )


def _entry(
    view: View,
    service: CertificateService,
    form: str,
    t: Speech,
    now_ms: int,
    height: int,
    stands_on: object,
    *,
    explicit: bool,
) -> Entry:
    base_url = service.certifier.base_url
    if form == "html":
        body = _page(view, t, now_ms, explicit)
    elif form == "json":
        body = representations.as_json(view)
    elif form == "jsonld":
        body = representations.as_json_ld(view)
    else:
        body = representations.as_linkset(view, base_url)
    headers = _headers(form, body, t.language)
    path = view.link.path if view.link else ""
    relations = [
        f'<{base_url}{path}?linkType=linkset>; rel="linkset"; type="application/linkset+json"',
        f'<{view.subject}>; rel="http://www.w3.org/2002/07/owl#sameAs"',
    ]
    if form == "linkset":
        relations.append(
            f'<{representations.LINKSET_CONTEXT}>; rel="http://www.w3.org/ns/json-ld#context"; '
            'type="application/ld+json"'
        )
    headers.append((b"link", ", ".join(relations).encode("latin-1")))
    until_ms = min(now_ms + LONGEST_MS, view.expires_ms or now_ms + LONGEST_MS)
    etag = dict(headers)[b"etag"]
    return Entry(view.status, body, headers, etag, height, stands_on, view.watch, until_ms)


def _page(view: View, t: Speech, now_ms: int, explicit: bool) -> bytes:
    contact = site().report_contact
    if view.status == 404 and view.link is not None:
        code = labels.element_string(view.link)
        return render.message_page(
            view.headline, t, code, contact, path=view.link.path, explicit=explicit
        )
    return render.scan_page(view, t, contact, now_ms, explicit=explicit)


def _headers(form: str, body: bytes, language: str) -> Headers:
    headers: Headers = [
        (b"content-type", _MEDIA[form].encode()),
        (b"content-length", str(len(body)).encode()),
        (b"etag", etag_of(body)),
        _CACHE,
        _VARY,
        *_CORS,
    ]
    if form == "html":
        headers.append((b"content-language", language.encode()))
        headers.append((b"content-security-policy", render.policy().encode()))
    return headers


def _bad_link(error: LinkError, path: str, form: str, t: Speech) -> Response:
    if form != "html":
        return _problem(Problem("IDENTIFIER_INVALID", str(error), extra={"reason": error.code}))
    body = render.message_page(
        HEADLINES["BAD_CODE"], t, path[:200], site().report_contact, reason=str(error)
    )
    return Response(body, 400, headers=_texts(_headers("html", body, t.language)))


def _problem(problem: Problem) -> Response:
    body = orjson.dumps(problem.body())
    return Response(body, problem.status, media_type=PROBLEM_JSON, headers=_texts([*_CORS, _VARY]))


def _preflight() -> Response:
    headers = {
        "allow": "GET, HEAD, OPTIONS",
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "GET, HEAD, OPTIONS",
        "access-control-allow-headers": "Accept, Accept-Language, If-None-Match",
        "access-control-max-age": "86400",
    }
    return Response(status_code=204, headers=headers)


def _texts(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode(): value.decode("latin-1") for name, value in headers}


def _matches(known: str, etag: bytes) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in known.split(",")]
    return "*" in tags or etag.decode() in tags


async def describe(request: Request) -> Response:
    """The resolver description file (GS1-Conformant Resolver 1.2.0)."""
    base_url = get_container(request).settings.base_url
    body = orjson.dumps(representations.description(base_url))
    return Response(body, media_type="application/json", headers=_texts(_CORS))


router.add_route("/.well-known/gs1resolver", describe, methods=["GET"], include_in_schema=False)
for _key in sorted(PRIMARY_KEYS):
    router.add_route(
        f"/{_key}/{{rest:path}}",
        resolve,
        methods=["GET", "HEAD", "OPTIONS"],
        name=f"digital-link-{_key}",
        include_in_schema=False,
    )
