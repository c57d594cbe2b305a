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
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.app import create_app
from gateway.auth import PEER_CERTIFICATE
from gateway.container import Container, open_container
from gateway.logging_setup import configure
from gateway.settings import ALL_NODES, Settings

if TYPE_CHECKING:
    from nodes.grpc_server import GrpcServer

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
    # what the gateway signs and prints holds its own address: the port must be the real one
    settings = settings.model_copy(update={"port": listening.getsockname()[1]})
    try:
        with open_container(settings) as container, grpc_served(container):
            server = server_of(settings, container)
            if on_ready is not None:
                server.announce = lambda: on_ready(settings.base_url)
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
def grpc_served(container: Container) -> Iterator[None]:
    """Serve the embedded network over gRPC while the block runs, where that is set.

    :raises OSError: an address is taken or not this machine's.
    """
    server = _grpc_server(container)
    if server is None:
        yield
        return
    with server:
        yield


def _grpc_server(container: Container) -> GrpcServer | None:
    settings, network = container.settings, container.network
    if not settings.grpc_listen or network is None:
        return None
    from nodes.grpc_network import network_server, node_server

    if settings.grpc_listen == ALL_NODES:
        return network_server(network, listen_host=settings.grpc_host or None)
    host, _, port = settings.grpc_listen.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    return node_server(network, container.organisation, host, int(port))
