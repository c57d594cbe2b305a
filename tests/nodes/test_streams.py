"""Deliver and chaincode events: replay, checkpoints, live streams, filters, refusals."""

from __future__ import annotations

import threading
from itertools import islice

import grpc
import pytest
from fabric_protos.common import common_pb2
from fabric_protos.orderer import ab_pb2

from nodes.embedded import EmbeddedNetwork
from nodes.endorse import TIME_WINDOW_MS, now_ms
from nodes.errors import GatewayError
from tests.nodes.client import Client, order, reopen, tx_id_of

Status = common_pb2.Status
FAIL = ab_pb2.SeekInfo.SeekBehavior.FAIL_IF_NOT_READY


def test_deliver_everything(network: EmbeddedNetwork, alice: Client) -> None:
    for number in range(3):
        assert alice.submit("put", f"k{number}", "1") == "VALID"
    height = network.height
    responses = list(network.service.deliver(alice.seek(0, height - 1)))
    blocks = [response.block for response in responses[:-1]]
    assert responses[-1].status == Status.SUCCESS
    assert [block.header.number for block in blocks] == list(range(height))
    ledger = network.node("FarmMSP").ledger
    assert [block.SerializeToString() for block in blocks] == [
        ledger.block_bytes(number) for number in range(height)
    ]


def test_deliver_waits_for_the_next_block(network: EmbeddedNetwork, alice: Client) -> None:
    stream = network.service.deliver(alice.seek(network.height))
    found: list[int] = []
    reader = threading.Thread(
        target=lambda: found.extend(r.block.header.number for r in islice(stream, 2))
    )
    reader.start()
    first = network.height
    assert alice.submit("put", "k", "1") == "VALID"
    assert alice.submit("put", "k", "2") == "VALID"
    reader.join(10)
    stream.close()
    assert found == [first, first + 1]


def test_close_ends_a_waiting_stream(network: EmbeddedNetwork, alice: Client) -> None:
    """A client that leaves must not keep a thread for ever."""
    stream = network.service.deliver(alice.seek(network.height))
    reader = threading.Thread(target=lambda: list(stream))
    reader.start()
    stream.close()
    reader.join(5)
    assert not reader.is_alive()


def test_filtered_blocks(network: EmbeddedNetwork, alice: Client, bob: Client) -> None:
    valid, conflict = alice.signed("set", "k", "1"), bob.signed("set", "k", "2")
    order(network, valid, conflict)
    number = network.height - 1
    first, *_ = network.service.deliver(alice.seek(number, number), filtered=True)
    block = first.filtered_block
    assert (block.channel_id, block.number) == ("trace", number)
    entries = block.filtered_transactions
    assert [entry.txid for entry in entries] == [tx_id_of(valid), tx_id_of(conflict)]
    assert [entry.tx_validation_code for entry in entries] == [0, 11]
    event = entries[0].transaction_actions.chaincode_actions[0].chaincode_event
    assert (event.event_name, event.payload) == ("set", b"")


def test_filtered_blocks_after_reopening(network: EmbeddedNetwork, alice: Client) -> None:
    assert alice.submit("set", "k", "1") == "VALID"
    before = list(network.service.deliver(alice.seek(0, network.height - 1), filtered=True))
    again = reopen(network)
    after = list(again.service.deliver(alice.seek(0, again.height - 1), filtered=True))
    again.close()
    assert before == after


@pytest.mark.parametrize(
    ("start", "stop", "status"), [(5, 3, Status.BAD_REQUEST), (99, 99, Status.NOT_FOUND)]
)
def test_seek_refusals(
    network: EmbeddedNetwork, alice: Client, start: int, stop: int, status: int
) -> None:
    responses = list(network.service.deliver(alice.seek(start, stop, behavior=FAIL)))
    assert [response.status for response in responses] == [status]


