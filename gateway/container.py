"""The gateway's parts, opened once and handed to every route."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fabric_protos.common import common_pb2
from sqlalchemy import Engine

from gateway.api_keys import KeyStore
from gateway.auth import LedgerAuthenticator
from gateway.database import open_engine, upgrade
from gateway.errors import DatabaseUnavailable
from gateway.ledger.client import LedgerClient
from gateway.members import Members
from gateway.metrics import Heights, Metrics
from gateway.orphans import OrphanCollector
from gateway.readmodel.follow import BlockSource, Follower
from gateway.readmodel.project import Projector
from gateway.readmodel.store import ReadModel
from gateway.settings import Settings
from gateway.wallet import Wallet
from nodes.errors import IdentityError
from nodes.identity.folders import organisation_folder
from nodes.identity.issue import issue_user
from nodes.identity.signer import Signer, load_signer
from nodes.network import load_network

if TYPE_CHECKING:
    from gateway.payloads import PayloadPort
    from nodes.embedded import EmbeddedNetwork

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Container:
    """Everything a route may use.

    engine: the read model's SQL engine. state: the SQL engine of keys, jobs and named queries.
    signer: the gateway's own identity, for reads that need none of the caller's rights.
    organisation, msp_id: whom the gateway itself belongs to. network: the embedded network, or
    None when the ledger is reached by gRPC. parts: what other modules open once and keep here.
    """

    settings: Settings
    home: Path
    ledger: LedgerClient
    network: EmbeddedNetwork | None
    payloads: PayloadPort
    engine: Engine
    state: Engine
    readmodel: ReadModel
    follower: Follower
    wallet: Wallet
    keys: KeyStore
    members: Members
    authenticator: LedgerAuthenticator
    metrics: Metrics
    organisation: str
    signer: Signer
    verifier: Any = None
    parts: dict[str, Any] = field(default_factory=dict)
    _closing: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def msp_id(self) -> str:
        """MSP id of the gateway's own organisation."""
        return self.signer.msp_id

    def on_close(self, part: contextlib.AbstractContextManager[Any]) -> None:
        """Close `part` with the container, before the parts opened earlier."""
        self._closing.push(part)

    def close(self) -> None:
        """Close every part, last opened first; running SQL transactions and blocks finish."""
        self._closing.close()

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class _Blocks:
    """The ledger port as the follower wants it."""

    client: LedgerClient
    signer: Signer

    def height(self) -> int:
        return int(self.client.chain_info(self.signer).height)

    def blocks(self, start: int) -> BlockSource:
        return _Stream(self.client, self.signer, start)


class _Stream:
    def __init__(self, client: LedgerClient, signer: Signer, start: int) -> None:
        self._stream = client.blocks(signer, start)

    def __iter__(self) -> Iterator[common_pb2.Block]:
        return iter(self._stream)

    def close(self) -> None:
        self._stream.close()


def open_container(settings: Settings, *, follow: bool = True) -> Container:
    """Open the ledger, the databases and everything above them.

    The databases may be away: the follower keeps trying and /readyz says so. follow: whether to
    keep the read model at the ledger's height (off for tools that only read).

    :raises nodes.errors.NodeError: the home holds no network, or another process has it open.
    """
    with contextlib.ExitStack() as closing:
        container = _open(settings, follow, closing)
        container._closing = closing.pop_all()
        return container


