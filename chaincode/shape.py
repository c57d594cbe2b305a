"""The shape of a captured event, checked value by value before any rule reads it.

The gateway may be bypassed: every type, length and character is checked here, so that the rules
may rely on them. Shapes are those of docs/design/contract.md.
"""

from __future__ import annotations

from typing import Any, Final

from chaincode.arguments import HASH, HEX_64, MAX_TIME_MS
from chaincode.errors import Refusal
from chaincode.gs1_keys import MAX_LENGTH, UNSAFE, shown
from chaincode.projection import EVENT_TYPES, EXTENDED, VERSION

MAX_IDS: Final = 10_000
MAX_ENDS: Final = 200

_ACTIONS: Final = frozenset({"ADD", "OBSERVE", "DELETE"})
_TYPES: Final = EVENT_TYPES | {EXTENDED}
_TEXTS: Final = {
    "extra_type": MAX_LENGTH,
    "event_id": MAX_LENGTH,
    "action": 7,
    "tz": 10,
    "step": MAX_LENGTH,
    "disposition": MAX_LENGTH,
    "parent": MAX_LENGTH,
    "transformation_id": MAX_LENGTH,
    "read_point": MAX_LENGTH,
    "location": MAX_LENGTH,
    "country": 64,
    "expiry": 10,
    "disclosure": 64,
}
_ID_LISTS: Final = frozenset({"epcs", "children", "inputs", "outputs"})
# list of objects: required fields, optional fields, whether its entries are goods
_OBJECT_LISTS: Final[dict[str, tuple[frozenset[str], frozenset[str], bool]]] = {
    **{
        name: (frozenset({"id"}), frozenset({"qty", "unit"}), True)
        for name in ("quantities", "child_quantities", "input_quantities", "output_quantities")
    },
    "losses": (frozenset({"id"}), frozenset({"qty", "unit", "reason"}), True),
    "from": (frozenset({"id"}), frozenset({"type"}), False),
    "to": (frozenset({"id"}), frozenset({"type"}), False),
    "transactions": (frozenset({"id"}), frozenset({"type"}), False),
}
_EVENT_FIELDS: Final = frozenset({"hash", "commitment", "projection", "carbon"})


def is_plain(text: str) -> bool:
    """Whether an argument's text can hold no unsafe character: printable ASCII, no escapes."""
    return text.isascii() and text.isprintable() and "\\" not in text


def check_event(event: object, plain: bool) -> str:
    """Check one entry of a capture; returns the hash's hex.

    `plain`: the whole argument was found free of unsafe characters. Raises Refusal BAD_HASH,
    BAD_PROJECTION, UNSAFE_CHARACTERS.
    """
    if type(event) is not dict or not event.keys() <= _EVENT_FIELDS:
        raise Refusal(
            "BAD_PROJECTION",
            "An event has hash, commitment, projection and may have carbon, nothing else.",
        )
    hash_, commitment = event.get("hash"), event.get("commitment")
    match = HASH.match(hash_) if type(hash_) is str else None
    if match is None:
        raise Refusal(
            "BAD_HASH", "hash must be ni:///sha-256;<64 hex>?ver=CBV2.0 (CBV 2.0).", "/hash"
        )
    if type(commitment) is not str or not HEX_64.match(commitment):
        raise Refusal(
            "BAD_HASH", "commitment must be 64 lower-case hexadecimal characters.", "/commitment"
        )
    _check_projection(event.get("projection"), plain)
    return match.group(1)


