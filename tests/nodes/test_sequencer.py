"""When blocks are cut, and what happens when more comes than can be taken."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import grpc
import pytest

from nodes import sequencer as module
from nodes.config import BatchRules
from nodes.embedded import EmbeddedNetwork
from nodes.errors import GatewayError, LedgerError
from nodes.network import init_network
from nodes.orderlog import OrderLog
from nodes.sequencer import Sequencer
from nodes.transaction import ParsedTransaction
from nodes.verification import SignatureVerifier
from tests.nodes.client import HANDLERS, Client, agree, description, order


def transaction(name: str, size: int = 100) -> ParsedTransaction:
    parsed = ParsedTransaction(b"x" * size)
    parsed.tx_id = name
    return parsed


@pytest.fixture
def sequencer(network: EmbeddedNetwork, tmp_path: Path) -> Sequencer:
    log = OrderLog(tmp_path / "log")
    made = Sequencer(log, network.sequencer.signer, SignatureVerifier())
    made.use(BatchRules(10, 100_000, 2_000, 200))
    return made


def cut(sequencer: Sequencer) -> list[str]:
    batch = sequencer.take()
    assert isinstance(batch, list)
    return [entry.tx_id for entry in batch]


def test_a_lone_transaction_does_not_wait(sequencer: Sequencer) -> None:
    started = time.monotonic()
    sequencer.submit(transaction("a"))
    assert cut(sequencer) == ["a"]
    assert time.monotonic() - started < 0.1


def test_waits_for_who_is_expected(sequencer: Sequencer) -> None:
    """Endorsed transactions are about to come: one block for all of them."""
    sequencer.expect("a")
    sequencer.expect("b")
    sequencer.submit(transaction("a"))
    threading.Timer(0.05, lambda: sequencer.submit(transaction("b"))).start()
    assert cut(sequencer) == ["a", "b"]


def test_waits_no_longer_than_the_timeout(sequencer: Sequencer) -> None:
    """A client that endorses and never submits must not hold the others back."""
    sequencer.expect("never")
    sequencer.expect("a")
    started = time.monotonic()
    sequencer.submit(transaction("a"))
    assert cut(sequencer) == ["a"]
    assert 0.1 < time.monotonic() - started < 0.5
    sequencer.submit(transaction("b"))
    started = time.monotonic()
    assert cut(sequencer) == ["b"]
    assert time.monotonic() - started < 0.1


def test_cut_by_count_and_bytes(sequencer: Sequencer) -> None:
    for number in range(15):
        sequencer.submit(transaction(str(number), 10))
    assert len(cut(sequencer)) == 10
    assert len(cut(sequencer)) == 5
    for number in range(5):
        sequencer.submit(transaction(str(number), 900))
    assert [len(cut(sequencer)) for _ in range(3)] == [2, 2, 1]


def test_a_large_transaction_gets_a_block_of_its_own(sequencer: Sequencer) -> None:
    sequencer.submit(transaction("small"))
    sequencer.submit(transaction("large", 50_000))
    sequencer.submit(transaction("after"))
    assert [cut(sequencer) for _ in range(3)] == [["small"], ["large"], ["after"]]
    with pytest.raises(GatewayError) as error:
        sequencer.submit(transaction("too large", 100_001))
    assert error.value.status == grpc.StatusCode.INVALID_ARGUMENT


def test_back_pressure(sequencer: Sequencer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_QUEUED", 3)
    for name in "abc":
        sequencer.submit(transaction(name))
    with pytest.raises(GatewayError) as error:
        sequencer.submit(transaction("d"))
    assert error.value.status == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert cut(sequencer) == ["a", "b", "c"]
    sequencer.submit(transaction("d"))


def test_closing_hands_out_what_was_queued(sequencer: Sequencer) -> None:
    sequencer.submit(transaction("a"))
    sequencer.close()
    assert cut(sequencer) == ["a"]
    assert sequencer.take() is None
    with pytest.raises(GatewayError):
        sequencer.submit(transaction("b"))


def test_a_stopped_sequencer_says_why(sequencer: Sequencer) -> None:
    sequencer.submit(transaction("a"))
    assert [entry.tx_id for entry in sequencer.stop(LedgerError("disk full"))] == ["a"]
    with pytest.raises(GatewayError, match="disk full") as error:
        sequencer.submit(transaction("b"))
    assert error.value.status == grpc.StatusCode.UNAVAILABLE


def test_many_clients_at_once(network: EmbeddedNetwork) -> None:
    """Every acknowledged transaction is there, in far fewer blocks than transactions."""
    clients = [Client.of(network, org) for org in ("farm", "mill", "shop")]
    codes: list[int] = []
    before = network.height

    def work(number: int) -> None:
        client = clients[number % 3]
        futures = [client.send(client.signed("put", f"{number}-{step}", "1")) for step in range(20)]
        codes.extend(future.result(30).result for future in futures)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [0] * 120
    assert network.height - before < 60
    assert clients[0].evaluate("count", "0", "9") == b"120"
    agree(network)


def test_money_is_neither_made_nor_lost(network: EmbeddedNetwork) -> None:
    """Concurrent transfers over the same accounts: conflicts abort, the sum stays."""
    alice = Client.of(network)
    for account in range(4):
        assert alice.submit("put", f"account{account}", "100") == "VALID"
    codes: list[str] = []

    def work(number: int) -> None:
        client = Client.of(network, ("farm", "mill", "shop")[number % 3])
        for step in range(10):
            source, target = (number + step) % 4, (number + 3 * step + 1) % 4
            if source != target:
                try:
                    codes.append(client.submit("move", f"account{source}", f"account{target}", "7"))
                except GatewayError as error:
                    # Two endorsers never see different heights; a short account is refused.
                    assert "has only" in str(error)  # noqa: PT017

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(codes) <= {"VALID", "MVCC_READ_CONFLICT"}
    assert "VALID" in codes
    balances = [int(alice.evaluate("get", f"account{account}")) for account in range(4)]
    assert sum(balances) == 400
    assert min(balances) >= 0
    agree(network)


def test_blocks_are_signed_by_the_orderer(network: EmbeddedNetwork) -> None:
    from nodes.blocks import block_signatures, parse_body

    alice = Client.of(network)
    assert order(network, alice.signed("put", "k", "1")) == ["VALID"]
    ledger = network.node("FarmMSP").ledger
    number = ledger.height - 1
    body = parse_body(ledger.block_body(number))
    last_config, signatures = block_signatures(body, list(ledger.block(number).metadata.metadata))
    assert last_config == 0
    signer = network.config.msps.accept(signatures[0].creator)
    assert (signer.msp_id, signer.role) == ("OrdererMSP", "orderer")
    claim = (signer, signatures[0].digest, signatures[0].signature)
    assert SignatureVerifier().verify_digest(claim)


def test_latency_of_one_at_a_time(tmp_path: Path) -> None:
    """A regression to batch timeouts or thread hand-offs would show as tens of milliseconds."""
    init_network(description(batch_timeout_ms=2000), tmp_path / "home")
    with EmbeddedNetwork.open(tmp_path / "home", HANDLERS) as network:
        alice = Client.of(network)
        alice.submit("put", "warm", "1")
        times = []
        for number in range(20):
            started = time.perf_counter()
            assert alice.submit("put", f"k{number}", "1") == "VALID"
            times.append(time.perf_counter() - started)
        assert sorted(times)[10] < 0.1
