"""Headers of the EPCIS 2.0 REST bindings: media types, versions, formats, paging links.

JSON and JSON-LD are one representation under two names. XML is not offered yet and is refused
clearly: 415 for a body, 406 for an answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

from starlette.requests import Request

from gateway.epcis.capture import PROCEED, ROLLBACK
from gateway.epcis.document import MAX_EVENTS
from gateway.epcis.namespaces import Namespaces
from gateway.epcis.validate import TRACEMARK
from gateway.errors import Problem

JSON, JSON_LD = "application/json", "application/ld+json"
EPCIS_VERSION = CBV_VERSION = "2.0.0"
EPC_FORMATS = ("No_Preference", "Always_GS1_Digital_Link", "Never_Translates")
VENDOR_VERSION = "tracemark-0.1"
DEFAULT_PER_PAGE, MAX_PER_PAGE = 30, 1000

_QUALITY = re.compile(r";\s*q=([01](?:\.\d{0,3})?)")
_VERSION = re.compile(r"\d+(?:\.\d+){0,2}")


def answer_type(request: Request) -> str:
    """The media type to answer with. Raises Problem NOT_ACCEPTABLE."""
    header = request.headers.get("accept", "*/*")
    best, best_quality = "", 0.0
    for part in header.split(","):
        media = part.split(";")[0].strip().lower()
        match = _QUALITY.search(part)
        quality = float(match[1]) if match else 1.0
        found = {
            JSON: JSON,
            JSON_LD: JSON_LD,
            "application/*": JSON,
            "*/*": JSON,
            "": JSON,
        }.get(media)
        if found is not None and quality > best_quality:
            best, best_quality = found, quality
    if not best:
        xml = " XML is not offered yet." if "xml" in header else ""
        raise Problem(
            "NOT_ACCEPTABLE",
            f"{JSON} and {JSON_LD} are offered; {header[:100]!r} names neither.{xml}",
            type_uri="epcisException:NotAcceptableException",
        )
    return best


def require_json_body(request: Request) -> None:
    """Refuse a body that is not JSON. Raises Problem UNSUPPORTED_MEDIA_TYPE."""
    header = request.headers.get("content-type", "")
    media = header.split(";")[0].strip().lower()
    if media in (JSON, JSON_LD):
        return
    said = f"{media[:60]!r} was sent" if media else "no Content-Type was sent"
    xml = " EPCIS XML is not taken yet; send the JSON-LD form." if "xml" in media else ""
    raise Problem(
        "UNSUPPORTED_MEDIA_TYPE",
        f"{JSON} and {JSON_LD} are understood; {said}.{xml}",
        type_uri="epcisException:UnsupportedMediaTypeException",
    )


def check_versions(request: Request) -> None:
    """Refuse versions of EPCIS or CBV that are not 2.x. Raises Problem."""
    for name in ("EPCIS", "CBV"):
        said = request.headers.get(f"gs1-{name.lower()}-version")
        if said is not None and not said.strip().startswith("2"):
            raise _version_refused(name, said)
        least = request.headers.get(f"gs1-{name.lower()}-min")
        most = request.headers.get(f"gs1-{name.lower()}-max")
        if least is not None and _number(least) > (2, 0):
            raise _version_refused(name, least)
        if most is not None and _number(most) < (2, 0):
            raise _version_refused(name, most)


def _version_refused(name: str, said: str) -> Problem:
    return Problem(
        "NOT_ACCEPTABLE",
        f"{name} {said[:20]} is not offered; 2.0 is",
        type_uri="epcisException:NotAcceptableException",
    )


def _number(text: str) -> tuple[int, int]:
    match = _VERSION.fullmatch(text.strip())
    if match is None:
        raise Problem("BAD_REQUEST", f"{text[:20]!r} is no version such as 2.0.0")
    parts = [int(part) for part in match[0].split(".")]
    return (parts[0], parts[1] if len(parts) > 1 else 0)


def error_behaviour(request: Request) -> str:
    """``GS1-Capture-Error-Behaviour``: rollback (also the default) or proceed."""
    said = request.headers.get("gs1-capture-error-behaviour", ROLLBACK).strip().lower()
    if said not in (ROLLBACK, PROCEED):
        raise Problem(
            "BAD_REQUEST",
            f"GS1-Capture-Error-Behaviour {said[:40]!r}: rollback or proceed is accepted",
        )
    return said


def epc_format(request: Request) -> str:
    """``GS1-EPC-Format`` of the answer; events come unchanged unless translation is asked for."""
    said = request.headers.get("gs1-epc-format", "Never_Translates").strip()
    if said not in EPC_FORMATS:
        raise Problem(
            "NOT_ACCEPTABLE",
            f"GS1-EPC-Format {said[:40]!r} is not offered; {', '.join(EPC_FORMATS)} is. An EPC "
            "URN cannot be made from a Digital Link without the length of its company prefix.",
            type_uri="epcisException:NotAcceptableException",
        )
    return "Never_Translates" if said == "No_Preference" else said


def asked_namespaces(request: Request) -> Namespaces:
    """Prefixes of ``GS1-Extensions: ext1=http://example.com/ext1/, ...``."""
    declared: dict[str, str] = {}
    for part in request.headers.get("gs1-extensions", "").split(","):
        prefix, equals, namespace = part.strip().partition("=")
        if equals and prefix and namespace:
            declared[prefix.strip()] = namespace.strip()
    return Namespaces(declared)


