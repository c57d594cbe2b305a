"""An embedded network's server: every service of every organisation's node, on its address.

Fabric's Gateway and Deliver, and ``tracemark.Payloads``, by which one organisation's gateway asks
another's node for off-chain payloads (:mod:`nodes.payloads.remote`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nodes.embedded import EmbeddedNetwork
from nodes.grpc_server import Endpoint, GrpcServer, ServerOptions, endpoints_of
from nodes.payloads.chain_state import ViewReader
from nodes.payloads.remote import PayloadService, payload_handlers


def network_server(
    network: EmbeddedNetwork,
    *,
    listen_host: str | None = None,
    mutual_tls: bool = False,
    options: ServerOptions | None = None,
) -> GrpcServer:
    """The server of an open network, not yet started; stop it before closing the network.

    :param listen_host: listen here instead of on each node's own host name, e.g. "0.0.0.0".
    :param mutual_tls: ask clients for a certificate under any organisation's TLS CA.
    :raises DescriptionError: a node's TLS folder is incomplete.
    """
    endpoints = endpoints_of(
        network.home, network.description, listen_host=listen_host, mutual_tls=mutual_tls
    )
    return _server(network, endpoints, options)


def node_server(
    network: EmbeddedNetwork,
    organisation: str,
    host: str,
    port: int,
    *,
    options: ServerOptions | None = None,
) -> GrpcServer:
    """The same services at one address, with the TLS certificate of one organisation's node.

    :raises DescriptionError: there is no such organisation, or its TLS folder is incomplete.
    """
    described = network.description.organisation(organisation)
    own = network.description.model_copy(update={"organisations": [described]})
    [endpoint] = endpoints_of(network.home, own, listen_host=host)
    return _server(network, [replace(endpoint, port=port)], options)


def _server(
    network: EmbeddedNetwork, endpoints: Sequence[Endpoint], options: ServerOptions | None
) -> GrpcServer:
    payloads = payload_service(network)
    return GrpcServer(
        network.service,
        endpoints,
        options=options,
        more=(lambda threads: payload_handlers(payloads, threads),),
    )


def payload_service(network: EmbeddedNetwork) -> PayloadService:
    """The payload service over the stores of every node in this process."""
    namespace = network.description.chaincode
    return PayloadService(
        channel=network.config.channel,
        store_of=lambda msp_id: network.node(msp_id).payloads,
        state_of=lambda msp_id: ViewReader(network.node(msp_id).view, namespace),
        accept=lambda creator: network.config.msps.accept(creator),
    )
