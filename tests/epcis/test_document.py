"""Reading documents: what is refused, where it says it was, and what must pass."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.epcis.document import MAX_DEPTH, read_document, read_json
from gateway.epcis.errors import DocumentError
from tests.epcis.conftest import EXAMPLES, document, object_event


def refusal(body: bytes, **limits: int) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        read_document(body, **limits)
    return caught.value


@pytest.mark.parametrize(
    ("body", "code", "where"),
    [
        (b'{"a": 1, "a": 2}', "DUPLICATE_KEY", "/a"),
        (b'{"x":[{"d/e":1,"d/e":1}]}', "DUPLICATE_KEY", "/x/0/d~1e"),
        (b'{"a:b":":","a\\u003ab":1}', "DUPLICATE_KEY", "/a:b"),
        (b'{"\\u0061":":","a":"\\\\u003a"}', "DUPLICATE_KEY", "/a"),
        (b'{"q":"a\\u0001b"}', "CONTROL_CHARACTER", "/q"),
        (b'{"q":{"a\\u0000b":1}}', "CONTROL_CHARACTER", "/q"),
        (b"[" * 60 + b"]" * 60, "TOO_DEEP", None),
        (b"[" * 300 + b"]" * 300, "TOO_DEEP", None),  # what the parser reads but does not write
        (b'{"a":' * 900 + b"1" + b"}" * 900, "TOO_DEEP", None),
        (b"[" * 5000 + b"]" * 5000, "TOO_DEEP", None),
        (b"", "DOCUMENT_SYNTAX", ""),
        (b"{", "DOCUMENT_SYNTAX", ""),
        (b'{"a":NaN}', "DOCUMENT_SYNTAX", ""),
        (b'{"a":Infinity}', "DOCUMENT_SYNTAX", ""),
        (b'{"a":1e999}', "DOCUMENT_SYNTAX", ""),
        (b'{"a":1,}', "DOCUMENT_SYNTAX", ""),
        (b'{"a":"\xff"}', "DOCUMENT_SYNTAX", ""),
        (b'{"a":"\\ud800"}', "DOCUMENT_SYNTAX", ""),
        (b"<epcis/>", "DOCUMENT_SYNTAX", ""),
        (b'"text"', "NOT_EPCIS", ""),
        (b"[1]", "NOT_EPCIS", "/0"),
        (b"{}", "NOT_EPCIS", "/type"),
        (b'{"type":"Other"}', "NOT_EPCIS", "/type"),
        (b'{"type":"EPCISDocument"}', "NOT_EPCIS", "/epcisBody"),
        (b'{"type":"EPCISDocument","epcisBody":{}}', "NOT_EPCIS", "/epcisBody/eventList"),
        (
            b'{"type":"EPCISDocument","epcisBody":{"eventList":[{},3]}}',
            "NOT_EPCIS",
            "/epcisBody/eventList/1",
        ),
    ],
)
def test_refused(body: bytes, code: str, where: str | None) -> None:
    """A hostile body that is read, or refused without saying where."""
    error = refusal(body)
    assert error.code == code
    assert where is None or error.where == where


def test_syntax_error_names_line_and_column() -> None:
    """An error a person cannot find in a file."""
    error = refusal(b'{\n  "a": 1,\n  "b": oops\n}')
    assert (error.line, error.column) == (3, 8)
    broken = refusal(b'{"a": 1,\n "b": "\xc3\x28"}')
    assert (broken.line, broken.column) == (2, 8)


def test_limits() -> None:
    """A document beyond the limits that is worked off nevertheless."""
    body = json.dumps(document(object_event(), object_event())).encode()
    assert refusal(body, max_bytes=100).code == "DOCUMENT_TOO_LARGE"
    assert refusal(body, max_events=1).code == "DOCUMENT_TOO_LARGE"


def test_deepest_accepted() -> None:
    """A limit one lower than documented."""
    body = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert read_json(body) is not None
    with pytest.raises(DocumentError):
        read_json(b"[" + body + b"]")


def test_event_id_may_come_twice() -> None:
    """GS1's AssociationEvent-h names eventID twice; the last one counts."""
    body = json.dumps(object_event(eventID="urn:x:2")).encode()
    found = read_document(b'{"eventID":"urn:x:1",' + body[1:])
    assert found.events[0]["eventID"] == "urn:x:2"


@pytest.mark.parametrize(
    ("body", "kind", "pointer"),
    [
        (document(object_event()), "EPCISDocument", "/epcisBody/eventList/0"),
        (object_event(), "event", ""),
        ([object_event()], "events", "/0"),
        (
            {
                "type": "EPCISQueryDocument",
                "@context": [],
                "epcisBody": {
                    "queryResults": {
                        "queryName": "q",
                        "resultsBody": {"eventList": [object_event()]},
                    }
                },
            },
            "EPCISQueryDocument",
            "/epcisBody/queryResults/resultsBody/eventList/0",
        ),
        (
            {"type": "EPCISDocument", "epcisBody": {"event": object_event()}},
            "EPCISDocument",
            "/epcisBody/event",
        ),
    ],
)
def test_shapes(body: Any, kind: str, pointer: str) -> None:
    """A pointer that does not lead to its event."""
    found = read_document(json.dumps(body).encode())
    assert (found.kind, found.pointer(0)) == (kind, pointer)
    target: Any = body
    for token in pointer.split("/")[1:]:
        target = target[int(token) if isinstance(target, list) else token]
    assert target == found.events[0]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(json_values, st.booleans())
def test_json_is_read_as_it_is(value: Any, ascii_only: bool) -> None:
    """The duplicate check (by counting colons) refusing or changing an innocent document."""
    body = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    try:
        assert read_json(body) == value
    except DocumentError as error:
        assert error.code in ("CONTROL_CHARACTER", "DOCUMENT_SYNTAX")  # noqa: PT017


@given(st.dictionaries(st.text(':\\u03a"b', max_size=5), st.text(':\\"u03', max_size=5)), st.data())
def test_no_duplicate_is_missed(pairs: dict[str, str], data: st.DataObject) -> None:
    """Escapes that hide a second key of the same name."""
    if not pairs:
        return
    twice = data.draw(st.sampled_from(sorted(pairs)))
    escaped = "".join(f"\\u{ord(char):04x}" for char in twice)
    body = json.dumps(pairs)[:-1] + f', "{escaped}": ":"}}'
    with pytest.raises(DocumentError) as caught:
        read_json(body.encode())
    assert caught.value.code == "DUPLICATE_KEY"


def test_fifty_megabytes_and_ten_thousand_events() -> None:
    """A large document that takes minutes."""
    event = object_event(**{"x:note": "n" * 4900})
    body = json.dumps(document(*[event] * 10_000)).encode()
    assert len(body) > 50_000_000
    started = time.perf_counter()
    assert len(read_document(body).events) == 10_000
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize("path", EXAMPLES)
def test_examples_are_read(path: Path) -> None:
    """A published document that strict reading refuses."""
    assert read_document(path.read_bytes()).events
