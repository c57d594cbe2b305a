"""API keys: made, listed, revoked, found again. Only a hash of the secret is stored.

A key is ``tmk_<id>_<secret>``: 16 and 43 characters of base62. The secret has 256 random bits, so
one SHA-256 of it is stored and nothing slower is needed to protect it. A key is bound to a ledger
identity: its certificate is stored with it, and once that is revoked or expired the key is dead.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, insert, select, update

from gateway.database import reading, writing
from gateway.state_tables import api_keys

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_TOKEN = re.compile(r"tmk_([0-9A-Za-z]{16})_([0-9A-Za-z]{43})")
ID_LENGTH = 16
SECRET_LENGTH = 43


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key without its secret. Times in ms UTC; `ou` is `client` or `admin`."""

    id: str
    label: str
    msp: str
    org: str
    user: str
    party: str | None
    ou: str
    certificate: str
    created_ms: int
    created_by: str
    expires_ms: int | None
    revoked_ms: int | None

    def public(self) -> dict[str, Any]:
        """What an administrator is shown."""
        return {
            name: getattr(self, name)
            for name in (
                "id", "label", "msp", "org", "user", "party", "ou",
                "created_ms", "created_by", "expires_ms", "revoked_ms",
            )
        }  # fmt: skip


class KeyStore:
    """The keys of a gateway; safe to share between threads and processes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(
        self,
        *,
        label: str,
        msp: str,
        org: str,
        user: str,
        party: str | None,
        ou: str,
        certificate: str,
        created_by: str,
        expires_ms: int | None = None,
    ) -> tuple[ApiKey, str]:
        """Make a key; returns it and the token, which is shown this once."""
        key = ApiKey(
            id=_random(ID_LENGTH),
            label=label,
            msp=msp,
            org=org,
            user=user,
            party=party,
            ou=ou,
            certificate=certificate,
            created_ms=int(time.time() * 1000),
            created_by=created_by,
            expires_ms=expires_ms,
            revoked_ms=None,
        )
        secret = _random(SECRET_LENGTH)
        with writing(self._engine) as connection:
            connection.execute(
                insert(api_keys).values(
                    secret_hash=_hash(secret), certificate=certificate, **key.public()
                )
            )
        return key, f"tmk_{key.id}_{secret}"

    def find(self, token: str) -> ApiKey | None:
        """The key of `token`, also when expired or revoked; None if there is none like it."""
        parts = split_token(token)
        if parts is None:
            return None
        with reading(self._engine) as connection:
            row = connection.execute(select(api_keys).where(api_keys.c.id == parts[0])).first()
        if row is None or not hmac.compare_digest(row.secret_hash, _hash(parts[1])):
            return None
        return _key(row)

    def get(self, key_id: str) -> ApiKey | None:
        """A key by its id."""
        with reading(self._engine) as connection:
            row = connection.execute(select(api_keys).where(api_keys.c.id == key_id)).first()
        return None if row is None else _key(row)

    def list(self, msp: str | None = None) -> list[ApiKey]:
        """Every key (of one organisation), newest first."""
        query = select(api_keys).order_by(api_keys.c.created_ms.desc(), api_keys.c.id)
        if msp is not None:
            query = query.where(api_keys.c.msp == msp)
        with reading(self._engine) as connection:
            return [_key(row) for row in connection.execute(query)]

    def revoke(self, key_id: str) -> bool:
        """End a key now; returns whether there was one in force."""
        with writing(self._engine) as connection:
            done = connection.execute(
                update(api_keys)
                .where(api_keys.c.id == key_id, api_keys.c.revoked_ms.is_(None))
                .values(revoked_ms=int(time.time() * 1000))
            )
        return bool(done.rowcount)


def split_token(token: str) -> tuple[str, str] | None:
    """(id, secret) of a well-formed token."""
    match = _TOKEN.fullmatch(token)
    return (match[1], match[2]) if match else None


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(row: Any) -> ApiKey:
    values = dict(row._mapping)
    del values["secret_hash"]
    return ApiKey(**values)
