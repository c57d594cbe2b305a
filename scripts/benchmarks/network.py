"""A network of three organisations in a temporary home, opened in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.ledger.client import LedgerClient
from gateway.ledger.inprocess import InProcessTransport
from nodes.embedded import EmbeddedNetwork
from nodes.identity.signer import Signer, load_signer
from nodes.network import NetworkDescription, init_network

ORGANISATIONS = ("maker", "carrier", "authority")
MAKER_PARTY = "urn:tracemark:party:maker"
CARRIER_PARTY = "urn:tracemark:party:carrier"
AUTHORITY_PARTY = "urn:tracemark:party:authority"
GTIN = "09521234543213"


@dataclass(frozen=True, slots=True)
class Bench:
    """What a measurement needs: the open network, a client on it, and its signers."""

    home: Path
    network: EmbeddedNetwork
    client: LedgerClient
    maker: Signer
    carrier: Signer
    authority: Signer


def description() -> NetworkDescription:
    """Three organisations, 2-of-3 endorsement."""
    organisations = [
        {
            "name": name,
            "msp_id": f"{name.capitalize()}MSP",
            "domain": f"{name}.example",
            "country": country,
            "node": {"name": "node", "host": "localhost", "port": 7051 + index},
            "users": [{"name": "desk", "party": f"urn:tracemark:party:{name}"}],
        }
        for index, (name, country) in enumerate(zip(ORGANISATIONS, ("BR", "DE", "FR"), strict=True))
    ]
    return NetworkDescription.model_validate(
        {"name": "bench", "organisations": organisations, "policy": {"n": 2, "of": 3}}
    )


@contextmanager
def open_bench(home: Path) -> Iterator[Bench]:
    """Make the network (once) with its participants and one product, and open it."""
    if not (home / "network.json").exists():
        init_network(description(), home)
    with EmbeddedNetwork.open(home) as network:
        client = LedgerClient(InProcessTransport(network.service))
        bench = Bench(
            home,
            network,
            client,
            load_signer(home, "maker", "desk"),
            load_signer(home, "carrier", "desk"),
            load_signer(home, "authority", "desk"),
        )
        if "opened_by" not in client.evaluate(bench.authority, "network:info"):
            _found(bench)
        yield bench


def _found(bench: Bench) -> None:
    admin = load_signer(bench.home, "authority", "admin")
    register = [
        (AUTHORITY_PARTY, "Authority", ["regulator"], "FR"),
        (MAKER_PARTY, "Maker", ["producer", "processor", "brand"], "BR"),
        (CARRIER_PARTY, "Carrier", ["carrier", "warehouse", "retailer"], "DE"),
    ]
    for index, (party, name, roles, country) in enumerate(register):
        bench.client.submit_and_wait(
            admin if index == 0 else bench.authority,
            "participant:register",
            {
                "id": party,
                "name": name,
                "msp": f"{party.rsplit(':', 1)[1].capitalize()}MSP",
                "roles": roles,
                "country": country,
                "default": True,
            },
        )
    bench.client.submit_and_wait(
        bench.maker,
        "product:define",
        {"gtin": GTIN, "name": "Benchmark item", "mode": "enforce", "disclosure": "open"},
    )
