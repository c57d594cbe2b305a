"""How single values are written in the pre-hash string (CBV 2.0 §8.9, rules for values)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from gateway.epcis.canonical_uri import canonical_uri
from gateway.epcis.short_cache import short_cache
from gateway.epcis.vocabulary import GS1_VOC, GS1_VOC_ALIASES, VOCABULARIES

_NUMERIC = re.compile(r"[+-]?(?:\d{1,64}(?:\.\d{0,64})?|\.\d{1,64})(?:[eE][+-]?\d{1,2})?", re.A)
_PLAIN = re.compile(r"(?:0|[1-9]\d*)", re.A)
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?"
    r"(?:(Z|z)|([+-])(\d\d):?(\d\d))",
    re.A,
)


def text_of(value: Any) -> str:
    """A text without the spaces around it; numbers and booleans as texts."""
    if isinstance(value, str):
        return value.strip()
    return boolean(value) if isinstance(value, bool) else number(value)


def boolean(value: Any) -> str:
    """``true`` or ``false``."""
    if isinstance(value, str):
        return {"1": "true", "0": "false"}.get(value.strip(), value.strip())
    return "true" if value else "false"


def number(value: Any) -> str:
    """A number without trailing zeros and exponent; a text that is none stays."""
    if type(value) is int:
        return str(value)
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e16:
            return str(int(value))
        return _decimal(repr(value))
    if isinstance(value, Decimal):
        return _decimal(str(value))
    return _numeric_text(value.strip()) if isinstance(value, str) else str(value)


def _numeric_text(text: str) -> str:
    return _decimal(text) if _NUMERIC.fullmatch(text) else text


def _decimal(text: str) -> str:
    exact = Decimal(text)
    if not exact.is_finite():
        return text
    if exact == 0:
        return "0"
    plain = format(exact, "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return plain


@short_cache(1 << 14)
def any_value(text: str) -> str:
    """Any value: CBV URNs as Web URIs, numbers and identifiers in canonical form."""
    if _PLAIN.fullmatch(text):
        return text
    if text.startswith("urn:epcglobal:cbv:"):
        return web_term(text)
    return canonical_uri(_numeric_text(text))


@short_cache(1 << 12)
def web_term(text: str) -> str:
    """A vocabulary term, URN or URI, as its Web URI."""
    for vocabulary in VOCABULARIES:
        if vocabulary.urn and text.startswith(vocabulary.urn):
            return vocabulary.web_uri + text[len(vocabulary.urn) :]
    for alias in GS1_VOC_ALIASES:
        if text.startswith(alias):
            return GS1_VOC + text[len(alias) :]
    return canonical_uri(text)


@short_cache(1 << 14)
def utc(text: str) -> str:
    """``YYYY-MM-DDThh:mm:ss.mmmZ``; the fourth decimal place rounds the third."""
    match = _TIME.fullmatch(text)
    if match is None:
        return text
    year, month, day, hour, minute, second, fraction, _, sign, off_hour, off_minute = match.groups()
    millis = int((fraction or "0")[:3].ljust(3, "0"))
    if fraction and len(fraction) > 3 and fraction[3] >= "5":
        millis += 1
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second)
        ) + timedelta(milliseconds=millis)
        if sign:
            offset = timedelta(hours=int(off_hour), minutes=int(off_minute))
            moment = moment - offset if sign == "+" else moment + offset
    except (ValueError, OverflowError):
        return text
    return moment.isoformat(timespec="milliseconds") + "Z"
