"""The GS1 keys the contract knows: application identifiers, their formats, check digits.

GS1 General Specifications §3 (application identifiers), §7.9 (check digit), §7.11 (the 82
characters of an alphanumeric value); Digital Link: URI syntax §4 (keys and their qualifiers).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from chaincode.errors import IdentifierError

MAX_LENGTH: Final = 512

# C0, DEL, C1, soft hyphen, Arabic letter mark, Mongolian vowel separator, zero width and
# directional marks, line separators, directional embeddings and isolates, invisible operators,
# byte order mark, interlinear marks, surrogates, non-characters, tag characters. A fixed table:
# Python's Unicode database differs between versions, and validators must agree.
UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\ud800-\udfff\U000e0000-\U000e0fff\U0010ffff]"
)


def shown(text: str) -> str:
    """A text as it may stand in a message: ASCII, escapes for everything else, 120 characters."""
    return ascii(text[:120])[1:-1]


AI_KINDS: Final[dict[str, str]] = {
    "00": "sscc",
    "01": "gtin",
    "253": "gdti",
    "255": "gcn",
    "401": "ginc",
    "402": "gsin",
    "414": "gln",
    "417": "pgln",
    "8003": "grai",
    "8004": "giai",
    "8006": "itip",
    "8010": "cpi",
    "8013": "gmn",
    "8017": "gsrnp",
    "8018": "gsrn",
}

QUALIFIERS: Final[dict[str, tuple[str, ...]]] = {
    "01": ("22", "10", "21", "235"),
    "414": ("254", "7040"),
    "417": ("7040",),
    "8004": ("7040",),
    "8006": ("22", "10", "21"),
    "8010": ("8011",),
    "8017": ("8019",),
    "8018": ("8019",),
}

_SET_82: Final = r"[!\"%&'()*+,\-./0-9:;<=>?A-Z_a-z]"


def _text(longest: int) -> tuple[re.Pattern[str], str]:
    pattern = re.compile(rf"{_SET_82}{{1,{longest}}}\Z", re.ASCII)
    return pattern, f"1 to {longest} characters of GS1 set 82"


def _digits(*lengths: int) -> tuple[re.Pattern[str], str]:
    choice = "|".join(rf"\d{{{length}}}" for length in lengths)
    pattern = re.compile(rf"(?:{choice})\Z", re.ASCII)
    return pattern, " or ".join(str(length) for length in lengths) + " digits"


ELEMENT: Final[dict[str, tuple[re.Pattern[str], str]]] = {
    "00": _digits(18),
    "01": _digits(8, 12, 13, 14),
    "10": _text(20),
    "21": _text(20),
    "22": _text(20),
    "235": _text(28),
    "253": (re.compile(rf"\d{{13}}{_SET_82}{{0,17}}\Z", re.ASCII), "13 digits and a serial"),
    "254": _text(20),
    "255": (re.compile(r"\d{13,25}\Z", re.ASCII), "13 to 25 digits"),
    "401": _text(30),
    "402": _digits(17),
    "414": _digits(13),
    "417": _digits(13),
    "7040": (re.compile(rf"\d{_SET_82}{{3}}\Z", re.ASCII), "a digit and 3 characters"),
    "8003": (re.compile(rf"0\d{{13}}{_SET_82}{{0,16}}\Z", re.ASCII), "14 digits and a serial"),
    "8004": _text(30),
    "8006": _digits(18),
    "8010": (re.compile(r"[#\-/0-9A-Z]{1,30}\Z", re.ASCII), "1 to 30 of #, -, /, 0-9, A-Z"),
    "8011": (re.compile(r"[1-9]\d{0,11}\Z|0\Z", re.ASCII), "1 to 12 digits, no leading zero"),
    "8013": _text(25),
    "8017": _digits(18),
    "8018": _digits(18),
    "8019": (re.compile(r"\d{1,10}\Z", re.ASCII), "1 to 10 digits"),
}


def check_digit(digits: str) -> str:
    """The check digit that follows `digits` (General Specifications §7.9.1: weights 3, 1, ...)."""
    odd = sum(map(int, digits[-1::-2]))
    even = sum(map(int, digits[-2::-2]))
    return str((10 - (3 * odd + even) % 10) % 10)


def with_check_digit(digits: str) -> str:
    """`digits` and their check digit."""
    return digits + check_digit(digits)


@lru_cache(maxsize=16_384)
def require_check_digit(digits: str, what: str) -> None:
    """Raise IdentifierError BAD_CHECK_DIGIT unless the last digit is right."""
    expected = check_digit(digits[:-1])
    if digits[-1] != expected:
        raise IdentifierError(
            "BAD_CHECK_DIGIT",
            f"{what} {digits} ends in {digits[-1]}; its check digit would be {expected}.",
        )


def gtin14(text: str) -> str:
    """A GTIN of 8, 12, 13 or 14 digits as 14 digits. Raises IdentifierError."""
    pattern, what = ELEMENT["01"]
    if type(text) is not str or not pattern.match(text):
        raise IdentifierError("BAD_IDENTIFIER", f"{text!a} is no GTIN; {what} are accepted.")
    padded = text.zfill(14)
    require_check_digit(padded, "GTIN")
    return padded