def test_seek_of_strangers(network: EmbeddedNetwork, alice: Client, bob: Client) -> None:
    forged = alice.seek(0, 0)
    forged.signature = bob.signer.sign(forged.payload)
    old = alice.seek(0, 0, timestamp_ms=now_ms() - TIME_WINDOW_MS - 5000)
    rubbish = common_pb2.Envelope(payload=b"\xff")
    transaction = alice.signed("put", "k", "1")
    statuses = [
        [response.status for response in network.service.deliver(envelope)]
        for envelope in (forged, old, rubbish, transaction)
    ]
    assert statuses == [
        [Status.FORBIDDEN],
        [Status.BAD_REQUEST],
        [Status.BAD_REQUEST],
        [Status.BAD_REQUEST],
    ]


def test_newest_and_headers_only(network: EmbeddedNetwork, alice: Client) -> None:
    envelope = alice.seek(None, network.height - 1)
    payload = common_pb2.Payload.FromString(envelope.payload)
    seek = ab_pb2.SeekInfo.FromString(payload.data)
    seek.content_type = ab_pb2.SeekInfo.SeekContentType.HEADER_WITH_SIG
    payload.data = seek.SerializeToString()
    envelope.payload = payload.SerializeToString()
    envelope.signature = alice.signer.sign(envelope.payload)
    block, status = network.service.deliver(envelope)
    assert block.block.header.number == network.height - 1
    assert not block.block.data.data
    assert block.block.metadata.metadata[0]
    assert status.status == Status.SUCCESS


def event_ids(network: EmbeddedNetwork, request: object, count: int) -> list[str]:
    stream = network.service.chaincode_events(request)  # type: ignore[arg-type]
    found: list[str] = []
    for response in stream:
        found += [event.tx_id for event in response.events]
        if len(found) >= count:
            break
    stream.close()
    return found


def test_events_replay_and_checkpoint(network: EmbeddedNetwork, alice: Client, bob: Client) -> None:
    """A listener that stopped in the middle of a block goes on after the transaction it had."""
    start = network.height
    envelopes = [alice.signed("set", f"k{number}", "x") for number in range(3)]
    order(network, *envelopes)
    assert alice.submit("set", "later", "x") == "VALID"
    ids = [tx_id_of(envelope) for envelope in envelopes]
    everything = event_ids(network, alice.events(start), 4)
    assert everything[:3] == ids
    assert event_ids(network, alice.events(start, after=ids[0]), 3) == everything[1:]
    assert event_ids(network, alice.events(after=ids[2]), 1) == everything[3:]
    assert event_ids(network, alice.events(0, after=""), 4) == everything


def test_events_of_invalid_transactions_stay_unheard(
    network: EmbeddedNetwork, alice: Client, bob: Client
) -> None:
    start = network.height
    winner, loser = alice.signed("set", "k", "1"), bob.signed("set", "k", "2")
    order(network, winner, loser)
    assert alice.submit("set", "z", "1") == "VALID"
    assert tx_id_of(loser) not in event_ids(network, alice.events(start), 2)


def test_live_events_begin_with_the_next_commit(network: EmbeddedNetwork, alice: Client) -> None:
    assert alice.submit("set", "old", "1") == "VALID"
    stream = network.service.chaincode_events(alice.events())
    envelope = alice.signed("set", "new", "1")
    alice.send(envelope)
    response = next(iter(stream))
    stream.close()
    assert [event.tx_id for event in response.events] == [tx_id_of(envelope)]
    assert response.block_number == network.height - 1


def test_event_requests_are_checked(network: EmbeddedNetwork, alice: Client, bob: Client) -> None:
    forged = alice.events(0)
    forged.signature = bob.signer.sign(forged.request)
    with pytest.raises(GatewayError) as error:
        network.service.chaincode_events(forged)
    assert error.value.status == grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(GatewayError) as error:
        network.service.chaincode_events(type(forged)(request=b"\xff", signature=b"x"))
    assert error.value.status == grpc.StatusCode.INVALID_ARGUMENT
