"""Whole gateways: TLS and client certificates, gRPC, two gateways, database away, clean stop."""

from __future__ import annotations

import copy
import shutil
import ssl
import threading
import time
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from pydantic import ValidationError

from gateway.container import open_container
from gateway.orphans import OrphanCollector
from gateway.serve import grpc_served, serve
from gateway.settings import Settings
from nodes.errors import AlreadyOpen
from nodes.identity.certificates import certificate_pem, issue_tls
from nodes.identity.folders import organisation_folder, read_authority, write_tls
from nodes.identity.issue import issue_user, revoke_user
from nodes.network import init_network, parse_description
from nodes.payloads import NewPayload
from tests.gateway.postgres import Postgres
from tests.gateway.running import DESCRIPTION, Gateway, make_home, party, running, serving
from tests.gateway.supply import CHERRY, GREEN, ROASTED, amount, capture_all, events
from tests.gateway.test_access import code
from tests.gateway.test_follow import until


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return make_home(tmp_path)


def tls_files(home: Path) -> dict[str, Any]:
    """A server certificate for localhost from one of the network's TLS authorities."""
    folder = organisation_folder(home, "trade")
    authority = read_authority(folder.path / "tlsca")
    issued = issue_tls(authority, "gateway.trade.example", ["localhost", "127.0.0.1"])
    write_tls(home / "gateway-tls", issued, certificate_pem(authority.certificate))
    return {
        "tls_certificate": home / "gateway-tls" / "server.crt",
        "tls_key": home / "gateway-tls" / "server.key",
    }


def client_context(home: Path, org: str = "", user: str = "") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(home / "gateway-tls" / "ca.crt"))
    if user:
        msp = organisation_folder(home, org).user(user) / "msp"
        [certificate] = (msp / "signcerts").glob("*")
        [key] = (msp / "keystore").glob("*")
        context.load_cert_chain(certificate, key)
    return context


def test_a_client_certificate_is_a_ledger_identity(home: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = tls_files(home) | {"log_level": "error", "port": 0}
    issue_user(home, "growers", "leaver", attrs={"tracemark.party": "urn:tracemark:party:farm"})
    with (
        open_container(Settings(home=home, **options)) as container,
        serving(container, client_context(home)) as served,
    ):
        served.register_parties()

        def ask(org: str = "", user: str = "") -> httpx.Response:
            context = client_context(home, org, user)
            with httpx.Client(base_url=served.url, verify=context, trust_env=False) as client:
                return client.get("/v1/keys/self")

        assert code(ask()) == "UNAUTHENTICATED"
        me = ask("growers", "farm").json()
        assert me["key_id"] == "certificate"
        assert me["party"] == "urn:tracemark:party:farm"
        assert me["roles"] == ["producer"]
        assert me["signs"] == "caller"
        assert ask("growers", "leaver").status_code == 200
        revoke_user(home, "growers", "leaver")
        until(lambda: ask("growers", "leaver").status_code == 401, "the revoked one is refused")
        assert code(ask("growers", "leaver")) == "CERTIFICATE_INVALID"
        assert ask("growers", "farm").headers["strict-transport-security"]
        # a certificate of some other network does not get past the handshake
        other = make_home(tmp_path / "other")
        foreign = client_context(home)
        msp = organisation_folder(other, "growers").user("farm") / "msp"
        foreign.load_cert_chain(
            next((msp / "signcerts").glob("*")), next((msp / "keystore").glob("*"))
        )
        with (
            httpx.Client(base_url=served.url, verify=foreign, trust_env=False) as client,
            pytest.raises(httpx.TransportError),
        ):
            client.get("/v1/keys/self")
        with pytest.raises(httpx.TransportError):
            httpx.get(served.url.replace("https", "http") + "/healthz", trust_env=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "gateway.example"])
def test_plain_http_is_not_bound_to_other_machines(home: Path, host: str) -> None:
    with pytest.raises(ValidationError, match="tls_certificate"):
        Settings(home=home, host=host)
    options: dict[str, Any] = {"allow_plain_http": True}
    assert Settings(home=home, host=host, **options).host == host
    assert Settings(home=home, host=host, **tls_files(home)).tls


