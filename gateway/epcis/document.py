"""Bytes to an EPCIS document, strictly: RFC 8259 JSON in UTF-8 and nothing more lenient.

Refused with a place: bytes that are no JSON or no UTF-8, NaN and infinities, trailing commas,
the same key twice in one object, control characters, nesting beyond `MAX_DEPTH`, too many bytes
or events. Whether the content makes sense is :mod:`gateway.epcis.validate`'s to say.

One key may come twice: ``eventID``, where the last one counts. A published GS1 example does so,
and an eventID takes no part in what an event says (CBV 2.0 §8.9 leaves it out of the hash).

Accepted: EPCISDocument, EPCISQueryDocument, one bare event, a list of bare events.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.epcis.errors import DocumentError

MAX_BYTES = 64 << 20
MAX_EVENTS = 100_000
MAX_DEPTH = 48
MAY_COME_TWICE = "eventID"

Json = Any


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document.

    kind: EPCISDocument, EPCISQueryDocument, event or events. context: the document's
    ``@context`` as parsed, None where it has none (bare events carry their own). events: raw
    objects, untouched. base: JSON pointer of the list they stand in, "" for one bare event.
    root: the whole parsed body.
    """

    kind: str
    context: Json
    events: list[dict[str, Any]]
    base: str
    root: Json

    def pointer(self, index: int) -> str:
        """JSON pointer of event `index` (0-based) in the body."""
        if self.kind == "event" or self.base.endswith("/event"):
            return self.base
        return f"{self.base}/{index}"


def read_document(
    body: bytes, *, max_bytes: int = MAX_BYTES, max_events: int = MAX_EVENTS
) -> Document:
    """Parse `body`. Raises DocumentError with a line and column, or a JSON pointer."""
    if len(body) > max_bytes:
        raise DocumentError(
            "DOCUMENT_TOO_LARGE",
            f"the body has {len(body)} bytes; at most {max_bytes} are accepted",
        )
    document = as_document(read_json(body))
    if len(document.events) > max_events:
        raise DocumentError(
            "DOCUMENT_TOO_LARGE",
            f"the document has {len(document.events)} events; at most {max_events} are accepted",
            document.base,
        )
    return document


def read_json(body: bytes) -> Json:
    """Strict JSON. Raises DocumentError."""
    try:
        root = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _syntax(error, body) from None
    # orjson keeps the last of two equal keys. Writing the tree again gives as many colons as the
    # body has, unless a pair was dropped: every pair has one. An escaped colon counts as one; a
    # backslash before "u003a" can make the body's count too high, never too low, so equality
    # proves that no key was given twice and the slow reader decides the rest.
    colons = body.count(b":") + body.count(b"\\u003a") + body.count(b"\\u003A")
    try:
        written = orjson.dumps(root)
    except TypeError:  # it reads deeper nesting than it writes
        raise _too_deep("") from None
    if colons != written.count(b":"):
        _refuse_duplicates(body)
    if b"\\u00" in body:
        _refuse_controls(root)
    _refuse_depth(written, root)
    return root


def as_document(root: Json) -> Document:
    """The document in a parsed body. Raises DocumentError NOT_EPCIS."""
    if isinstance(root, list):
        return Document("events", None, _events(root, ""), "", root)
    if not isinstance(root, dict):
        raise DocumentError("NOT_EPCIS", "a JSON object or a list of events is expected")
    kind = root.get("type")
    context = root.get("@context")
    if kind == "EPCISDocument":
        body = _object(root, "epcisBody", "")
        if "event" in body and "eventList" not in body:
            single = _object(body, "event", "/epcisBody")
            return Document(kind, context, [single], "/epcisBody/event", root)
        events = _list(body, "eventList", "/epcisBody")
        return Document(kind, context, events, "/epcisBody/eventList", root)
    if kind == "EPCISQueryDocument":
        body = _object(root, "epcisBody", "")
        results = _object(body, "queryResults", "/epcisBody")
        held = _object(results, "resultsBody", "/epcisBody/queryResults")
        base = "/epcisBody/queryResults/resultsBody"
        return Document(kind, context, _list(held, "eventList", base), base + "/eventList", root)
    if isinstance(kind, str) and "eventTime" in root:
        return Document("event", context, [root], "", root)
    if "epcisBody" in root or not isinstance(kind, str):
        raise DocumentError(
            "NOT_EPCIS",
            "type is missing; EPCISDocument, EPCISQueryDocument or an event type is expected",
            "/type",
        )
    raise DocumentError(
        "NOT_EPCIS",
        f"{str(kind)[:60]!r} is no EPCIS document, and no event since it has no eventTime",
        "/type",
    )


