"""The node's keys: one random 256-bit key wraps the key of every payload (AES-256-GCM).

The keys live in one file beside the database, never in it, readable by the node's user alone
(mode 0600), replaced atomically. Each key is named by eight bytes of its own digest, so a
damaged key file is noticed before anything is unwrapped with it. During a rotation the file
holds two keys; :mod:`nodes.payloads.store` drops the old one when nothing needs it any more.
NIST SP 800-38D (GCM); every wrap has a random 96-bit nonce and binds its context as associated
data. One wrapping key serves at most 2**32 payloads (SP 800-38D §8.3): rotate before.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from nodes.payloads.errors import KeyFileError, PayloadCorrupted

KEY_BYTES = 32
KEY_ID_BYTES = 8
NONCE_BYTES = 12
WRAPPED_BYTES = KEY_ID_BYTES + NONCE_BYTES + KEY_BYTES + 16

_ID_PREFIX = b"tracemark/node-key/v1\0"
_WRAP_PREFIX = b"tracemark/payload-key/v1\0"


@dataclass(slots=True)
class Keyring:
    """The wrapping keys of one node, loaded from `path`; `active` (key id) wraps what is new."""

    path: Path
    active: bytes
    _keys: dict[bytes, bytes]
    _ciphers: dict[bytes, AESGCM] = field(default_factory=dict)

    @classmethod
    def load_or_create(cls, path: Path, *, may_create: bool) -> Keyring:
        """The keyring at `path`; a new one where there is none and `may_create`.

        Raises KeyFileError when the file is missing (and must not be), readable by others,
        or damaged.
        """
        if path.exists():
            return cls._load(path)
        if not may_create:
            raise KeyFileError(
                f"the key file {path} is missing but the store holds payloads wrapped by it; "
                "restore the file from a backup"
            )
        ring = cls(path, b"", {})
        ring.add()
        return ring

    @classmethod
    def _load(cls, path: Path) -> Keyring:
        try:
            mode = path.stat().st_mode
            document = json.loads(path.read_bytes())
            keys = {bytes.fromhex(k["id"]): base64.b64decode(k["key"]) for k in document["keys"]}
            active = bytes.fromhex(document["active"])
            if document["v"] != 1:
                raise ValueError("unknown version")
        except OSError as exc:
            raise KeyFileError(f"the key file {path} cannot be read: {exc.strerror}") from exc
        except (ValueError, KeyError, TypeError, binascii.Error) as exc:
            raise KeyFileError(f"the key file {path} is damaged and cannot be parsed") from exc
        if mode & 0o077:
            raise KeyFileError(
                f"the key file {path} can be read by other users; run: chmod 600 {path}"
            )
        for key_id, key in keys.items():
            if len(key) != KEY_BYTES or _key_id(key) != key_id:
                raise KeyFileError(
                    f"key {key_id.hex()} in {path} is damaged: it does not match its own id"
                )
        if active not in keys:
            raise KeyFileError(f"the key file {path} names an active key it does not hold")
        return cls(path, active, keys)

    @property
    def ids(self) -> frozenset[bytes]:
        """Ids (8 bytes each) of every key in the file."""
        return frozenset(self._keys)

    def add(self) -> bytes:
        """Make a new random key the active one, durably; returns its 8-byte id."""
        key = os.urandom(KEY_BYTES)
        key_id = _key_id(key)
        self._save({**self._keys, key_id: key}, key_id)
        return key_id

    def retire(self) -> None:
        """Forget every key but the active one, durably: what they wrap is lost for good."""
        self._save({self.active: self._keys[self.active]}, self.active)

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """`key` (32 bytes) wrapped by the active key, bound to `context`: 68 bytes."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher(self.active).encrypt(nonce, key, _WRAP_PREFIX + context)
        return self.active + nonce + sealed

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The 32-byte key inside `wrapped`; raises PayloadCorrupted when it was altered."""
        key_id = wrapped[:KEY_ID_BYTES]
        if len(wrapped) != WRAPPED_BYTES or key_id not in self._keys:
            raise PayloadCorrupted("the payload's key is wrapped by a key this node does not have")
        nonce = wrapped[KEY_ID_BYTES : KEY_ID_BYTES + NONCE_BYTES]
        sealed = wrapped[KEY_ID_BYTES + NONCE_BYTES :]
        try:
            return self._cipher(key_id).decrypt(nonce, sealed, _WRAP_PREFIX + context)
        except InvalidTag:
            raise PayloadCorrupted("the payload's wrapped key or its terms were altered") from None

    def _cipher(self, key_id: bytes) -> AESGCM:
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            cipher = self._ciphers[key_id] = AESGCM(self._keys[key_id])
        return cipher

    def _save(self, keys: dict[bytes, bytes], active: bytes) -> None:
        document = {
            "v": 1,
            "active": active.hex(),
            "keys": [
                {"id": key_id.hex(), "key": base64.b64encode(key).decode()}
                for key_id, key in keys.items()
            ],
        }
        try:
            _replace_private(self.path, json.dumps(document, indent=1).encode())
        except OSError as exc:
            raise KeyFileError(
                f"the key file {self.path} cannot be written: {exc.strerror}"
            ) from exc
        self._keys, self.active = keys, active
        self._ciphers = {k: c for k, c in self._ciphers.items() if k in keys}


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(_ID_PREFIX + key).digest()[:KEY_ID_BYTES]


def _replace_private(path: Path, content: bytes) -> None:
    """Write a 0600 file so that a crash leaves the old content or the new, never a mixture."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
