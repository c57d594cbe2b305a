"""Issue and revoke the users of an organisation, with the CA kept in the home."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from nodes.errors import IdentityError
from nodes.identity import attributes as abac
from nodes.identity.certificates import certificate_pem, issue_identity, revocation_list
from nodes.identity.folders import (
    OrganisationFolder,
    only_file,
    organisation_folder,
    read_authority,
    write_msp,
    write_public,
    write_signing_identity,
)
from nodes.identity.signer import Signer, signer_from_msp

UNITS: Final = ("client", "admin", "peer", "orderer")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.IGNORECASE)


def issue_user(
    home: Path, org: str, name: str, ou: str = "client", attrs: Mapping[str, str] | None = None
) -> Signer:
    """Issue a user of `org` a certificate with NodeOU `ou` and ABAC attributes.

    The attribute ``hf.EnrollmentID`` is always the user's name. An existing user gets a new
    certificate; the old one stays valid until it is revoked. Raises IdentityError.
    """
    if ou not in UNITS:
        raise IdentityError(f"no NodeOU {ou!r}; there are {', '.join(UNITS)}")
    organisation = organisation_folder(home, org)
    write_user(organisation, name, ou, attrs or {})
    return signer_from_msp(organisation.msp_id, organisation.user(name) / "msp")


def write_user(
    organisation: OrganisationFolder, name: str, ou: str, attrs: Mapping[str, str]
) -> None:
    """Issue the certificate and write the user's MSP folder."""
    if not _NAME.fullmatch(name):
        raise IdentityError(f"{name!r} is not a user name: letters, digits, '.', '_' and '-'")
    authority = read_authority(organisation.path / "ca")
    tls = read_authority(organisation.path / "tlsca")
    common_name = f"{name}@{organisation.domain}"
    issued = issue_identity(authority, common_name, ou, {abac.ENROLLMENT_ID: name, **attrs})
    folder = organisation.user(name) / "msp"
    write_msp(
        folder,
        organisation.domain,
        certificate_pem(authority.certificate),
        certificate_pem(tls.certificate),
    )
    write_signing_identity(folder, common_name, issued)


def revoke_user(home: Path, org: str, name: str) -> None:
    """Put the user's present certificate on the organisation's revocation list.

    A running network takes the list over into the channel within a second; a stopped one when
    it opens. Raises IdentityError when there is no such user.
    """
    organisation = organisation_folder(home, org)
    folder = organisation.user(name) / "msp" / "signcerts"
    if not folder.is_dir():
        raise IdentityError(f"{organisation.name} has no user {name!r}")
    revoke_certificate(organisation, only_file(folder))


def revoke_certificate(organisation: OrganisationFolder, certificate: bytes) -> None:
    """Put a PEM certificate of the organisation on its revocation list."""
    authority = read_authority(organisation.path / "ca")
    serial = x509.load_pem_x509_certificate(certificate).serial_number
    revoked, number = _present(organisation)
    if serial in revoked:
        return
    crl = revocation_list(authority, [*revoked, serial], number + 1)
    write_public(organisation.crl, crl.public_bytes(serialization.Encoding.PEM))


def _present(organisation: OrganisationFolder) -> tuple[list[int], int]:
    if not organisation.crl.exists():
        return [], 0
    crl = x509.load_pem_x509_crl(organisation.crl.read_bytes())
    number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    return [entry.serial_number for entry in crl], number
