"""Asking another organisation's node over TLS: who signs is who reads, and answers are checked."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import grpc
import pytest
from fabric_protos.msp import msp_config_pb2
from hypothesis import given
from hypothesis import strategies as st

from chaincode.codec import dumps
from chaincode.memory import MemoryLedger
from chaincode.records import key
from gateway.payload_state import payload_states
from gateway.payloads import LocalPayloads, PayloadPort, RemotePayloads, read_recorded
from nodes.identity import Signer
from nodes.identity.certificates import (
    Authority,
    certificate_pem,
    issue_identity,
    issue_tls,
    key_pem,
    new_authority,
)
from nodes.identity.msp import Msp, MspSet
from nodes.payloads import (
    PayloadErased,
    PayloadError,
    PayloadInvalid,
    PayloadRefused,
    PayloadStore,
    PayloadUnknown,
    Reader,
    StoredPayload,
)
from nodes.payloads.errors import RemoteError
from nodes.payloads.ledger_facts import StateFacts
from nodes.payloads.remote import NotAuthentic, PayloadService, payload_handlers
from nodes.payloads.remote_client import RemotePayloadStore
from nodes.payloads.remote_messages import (
    cut,
    error_from_json,
    error_to_json,
    frame,
    open_frame,
    open_request,
    signed_request,
)
from tests.payloads.conftest import FARM, new_payload

SHOP, OFFICE = "urn:tracemark:party:shop", "urn:tracemark:party:office"
UNUSED = Reader(None)


def party(party_id: str, msp: str, *roles: str) -> dict[str, Any]:
    return {
        "id": party_id, "msp": msp, "name": "x", "roles": list(roles), "country": "CO",
        "status": "active", "licences": [], "locations": [], "default": True,
        "registered_by": OFFICE, "time_ms": 1,
    }  # fmt: skip


class Chain:
    """A ledger with the three parties; `put` commits a record."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger()
        self.count = 0
        for record in (
            party(FARM, "FarmMSP", "producer"),
            party(SHOP, "ShopMSP", "retailer"),
            party(OFFICE, "OfficeMSP", "regulator"),
        ):
            self.put(record, "party", record["id"])
            self.put({"msp": record["msp"], "default": record["id"]}, "msp", record["msp"])

    def put(self, record: dict[str, Any], *name: str) -> None:
        self.count += 1
        stub = self.ledger.begin(f"{self.count:064x}", self.count, "M", b"")
        stub.put_state(key(*name), dumps(record))
        stub.commit()

    def reader(self) -> Any:
        return self.ledger.begin("0" * 64, 0, "M", b"")


class Site:
    """The farm's node, serving its store on a port of its own."""

    def __init__(self, store: PayloadStore, msps: MspSet, chain: Chain, tls: Authority) -> None:
        self.store, self.chain = store, chain
        stores = {"FarmMSP": store}
        self.service = PayloadService(
            "trace", stores.__getitem__, lambda _: chain.reader(), msps.accept
        )
        issued = issue_tls(tls, "node.farm.example", [])
        self.credentials = grpc.ssl_server_credentials(
            [(key_pem(issued.key), certificate_pem(issued.certificate))]
        )
        self.threads = ThreadPoolExecutor(2)
        started: Future[int] = Future()
        self.thread = threading.Thread(target=lambda: asyncio.run(self.serve(started)))
        self.thread.start()
        self.client = RemotePayloadStore(
            f"localhost:{started.result()}", "FarmMSP", "trace", certificate_pem(tls.certificate)
        )

    async def serve(self, started: Future[int]) -> None:
        self.loop, self.stopping = asyncio.get_running_loop(), asyncio.Event()
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((payload_handlers(self.service, self.threads),))
        port = server.add_secure_port("localhost:0", self.credentials)
        await server.start()
        started.set_result(port)
        await self.stopping.wait()
        await server.stop(0)

    def close(self) -> None:
        self.client.close()
        self.loop.call_soon_threadsafe(self.stopping.set)
        self.thread.join()
        self.threads.shutdown()


@pytest.fixture(scope="module")
def authorities() -> dict[str, Authority]:
    return {
        name: new_authority(f"ca.{name}.example", f"{name}.example", "CO")
        for name in ("farm", "shop", "office")
    }


def person(authority: Authority, msp: str, unit: str = "client") -> Signer:
    issued = issue_identity(authority, "someone", unit)
    return Signer(msp, certificate_pem(issued.certificate), issued.key)


@pytest.fixture(scope="module")
def people(authorities: dict[str, Authority]) -> dict[str, Signer]:
    return {
        "farm": person(authorities["farm"], "FarmMSP"),
        "shop": person(authorities["shop"], "ShopMSP"),
        "office": person(authorities["office"], "OfficeMSP"),
        "impostor": person(authorities["shop"], "FarmMSP"),
    }


