"""Issuers' Ed25519 credential keys: ``<home>/gateway/issuers/<party>/<multikey>.pem``, mode 0600.

PKCS#8 PEM (RFC 5958), encrypted when a passphrase is given. The newest file signs; older ones stay
so that the DID document keeps naming the keys of certificates that are still out there. A key
reaches its final name by a hard link, so two gateways that start at once never overwrite each
other, and a crash leaves a key whole or absent.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from openvc.keys import Ed25519SigningKey

from gateway.credentials.did import ED25519_MULTICODEC, method_of, multikey, party_slug
from gateway.credentials.errors import KeyUnavailable

FOLDER = "issuers"


class IssuerKey:
    """One Ed25519 private key of a party."""

    __slots__ = ("_private", "party", "public")

    def __init__(self, party: str, private: Ed25519PrivateKey) -> None:
        self.party = party
        self._private = private
        self.public = private.public_key().public_bytes_raw()

    def signing_key(self, did: str) -> Ed25519SigningKey:
        """The key as the proof library takes it, named as a method of `did`."""
        return Ed25519SigningKey(self._private, method_of(did, self.public))


class IssuerKeys:
    """The issuer keys in one gateway's home."""

    def __init__(self, gateway_home: Path, passphrase: bytes | None = None) -> None:
        self._root = gateway_home / FOLDER
        self._passphrase = passphrase
        self._open: dict[Path, IssuerKey] = {}

    def current(self, party: str) -> IssuerKey:
        """The key `party` signs with; KeyUnavailable where there is none."""
        for path in self._files(party):
            return self._load(party, path)
        raise KeyUnavailable(f"no issuer key for {party} in {self._root}")

    def current_or_new(self, party: str) -> IssuerKey:
        """The key `party` signs with, made now if this is its first certificate here."""
        try:
            return self.current(party)
        except KeyUnavailable:
            if next(iter(self._files(party)), None) is not None:
                raise
        return self.rotate(party)

    def rotate(self, party: str) -> IssuerKey:
        """A new key that signs from now on; the older ones stay listed."""
        key = IssuerKey(party, Ed25519PrivateKey.generate())
        folder = self._root / party_slug(party)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        ordinal = len(self._files(party)) + 1
        self._write(folder, key, ordinal)
        return self.current(party)

    def public_keys(self, party: str) -> list[bytes]:
        """Raw public keys `party` has used here, newest first; read from the file names."""
        return [_public_from_name(path) for path in self._files(party)]

    def _files(self, party: str) -> list[Path]:
        folder = self._root / party_slug(party)
        return sorted(folder.glob("*.pem"), reverse=True)

    def _load(self, party: str, path: Path) -> IssuerKey:
        if path in self._open:
            return self._open[path]
        try:
            pem = path.read_bytes()
            private = serialization.load_pem_private_key(pem, self._passphrase)
        except (OSError, ValueError, TypeError) as error:
            raise KeyUnavailable(f"issuer key {path} cannot be opened: {error}") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise KeyUnavailable(f"issuer key {path} is not an Ed25519 key")
        return self._open.setdefault(path, IssuerKey(party, private))

    def _write(self, folder: Path, key: IssuerKey, ordinal: int) -> None:
        encryption: serialization.KeySerializationEncryption = (
            serialization.BestAvailableEncryption(self._passphrase)
            if self._passphrase
            else serialization.NoEncryption()
        )
        pem = key._private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        )
        draft = folder / f".{secrets.token_hex(8)}"
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(pem)
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, folder / f"{ordinal:04d}-{multikey(key.public)}.pem")
        finally:
            draft.unlink()


def _public_from_name(path: Path) -> bytes:
    from openvc.multibase import decode_multibase

    data = bytes(decode_multibase(path.stem.split("-", 1)[1]))
    if not data.startswith(ED25519_MULTICODEC) or len(data) != 34:
        raise KeyUnavailable(f"{path} is not named after an Ed25519 key")
    return data[2:]
