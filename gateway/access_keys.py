"""Making an API key: whose it is, where its private key lies. Used by the routes and the CLI."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from chaincode.errors import IdentifierError
from chaincode.identifiers import as_party
from gateway.api_keys import ApiKey, KeyStore
from gateway.errors import Problem
from gateway.members import Members
from gateway.wallet import Wallet
from nodes.errors import IdentityError
from nodes.identity import attributes as abac
from nodes.identity.issue import issue_user
from nodes.identity.signer import Signer, load_signer, signer_from_pem


class KeyParts(Protocol):
    """The parts of a container that making keys needs."""

    @property
    def home(self) -> Path: ...
    @property
    def keys(self) -> KeyStore: ...
    @property
    def wallet(self) -> Wallet: ...
    @property
    def members(self) -> Members: ...


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key to make. `certificate`, `private_key`: PEM, see :func:`create_key`."""

    label: str
    msp_id: str
    user: str
    created_by: str
    party: str | None = None
    ou: str = "client"
    certificate: str | None = None
    private_key: str | None = None
    expires_ms: int | None = None


def create_key(parts: KeyParts, wanted: NewKey) -> tuple[ApiKey, str]:
    """Make a key; returns it and its token.

    Private key given: it goes into the wallet. Certificate alone: the user signs offline. Neither:
    the user's key in the home is used, or the user is issued one where the organisation's CA is
    in the home, and goes into the wallet.

    :raises Problem: VALIDATION, NOT_FOUND. :raises IdentityRefused: the certificate is not of the
        organisation, expired or revoked.
    """
    if wanted.party is not None:
        wanted = replace(wanted, party=_party(wanted.party))
    org = parts.members.organisation(wanted.msp_id)
    if org is None:
        raise Problem("NOT_FOUND", f"the network has no organisation {wanted.msp_id}")
    signer = _signer(parts, org, wanted)
    certificate = signer.certificate.decode() if signer else wanted.certificate or ""
    identity = parts.members.accept(wanted.msp_id, certificate.encode())
    named = identity.attributes.get(abac.ENROLLMENT_ID, wanted.user)
    if named != wanted.user:
        raise Problem("VALIDATION", f"the certificate is of user {named}", where="/certificate")
    party = identity.attributes.get(abac.PARTY)
    if wanted.party is not None and party != wanted.party:
        raise Problem(
            "VALIDATION",
            f"user {wanted.user} acts for {party or 'the default party of ' + wanted.msp_id}",
            where="/party",
        )
    if signer is not None:
        parts.wallet.put(wanted.user, signer)
    return parts.keys.create(
        label=wanted.label,
        msp=wanted.msp_id,
        org=org,
        user=wanted.user,
        party=party,
        ou=identity.role,
        certificate=certificate,
        created_by=wanted.created_by,
        expires_ms=wanted.expires_ms,
    )


def _party(text: str) -> str:
    """A party's id in its one form; a certificate that names anything else serves nobody."""
    try:
        return as_party(text)
    except IdentifierError as error:
        raise Problem("VALIDATION", error.message, where="/party") from error


def _signer(parts: KeyParts, org: str, wanted: NewKey) -> Signer | None:
    if wanted.private_key is not None:
        if wanted.certificate is None:
            raise Problem("VALIDATION", "a private key needs its certificate", where="/certificate")
        try:
            return signer_from_pem(
                wanted.msp_id, wanted.certificate.encode(), wanted.private_key.encode()
            )
        except (IdentityError, ValueError, TypeError):
            raise Problem(
                "VALIDATION", "not an unencrypted EC P-256 key of this certificate",
                where="/private_key",
            ) from None  # fmt: skip
    if wanted.certificate is not None:
        return None
    try:
        return load_signer(parts.home, org, wanted.user)
    except IdentityError:
        pass
    attributes = {abac.PARTY: wanted.party} if wanted.party else {}
    try:
        return issue_user(parts.home, org, wanted.user, wanted.ou, attributes)
    except IdentityError as error:
        raise Problem("NOT_FOUND", str(error)) from error
