"""Who is calling: an API key or a client certificate, each bound to a ledger identity.

An answer is remembered for two seconds, so a revoked key dies within that time on every gateway
and at once on the one that revoked it. While the database is gone, a caller seen in the last
minute stays known: what needs no database keeps working.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from chaincode.errors import IdentifierError
from chaincode.identifiers import as_party
from gateway.api_keys import KeyStore, split_token
from gateway.errors import DatabaseUnavailable, Problem
from gateway.members import Members
from gateway.readmodel import tables
from gateway.readmodel.store import ReadModel
from gateway.wallet import Wallet
from nodes.errors import IdentityError, IdentityRefused
from nodes.identity import attributes as abac
from nodes.identity.signer import Signer

FRESH_S = 2.0
STALE_S = 60.0
MOST_REMEMBERED = 10_000
PEER_CERTIFICATE = "tracemark.peer_certificate"
"""ASGI scope key under which the server puts the verified TLS client certificate (DER)."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as the ledger knows them.

    key_id: API key's id, or "certificate". msp_id, user: the ledger identity. party: participant
    id or None while none is registered. roles: the party's roles on the chain, empty while it is
    suspended. country: the party's, or "". ou: `client` or `admin`. certificate: PEM. signer: the
    wallet's signer, or None when the private key stays with the caller.
    """

    key_id: str
    msp_id: str
    user: str
    party: str | None
    roles: frozenset[str]
    ou: str
    signer: Signer | None
    country: str = ""
    suspended: bool = False
    certificate: str = ""

    def require_signer(self) -> Signer:
        """The signer. :raises Problem: KEY_NOT_HELD."""
        if self.signer is None:
            raise Problem("KEY_NOT_HELD")
        return self.signer


class Authenticator(Protocol):
    """Finds the caller in an ASGI HTTP scope."""

    async def identify(self, scope: Mapping[str, Any]) -> Caller | None: ...


@dataclass(slots=True)
class _Remembered:
    caller: Caller
    at: float


class LedgerAuthenticator:
    """Callers by key store, wallet, MSP folders and the participants on the chain."""

    def __init__(
        self, keys: KeyStore, wallet: Wallet, members: Members, readmodel: ReadModel
    ) -> None:
        self._keys = keys
        self._wallet = wallet
        self._members = members
        self._readmodel = readmodel
        self._remembered: OrderedDict[str, _Remembered] = OrderedDict()
        self._lock = threading.Lock()

    async def identify(self, scope: Mapping[str, Any]) -> Caller | None:
        """The caller, or None without credentials.

        :raises Problem: KEY_INVALID, KEY_EXPIRED, CERTIFICATE_INVALID, DATABASE_UNAVAILABLE.
        """
        token = token_in(scope)
        if token is not None:
            name = remembered_name(token)
            return self._fresh(name) or await run_in_threadpool(
                self._look_up, name, lambda: self._by_key(token)
            )
        certificate: bytes | None = scope.get(PEER_CERTIFICATE)
        if certificate is not None:
            name = "certificate:" + hashlib.sha256(certificate).hexdigest()
            return self._fresh(name) or await run_in_threadpool(
                self._look_up, name, lambda: self._by_certificate(certificate)
            )
        return None

    def known(self, token: str) -> bool:
        """Whether `token` was accepted in the last minute (for rate limits; decides nothing)."""
        return remembered_name(token) in self._remembered

    def forget(self) -> None:
        """Drop what is remembered: a key was revoked or a participant changed."""
        with self._lock:
            self._remembered.clear()

    def _fresh(self, name: str) -> Caller | None:
        entry = self._remembered.get(name)
        if entry is not None and time.monotonic() - entry.at < FRESH_S:
            return entry.caller
        return None

    def _look_up(self, name: str, find: Callable[[], Caller]) -> Caller:
        try:
            caller = find()
        except DatabaseUnavailable:
            entry = self._remembered.get(name)
            if entry is not None and time.monotonic() - entry.at < STALE_S:
                return entry.caller
            raise
        except Problem:
            with self._lock:
                self._remembered.pop(name, None)
            raise
        with self._lock:
            self._remembered[name] = _Remembered(caller, time.monotonic())
            self._remembered.move_to_end(name)
            if len(self._remembered) > MOST_REMEMBERED:
                self._remembered.popitem(last=False)
        return caller

    def _by_key(self, token: str) -> Caller:
        key = self._keys.find(token)
        if key is None or key.revoked_ms is not None:
            raise Problem("KEY_INVALID", headers=_challenge("invalid_token"))
        if key.expires_ms is not None and key.expires_ms <= time.time() * 1000:
            raise Problem("KEY_EXPIRED", headers=_challenge("invalid_token"))
        try:
            self._members.accept(key.msp, key.certificate.encode())
        except IdentityRefused as error:
            raise Problem("CERTIFICATE_INVALID", f"the key's certificate: {error}") from error
        return self._caller(key.id, key.msp, key.user, key.party, key.ou, key.certificate)

    def _by_certificate(self, der: bytes) -> Caller:
        try:
            identity = self._members.accept_any(der)
        except IdentityError as error:
            raise Problem("CERTIFICATE_INVALID", str(error)) from error
        user = identity.attributes.get(abac.ENROLLMENT_ID) or identity.subject
        return self._caller(
            "certificate",
            identity.msp_id,
            user,
            identity.attributes.get(abac.PARTY),
            identity.role,
            identity.certificate.decode(),
        )

    def _caller(
        self, key_id: str, msp: str, user: str, party: str | None, ou: str, certificate: str
    ) -> Caller:
        found, roles, country, suspended = self._party(msp, party)
        signer = self._wallet.get(msp, user)
        if signer is not None and key_id == "certificate":
            # The wallet may hold another certificate of the same user; it is not this caller's.
            signer = signer if signer.certificate.decode() == certificate else None
        return Caller(
            key_id=key_id,
            msp_id=msp,
            user=user,
            party=found,
            roles=roles,
            ou=ou,
            signer=signer,
            country=country,
            suspended=suspended,
            certificate=certificate,
        )

    def _party(self, msp: str, party: str | None) -> tuple[str | None, frozenset[str], str, bool]:
        """The party acted for (by attribute, else the MSP's default) with roles and country."""
        participants, msps = tables.participants.c, tables.msps.c
        if party is not None:
            try:
                party = as_party(party)  # any form of it, as the contract reads it
            except IdentifierError:
                return None, frozenset(), "", False
        with self._readmodel.read() as connection:
            if party is None:
                row = connection.execute(select(msps.party).where(msps.msp == msp)).first()
                party = row.party if row else None
            found = connection.execute(
                select(participants.roles, participants.country, participants.status).where(
                    participants.id == party, participants.msp == msp
                )
            ).first()
        if found is None:  # unregistered, or another organisation's: an attribute proves nothing
            return None, frozenset(), "", False
        suspended = found.status != "active"
        roles = frozenset() if suspended else frozenset(found.roles.split())
        return party, roles, found.country or "", suspended


def token_in(scope: Mapping[str, Any]) -> str | None:
    """The API key in the request's headers, or None.

    :raises Problem: KEY_INVALID for a malformed key, or two different ones.
    """
    found: set[bytes] = set()
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, rest = value.partition(b" ")
            if scheme.lower() != b"bearer":
                raise Problem(
                    "KEY_INVALID", "send `Authorization: Bearer tmk_...`", headers=_challenge("")
                )
            found.add(rest.strip())
        elif name == b"x-api-key":
            found.add(value.strip())
    if not found:
        return None
    token = found.pop().decode("latin-1")
    if found:
        raise Problem("KEY_INVALID", "the request carries two different keys")
    if split_token(token) is None:
        raise Problem("KEY_INVALID", headers=_challenge("invalid_token"))
    return token


def remembered_name(token: str) -> str:
    """What a key is remembered by: a digest, so that no table holds secrets."""
    return hashlib.sha256(token.encode()).hexdigest()


def _challenge(error: str) -> dict[str, str]:
    value = 'Bearer realm="tracemark"' + (f', error="{error}"' if error else "")
    return {"WWW-Authenticate": value}
