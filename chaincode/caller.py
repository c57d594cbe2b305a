"""Who calls: the identity in the proposal's certificate.

Organisation (MSP id) from the proposal, role in it from the subject's organisational units
(Fabric NodeOUs: client, admin, peer, orderer), attributes from Fabric CA's attribute extension,
OID 1.2.3.4.5.6.7.8.1, whose value is the JSON ``{"attrs": {name: value}}``. The engine has
verified the certificate; this module only reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from chaincode import codec
from chaincode.errors import Refusal
from chaincode.identifiers import as_party

ATTRIBUTES_OID: Final = x509.ObjectIdentifier("1.2.3.4.5.6.7.8.1")
PARTY_ATTRIBUTE: Final = "tracemark.party"


@dataclass(frozen=True, slots=True)
class Certified:
    """What a certificate says: the party the user acts for (or None), and its units."""

    party: str | None
    units: frozenset[str]
    name: str


@dataclass(frozen=True, slots=True)
class Caller:
    """The proposal's creator."""

    msp: str
    party: str | None
    is_admin: bool
    name: str


def caller_of(msp: str, certificate: bytes) -> Caller:
    """Read the creator. Raises Refusal BAD_CERTIFICATE."""
    found = read_certificate(certificate)
    return Caller(msp, found.party, "admin" in found.units, found.name)


@lru_cache(maxsize=4_096)
def read_certificate(pem: bytes) -> Certified:
    """Parse a PEM certificate once; the same bytes are answered from memory afterwards."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        subject = certificate.subject
        units = subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
        names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        attributes = _attributes(certificate)
        party = attributes.get(PARTY_ATTRIBUTE)
        return Certified(
            as_party(party) if isinstance(party, str) and party else None,
            frozenset(str(item.value) for item in units),
            str(names[0].value) if names else "",
        )
    except Refusal as error:
        raise Refusal(
            "BAD_CERTIFICATE", f"The certificate's attributes cannot be read: {error.message}"
        ) from None
    except (ValueError, TypeError, AttributeError) as error:
        raise Refusal(
            "BAD_CERTIFICATE", f"The caller's certificate cannot be read: {error}."
        ) from None


def _attributes(certificate: x509.Certificate) -> dict[str, object]:
    try:
        extension = certificate.extensions.get_extension_for_oid(ATTRIBUTES_OID)
    except x509.ExtensionNotFound:
        return {}
    value = extension.value
    raw = value.value if isinstance(value, x509.UnrecognizedExtension) else b"{}"
    found = codec.loads(raw)
    attributes = found.get("attrs") if isinstance(found, dict) else None
    return attributes if isinstance(attributes, dict) else {}