def pointer_token(name: str) -> str:
    """A key as a JSON pointer token (RFC 6901 §3)."""
    return name.replace("~", "~0").replace("/", "~1")


# -- shape ----------------------------------------------------------------------------------------


def _object(holder: dict[str, Any], name: str, base: str) -> dict[str, Any]:
    value = holder.get(name)
    if not isinstance(value, dict):
        raise DocumentError("NOT_EPCIS", f"{name} is missing or no object", f"{base}/{name}")
    return value


def _list(holder: dict[str, Any], name: str, base: str) -> list[dict[str, Any]]:
    value = holder.get(name)
    if not isinstance(value, list):
        raise DocumentError("NOT_EPCIS", f"{name} is missing or no list", f"{base}/{name}")
    return _events(value, f"{base}/{name}")


def _events(values: list[Any], base: str) -> list[dict[str, Any]]:
    for index, value in enumerate(values):
        if not isinstance(value, dict):
            raise DocumentError("NOT_EPCIS", "an event is a JSON object", f"{base}/{index}")
    return values


# -- strictness -----------------------------------------------------------------------------------


def _syntax(error: orjson.JSONDecodeError, body: bytes) -> DocumentError:
    message, line, column = error.msg, error.lineno, error.colno
    if "depth" in message or "recursion" in message:
        return _too_deep("", line, column)
    try:
        body.decode()
    except UnicodeDecodeError as undecodable:
        before = body[: undecodable.start]
        message = f"byte 0x{body[undecodable.start]:02x} is no UTF-8"
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
    return DocumentError(
        "DOCUMENT_SYNTAX", f"line {line}, column {column}: {message}", line=line, column=column
    )


def _too_deep(where: str, line: int = 0, column: int = 0) -> DocumentError:
    return DocumentError(
        "TOO_DEEP",
        f"objects and lists are nested more than {MAX_DEPTH} deep",
        where,
        line,
        column,
    )


class _Twice(dict[str, Any]):
    """An object that named `key` twice."""

    key = ""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen and key != MAY_COME_TWICE:
            twice = _Twice(found)
            twice.key = key
            return twice
        seen.add(key)
    return found


def _refuse_duplicates(body: bytes) -> None:
    root = json.loads(body, object_pairs_hook=_pairs)
    for pointer, value in _walk(root):
        if isinstance(value, _Twice):
            where = f"{pointer}/{pointer_token(value.key)}"
            raise DocumentError(
                "DUPLICATE_KEY", f"the key {value.key[:80]!r} is given twice in one object", where
            )


def _refuse_controls(root: Json) -> None:
    for pointer, value in _walk(root):
        texts = value if isinstance(value, dict) else (value,)
        for text in texts:
            if isinstance(text, str) and any(
                ord(char) < 32 and char not in "\t\n\r" for char in text
            ):
                raise DocumentError(
                    "CONTROL_CHARACTER", "the text holds a control character", pointer
                )


def _refuse_depth(written: bytes, root: Json) -> None:
    # A body with fewer opening brackets than the limit cannot be too deep.
    if written.count(b"{") + written.count(b"[") <= MAX_DEPTH:
        return
    level: list[Json] = [root]
    for _ in range(MAX_DEPTH):
        below: list[Json] = []
        for value in level:
            for child in value.values() if type(value) is dict else value:
                kind = type(child)
                if kind is dict or kind is list:
                    below.append(child)
        if not below:
            return
        level = below
    for pointer, value in _walk(root):
        if pointer.count("/") >= MAX_DEPTH and isinstance(value, dict | list):
            raise _too_deep(pointer)


def _walk(root: Json) -> Iterator[tuple[str, Json]]:
    stack: list[tuple[str, Json]] = [("", root)]
    while stack:
        pointer, value = stack.pop()
        yield pointer, value
        if isinstance(value, dict):
            stack.extend((f"{pointer}/{pointer_token(k)}", v) for k, v in value.items())
        elif isinstance(value, list):
            stack.extend((f"{pointer}/{i}", v) for i, v in enumerate(value))