def _check_projection(p: Any, plain: bool) -> None:
    if type(p) is not dict:
        raise _bad("", "an object")
    if p.get("v") != VERSION or type(p["v"]) is not int:
        raise _bad("/v", f"the version {VERSION}")
    if p.get("type") not in _TYPES:
        raise _bad("/type", f"one of {', '.join(sorted(_TYPES))}")
    time_ms = p.get("time_ms")
    if type(time_ms) is not int or not -MAX_TIME_MS <= time_ms <= MAX_TIME_MS:
        raise _bad("/time_ms", "integer milliseconds UTC")
    goods = 0
    for name, value in p.items():
        most = _TEXTS.get(name)
        if most is not None:
            if type(value) is not str or not 0 < len(value) <= most:
                raise _bad(f"/{name}", f"a text of 1 to {most} characters")
            if not plain:
                _require_safe(value, f"/{name}")
        elif name in _ID_LISTS:
            goods += _check_ids(name, value, plain)
        elif name in _OBJECT_LISTS:
            goods += _check_objects(name, value, plain)
        elif name == "error":
            _check_error(value, plain)
        elif name not in ("v", "type", "time_ms"):
            raise _bad(f"/{name[:60]}", "a documented field")
    if goods > MAX_IDS:
        raise Refusal(
            "TOO_LARGE",
            f"The event names {goods} identifiers; at most {MAX_IDS} are accepted.",
            "/projection",
        )
    if p.get("action", "OBSERVE") not in _ACTIONS:
        raise _bad("/action", "ADD, OBSERVE or DELETE")


def _check_ids(name: str, value: Any, plain: bool) -> int:
    if type(value) is not list:
        raise _bad(f"/{name}", "a list of identifiers")
    for index, text in enumerate(value):
        if type(text) is not str or not 0 < len(text) <= MAX_LENGTH:
            raise _bad(f"/{name}/{index}", f"an identifier of 1 to {MAX_LENGTH} characters")
        if not plain:
            _require_safe(text, f"/{name}/{index}")
    return len(value)


def _check_objects(name: str, value: Any, plain: bool) -> int:
    required, optional, goods = _OBJECT_LISTS[name]
    if type(value) is not list or (not goods and len(value) > MAX_ENDS):
        raise _bad(f"/{name}", f"a list (of at most {MAX_ENDS} where they are not goods)")
    for index, item in enumerate(value):
        if type(item) is not dict or "id" not in item:
            raise _bad(f"/{name}/{index}", f"an object with {', '.join(sorted(required))}")
        for field, text in item.items():
            if field not in required and field not in optional:
                raise _bad(f"/{name}/{index}/{field[:60]}", "a documented field")
            if type(text) is not str or not 0 < len(text) <= MAX_LENGTH:
                raise _bad(f"/{name}/{index}/{field}", f"a text of 1 to {MAX_LENGTH} characters")
            if not plain:
                _require_safe(text, f"/{name}/{index}/{field}")
    return len(value) if goods else 0


def _check_error(value: Any, plain: bool) -> None:
    if type(value) is not dict or not value.keys() <= {"time_ms", "reason", "corrective"}:
        raise _bad("/error", "an object with time_ms, reason and corrective")
    if type(value.get("time_ms")) is not int or not -MAX_TIME_MS <= value["time_ms"] <= MAX_TIME_MS:
        raise _bad("/error/time_ms", "integer milliseconds UTC")
    reason = value.get("reason", "-")
    if type(reason) is not str or not 0 < len(reason) <= MAX_LENGTH:
        raise _bad("/error/reason", f"a text of 1 to {MAX_LENGTH} characters")
    if not plain:
        _require_safe(reason, "/error/reason")
    _check_ids("error/corrective", value.get("corrective", []), plain)


def _require_safe(text: str, where: str) -> None:
    bad = UNSAFE.search(text)
    if bad is not None:
        raise Refusal(
            "UNSAFE_CHARACTERS",
            f"{shown(text)} holds the character U+{ord(bad.group()):04X}; text without control, "
            "bidirectional or invisible characters is accepted.",
            "/projection" + where,
        )


def _bad(where: str, accepted: str) -> Refusal:
    return Refusal(
        "BAD_PROJECTION",
        f"The projection's {where or 'value'} is not valid: {accepted} is accepted.",
        "/projection" + where,
    )
