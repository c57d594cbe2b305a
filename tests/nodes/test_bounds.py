"""What a member that never finishes what it begins may make a node remember."""

from __future__ import annotations

import grpc
import pytest

from nodes import service
from nodes.embedded import EmbeddedNetwork
from nodes.errors import GatewayError
from tests.nodes.client import Client


def test_endorsed_and_never_submitted_is_bounded_in_bytes(
    network: EmbeddedNetwork, alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Defect: 4,096 endorsed transactions of any size were kept: tens of gigabytes."""
    monkeypatch.setattr(service, "_REMEMBERED_BYTES", 300_000)
    kept = []
    for number in range(10):
        kept.append(alice.signed("put", f"k{number}", "x" * 60_000))
        held = network.service._endorsed
        assert sum(len(content.payload) for content in held.values()) <= 300_000
        assert network.service._endorsed_bytes <= 300_000
    # what was forgotten can still be submitted, and so can what was not
    for envelope in kept:
        assert alice.send(envelope).result(20).result == 0
    assert network.service._endorsed_bytes == 0


def test_asking_again_for_a_transaction_that_never_comes(
    network: EmbeddedNetwork, alice: Client
) -> None:
    """Defect: every status request that ran out of time left its future behind."""
    tx_id = "0" * 64
    for _ in range(200):
        with pytest.raises(GatewayError) as error:
            network.service.commit_status(alice.status_request(tx_id), timeout=0)
        assert error.value.status == grpc.StatusCode.DEADLINE_EXCEEDED
    assert len(network.commits._waiting[tx_id]) < 20
