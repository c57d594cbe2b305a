"""What only a wire can do: break, come back, be forged, be crowded."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2

from gateway.ledger import (
    CommitStatusError,
    EndorseError,
    EvaluateError,
    LedgerClient,
    StreamError,
    TransportError,
)
from gateway.ledger.grpc import Deadlines, GrpcTransport, Tls
from gateway.ledger.stream import seek_payload
from nodes.embedded import EmbeddedNetwork
from nodes.grpc_server import GrpcServer, endpoints_of
from nodes.identity import Signer, load_signer
from nodes.identity.certificates import (
    certificate_pem,
    issue_tls,
    key_pem,
    new_authority,
)
from nodes.identity.folders import read_authority
from tests.wire.conftest import (
    CHAINCODE,
    CHANNEL,
    ServerProcess,
    client_on,
    free_port,
    new_home,
)
from tests.wire.contract import invoke


def signer_of(server: ServerProcess, user: str = "alice", org: str = "farm") -> Signer:
    return load_signer(server.home, org, user)


def put(client: LedgerClient, signer: Signer, value: str = "x") -> Any:
    return client.submit_and_wait(signer, "put", {"key": f"k-{uuid.uuid4()}", "value": value})


def eventually(check: Callable[[], bool], within_s: float = 15) -> None:
    deadline = time.monotonic() + within_s
    while not check():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def patiently(call: Callable[[], Any], within_s: float = 15) -> Any:
    """Repeat a call while the node cannot be reached."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            return call()
        except (EvaluateError, EndorseError, TransportError) as error:
            if error.status is not grpc.StatusCode.UNAVAILABLE or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


# -- no server, wrong server ---------------------------------------------------------------------


def test_absent_server_is_named_at_once(server: ServerProcess) -> None:
    """Catches a client that hangs, or that does not say whom it could not reach."""
    address = f"localhost:{free_port()}"
    client = client_on(GrpcTransport(address, server.tls(), channel=CHANNEL))
    began = time.monotonic()
    with pytest.raises(EvaluateError, match=address) as caught:
        client.evaluate(signer_of(server), "whoami")
    assert caught.value.status is grpc.StatusCode.UNAVAILABLE
    assert time.monotonic() - began < 5
    client.close()


def test_server_under_another_ca_is_refused(server: ServerProcess) -> None:
    """Catches a client that talks to anybody who answers on the port."""
    other = new_authority("tlsca.farm.example", "farm.example", "PT")
    tls = Tls(certificate_pem(other.certificate))
    client = client_on(GrpcTransport(server.addresses[0], tls, channel=CHANNEL))
    with pytest.raises(EvaluateError) as caught:
        client.evaluate(signer_of(server), "whoami")
    assert caught.value.status is grpc.StatusCode.UNAVAILABLE
    client.close()


def test_plain_text_is_refused(server: ServerProcess) -> None:
    """Catches a server that also answers without TLS."""
    with grpc.insecure_channel(server.addresses[0]) as channel:
        call = channel.unary_unary("/grpc.health.v1.Health/Check")
        with pytest.raises(grpc.RpcError):
            call(b"", timeout=3)


def test_health_is_answered(server: ServerProcess) -> None:
    """Catches a server that a load balancer would take for dead."""
    with grpc.secure_channel(server.addresses[1], server.tls("mill").credentials()) as channel:
        assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=5) == b"\x08\x01"


def test_closed_transport_says_so(server: ServerProcess) -> None:
    """Catches a bare ValueError from below after close."""
    client = client_on(server.transport())
    client.close()
    with pytest.raises(EvaluateError, match="closed on this side"):
        client.evaluate(signer_of(server), "whoami")


@pytest.mark.parametrize(
    "method", ["Evaluate", "Endorse", "Submit", "CommitStatus", "ChaincodeEvents"]
)
@pytest.mark.parametrize("body", [b"", b"\x0a\x03abc", b"\xff" * 40])
def test_junk_is_answered_with_an_error(server: ServerProcess, method: str, body: bytes) -> None:
    """Catches requests that hang or bring the server down."""
    with grpc.secure_channel(server.addresses[0], server.tls().credentials()) as channel:
        path = f"/gateway.Gateway/{method}"
        if method == "ChaincodeEvents":
            answers: Any = channel.unary_stream(path)
            call = lambda: list(answers(body, timeout=5))  # noqa: E731
        else:
            unary = channel.unary_unary(path)
            call = lambda: unary(body, timeout=5)  # noqa: E731
        with pytest.raises(grpc.RpcError) as caught:
            call()
        assert caught.value.code() is not grpc.StatusCode.DEADLINE_EXCEEDED
        assert caught.value.code() is not grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("payload", [b"", b"\xff\xff", b"\x0a\x00"])
def test_junk_seek_is_a_bad_request(server: ServerProcess, payload: bytes) -> None:
    """Catches a deliver stream that hangs on a request it cannot read."""
    transport = server.transport()
    envelope = common_pb2.Envelope(payload=payload, signature=b"x")
    (answer,) = list(transport.deliver(envelope))
    assert answer.status in (common_pb2.BAD_REQUEST, common_pb2.FORBIDDEN, common_pb2.NOT_FOUND)
    transport.close()


