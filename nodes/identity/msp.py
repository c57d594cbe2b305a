"""Whom an organisation's MSP accepts (Fabric ``msp/mspimpl.go`` with NodeOUs enabled).

An identity is accepted when: 1. its MSP is in the channel; 2. its certificate is a P-256 leaf;
3. a root of that MSP issued it; 4. that root's revocation list does not name it; 5. its subject
carries exactly one NodeOU role (client, peer, admin, orderer). Expiry is looked at where a
request comes in (proposal, submit), never when a block is validated: a block must get the same
verdict on every day.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from fabric_protos.msp import identities_pb2, msp_config_pb2
from google.protobuf.message import DecodeError

from nodes.errors import ConfigError, IdentityRefused
from nodes.identity import attributes as abac

ROLES: Final = frozenset({"client", "peer", "admin", "orderer"})
_CACHED_IDENTITIES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Identity:
    """An accepted identity. `point` is the uncompressed public key, 65 bytes; times in ms UTC."""

    msp_id: str
    role: str
    units: tuple[str, ...]
    certificate: bytes
    serialized: bytes
    serial: int
    subject: str
    valid_from_ms: int
    valid_until_ms: int
    point: bytes
    key: ec.EllipticCurvePublicKey = field(repr=False)
    attributes: dict[str, str] = field(repr=False)

    def refuse_outside_validity(self, now_ms: int) -> None:
        """Raise IdentityRefused when the certificate is not valid at `now_ms`."""
        if now_ms > self.valid_until_ms:
            raise IdentityRefused(f"the certificate of {self.subject} has expired")
        if now_ms < self.valid_from_ms:
            raise IdentityRefused(f"the certificate of {self.subject} is not valid yet")


class Msp:
    """One organisation's MSP, from its ``FabricMSPConfig`` in the channel configuration."""

    def __init__(self, config: msp_config_pb2.FabricMSPConfig) -> None:
        self.msp_id: str = config.name
        try:
            self.roots = [x509.load_pem_x509_certificate(pem) for pem in config.root_certs]
            self.revoked = self._read_lists(config.revocation_list)
        except ValueError as error:
            raise ConfigError(f"MSP {self.msp_id}: {error}") from error
        if not self.roots:
            raise ConfigError(f"MSP {self.msp_id} has no root certificate")

    def accept(self, certificate: bytes) -> Identity:
        """The identity of a PEM certificate; raises IdentityRefused (steps 2 to 5)."""
        try:
            parsed = x509.load_pem_x509_certificate(certificate)
        except ValueError as error:
            raise IdentityRefused(f"not a PEM certificate: {error}") from error
        key = parsed.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
            raise IdentityRefused("the certificate's key is not on curve P-256")
        root = self._issuer(parsed)
        if (root.subject.public_bytes(), parsed.serial_number) in self.revoked:
            raise IdentityRefused(f"the certificate of {_subject(parsed)} is revoked")
        units = _units(parsed)
        roles = [unit for unit in units if unit in ROLES]
        if len(roles) != 1:
            raise IdentityRefused(
                f"the certificate of {_subject(parsed)} must carry exactly one NodeOU"
                f" ({', '.join(sorted(ROLES))})"
            )
        return Identity(
            msp_id=self.msp_id,
            role=roles[0],
            units=units,
            certificate=certificate,
            serialized=bytes(
                identities_pb2.SerializedIdentity(
                    mspid=self.msp_id, id_bytes=certificate
                ).SerializeToString()
            ),
            serial=parsed.serial_number,
            subject=_subject(parsed),
            valid_from_ms=int(parsed.not_valid_before_utc.timestamp() * 1000),
            valid_until_ms=int(parsed.not_valid_after_utc.timestamp() * 1000),
            point=key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
            key=key,
            attributes=abac.decode(parsed),
        )

    def _issuer(self, certificate: x509.Certificate) -> x509.Certificate:
        if _is_authority(certificate):
            raise IdentityRefused("a CA certificate cannot sign transactions")
        for root in self.roots:
            if root.subject == certificate.issuer:
                try:
                    certificate.verify_directly_issued_by(root)
                except (InvalidSignature, ValueError, TypeError):
                    continue
                return root
        raise IdentityRefused(
            f"the certificate of {_subject(certificate)} was not issued by {self.msp_id}"
        )

    def _read_lists(self, lists: Iterable[bytes]) -> set[tuple[bytes, int]]:
        revoked: set[tuple[bytes, int]] = set()
        for pem in lists:
            crl = x509.load_pem_x509_crl(pem)
            for root in self.roots:
                key = root.public_key()
                if (
                    crl.issuer == root.subject
                    and isinstance(key, ec.EllipticCurvePublicKey)
                    and crl.is_signature_valid(key)
                ):
                    revoked |= {(root.subject.public_bytes(), entry.serial_number) for entry in crl}
                    break
            else:
                raise ValueError("a revocation list is not signed by a root of this MSP")
        return revoked


class MspSet:
    """The MSPs of one channel configuration; accepted identities are remembered by their bytes."""

    def __init__(self, msps: Iterable[Msp]) -> None:
        self.by_id = {msp.msp_id: msp for msp in msps}
        self._accepted: dict[bytes, Identity] = {}

    def accept(self, serialized: bytes) -> Identity:
        """The identity of a ``SerializedIdentity``; raises IdentityRefused (steps 1 to 5)."""
        known = self._accepted.get(serialized)
        if known is not None:
            return known
        try:
            parsed = identities_pb2.SerializedIdentity.FromString(serialized)
        except DecodeError as error:
            raise IdentityRefused("the creator is not a SerializedIdentity") from error
        msp = self.by_id.get(parsed.mspid)
        if msp is None:
            raise IdentityRefused(f"MSP {parsed.mspid!r} is not in this channel")
        identity = msp.accept(parsed.id_bytes)
        if len(self._accepted) >= _CACHED_IDENTITIES:
            self._accepted.clear()
        self._accepted[serialized] = identity
        return identity


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
    except ValueError as error:
        raise IdentityRefused(f"the certificate's extensions cannot be read: {error}") from error


def _units(certificate: x509.Certificate) -> tuple[str, ...]:
    names = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    return tuple(str(name.value) for name in names)


def _subject(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()
