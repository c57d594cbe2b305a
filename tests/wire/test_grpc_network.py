"""Every service of a network is on every node's address."""

from __future__ import annotations

import json
import os

import pytest

from chaincode.records import key
from nodes.identity import load_signer
from nodes.payloads import NewPayload, PayloadRefused, StoredPayload
from nodes.payloads.errors import RemoteError
from nodes.payloads.remote_client import RemotePayloadStore
from tests.wire.conftest import CHANNEL, MSP_IDS, ORGANISATIONS, ServerProcess, client_on, tls_root
from tests.wire.test_ledger_client import stranger

PARTIES = {
    "FarmMSP": "urn:tracemark:party:farm",
    "MillMSP": "urn:tracemark:party:mill",
}


@pytest.fixture(scope="module")
def registered(server: ServerProcess) -> ServerProcess:
    """Two parties as the contract records them, written through the ledger."""
    client, signer = client_on(server.transport()), load_signer(server.home, "farm", "alice")
    for msp, party in PARTIES.items():
        record = {
            "id": party, "msp": msp, "name": "x", "roles": ["producer"], "country": "PT",
            "status": "active", "licences": [], "locations": [], "default": True,
            "registered_by": party, "time_ms": 1,
        }  # fmt: skip
        for name, value in ((("party", party), record), (("msp", msp), {"default": party})):
            arg = {"key": key(*name), "value": json.dumps(value)}
            client.submit_and_wait(signer, "put", arg)
    client.close()
    return server


def store_at(server: ServerProcess, address: int, holder: str) -> RemotePayloadStore:
    org = ORGANISATIONS[address]
    roots = tls_root(server.home, org).read_bytes()
    return RemotePayloadStore(server.addresses[address], holder, CHANNEL, roots)


def test_payloads_are_served_beside_the_gateway(registered: ServerProcess) -> None:
    """Catches a payload service that is not mounted, or that reads another channel's state."""
    new = NewPayload(
        payload=b'{"event":{"type":"ObjectEvent"}}',
        salt=os.urandom(32),
        event_hash=f"ni:///sha-256;{'ab' * 32}?ver=CBV2.0",
        owner_party=PARTIES["FarmMSP"],
        residency="partners",
    )
    farmer = load_signer(registered.home, "farm", "alice")
    miller = load_signer(registered.home, "mill", "alice")
    for address in range(len(MSP_IDS)):
        store = store_at(registered, address, "FarmMSP")
        (commitment,) = store.put_many([new], farmer)
        (mine,) = store.get_many([commitment], farmer)
        assert isinstance(mine, StoredPayload)
        assert mine.payload == new.payload
        (theirs,) = store.get_many([commitment], miller)
        assert isinstance(theirs, PayloadRefused)
        store.close()


def test_payload_requests_of_strangers_are_refused(registered: ServerProcess) -> None:
    """Catches a payload service that does not ask the channel whom it may trust."""
    store = store_at(registered, 0, "FarmMSP")
    with pytest.raises(RemoteError, match="UNAUTHENTICATED"):
        store.get_many(["ab" * 32], stranger())
    store.close()
