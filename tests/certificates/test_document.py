"""Reading credentials that come from anywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.credentials import document, profiles
from gateway.credentials.errors import MalformedCredential, ProfileUnknown
from gateway.credentials.evidence import NoEvidence
from gateway.credentials.readings import NAMES
from gateway.verify import verify
from tests.certificates.test_proof import credential

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "1",
        "{",
        '{"a":1,"a":2}',
        '{"a":NaN}',
        '{"a":Infinity}',
        '{"x":' * 40 + "1" + "}" * 40,
        "[" * 100_000,
        '{"a":"' + "x" * document.MAX_BYTES + '"}',
        b'{"a":"\xff"}',
    ],
)
def test_bad_json_is_refused_with_a_sentence(text: str | bytes) -> None:
    with pytest.raises(MalformedCredential):
        document.parse_json(text)


def test_a_byte_order_mark_is_no_obstacle() -> None:
    assert document.parse_json(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"@context": "https://www.w3.org/ns/credentials/v2"}, "/@context"),
        ({"@context": []}, "/@context"),
        ({"type": "VerifiableCredential"}, "/type"),
        ({"type": ["Other"]}, "/type"),
        ({"id": 5}, "/id"),
        ({"issuer": {}}, "/issuer/id"),
        ({"issuer": {"id": "did:x", "party": []}}, "/issuer/party"),
        ({"validFrom": "yesterday"}, "/validFrom"),
        ({"validFrom": "2026-01-01T00:00:00"}, "/validFrom"),
        ({"validUntil": 12}, "/validUntil"),
        ({"credentialSubject": []}, "/credentialSubject"),
        ({"credentialSubject": {"id": "x"}}, "/credentialSubject/id"),
        (
            {"credentialSubject": {"id": "https://id.gs1.org/01/09521301000015"}},
            "/credentialSubject/id",
        ),  # check digit
        ({"credentialSubject": {"id": "x", "facts": ["y"]}}, "/credentialSubject/facts/0"),
        (
            {"credentialSubject": {"id": "x", "facts": [{"field": "a", "value": 1}]}},
            "/credentialSubject/facts/0/value",
        ),
        (
            {
                "credentialSubject": {
                    "id": "x",
                    "facts": [{"field": "a", "value": "b", "selfDeclared": "no"}],
                }
            },
            "/credentialSubject/facts/0/selfDeclared",
        ),
    ],
)
def test_a_wrong_shape_is_named_by_its_pointer(change: dict[str, Any], where: str) -> None:
    with pytest.raises(MalformedCredential) as caught:
        document.read(credential() | change)
    assert caught.value.where == where


@given(st.dictionaries(st.sampled_from([*credential(), "proof", "x"]), JSON, max_size=6))
def test_verifying_anything_never_raises_and_never_is_valid(change: dict[str, Any]) -> None:
    """The verifier is public: no document may crash it or talk it into a green answer."""
    found = verify(credential() | change, NoEvidence(), 1_790_000_000_000)
    assert found.overall in ("invalid", "not-proven")
    json.dumps(found.as_json())


def test_a_date_is_read_with_its_zone() -> None:
    assert document.iso(document.instant_ms("2026-03-20T01:00:00+02:00", "")) == (
        "2026-03-19T23:00:00Z"
    )


def test_every_profile_uses_known_readings_and_names_its_clauses() -> None:
    for name in profiles.NAMES:
        profile = profiles.load(name)
        assert profiles.by_type(profile.type) is profile
        names = [field.name for field in profile.fields]
        assert len(set(names)) == len(names)
        for field in profile.fields:
            assert field.reading == "" or field.reading in NAMES
            assert len(field.clause) > 8
    with pytest.raises(ProfileUnknown):
        profiles.load("weapon")
