"""Issuer keys: kept safely, rotated without forgetting, never half written."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from gateway.credentials.did import did_document, did_web, did_web_url, party_of_slug, party_slug
from gateway.credentials.errors import KeyUnavailable
from gateway.credentials.keys import IssuerKeys

PARTY = "https://id.gs1.org/417/9521105000005"
FARM = "urn:tracemark:party:halo-ridge-farm"


def test_a_key_file_is_for_its_owner_alone_and_encrypted(tmp_path: Path) -> None:
    IssuerKeys(tmp_path, b"secret").current_or_new(PARTY)
    (path,) = tmp_path.rglob("*.pem")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert b"ENCRYPTED PRIVATE KEY" in path.read_bytes()
    with pytest.raises(KeyUnavailable):
        IssuerKeys(tmp_path, b"other").current(PARTY)


def test_a_lost_passphrase_never_makes_a_second_key_in_silence(tmp_path: Path) -> None:
    IssuerKeys(tmp_path, b"secret").current_or_new(PARTY)
    with pytest.raises(KeyUnavailable):
        IssuerKeys(tmp_path, b"other").current_or_new(PARTY)


def test_a_key_survives_reopening(tmp_path: Path) -> None:
    made = IssuerKeys(tmp_path, b"s").current_or_new(PARTY)
    assert IssuerKeys(tmp_path, b"s").current(PARTY).public == made.public


def test_a_rotated_key_signs_and_the_old_one_stays_listed(tmp_path: Path) -> None:
    keys = IssuerKeys(tmp_path)
    old = keys.current_or_new(PARTY)
    new = keys.rotate(PARTY)
    assert keys.current(PARTY).public == new.public != old.public
    assert keys.public_keys(PARTY) == [new.public, old.public]
    document = did_document("did:web:h:did:x", PARTY, keys.public_keys(PARTY))
    assert len(document["assertionMethod"]) == 2
    assert document["alsoKnownAs"][0] == PARTY


def test_parties_have_keys_of_their_own(tmp_path: Path) -> None:
    keys = IssuerKeys(tmp_path)
    assert keys.current_or_new(PARTY).public != keys.current_or_new(FARM).public
    with pytest.raises(KeyUnavailable):
        keys.current("urn:tracemark:party:nobody")


@pytest.mark.parametrize("party", [PARTY, FARM])
def test_a_did_web_resolves_to_where_the_gateway_serves_it(party: str) -> None:
    """did:web, method-specific identifier: the port is percent-encoded, colons become slashes."""
    did = did_web("http://127.0.0.1:8000", party)
    assert did_web_url(did) == f"https://127.0.0.1:8000/did/{party_slug(party)}/did.json"
    assert party_of_slug(party_slug(party)) == party


@pytest.mark.parametrize("slug", ["..", "../x", "A", "a b", "", "12345678901234567890x" * 3])
def test_a_slug_cannot_leave_the_folder(slug: str) -> None:
    with pytest.raises(ValueError, match="path segment"):
        party_of_slug(slug)