@pytest.fixture
def site(store: PayloadStore, authorities: dict[str, Authority]) -> Iterator[Site]:
    msps = MspSet(
        Msp(
            msp_config_pb2.FabricMSPConfig(
                name=f"{name.capitalize()}MSP", root_certs=[certificate_pem(ca.certificate)]
            )
        )
        for name, ca in authorities.items()
    )
    chain = Chain()
    store.facts = StateFacts(chain.reader)
    tls = new_authority("tlsca.farm.example", "farm.example", "CO")
    site = Site(store, msps, chain, tls)
    yield site
    site.close()


def test_the_whole_round(site: Site, people: dict[str, Signer]) -> None:
    """Put, read, refuse, erase and read the log, each as the person who signed."""
    port: PayloadPort = RemotePayloads({"FarmMSP": site.client}, own=people["farm"])
    farm = people["farm"]
    mine, shared = new_payload(residency="partners"), new_payload()
    hidden, open_ = port.put_many("FarmMSP", [mine, shared])
    assert port.get("FarmMSP", hidden, UNUSED, signer=farm).payload == mine.payload
    outcomes = port.get_many("FarmMSP", [hidden, open_], UNUSED, signer=people["shop"])
    assert isinstance(outcomes[0], PayloadRefused)
    assert outcomes[0].decision.rule == "NO_RELATION"
    assert isinstance(outcomes[1], StoredPayload)
    assert (outcomes[1].payload, outcomes[1].salt) == (shared.payload, shared.salt)
    with pytest.raises(PayloadRefused):
        port.erase("FarmMSP", hidden, UNUSED, "mistake", signer=people["shop"])
    assert port.receipt("FarmMSP", hidden) is None
    receipt = port.erase("FarmMSP", hidden, UNUSED, "mistake", signer=farm)
    assert port.receipt("FarmMSP", hidden) == receipt
    with pytest.raises(PayloadErased) as erased:
        port.get("FarmMSP", hidden, UNUSED, signer=farm)
    assert erased.value.receipt == receipt
    log = port.reads("FarmMSP", hidden, UNUSED, signer=farm)
    assert [(e.action, e.party) for e in log] == [
        ("read", FARM), ("refuse", SHOP), ("refuse", SHOP), ("erase", FARM), ("refuse", FARM),
    ]  # fmt: skip
    assert all(len(entry.certificate_sha256) == 64 for entry in log)
    with pytest.raises(PayloadUnknown):
        port.get("ShopMSP", hidden, UNUSED, signer=farm)


def test_the_gateway_s_own_key_discloses_nothing(site: Site, people: dict[str, Signer]) -> None:
    """Defect: who kept their key at home read, erased and was logged as the gateway's party."""
    port = RemotePayloads({"FarmMSP": site.client}, own=people["farm"])
    hidden = port.put_many("FarmMSP", [new_payload(residency="partners")])[0]
    for ask in (
        lambda: port.get("FarmMSP", hidden, UNUSED),
        lambda: port.get_many("FarmMSP", [hidden], UNUSED),
        lambda: port.erase("FarmMSP", hidden, UNUSED, "mistake"),
        lambda: port.reads("FarmMSP", hidden, UNUSED),
    ):
        with pytest.raises(PayloadRefused) as refused:
            ask()
        assert refused.value.decision.rule == "UNSIGNED"
    assert port.receipt("FarmMSP", hidden) is None
    assert site.store.log_head() is None


def test_states_tell_presence_and_leave_no_trace(site: Site, people: dict[str, Signer]) -> None:
    """An erased payload shown as there, one node's silence shown as another's, a logged glance."""
    port = RemotePayloads({"FarmMSP": site.client}, own=people["farm"])
    here, gone = port.put_many("FarmMSP", [new_payload(), new_payload(residency="partners")])
    port.erase("FarmMSP", gone, UNUSED, "mistake", signer=people["farm"])
    before = site.store.log_head()
    wanted = [("FarmMSP", gone), ("MillMSP", here), ("FarmMSP", "00" * 32), ("FarmMSP", here)]
    told = ["erased", "unreachable", "missing", "available"]
    assert payload_states(port, wanted, signer=people["shop"]) == told
    assert payload_states(LocalPayloads({"FarmMSP": site.store}.__getitem__), wanted) == told
    assert payload_states(port, []) == []
    assert site.store.log_head() == before
    with pytest.raises(PayloadInvalid):
        site.client.states(["no commitment"], people["shop"])
    impostor = payload_states(port, wanted[:1], signer=people["impostor"])
    assert impostor == ["unreachable"]


def test_a_stranger_cannot_store_here(site: Site, people: dict[str, Signer]) -> None:
    """Another organisation must not fill this node's disk."""
    with pytest.raises(PayloadRefused):
        site.client.put_many([new_payload()], people["shop"])


