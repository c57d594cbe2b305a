"""API keys made on the gateway's own machine, before there is any key to ask with.

Works on the data home directly (the wallet and the key database take writers from several
processes), whether or not the gateway is running.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.errors import NotFound, UsageFault
from gateway.access_keys import KeyParts, NewKey, create_key
from gateway.api_keys import KeyStore
from gateway.database import open_engine, upgrade
from gateway.errors import Problem
from gateway.members import Members
from gateway.settings import Settings
from gateway.wallet import Wallet
from nodes.network import load_network


@dataclass(frozen=True, slots=True)
class LocalParts:
    """What making keys needs, opened from a data home."""

    home: Path
    keys: KeyStore
    wallet: Wallet
    members: Members


@contextmanager
def open_parts(home: Path) -> Iterator[LocalParts]:
    """The parts of `home`, with the key database made or brought up to date."""
    given: dict[str, Any] = {"home": home}
    settings = Settings(**given)
    engine = open_engine(settings.state_url, durable=True)
    try:
        settings.gateway_home.mkdir(parents=True, exist_ok=True, mode=0o700)
        upgrade(engine, "state_tables")
        yield LocalParts(home, KeyStore(engine), Wallet(settings.gateway_home), Members(home))
    finally:
        engine.dispose()


def make_local_key(
    home: Path,
    org: str,
    user: str,
    label: str,
    party: str = "",
    admin: bool = False,
    valid_days: int | None = None,
) -> dict[str, Any]:
    """Make a key for `user` of `org`; the answer is that of ``POST /v1/keys``."""
    network = load_network(home)
    if not org:
        names = ", ".join(organisation.name for organisation in network.organisations)
        raise UsageFault(f"--home needs --org NAME: one of {names}")
    expires_ms = int((time.time() + valid_days * 86_400) * 1000) if valid_days else None
    wanted = NewKey(
        label=label,
        msp_id=network.organisation(org).msp_id,
        user=user,
        party=party or None,
        ou="admin" if admin else "client",
        expires_ms=expires_ms,
        created_by="local",
    )
    with open_parts(home) as parts:
        return make_key(parts, wanted)


def make_key(parts: KeyParts, wanted: NewKey) -> dict[str, Any]:
    """Make a key with opened parts; raises NotFound or UsageFault."""
    try:
        key, token = create_key(parts, wanted)
    except Problem as error:
        kind = NotFound if error.code == "NOT_FOUND" else UsageFault
        raise kind(error.detail, code=error.code, where=error.where) from error
    return {**key.public(), "key": token}
