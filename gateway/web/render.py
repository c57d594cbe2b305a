"""Views to HTML bytes: templates compiled once, one style sheet inlined under a strict policy."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from gateway.certify import uuid_of
from gateway.credentials.document import Fact
from gateway.credentials.sentences import N_, SENTENCES
from gateway.digital_link import LinkError, from_uri
from gateway.verify import Check, Verification
from gateway.web import labels
from gateway.web.catalogues import LANGUAGES, Speech, speech
from gateway.web.headlines import HEADLINES, Headline, headline
from gateway.web.journey import Step
from gateway.web.view import View

_WRITE_TO = N_("Tell us: %(contact)s")
_ASK_ISSUER = N_("Tell the issuer, %(issuer)s, or the authority in charge of this kind of product.")
_ASK_AUTHORITY = N_("Tell the seller, or the authority in charge of this kind of product.")
_TONES = {"pass": "good", "fail": "bad", "unknown": "open", "not-applicable": "open"}
_DATED = frozenset({"date", "start", "end"})


@cache
def css() -> Markup:
    """The style sheet, inlined so that a page is one request."""
    text = files("gateway").joinpath("web", "static", "page.css").read_text("utf-8").strip()
    return Markup(text)  # noqa: S704 - our own file


@cache
def policy() -> str:
    """Content-Security-Policy: nothing but this page's own style, images and forms."""
    digest = base64.b64encode(hashlib.sha256(css().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src 'self' data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


@cache
def _environment() -> Environment:
    root = files("gateway").joinpath("web", "templates")
    environment = Environment(
        loader=FunctionLoader(lambda name: root.joinpath(name).read_text("utf-8")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        auto_reload=False,
    )
    environment.globals.update(
        languages=LANGUAGES,
        sentence=lambda check: SENTENCES[check.code].text,
        verdict_word=lambda verdict: labels.VERDICTS[verdict],
        css=css(),
    )
    return environment


def warm() -> None:
    """Compile every template and read every catalogue now rather than at the first scan."""
    for name in ("scan.html", "index.html", "verify.html", "message.html"):
        _environment().get_template(name)
    for language in LANGUAGES:
        speech(language)


def scan_page(view: View, t: Speech, contact: str, now_ms: int, *, explicit: bool = False) -> bytes:
    """The page of a scanned identifier; `explicit` when the reader chose the language."""
    found = view.verification.certificate if view.verification else None
    path = view.link.path if view.link else ""
    return _render(
        "scan.html",
        t,
        path,
        explicit=explicit,
        parameters=view.link.attributes if view.link else {},
        view=view,
        page_path=path,
        code_text=labels.element_string(view.link) if view.link else view.subject,
        detail=_detail(view.headline, _deciding(view), t),
        certificate=found,
        certificate_path=f"/v1/certificates/{uuid_of(found.id)}" if found else "",
        certificate_title=labels.TITLES.get(found.type, found.type) if found else "",
        party=lambda party: view.names.get(party, party),
        countries=lambda step: _countries(step, t),
        days=lambda step: _days(step, t),
        footprint=labels.footprint(view.footprint, t) if view.footprint else "",
        contact=contact_line(contact, view.contact, t),
        checked=_moment(now_ms, t),
    )


def message_page(
    head: Headline,
    t: Speech,
    code: str,
    contact: str,
    *,
    reason: str = "",
    path: str = "",
    explicit: bool = False,
) -> bytes:
    """A page that is only a verdict: no record, or a code that cannot be read."""
    return _render(
        "message.html",
        t,
        path,
        explicit=explicit,
        head=head,
        detail="",
        code_text=code,
        reason=reason,
        contact=contact_line(contact, "", t),
    )


def index_page(t: Speech, code: str = "", problem: str = "", *, explicit: bool = False) -> bytes:
    """The front page; `problem` is a message already in the reader's language."""
    return _render("index.html", t, "/", explicit=explicit, code=code, problem=problem)


def verify_page(
    t: Speech,
    verification: Verification | None = None,
    pasted: str = "",
    problem: str = "",
    *,
    contact: str = "",
    explicit: bool = False,
) -> bytes:
    """The page that checks a certificate, with the answer where one was given."""
    found = verification.certificate if verification else None
    decided = verification.deciding if verification else None
    head = (
        headline(verification.overall, decided.code if decided else None, certificate_only=True)
        if verification
        else HEADLINES["NOT_PROVEN"]
    )
    return _render(
        "verify.html",
        t,
        "/verify",
        explicit=explicit,
        verification=verification,
        head=head,
        detail=_detail(head, decided, t),
        certificate=found,
        certificate_title=labels.TITLES.get(found.type, found.type) if found else "",
        product_path=_product_path(found.subject) if found else "",
        checked=_moment(verification.checked_ms, t) if verification else "",
        contact=contact_line(contact, found.issuer_name if found else "", t),
        pasted=pasted,
        problem=problem,
    )


def contact_line(contact: str, issuer: str, t: Speech) -> str:
    """Whom to tell: the gateway's own contact, else the issuer, else the authority."""
    if contact:
        return t(_WRITE_TO, contact=contact)
    return t(_ASK_ISSUER, issuer=issuer) if issuer else t(_ASK_AUTHORITY)


def _render(
    template: str,
    t: Speech,
    path: str,
    *,
    explicit: bool = False,
    parameters: Mapping[str, str] = MappingProxyType({}),
    **values: Any,
) -> bytes:
    def language_link(code: str) -> str:
        return f"{path}?{urlencode({**parameters, 'lang': code})}"

    context: Mapping[str, Any] = {
        "t": t,
        "_": t,
        "language_link": language_link,
        "keep": f"?lang={t.language}" if explicit else "",
        "explicit": explicit,
        "label": lambda field: labels.label(field, t),
        "value": lambda fact: labels.value(fact, t),
        "grouped": _grouped,
        "tone_of": _tone,
        "params_of": _translated_params(t),
        **values,
    }
    return _environment().get_template(template).render(context).encode()


def _grouped(facts: Iterable[Fact]) -> list[tuple[str, list[Fact]]]:
    """Facts by field, in the order of first appearance."""
    fields: dict[str, list[Fact]] = {}
    for fact in facts:
        fields.setdefault(fact.field, []).append(fact)
    return list(fields.items())


def _tone(check: Check) -> str:
    return "warn" if check.weight == "old" else _TONES[check.verdict]


def _translated_params(t: Speech) -> Callable[[Check], dict[str, str]]:
    """Sentence parameters in a language: dates in words, field names as labels."""

    def params(check: Check) -> dict[str, str]:
        return {
            name: t.iso_day(text)
            if name in _DATED
            else labels.label(text, t)
            if name == "field"
            else text
            for name, text in check.params.items()
        }

    return params


def _deciding(view: View) -> Check | None:
    if view.verification is not None:
        return view.verification.deciding
    return view.product


def _detail(head: Headline, check: Check | None, t: Speech) -> str:
    """The finding's own sentence under a headline that is not green."""
    if check is None or head.tone == "good" or check.weight == "none":
        return ""
    return t(SENTENCES[check.code].text, **_translated_params(t)(check))


def _countries(step: Step, t: Speech) -> str:
    arrow = " ← " if t.direction == "rtl" else " → "
    between = arrow if step.kind == "transported" else ", "
    return between.join(t.country(code) for code in step.countries)


def _days(step: Step, t: Speech) -> str:
    if step.first is None:
        return ""
    if step.last is None or step.last == step.first:
        return t.day(step.first)
    return f"{t.day(step.first)} – {t.day(step.last)}"


def _moment(ms: int, t: Speech) -> str:
    return f"{t.moment(datetime.fromtimestamp(ms / 1000, UTC))} UTC"


def _product_path(subject: str) -> str:
    try:
        return from_uri(subject).path
    except LinkError:
        return ""
