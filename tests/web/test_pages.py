"""The pages as documents: what they say, in which language, and what they never load."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from gateway.http.pages import path_of_code
from gateway.web.catalogues import LANGUAGES
from tests.certificates.world import COFFEE, INSULIN, WATCH
from tests.web.conftest import Site

PATHS = [COFFEE, INSULIN, WATCH, "/", "/verify", "/01/09521301000014/21/NONE", "/01/123"]
HTML = {"Accept": "text/html"}
VOID = {"meta", "link", "input", "br", "path", "circle", "img"}


class Outline(HTMLParser):
    """Well-formedness, attributes by tag, and text by tag."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.texts.setdefault(self.open[-1], []).append(data.strip())


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_in_every_language_is_small_semantic_and_self_contained(
    client: httpx.Client, path: str, language: str
) -> None:
    answer = client.get(path, headers=HTML | {"Accept-Language": language})
    assert answer.headers["content-language"] == language
    assert len(answer.content) < 50_000
    assert "set-cookie" not in answer.headers
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    page = Outline(answer.text)
    attributes = page.attributes
    html = next(attrs for tag, attrs in attributes if tag == "html")
    assert html == {"lang": language, "dir": "rtl" if language == "ar" else "ltr"}
    assert len(page.texts["h1"]) == 1
    assert not any(tag in ("script", "iframe", "img") for tag, _ in attributes)
    for tag, attrs in attributes:
        assert "style" not in attrs
        assert not any(name.startswith("on") for name in attrs)
        for name in ("href", "src", "action"):
            assert not re.match(r"(?i)[a-z]+:|//", attrs.get(name) or "") or (
                (attrs.get(name) or "") == "data:,"
            ), (tag, attrs)
    labelled = {attrs.get("for") for tag, attrs in attributes if tag == "label"}
    inputs = [attrs for tag, attrs in attributes if tag in ("input", "textarea")]
    assert all(a.get("type") == "hidden" or a.get("id") in labelled for a in inputs)


@pytest.mark.parametrize("language", [code for code in LANGUAGES if code != "en"])
def test_no_english_is_left_on_a_translated_page(client: httpx.Client, language: str) -> None:
    english = Outline(client.get(COFFEE, headers=HTML).text).texts
    other = Outline(client.get(COFFEE, headers=HTML | {"Accept-Language": language}).text).texts
    for tag in ("h1", "h2", "h3", "dt", "summary", "title"):
        both = set(english[tag]) & set(other[tag])
        allowed = {"Origin", "Product", "Organic", "Material", "Dimensions"}
        assert {text for text in both if not text.startswith("Alsterlicht")} <= allowed, tag


def test_the_verdict_comes_first_and_the_honest_word_follows(client: httpx.Client) -> None:
    text = client.get(COFFEE, headers=HTML).text
    body = text[text.index("<body>") :]
    assert body.index("<h1>") < body.index('class="name"') < body.index('id="journey"')
    assert "The record is genuine; a printed code can be copied." in text
    steps = re.findall(r'<ol class="steps">(.*?)</ol>', text, re.S)[0].count("<li")
    assert 4 <= steps <= 8
    assert "Ethiopia" in text
    assert "Declared by the issuer alone, checked by nobody" in text
    assert "recorded an inspection" in text


def test_a_chosen_language_wins_and_is_kept_by_links(client: httpx.Client) -> None:
    answer = client.get(f"{COFFEE}?lang=de", headers=HTML | {"Accept-Language": "fr"})
    assert answer.headers["content-language"] == "de"
    assert 'href="/verify?lang=de"' in answer.text
    assert f'href="{COFFEE}?lang=es"' in answer.text
    unknown = client.get(f"{COFFEE}?lang=xx", headers=HTML | {"Accept-Language": "fr"})
    assert unknown.headers["content-language"] == "fr"


