"""Reading a function's argument object: every field typed, bounded and expected.

The gateway may be bypassed, so nothing here trusts it. All refusals are BAD_ARGUMENT (or an
IdentifierError) with a JSON pointer.
"""

from __future__ import annotations

import re
from typing import Any, Final

from chaincode import codec
from chaincode.errors import IdentifierError, Refusal
from chaincode.gs1_keys import UNSAFE
from chaincode.identifiers import as_party, canonical

MAX_TIME_MS: Final = 253_402_300_799_999  # the end of the year 9999
MAX_PAGE: Final = 1_000
DEFAULT_PAGE: Final = 100
HASH: Final = re.compile(r"ni:///sha-256;([0-9a-f]{64})\?ver=CBV2\.0\Z", re.ASCII)
HEX_64: Final = re.compile(r"[0-9a-f]{64}\Z", re.ASCII)


class Arguments:
    """One JSON object whose fields are taken one by one; what is left over is refused."""

    __slots__ = ("_fields", "_where")

    def __init__(self, fields: object, where: str = "") -> None:
        if type(fields) is not dict:
            raise Refusal("BAD_ARGUMENT", "The argument must be one JSON object.", where)
        self._fields: dict[str, Any] = dict(fields)
        self._where = where

    @classmethod
    def of(cls, args: list[str]) -> Arguments:
        """The one JSON object in a function's argument list (an empty list is {})."""
        if not args:
            return cls({})
        if len(args) != 1:
            raise Refusal(
                "BAD_ARGUMENT", f"The function takes one JSON argument; {len(args)} were given."
            )
        return cls(codec.loads(args[0]))

    def done(self) -> None:
        """Refuse fields nobody asked for."""
        if self._fields:
            name = sorted(self._fields)[0]
            raise Refusal(
                "BAD_ARGUMENT",
                f"The field {name[:60]!a} is not known here; leave it out.",
                self._pointer(name),
            )

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self._fields.get(name) is not None

    def text(self, name: str, most: int = 200, default: str | None = None) -> str:
        """A safe, non-empty text of at most `most` characters."""
        value = self._fields.pop(name, None)
        if value is None and default is not None:
            return default
        if type(value) is not str or not 0 < len(value) <= most:
            raise self._bad(name, f"a text of 1 to {most} characters")
        _require_safe(value, self._pointer(name))
        return value

    def texts(self, name: str, most: int = 64, default: list[str] | None = None) -> list[str]:
        """A list of at most `most` distinct safe texts."""
        value = self._fields.pop(name, None)
        if value is None and default is not None:
            return default
        if type(value) is not list or not 0 < len(value) <= most:
            raise self._bad(name, f"a list of 1 to {most} texts")
        for item in value:
            if type(item) is not str or not 0 < len(item) <= 512:
                raise self._bad(name, f"a list of 1 to {most} texts")
            _require_safe(item, self._pointer(name))
        if len(set(value)) != len(value):
            raise self._bad(name, "a list without repetitions")
        return value

    def choice(self, name: str, choices: tuple[str, ...], default: str | None = None) -> str:
        """One of a few words."""
        value = self.text(name, default=default)
        if value not in choices:
            raise self._bad(name, "one of " + ", ".join(choices))
        return value

    def flag(self, name: str) -> bool:
        """true or false; absent is false."""
        value = self._fields.pop(name, False)
        if type(value) is not bool:
            raise self._bad(name, "true or false")
        return value

    def integer(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """An integer in [low, high]."""
        value = self._fields.pop(name, None)
        if value is None and default is not None:
            return default
        if type(value) is not int or not low <= value <= high:
            raise self._bad(name, f"an integer from {low} to {high}")
        return value

    def decimal(self, name: str) -> str:
        """A decimal as text, or a whole number as integer."""
        value = self._fields.get(name)
        if type(value) is int and 0 <= value < 10**15:
            self._fields[name] = str(value)
        return self.text(name, 24)

    def time(self, name: str) -> int:
        """Milliseconds UTC since 1970."""
        return self.integer(name, 0, MAX_TIME_MS)

    def identifier(self, name: str) -> str:
        """An identifier in any accepted form, made canonical."""
        value = self.text(name, 512)
        try:
            return canonical(value)
        except IdentifierError as error:
            raise IdentifierError(error.code, error.message, self._pointer(name)) from None

    def party(self, name: str) -> str:
        """A party id or GLN in any accepted form, made canonical."""
        value = self.text(name, 512)
        try:
            return as_party(value)
        except IdentifierError as error:
            raise IdentifierError(error.code, error.message, self._pointer(name)) from None

    def hex64(self, name: str) -> str:
        """64 lower-case hexadecimal characters (32 bytes)."""
        value = self.text(name, 64)
        if not HEX_64.match(value):
            raise self._bad(name, "64 lower-case hexadecimal characters")
        return value

    def event_hash(self, name: str) -> str:
        """The hex of an event hash given as `ni:///sha-256;...?ver=CBV2.0` or as hex."""
        value = self.text(name, 128)
        match = HASH.match(value)
        if match:
            return match.group(1)
        if HEX_64.match(value):
            return value
        raise self._bad(name, "an event hash ni:///sha-256;<64 hex>?ver=CBV2.0")

    def inner(self, name: str) -> Arguments:
        """A nested object."""
        return Arguments(self._fields.pop(name, None), self._pointer(name))

    def inners(self, name: str, most: int) -> list[Arguments]:
        """A list of nested objects; absent is empty."""
        value = self._fields.pop(name, None)
        if value is None:
            return []
        if type(value) is not list or len(value) > most:
            raise self._bad(name, f"a list of at most {most} objects")
        pointer = self._pointer(name)
        return [Arguments(item, f"{pointer}/{index}") for index, item in enumerate(value)]

    def page(self) -> tuple[int, str]:
        """`page_size` (1 to 1,000; 100 by default) and `bookmark`."""
        size = self.integer("page_size", 1, MAX_PAGE, DEFAULT_PAGE)
        bookmark = self._fields.pop("bookmark", None) or ""
        if type(bookmark) is not str or len(bookmark) > 2_048:
            raise self._bad("bookmark", "the bookmark of the page before")
        return size, bookmark

    def _pointer(self, name: str) -> str:
        return f"{self._where}/{name.replace('~', '~0').replace('/', '~1')[:120]}"

    def _bad(self, name: str, accepted: str) -> Refusal:
        return Refusal(
            "BAD_ARGUMENT",
            f"The field {name!a} is not valid: {accepted} is accepted.",
            self._pointer(name),
        )


def _require_safe(value: str, where: str) -> None:
    bad = UNSAFE.search(value)
    if bad is not None:
        raise Refusal(
            "UNSAFE_CHARACTERS",
            f"The text holds the character U+{ord(bad.group()):04X}; text without control, "
            "bidirectional or invisible characters is accepted.",
            where,
        )