def per_page(request: Request) -> int:
    """``perPage``, 30 if it is not given, at most 1000."""
    said = request.query_params.get("perPage")
    if said is None:
        return DEFAULT_PER_PAGE
    if not said.isascii() or not said.isdigit() or int(said) < 1:
        raise Problem(
            "QUERY_PARAMETER",
            "perPage takes a whole number from 1",
            where="perPage",
            type_uri="epcisException:QueryParameterException",
        )
    return min(int(said), MAX_PER_PAGE)


def standard_headers(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Headers every answer carries."""
    return {
        "GS1-EPCIS-Version": EPCIS_VERSION,
        "GS1-CBV-Version": CBV_VERSION,
        "GS1-Extensions": f"tm={TRACEMARK}",
        **(extra or {}),
    }


def discovery_headers(max_bytes: int) -> dict[str, str]:
    """Headers of an OPTIONS answer: what this server offers."""
    return standard_headers(
        {
            "GS1-EPCIS-Min": EPCIS_VERSION,
            "GS1-EPCIS-Max": EPCIS_VERSION,
            "GS1-CBV-Min": CBV_VERSION,
            "GS1-CBV-Max": CBV_VERSION,
            "GS1-EPCIS-Capture-Limit": str(MAX_EVENTS),
            "GS1-EPCIS-Capture-File-Size-Limit": str(max_bytes),
            "GS1-Capture-Error-Behaviour": "all",
            "GS1-EPC-Format": "Never_Translates",
            "GS1-CBV-XML-Format": "Never_Translates",
            "GS1-Vendor-Version": VENDOR_VERSION,
        }
    )


def next_link(request: Request, token: str) -> dict[str, str]:
    """The ``Link`` header to the next page; empty without a token."""
    if not token:
        return {}
    pairs = [(k, v) for k, v in request.query_params.multi_items() if k != "nextPageToken"]
    query = urlencode([*pairs, ("nextPageToken", token)])
    path = request.scope.get("raw_path", request.url.path.encode()).decode("ascii").split("?")[0]
    return {"Link": f'<{path}?{query}>; rel="next"', "GS1-Next-Page-Token-Expires": _NEVER}


_NEVER = "9999-12-31T23:59:59Z"
"""Tokens say where to go on and nothing else, so they do not expire."""


def iso(time_ms: int) -> str:
    """``YYYY-MM-DDThh:mm:ss.mmmZ``."""
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_ms % 1000:03d}Z"