def test_a_regulator_leaves_its_legal_basis(site: Site, people: dict[str, Signer]) -> None:
    """Confidential data open to a regulator only after the basis stands on the chain."""
    new = new_payload(residency="confidential")
    commitment = site.store.put(new)
    port = RemotePayloads({"FarmMSP": site.client})
    reader = Reader(None, legal_basis="EU 2023/1115 Art. 16")
    recorded: list[tuple[str, str]] = []

    def record(event_hash: str, basis: str) -> None:
        recorded.append((event_hash, basis))
        digest = event_hash.split(";")[1].split("?")[0]
        entry = {
            "event": digest, "party": OFFICE, "msp": "OfficeMSP", "legal_basis": basis,
            "time_ms": site.store._vault.clock_ms(), "tx_id": "a" * 64,
        }  # fmt: skip
        site.chain.put(entry, "access", digest, "a" * 64)

    for _ in range(2):
        found = read_recorded(port, "FarmMSP", commitment, reader, record, signer=people["office"])
        assert found.payload == new.payload
    assert recorded == [(new.event_hash, "EU 2023/1115 Art. 16")]
    last = list(site.store.reads())[-1]
    assert (last.rule, last.legal_basis, last.tx_id) == (
        "LEGAL_BASIS", "EU 2023/1115 Art. 16", "a" * 64,
    )  # fmt: skip
    with pytest.raises(PayloadRefused):
        read_recorded(port, "FarmMSP", commitment, reader, record, signer=people["shop"])
    assert len(recorded) == 1


def test_forged_old_and_repeated_requests(site: Site, people: dict[str, Signer]) -> None:
    """A borrowed MSP name, a stale clock, a replay, a changed body or method: all refused."""
    now = site.service.clock_ms()
    body = {"method": "receipt", "holder": "FarmMSP", "commitment": "00" * 32}

    def request(**change: Any) -> bytes:
        signer = change.pop("signer", people["shop"])
        at = change.pop("timestamp_ms", now)
        return signed_request(signer, change.pop("channel", "trace"), body, timestamp_ms=at)

    good = request()
    assert b"PAYLOAD_UNKNOWN" in site.service.answer("receipt", good)
    tampered = bytearray(request())
    place = bytes(tampered).index(b'"' + b"00" * 32)
    tampered[place + 1 : place + 3] = b"11"
    for raw, method in (
        (good, "receipt"),
        (request(), "erase"),
        (request(signer=people["impostor"]), "receipt"),
        (request(timestamp_ms=now - 301_000), "receipt"),
        (request(timestamp_ms=now + 301_000), "receipt"),
        (request(channel="other"), "receipt"),
        (bytes(tampered), "receipt"),
    ):
        with pytest.raises(NotAuthentic):
            site.service.answer(method, raw)
    with pytest.raises(RemoteError, match="UNAUTHENTICATED"):
        site.client.receipt("00" * 32, people["impostor"])


def test_a_large_answer_comes_in_pieces(
    site: Site, people: dict[str, Signer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Photos and documents larger than one message still arrive, in order."""
    monkeypatch.setattr("nodes.payloads.remote.MAX_ANSWER_BYTES", 2000)
    payloads = [replace(new_payload(), payload=bytes([n]) * 900) for n in range(7)]
    commitments = site.store.put_many(payloads)
    found = site.client.get_many([*commitments, "00" * 32], people["farm"])
    assert [f.payload for f in found[:7] if isinstance(f, StoredPayload)] == [
        new.payload for new in payloads
    ]
    assert isinstance(found[7], PayloadUnknown)


def test_a_lying_node_is_caught(
    site: Site, people: dict[str, Signer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that hands out other bytes than those anchored is refused and named."""
    commitment = site.store.put(new_payload())
    other = site.store.verify(site.store.put(new_payload()))
    monkeypatch.setattr(site.store, "get_many", lambda *_: [other])
    found = site.client.get_many([commitment], people["farm"])[0]
    assert isinstance(found, PayloadError)
    assert found.code == "PAYLOAD_CORRUPTED"


def test_nobody_listens() -> None:
    """A node that is down is an error with a name, not a hang or a stack of gRPC."""
    authority = new_authority("tlsca", "nowhere.example", "CO")
    client = RemotePayloadStore(
        "localhost:1", "FarmMSP", "trace", certificate_pem(authority.certificate), timeout_s=2
    )
    with pytest.raises(RemoteError, match="FarmMSP"):
        client.receipt("00" * 32, person(authority, "FarmMSP"))
    client.close()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), json_values), st.lists(st.binary(max_size=50)))
def test_frames_come_back(body: dict[str, Any], parts: list[bytes]) -> None:
    """What is framed is what is read, part by part."""
    found, rest = open_frame(frame(body, parts))
    assert found == body
    assert cut(rest, [len(part) for part in parts]) == parts


@given(st.binary(max_size=300))
def test_noise_is_refused(raw: bytes) -> None:
    """Arbitrary bytes are PayloadInvalid, never another exception."""
    for reads in (open_request, open_frame):
        with contextlib.suppress(PayloadInvalid):
            reads(raw)


@given(json_values)
def test_errors_that_cannot_be_read(found: Any) -> None:
    """A broken error object must not break the asking side."""
    error = error_from_json(found if isinstance(found, dict) else {"code": found})
    assert isinstance(error, PayloadError)
    assert error_from_json(error_to_json(error)).message == error.message
