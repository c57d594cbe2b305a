"""Serve the gateway: HTTP with or without TLS, and the embedded network's gRPC when asked for.

Stopping (SIGINT, SIGTERM): new connections are refused, requests under way get ten seconds, then
the follower finishes its SQL transaction, the network its block, and the process ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.app import create_app
from gateway.auth import PEER_CERTIFICATE
from gateway.container import Container, open_container
from gateway.logging_setup import configure
from gateway.settings import Settings

HEADER_TIMEOUT_S = 15.0
GRACE_S = 10
_CLIENT_CERTIFICATES = {
    "off": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}

log = logging.getLogger(__name__)


class Protocol(HttpToolsProtocol):
    """HTTP/1.1 that knows the TLS client's certificate and gives a request's head 15 seconds."""

    _certificate: bytes | None = None
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if tls is not None:
            self._certificate = tls.getpeercert(binary_form=True)
        self._deadline = self.loop.call_later(HEADER_TIMEOUT_S, transport.close)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._certificate is not None:
            cast(dict[str, Any], self.scope)[PEER_CERTIFICATE] = self._certificate
        if self._deadline is None:  # a later request on the same connection
            self._deadline = self.loop.call_later(HEADER_TIMEOUT_S, self.transport.close)

    def on_headers_complete(self) -> None:
        self._stop_deadline()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_deadline()
        super().connection_lost(exc)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def serve(settings: Settings, *, on_ready: Callable[[str], None] | None = None) -> None:
    """Open everything and serve until a signal comes.

    on_ready: called with the base URL once connections are accepted.

    :raises nodes.errors.NodeError: the home holds no network, or is open in another process.
    :raises OSError: an address is taken.
    """
    configure(settings)
    listening = _bind(settings)
    try:
        with open_container(settings) as container, _grpc(container):
            server = server_of(settings, container)
            port = listening.getsockname()[1]
            if on_ready is not None:
                url = settings.base_url.replace(":0", f":{port}") if settings.port == 0 else None
                server.announce = lambda: on_ready(url or settings.base_url)
            server.run(sockets=[listening])
    finally:
        listening.close()


class Server(uvicorn.Server):
    """uvicorn's server, which says when it accepts connections."""

    announce: Callable[[], None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        log.info("gateway ready", extra={"host": self.config.host, "port": self.config.port})
        if self.announce is not None:
            self.announce()


def server_of(settings: Settings, container: Container) -> Server:
    """A server over open parts; the caller runs it and closes the parts."""
    options: dict[str, Any] = {}
    if settings.tls:
        options["ssl_certfile"] = str(settings.tls_certificate)
        options["ssl_keyfile"] = str(settings.tls_key)
        options["ssl_context_factory"] = lambda _config, make: tls_context(
            make(), settings, container
        )
    config = uvicorn.Config(
        create_app(settings, container),
        host=settings.host,
        port=settings.port,
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=GRACE_S,
        backlog=2048,
        **options,
    )
    return Server(config)


def tls_context(
    context: ssl.SSLContext, settings: Settings, container: Container
) -> ssl.SSLContext:
    """TLS 1.2 or newer; callers may show a certificate of any organisation of the network.

    OpenSSL checks the chain and the possession of the key; revocation and the organisation's
    units are checked for each request (:mod:`gateway.members`).
    """
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = _CLIENT_CERTIFICATES[settings.client_certificates]
    if settings.client_certificates != "off":
        context.load_verify_locations(cadata=container.members.roots())
    return context


def _bind(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError:
        listening.close()
        raise
    return listening


@contextlib.contextmanager
def _grpc(container: Container) -> Iterator[None]:
    """Serve the embedded network over gRPC while the block runs, where that is set."""
    if not container.settings.grpc_listen or container.network is None:
        yield
        return
    from nodes.grpc_server import Endpoint, GrpcServer
    from nodes.identity.folders import organisation_folder
    from nodes.network import load_network

    network = container.network
    host, _, port = container.settings.grpc_listen.rpartition(":")
    own = load_network(container.home).organisation(container.organisation)
    tls = organisation_folder(container.home, own.name).node(own.node.name) / "tls"
    endpoint = Endpoint(
        host=host.strip("[]") or "127.0.0.1",
        port=int(port),
        certificate=(tls / "server.crt").read_bytes(),
        key=(tls / "server.key").read_bytes(),
        client_roots=None,
    )
    with (
        ThreadPoolExecutor(4, "payloads") as threads,
        GrpcServer(network.service, [endpoint], handlers=[_payload_service(container, threads)]),
    ):
        yield


def _payload_service(container: Container, threads: Executor) -> Any:
    """The payload service for other organisations, beside Fabric's services."""
    from nodes.payloads.chain_state import ViewReader
    from nodes.payloads.remote import PayloadService, payload_handlers

    network = container.network
    assert network is not None
    service = PayloadService(
        channel=container.settings.channel,
        store_of=lambda msp_id: network.node(msp_id).payloads,
        state_of=lambda msp_id: ViewReader(network.node(msp_id).view, container.settings.chaincode),
        accept=lambda creator: network.config.msps.accept(creator),
    )
    return payload_handlers(service, threads)
