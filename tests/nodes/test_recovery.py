"""What survives: the sequencer's log ahead of nodes, a node behind, torn tails, full disks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fabric_protos.gateway import gateway_pb2

from nodes.blocks import parse_body
from nodes.checked import Definitions
from nodes.embedded import EmbeddedNetwork
from nodes.errors import AlreadyOpen, GatewayError, LedgerCorrupt
from nodes.ledger import Ledger
from nodes.orderlog import FILE, OrderLog
from tests.nodes.client import Client, agree, open_home, reopen, tx_id_of


def fill(network: EmbeddedNetwork, count: int = 3, start: int = 0) -> None:
    alice = Client.of(network)
    for number in range(start, start + count):
        assert alice.submit("put", f"k{number}", str(number)) == "VALID"


def kept(network: EmbeddedNetwork, count: int) -> None:
    alice = Client.of(network)
    for number in range(count):
        assert alice.evaluate("get", f"k{number}") == str(number).encode()
    agree(network)


def test_reopen_keeps_everything(network: EmbeddedNetwork) -> None:
    fill(network)
    tip = network.node("FarmMSP").ledger.tip
    again = reopen(network)
    assert again.node("FarmMSP").ledger.tip == tip
    kept(again, 3)
    fill(again, 1, 3)
    kept(again, 4)
    again.close()


def test_log_ahead_of_every_node(network: EmbeddedNetwork, tmp_path: Path) -> None:
    """A crash between log and ledgers: the logged blocks are committed on open."""
    home = network.home
    network.close()
    shutil.copytree(home / "nodes", tmp_path / "nodes")
    network = open_home(home)
    fill(network)
    network.close()
    shutil.rmtree(home / "nodes")
    shutil.copytree(tmp_path / "nodes", home / "nodes")
    again = open_home(home)
    kept(again, 3)
    again.close()


def test_one_node_behind(network: EmbeddedNetwork, tmp_path: Path) -> None:
    home = network.home
    network.close()
    shutil.copytree(home / "nodes" / "mill", tmp_path / "mill")
    network = open_home(home)
    fill(network)
    network.close()
    shutil.rmtree(home / "nodes" / "mill")
    shutil.copytree(tmp_path / "mill", home / "nodes" / "mill")
    again = open_home(home)
    kept(again, 3)
    again.close()


def test_a_lost_ledger_is_rebuilt(network: EmbeddedNetwork) -> None:
    fill(network)
    home = network.home
    network.close()
    shutil.rmtree(home / "nodes" / "shop" / "ledger")
    again = open_home(home)
    kept(again, 3)
    again.close()


def test_a_lost_log_is_rebuilt(network: EmbeddedNetwork) -> None:
    fill(network)
    home = network.home
    network.close()
    (home / "orderer" / FILE).unlink()
    again = open_home(home)
    kept(again, 3)
    fill(again, 1, 3)
    again = reopen(again)
    kept(again, 4)
    again.close()


@pytest.mark.parametrize("cut", [1, 7, 8, 9, 500])
def test_torn_log_tail(network: EmbeddedNetwork, cut: int) -> None:
    """A record that was not whole never counted: it is cut off, and ordering goes on."""
    fill(network)
    home = network.home
    network.close()
    log = home / "orderer" / FILE
    data = log.read_bytes()
    log.write_bytes(data + data[:cut])
    again = open_home(home)
    kept(again, 3)
    fill(again, 1, 3)
    again = reopen(again)
    kept(again, 4)
    again.close()


def test_every_cut_of_the_log_leaves_whole_blocks(network: EmbeddedNetwork, tmp_path: Path) -> None:
    fill(network)
    network.close()
    data = (network.home / "orderer" / FILE).read_bytes()
    heights = set()
    for size in range(0, len(data) + 1, 997):
        folder = tmp_path / str(size)
        folder.mkdir()
        (folder / FILE).write_bytes(data[:size])
        log = OrderLog(folder)
        heights.add(log.height)
        for number in range(1, log.height):
            body, _ = log.read(number)
            assert body.number == number
            assert body.computed_data_hash() == body.data_hash
        log.close()
    assert max(heights) >= 4


def test_flipped_bit_in_the_log(network: EmbeddedNetwork) -> None:
    """A damaged record in the middle is reported, never silently dropped with what follows."""
    fill(network)
    home = network.home
    network.close()
    log = home / "orderer" / FILE
    data = bytearray(log.read_bytes())
    data[len(data) // 3] ^= 1
    log.write_bytes(data)
    shutil.rmtree(home / "nodes" / "shop" / "ledger")
    with pytest.raises(LedgerCorrupt):
        open_home(home)


def test_flipped_bit_in_a_ledger_block(network: EmbeddedNetwork) -> None:
    """A node does not take a block whose data its header does not cover."""
    fill(network)
    node = network.node("FarmMSP")
    number = network.height - 1
    data = bytearray(node.ledger.block_body(number))
    data[-10] ^= 1
    slots = list(network.node("MillMSP").ledger.block(number).metadata.metadata)
    with pytest.raises(LedgerCorrupt):
        network.checker.check(
            parse_body(bytes(data)), slots, node.config, Definitions.load(node.ledger)
        )


def test_second_opening_is_refused(network: EmbeddedNetwork) -> None:
    with pytest.raises(AlreadyOpen) as error:
        open_home(network.home)
    assert str(os.getpid()) in str(error.value)
    assert "connect to it with grpc" in str(error.value)


def test_a_stopped_node_does_not_stop_the_others(network: EmbeddedNetwork) -> None:
    """One node's disk fails: two of three go on, and it catches up on the next open."""
    fill(network, 1)
    network.node("ShopMSP").ledger.close()
    fill(network, 2, 1)
    assert network.node("ShopMSP").failure is not None
    assert [node.name for node in network.running_nodes()] == ["farm", "mill"]
    again = reopen(network)
    assert again.node("ShopMSP").failure is None
    kept(again, 3)
    again.close()


