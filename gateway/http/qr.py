"""QR codes: ``/qr/<Digital Link path>.svg|png?size=&ecc=`` encodes this gateway's scan address."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from gateway import qr
from gateway.digital_link import LinkError, parse
from gateway.errors import Problem
from gateway.http.deps import get_container

router = APIRouter(tags=["digital link"])


@router.head("/qr/{name:path}", include_in_schema=False)
@router.get(
    "/qr/{name:path}",
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {}, "image/png": {}}}},
)
def code(
    request: Request,
    name: str,
    size: Annotated[int, Query(ge=qr.MIN_SIZE, le=qr.MAX_SIZE)] = qr.DEFAULT_SIZE,
    ecc: Literal["M", "Q", "m", "q"] = "M",
) -> Response:
    """The QR code of a product's scan address, as SVG or PNG."""
    raw = (request.scope.get("raw_path") or request.scope["path"].encode()).decode("latin-1")
    path, dot, suffix = raw.partition("?")[0].removeprefix("/qr").rpartition(".")
    if not dot or suffix not in ("svg", "png"):
        raise Problem("NOT_FOUND", "the address ends in .svg or .png")
    try:
        link = parse(path)
    except LinkError as error:
        raise Problem("IDENTIFIER_INVALID", str(error), extra={"reason": error.code}) from error
    text = get_container(request).settings.base_url + link.path
    level: qr.Level = "Q" if ecc in ("Q", "q") else "M"
    body = qr.svg(text, size, level) if suffix == "svg" else qr.png(text, size, level)
    return Response(
        body,
        media_type="image/svg+xml" if suffix == "svg" else "image/png",
        headers={"cache-control": "public, max-age=86400", "access-control-allow-origin": "*"},
    )
