"""The one JSON form that crosses the contract's border and lies in its records.

UTF-8, compact, keys sorted by code point, no floats, no duplicate keys: the subset of RFC 8785
in which numbers are integers of at most 53 bits. Larger amounts travel as decimal strings.
"""

from __future__ import annotations

import json
from typing import Any, Final

import orjson

from chaincode.errors import CodecError

MAX_BYTES: Final = 32 * 1024 * 1024
MAX_DEPTH: Final = 32
MAX_INTEGER: Final = (1 << 53) - 1

_SORTED: Final = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER


def dumps(value: object) -> bytes:
    """Canonical bytes of `value`: dicts with string keys, lists, strings, integers, booleans, None.

    Raises CodecError on floats, integers beyond 53 bits and other types.
    """
    _check(value, 0)
    return encode(value)


def encode(value: object) -> bytes:
    """Canonical bytes of a value that was checked before (a record, a validated argument)."""
    try:
        return orjson.dumps(value, option=_SORTED)
    except (TypeError, ValueError) as error:
        raise CodecError("BAD_JSON", f"The value cannot be written as JSON: {error}.") from None


def loads(raw: str | bytes) -> Any:
    """Parse an argument. Raises CodecError on floats, duplicate keys, depth > 32, bad UTF-8."""
    value = loads_unchecked(raw)
    _check(value, 0)
    return value


def loads_unchecked(raw: str | bytes) -> Any:
    """Parse, refusing duplicate keys and size, for a caller that checks every value's type itself.

    Canonical input takes the quick way: if writing the parsed value gives the same bytes back,
    no key was dropped. Anything else is parsed again by the strict and slow way.
    """
    data = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw
    if len(data) > MAX_BYTES:
        raise CodecError(
            "TOO_LARGE", f"The argument has {len(data)} bytes; at most {MAX_BYTES} are accepted."
        )
    try:
        value = orjson.loads(data)
        if orjson.dumps(value, option=_SORTED) == data:
            return value
    except (TypeError, ValueError):
        pass
    return _loads_strictly(data)


def decode(raw: bytes) -> Any:
    """Parse a record this contract wrote."""
    return orjson.loads(raw)


def _loads_strictly(data: bytes) -> Any:
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_no_duplicates,
            parse_float=_no_float,
            parse_constant=_no_float,
            parse_int=_small_int,
        )
        encode(value)  # refuses lone surrogates and integers beyond 53 bits
        return value
    except RecursionError:
        raise CodecError("BAD_JSON", f"The JSON is nested deeper than {MAX_DEPTH}.") from None
    except UnicodeDecodeError:
        raise CodecError("BAD_JSON", "The JSON is not valid UTF-8.") from None
    except ValueError as error:
        raise CodecError("BAD_JSON", f"The JSON cannot be parsed: {error}.") from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise CodecError("BAD_JSON", f"The JSON object has the key {twice[0]!a} more than once.")
    return found


def _no_float(text: str) -> Any:
    raise CodecError(
        "BAD_JSON",
        f"The JSON holds the number {text[:40]}; integers or decimal strings are accepted.",
    )


def _small_int(text: str) -> int:
    if len(text) > 17:
        raise CodecError(
            "BAD_JSON", f"The JSON holds an integer of {len(text)} digits; 53 bits are accepted."
        )
    return int(text)


def _check(value: object, depth: int) -> None:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return
    if depth > MAX_DEPTH:
        raise CodecError("BAD_JSON", f"The JSON is nested deeper than {MAX_DEPTH}.")
    if kind is int:
        if not -MAX_INTEGER <= value <= MAX_INTEGER:  # type: ignore[operator]
            raise CodecError("BAD_JSON", "The JSON holds an integer beyond 53 bits.")
    elif kind is dict:
        for name, item in value.items():  # type: ignore[attr-defined]
            if type(name) is not str:
                raise CodecError("BAD_JSON", "The JSON has a key that is not a string.")
            _check(item, depth + 1)
    elif kind is list or kind is tuple:
        for item in value:  # type: ignore[attr-defined]
            _check(item, depth + 1)
    else:
        raise CodecError(
            "BAD_JSON", f"The JSON holds a {kind.__name__}; integers or strings are accepted."
        )
