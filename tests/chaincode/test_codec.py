"""The border's JSON: canonical bytes out, nothing ambiguous in.

Would catch: a float or a duplicate key that two validators read differently, a bomb of nesting.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaincode import codec
from chaincode.errors import CodecError

scalars = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_what_is_written_is_read_back(value: object) -> None:
    try:
        raw = codec.dumps(value)
    except CodecError:
        assert any(0xD800 <= ord(c) <= 0xDFFF for c in str(value)) or "\\ud" in repr(value)
        return
    assert codec.loads(raw) == value
    assert codec.dumps(codec.loads(raw)) == raw


@given(values)
def test_any_spelling_of_the_same_value_is_read_alike(value: object) -> None:
    spelled = json.dumps(value, indent=1)
    try:
        assert codec.loads(spelled) == value
    except CodecError:
        assert "\\ud" in spelled


@pytest.mark.parametrize(
    "raw",
    [
        '{"a":1,"a":2}',
        '{"a":{"b":1,"b":1}}',
        "1.5",
        '{"a":1e3}',
        "NaN",
        "[Infinity]",
        "12345678901234567890",
        "9007199254740992",
        "{",
        "",
        '{"a":1}x',
        "[" * 40 + "]" * 40,
        "[" * 100_000,
        '"\\ud800"',
        b'"\xff"',
    ],
)
def test_ambiguous_json_is_refused(raw: str | bytes) -> None:
    with pytest.raises(CodecError) as caught:
        codec.loads(raw)
    assert caught.value.code == "BAD_JSON"


def test_huge_arguments_are_refused() -> None:
    with pytest.raises(CodecError) as caught:
        codec.loads('"' + "a" * codec.MAX_BYTES + '"')
    assert caught.value.code == "TOO_LARGE"


@pytest.mark.parametrize(
    "value", [1.5, {"a": float("nan")}, [2**60], {1: 2}, {"a": object()}, b"x"]
)
def test_other_values_are_not_written(value: object) -> None:
    with pytest.raises(CodecError):
        codec.dumps(value)
