"""Certificate authorities: make a CA, issue certificates, sign revocation lists.

P-256 with SHA-256 throughout, RFC 5280 profiles that Fabric's MSP accepts: CA certificates carry
a subject key identifier, NodeOU roles stand in the subject's OU, every signature (also those on
certificates) is low-S. TLS certificates carry the SANs ``localhost`` and ``127.0.0.1``.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nodes.errors import IdentityError
from nodes.identity import attributes as abac
from nodes.identity.signature import is_low_s

CA_YEARS: Final = 15
LEAF_YEARS: Final = 5
_TLS_BOTH_ENDS: Final = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)
BACKDATE: Final = dt.timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA: its certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Issued:
    """A new key pair and the certificate over it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def new_authority(common_name: str, domain: str, country: str) -> Authority:
    """A self-signed root CA, valid 15 years."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(common_name, domain, country)
    builder = (
        _builder(name, name, key, CA_YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
            ),
            critical=False,
        )
    )
    return Authority(_sign(builder, key), key)


def issue_identity(
    authority: Authority,
    common_name: str,
    unit: str,
    attributes: Mapping[str, str] | None = None,
    *,
    valid_from: dt.datetime | None = None,
    valid_until: dt.datetime | None = None,
) -> Issued:
    """A signing certificate with NodeOU `unit` (client, admin, peer, orderer) and attributes."""
    key = ec.generate_private_key(ec.SECP256R1())
    domain, country = _of(authority)
    name = _name(common_name, domain, country, unit)
    builder = (
        _builder(name, authority.certificate.subject, key, LEAF_YEARS, valid_from, valid_until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(), critical=True)
        .add_extension(_authority_key(authority), critical=False)
    )
    if attributes:
        builder = builder.add_extension(abac.encode(attributes), critical=False)
    return Issued(_sign(builder, authority.key), key)


def issue_tls(authority: Authority, common_name: str, hosts: Iterable[str]) -> Issued:
    """A TLS certificate for server and client use, SANs `hosts`, localhost and 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    domain, country = _of(authority)
    builder = (
        _builder(
            _name(common_name, domain, country), authority.certificate.subject, key, LEAF_YEARS
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(enciphers=True), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
        .add_extension(_authority_key(authority), critical=False)
        .add_extension(_alternative_names([common_name, *hosts]), critical=False)
    )
    return Issued(_sign(builder, authority.key), key)


def revocation_list(
    authority: Authority, serials: Sequence[int], number: int
) -> x509.CertificateRevocationList:
    """A CRL over certificate serial numbers; `number` grows by one with each list."""
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now - BACKDATE)
        .next_update(now + dt.timedelta(days=365 * CA_YEARS))
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_authority_key(authority), critical=False)
    )
    for serial in serials:
        revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
        builder = builder.add_revoked_certificate(revoked.build())
    while True:
        crl = builder.sign(authority.key, hashes.SHA256())
        if is_low_s(crl.signature):
            return crl


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """PEM bytes, ending with a newline."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS #8 PEM bytes, not encrypted: the file's mode protects it (0600)."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """A P-256 private key from PEM; raises IdentityError."""
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise IdentityError(f"not a private key: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise IdentityError("the private key is not on curve P-256")
    return key


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    years: int,
    valid_from: dt.datetime | None = None,
    valid_until: dt.datetime | None = None,
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid_from or now - BACKDATE)
        .not_valid_after(valid_until or now + dt.timedelta(days=365 * years))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _sign(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    # Fabric rewrites a high-S certificate before it compares identities, so never make one.
    while True:
        certificate = builder.sign(key, hashes.SHA256())
        if is_low_s(certificate.signature):
            return certificate


def _name(common_name: str, domain: str, country: str, unit: str = "") -> x509.Name:
    parts = [
        x509.NameAttribute(NameOID.COUNTRY_NAME, country),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, domain),
    ]
    if unit:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit))
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _of(authority: Authority) -> tuple[str, str]:
    subject = authority.certificate.subject
    domain = subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value
    country = subject.get_attributes_for_oid(NameOID.COUNTRY_NAME)[0].value
    return str(domain), str(country)


def _key_usage(*, signs_certificates: bool = False, enciphers: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=enciphers or signs_certificates,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key(authority: Authority) -> x509.AuthorityKeyIdentifier:
    extension = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(extension.value)


def _alternative_names(hosts: Iterable[str]) -> x509.SubjectAlternativeName:
    names: list[x509.GeneralName] = []
    for host in dict.fromkeys([*hosts, "localhost", "127.0.0.1"]):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return x509.SubjectAlternativeName(names)