def _open(settings: Settings, follow: bool, closing: contextlib.ExitStack) -> Container:
    home = settings.home
    description = load_network(home)
    settings.gateway_home.mkdir(parents=True, exist_ok=True, mode=0o700)
    organisation = settings.organisation or description.organisations[0].name
    signer = own_signer(home, organisation, settings.user)
    ledger, network, payloads = _open_ledger(settings, signer, closing)
    engine = open_engine(settings.readmodel_url, pool=settings.database_pool)
    closing.callback(engine.dispose)
    state = open_engine(settings.state_url, pool=settings.database_pool, durable=True)
    closing.callback(state.dispose)
    readmodel = ReadModel(engine)
    try:
        upgrade(state, "state_tables")
        readmodel.prepare()
    except DatabaseUnavailable as error:
        log.warning("database unavailable", extra={"reason": str(error)})
    follower = Follower(
        readmodel,
        Projector(readmodel, settings.chaincode),
        _Blocks(ledger, signer),
        settings.project_blocks,
        lambda: upgrade(state, "state_tables"),
    )
    members = Members(home)
    wallet = Wallet(settings.gateway_home)
    keys = KeyStore(state)
    metrics = Metrics()
    metrics.watch_heights(lambda: _heights(follower))
    if follow:
        follower.start()
        closing.callback(follower.close)
        _collect_orphans(settings, network, closing)
    return Container(
        settings=settings,
        home=home,
        ledger=ledger,
        network=network,
        payloads=payloads,
        engine=engine,
        state=state,
        readmodel=readmodel,
        follower=follower,
        wallet=wallet,
        keys=keys,
        members=members,
        authenticator=LedgerAuthenticator(keys, wallet, members, readmodel),
        metrics=metrics,
        organisation=organisation,
        signer=signer,
    )


def own_signer(home: Path, organisation: str, user: str) -> Signer:
    """The gateway's own identity, issued on first use where the organisation's CA is at hand."""
    try:
        return load_signer(home, organisation, user)
    except IdentityError:
        return issue_user(home, organisation, user)


def _open_ledger(
    settings: Settings, signer: Signer, closing: contextlib.ExitStack
) -> tuple[LedgerClient, EmbeddedNetwork | None, PayloadPort]:
    if settings.ledger == "embedded":
        from gateway.ledger.inprocess import InProcessTransport
        from gateway.payloads import LocalPayloads
        from nodes.embedded import EmbeddedNetwork

        network = closing.enter_context(EmbeddedNetwork.open(settings.home))
        client = _client(settings, InProcessTransport(network.service))
        return client, network, LocalPayloads.of(network)
    from gateway.ledger.grpc import GrpcTransport, Tls
    from gateway.payloads import RemotePayloads
    from nodes.payloads.remote_client import RemotePayloadStore

    tls = Tls(_tls_roots(settings), server_name=settings.ledger_server_name or None)
    target = settings.ledger.removeprefix("grpc://")
    transport = GrpcTransport(target, tls, follower=signer, channel=settings.channel)
    closing.callback(transport.close)
    stores = {}
    for org in load_network(settings.home).organisations:
        roots = organisation_folder(settings.home, org.name).msp / "tlscacerts"
        pem = b"".join(path.read_bytes() for path in sorted(roots.glob("*")))
        store = RemotePayloadStore(org.node.address, org.msp_id, settings.channel, pem)
        closing.callback(store.close)
        stores[org.msp_id] = store
    return _client(settings, transport), None, RemotePayloads(stores, signer)


def _collect_orphans(
    settings: Settings, network: EmbeddedNetwork | None, closing: contextlib.ExitStack
) -> None:
    if network is None or not settings.orphans_every_s:
        return
    collector = OrphanCollector(network, settings.orphans_every_s, settings.orphans_grace_h)
    collector.start()
    closing.callback(collector.close)


def _client(settings: Settings, transport: Any) -> LedgerClient:
    return LedgerClient(
        transport,
        settings.channel,
        settings.chaincode,
        commit_timeout_s=settings.commit_timeout_s,
    )


def _tls_roots(settings: Settings) -> bytes:
    if settings.ledger_tls_ca is not None:
        return settings.ledger_tls_ca.read_bytes()
    folder = settings.home / "organizations"
    return b"".join(path.read_bytes() for path in sorted(folder.glob("*/msp/tlscacerts/*")))


def _heights(follower: Follower) -> Heights:
    status = follower.status()
    return Heights(status.height, status.ledger_height, 0 if status.problem else 1)
