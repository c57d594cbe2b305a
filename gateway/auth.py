"""Who is calling: API keys and client certificates, both bound to ledger identities.

An API key is ``tmk_<id>_<secret>``: 16 and 43 characters of base62. The secret has 256 random
bits, so one SHA-256 of it is stored and nothing slower is needed. A key names (MSP, user, party);
the private key that signs for that user is in the gateway's wallet or stays with the user.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from nodes.identity.signer import Signer


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as the ledger knows them.

    key_id: API key's id, or "certificate". msp_id, user: the ledger identity. party: participant
    id or None where the MSP's default party has yet to be registered. roles: the party's roles on
    the chain ("" none while unregistered). ou: `client` or `admin`. signer: the wallet's signer,
    or None when the private key stays with the caller.
    """

    key_id: str
    msp_id: str
    user: str
    party: str | None
    roles: frozenset[str]
    ou: str
    signer: Signer | None


class Authenticator(Protocol):
    """Finds the caller in an ASGI HTTP scope."""

    async def identify(self, scope: Mapping[str, Any]) -> Caller | None: ...