def test_a_second_gateway_reaches_the_ledger_by_grpc(home: Path, postgres: Postgres) -> None:
    """Two gateways, one PostgreSQL: either captures, both show it."""
    shared = {"database_url": postgres.database("shared"), "log_level": "error", "port": 0}
    port = free_port()
    first_options: dict[str, Any] = shared | {"grpc_listen": f"127.0.0.1:{port}"}
    stop = threading.Event()
    first_ready, failures = threading.Event(), []

    def first() -> None:
        try:
            with (
                open_container(Settings(home=home, **first_options)) as container,
                grpc_served(container),
                serving(container) as served,
            ):
                served.register_parties()
                first_ready.gateway = served  # type: ignore[attr-defined]
                first_ready.set()
                stop.wait(120)
        except BaseException as error:
            failures.append(error)
            first_ready.set()

    thread = threading.Thread(target=first)
    thread.start()
    try:
        assert first_ready.wait(60)
        assert failures == []
        with pytest.raises(AlreadyOpen):
            open_container(Settings(home=home, port=0))
        second_options: dict[str, Any] = shared | {
            "ledger": f"grpc://localhost:{port}",
            "organisation": "trade",
            "ledger_tls_ca": organisation_folder(home, "authority").msp
            / "tlscacerts"
            / "tlsca.authority.example-cert.pem",
        }
        with (
            open_container(Settings(home=home, **second_options)) as container,
            serving(container) as second,
        ):
            until(lambda: second.client().get("/readyz").status_code == 200, "second is ready")
            one: Gateway = first_ready.gateway  # type: ignore[attr-defined]
            product = {"gtin": "09521234000051", "name": "shared", "mode": "report"}
            made = second.client("roaster").post("/v1/products", json=product)
            assert made.status_code == 201, made.text
            assert "visible" not in made.json()
            until(
                lambda: one.client("farm").get("/v1/products/09521234000051").status_code == 200,
                "the first shows it",
            )
            assert one.client("auditor").get("/v1/products").json() == (
                second.client("auditor").get("/v1/products").json()
            )
    finally:
        stop.set()
        thread.join(60)
    assert failures == []


