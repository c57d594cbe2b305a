"""The resolver: content negotiation, redirects, link types, errors, caching."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from gateway.digital_link import LinkError, from_uri
from gateway.http.resolve import router
from gateway.readmodel import tables
from tests.certificates.test_certify import _document
from tests.certificates.world import COFFEE, INSULIN, WATCH
from tests.web.conftest import Site

HTML = {"Accept": "text/html"}


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*/*", "text/html; charset=utf-8"),
        ("", "text/html; charset=utf-8"),
        ("text/html,application/xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8"),
        ("application/json", "application/json"),
        ("application/ld+json", "application/ld+json"),
        ("application/linkset+json", "application/linkset+json"),
        ("text/html;q=0.5, application/json", "application/json"),
        ("application/*", "application/json"),
    ],
)  # fmt: skip
def test_the_accept_header_chooses_the_form(client: httpx.Client, accept: str, media: str) -> None:
    answer = client.get(WATCH, headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media
    assert "Accept" in answer.headers["vary"]
    assert answer.headers["access-control-allow-origin"] == "*"


def test_what_nobody_can_give_is_406(client: httpx.Client) -> None:
    answer = client.get(WATCH, headers={"Accept": "image/png"})
    assert answer.status_code == 406
    assert answer.json()["code"] == "NOT_ACCEPTABLE"


def test_json_says_what_the_page_says(client: httpx.Client) -> None:
    found = client.get(COFFEE, headers={"Accept": "application/json"}).json()
    assert found["overall"] == "valid"
    assert found["headline"]["code"] == "GENUINE"
    assert found["name"].startswith("Alsterlicht")
    assert 4 <= len(found["journey"]) <= 8
    assert found["journey"][0]["kind"] == "origin"
    assert len(found["verification"]["checks"]) == 8
    assert int(found["carbonFootprint"]["amount"]) > 0


def test_json_ld_is_json_ld(client: httpx.Client) -> None:
    from pyld import jsonld

    node = client.get(WATCH, headers={"Accept": "application/ld+json"}).json()
    (expanded,) = jsonld.expand(node)
    assert expanded["@id"].endswith("/21/MC26-0087")
    assert expanded["https://ref.gs1.org/voc/gtin"] == [{"@value": "09521301000014"}]
    assert expanded["@type"] == ["https://ref.gs1.org/voc/Product"]


def test_the_linkset_has_the_shape_of_rfc_9264(client: httpx.Client) -> None:
    for answer in (
        client.get(WATCH, headers={"Accept": "application/linkset+json"}),
        client.get(WATCH, params={"linkType": "linkset"}),
        client.get(WATCH, params={"linkType": "all"}, headers=HTML),
    ):
        assert answer.headers["content-type"] == "application/linkset+json"
        assert 'rel="http://www.w3.org/ns/json-ld#context"' in answer.headers["link"]
        (entry,) = answer.json()["linkset"]
        assert entry.pop("anchor").endswith(WATCH)
        assert entry.pop("description") == "Clairmont Heure Douce 37"
        assert "https://ref.gs1.org/voc/defaultLink" in entry
        for relation, links in entry.items():
            assert relation.startswith("https://ref.gs1.org/voc/")
            for link in links:
                assert link["href"].startswith("http")
                assert link["type"]
                assert link["title"]


def test_every_link_of_the_linkset_leads_somewhere(client: httpx.Client) -> None:
    (entry,) = client.get(WATCH, params={"linkType": "linkset"}).json()["linkset"]
    for relation, links in entry.items():
        if relation.startswith("https://"):
            for link in links:
                status = client.get(link["href"], headers={"Accept": link["type"]}).status_code
                assert status in (200, 401), link  # 401: for members of the network


@pytest.mark.parametrize(
    "link_type",
    ["gs1:pip", "https://ref.gs1.org/voc/pip", "https://gs1.org/voc/pip", "gs1:defaultLink"],
)
def test_a_link_type_redirects_to_its_link(client: httpx.Client, link_type: str) -> None:
    answer = client.get(WATCH, params={"linkType": link_type})
    assert answer.status_code == 307
    assert answer.headers["location"].endswith(WATCH)


def test_certification_info_leads_to_the_credential(client: httpx.Client) -> None:
    answer = client.get(COFFEE, params={"linkType": "gs1:certificationInfo"})
    credential = client.get(answer.headers["location"]).json()
    assert credential["type"][1] == "FoodCertificate"


@pytest.mark.parametrize("link_type", ["gs1:nutritionalInfo", "other:thing", "x" * 200])
def test_a_link_type_that_is_not_there_is_404(client: httpx.Client, link_type: str) -> None:
    """Falling back to the default link would answer a question nobody asked."""
    answer = client.get(WATCH, params={"linkType": link_type})
    assert answer.status_code == 404
    assert answer.json()["code"] == "NOT_FOUND"


def test_a_13_digit_gtin_moves_to_its_canonical_path(client: httpx.Client) -> None:
    answer = client.get("/01/9521301000014/21/MC26-0087?17=991231&lang=fr")
    assert answer.status_code == 301
    assert answer.headers["location"] == f"{WATCH}?17=991231&lang=fr"
    assert client.get("/01/09521301000014?21=MC26-0087").headers["location"] == WATCH


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("linkType=linkset", "linkType=linkset"),
        ("lang=fr", "lang=fr"),
        ("21=MC26-0087&linkType=gs1%3Apip&lang=fr", "linkType=gs1%3Apip&lang=fr"),
        ("lang=%0D%0ASet-Cookie:a=b", "lang=%0D%0ASet-Cookie%3Aa%3Db"),
    ],
)
def test_a_move_keeps_what_was_asked_for(client: httpx.Client, query: str, kept: str) -> None:
    """Defect: a 13-digit GTIN lost `linkType` and `lang` on the way to its canonical path."""
    answer = client.get(f"/01/9521301000014?{query}")
    assert answer.status_code == 301
    assert answer.headers["location"].partition("?")[2] == kept


def test_a_percent_encoded_serial_is_its_own_product(client: httpx.Client) -> None:
    assert client.get("/01/09521301000014/21/MC26%2D0087", headers=HTML).status_code == 200
    assert client.get("/01/09521301000014/21/MC26%2F0087", headers=HTML).status_code == 404


def test_no_record_is_404_with_a_page_that_accuses_nobody(client: httpx.Client) -> None:
    answer = client.get("/01/09521301000014/21/UNKNOWN", headers=HTML)
    assert answer.status_code == 404
    assert "Not proven: we have no record of this" in answer.text
    assert "no proof of a fake" in answer.text
    found = client.get("/01/09521301000014/21/UNKNOWN", headers={"Accept": "application/json"})
    assert (found.status_code, found.json()["overall"]) == (404, "not-proven")


def test_a_bare_gtin_is_a_kind_of_product(client: httpx.Client) -> None:
    answer = client.get("/01/09521105000012", headers=HTML)
    assert answer.status_code == 200
    assert "names a kind of product" in answer.text
    assert "Alsterlicht Hochland" in answer.text


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/01/09521301000015", "check digit"),
        ("/01/123", "13 or 14 digits"),
        ("/01/09521301000014/21", "without a value"),
        ("/01/09521301000014/21/%E2%80%AE", "characters"),
        ("/01/09521301000014?99999=1", "application identifier"),
    ],
)
def test_a_malformed_link_is_400_with_the_reason(
    client: httpx.Client, path: str, said: str
) -> None:
    answer = client.get(path, headers=HTML)
    assert answer.status_code == 400
    assert said in answer.text
    problem = client.get(path, headers={"Accept": "application/json"})
    assert problem.status_code == 400
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["reason"].startswith("LINK_")


@pytest.mark.parametrize(
    "path", ["/417/9521105000005", "/414/9521105000012", "/414/9521105000012/254/dock1"]
)
def test_companies_and_places_have_a_page(client: httpx.Client, path: str) -> None:
    answer = client.get(path, headers=HTML)
    assert answer.status_code == 200
    assert "Alsterlicht Kaffeer" in answer.text


def test_a_pallet_has_a_page(client: httpx.Client) -> None:
    answer = client.get("/00/095211020000041018", headers=HTML)
    assert answer.status_code == 200
    assert "On record, but not certified" in answer.text


def test_head_and_options(client: httpx.Client) -> None:
    body = client.get(WATCH, headers=HTML)
    head = client.head(WATCH, headers=HTML)
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == str(len(body.content))
    options = client.options(WATCH)
    assert options.status_code == 204
    assert "HEAD" in options.headers["access-control-allow-methods"]
    assert client.post(WATCH).status_code == 405


def test_an_unchanged_page_is_304(client: httpx.Client) -> None:
    first = client.get(WATCH, headers=HTML)
    again = client.get(WATCH, headers=HTML | {"If-None-Match": f'"x", {first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert client.get(WATCH, headers=HTML | {"If-None-Match": '"x"'}).status_code == 200


def test_languages_have_tags_of_their_own(client: httpx.Client) -> None:
    tags = {
        client.get(WATCH, headers=HTML | {"Accept-Language": language}).headers["etag"]
        for language in ("en", "de", "ar")
    }
    assert len(tags) == 3


def test_the_description_file(client: httpx.Client) -> None:
    found = client.get("/.well-known/gs1resolver").json()
    served = {route.path.split("/")[1] for route in router.routes if "{rest" in route.path}  # type: ignore[attr-defined]
    assert set(found["supportedPrimaryKeys"]) == served
    assert found["resolverRoot"] == str(client.base_url).rstrip("/")
    assert found["supportedLinkType"] == [
        {"namespace": "https://ref.gs1.org/voc/", "prefix": "gs1:"}
    ]


def test_a_printed_date_that_differs_from_the_record_stops_the_product(
    client: httpx.Client,
) -> None:
    """A relabelled expiry date is the oldest trick with medicines."""
    same = client.get(f"{INSULIN}?17=270831", headers={"Accept": "application/json"}).json()
    assert same["headline"]["code"] == "GENUINE"
    other = client.get(f"{INSULIN}?17=290831", headers={"Accept": "application/json"}).json()
    assert (other["overall"], other["headline"]["code"]) == ("invalid", "PRODUCT_DATE_DIFFERS")


def test_a_cached_page_changes_with_its_product_and_not_with_others(own_site: Site) -> None:
    """A recall must show on the very next scan although the page was cached a moment ago."""
    site = own_site
    site.world.issue("watch")
    with site.client() as client:
        fresh = client.get(WATCH, headers=HTML)
        assert "is genuine" in fresh.text
        grocer = site.world.stories["coffee"].party("roaster").id
        lot = "https://id.gs1.org/01/09521105000012/10/AL260318"
        site.world.capture(
            grocer, _document("DE", quantityList=[{"epcClass": lot}], disposition="recalled")
        )
        again = client.get(WATCH, headers=HTML)
        assert again.headers["etag"] == fresh.headers["etag"]
        coffee = client.get(COFFEE, headers=HTML)
        assert "Recalled: do not use it" in coffee.text
        watchmaker = site.world.stories["watch"].party("watchmaker").id
        (record,) = client.get(
            "/v1/certificates", params={"subject": "https://id.gs1.org" + WATCH}
        ).json()["certificates"]
        site.world.submit(watchmaker, "certificate:revoke", id=record["id"], reason="stolen case")
        revoked = client.get(WATCH, headers=HTML)
        assert "Its certificate was withdrawn" in revoked.text
        assert "stolen case" in revoked.text


def test_answers_are_json_that_any_parser_reads(client: httpx.Client) -> None:
    for accept in ("application/json", "application/ld+json", "application/linkset+json"):
        for path in (COFFEE, INSULIN, WATCH, "/417/9521105000005", "/00/095211020000041018"):
            body: Any = json.loads(client.get(path, headers={"Accept": accept}).content)
            assert isinstance(body, dict)


def test_everything_on_the_ledger_has_a_page(site: Site, client: httpx.Client) -> None:
    """Whatever was ever captured can be scanned: no identifier may break the page."""
    with site.world.container.readmodel.read() as connection:
        known = {row[0] for row in connection.execute(select(tables.event_ids.c.identifier))}
    scanned = 0
    for identifier in sorted(known):
        try:
            path = from_uri(identifier).path
        except LinkError:
            continue
        for accept in ("text/html", "application/json"):
            answer = client.get(path, headers={"Accept": accept})
            assert answer.status_code == 200, identifier
        assert answer.json()["journey"] or answer.json()["kind"] == "gtin", identifier
        scanned += 1
    assert scanned > 40


@pytest.mark.parametrize(
    ("status", "code"),
    [("dispensed", "PRODUCT_DISPENSED"), ("destroyed", "PRODUCT_DESTROYED")],
)
def test_packs_that_met_their_end_say_so(
    site: Site, client: httpx.Client, status: str, code: str
) -> None:
    with site.world.container.readmodel.read() as connection:
        records = [json.loads(row[0]) for row in connection.execute(select(tables.items.c.record))]
    identifier = next(record["id"] for record in records if record["status"] == status)
    answer = client.get(from_uri(identifier).path, headers={"Accept": "application/json"})
    assert answer.json()["headline"]["code"] == code
