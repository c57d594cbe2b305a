"""A real network on disk, served over TLS by a process of its own, or opened in this one."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.ledger import LedgerClient
from gateway.ledger.grpc import GrpcTransport, Tls
from gateway.ledger.inprocess import InProcessTransport
from nodes.embedded import EmbeddedNetwork
from nodes.identity import Signer, load_signer
from nodes.network import init_network, parse_description
from tests.wire.contract import invoke

ROOT = Path(__file__).parents[2]
CHANNEL = "trace"
CHAINCODE = "basic"
ORGANISATIONS = ("farm", "mill", "shop")
MSP_IDS = ("FarmMSP", "MillMSP", "ShopMSP")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def new_home(home: Path) -> Path:
    """Three organisations, two must endorse; a user of each, and one to be revoked."""
    users = [{"name": "admin", "ou": "admin"}, {"name": "alice"}, {"name": "mallory"}]
    description = {
        "name": "wire",
        "channel": CHANNEL,
        "chaincode": CHAINCODE,
        "policy": {"n": 2, "of": 3},
        "orderer": {"batch_timeout_ms": 10},
        "organisations": [
            {
                "name": name,
                "msp_id": msp_id,
                "domain": f"{name}.example",
                "country": "PT",
                "node": {"host": "localhost", "port": free_port()},
                "users": users,
            }
            for name, msp_id in zip(ORGANISATIONS, MSP_IDS, strict=True)
        ],
    }
    init_network(parse_description(description), home)
    return home


@dataclass
class ServerProcess:
    """The network's server, to be stopped, killed and started again on the same ports."""

    home: Path
    mutual: bool = False
    addresses: list[str] = field(default_factory=list)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> ServerProcess:
        command = [sys.executable, "-m", "tests.wire.serve", str(self.home)]
        self.process = subprocess.Popen(
            command + (["mutual"] if self.mutual else []),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], 30)
        line = self.process.stdout.readline() if ready else b""
        assert line, "the server did not start; see its standard error"
        self.addresses = json.loads(line)
        return self

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def tls(self, org: str = "farm") -> Tls:
        return Tls(tls_root(self.home, org).read_bytes())

    def transport(self, org: str = "farm", *, follow: bool = True) -> GrpcTransport:
        follower = load_signer(self.home, org, "admin") if follow else None
        address = self.addresses[ORGANISATIONS.index(org)]
        return GrpcTransport(address, self.tls(org), follower=follower, channel=CHANNEL)


def tls_root(home: Path, org: str = "farm") -> Path:
    return home / "organizations" / org / "peers" / "node" / "tls" / "ca.crt"


def client_on(transport: GrpcTransport | InProcessTransport) -> LedgerClient:
    return LedgerClient(transport, CHANNEL, CHAINCODE, commit_timeout_s=15)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests that leave it running."""
    process = ServerProcess(new_home(tmp_path_factory.mktemp("served") / "home")).start()
    yield process
    process.stop()


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedNetwork]:
    home = new_home(tmp_path_factory.mktemp("embedded") / "home")
    with EmbeddedNetwork.open(home, handlers={CHAINCODE: invoke}) as network:
        network_homes[id(network)] = home
        yield network


network_homes: dict[int, Path] = {}


@dataclass(frozen=True)
class Side:
    """A client, and who may sign: the same for every transport."""

    client: LedgerClient
    home: Path

    def signer(self, user: str = "alice", org: str = "farm") -> Signer:
        return load_signer(self.home, org, user)


@pytest.fixture(scope="session")
def _sides(server: ServerProcess, embedded: EmbeddedNetwork) -> Iterator[dict[str, Side]]:
    over_wire = client_on(server.transport())
    unfollowed = client_on(server.transport("mill", follow=False))
    inside = client_on(InProcessTransport(embedded.service))
    yield {
        "grpc": Side(over_wire, server.home),
        "grpc, own status requests": Side(unfollowed, server.home),
        "in process": Side(inside, network_homes[id(embedded)]),
    }
    over_wire.close()
    unfollowed.close()


@pytest.fixture(params=["grpc", "grpc, own status requests", "in process"])
def side(request: pytest.FixtureRequest, _sides: dict[str, Side]) -> Side:
    """The same tests over every transport: they must not be told apart."""
    return _sides[request.param]


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that the test may stop and kill."""
    process = ServerProcess(new_home(tmp_path / "home")).start()
    yield process
    process.stop()
