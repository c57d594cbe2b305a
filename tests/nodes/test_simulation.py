"""What a contract sees and may do: the stub's semantics are Fabric's."""

from __future__ import annotations

import json

import pytest

from nodes.embedded import EmbeddedNetwork
from nodes.endorse import now_ms
from nodes.errors import GatewayError
from nodes.messages import new_proposal
from tests.nodes.client import Client, agree, result_of


def refusal(error: pytest.ExceptionInfo[GatewayError]) -> str:
    return str(error.value.details[0].message)


def test_own_writes_are_not_seen(alice: Client) -> None:
    """A contract that relied on reading its own writes would break on Fabric."""
    assert result_of(alice.endorse("own_write", "k")) == b"not seen"


def test_reads_see_one_snapshot(network: EmbeddedNetwork, alice: Client) -> None:
    assert alice.submit("put", "k", "1") == "VALID"
    assert alice.evaluate("get", "k") == b"1"
    assert alice.evaluate("get", "missing") == b""


def test_plain_range_hides_composite_keys(alice: Client) -> None:
    for key in ("a", "b", "é", "\U0001f41f"):
        assert alice.submit("put", key, "x") == "VALID"
    assert alice.submit("composite", "put", "item", "1") == "VALID"
    assert alice.evaluate("count", "", "") == b"4"
    assert alice.evaluate("count", "a", "b") == b"1"
    assert alice.evaluate("count", "b", "") == b"3"


def test_partial_composite_key(alice: Client) -> None:
    for attributes in (("lot", "1"), ("lot", "10"), ("lot", "2"), ("lots", "1")):
        assert alice.submit("composite", "put", *attributes) == "VALID"
    found = json.loads(alice.evaluate("composite", "get", "lot"))
    assert found == ["\0lot\x001\0", "\0lot\x0010\0", "\0lot\x002\0"]
    assert json.loads(alice.evaluate("composite", "get", "lot", "1")) == ["\0lot\x001\0"]


def test_pages(alice: Client) -> None:
    for number in range(5):
        assert alice.submit("composite", "put", "p", str(number)) == "VALID"
    keys, bookmark = json.loads(alice.evaluate("page", "p", "", "2", ""))
    seen = list(keys)
    while bookmark:
        keys, bookmark = json.loads(alice.evaluate("page", "p", "", "2", bookmark))
        seen += keys
    assert seen == [f"\0p\0{number}\0" for number in range(5)]
    assert json.loads(alice.evaluate("page", "p", "", "5", ""))[1] == ""


def test_page_refuses_writes_and_foreign_bookmarks(alice: Client) -> None:
    """A paged read is not phantom-checked, so nothing may be written on its strength."""
    with pytest.raises(GatewayError) as error:
        alice.endorse("page", "p", "", "2", "", "write")
    assert "paged query" in refusal(error)
    with pytest.raises(GatewayError) as error:
        alice.evaluate("page", "p", "", "2", "\0q\x001\0")
    assert "bookmark" in refusal(error)


def test_history_is_newest_first_with_deletions(alice: Client) -> None:
    for args in (("put", "k", "1"), ("put", "k", "2"), ("delete", "k"), ("put", "k", "3")):
        assert alice.submit(*args) == "VALID"
    assert alice.submit("put", "k\0", "another key") == "VALID"
    history = json.loads(alice.evaluate("history", "k"))
    assert [entry[2:] for entry in history] == [
        ["3", False],
        ["", True],
        ["2", False],
        ["1", False],
    ]
    times = [entry[1] for entry in history]
    assert times == sorted(times, reverse=True)
    assert len({entry[0] for entry in history}) == 4


def test_history_of_blind_writes_in_one_block(network: EmbeddedNetwork, alice: Client) -> None:
    futures = [alice.send(alice.signed("put", "k", str(number))) for number in range(20)]
    for future in futures:
        assert future.result(20).result == 0
    history = json.loads(alice.evaluate("history", "k"))
    assert [entry[2] for entry in history] == [str(number) for number in reversed(range(20))]
    agree(network)


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (("get", ""), "empty"),
        (("put", "", "x"), "empty"),
        (("put", "k", ""), "must not be empty"),
        (("delete", ""), "empty"),
        (("history", ""), "empty"),
        (("count", "\0x", "z"), "composite"),
        (("events", ""), "event name"),
    ],
)
def test_refused_arguments(alice: Client, args: tuple[str, ...], reason: str) -> None:
    with pytest.raises(GatewayError) as error:
        alice.endorse(*args)
    assert reason in refusal(error)
    assert refusal(error).startswith("chaincode response 500, ")


def test_arguments_must_be_utf8(alice: Client) -> None:
    proposal, tx_id = new_proposal(
        alice.signer.serialized, "trace", "tracemark", [b"get", b"\xff"], timestamp_ms=now_ms()
    )
    with pytest.raises(GatewayError) as error:
        alice.endorse_bytes(proposal, tx_id)
    assert "UTF-8" in refusal(error)


@pytest.mark.parametrize("how", ["exit", "key", "recursion"])
def test_a_failing_contract_does_not_hurt_the_node(alice: Client, how: str) -> None:
    with pytest.raises(GatewayError) as error:
        alice.endorse("crash", how)
    assert "the contract failed" in refusal(error)
    assert alice.submit("put", "k", "1") == "VALID"


def test_last_event_wins(network: EmbeddedNetwork, alice: Client) -> None:
    start = network.height
    assert alice.submit("events", "first", "second") == "VALID"
    stream = network.service.chaincode_events(alice.events(start))
    response = next(iter(stream))
    stream.close()
    assert [event.event_name for event in response.events] == ["second"]
    assert response.events[0].payload == b"second"
    assert response.events[0].chaincode_id == "tracemark"


def test_transient_data_stays_off_the_ledger(network: EmbeddedNetwork, alice: Client) -> None:
    envelope = alice.signed("transient", transient={"secret": b"do not keep me"})
    assert alice.send(envelope).result(20).result == 0
    assert alice.evaluate("get", "transient") == b"14"
    newest = network.node("FarmMSP").ledger.block_bytes(network.height - 1)
    assert b"do not keep me" not in newest


def test_creator_and_header_reach_the_contract(alice: Client) -> None:
    proposal, tx_id = alice.proposal("who")
    msp, channel, seen_id, timestamp_ms = json.loads(alice.evaluate_bytes(proposal, tx_id))
    assert (msp, channel, seen_id) == ("FarmMSP", "trace", tx_id)
    assert timestamp_ms > 1_600_000_000_000