@pytest.mark.parametrize(
    "path",
    [
        "/01/09521301000014/21/%3Cmark%3E",
        "/find?code=%3Cscript%3Ealert(1)%3C/script%3E",
        "/01/%22%3E%3Cscript%3E",
        "/verify?id=%3Cscript%3E",
    ],
)
def test_nothing_given_comes_back_as_markup(client: httpx.Client, path: str) -> None:
    text = client.get(path, headers=HTML).text
    assert "<script" not in text
    assert "<mark" not in text


@pytest.mark.parametrize(
    ("code", "path"),
    [
        ("(01)09521301000014(21)MC26-0087", WATCH),
        ("https://brand.example/01/09521301000014/21/MC26-0087?x=1", WATCH),
        ("urn:epc:id:sgtin:9521301.000001.MC26-0087", WATCH),
        ("9521105000012", "/01/09521105000012"),
        ("952110 500001 2", "/01/09521105000012"),
        ("106141412345678908", "/00/106141412345678908"),
        ("hello", None),
        ("9521105000013", None),
        ("", None),
        ("x" * 500, None),
    ],
)
def test_whatever_is_printed_beside_a_code_finds_it(code: str, path: str | None) -> None:
    assert path_of_code(code) == path


def test_the_field_sends_to_the_page_or_says_what_is_wrong(client: httpx.Client) -> None:
    found = client.get("/find", params={"code": "(01)09521301000014(21)MC26-0087", "lang": "fr"})
    assert (found.status_code, found.headers["location"]) == (303, f"{WATCH}?lang=fr")
    wrong = client.get("/find", params={"code": "hello"})
    assert wrong.status_code == 400
    assert "not a code we can read" in wrong.text
    assert 'value="hello"' in wrong.text


def certificate(client: httpx.Client) -> dict[str, Any]:
    found = client.get(WATCH, headers={"Accept": "application/json"}).json()
    href = found["certificates"][0]["href"]
    body: dict[str, Any] = client.get(href, headers={"Accept": "application/json"}).json()
    return body


def test_a_certificate_is_checked_by_file_text_or_number(client: httpx.Client) -> None:
    credential = certificate(client)
    text = json.dumps(credential)
    for answer in (
        client.post("/verify", files={"file": ("c.json", text, "application/json")}),
        client.post("/verify", files={"text": (None, text)}),
        client.post("/verify", data={"text": "\n " + text}),
        client.post("/verify", data={"text": credential["id"]}),
        client.get("/verify", params={"id": credential["id"]}),
    ):
        assert answer.status_code == 200
        assert "This certificate is valid" in answer.text
        assert answer.text.count('class="mark"') == 8
        assert f'href="{WATCH}"' in answer.text


def test_a_tampered_certificate_is_red_with_the_reason(client: httpx.Client) -> None:
    credential = certificate(client)
    credential["issuer"]["name"] = "Somebody else"
    answer = client.post("/verify", data={"text": json.dumps(credential)})
    assert "This certificate cannot be trusted" in answer.text
    assert "it was changed or forged" in answer.text


@pytest.mark.parametrize(
    "given",
    [
        {"data": {"text": "hello"}},
        {"data": {"text": "{"}},
        {"data": {"text": "urn:uuid:11111111-1111-4111-8111-111111111111"}},
        {"files": {"file": ("x.png", b"\x89PNG\xff\xfe", "image/png")}},
        {"files": {"file": ("x.json", b"{" + b" " * 300_000, "application/json")}},
        {"data": {}},
    ],
)
def test_what_is_no_certificate_is_told_so(client: httpx.Client, given: dict[str, Any]) -> None:
    answer = client.post("/verify", **given)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text


def test_the_operators_contact_is_shown(own_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.web.site import site as settings

    monkeypatch.setenv("TRACEMARK_REPORT_CONTACT", "+31 20 555 0100")
    settings.cache_clear()
    try:
        with own_site.client() as client:
            assert "Tell us: +31 20 555 0100" in client.get(COFFEE, headers=HTML).text
    finally:
        settings.cache_clear()
