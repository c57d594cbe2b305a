"""Private keys that users chose to leave with this gateway, encrypted at rest.

``<home>/gateway/wallet.key`` is 32 random bytes (0600). Each identity is one file
``<home>/gateway/wallet/<SHA-256 of MSP id NUL user>.json`` holding base64 of nonce (12 bytes) and
AES-256-GCM ciphertext; MSP id and user are the associated data, so files cannot be swapped. A user
who keeps the key elsewhere signs offline instead (:mod:`gateway.http.ledger`).

    WalletError          the key file or an entry cannot be used
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from base64 import b64decode, b64encode
from pathlib import Path

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from gateway.errors import GatewayFault, Problem, translates
from nodes.identity.folders import write_secret
from nodes.identity.signer import Signer, signer_from_pem

KEY_BYTES = 32
NONCE_BYTES = 12


class WalletError(GatewayFault):
    """The wallet's key file or an entry cannot be used; the message says what to do."""


class Wallet:
    """Signing identities by (MSP id, user); safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        """Open the wallet below `folder`, making its key on first use. :raises WalletError:"""
        self._entries = folder / "wallet"
        self._entries.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._cipher = AESGCM(_read_or_make_key(folder / "wallet.key"))
        self._open: dict[tuple[str, str], tuple[int, Signer]] = {}
        self._lock = threading.Lock()

    def put(self, user: str, signer: Signer) -> None:
        """Keep `signer` under its MSP id and `user`, replacing what was there."""
        private = signer.key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ).decode()
        plain = orjson.dumps({"certificate": signer.certificate.decode(), "key": private})
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, plain, _associated(signer.msp_id, user))
        entry = {
            "version": 1,
            "msp": signer.msp_id,
            "user": user,
            "nonce": b64encode(nonce).decode(),
            "sealed": b64encode(sealed).decode(),
        }
        write_secret(self._path(signer.msp_id, user), orjson.dumps(entry))
        with self._lock:
            self._open.pop((signer.msp_id, user), None)

    def get(self, msp_id: str, user: str) -> Signer | None:
        """The signer, or None where the key is not held here. :raises WalletError:"""
        try:
            changed = self._path(msp_id, user).stat().st_mtime_ns
        except FileNotFoundError:
            return None
        with self._lock:
            known = self._open.get((msp_id, user))
        if known is not None and known[0] == changed:
            return known[1]
        signer = self._unseal(msp_id, user)
        with self._lock:
            self._open[(msp_id, user)] = (changed, signer)
        return signer

    def remove(self, msp_id: str, user: str) -> bool:
        """Forget a key; returns whether it was held."""
        with self._lock:
            self._open.pop((msp_id, user), None)
        path = self._path(msp_id, user)
        held = path.exists()
        path.unlink(missing_ok=True)
        return held

    def users(self) -> list[tuple[str, str]]:
        """(MSP id, user) of every key held, sorted."""
        found = []
        for path in self._entries.glob("*.json"):
            entry = _load(path)
            found.append((str(entry["msp"]), str(entry["user"])))
        return sorted(found)

    def _unseal(self, msp_id: str, user: str) -> Signer:
        path = self._path(msp_id, user)
        entry = _load(path)
        try:
            plain = self._cipher.decrypt(
                b64decode(entry["nonce"]), b64decode(entry["sealed"]), _associated(msp_id, user)
            )
        except (InvalidTag, ValueError) as error:
            raise WalletError(
                f"the wallet entry of {user} in {msp_id} does not open with this wallet.key: "
                "restore the key file it was written with, or add the identity again"
            ) from error
        inner = orjson.loads(plain)
        return signer_from_pem(msp_id, inner["certificate"].encode(), inner["key"].encode())

    def _path(self, msp_id: str, user: str) -> Path:
        name = hashlib.sha256(f"{msp_id}\0{user}".encode("utf-8", "surrogatepass")).hexdigest()
        return self._entries / f"{name}.json"


def _associated(msp_id: str, user: str) -> bytes:
    return f"tracemark/wallet/v1\0{msp_id}\0{user}".encode()


def _load(path: Path) -> dict[str, str]:
    try:
        entry = orjson.loads(path.read_bytes())
        if entry["version"] != 1:
            raise WalletError(f"{path.name} is of a later version of this wallet")
        return {name: str(entry[name]) for name in ("msp", "user", "nonce", "sealed")}
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise WalletError(f"wallet entry {path.name} is damaged: add the identity again") from error


def _read_or_make_key(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise WalletError(f"{path} is open to others: chmod 600 it before starting again")
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise WalletError(f"{path} holds {len(key)} bytes instead of {KEY_BYTES}")
    return key


translates(WalletError, lambda e: Problem("KEY_NOT_HELD", str(e)))
