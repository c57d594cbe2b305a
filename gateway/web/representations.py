"""A view in the forms machines ask for: JSON, JSON-LD, and the linkset of RFC 9264.

Link types are the GS1 Web Vocabulary's (``https://ref.gs1.org/voc/``); the linkset has the shape of
the GS1-Conformant Resolver standard 1.2.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson

from gateway.certify import uuid_of
from gateway.web.catalogues import LANGUAGES
from gateway.web.view import View

VOCABULARY = "https://ref.gs1.org/voc/"
_OLD_VOCABULARIES = ("https://gs1.org/voc/", "http://gs1.org/voc/", "https://www.gs1.org/voc/")
LINKSET_CONTEXT = "https://ref.gs1.org/standards/resolver/linkset-context"
Link = dict[str, Any]


def as_json(view: View) -> bytes:
    """The view as plain JSON."""
    found = view.verification
    overall = (
        found.overall if found else ("invalid" if view.headline.tone == "bad" else "not-proven")
    )
    return orjson.dumps(
        {
            "id": view.subject,
            "kind": view.kind,
            "overall": overall,
            "headline": {
                "code": view.headline.code,
                "title": view.headline.title,
                "advice": view.headline.advice,
            },
            "name": view.name or None,
            "brand": view.brand or None,
            "gtin": view.gtin,
            "lot": view.lot,
            "serial": view.serial,
            "expiry": view.expiry,
            "journey": [
                {
                    "kind": step.kind,
                    "label": step.label,
                    "gap": step.kind in ("gap", "awaited"),
                    "parties": [
                        {"id": party, "name": view.names.get(party)} for party in step.parties
                    ],
                    "countries": list(step.countries),
                    "first": step.first.isoformat() if step.first else None,
                    "last": step.last.isoformat() if step.last else None,
                    "events": step.events,
                    "findings": step.findings,
                }
                for step in view.steps
            ],
            "carbonFootprint": {
                "amount": view.footprint[0],
                "unit": view.footprint[1],
                "verified": view.footprint_verified,
            }
            if view.footprint
            else None,
            "product": view.product.as_json() if view.product else None,
            "verification": found.as_json() if found else None,
            "certificates": _certificates(view),
            "height": view.height,
        }
    )


def as_json_ld(view: View) -> bytes:
    """The view as JSON-LD in the GS1 Web Vocabulary."""
    node: dict[str, Any] = {
        "@context": {
            "gs1": VOCABULARY,
            "tm": "urn:tracemark:ns:",
            "xsd": "http://www.w3.org/2001/XMLSchema#",
        },
        "@id": view.subject,
        "@type": "gs1:Product" if view.gtin else "gs1:Organization",
        "tm:verdict": view.headline.code,
    }
    if view.kind not in ("gtin", "lgtin", "sgtin", "party"):
        node.pop("@type")
    for name, value in (
        ("gs1:gtin", view.gtin),
        ("gs1:productName" if view.gtin else "gs1:organizationName", view.name),
        ("gs1:hasBatchLotNumber", view.lot),
        ("gs1:hasSerialNumber", view.serial),
    ):
        if value:
            node[name] = value
    if view.brand:
        node["gs1:brand"] = {"@type": "gs1:Brand", "gs1:brandName": view.brand}
    if view.expiry:
        node["gs1:expirationDate"] = {"@type": "xsd:date", "@value": view.expiry}
    certificates = _certificates(view)
    if certificates:
        node["gs1:certification"] = [
            {
                "@id": entry["id"],
                "@type": "gs1:CertificationDetails",
                "gs1:certificationStatus": entry["status"],
                "gs1:certificationURI": {"@id": entry["href"]},
            }
            for entry in certificates
        ]
    return orjson.dumps(node)


def links(view: View, base_url: str) -> dict[str, list[Link]]:
    """Link type (full URI) -> its links, the default first."""
    path = view.link.path if view.link else ""
    page: Link = {
        "href": base_url + path,
        "title": view.name or view.subject,
        "type": "text/html",
        "hreflang": list(LANGUAGES),
    }
    found = {"defaultLink": [page], "pip": [page]}
    certificates = [
        {
            "href": base_url + entry["href"],
            "title": f"{entry['type']} certificate, {entry['status']}",
            "type": "application/vc",
        }
        for entry in _certificates(view)
    ]
    if certificates:
        found["certificationInfo"] = certificates
    if view.steps:
        identifier = quote(view.subject, safe="")
        found["traceability"] = [
            {
                "href": f"{base_url}/v1/trace/{identifier}",
                "title": "Trace graph",
                "type": "application/json",
            }
        ]
        found["epcis"] = [
            {
                "href": f"{base_url}/epcis/v2/epcs/{identifier}/events",
                "title": "EPCIS 2.0 events",
                "type": "application/ld+json",
            }
        ]
    if view.footprint:
        found["sustainabilityInfo"] = [
            {
                "href": f"{base_url}/v1/carbon/{quote(view.subject, safe='')}",
                "title": "Carbon footprint",
                "type": "application/json",
            }
        ]
    if view.headline.code in ("PRODUCT_RECALLED", "PRODUCT_SOURCE_RECALLED"):
        found["recallStatus"] = [page]
    return {VOCABULARY + name: value for name, value in found.items()}


def as_linkset(view: View, base_url: str) -> bytes:
    """The linkset document (RFC 9264 §4.2)."""
    path = view.link.path if view.link else ""
    entry: dict[str, Any] = {"anchor": base_url + path}
    if view.name:
        entry["description"] = view.name
    return orjson.dumps({"linkset": [entry | links(view, base_url)]})


def link_type(text: str) -> str | None:
    """A linkType parameter as a full URI of the GS1 vocabulary; None for another vocabulary."""
    if text.startswith("gs1:"):
        return VOCABULARY + text[4:]
    for old in (VOCABULARY, *_OLD_VOCABULARIES):
        if text.startswith(old):
            return VOCABULARY + text.removeprefix(old)
    return None


def description(base_url: str) -> Mapping[str, Any]:
    """The resolver description file, /.well-known/gs1resolver."""
    return {
        "name": "Tracemark",
        "resolverRoot": base_url,
        "supportedPrimaryKeys": [
            "00", "01", "253", "255", "401", "402", "410", "411", "412", "413", "414", "415", "417",
            "8003", "8004", "8006", "8010", "8013", "8017", "8018",
        ],
        "supportedLinkType": [{"namespace": VOCABULARY, "prefix": "gs1:"}],
        "linkTypeDefaultCanBeLinkset": False,
        "validityDates": False,
    }  # fmt: skip


def _certificates(view: View) -> list[dict[str, Any]]:
    return [
        {
            "id": record["id"],
            "type": record["type"],
            "status": record["status"],
            "issuer": record["issuer"],
            "href": f"/v1/certificates/{uuid_of(record['id'])}",
        }
        for record in view.certificates
    ]
