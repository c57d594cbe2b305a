"""A signing identity: MSP id, certificate and private key."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from nodes.errors import IdentityError
from nodes.identity import signature
from nodes.identity.certificates import load_key
from nodes.identity.folders import only_file, organisation_folder
from nodes.messages import serialized_identity


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs as one certificate of one MSP; safe to share between threads.

    `certificate` is PEM; `serialized` is the ``msp.SerializedIdentity`` used as creator.
    """

    msp_id: str
    certificate: bytes
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    serialized: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "serialized", serialized_identity(self.msp_id, self.certificate))

    def sign(self, message: bytes) -> bytes:
        """Low-S DER ECDSA signature over the SHA-256 of `message`."""
        return signature.sign(self.key, message)

    def sign_digest(self, digest: bytes) -> bytes:
        """The same signature from the message's 32-byte SHA-256."""
        return signature.sign_digest(self.key, digest)


def signer_from_pem(msp_id: str, certificate: bytes, key: bytes) -> Signer:
    """A signer from PEM bytes; raises IdentityError when key and certificate do not belong."""
    private = load_key(key)
    try:
        public = x509.load_pem_x509_certificate(certificate).public_key()
    except ValueError as error:
        raise IdentityError(f"not a certificate: {error}") from error
    if public != private.public_key():
        raise IdentityError("the private key does not belong to the certificate")
    return Signer(msp_id, certificate, private)


def signer_from_msp(msp_id: str, folder: Path) -> Signer:
    """A signer from an MSP folder with signcerts/ and keystore/."""
    return signer_from_pem(msp_id, only_file(folder / "signcerts"), only_file(folder / "keystore"))


def load_signer(home: Path, org: str, user: str) -> Signer:
    """The signer of a user of an organisation (its name or MSP id); raises IdentityError."""
    organisation = organisation_folder(home, org)
    folder = organisation.user(user) / "msp"
    if not folder.is_dir():
        known = ", ".join(sorted(path.name for path in (organisation.path / "users").glob("*")))
        raise IdentityError(f"{organisation.name} has no user {user!r}; it has {known or 'none'}")
    return signer_from_msp(organisation.msp_id, folder)
