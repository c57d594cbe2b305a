"""Real identities, real stores: what the payload tests share."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nodes.identity import Signer
from nodes.identity.certificates import (
    Authority,
    certificate_pem,
    issue_identity,
    new_authority,
)
from nodes.payloads import NewPayload, PayloadStore

FARM = "https://id.gs1.org/417/9521234000006"


class Clock:
    """A clock the tests move by hand; ms UTC."""

    def __init__(self) -> None:
        self.now_ms = 1_790_000_000_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture(scope="session")
def authority() -> Authority:
    return new_authority("ca.farm.example", "farm.example", "CO")


@pytest.fixture(scope="session")
def signer(authority: Authority) -> Signer:
    issued = issue_identity(authority, "node.farm.example", "peer")
    return Signer("FarmMSP", certificate_pem(issued.certificate), issued.key)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_store(
    tmp_path: Path, signer: Signer, clock: Clock
) -> Iterator[Callable[[], PayloadStore]]:
    """Opens the one store of this test; what it opened is closed at the end."""
    opened: list[PayloadStore] = []

    def open_() -> PayloadStore:
        for store in opened:
            store.close()
        opened[:] = [PayloadStore(tmp_path / "payloads", signer, clock_ms=clock)]
        return opened[0]

    yield open_
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[[], PayloadStore]) -> PayloadStore:
    return open_store()


def new_payload(text: str = "", **terms: str) -> NewPayload:
    """A payload shaped like a captured event, with a fresh salt and a fresh event hash."""
    event = {"@context": [], "event": {"type": "ObjectEvent", "note": text or os.urandom(8).hex()}}
    return NewPayload(
        payload=json.dumps(event).encode(),
        salt=os.urandom(32),
        event_hash=f"ni:///sha-256;{os.urandom(32).hex()}?ver=CBV2.0",
        owner_party=terms.pop("owner_party", FARM),
        **terms,
    )