def test_a_second_gateway_reaches_every_node(tmp_path: Path) -> None:
    """Two gateways, two homes, two databases; the second holds no node at all.

    Catches a network served at one organisation's address alone: whoever reads a payload of
    another then gets no answer, though the ledger works.
    """
    ports = {name: free_port() for name in ("authority", "growers", "trade")}
    description = copy.deepcopy(DESCRIPTION)
    for organisation in cast(list[dict[str, Any]], description["organisations"]):
        organisation["node"]["port"] = ports[organisation["name"]]
    first_home, second_home = tmp_path / "first", tmp_path / "second"
    init_network(parse_description(description), first_home)
    second_home.mkdir()
    shutil.copy(first_home / "network.json", second_home)
    shutil.copytree(first_home / "organizations", second_home / "organizations")
    for secret in (second_home / "organizations" / "authority").rglob("*"):
        if secret.name.endswith("_sk") or secret.name in ("key.pem", "server.key", "ca-key.pem"):
            secret.unlink()
    options: dict[str, Any] = {"log_level": "error", "port": 0}
    first = Settings(home=first_home, grpc_listen="all", **options)
    second = Settings(
        home=second_home,
        ledger=f"grpc://localhost:{ports['trade']}",
        organisation="trade",
        **options,
    )
    with (
        open_container(first) as holding,
        grpc_served(holding),
        serving(holding) as one,
        open_container(second) as asking,
        serving(asking) as two,
    ):
        one.register_parties()
        grown = events()["harvest"]
        one.capture("farm", grown)
        made = {**grown, "epcList": [], "quantityList": [amount(GREEN, 5)]}
        two.settled()
        two.capture("roaster", made)  # stored at the trade node, over the wire
        for gateway in (one, two):
            gateway.settled()
            for identifier, reader in ((CHERRY, "mill"), (GREEN, "mill"), (GREEN, "farm")):
                asked = {"MATCH_anyEPCClass": identifier}
                answer = gateway.client(reader).get("/epcis/v2/events", params=asked).json()
                [found] = answer["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
                assert found["quantityList"][0]["epcClass"] == identifier
                traced = gateway.client(reader).get(f"/v1/trace/{identifier}").json()
                states = {n["evidence"]["payload"] for n in traced["nodes"] if n["node"] == "event"}
                assert states == {"available"}
        assert not (second_home / "nodes").exists()


def test_orphans_are_collected_while_the_network_is_open(home: Path) -> None:
    """Payloads of refused events that stay on the disk for good."""
    options: dict[str, Any] = {"log_level": "error", "port": 0, "orphans_every_s": 0.05}
    new = NewPayload(b"{}", bytes(32), f"ni:///sha-256;{'ab' * 32}?ver=CBV2.0", party("farm"))

    def collectors() -> int:
        return sum(thread.name == "orphans" for thread in threading.enumerate())

    before = collectors()  # other gateways of this process have theirs
    with open_container(Settings(home=home, **{**options, "orphans_every_s": 0})) as container:
        assert container.network is not None
        store = container.network.node("GrowersMSP").payloads
        commitment = store.put(new)
        assert OrphanCollector(container.network, 1, 24).collect()["GrowersMSP"] == 0
        ahead = store._vault.clock_ms() + 25 * 3_600_000
        store._vault.clock_ms = lambda: ahead
        assert collectors() == before
        assert store.states([commitment]) == ["present"]  # switched off
    with open_container(Settings(home=home, **options)) as container:
        assert container.network is not None
        store = container.network.node("GrowersMSP").payloads
        assert store.states([commitment]) == ["present"]  # younger than the grace time
        store._vault.clock_ms = lambda: ahead
        until(lambda: store.states([commitment]) == ["missing"], "the orphan is collected")
        assert [entry.action for entry in store.reads(0, commitment)] == ["collect"]
    assert collectors() == before


def test_requests_while_the_database_is_away(home: Path) -> None:
    try:
        server = Postgres()
    except FileNotFoundError:
        pytest.skip("NO POSTGRESQL on this machine: the outage test did not run")
    server.start()
    try:
        with running(home, database_url=server.url, log_level="error") as served:
            served.register_parties()
            client = served.client("farm")
            assert client.get("/v1/keys/self").status_code == 200
            server.stop()
            until(lambda: served.client().get("/readyz").status_code == 503, "not ready")
            body = served.client().get("/readyz").json()
            assert body["database"] == "unavailable"
            assert body["ledger"] == "ok"
            answer = client.get("/v1/participants")
            assert answer.status_code == 503
            assert code(answer) == "DATABASE_UNAVAILABLE"
            assert answer.headers["retry-after"]
            assert served.client().get("/healthz").status_code == 200
            # the ledger is there: a caller known from before may still transact
            product = {"gtin": "09521234000068", "name": "meanwhile", "mode": "report"}
            made = client.post("/v1/products", json=product)
            assert made.status_code == 201, made.text
            assert made.json()["visible"] is False
            server.start()
            until(lambda: served.client().get("/readyz").status_code == 200, "ready again", 60)
            assert client.get("/v1/products/09521234000068").json()["name"] == "meanwhile"
    finally:
        server.close()


def test_a_gateway_starts_while_the_database_is_away(home: Path) -> None:
    try:
        server = Postgres()
    except FileNotFoundError:
        pytest.skip("NO POSTGRESQL on this machine: the outage test did not run")
    try:
        with running(home, database_url=server.url, log_level="error") as served:
            answer = served.client().get("/readyz")
            assert answer.status_code == 503
            server.start()
            until(lambda: served.client().get("/readyz").status_code == 200, "ready", 60)
            served.register_parties()
    finally:
        server.close()


def test_a_restart_keeps_everything(home: Path) -> None:
    with running(home) as served:
        served.register_parties()
        capture_all(served)
        token = served.token("auditor")
        path = f"/v1/trace/{ROASTED}"
        before = served.client(headers={"X-API-Key": token}).get(path).json()
    with running(home) as served:
        served.settled()
        after = served.client(headers={"X-API-Key": token}).get(path).json()
        assert after["nodes"] == before["nodes"]
        assert code(served.client("growers/admin").post("/v1/ledger/readmodel/rebuild")) == (
            "FORBIDDEN"
        )
        told = served.client("authority/admin").post("/v1/ledger/readmodel/rebuild")
        assert told.status_code == 202
        served.settled()
        rebuilt = served.client(headers={"X-API-Key": token}).get(path).json()
        assert rebuilt["nodes"] == before["nodes"]


def test_serve_stops_cleanly_and_frees_the_home(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gateway.serve as module

    servers: list[Any] = []
    make = module.server_of

    def remember(*arguments: Any) -> Any:
        servers.append(make(*arguments))
        return servers[-1]

    monkeypatch.setattr(module, "server_of", remember)
    urls: list[str] = []
    options: dict[str, Any] = {"log_level": "error", "port": 0}
    thread = threading.Thread(
        target=lambda: serve(Settings(home=home, **options), on_ready=urls.append)
    )
    thread.start()
    until(lambda: urls, "ready")
    assert httpx.get(urls[0] + "/healthz", trust_env=False).json() == {"status": "ok"}
    # what the gateway says of itself names the port it really has
    described = httpx.get(urls[0] + "/openapi.json", trust_env=False).json()
    assert described["servers"] == [{"url": urls[0]}]
    assert not urls[0].endswith(":0")
    began = time.monotonic()
    servers[0].should_exit = True
    thread.join(30)
    assert not thread.is_alive()
    assert time.monotonic() - began < 15
    with open_container(Settings(home=home, **options)):
        pass  # the lock is free again


def free_port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