def test_foreign_methods_are_unimplemented(server: ServerProcess) -> None:
    """Catches a server that swallows calls it does not know."""
    with grpc.secure_channel(server.addresses[0], server.tls().credentials()) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/gateway.Gateway/Nothing")(b"", timeout=5)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


# -- breaking off and coming back ----------------------------------------------------------------


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_same_client_after_a_restart(own_server: ServerProcess, how: str) -> None:
    """Catches a client that must be made anew, or a follower that dies with the connection."""
    client = client_on(own_server.transport())
    signer = signer_of(own_server)
    before = put(client, signer)
    getattr(own_server, how)()
    with pytest.raises(EvaluateError, match="is not available"):
        client.evaluate(signer, "whoami")
    own_server.start()
    after = patiently(lambda: put(client, signer))
    assert after.block_number > before.block_number
    client.close()


def test_streams_go_on_where_they_were(own_server: ServerProcess) -> None:
    """Catches blocks or events that are lost or repeated across two crashes."""
    client, signer = client_on(own_server.transport()), signer_of(own_server)
    blocks = client.blocks(signer, 0)
    events = client.chaincode_events(signer, 0)
    numbers: list[int] = []
    told: list[str] = []
    threads = [
        threading.Thread(target=lambda: numbers.extend(b.header.number for b in blocks)),
        threading.Thread(target=lambda: told.extend(e.tx_id for e in events)),
    ]
    for thread in threads:
        thread.start()
    sent: list[str] = []
    last = 0
    for crash in (True, True, False):
        for _ in range(3):
            done = patiently(lambda: put(client, signer))
            sent.append(done.tx_id)
            last = done.block_number
        if crash:
            own_server.kill()
            time.sleep(0.3)
            own_server.start()
    eventually(lambda: len(numbers) > last and set(sent) <= set(told))
    blocks.close()
    events.close()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert numbers[: last + 1] == list(range(last + 1))
    assert len(told) == len(set(told))
    assert [tx_id for tx_id in told if tx_id in sent] == sent
    client.close()


def test_acknowledged_before_a_crash_is_committed_after(own_server: ServerProcess) -> None:
    """Catches a commit future that hangs, or a transaction lost, when the node is killed."""
    client, signer = client_on(own_server.transport()), signer_of(own_server)
    put(client, signer)
    sent = [client.submit(signer, "put", {"key": f"crash-{i}", "value": "x"}) for i in range(20)]
    own_server.kill()
    own_server.start()
    for one in sent:
        assert one.commit.result(20).successful
    client.close()


def test_stopping_answers_who_waits(own_server: ServerProcess) -> None:
    """Catches a stop that takes as long as the most patient client."""
    transport = own_server.transport(follow=False)
    client, signer = client_on(transport), signer_of(own_server)
    request = gateway_pb2.CommitStatusRequest(
        transaction_id="ab" * 32, channel_id=CHANNEL, identity=signer.serialized
    )
    signed = gateway_pb2.SignedCommitStatusRequest(request=request.SerializeToString())
    waiting = [
        client.commit_from(signed.SerializeToString()).sign(signer).future() for _ in range(20)
    ]
    time.sleep(0.5)
    assert not any(future.done() for future in waiting)
    began = time.monotonic()
    own_server.stop()
    assert time.monotonic() - began < 8
    for future in waiting:
        with pytest.raises(CommitStatusError) as caught:
            future.result(5)
        assert caught.value.status is grpc.StatusCode.UNAVAILABLE
    client.close()


# -- many at once --------------------------------------------------------------------------------


def test_two_gateways_at_once(server: ServerProcess) -> None:
    """Catches answers or commits that reach the wrong one of two clients."""
    sides = [
        (client_on(server.transport(org)), signer_of(server, org=org)) for org in ("farm", "shop")
    ]
    key = f"shared-{uuid.uuid4()}"

    def work(turn: int) -> str:
        client, signer = sides[turn % 2]
        own = put(client, signer)
        assert own.result["tx_id"] == own.tx_id
        client.submit_and_wait(signer, "add", {"key": key}, attempts=60)
        return own.tx_id

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(work, range(24)))
    assert len(set(ids)) == 24
    for client, signer in sides:
        assert client.evaluate(signer, "get", {"key": key}) == {"value": "24"}
        client.close()


def test_waiting_for_commits_needs_no_threads(server: ServerProcess) -> None:
    """Catches a server that is full when a hundred clients wait for their commits."""
    client, signer = client_on(server.transport(follow=False)), signer_of(server)
    request = gateway_pb2.CommitStatusRequest(
        transaction_id="cd" * 32, channel_id=CHANNEL, identity=signer.serialized
    )
    signed = gateway_pb2.SignedCommitStatusRequest(request=request.SerializeToString())
    commit = client.commit_from(signed.SerializeToString()).sign(signer)
    waiting = [client.commit_from(commit.to_bytes()).future() for _ in range(100)]
    time.sleep(1)
    assert put(client, signer).block_number > 0
    assert not any(future.done() for future in waiting)
    client.close()


