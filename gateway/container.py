"""The gateway's parts, opened once and handed to every route."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine

from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.auth import Authenticator
    from gateway.ledger.client import LedgerClient
    from gateway.payloads import PayloadPort
    from gateway.readmodel.store import ReadModel
    from gateway.wallet import Wallet
    from nodes.embedded import EmbeddedNetwork
    from nodes.identity.signer import Signer


@dataclass(slots=True)
class Container:
    """Everything a route may use.

    engine: the read model's SQL engine. state: the SQL engine of keys, jobs and named queries.
    signer: the gateway's own identity, for reads that need none of the caller's rights.
    network: the embedded network, or None when the ledger is reached by gRPC.
    """

    settings: Settings
    home: Path
    ledger: LedgerClient
    network: EmbeddedNetwork | None
    payloads: PayloadPort
    engine: Engine
    state: Engine
    readmodel: ReadModel
    wallet: Wallet
    authenticator: Authenticator
    signer: Signer
    keys: Any = None
    verifier: Any = None
