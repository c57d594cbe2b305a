"""GS1 identifiers in one canonical form.

Canonical is the GS1 Digital Link URI (GS1 Digital Link: URI syntax 1.6) on https://id.gs1.org
with GTINs padded to 14 digits, values percent-encoded to RFC 3986 unreserved characters, and no
query string. Accepted besides it: Digital Link URIs on any domain and path, EPC pure identity,
class and pattern URNs (EPC Tag Data Standard 2.x §6-8), element strings in brackets
(GS1 General Specifications §7.8), bare GTIN-8/12/13/14 and SSCC-18 digits. Check digits are
verified (General Specifications §7.9); an EPC URN carries none and gets one. A serialised trade
item drops its lot: the serial number alone names it. Every other URI stays as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

from chaincode import epc_urn
from chaincode.errors import IdentifierError
from chaincode.gs1_keys import (
    AI_KINDS,
    ELEMENT,
    MAX_LENGTH,
    QUALIFIERS,
    UNSAFE,
    gtin14,
    require_check_digit,
    shown,
    with_check_digit,
)

__all__ = [
    "Identifier",
    "as_party",
    "canonical",
    "gtin14",
    "parse",
    "require_check_digit",
    "with_check_digit",
]

STEM: Final = "https://id.gs1.org/"
CLASS_KINDS: Final = frozenset({"gtin", "lgtin"})
PARTY_SLUG: Final = re.compile(r"urn:tracemark:party:[a-z0-9-]{3,40}\Z")

_CANONICAL_TRADE_ITEM: Final = re.compile(
    r"https://id\.gs1\.org/01/(\d{14})(?:/(10|21)/([A-Za-z0-9._-]{1,20}))?\Z", re.ASCII
)
_ELEMENT_STRING: Final = re.compile(r"\((\d{2,4})\)([^()]+)", re.ASCII)
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Identifier:
    """One parsed identifier.

    `kind`: gtin, lgtin, sgtin, upui, itip, sscc, gln, pgln, grai, giai, gdti, gcn, ginc, gsin,
    gsrn, gsrnp, cpi, gmn, party (a network-issued slug) or other. `uri`: the canonical form.
    `gtin` (14 digits), `lot` and `serial` where the key has them. `is_class`: names a class or a
    lot of things (counted by quantity) rather than one thing.
    """

    kind: str
    uri: str
    is_class: bool = False
    gtin: str | None = None
    lot: str | None = None
    serial: str | None = None

    @property
    def is_instance(self) -> bool:
        """Names one thing (a serialised item, logistic unit or asset, or a foreign URI)."""
        return not self.is_class


@lru_cache(maxsize=131_072)
def parse(text: str) -> Identifier:
    """Read any accepted form of an identifier.

    Raises IdentifierError: UNSAFE_CHARACTERS, BAD_CHECK_DIGIT, or BAD_IDENTIFIER.
    """
    quick = _CANONICAL_TRADE_ITEM.match(text)
    if quick is not None:
        gtin, qualifier, value = quick.groups()
        require_check_digit(gtin, "GTIN")
        if qualifier is None:
            return Identifier("gtin", text, True, gtin)
        if qualifier == "10":
            return Identifier("lgtin", text, True, gtin, lot=value)
        return Identifier("sgtin", text, False, gtin, serial=value)
    _require_safe(text)
    lowered = text[:8].lower()
    if lowered == "urn:epc:":
        found = epc_urn.elements(text)
        return _from_elements(found, text) if found else Identifier("other", text)
    if lowered.startswith(("http://", "https:/")):
        elements = _digital_link_elements(text)
        return _from_elements(elements, text) if elements else Identifier("other", text)
    if text.startswith("("):
        return _from_elements(_element_string(text), text)
    if text.isascii() and text.isdigit():
        return _from_digits(text)
    if PARTY_SLUG.match(text):
        return Identifier("party", text)
    if text.startswith("urn:tracemark:party:"):
        raise IdentifierError(
            "BAD_IDENTIFIER",
            f"{text} is no network-issued party id; urn:tracemark:party: and 3 to 40 of a-z, 0-9 "
            "and hyphen are accepted.",
        )
    if not _URI.match(text):
        raise IdentifierError(
            "BAD_IDENTIFIER",
            f"{text!a} is no identifier; a GS1 Digital Link URI, an EPC URN, GS1 element strings, "
            "GTIN or SSCC digits, or another absolute URI without spaces is accepted.",
        )
    return Identifier("other", text)


def canonical(text: str) -> str:
    """The canonical form of `text`. Raises IdentifierError."""
    return parse(text).uri


@lru_cache(maxsize=16_384)
def as_party(text: str) -> str:
    """The party a GLN in any form names: its 417 URI; a party slug or foreign URI as it is.

    13 bare digits are a GLN here. Raises IdentifierError.
    """
    if text.isascii() and text.isdigit() and len(text) == 13:
        require_check_digit(text, "GLN")
        return f"{STEM}417/{text}"
    found = parse(text)
    if found.kind in ("gln", "pgln"):
        return f"{STEM}417/{found.uri[len(STEM) + 4 : len(STEM) + 17]}"
    return found.uri


def _require_safe(text: str) -> None:
    if len(text) > MAX_LENGTH:
        raise IdentifierError(
            "BAD_IDENTIFIER",
            f"{text[:60]!a}... has {len(text)} characters; at most {MAX_LENGTH} are accepted.",
        )
    bad = UNSAFE.search(text)
    if bad is not None:
        raise IdentifierError(
            "UNSAFE_CHARACTERS",
            f"{shown(text)} holds the character "
            f"U+{ord(bad.group()):04X}; text without control, bidirectional or invisible "
            "characters is accepted.",
        )


def _from_digits(text: str) -> Identifier:
    if len(text) == 18:
        return _from_elements([("00", text)], text)
    if len(text) in (8, 12, 13, 14):
        return _from_elements([("01", text)], text)
    raise IdentifierError(
        "BAD_IDENTIFIER",
        f"{text} has {len(text)} digits; a GTIN of 8, 12, 13 or 14 or an SSCC of 18 is accepted.",
    )


def _element_string(text: str) -> list[tuple[str, str]]:
    found = _ELEMENT_STRING.findall(text)
    if not found or "".join(f"({ai}){value}" for ai, value in found) != text:
        raise IdentifierError(
            "BAD_IDENTIFIER", f"{text!a} is no GS1 element string such as (01)09521234543213(10)A1."
        )
    if found[0][0] not in AI_KINDS:
        raise IdentifierError(
            "BAD_IDENTIFIER",
            f"{text!a} starts with ({found[0][0]}), which is no GS1 identification key; "
            "(01), (00), (414), (417), (8003), (8004) and the like are accepted.",
        )
    wanted = QUALIFIERS.get(found[0][0], ())
    return [found[0]] + [pair for pair in found[1:] if pair[0] in wanted]


def _digital_link_elements(text: str) -> list[tuple[str, str]] | None:
    """AI and value pairs of a Digital Link URI, or None where the URI is not one."""
    path = text.split("#", 1)[0].split("?", 1)[0]
    _, _, path = path.partition("://")
    segments = path.rstrip("/").split("/")[1:]
    for start in range(len(segments) - 1):
        ai = segments[start]
        if ai not in AI_KINDS:
            continue
        rest = segments[start:]
        if len(rest) % 2 or not _could_be_value(ai, rest[1]):
            continue
        pairs = [(rest[i], unquote(rest[i + 1])) for i in range(0, len(rest), 2)]
        allowed = QUALIFIERS.get(ai, ())
        if all(name in allowed for name, _ in pairs[1:]):
            for _, value in pairs:
                _require_safe(value)
            return pairs
    return None


def _could_be_value(ai: str, value: str) -> bool:
    """Whether a path segment has the form of this key, so that /01/about stays a plain page."""
    if ai in ("8004", "401", "8010", "8013"):
        return bool(value)
    digits = {"00": 18, "8006": 18, "402": 17, "8017": 18, "8018": 18}.get(ai)
    if digits is not None:
        return _digits(value) and len(value) == digits
    if ai == "01":
        return _digits(value) and len(value) in (8, 12, 13, 14)
    return _digits(value[: 14 if ai == "8003" else 13]) and len(value) >= 13


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _from_elements(elements: list[tuple[str, str]], text: str) -> Identifier:
    """Build the canonical identifier from its primary key and qualifiers."""
    ai, value = elements[0]
    extra = dict(elements[1:])
    if len(extra) != len(elements) - 1:
        raise IdentifierError("BAD_IDENTIFIER", f"{text!a} gives an application identifier twice.")
    for name, part in elements:
        pattern, what = ELEMENT[name]
        if not pattern.match(part):
            raise IdentifierError(
                "BAD_IDENTIFIER", f"{text!a} has {part!a} for ({name}); {what} is accepted."
            )
    if ai == "01":
        return _trade_item(value, extra)
    if ai == "8006":
        return _piece(value, extra)
    if ai in ("00", "414", "417", "402", "8017", "8018"):
        require_check_digit(value, AI_KINDS[ai].upper())
    elif ai == "8003":
        require_check_digit(value[:14], "GRAI")
    elif ai in ("253", "255"):
        require_check_digit(value[:13], AI_KINDS[ai].upper())
    uri = f"{STEM}{ai}/{quote(value, safe='')}"
    if ai == "414":
        extension = extra.get("254")
        tail = f"/254/{quote(extension, safe='')}" if extension else ""
        return Identifier("gln", uri + tail)
    if ai == "8010":
        serial = extra.get("8011")
        tail = f"/8011/{serial}" if serial else ""
        return Identifier("cpi", uri + tail, serial is None, serial=serial)
    bare = {"8003": 14, "253": 13, "255": 13}.get(ai)
    if bare is not None:
        return Identifier(AI_KINDS[ai], uri, len(value) == bare, serial=value[bare:] or None)
    return Identifier(AI_KINDS[ai], uri)


def _trade_item(value: str, extra: dict[str, str]) -> Identifier:
    gtin = gtin14(value)
    uri = f"{STEM}01/{gtin}"
    lot, serial, upui = extra.get("10"), extra.get("21"), extra.get("235")
    if serial:
        return Identifier("sgtin", f"{uri}/21/{quote(serial, safe='')}", False, gtin, lot, serial)
    if upui:
        return Identifier("upui", f"{uri}/235/{quote(upui, safe='')}", False, gtin, None, upui)
    if lot:
        return Identifier("lgtin", f"{uri}/10/{quote(lot, safe='')}", True, gtin, lot)
    return Identifier("gtin", uri, True, gtin)


def _piece(value: str, extra: dict[str, str]) -> Identifier:
    gtin = value[:14]
    require_check_digit(gtin, "GTIN")
    uri = f"{STEM}8006/{value}"
    lot, serial = extra.get("10"), extra.get("21")
    if serial:
        return Identifier("itip", f"{uri}/21/{quote(serial, safe='')}", False, gtin, lot, serial)
    if lot:
        return Identifier("itip", f"{uri}/10/{quote(lot, safe='')}", True, gtin, lot)
    return Identifier("itip", uri, True, gtin)