def test_too_many_requests_are_told(server: ServerProcess) -> None:
    """Catches an overload that queues without a bound (the server under test allows 120)."""
    client, signer = client_on(server.transport(follow=False)), signer_of(server)

    def ask(_: int) -> str:
        try:
            client.evaluate(signer, "slow", {"ms": 100})
        except EvaluateError as error:
            return error.status.name
        return "OK"

    with ThreadPoolExecutor(160) as pool:
        answers = list(pool.map(ask, range(160)))
    assert set(answers) == {"OK", "RESOURCE_EXHAUSTED"}
    assert answers.count("OK") >= 120
    assert client.evaluate(signer, "whoami")["msp"] == "FarmMSP"
    client.close()


def test_deadline_ends_a_call(server: ServerProcess) -> None:
    """Catches a slow contract that holds its caller for ever."""
    transport = GrpcTransport(
        server.addresses[0], server.tls(), channel=CHANNEL, deadlines=Deadlines(evaluate_s=0.2)
    )
    client = client_on(transport)
    with pytest.raises(EvaluateError) as caught:
        client.evaluate(signer_of(server), "slow", {"ms": 800})
    assert caught.value.status is grpc.StatusCode.DEADLINE_EXCEEDED
    client.close()


# -- mutual TLS ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mutual(tmp_path_factory: pytest.TempPathFactory) -> Any:
    process = ServerProcess(new_home(tmp_path_factory.mktemp("mutual") / "home"), mutual=True)
    yield process.start()
    process.stop()


def client_tls(server: ServerProcess, org: str) -> Tls:
    authority = read_authority(server.home / "organizations" / org / "tlsca")
    issued = issue_tls(authority, f"gateway.{org}.example", ["localhost"])
    return Tls(
        server.tls("farm").root_certificates,
        client_certificate=certificate_pem(issued.certificate),
        client_key=key_pem(issued.key),
    )


def test_mutual_tls_asks_for_a_certificate(mutual: ServerProcess) -> None:
    """Catches mutual TLS that is configured but not asked for."""
    nobody = client_on(GrpcTransport(mutual.addresses[0], mutual.tls(), channel=CHANNEL))
    with pytest.raises(EvaluateError) as caught:
        nobody.evaluate(signer_of(mutual), "whoami")
    assert caught.value.status is grpc.StatusCode.UNAVAILABLE
    nobody.close()


def test_mutual_tls_serves_members_of_any_organisation(mutual: ServerProcess) -> None:
    """Catches a deliver request that is not bound to its connection by the client itself."""
    signer = signer_of(mutual)
    transport = GrpcTransport(
        mutual.addresses[0], client_tls(mutual, "shop"), follower=signer, channel=CHANNEL
    )
    client = client_on(transport)
    done = put(client, signer)
    numbers = [b.header.number for b in client.blocks(signer, 0, done.block_number)]
    assert numbers == list(range(done.block_number + 1))
    client.close()


def test_deliver_is_bound_to_the_connection(mutual: ServerProcess) -> None:
    """Catches a captured Deliver request that works from another machine."""
    signer = signer_of(mutual)
    transport = GrpcTransport(mutual.addresses[0], client_tls(mutual, "shop"), channel=CHANNEL)
    for claimed in (b"", b"\x01" * 32):
        payload = seek_payload(CHANNEL, signer.serialized, 0, 0, claimed)
        envelope = common_pb2.Envelope(payload=payload, signature=signer.sign(payload))
        (answer,) = list(transport.deliver(envelope))
        assert answer.status == common_pb2.BAD_REQUEST
    transport.close()


# -- the server as an object ---------------------------------------------------------------------


def test_port_in_use_is_an_error(server: ServerProcess, embedded: EmbeddedNetwork) -> None:
    """Catches two servers that silently share one port."""
    endpoints = endpoints_of(server.home)
    with pytest.raises(OSError, match="cannot listen on localhost"):
        GrpcServer(embedded.service, endpoints).start()


def test_server_beside_its_callers(tmp_path: Path) -> None:
    """Catches a server that cannot share a process with in-process use of the same network."""
    home = new_home(tmp_path / "home")
    with EmbeddedNetwork.open(home, handlers={CHAINCODE: invoke}) as network:
        for _ in range(2):  # and can be started again on the same ports
            with GrpcServer(network.service, endpoints_of(home)) as server:
                tls = Tls((home / "organizations/mill/peers/node/tls/ca.crt").read_bytes())
                signer = load_signer(home, "mill", "alice")
                transport = GrpcTransport(
                    server.addresses[1], tls, follower=signer, channel=CHANNEL
                )
                client = client_on(transport)
                assert put(client, signer).block_number > 0
                with pytest.raises(StreamError):
                    next(iter(LedgerClient(transport, "no", "no").blocks(signer, 0)))
                client.close()