def test_when_every_node_has_stopped(network: EmbeddedNetwork) -> None:
    alice = Client.of(network)
    fill(network, 1)
    envelope = alice.signed("put", "k1", "1")
    future = network.service.commit_future(tx_id_of(envelope))
    for node in network.nodes.values():
        node.ledger.close()
    network.service.submit(gateway_pb2.SubmitRequest(prepared_transaction=envelope))
    with pytest.raises(GatewayError, match="every node has stopped"):
        future.result(20)
    with pytest.raises(GatewayError, match="stopped"):
        alice.send(envelope)
    with pytest.raises(GatewayError, match="stopped"):
        alice.evaluate("get", "k0")
    again = reopen(network)
    # The block was in the log: what could not be acknowledged is there all the same.
    kept(again, 2)
    again.close()


def test_closed_network_refuses(network: EmbeddedNetwork) -> None:
    alice = Client.of(network)
    envelope = alice.signed("put", "k", "1")
    network.close()
    with pytest.raises(GatewayError, match="shutting down"):
        alice.evaluate("get", "k")
    with pytest.raises(GatewayError):
        alice.send(envelope)


FULL_DISK = """
import json, resource, sys
from pathlib import Path
from tests.nodes.client import Client, open_home
from nodes.errors import GatewayError
home, limit = Path(sys.argv[1]), int(sys.argv[2])
network = open_home(home)
alice = Client.of(network)
# A file may not grow past the limit: the kernel refuses as it does on a full disk.
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
acknowledged, message = [], ""
for number in range(400):
    try:
        if alice.submit("put", f"k{number}", "x" * 5000) == "VALID":
            acknowledged.append(number)
    except GatewayError as error:
        message = str(error)
        break
print(json.dumps([acknowledged, message]))
sys.stdout.flush()
import os
os._exit(0)
"""


@pytest.mark.parametrize("limit_kib", [200, 300, 1000])
def test_full_disk(home: Path, limit_kib: int) -> None:
    """The network stops with a clear error; what it acknowledged is there after reopening."""
    open_home(home).close()
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(home), str(limit_kib * 1024)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
        preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
    )
    assert result.returncode == 0, result.stderr
    acknowledged, message = json.loads(result.stdout.splitlines()[-1])
    assert message, "the limit was never reached"
    assert "stopped" in message or "could not be logged" in message or "failed" in message
    again = open_home(home)
    alice = Client.of(again)
    for number in acknowledged:
        assert alice.evaluate("get", f"k{number}") == b"x" * 5000
    assert alice.submit("put", "after", "1") == "VALID"
    agree(again)
    again.close()


def test_read_only_ledger_beside_an_open_one(network: EmbeddedNetwork) -> None:
    fill(network)
    node = network.node("FarmMSP")
    network.close()
    ledger = Ledger(node.ledger.path, read_only=True)
    assert ledger.height == network.height
    ledger.close()
