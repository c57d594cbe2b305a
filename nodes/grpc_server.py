"""The embedded network on the wire: Fabric's Gateway and Deliver services over gRPC with TLS.

One server listens on every organisation's address with that organisation's TLS certificate; all
of them answer from the one service object, as any peer of a channel would. The server runs an
event loop on a thread of its own, so that the network it serves can be used in the same process.

Message size (100 MB), the limit of concurrent requests (500) and the keepalive minimum follow a
Fabric peer's defaults (``core.yaml``: peer.gateway, peer.limits, peer.keepalive).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc

from nodes.errors import DescriptionError
from nodes.grpc_answers import Shutdown
from nodes.grpc_deliver import DeliverHandlers
from nodes.grpc_gateway import GatewayHandlers
from nodes.identity.folders import organisation_folder
from nodes.network import NetworkDescription, load_network
from nodes.service import GatewayService

MAX_MESSAGE_BYTES = 100 * 1024 * 1024
HEALTH_SERVICE = "grpc.health.v1.Health"
SERVING = b"\x08\x01"  # HealthCheckResponse{status: SERVING}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One listening address with its TLS material (PEM).

    `port` 0 takes any free port. With `client_roots` only clients with a certificate under them
    may connect (mutual TLS).
    """

    host: str
    port: int
    certificate: bytes
    key: bytes = field(repr=False)
    client_roots: bytes | None = None

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def credentials(self) -> grpc.ServerCredentials:
        return grpc.ssl_server_credentials(
            [(self.key, self.certificate)],
            root_certificates=self.client_roots,
            require_client_auth=self.client_roots is not None,
        )


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What a server allows.

    `gateway_limit`: unary Gateway requests at a time. `timeout_s`: longest Evaluate, Endorse or
    Submit. `threads`: contract calls at a time. `grace_s`: how long a stop lets requests finish.
    """

    gateway_limit: int = 500
    timeout_s: float = 30.0
    threads: int = 8
    grace_s: float = 5.0
    max_message_bytes: int = MAX_MESSAGE_BYTES


class GrpcServer:
    """Serves one network until it is stopped; usable as a context manager.

    :param handlers: further services on the same ports, made for grpc.aio.
    :param more: the same, made when the server starts from the threads to run blocking work on.
    """

    def __init__(
        self,
        service: GatewayService,
        endpoints: Sequence[Endpoint],
        *,
        options: ServerOptions | None = None,
        handlers: Sequence[grpc.GenericRpcHandler] = (),
        more: Sequence[Callable[[Executor], grpc.GenericRpcHandler]] = (),
    ) -> None:
        self._service = service
        self._endpoints = tuple(endpoints)
        self._options = options or ServerOptions()
        self._handlers = tuple(handlers)
        self._more = tuple(more)
        self._ports: tuple[int, ...] = ()
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """ "host:port" of every endpoint, in order, once started."""
        return tuple(
            f"{endpoint.host}:{port}"
            for endpoint, port in zip(self._endpoints, self._ports, strict=True)
        )

    def start(self) -> None:
        """Listen on every endpoint. :raises OSError: an address is taken or not this machine's."""
        listening: Future[None] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listening)), name="grpc-server", daemon=True
        )
        self._thread.start()
        listening.result()

    def stop(self) -> None:
        """Refuse new requests, end streams, let running requests finish within `grace_s`."""
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)
        self.wait()

    def wait(self) -> None:
        """Return when the server has stopped."""
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> GrpcServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    async def _serve(self, listening: Future[None]) -> None:
        try:
            with ThreadPoolExecutor(self._options.threads, "grpc-call") as threads:
                shutdown = Shutdown()
                server = self._build(threads, shutdown)
                self._ports = tuple(_listen(server, endpoint) for endpoint in self._endpoints)
                self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
                await server.start()
                log.info("serving on %s", ", ".join(self.addresses))
                listening.set_result(None)
                await self._stop.wait()
                shutdown.ask()
                await server.stop(self._options.grace_s)
        except BaseException as error:
            if listening.done():
                log.exception("the gRPC server failed")
            else:
                listening.set_exception(error)

    def _build(self, threads: ThreadPoolExecutor, shutdown: Shutdown) -> grpc.aio.Server:
        options = self._options
        server = grpc.aio.server(options=_channel_options(options))
        mutual_tls = any(endpoint.client_roots is not None for endpoint in self._endpoints)
        gateway = GatewayHandlers(
            self._service,
            threads,
            shutdown,
            limit=options.gateway_limit,
            timeout_s=options.timeout_s,
        )
        deliver = DeliverHandlers(self._service, threads, shutdown, mutual_tls=mutual_tls)
        server.add_generic_rpc_handlers(
            (
                gateway.generic_handler(),
                deliver.generic_handler(),
                _health_handler(),
                *self._handlers,
                *(make(threads) for make in self._more),
            )
        )
        return server


def endpoints_of(
    home: Path,
    network: NetworkDescription | None = None,
    *,
    listen_host: str | None = None,
    mutual_tls: bool = False,
) -> list[Endpoint]:
    """The endpoints of every organisation of a home, with the TLS folders of their nodes.

    :param listen_host: listen here instead of on each node's own host name, e.g. "0.0.0.0".
    :param mutual_tls: ask clients for a certificate under any organisation's TLS CA.
    :raises DescriptionError: a node's TLS folder is incomplete.
    """
    described = network or load_network(home)
    folders = {org.name: organisation_folder(home, org.name) for org in described.organisations}
    roots = b""
    if mutual_tls:
        roots = b"".join(
            _read(folder.path / "tlsca" / "ca-cert.pem") for folder in folders.values()
        )
    return [
        Endpoint(
            host=listen_host or org.node.host,
            port=org.node.port,
            certificate=_read(folders[org.name].node(org.node.name) / "tls" / "server.crt"),
            key=_read(folders[org.name].node(org.node.name) / "tls" / "server.key"),
            client_roots=roots or None,
        )
        for org in described.organisations
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DescriptionError(f"TLS material is missing: {error}") from error


def _listen(server: grpc.aio.Server, endpoint: Endpoint) -> int:
    try:
        return int(server.add_secure_port(endpoint.address, endpoint.credentials()))
    except RuntimeError as error:
        raise OSError(
            f"cannot listen on {endpoint.address}: the port is taken, or the host is not this "
            "machine's"
        ) from error


def _channel_options(options: ServerOptions) -> list[tuple[str, Any]]:
    return [
        ("grpc.max_send_message_length", options.max_message_bytes),
        ("grpc.max_receive_message_length", options.max_message_bytes),
        # A second server on the same port must fail, not silently share its connections.
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.max_pings_without_data", 0),
    ]


def _health_handler() -> grpc.GenericRpcHandler:
    """``grpc.health.v1.Health/Check``: a server that answers is serving."""

    async def check(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        return SERVING

    return grpc.method_handlers_generic_handler(
        HEALTH_SERVICE, {"Check": grpc.unary_unary_rpc_method_handler(check)}
    )
