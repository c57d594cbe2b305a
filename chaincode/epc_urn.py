"""EPC URNs as GS1 element strings (EPC Tag Data Standard 2.x §6.3, §6.4, §7, §8).

A company prefix of 6 to 12 digits and a reference are joined to the GS1 key; the key's check
digit is computed. A prefix of 12 digits leaves no room for the reference of a GLN, GRAI, GDTI or
GCN: it is the empty string there (``PaddedNumericComponentOrEmpty``), its dots stay. Pattern URNs
whose only wildcard is the serial number name a class. Schemes with no GS1 key (gid, usdod, adi,
bic, imovn) and wider patterns have no element string.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from chaincode.errors import IdentifierError
from chaincode.gs1_keys import with_check_digit

Elements = list[tuple[str, str]]

# scheme: digits of prefix and reference together, and how many parts a URN has
_FORMS: Final[dict[str, tuple[int, int]]] = {
    "sgtin": (13, 3),
    "lgtin": (13, 3),
    "upui": (13, 3),
    "itip": (13, 5),
    "sscc": (17, 2),
    "gsrn": (17, 2),
    "gsrnp": (17, 2),
    "gsin": (16, 2),
    "sgln": (12, 3),
    "pgln": (12, 2),
    "grai": (12, 3),
    "gdti": (12, 3),
    "sgcn": (12, 3),
    "giai": (0, 2),
    "ginc": (0, 2),
    "cpi": (0, 3),
}
_CLASS_SCHEMES: Final = frozenset({"sgtin", "upui", "itip", "grai", "gdti", "sgcn", "cpi"})
_EMPTY_REFERENCE: Final = frozenset({"sgln", "pgln", "grai", "gdti", "sgcn"})


def elements(text: str) -> Elements | None:
    """AI and value pairs of an EPC URN, or None where GS1 has no key for it.

    Raises IdentifierError BAD_IDENTIFIER where the URN breaks its scheme's rules.
    """
    fields = text.split(":", 4)
    if len(fields) != 5:
        raise IdentifierError("BAD_IDENTIFIER", f"{text!a} is no EPC URN.")
    form, scheme, body = fields[2], fields[3], fields[4]
    if form not in ("id", "class", "idpat") or scheme not in _FORMS:
        return None
    if (scheme == "lgtin") != (form == "class"):
        return None
    parts = body.split(".", _FORMS[scheme][1] - 1)
    if form == "idpat":
        if scheme not in _CLASS_SCHEMES or parts[-1] != "*" or "*" in "".join(parts[:-1]):
            return None
    elif "*" in body and scheme not in ("sgtin", "lgtin", "upui", "itip", "sgln", "giai", "grai"):
        return None
    _check_form(text, scheme, parts)
    serial = "" if form == "idpat" else unquote(parts[-1])
    return _assemble(scheme, parts, serial)


def _check_form(text: str, scheme: str, parts: list[str]) -> None:
    digits, count = _FORMS[scheme]
    filled = [parts[0], *parts[2:]] if scheme in _EMPTY_REFERENCE else parts
    if len(parts) != count or not all(filled) or not _all_digits(parts[0]):
        raise IdentifierError(
            "BAD_IDENTIFIER",
            f"{text!a} is no {scheme} URN; {count} parts, digits first, are accepted.",
        )
    if not 6 <= len(parts[0]) <= 12:
        raise IdentifierError(
            "BAD_IDENTIFIER",
            f"{text!a} has a company prefix of {len(parts[0])} digits; 6 to 12 are accepted.",
        )
    if digits:
        joined = parts[0] + parts[1]
        if not _all_digits(joined) or len(joined) != digits:
            raise IdentifierError(
                "BAD_IDENTIFIER",
                f"{text!a} has {joined!a} as prefix and reference; {digits} digits are accepted.",
            )


def _all_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _assemble(scheme: str, parts: list[str], serial: str) -> Elements:
    prefix, reference = parts[0], parts[1]
    if scheme in ("sgtin", "lgtin", "upui", "itip"):
        gtin = with_check_digit(reference[0] + prefix + reference[1:])
        if scheme == "itip":
            return _with([("8006", gtin + parts[2] + parts[3])], "21", serial)
        return _with([("01", gtin)], {"sgtin": "21", "lgtin": "10", "upui": "235"}[scheme], serial)
    if scheme == "sscc":
        return [("00", with_check_digit(reference[0] + prefix + reference[1:]))]
    if scheme in ("gsrn", "gsrnp", "gsin"):
        ai = {"gsrn": "8018", "gsrnp": "8017", "gsin": "402"}[scheme]
        return [(ai, with_check_digit(prefix + reference))]
    if scheme == "sgln":
        extension = "" if serial == "0" else serial
        return _with([("414", with_check_digit(prefix + reference))], "254", extension)
    if scheme == "pgln":
        return [("417", with_check_digit(prefix + reference))]
    if scheme in ("giai", "ginc"):
        return [("8004" if scheme == "giai" else "401", prefix + unquote(reference))]
    if scheme == "cpi":
        return _with([("8010", prefix + unquote(reference))], "8011", serial)
    key = with_check_digit(prefix + reference)
    ai = {"grai": "8003", "gdti": "253", "sgcn": "255"}[scheme]
    return [(ai, ("0" if scheme == "grai" else "") + key + serial)]


def _with(found: Elements, ai: str, value: str) -> Elements:
    return [*found, (ai, value)] if value else found
