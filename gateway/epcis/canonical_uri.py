"""One canonical spelling for every GS1 identifier that takes part in an event hash.

CBV 2.0 §8.9: EPC URNs (id, class and pattern) become canonical GS1 Digital Link URIs, and a
Digital Link URI of any domain becomes the constrained canonical one: ``https://id.gs1.org``, no
query string, the finest level of identification only. It is the hash's own rule and lenient by
design: a check digit is computed where a URN has none and never verified where a URI carries one,
because an event must keep its hash even where an identifier in it is wrong. Whether an identifier
is right is decided by :mod:`chaincode.identifiers` when a document is validated.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote, unquote

from gateway.epcis.short_cache import short_cache

DOMAIN = "https://id.gs1.org"

_SAFE = "!'()*+,-.:;=_~"
"""Left unescaped besides letters and digits; everything else is percent-encoded UTF-8."""

_SHORT_NAMES = {
    "gtin": "01", "itip": "8006", "cpid": "8010", "gln": "414", "party": "417", "gsrnp": "8017",
    "gsrn": "8018", "gcn": "255", "sscc": "00", "gdti": "253", "ginc": "401", "gsin": "402",
    "grai": "8003", "giai": "8004", "cpv": "22", "lot": "10", "ser": "21", "cpsn": "8011",
    "glnx": "254",
}  # fmt: skip
"""Alphabetic key names of GS1 Digital Link 1.0 and 1.1, still met in older data."""

_PRIMARY: dict[str, tuple[re.Pattern[str], tuple[str, ...], tuple[tuple[str, ...], ...]]] = {
    # key: (form of the value, qualifiers it may be followed by, finest level first)
    "00": (re.compile(r"\d{18}"), (), ()),
    "01": (
        re.compile(r"\d{8}|\d{12,14}"),
        ("22", "10", "21", "235"),
        (("21",), ("10",), ("235",)),
    ),
    "253": (re.compile(r"\d{13}[!-?A-Z_a-z]{0,17}"), (), ()),
    "255": (re.compile(r"\d{13,25}"), (), ()),
    "401": (re.compile(r"[!-?A-Z_a-z]{1,30}"), (), ()),
    "402": (re.compile(r"\d{17}"), (), ()),
    "414": (re.compile(r"\d{13}"), ("254",), (("254",),)),
    "417": (re.compile(r"\d{13}"), ("7040",), ()),
    "8003": (re.compile(r"\d{14}[!-?A-Z_a-z]{0,16}"), (), ()),
    "8004": (re.compile(r"[!-?A-Z_a-z]{1,30}"), (), ()),
    "8006": (re.compile(r"\d{18}"), ("22", "10", "21"), (("21",), ("10",))),
    "8010": (re.compile(r"[#/\-0-9A-Z]{1,30}"), ("8011",), (("8011",),)),
    "8017": (re.compile(r"\d{18}"), ("8019",), ()),
    "8018": (re.compile(r"\d{18}"), ("8019",), ()),
}
_PLAIN = r"[A-Za-z0-9._\-]"
_ALREADY = re.compile(
    rf"https://id\.gs1\.org/(?:01/\d{{14}}(?:/(?:10|21|235)/{_PLAIN}{{1,28}})?|00/\d{{18}}"
    rf"|414/\d{{13}}(?:/254/{_PLAIN}{{1,20}})?|417/\d{{13}}|8003/\d{{14}}{_PLAIN}{{0,16}}"
    rf"|8004/{_PLAIN}{{1,30}})",
    re.ASCII,
)
"""The common canonical forms: nothing to do for them."""

_QUALIFIER = re.compile(r"[!-?A-Z_a-z]{1,28}")


@short_cache(1 << 16)
def canonical_uri(text: str) -> str:
    """The canonical GS1 Digital Link URI of `text`, or `text` itself where it is none."""
    if text.startswith("urn:epc:"):
        return _from_urn(text) or text
    if text.startswith(("https://", "http://")):
        if _ALREADY.fullmatch(text):
            return text
        return _from_digital_link(text) or text
    return text


def check_digit(digits: str) -> str:
    """The GS1 check digit (General Specifications §7.9.1) of a key given without it."""
    odd, even = digits[::-2], digits[-2::-2]
    return str(-(3 * sum(map(int, odd)) + sum(map(int, even))) % 10)


# -- Digital Link URIs ----------------------------------------------------------------------------


def _from_digital_link(uri: str) -> str | None:
    path = uri.partition("#")[0].partition("?")[0]
    segments = path.split("/")[3:]
    for i in range(len(segments) - 1):
        key = _SHORT_NAMES.get(segments[i], segments[i])
        if key in _PRIMARY:
            found = _link(key, segments[i + 1 :])
            if found is not None:
                return found
    return None


def _link(key: str, rest: list[str]) -> str | None:
    form, qualifiers, levels = _PRIMARY[key]
    if rest[-1] == "":  # a trailing slash
        rest = rest[:-1]
    if len(rest) % 2 == 0:
        return None
    value = unquote(rest[0])
    if not form.fullmatch(value):
        return None
    found: dict[str, str] = {}
    for name, raw in zip(rest[1::2], rest[2::2], strict=True):
        name = _SHORT_NAMES.get(name, name)
        if name not in qualifiers or not _QUALIFIER.fullmatch(raw_value := unquote(raw)):
            return None
        found[name] = raw_value
    uri = f"{DOMAIN}/{key}/{_quote(value.zfill(14) if key == '01' else value)}"
    for level in levels:
        if all(name in found for name in level):
            return uri + "".join(f"/{name}/{_quote(found[name])}" for name in level)
    return uri


def _quote(value: str) -> str:
    return quote(value, safe=_SAFE)


# -- EPC URNs (TDS 1.13 §6) -----------------------------------------------------------------------


def _from_urn(urn: str) -> str | None:
    parts = urn.split(":", 4)
    if len(parts) != 5 or parts[2] not in ("id", "class", "idpat"):
        return None
    kind, scheme, body = parts[2], parts[3], parts[4]
    fields = body.split(".")
    build = _URN_SCHEMES.get(scheme)
    if build is None or not fields[0].isdecimal():
        return None
    if kind == "idpat":
        while fields and fields[-1] == "*":
            fields.pop()
    try:
        return build(fields)
    except (ValueError, IndexError):
        return None


def _text(value: str) -> str:
    return _quote(unquote(value))


def _digits(*parts: str) -> str:
    joined = "".join(parts)
    if not (joined.isascii() and joined.isdecimal()):
        raise ValueError("not digits")
    return joined


def _rest(fields: list[str], start: int) -> str:
    """A serial may hold dots: what is left from `start` belongs to it."""
    return ".".join(fields[start:])


def _gtin(company: str, item: str) -> str:
    body = _digits(item[0], company, item[1:])
    if len(body) != 13:
        raise ValueError("not 13 digits")
    return body + check_digit(body)


def _keyed(company: str, reference: str, length: int) -> str:
    body = _digits(company, reference)
    if len(body) != length:
        raise ValueError(f"not {length} digits")
    return body + check_digit(body)


def _with_gtin(qualifier: str) -> Callable[[list[str]], str]:
    def build(fields: list[str]) -> str:
        uri = f"{DOMAIN}/01/{_gtin(fields[0], fields[1])}"
        return f"{uri}/{qualifier}/{_text(_rest(fields, 2))}" if len(fields) > 2 else uri

    return build


def _sscc(fields: list[str]) -> str:
    body = _digits(fields[1][0], fields[0], fields[1][1:])
    if len(body) != 17:
        raise ValueError("not 17 digits")
    return f"{DOMAIN}/00/{body}{check_digit(body)}"


def _sgln(fields: list[str]) -> str:
    uri = f"{DOMAIN}/414/{_keyed(fields[0], fields[1], 12)}"
    extension = _rest(fields, 2)
    return uri if extension in ("", "0") else f"{uri}/254/{_text(extension)}"


def _pgln(fields: list[str]) -> str:
    return f"{DOMAIN}/417/{_keyed(fields[0], fields[1], 12)}"


def _grai(fields: list[str]) -> str:
    serial = _text(_rest(fields, 2))
    return f"{DOMAIN}/8003/0{_keyed(fields[0], fields[1], 12)}{serial}"


def _giai(fields: list[str]) -> str:
    return f"{DOMAIN}/8004/{_digits(fields[0])}{_text(_rest(fields, 1))}"


def _service(key: str) -> Callable[[list[str]], str]:
    return lambda fields: f"{DOMAIN}/{key}/{_keyed(fields[0], fields[1], 17)}"


def _serialised(key: str) -> Callable[[list[str]], str]:
    return lambda fields: (
        f"{DOMAIN}/{key}/{_keyed(fields[0], fields[1], 12)}{_text(_rest(fields, 2))}"
    )


def _cpi(fields: list[str]) -> str:
    uri = f"{DOMAIN}/8010/{_digits(fields[0])}{_text(fields[1])}"
    return f"{uri}/8011/{_digits(_rest(fields, 2))}" if len(fields) > 2 else uri


def _ginc(fields: list[str]) -> str:
    return f"{DOMAIN}/401/{_digits(fields[0])}{_text(_rest(fields, 1))}"


def _gsin(fields: list[str]) -> str:
    return f"{DOMAIN}/402/{_keyed(fields[0], fields[1], 16)}"


def _itip(fields: list[str]) -> str:
    pieces = _digits(fields[2], fields[3])
    uri = f"{DOMAIN}/8006/{_gtin(fields[0], fields[1])}{pieces}"
    return f"{uri}/21/{_text(_rest(fields, 4))}" if len(fields) > 4 else uri


_URN_SCHEMES: dict[str, Callable[[list[str]], str]] = {
    "sgtin": _with_gtin("21"),
    "lgtin": _with_gtin("10"),
    "upui": _with_gtin("235"),
    "sscc": _sscc,
    "sgln": _sgln,
    "pgln": _pgln,
    "grai": _grai,
    "giai": _giai,
    "gsrn": _service("8018"),
    "gsrnp": _service("8017"),
    "gdti": _serialised("253"),
    "sgcn": _serialised("255"),
    "cpi": _cpi,
    "ginc": _ginc,
    "gsin": _gsin,
    "itip": _itip,
}
