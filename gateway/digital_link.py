"""GS1 Digital Link URIs as they arrive in a scan: parsed, checked, made canonical.

GS1 Digital Link URI Syntax 1.6.0 §4: one primary key, its qualifiers in their fixed order, and
data attributes in the query, all named by GS1 Application Identifiers. Values arrive percent-
encoded and are decoded after the path is split. This module knows shapes and check digits; which
products exist is for the ledger to say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from biip.gs1_application_identifiers import GS1ApplicationIdentifier

PRIMARY_KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "00": (),
        "01": ("22", "10", "21", "235"),
        "253": (),
        "255": (),
        "401": (),
        "402": (),
        "410": (),
        "411": (),
        "412": (),
        "413": (),
        "414": ("254", "7040"),
        "415": ("8020",),
        "417": ("7040",),
        "8003": (),
        "8004": ("7040",),
        "8006": ("22", "10", "21"),
        "8010": ("8011",),
        "8013": (),
        "8017": ("8019",),
        "8018": ("8019",),
    }
)
"""Primary key AI -> its qualifiers, in the order the path must have them."""

_CHECKED: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "00": (0, 18),
        "01": (0, 14),
        "253": (0, 13),
        "255": (0, 13),
        "402": (0, 17),
        "410": (0, 13),
        "411": (0, 13),
        "412": (0, 13),
        "413": (0, 13),
        "414": (0, 13),
        "415": (0, 13),
        "417": (0, 13),
        "8003": (0, 14),
        "8006": (0, 14),
        "8017": (0, 18),
        "8018": (0, 18),
    }
)
"""AI -> the slice of its value that ends in a GS1 modulo-10 check digit (GenSpecs §7.9.1)."""

MAX_PATH = 400
_GTIN_LENGTHS = (8, 12, 13, 14)
_DIGITS = re.compile("[0-9]+")


class LinkError(ValueError):
    """Not a GS1 Digital Link. `code` is stable; the text says what is wrong and where."""

    def __init__(self, code: str, message: str, **params: str) -> None:
        super().__init__(message)
        self.code = code
        self.params = params


@dataclass(frozen=True, slots=True)
class DigitalLink:
    """A parsed link: decoded values, GTIN at 14 digits.

    path: canonical path, percent-encoded, from the primary key on. attributes: AI -> value of the
    query. moved: whether the request's path was another spelling, so that it deserves a redirect.
    """

    primary: str
    value: str
    qualifiers: tuple[tuple[str, str], ...]
    attributes: Mapping[str, str]
    path: str
    moved: bool

    @property
    def uri(self) -> str:
        """Canonical URI on id.gs1.org (URI Syntax, canonical form), without the data attributes."""
        return f"https://id.gs1.org{self.path}"

    @property
    def expiry(self) -> date | None:
        """The printed expiry date (AI 17), when the link carries one."""
        text = self.attributes.get("17")
        return _yymmdd(text) if text else None


def parse(path: str, query: str = "") -> DigitalLink:
    """Parse a percent-encoded path that starts at the primary key, and its query string.

    Raises LinkError.
    """
    if len(path) > MAX_PATH:
        raise LinkError("LINK_TOO_LONG", f"the address is longer than {MAX_PATH} characters")
    segments = path.strip("/").split("/")
    if segments[0] not in PRIMARY_KEYS:
        raise LinkError("LINK_KEY", f"{segments[0]!r} is not a GS1 primary key", key=segments[0])
    if len(segments) % 2:
        raise LinkError("LINK_PAIRS", "the address ends in a key without a value")
    pairs = [(segments[i], _decode(segments[i + 1])) for i in range(0, len(segments), 2)]
    primary, raw = pairs[0]
    value = _gtin14(raw) if primary == "01" else raw
    _check_value(primary, value)
    attributes, qualifiers_in_query = _query(query, PRIMARY_KEYS[primary])
    qualifiers = _qualifiers(primary, pairs[1:] + qualifiers_in_query)
    canonical = "".join(f"/{ai}/{quote(v, safe='')}" for ai, v in [(primary, value), *qualifiers])
    return DigitalLink(
        primary,
        value,
        tuple(qualifiers),
        attributes,
        canonical,
        moved=value != raw or bool(qualifiers_in_query),
    )


def from_uri(uri: str) -> DigitalLink:
    """Parse any-domain Digital Link text: the path from its first primary key on."""
    match = re.match(r"https?://[^/?#]+(/[^?#]*)(?:\?([^#]*))?", uri)
    if not match:
        raise LinkError("LINK_FORM", "it is not an http or https address")
    segments = match[1].split("/")
    for position, segment in enumerate(segments):
        if segment in PRIMARY_KEYS:
            return parse("/".join(segments[position:]), match[2] or "")
    raise LinkError("LINK_KEY", "it holds no GS1 primary key", key="")


def check_digit(digits: str) -> str:
    """GS1 modulo-10 check digit of `digits` (without it), GenSpecs §7.9.1."""
    total = sum(int(d) * (3 if i % 2 == 0 else 1) for i, d in enumerate(reversed(digits)))
    return str(-total % 10)


def _decode(segment: str) -> str:
    try:
        return unquote_to_bytes(segment).decode("ascii")
    except UnicodeDecodeError:
        raise LinkError("LINK_CHARACTERS", "a value holds characters GS1 keys never have") from None


def _gtin14(value: str) -> str:
    if not _DIGITS.fullmatch(value) or len(value) not in _GTIN_LENGTHS:
        raise LinkError("LINK_GTIN", "a product number (GTIN) has 8, 12, 13 or 14 digits")
    return value.zfill(14)


def _check_value(ai: str, value: str) -> None:
    known = _identifier(ai)
    if known is None:
        raise LinkError("LINK_AI", f"({ai}) is not a GS1 application identifier", key=ai)
    match = re.fullmatch(known.pattern.rstrip("$").lstrip("^"), ai + value)
    if match is None:
        raise LinkError(
            "LINK_VALUE",
            f"({ai}) {known.description} does not have the form {known.format}",
            key=ai,
        )
    if ai in _CHECKED:
        start, end = _CHECKED[ai]
        part = value[start:end]
        expected = check_digit(part[:-1])
        if part[-1] != expected:
            raise LinkError(
                "LINK_CHECK_DIGIT",
                f"({ai}) {part} ends in {part[-1]}, but its check digit is {expected}",
                key=ai,
            )


def _qualifiers(primary: str, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    allowed = PRIMARY_KEYS[primary]
    order: list[int] = []
    for ai, value in pairs:
        if ai not in allowed:
            raise LinkError("LINK_QUALIFIER", f"({ai}) does not qualify ({primary})", key=ai)
        _check_value(ai, value)
        order.append(allowed.index(ai))
    if len(set(order)) != len(order):
        raise LinkError("LINK_TWICE", "a qualifier appears twice")
    keys = {ai for ai, _ in pairs}
    if "235" in keys and keys & {"10", "21"}:
        raise LinkError("LINK_QUALIFIER", "(235) stands alone after (01)", key="235")
    if order != sorted(order):
        raise LinkError("LINK_ORDER", f"after ({primary}) the order is {', '.join(allowed)}")
    return pairs


def _query(
    query: str, qualifiers: tuple[str, ...]
) -> tuple[Mapping[str, str], list[tuple[str, str]]]:
    """Data attributes, and qualifiers given in the query, in the path's order."""
    attributes: dict[str, str] = {}
    moved: dict[str, str] = {}
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=50, errors="strict")
    except ValueError as error:
        raise LinkError("LINK_QUERY", "the part after the question mark cannot be read") from error
    for key, value in pairs:
        if not _DIGITS.fullmatch(key):
            continue
        target = moved if key in qualifiers else attributes
        if target.setdefault(key, value) != value:
            raise LinkError("LINK_TWICE", f"({key}) appears twice with different values", key=key)
        if target is attributes:
            _check_value(key, value)
    return MappingProxyType(attributes), [(ai, moved[ai]) for ai in qualifiers if ai in moved]


@lru_cache(maxsize=1024)
def _identifier(ai: str) -> GS1ApplicationIdentifier | None:
    try:
        found = GS1ApplicationIdentifier.extract(ai)
    except Exception:
        return None
    return found if found.ai == ai else None


def _yymmdd(text: str) -> date | None:
    """A GS1 date YYMMDD (GenSpecs §7.12): 49 years back to 50 ahead; day 00 = last of month."""
    year, month, day = int(text[:2]), int(text[2:4]), int(text[4:6])
    this = date.today().year
    full = this - this % 100 + year
    full += 100 if full < this - 49 else -100 if full > this + 50 else 0
    try:
        if day:
            return date(full, month, day)
        first = date(full + month // 12, month % 12 + 1, 1)
        return date.fromordinal(first.toordinal() - 1)
    except ValueError:
        return None
