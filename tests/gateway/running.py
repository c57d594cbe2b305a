"""A real gateway for tests: network in a temporary home, container, uvicorn on a free port."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from gateway.access_keys import NewKey, create_key
from gateway.container import Container, open_container
from gateway.serve import server_of
from gateway.settings import Settings
from nodes.network import init_network, parse_description

PARTIES = {
    "regulator": ("AuthorityMSP", ["regulator"], "CH"),
    "auditor": ("AuthorityMSP", ["auditor"], "CH"),
    "certifier": ("AuthorityMSP", ["certifier"], "CH"),
    "farm": ("GrowersMSP", ["producer"], "CO"),
    "mill": ("GrowersMSP", ["processor"], "CO"),
    "carrier": ("TradeMSP", ["carrier"], "PA"),
    "roaster": ("TradeMSP", ["processor", "brand"], "DE"),
    "shop": ("TradeMSP", ["retailer"], "CH"),
}
"""Every party's organisation, roles and country; its user has the same name."""

DESCRIPTION = {
    "name": "gateway-tests",
    "organisations": [
        {
            "name": name,
            "msp_id": msp,
            "domain": f"{name}.example",
            "country": country,
            "node": {"port": port},
            "users": [
                {"name": "admin", "ou": "admin", "party": f"urn:tracemark:party:{head}"}
                if head
                else {"name": "admin", "ou": "admin"},
                *(
                    {"name": party, "party": f"urn:tracemark:party:{party}"}
                    for party, (of, _, _) in PARTIES.items()
                    if of == msp
                ),
            ],
        }
        for name, msp, country, port, head in (
            ("authority", "AuthorityMSP", "CH", 17051, "regulator"),
            ("growers", "GrowersMSP", "CO", 17052, ""),
            ("trade", "TradeMSP", "DE", 17053, ""),
        )
    ],
    "policy": {"n": 2, "of": 3},
    "orderer": {"batch_timeout_ms": 5},
}


def make_home(folder: Path) -> Path:
    """A network home with the parties' users."""
    home = folder / "home"
    init_network(parse_description(DESCRIPTION), home)
    return home


class Gateway:
    """One running gateway."""

    def __init__(self, container: Container, url: str, verify: Any = True) -> None:
        self.container = container
        self.url = url
        self._verify = verify
        self._tokens: dict[str, str] = {}
        self._clients: list[httpx.Client] = []

    def token(self, user: str, **options: Any) -> str:
        """An API key of a user, named after its party; "authority/admin" for an admin."""
        org, _, name = user.rpartition("/")
        msp = PARTIES[name][0] if not org else f"{org.capitalize()}MSP"
        wanted = NewKey(label=user, msp_id=msp, user=name, created_by="tests", **options)
        return create_key(self.container, wanted)[1]

    def client(self, user: str | None = None, **options: Any) -> httpx.Client:
        """An HTTP client, with a user's API key."""
        headers = dict(options.pop("headers", {}))
        if user is not None:
            if user not in self._tokens:
                self._tokens[user] = self.token(user)
            headers["Authorization"] = f"Bearer {self._tokens[user]}"
        client = httpx.Client(
            base_url=self.url, headers=headers, verify=self._verify, timeout=30, trust_env=False,
            **options,
        )  # fmt: skip
        self._clients.append(client)
        return client

    def register_parties(self) -> None:
        """Open the registry and register every party."""
        admin = self.client("authority/admin")
        for name, (msp, roles, country) in PARTIES.items():
            body = {
                "slug": name,
                "name": name.title(),
                "msp": msp,
                "roles": roles,
                "country": country,
            }
            answer = admin.post("/v1/participants", json=body)
            assert answer.status_code == 201, answer.text

    def capture(self, user: str, *events: dict[str, Any], expect: bool = True) -> dict[str, Any]:
        """Capture events as a document and wait for the job; returns the job."""
        client = self.client(user)
        started = client.post(
            "/epcis/v2/capture",
            json=document(*events),
            headers={"Content-Type": "application/ld+json"},
        )
        assert started.status_code == 202, started.text
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            job: dict[str, Any] = client.get(started.headers["Location"]).json()
            if not job["running"]:
                assert job["success"] is expect, job
                return job
            time.sleep(0.01)
        raise AssertionError("the capture job did not end")

    def settled(self) -> None:
        """Wait until the read model shows everything on the ledger."""
        height = self.container.ledger.chain_info(self.container.signer).height
        assert self.container.readmodel.wait_for(int(height), 30)

    def close(self) -> None:
        for client in self._clients:
            client.close()


@contextmanager
def running(home: Path, **overrides: Any) -> Iterator[Gateway]:
    """Serve a home until the block ends."""
    options: dict[str, Any] = {"log_level": "warning", "port": 0, **overrides}
    settings = Settings(home=home, **options)
    with open_container(settings) as container, serving(container) as gateway:
        yield gateway


@contextmanager
def serving(container: Container, verify: Any = True) -> Iterator[Gateway]:
    """Serve an open container on a free port until the block ends."""
    server = server_of(container.settings, container)
    ready = threading.Event()
    server.announce = ready.set
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert ready.wait(30), "the server did not start"
    port = server.servers[0].sockets[0].getsockname()[1]
    scheme = "https" if container.settings.tls else "http"
    host = "localhost" if container.settings.tls else "127.0.0.1"
    gateway = Gateway(container, f"{scheme}://{host}:{port}", verify)
    try:
        yield gateway
    finally:
        gateway.close()
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the server did not stop"


def document(*events: dict[str, Any]) -> dict[str, Any]:
    """An EPCIS 2.0 document."""
    return {
        "@context": [
            "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
            {"tm": "urn:tracemark:ns:"},
        ],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-01-01T00:00:00Z",
        "epcisBody": {"eventList": list(events)},
    }


def party(name: str) -> str:
    return f"urn:tracemark:party:{name}"
