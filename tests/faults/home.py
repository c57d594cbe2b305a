"""A small real network on disk: three organisations, a farm that captures events with payloads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.epcis.capture import Capturer, Outcome
from gateway.epcis.document import read_document
from gateway.epcis.prepare import prepare
from gateway.ledger import LedgerClient
from gateway.ledger.inprocess import InProcessTransport
from gateway.payloads import LocalPayloads
from nodes.embedded import EmbeddedNetwork
from nodes.identity import Signer, load_signer
from nodes.network import init_network, parse_description
from nodes.payloads import PayloadStore, Reader

OFFICE = "urn:tracemark:party:food-office"
FARM = "https://id.gs1.org/417/9521234000006"
SHOP = "urn:tracemark:party:corner-shop"
GTIN = "09521234000013"
OWNER = Reader(FARM, "FarmMSP", frozenset({"producer"}), "PT")
ORGANISATIONS = ("office", "farm", "shop")


def msp(name: str) -> str:
    return f"{name.capitalize()}MSP"


def new_home(home: Path) -> Path:
    """Three organisations, two must endorse; blocks of at most 50 transactions."""
    description = {
        "name": "faults",
        "policy": {"n": 2, "of": 3},
        "orderer": {"batch_timeout_ms": 10, "max_message_count": 50},
        "organisations": [
            {
                "name": name,
                "msp_id": msp(name),
                "domain": f"{name}.example",
                "country": "PT",
                "node": {"host": "localhost", "port": 7051 + place},
                "users": [{"name": "admin", "ou": "admin"}, {"name": "clerk"}],
            }
            for place, name in enumerate(ORGANISATIONS)
        ],
    }
    init_network(parse_description(description), home)
    return home


@dataclass
class Site:
    """An open network and its people."""

    home: Path
    network: EmbeddedNetwork
    ledger: LedgerClient

    def signer(self, org: str, user: str = "clerk") -> Signer:
        return load_signer(self.home, org, user)

    def store(self, org: str = "farm") -> PayloadStore:
        return self.network.node(msp(org)).payloads

    def call(self, org: str, user: str, function: str, **argument: Any) -> Any:
        return self.ledger.submit_and_wait(self.signer(org, user), function, argument).result

    def register(self) -> None:
        """A regulator, a producer, a retailer, and the farm's product."""
        for party, org, role in (
            ({"slug": "food-office"}, "office", "regulator"),
            ({"id": FARM}, "farm", "producer"),
            ({"slug": "corner-shop"}, "shop", "retailer"),
        ):
            self.call(
                "office", "admin", "participant:register",
                **party, name=org, msp=msp(org), roles=[role], country="PT", default=True,
            )  # fmt: skip
        self.call(
            "farm", "clerk", "product:define",
            gtin=GTIN, name="Honey", mode="report", disclosure="open",
        )  # fmt: skip

    def capture(self, events: list[dict[str, Any]]) -> Outcome:
        """Capture events as the farm's clerk, the way the gateway does."""
        document = {
            "@context": [
                "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
                {"tm": "urn:tracemark:ns:"},
            ],
            "type": "EPCISDocument",
            "schemaVersion": "2.0",
            "creationDate": "2026-01-01T00:00:00Z",
            "epcisBody": {"eventList": events},
        }
        prepared, faults = prepare(read_document(json.dumps(document).encode()))
        assert not faults, faults
        payloads = LocalPayloads.of(self.network)
        capturer = Capturer(self.ledger, payloads, self.signer("farm"), "FarmMSP", FARM)
        outcome = capturer.run(prepared)
        assert not outcome.refused, outcome.refused
        return outcome


def harvest(serial: str, **fields: Any) -> dict[str, Any]:
    """A commissioning of one jar of honey."""
    return {
        "type": "ObjectEvent",
        "action": "ADD",
        "bizStep": "commissioning",
        "eventTime": "2026-01-01T08:00:00+01:00",
        "eventTimeZoneOffset": "+01:00",
        "epcList": [f"https://id.gs1.org/01/{GTIN}/21/{serial}"],
        "tm:country": "PT",
    } | fields


@contextmanager
def opened(home: Path) -> Iterator[Site]:
    """The home's network, open in this process."""
    with EmbeddedNetwork.open(home) as network:
        yield Site(home, network, LedgerClient(InProcessTransport(network.service)))


def established(home: Path, events: int = 12) -> Path:
    """A home with its parties and a few captured events, closed again."""
    new_home(home)
    with opened(home) as site:
        site.register()
        for first in range(0, events, 4):
            site.capture([harvest(f"J{n}") for n in range(first, min(first + 4, events))])
    return home
