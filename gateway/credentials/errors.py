"""Errors of credentials.

CredentialError
├── MalformedCredential   not a credential this network can read (shape, size, JSON)
├── ProofFailed           the proof does not verify over these bytes with this key
├── UnsupportedProof      a proof type, cryptosuite or key this verifier does not know
├── ContextUnknown        a JSON-LD context that is not bundled; contexts are never fetched
├── KeyUnavailable        no issuer key for a party here, or it cannot be opened
├── ProfileUnknown        no certificate profile of that name
└── FactsMissing          required fields the ledger does not show and nobody declared
"""

from __future__ import annotations


class CredentialError(Exception):
    """Base of this package's errors; the text is a sentence for people."""


class MalformedCredential(CredentialError):
    """Not a credential this network can read. `where` is a JSON pointer or ""."""

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(message)
        self.where = where


class ProofFailed(CredentialError):
    """The signature does not verify over these bytes with this key."""


class UnsupportedProof(CredentialError):
    """A proof type, cryptosuite, key type or method this verifier does not know."""


class ContextUnknown(CredentialError):
    """A JSON-LD context that is not bundled."""


class KeyUnavailable(CredentialError):
    """No issuer key for that party in this home, or it cannot be opened."""


class ProfileUnknown(CredentialError):
    """No certificate profile of that name."""


class FactsMissing(CredentialError):
    """Required fields the ledger does not show and nobody declared.

    missing: (field name, clause that asks for it), in the profile's order.
    """

    def __init__(self, message: str, missing: tuple[tuple[str, str], ...]) -> None:
        super().__init__(message)
        self.missing = missing
